"""The norm of all gradients against a sum number by number, and clipping."""

from __future__ import annotations

import math

import numpy as np
import pytest
import strict_cupy
from hypothesis import given
from hypothesis import strategies as st

from minigen.autograd import tensor
from minigen.backend import Device
from minigen.nn import Parameter
from minigen.optim import clip_grad_norm
from minigen.testing.strategies import SEEDS


def with_gradient(g: np.ndarray) -> Parameter:
    p = Parameter(tensor(np.zeros_like(g)).data)
    p.grad = tensor(g)
    return p


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@given(max_norm=st.floats(1e-3, 20), seed=SEEDS)
def test_clip_grad_norm(max_norm: float, seed: int, dtype: str, device: Device) -> None:
    """One norm over all numbers of all gradients; above `max_norm` they all shrink by the same factor."""
    random = np.random.default_rng(seed)
    gradients = [random.normal(size=shape).astype(dtype) for shape in [(2, 3), (4,), ()]]
    parameters = [with_gradient(g) for g in gradients]
    parameters.insert(1, Parameter(tensor(np.ones(3)).data))  # has none
    expected = math.sqrt(math.fsum(float(v) ** 2 for g in gradients for v in g.flat))
    norm = clip_grad_norm(iter(parameters), max_norm)
    assert isinstance(norm, float) and norm == pytest.approx(expected, rel=1e-12)
    assert parameters.pop(1).grad is None
    for p, g in zip(parameters, gradients, strict=True):
        assert p.grad.dtype == dtype and p.grad.device == device
        if norm <= max_norm:
            np.testing.assert_array_equal(p.grad.numpy(), g)
        else:
            np.testing.assert_allclose(
                p.grad.numpy(), g * (max_norm / norm), rtol=1e-6 if dtype == "float32" else 1e-12
            )
    assert clip_grad_norm(parameters, math.inf) == pytest.approx(min(norm, max_norm), rel=1e-6)


def test_clip_grad_norm_waits_for_a_gpu_once(gpu_standin: Device) -> None:
    with gpu_standin:
        parameters = [with_gradient(np.array([1.0, 2.0, 2.0], "float32")) for _ in range(9)]  # two kernels
        with strict_cupy.count() as counts:
            assert clip_grad_norm(parameters, 1.0) == pytest.approx(9)
            clipped = [p.grad.data for p in parameters]
        assert counts.synchronisations == 1
        np.testing.assert_allclose(clipped[8].get(), np.array([1, 2, 2]) / 9, rtol=1e-6)


def test_clip_grad_norm_at_the_border(device: Device) -> None:
    p = with_gradient(np.array([3.0, 4.0]))
    assert clip_grad_norm([p], 5.0) == 5.0
    assert p.grad.numpy().tolist() == [3.0, 4.0]
    assert clip_grad_norm([p], 2.5) == 5.0
    assert p.grad.numpy().tolist() == [1.5, 2.0]
    p.grad = None
    assert clip_grad_norm([p], 1.0) == 0.0  # no gradients at all


def test_clip_grad_norm_does_not_overflow_in_float32(device: Device) -> None:
    p = with_gradient(np.array([3e30, 4e30], "float32"))
    assert clip_grad_norm([p], 1.0) == pytest.approx(5e30)
    np.testing.assert_allclose(p.grad.numpy(), [0.6, 0.8], rtol=1e-6)


@pytest.mark.parametrize("max_norm", [-1.0, math.nan])
def test_clip_grad_norm_takes_a_positive_norm(max_norm: float) -> None:
    with pytest.raises(ValueError, match=f"^clip_grad_norm: expects max_norm > 0, got {max_norm}$"):
        clip_grad_norm([], max_norm)
