"""CatGAN: entropies against sums, losses by the paper's formula, which way each pushes, what labels add."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from minigen.autograd import tensor
from minigen.backend import Device, default_dtype
from minigen.models import Batch, MLPGenerator
from minigen.models.zoo.cat_gan import CatGAN, entropy, marginal_entropy
from minigen.models.zoo.heads import Heads, Labelled, MLPTrunk
from minigen.testing import check_derivatives


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def small(few: bool = False) -> CatGAN:
    generator = MLPGenerator((2,), 3, 4, 1)
    labelled = Labelled(*map(generator.device.asarray, (random(4, 2), np.array([0, 1, 2, 1])))) if few else None
    return CatGAN(generator, Heads(MLPTrunk((2,), (6,)), 3), labelled)


def probabilities(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits.astype(float))
    return e / e.sum(axis=1, keepdims=True)


def h(p: np.ndarray) -> float:
    """The entropy of one distribution."""
    return -sum(x * math.log(x) for x in p)


def test_the_entropies() -> None:
    logits = 2 * random(5, 3)
    p = probabilities(logits)
    assert entropy(tensor(logits)).item() == pytest.approx(np.mean([h(row) for row in p]), rel=1e-5)
    assert marginal_entropy(tensor(logits)).item() == pytest.approx(h(p.mean(axis=0)), rel=1e-5)
    sure = 200 * np.eye(3, dtype="float32")  # of another class each
    assert entropy(tensor(sure)).item() == pytest.approx(0, abs=1e-6)
    assert marginal_entropy(tensor(sure)).item() == pytest.approx(math.log(3), rel=1e-5)
    with default_dtype("float64"):
        for fn in (entropy, marginal_entropy):
            check_derivatives(fn, logits.astype(float))


def test_a_small_batch_underestimates_the_entropy_of_the_mean() -> None:
    """20 classes used evenly, and surely: of 20 images about 13 classes are seen, of 200 nearly all."""
    random_ = np.random.default_rng(0)
    estimate = lambda n: np.mean(
        [marginal_entropy(tensor(50 * np.eye(20)[random_.integers(20, size=n)])).item() for _ in range(50)]
    )
    assert estimate(20) < math.log(20) - 0.4 and estimate(200) > math.log(20) - 0.07


@pytest.mark.parametrize("few", [False, True])
def test_the_losses_are_the_papers(few: bool, device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    gan = small(few)
    x, z = device.asarray(random(8, 2)), gan.noise(8)
    p, q = (probabilities(gan.discriminator(images).numpy()) for images in (x, gan(z)))
    mean_h = lambda p: np.mean([h(row) for row in p])
    expected = -(h(p.mean(axis=0)) - mean_h(p) + mean_h(q))
    if gan.few is not None:
        images, labels = gan.few.draw(8)
        monkeypatch.setattr(gan.few, "draw", lambda n: (images, labels))
        named = probabilities(gan.discriminator(images).numpy())
        expected -= np.mean([math.log(named[i, y]) for i, y in enumerate(labels.numpy())])
    loss, metrics = gan.discriminator_loss(Batch(x, z))
    assert loss.item() == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert float(metrics["H(mean p)"]) == pytest.approx(h(p.mean(axis=0)), rel=1e-4)
    assert float(metrics["H(data)"]) == pytest.approx(mean_h(p), rel=1e-4)
    assert float(metrics["H(samples)"]) == pytest.approx(mean_h(q), rel=1e-4)
    loss, _ = gan.generator_loss(Batch(x, z))
    assert loss.item() == pytest.approx(mean_h(q) - h(q.mean(axis=0)), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("few", [False, True])
def test_each_player_moves_its_own(few: bool, check_players: Callable) -> None:
    check_players(small(few), random(8, 2))


def test_a_loss_below_zero_is_no_sign_of_failure() -> None:
    assert small().players()["discriminator"].perfect is None
