"""Likelihoods: which pixels each of them takes, and what it makes of a decoder's maps."""

from __future__ import annotations

import numpy as np
import pytest

from minigen.autograd import Tensor
from minigen.backend import Device
from minigen.data import Loader, load
from minigen.models import VAE
from minigen.models.likelihoods import LIKELIHOODS


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_loader_gives_the_pixels_that_it_takes(name: str, device: Device) -> None:
    """With its argument `pixels`; the encoder then sees finite numbers in [-1, 1]."""
    likelihood = LIKELIHOODS[name]()
    images, _ = next(Loader(load("digits")[:20], 20, pixels=likelihood.pixels).epoch(0))
    likelihood.check(Tensor(images))
    seen = likelihood.scaled(Tensor(images).astype("float32")).numpy()
    assert seen.dtype == np.float32 and seen.max() == 1 and seen.min() == (-1 if name == "levels" else 0)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_distribution_over_every_pixel(name: str) -> None:
    likelihood = LIKELIHOODS[name]()
    maps = Tensor(np.random.default_rng(0).normal(size=(2, 3 * likelihood.maps, 4, 5)).astype(np.float32))
    p = likelihood.distribution(maps)
    assert p.mean.shape == p.sample().shape == p.log_prob(p.sample()).shape == (2, 3, 4, 5)


@pytest.mark.parametrize(
    ("likelihood", "x", "message"),
    [
        ("bernoulli", np.array([0, 1, 0.5]), "BernoulliLikelihood: expects pixels 0 and 1 .*, got float64 from 0 to 1"),
        ("levels", np.array([0, 5]), "DiscretizedLogisticLikelihood: expects integers 0 ... 4, got int64 from 0 to 5"),
        ("levels", np.array([-1, 4]), "DiscretizedLogisticLikelihood: .*got int64 from -1 to 4"),
        ("levels", np.array([0.0, 1.0]), "DiscretizedLogisticLikelihood: .*got float64 from 0 to 1"),
    ],
)
def test_pixels_without_a_likelihood_are_refused(likelihood: str, x: np.ndarray, message: str) -> None:
    vae = VAE((1, 1, len(x)), 2, 3, likelihood=likelihood, levels=5)
    for call in (vae.elbo, vae.loss, vae.log_prob):
        with pytest.raises(ValueError, match=f"^{message}"):
            call(x.reshape(1, 1, 1, -1))
