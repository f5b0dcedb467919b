"""The gated activation unit: the equation for each value, saturated gates, errors."""

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
def features(draw: st.DrawFn) -> np.ndarray:
    """x (N, 2C, ...)"""
    n, channels, *places = draw(shapes(min_dims=2, max_dims=4))
    return draw(uniform((n, 2 * channels, *places), -3.0, 3.0))


@st.composite
def gated(draw: st.DrawFn) -> Case:
    return Case(ops.gated_activation, [draw(features())])


CASES: Cases = {"gated_activation": gated()}

# -- values ------------------------------------------------------------------------------------------------------------


@given(x=features())
def test_every_value_follows_the_equation(x: np.ndarray, device: Device) -> None:
    """tanh(f) sigmoid(g): f and g are the two halves of the channels."""
    out = ops.gated_activation(tensor(x)).numpy()
    channels = x.shape[1] // 2
    assert out.shape == (x.shape[0], channels, *x.shape[2:])
    for n, k, *place in np.ndindex(out.shape):
        f, g = float(x[n, k, *place]), float(x[n, channels + k, *place])
        assert out[n, k, *place] == pytest.approx(math.tanh(f) / (1 + math.exp(-g)), rel=1e-12)


def test_a_saturated_gate_is_open_or_shut(device: Device) -> None:
    x = tensor([[0.5, 0.5, 1e4, 1e4, -1e4, 1e4]], requires_grad=True)
    with np.errstate(all="raise", under="ignore"):
        out = ops.gated_activation(x)
        (g,) = grad(out.sum(), x)
    np.testing.assert_allclose(out.numpy(), [[math.tanh(0.5), 0.0, 1.0]], rtol=1e-6)
    np.testing.assert_allclose(g.numpy(), [[1 - math.tanh(0.5) ** 2, 0, 0, 0, 0, 0]], rtol=1e-6)


@pytest.mark.parametrize("shape", [(4,), (2, 3), (2, 3, 4)])
def test_channels_that_have_no_halves_are_refused(shape: tuple[int, ...], device: Device) -> None:
    with pytest.raises(ValueError) as caught:
        ops.gated_activation(tensor(np.zeros(shape)))
    assert f"gated_activation: expects x (N, 2C, ...), got {shape}" in str(caught.value)
