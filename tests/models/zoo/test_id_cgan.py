"""ID-CGAN: its losses by the paper, the fixed classifier, the streaks by a loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minigen.autograd import Tensor, tensor
from minigen.backend import Device, to_numpy
from minigen.evaluate import Classifier
from minigen.models import Batch, DCGANDiscriminator
from minigen.models.zoo import id_cgan
from minigen.models.zoo.id_cgan import IDCGAN, streaks
from minigen.models.zoo.restoration import Hourglass
from minigen.random import uniform

IMAGES = np.random.default_rng(0).uniform(-1, 1, size=(6, 1, 8, 8)).astype("float32")
log_sigmoid = lambda v: -np.log(1 + np.exp(-v))


def brighter(images: Any) -> Tensor:
    return Tensor(images) + 0.5


def small(**options: float) -> IDCGAN:
    """The classifier is in training mode, which must make no difference."""
    discriminator = DCGANDiscriminator((2, 8, 8), 4, batch_norm=False)
    return IDCGAN(Hourglass(1, 1, 4), discriminator, Classifier((1, 8, 8), 3, 4, 5), brighter, **options)


def test_the_losses_are_the_papers(device: Device) -> None:
    gan = small(adversarial=0.3, perceptual=1e5)
    x, target = IMAGES + 0.5, IMAGES
    y = gan(tensor(x)).numpy()
    f = lambda images: gan.classifier.eval().features(tensor(images)).numpy().astype(float)
    features = ((f(y) - f(target)) ** 2).mean()
    gan.classifier.train()
    d = lambda images: gan.discriminator(tensor(np.concatenate([x, images], axis=1))).numpy().astype(float)
    batch = Batch(device.asarray(IMAGES), None)
    loss, _ = gan.discriminator_loss(batch)
    assert loss.item() == pytest.approx(-log_sigmoid(d(target)).mean() - log_sigmoid(-d(y)).mean(), rel=1e-4)
    loss, metrics = gan.generator_loss(batch)
    error = ((y - target) ** 2).mean()
    assert float(metrics["error"]) == pytest.approx(error, rel=1e-4)
    assert 1e5 * features > 0.1 * loss.item()
    assert loss.item() == pytest.approx(error - 0.3 * log_sigmoid(d(y)).mean() + 1e5 * features, rel=1e-3)


def test_without_both_terms_it_is_the_squared_error() -> None:
    gan = small(adversarial=0.0, perceptual=0.0)
    assert [*gan.players()] == ["generator"]
    loss, metrics = gan.generator_loss(Batch(IMAGES, None))
    assert loss.item() == float(metrics["error"])


def test_each_player_moves_its_own(check_players: Callable) -> None:
    gan = small()
    assert [*gan.players()] == ["discriminator", "generator"]
    check_players(gan.eval(), IMAGES)


def test_the_classifier_does_not_change_in_training_mode() -> None:
    gan = small()
    before = {name: to_numpy(value).copy() for name, value in gan.classifier.state_dict().items()}
    gan.generator_loss(Batch(IMAGES, None))[0].backward()
    for name, value in gan.classifier.state_dict().items():
        np.testing.assert_array_equal(to_numpy(value), before[name], err_msg=name)
    assert gan.classifier.training


def test_streaks_by_a_loop(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bright where a streak is, at every pixel whose centre is near enough to the line; elsewhere nothing changes."""
    places = []
    monkeypatch.setattr(id_cgan, "uniform", lambda *a, **k: places.append(uniform(*a, **k)) or places[-1])
    x = streaks(device.asarray(IMAGES), count=2, length=3.0, width=0.7, slope=0.5).numpy()
    place = to_numpy(places[0])[..., 0, 0].astype(float)  # (2, N, count)
    expected = IMAGES.copy()
    for n, _, row, column in np.ndindex(IMAGES.shape):
        for k in range(2):
            top, left = place[0, n, k] * (8 + 3) - 3, place[1, n, k] * 8
            if top <= row < top + 3 and abs(column - left - 0.5 * (row - top)) < 0.7:
                expected[n, 0, row, column] = 1.0
    np.testing.assert_array_equal(x, expected)
    assert 0.05 < (x != IMAGES).mean() < 0.3
