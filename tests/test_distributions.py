"""Distributions: probabilities against the definitions, samples against the probabilities."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen.autograd import Tensor
from minigen.backend import Device, device
from minigen.distributions import Bernoulli, DiscretizedLogistic, Normal
from minigen.gradcheck import gradcheck
from minigen.random import manual_seed


def tensor(values: Any, dtype: str = "float64", requires_grad: bool = False) -> Tensor:
    return Tensor(device().asarray(np.array(values), dtype), requires_grad)


def leaf(*shape: int, seed: int = 0) -> Tensor:
    return tensor(np.random.default_rng(seed).normal(size=shape), requires_grad=True)


def numbers(low: float, high: float) -> st.SearchStrategy[float]:
    return st.floats(low, high, allow_subnormal=False)


# -- Bernoulli ---------------------------------------------------------------------------------------------------------


@given(numbers(-500, 500))
def test_bernoulli_log_prob_is_the_definition(logit: float) -> None:
    ones, zeros = math.log1p(math.exp(-abs(logit))), abs(logit) + math.log1p(math.exp(-abs(logit)))
    if logit < 0:
        ones, zeros = zeros, ones
    p = Bernoulli(tensor([logit, logit]))
    np.testing.assert_allclose(p.log_prob(np.array([1, 0], np.uint8)).numpy(), [-ones, -zeros], rtol=1e-12, atol=1e-12)
    assert np.exp(p.log_prob(np.array([1.0, 0.0])).numpy()).sum() == pytest.approx(1, abs=1e-14)
    assert p.mean.numpy()[0] == pytest.approx(math.exp(-ones), abs=1e-15)


def test_bernoulli_samples(device: Device) -> None:
    p = np.array([0.0, 0.1, 0.5, 0.9, 1.0])
    logits = np.log(np.maximum(p, 1e-30)) - np.log(np.maximum(1 - p, 1e-30))
    x = Bernoulli(tensor(np.broadcast_to(logits, (20_000, 5)), "float32")).sample()
    assert x.device == device and x.dtype == np.float32 and not x.requires_grad
    assert set(np.unique(x.numpy())) == {0.0, 1.0}
    standard_error = np.sqrt(p * (1 - p) / 20_000)
    assert (np.abs(x.numpy().mean(axis=0) - p) <= 4 * standard_error).all()


# -- normal ------------------------------------------------------------------------------------------------------------


@given(numbers(-5, 5), numbers(-5, 5), numbers(-3, 3))
def test_normal_log_prob_is_the_definition(mean: float, log_var: float, away: float) -> None:
    std = math.exp(log_var / 2)
    x = mean + away * std
    p = Normal(tensor([mean]), tensor([log_var]))
    assert p.log_prob(tensor([x])).item() == pytest.approx(math.log(NormalDist(mean, std).pdf(x)), abs=1e-9)
    assert p.std.item() == pytest.approx(std)


@given(numbers(-5, 5), numbers(-5, 5))
def test_normal_integrals(mean: float, log_var: float) -> None:
    """The density integrates to one, and the KL divergence is E[log p(z) - log N(z; 0, 1)]."""
    std = math.exp(log_var / 2)
    z, dz = np.linspace(mean - 12 * std, mean + 12 * std, 2001, retstep=True)
    q = Normal(tensor(np.full_like(z, mean)), tensor(np.full_like(z, log_var)))
    log_q = q.log_prob(tensor(z)).numpy()
    log_p = -0.5 * z**2 - 0.5 * math.log(2 * math.pi)
    assert np.exp(log_q).sum() * dz == pytest.approx(1, abs=1e-10)
    kl = q.kl_to_standard().numpy()[0]
    assert kl == pytest.approx((np.exp(log_q) * (log_q - log_p)).sum() * dz, rel=1e-8, abs=1e-8)
    assert kl >= -1e-15


def test_kl_of_the_standard_normal_is_zero() -> None:
    assert Normal(tensor([0.0]), tensor([0.0])).kl_to_standard().item() == 0


def test_normal_samples(device: Device) -> None:
    n, mean, log_var = 20_000, np.array([-3.0, 0.0, 2.0]), np.array([-4.0, 0.0, 1.5])
    q = Normal(*(tensor(np.broadcast_to(x, (n, 3)), "float32") for x in (mean, log_var)))
    z = q.sample()
    assert z.device == device and z.dtype == np.float32
    var = np.exp(log_var)
    assert (np.abs(z.numpy().mean(axis=0) - mean) < 4 * np.sqrt(var / n)).all()
    assert (np.abs(z.numpy().var(axis=0) / var - 1) < 4 * math.sqrt(2 / n)).all()
    ratio = (q.log_prob(z) - Normal(z * 0.0, z * 0.0).log_prob(z)).numpy()  # its expectation is the KL divergence
    difference = ratio.mean(axis=0) - q.kl_to_standard().numpy()[0]
    assert (np.abs(difference) < 4 * ratio.std(axis=0) / math.sqrt(n) + 1e-5).all()


def test_normal_sample_is_differentiable(device: Device) -> None:
    """dz / d mean = 1 and dz / d log_var = (z - mean) / 2."""
    mean, log_var = (tensor(np.full(50, x), requires_grad=True) for x in (0.3, -0.7))
    z = Normal(mean, log_var).sample()
    z.sum().backward()
    np.testing.assert_allclose(mean.grad.numpy(), 1)
    np.testing.assert_allclose(log_var.grad.numpy(), (z.numpy() - 0.3) / 2)


# -- discretized logistic ----------------------------------------------------------------------------------------------


def logistic_mass(k: int, mean: float, log_scale: float, levels: int) -> float:
    """P(bin k) = F(upper edge) - F(lower edge), or the difference of the complements where that is more exact."""
    upper, lower = ((2 * k + side) / (levels - 1) - 1 - mean for side in (1, -1))
    upper, lower = upper / math.exp(log_scale), lower / math.exp(log_scale)
    if lower + upper > 0:
        upper, lower, k = -lower, -upper, levels - 1 - k
    F = lambda v: 1 / (1 + math.exp(-v)) if v > -700 else 0.0
    return (1.0 if k == levels - 1 else F(upper)) - (0.0 if k == 0 else F(lower))


@given(numbers(-1.5, 1.5), numbers(-3, 2), st.integers(2, 256))
def test_discretized_logistic_log_prob_is_the_definition(mean: float, log_scale: float, levels: int) -> None:
    p = DiscretizedLogistic(tensor([mean] * levels), tensor([log_scale] * levels), levels)
    expected = [math.log(logistic_mass(k, mean, log_scale, levels)) for k in range(levels)]
    np.testing.assert_allclose(p.log_prob(np.arange(levels)).numpy(), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@given(numbers(-3, 3), numbers(-9, 20), st.integers(2, 256))
def test_discretized_logistic_sums_to_one(dtype: str, mean: float, log_scale: float, levels: int) -> None:
    p = DiscretizedLogistic(tensor([mean] * levels, dtype), tensor([log_scale] * levels, dtype), levels)
    total = np.exp(p.log_prob(np.arange(levels)).numpy().astype(np.float64)).sum()
    digits = float(np.finfo(dtype).eps)  # of (x - mean), which the scale then divides
    assert total == pytest.approx(1, abs=digits * (50 + 10 / math.exp(log_scale)))


def test_a_wide_discretized_logistic_keeps_its_digits() -> None:
    """Far wider than a bin, the mass is the bin's width times the density 1 / (4 scale)."""
    for log_scale in (5.0, 12.0, 20.0, 30.0):
        p = DiscretizedLogistic(tensor([0.0], "float32"), tensor([log_scale], "float32"))
        assert p.log_prob(np.array([128])).item() == pytest.approx(math.log(2 / 255 / 4) - log_scale, abs=1e-4)


def test_discretized_logistic_samples(device: Device) -> None:
    """Frequencies against probabilities: Pearson's chi-square, with 7 degrees of freedom."""
    n, levels = 20_000, 8
    for mean, log_scale in ((0.2, -1.0), (-1.2, -0.5), (0.0, -2.0)):
        p = DiscretizedLogistic(tensor(np.full(n, mean), "float32"), tensor(np.full(n, log_scale), "float32"), levels)
        x = p.sample()
        assert x.device == device and x.dtype == np.float32 and not x.requires_grad
        counts = np.bincount(x.numpy().astype(int), minlength=levels)
        expected = n * np.array([logistic_mass(k, mean, log_scale, levels) for k in range(levels)])
        assert counts.sum() == n and len(counts) == levels
        assert ((counts - expected) ** 2 / expected).sum() < 24.3  # exceeded once in a thousand


def test_discretized_logistic_mean_is_a_level() -> None:
    centre = tensor([-1.0, 0.0, 1.0, -7.0, 7.0])
    mean = DiscretizedLogistic(centre, centre * 0.0, levels=5).mean
    np.testing.assert_array_equal(mean.numpy(), [0, 2, 4, 0, 4])


# -- all three ---------------------------------------------------------------------------------------------------------


def test_derivatives(device: Device) -> None:
    bits = np.array([[0, 1, 1], [1, 0, 1]])
    levels = np.array([[0, 3, 1], [1, 2, 3]])  # first, last and inner ones
    fixed = lambda fn: lambda *inputs: (manual_seed(0), fn(*inputs))[1]
    a, b, x = leaf(2, 3), leaf(2, 3, seed=1), leaf(2, 3, seed=2)
    put = device.asarray
    gradcheck(lambda a: Bernoulli(a).log_prob(put(bits, "float64")), [a], order=2)
    gradcheck(lambda a: Bernoulli(a).mean, [a], order=2)
    gradcheck(lambda a, b, x: Normal(a, b).log_prob(x), [a, b, x], order=2)
    gradcheck(lambda a, b: Normal(a, b).kl_to_standard(), [a, b], order=2)
    gradcheck(fixed(lambda a, b: Normal(a, b).sample()), [a, b], order=2)
    gradcheck(lambda a, b: DiscretizedLogistic(a, b, 4).log_prob(put(levels)), [a, b], order=2)


@pytest.mark.parametrize("extreme", [-30.0, -7.0, 7.0, 30.0])
def test_extremes_are_finite_in_float32(extreme: float, device: Device) -> None:
    location = np.array([-100.0, -1.0, 0.0, 1.0, 100.0])
    a = tensor(location, "float32", requires_grad=True)
    b = tensor(np.full(5, extreme), "float32", requires_grad=True)
    with np.errstate(all="raise", under="ignore"):
        outputs = [Bernoulli(a * extreme).log_prob(device.asarray(np.array([1, 0, 1, 0, 1]), "float32"))]
        outputs += [Normal(a, b).log_prob(tensor(location[::-1].copy(), "float32")), Normal(a, b).kl_to_standard()]
        outputs += [DiscretizedLogistic(a, b).log_prob(device.asarray(np.full(5, k))) for k in (0, 1, 128, 255)]
        for y in outputs:
            y.sum().backward()
    for y in (*outputs, a.grad, b.grad):
        assert y.dtype == np.float32 and np.isfinite(y.numpy()).all()


def test_shapes_that_differ_are_refused() -> None:
    one, two = tensor([0.0]), tensor([0.0, 0.0])
    with pytest.raises(ValueError, match=r"^Normal: mean is \(1,\) but log_var is \(2,\)"):
        Normal(one, two)
    with pytest.raises(ValueError, match=r"^DiscretizedLogistic: mean is \(1,\) but log_scale is \(2,\)"):
        DiscretizedLogistic(one, two)
    with pytest.raises(ValueError, match=r"^DiscretizedLogistic: expects levels >= 2, got 1"):
        DiscretizedLogistic(one, one, levels=1)
    with pytest.raises(ValueError, match=r"logits has shape \(1,\) but target has \(2,\)"):
        Bernoulli(one).log_prob(two)
    with pytest.raises(ValueError, match=r"^Normal.log_prob: x is \(2,\) but the distribution is \(1,\)"):
        Normal(one, one).log_prob(two)
    with pytest.raises(ValueError, match=r"^DiscretizedLogistic.log_prob: x is \(2,\) but the distribution is \(1,\)"):
        DiscretizedLogistic(one, one).log_prob(two)


def test_a_single_random_variable(device: Device) -> None:
    zero = tensor(0.0)
    for p in (Bernoulli(zero), Normal(zero, zero), DiscretizedLogistic(zero, zero)):
        x = p.sample()
        assert x.shape == () and x.device == device
