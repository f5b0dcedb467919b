"""EBGAN: its losses by the paper, the pulling-away term against loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minigen.autograd import grad, tensor
from minigen.backend import Device
from minigen.models import Batch, MLPGenerator
from minigen.models.zoo.autoencoder import AutoencoderDiscriminator
from minigen.models.zoo.ebgan import EBGAN, pulling_away
from minigen.testing import check_derivatives


def small(**options: float) -> EBGAN:
    return EBGAN(MLPGenerator((3,), 2, 4, 1, tanh=False), AutoencoderDiscriminator((3,), 2, 4), **options)


def naive_pt(code: np.ndarray) -> float:
    """The mean of cos^2 over all pairs of different examples."""
    cosine = lambda a, b: a @ b / np.sqrt((a @ a) * (b @ b))
    n = len(code)
    return float(np.mean([cosine(code[i], code[j]) ** 2 for i in range(n) for j in range(n) if i != j]))


def test_pulling_away_against_loops(device: Device) -> None:
    code = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    assert pulling_away(tensor(code)).item() == pytest.approx(naive_pt(code), rel=1e-4)
    assert pulling_away(tensor(np.eye(3, dtype="float32"))).item() == pytest.approx(0)
    assert pulling_away(tensor(np.outer([1, -2, 5], [1, 2, 3]).astype("float32"))).item() == pytest.approx(1)


def test_its_derivatives() -> None:
    check_derivatives(pulling_away, np.random.default_rng(1).normal(size=(4, 3)))


@pytest.mark.parametrize("pull", [0.0, 0.1])
def test_the_losses_are_the_papers(pull: float, device: Device) -> None:
    gan = small(margin=0.12, pull=pull)
    x, z = device.asarray(np.random.default_rng(0).normal(size=(6, 3)).astype("float32")), gan.noise(6)
    energy = lambda v: ((v - gan.discriminator.decode(gan.discriminator.encode(v))).numpy() ** 2).mean(axis=1)
    of_data, of_samples = energy(tensor(x)), energy(gan(z))
    assert (of_samples > 0.12).any() and (of_samples < 0.12).any()
    loss, metrics = gan.discriminator_loss(Batch(x, z))
    assert loss.item() == pytest.approx(of_data.mean() + np.maximum(0, 0.12 - of_samples).mean(), rel=1e-4)
    assert float(metrics["below"]) == (of_samples < 0.12).mean()
    loss, metrics = gan.generator_loss(Batch(x, z))
    pt = naive_pt(gan.discriminator.encode(gan(z)).numpy())
    assert loss.item() == pytest.approx(of_samples.mean() + pull * pt, rel=1e-4)
    assert float(metrics["PT"]) == pytest.approx(pt, rel=1e-4)


@pytest.mark.parametrize("term", ["energy", "PT"])
def test_both_terms_reach_the_generator(term: str) -> None:
    """The samples are not detached in G's loss, nor are their codes."""
    gan = small(pull=0.0)
    generator, z = list(gan.generator.parameters()), gan.noise(6)
    with_pt = small(pull=1.0)
    with_pt.load_state_dict(gan.state_dict())
    slopes = lambda model: grad(model.generator_loss(Batch(None, z))[0], list(model.generator.parameters()))
    for p, energy, both in zip(generator, slopes(gan), slopes(with_pt), strict=True):
        of_pt = both.numpy() - energy.numpy()
        assert abs(energy.numpy() if term == "energy" else of_pt).max() > 1e-6, p.shape


def test_each_player_moves_its_own(check_players: Callable[[Any, Any], None]) -> None:
    check_players(small(margin=5.0), np.random.default_rng(0).normal(size=(8, 3)).astype("float32"))


def test_a_margin_below_all_energies_leaves_only_the_data() -> None:
    gan = small(margin=1e-6)
    x = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
    loss, metrics = gan.discriminator_loss(Batch(x, gan.noise(6)))
    assert loss.item() == pytest.approx(float(metrics["E(x)"])) and metrics["below"] == 0


def test_errors() -> None:
    for options in ({"margin": 0.0}, {"pull": -0.1}):
        with pytest.raises(ValueError, match="EBGAN: expects margin > 0 and pull >= 0"):
            small(**options)
