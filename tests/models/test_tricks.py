"""Tricks: the noise that they draw and what they refuse. What they do to a GAN's losses is in test_gan.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigen.backend import Device, default_dtype
from minigen.models import GAN, MLPDiscriminator, MLPGenerator, Tricks
from minigen.models.tricks import NOISES


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_noise(kind: str, dtype: str, device: Device) -> None:
    with default_dtype(dtype):
        gan = GAN(MLPGenerator((2,), 25, 4, 1), MLPDiscriminator((2,), 4, 1), tricks=Tricks(noise=kind))
    z = gan.noise(3000)
    assert z.shape == (3000, 25) and z.dtype == dtype and z.device == device and not z.requires_grad
    values = z.numpy()
    if kind == "mixture":
        parts, values = np.split(values, [10], axis=1)
        chosen = np.isclose(parts, np.sqrt(10))
        assert not parts[~chosen].any() and (chosen.sum(axis=1) == 1).all()
        np.testing.assert_allclose(chosen.mean(axis=0), 0.1, atol=0.03)
    assert abs(values.mean()) < 0.02
    assert values.std() == pytest.approx(1 / np.sqrt(3) if kind == "uniform" else 1, rel=0.02)
    norms = np.linalg.norm(values, axis=1)
    if kind == "sphere":
        np.testing.assert_allclose(norms, 5, rtol=1e-5)  # sqrt(latent_dim)
    else:
        assert norms.std() > 0.1
    if kind == "uniform":
        assert -1 <= values.min() < -0.99 and 0.99 < values.max() <= 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": "gaussian"}, r"noise to be one of \('normal', 'uniform', 'sphere', 'mixture'\), got 'gaussian'"),
        ({"label_smoothing": 1.0}, r"label_smoothing in \[0, 1\), got 1.0"),
        ({"label_flips": -0.1}, r"label_flips in \[0, 1\], got -0.1"),
        ({"instance_noise": -1.0}, r"instance_noise >= 0, got -1.0"),
        ({"instance_noise_rounds": 0}, r"instance_noise_rounds >= 1, got 0"),
    ],
)
def test_values_that_they_do_not_take(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^Tricks: expects {message}$"):
        Tricks(**options)
