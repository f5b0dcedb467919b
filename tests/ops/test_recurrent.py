"""LSTMs: one step and all steps against the equations for each unit, saturated gates, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen import ops
from minigen.autograd import grad, tensor
from minigen.backend import Device
from minigen.nn.pixel_recurrent import diagonals
from minigen.testing.checks import Case
from minigen.testing.strategies import Cases, shapes, uniform

Steps = list[tuple[slice, int]]

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


@st.composite
def some_steps(draw: st.DrawFn) -> tuple[int, Steps]:
    """The number R of places, and steps: along diagonals, or parts of the row at any places and in any order."""
    if draw(st.booleans()):
        height, width = draw(st.sampled_from([(1, 2), (2, 1), (2, 2)]))
        return height, diagonals(height, width)
    places = draw(st.integers(1, 2))
    parts = draw(st.lists(st.tuples(st.integers(0, places - 1), st.integers(1, places)), min_size=1, max_size=2))
    steps: Steps = []
    total = 0
    for first, count in parts:
        end = total + min(count, places - first)
        steps.append((slice(total, end), first))
        total = end
    return places, draw(st.permutations(steps))


@st.composite
def recurrences(draw: st.DrawFn) -> tuple[list[np.ndarray], Steps]:
    """gates, weight, h and c, and the steps"""
    places, steps = draw(some_steps())
    total = max(which.stop for which, _ in steps)
    lstms, n, hidden = draw(shapes(min_dims=3, max_dims=3, max_size=2))
    kernel = draw(st.integers(1, 4 - hidden))
    of = [(lstms, n, total, 4 * hidden), (lstms, 4 * hidden, kernel * hidden)]
    of += [(lstms, n, places + kernel - 1, hidden), (lstms, n, places, hidden)]
    return [draw(uniform(shape)) for shape in of], steps


@st.composite
def lstms(draw: st.DrawFn) -> Case:
    """Both outputs, or one of them alone."""
    inputs, steps = draw(recurrences())
    used = draw(st.sampled_from([slice(None), slice(0, 1), slice(1, 2)]))
    return Case(lambda *inputs: ops.lstm(*inputs, steps=steps)[used], inputs)


CASES: Cases = {"lstm_cell": lstm_steps(), "lstm": lstms()}


GATES, WEIGHT, H, C = (np.zeros(shape) for shape in [(1, 2, 6, 8), (1, 8, 6), (1, 2, 5, 2), (1, 2, 3, 2)])
ROWS = [(slice(0, 3), 0), (slice(3, 6), 0)]


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


@given(data=st.data())
def test_every_step_follows_the_equations_of_the_lstm(data: st.DataObject) -> None:
    """For one place at a time: weight times the states h around it is added to its gates, and a cell does the rest."""
    (gates, weight, h, c), steps = data.draw(recurrences())
    states, last_c = (result.numpy() for result in ops.lstm(*map(tensor, (gates, weight, h, c)), steps=steps))
    lstms, n, total, _ = gates.shape
    kernel, hidden = h.shape[2] - c.shape[2] + 1, c.shape[3]
    for d, example in np.ndindex(lstms, n):
        now_h, now_c = h[d, example].copy(), c[d, example].copy()
        for which, first in steps:
            before_h, before_c = now_h.copy(), now_c.copy()
            for place, state in enumerate(range(total)[which], first):
                sums = gates[d, example, state] + weight[d] @ before_h[place : place + kernel].ravel()
                new_h, new_c = ops.lstm_cell(sums[np.newaxis], before_c[place][np.newaxis])
                now_h[place + kernel // 2], now_c[place] = new_h[0], new_c[0]
                np.testing.assert_allclose(states[d, example, state], new_h[0], rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(last_c[d, example], now_c, rtol=1e-10, atol=1e-12)
    assert states.shape == (lstms, n, total, hidden) and last_c.shape == c.shape


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


def test_the_gradient_that_arrives_stays_as_it_is(device: Device) -> None:
    """Where c goes into a sum, the gradient of the sum is that of the other term, too."""
    inputs = [tensor(x, requires_grad=True) for x in (GATES + 1, WEIGHT + 1, H + 1, C + 1)]
    other = tensor(C, requires_grad=True)
    before = -other  # made before c, so that its gradient is computed after that of c
    _, c = ops.lstm(*inputs, steps=ROWS)
    gradient = tensor(C + 1)
    assert (grad(c + before, [inputs[3], other], gradient)[1].numpy() == -gradient.numpy()).all()


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("gates", "c"), [((2, 9), (2, 2)), ((2, 8), (3, 2)), ((2, 8), (2, 2, 1)), ((8,), (2, 2))])
def test_shapes_that_do_not_fit_are_refused(gates: tuple[int, ...], c: tuple[int, ...], device: Device) -> None:
    with pytest.raises(ValueError) as caught:
        ops.lstm_cell(tensor(np.zeros(gates)), tensor(np.zeros(c)))
    assert f"lstm_cell: gates (N, 4H, ...) are {gates} but c (N, H, ...) is {c}" in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        (GATES[0], WEIGHT, H, C),
        (GATES[..., :7], WEIGHT, H, C),
        (GATES, WEIGHT[..., :4], H, C),
        (GATES, WEIGHT, H[:, :1], C),
        (GATES, WEIGHT, H[..., :1], C),
        (GATES, WEIGHT, H[:, :, :2], C),
        (GATES, WEIGHT, H, C[:, :1]),
    ],
)
def test_a_recurrence_of_shapes_that_do_not_fit_is_refused(wrong: tuple[np.ndarray, ...], device: Device) -> None:
    ops.lstm(*map(tensor, (GATES, WEIGHT, H, C)), steps=ROWS)
    with pytest.raises(ValueError, match=r"^lstm: expects .*gates \(D, N, T, 4H\).* \(got gates \("):
        ops.lstm(*map(tensor, wrong), steps=ROWS)


@pytest.mark.parametrize(
    "steps",
    [
        ROWS[:1],
        [*ROWS, (slice(0, 1), 0)],
        [(slice(0, 6), 0)],
        [(slice(0, 3), 1), ROWS[1]],
        [(slice(0, 3), -1), ROWS[1]],
    ],
)
def test_steps_that_leave_a_state_out_or_the_row_are_refused(steps: Steps, device: Device) -> None:
    with pytest.raises(ValueError, match=r"^lstm: expects steps that compute 6 states once each, at 3 places, got \["):
        ops.lstm(*map(tensor, (GATES, WEIGHT, H, C)), steps=steps)


def test_different_dtypes_and_devices_are_refused(gpu_standin: Device) -> None:
    gates, c = tensor(np.zeros((1, 4))), tensor(np.zeros((1, 1)))
    for pair in [(gates.astype("float32"), c), (gates, c.astype("float32"))]:
        with pytest.raises(TypeError, match=r"lstm_cell: .*gates \(1, 4\) float.*c \(1, 1\) float"):
            ops.lstm_cell(*pair)
    with pytest.raises(ValueError, match=r"lstm_cell: .*gates is on cpu.*c is on gpu:0"):
        ops.lstm_cell(gates, c.to(gpu_standin))
