"""One step of an LSTM: the equations for each unit, saturated gates, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen import ops
from minigen.autograd import grad, tensor
from minigen.backend import Device
from minigen.testing.checks import Case
from minigen.testing.strategies import Cases, shapes, uniform

# -- cases -------------------------------------------------------------------------------------------------------------


@st.composite
def steps(draw: st.DrawFn) -> list[np.ndarray]:
    """gates (N, 4H, ...) and c (N, H, ...)"""
    n, hidden, *places = draw(shapes(min_dims=2, max_dims=4, max_size=3))
    return [draw(uniform((n, 4 * hidden, *places), -3.0, 3.0)), draw(uniform((n, hidden, *places)))]


@st.composite
def lstm_steps(draw: st.DrawFn) -> Case:
    """Both outputs, or one of them alone."""
    used = draw(st.sampled_from([slice(None), slice(0, 1), slice(1, 2)]))
    return Case(lambda gates, c: ops.lstm_cell(gates, c)[used], draw(steps()))


CASES: Cases = {"lstm_cell": lstm_steps()}


# -- values ------------------------------------------------------------------------------------------------------------


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


@given(data=st.data())
def test_every_unit_follows_the_equations_of_the_lstm(data: st.DataObject) -> None:
    """c' = f c + i g and h = o tanh(c'), the gates in the order i, f, g, o."""
    gates, c = data.draw(steps())
    h_next, c_next = (result.numpy() for result in ops.lstm_cell(tensor(gates), tensor(c)))
    hidden = c.shape[1]
    assert h_next.shape == c_next.shape == c.shape
    for n, k, *place in np.ndindex(c.shape):
        i, f, g, o = (float(gates[n, gate * hidden + k, *place]) for gate in range(4))
        expected = sigmoid(f) * c[n, k, *place] + sigmoid(i) * math.tanh(g)
        assert c_next[n, k, *place] == pytest.approx(expected, rel=1e-12)
        assert h_next[n, k, *place] == pytest.approx(sigmoid(o) * math.tanh(expected), rel=1e-12)


def test_a_saturated_cell_remembers_or_forgets(device: Device) -> None:
    big = 1e4
    gates = tensor([[-big, big, 0.0, big], [big, -big, big, -big]], requires_grad=True)
    c = tensor([[0.5], [0.5]], requires_grad=True)
    with np.errstate(all="raise", under="ignore"):
        h_next, c_next = ops.lstm_cell(gates, c)
        gradients = grad(c_next.sum(), [gates, c])
    np.testing.assert_allclose(c_next.numpy(), [[0.5], [1.0]])
    np.testing.assert_allclose(h_next.numpy(), [[math.tanh(0.5)], [0.0]], rtol=1e-6)
    np.testing.assert_array_equal(gradients[1].numpy(), [[1], [0]])
    assert np.isfinite(gradients[0].numpy()).all()


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gates", "c"), [((2, 9), (2, 2)), ((2, 8), (3, 2)), ((2, 8), (2, 2, 1)), ((8,), (2, 2))])
def test_shapes_that_do_not_fit_are_refused(gates: tuple[int, ...], c: tuple[int, ...], device: Device) -> None:
    with pytest.raises(ValueError) as caught:
        ops.lstm_cell(tensor(np.zeros(gates)), tensor(np.zeros(c)))
    assert f"lstm_cell: gates (N, 4H, ...) are {gates} but c (N, H, ...) is {c}" in str(caught.value)


def test_different_dtypes_and_devices_are_refused(gpu_standin: Device) -> None:
    gates, c = tensor(np.zeros((1, 4))), tensor(np.zeros((1, 1)))
    for pair in [(gates.astype("float32"), c), (gates, c.astype("float32"))]:
        with pytest.raises(TypeError, match=r"lstm_cell: .*gates \(1, 4\) float.*c \(1, 1\) float"):
            ops.lstm_cell(*pair)
    with pytest.raises(ValueError, match=r"lstm_cell: .*gates is on cpu.*c is on gpu:0"):
        ops.lstm_cell(gates, c.to(gpu_standin))
