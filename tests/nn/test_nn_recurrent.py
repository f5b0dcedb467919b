"""LSTMs against the recurrence written out, one number at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen import nn
from minigen.autograd import tensor
from minigen.backend import Device, default_dtype
from minigen.testing.strategies import SEEDS


def step(
    x: np.ndarray, h: np.ndarray, c: np.ndarray, w_ih: np.ndarray, w_hh: np.ndarray, b_ih: np.ndarray, b_hh: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One example: gates i, f, g, o in this order; c' = f c + i g, h' = o tanh(c')."""
    hidden = len(h)
    sigmoid = lambda v: 1 / (1 + math.exp(-v))

    def gate(number: int, k: int) -> float:
        row = number * hidden + k
        from_input = b_ih[row] + sum(w_ih[row, j] * x[j] for j in range(len(x)))
        return float(from_input + b_hh[row] + sum(w_hh[row, j] * h[j] for j in range(hidden)))

    h_next, c_next = np.zeros(hidden), np.zeros(hidden)
    for k in range(hidden):
        i, f, g, o = (gate(number, k) for number in range(4))
        c_next[k] = sigmoid(f) * c[k] + sigmoid(i) * math.tanh(g)
        h_next[k] = sigmoid(o) * math.tanh(c_next[k])
    return h_next, c_next


def weights(layer: nn.Module, suffix: str = "") -> list[np.ndarray]:
    hidden = layer.hidden_size
    names = [f"{name}{suffix}" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
    values = [getattr(layer, name, None) for name in names]
    return [np.zeros(4 * hidden) if v is None else v.numpy() for v in values]


sizes = st.integers(1, 3)


@given(n=sizes, inputs=sizes, hidden=sizes, bias=st.booleans(), given_state=st.booleans(), seed=SEEDS)
def test_a_cell_follows_the_recurrence(
    n: int, inputs: int, hidden: int, bias: bool, given_state: bool, seed: int, device: Device
) -> None:
    random = np.random.default_rng(seed)
    with default_dtype("float64"):
        cell = nn.LSTMCell(inputs, hidden, bias=bias)
    assert len(list(cell.parameters())) == (4 if bias else 2)
    x = random.normal(size=(n, inputs))
    h, c = random.normal(size=(2, n, hidden)) if given_state else np.zeros((2, n, hidden))
    state = (tensor(h), tensor(c)) if given_state else None
    expected = [step(x[i], h[i], c[i], *weights(cell)) for i in range(n)]
    for mode in (True, False):
        result = cell.train(mode)(tensor(x), state)
        for actual, wanted in zip(result, zip(*expected, strict=True), strict=True):
            np.testing.assert_allclose(actual.numpy(), np.stack(wanted), rtol=1e-12, atol=1e-12)
            assert actual.shape == (n, hidden) and actual.device == device


@given(
    steps=sizes,
    n=sizes,
    inputs=sizes,
    hidden=sizes,
    layers=sizes,
    bias=st.booleans(),
    batch_first=st.booleans(),
    given_state=st.booleans(),
    seed=SEEDS,
)
def test_an_lstm_follows_the_recurrence_step_by_step(
    steps: int,
    n: int,
    inputs: int,
    hidden: int,
    layers: int,
    bias: bool,
    batch_first: bool,
    given_state: bool,
    seed: int,
    device: Device,
) -> None:
    """Layer upon layer and step after step; the states are the last ones of each layer."""
    random = np.random.default_rng(seed)
    with default_dtype("float64"):
        lstm = nn.LSTM(inputs, hidden, layers, bias, batch_first)
    assert len(list(lstm.parameters())) == layers * (4 if bias else 2)
    x = random.normal(size=(steps, n, inputs))
    h, c = random.normal(size=(2, layers, n, hidden)) if given_state else np.zeros((2, layers, n, hidden))
    state = (tensor(h), tensor(c)) if given_state else None
    h, c, below = h.copy(), c.copy(), x
    for layer in range(layers):
        outputs = np.zeros((steps, n, hidden))
        for t in range(steps):
            for i in range(n):
                h[layer, i], c[layer, i] = step(below[t, i], h[layer, i], c[layer, i], *weights(lstm, f"_l{layer}"))
                outputs[t, i] = h[layer, i]
        below = outputs
    for mode in (True, False):
        result, (last_h, last_c) = lstm.train(mode)(tensor(x.swapaxes(0, 1) if batch_first else x), state)
        assert result.shape == ((n, steps, hidden) if batch_first else (steps, n, hidden))
        result = result.numpy().swapaxes(0, 1) if batch_first else result.numpy()
        np.testing.assert_allclose(result, below, rtol=1e-12, atol=1e-12)
        for actual, wanted in ((last_h, h), (last_c, c)):
            np.testing.assert_allclose(actual.numpy(), wanted, rtol=1e-12, atol=1e-12)
            assert actual.device == device


def test_continuing_from_a_state_is_one_long_sequence(device: Device) -> None:
    lstm = nn.LSTM(2, 3, num_layers=2)
    x = tensor(np.random.default_rng(0).normal(size=(5, 4, 2)).astype("float32"))
    whole, (h, c) = lstm(x)
    first, state = lstm(x[:2])
    second, (last_h, last_c) = lstm(x[2:], state)
    for actual, expected in ((first, whole[:2]), (second, whole[2:]), (last_h, h), (last_c, c)):
        np.testing.assert_allclose(actual.numpy(), expected.numpy(), rtol=1e-6, atol=1e-6)


def test_float32_stays_float32(device: Device) -> None:
    lstm, x = nn.LSTM(2, 3), tensor(np.ones((4, 5, 2), "float32"), requires_grad=True)
    outputs, (h, c) = lstm(x)
    (outputs.square().sum() + c.sum()).backward()
    assert all(r.dtype == np.float32 for r in (outputs, h, c, x.grad, *(p.grad for p in lstm.parameters())))
    cell = nn.LSTMCell(2, 3)
    assert all(r.dtype == np.float32 for r in cell(x[0]))


def test_what_does_not_fit_is_refused(device: Device) -> None:
    with pytest.raises(ValueError, match=r"^LSTM: expects a sequence with 3 axes, got \(4, 2\)"):
        nn.LSTM(2, 3)(tensor(np.ones((4, 2), "float32")))
    with pytest.raises(ValueError, match=r"^linear: x has \(2,\) features \(4, 5, 2\) but .* is \(12, 6\)"):
        nn.LSTM(6, 3)(tensor(np.ones((4, 5, 2), "float32")))
    with pytest.raises(ValueError, match=r"^linear: x has \(2,\) features \(5, 2\) but .* is \(12, 6\)"):
        nn.LSTMCell(6, 3)(tensor(np.ones((5, 2), "float32")))
    wrong = tensor(np.ones((5, 4), "float32"))
    with pytest.raises(ValueError, match=r"^linear: x has \(4,\) features \(5, 4\) but .* is \(12, 3\)"):
        nn.LSTMCell(2, 3)(tensor(np.ones((5, 2), "float32")), (wrong, wrong))
