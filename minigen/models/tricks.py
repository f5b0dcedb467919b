"""Tricks that sometimes help the training of a GAN. Each is an option, off by default.

Salimans et al. 2016 (arXiv 1606.03498), White 2016 (1609.04468), Sønderby et al. 2017 (1610.04490), and Chintala et
al., "How to train a GAN? Tips and tricks to make GANs work".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from minigen import ops
from minigen.autograd import Tensor
from minigen.backend import Array, Device
from minigen.random import normal, uniform

NOISES = ("normal", "uniform", "sphere", "mixture")
PARTS = 10  # of "mixture"


@dataclass(frozen=True)
class Tricks:
    """Options of a GAN's training. `ValueError` if a value is outside of the range given here."""

    noise: str = "normal"
    """Distribution of z: "normal"; "uniform" in [-1, 1], as in the first papers; or "sphere", a normal z scaled to the
    norm sqrt(latent_dim), which nearly all normal z have approximately in many dimensions (White 2016); or "mixture",
    of 10 parts: one of the first 10 numbers, drawn at random, is sqrt(10), the others are 0; the rest of z is normal. G
    is continuous, so where the data lie apart, as classes do, a normal z also draws what lies between them (Khayatkhoei
    et al. 2018, 1806.00880, section 2; a mixture as z: Gurumurthy et al. 2017, 1706.02071)."""
    label_smoothing: float = 0.0
    """One-sided label smoothing, in [0, 1): the label of the data is 1 - label_smoothing, so that D is not
    overconfident; the label of samples stays 0 (Salimans et al. 2016, section 3.4)."""
    label_flips: float = 0.0
    """The probability that a data point and a sample swap places in D's loss (Chintala et al., tip 6); in [0, 1]."""
    instance_noise: float = 0.0
    """Standard deviation of normal noise added to D's inputs, so that the two densities overlap (Sønderby et al. 2017);
    0 or more."""
    instance_noise_rounds: int = 1000
    """The number of rounds in which the instance noise decays linearly to 0; 1 or more."""
    mixed_batch: bool = False
    """Whether data and samples go through D in one batch. Batch normalisation then normalises both together. By default
    each has a batch of its own (Chintala et al., tip 4)."""

    def __post_init__(self) -> None:
        if self.noise not in NOISES:
            raise ValueError(f"Tricks: expects noise to be one of {NOISES}, got {self.noise!r}")
        ranges = {
            "label_smoothing": (0 <= self.label_smoothing < 1, "in [0, 1)"),
            "label_flips": (0 <= self.label_flips <= 1, "in [0, 1]"),
            "instance_noise": (self.instance_noise >= 0, ">= 0"),
            "instance_noise_rounds": (self.instance_noise_rounds >= 1, ">= 1"),
        }
        for name, (holds, expected) in ranges.items():
            if not holds:
                raise ValueError(f"Tricks: expects {name} {expected}, got {getattr(self, name)}")

    def draw(self, n: int, latent_dim: int, dtype: Any, device: Device) -> Array:
        """`n` draws of z, (n, latent_dim)."""
        shape = (n, latent_dim)
        if self.noise == "uniform":
            return uniform(shape, -1.0, 1.0, dtype=dtype, device=device)
        z = normal(shape, dtype=dtype, device=device)
        if self.noise == "sphere":
            z *= math.sqrt(latent_dim) / (z * z).sum(axis=1, keepdims=True) ** 0.5
        if self.noise == "mixture":
            part = z[:, :PARTS]
            z[:, :PARTS] = math.sqrt(PARTS) * (part == part.max(axis=1, keepdims=True))
        return z

    def blur(self, x: Tensor, round: int) -> Tensor:
        """x plus the instance noise that is left in this round, which in a captured step is an array ().

        Noise is drawn in every round, and after the decay multiplied by 0: a captured step always makes the same draws.
        """
        if not self.instance_noise:
            return x
        left = 1 - round / self.instance_noise_rounds
        noise = normal(x.shape, dtype=x.dtype, device=x.device)
        noise *= self.instance_noise * left * (left > 0)
        return x + noise

    def flip(self, on_data: Tensor, on_samples: Tensor) -> tuple[Tensor, Tensor]:
        """D's outputs (N,) on data and samples, some of which swap places."""
        if not self.label_flips:
            return on_data, on_samples
        flipped = uniform(on_data.shape, device=on_data.device) < self.label_flips
        return ops.where(flipped, on_samples, on_data), ops.where(flipped, on_data, on_samples)
