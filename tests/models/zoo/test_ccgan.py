"""CCGAN: pasting, its losses by the paper, which of them reads the labels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from minigen.autograd import tensor
from minigen.backend import Device, device, to_numpy
from minigen.models import Batch
from minigen.models.zoo.ccgan import CCGAN
from minigen.models.zoo.heads import ConvTrunk, Heads, Labelled
from minigen.random import manual_seed

IMAGES = np.random.default_rng(0).uniform(-1, 1, size=(6, 1, 8, 8)).astype("float32")
log_sigmoid = lambda v: -np.log(1 + np.exp(-v))


def small(**options: float) -> CCGAN:
    known = device().asarray
    labelled = Labelled(known(IMAGES[:3]), known(np.array([0, 1, 2])))
    return CCGAN((1, 8, 8), Heads(ConvTrunk((1, 8, 8), 4, False), 1, 3), labelled, 4, hole=4, **options)


def test_only_the_hole_is_filled_and_only_the_rest_is_seen(device: Device) -> None:
    gan = small()
    mask = gan.noise(6)
    assert mask.shape == (6, 1, 8, 8) and mask.device == device and mask.numpy().sum() == 6 * (64 - 16)
    outside = mask.numpy() == 1
    y = gan(tensor(IMAGES), mask).numpy()
    np.testing.assert_array_equal(y[outside], IMAGES[outside])
    assert abs(y - IMAGES)[~outside].min() > 0 and abs(y).max() <= 1
    hidden = np.where(outside, IMAGES, 7).astype("float32")
    np.testing.assert_array_equal(gan(tensor(hidden), mask).numpy(), y)


def test_the_losses_are_the_papers(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    gan = small(weight=0.3)
    batch = Batch(device.asarray(IMAGES), gan.noise(6))
    chosen = gan.labelled.draw(5)
    monkeypatch.setattr(Labelled, "draw", lambda self, n: chosen)
    s, t = (gan.discriminator(x)[0].numpy().astype(float) for x in (tensor(IMAGES), gan(batch.data, batch.noise)))
    classes = gan.discriminator(chosen[0])[1].numpy().astype(float)
    log_p = classes - np.log(np.exp(classes).sum(axis=1, keepdims=True))
    supervised = -log_p[np.arange(5), chosen[1].numpy()].mean()
    loss, metrics = gan.discriminator_loss(batch)
    assert loss.item() == pytest.approx(-log_sigmoid(s).mean() - log_sigmoid(-t).mean() + 0.3 * supervised, rel=1e-4)
    assert float(metrics["accuracy"]) == pytest.approx((classes.argmax(axis=1) == chosen[1].numpy()).mean())
    assert gan.generator_loss(batch)[0].item() == pytest.approx(-log_sigmoid(t).mean(), rel=1e-4)


def test_the_labels_of_the_other_images_are_not_used() -> None:
    gan = small()
    mask, losses = gan.noise(6), []
    for labels in (None, np.zeros(6, int), np.arange(6)):
        manual_seed(0)
        losses.append(gan.discriminator_loss(Batch(IMAGES, mask, labels))[0].item())
    assert len(set(losses)) == 1


def test_it_classifies(device: Device) -> None:
    gan = small()
    classes = gan.classify(tensor(IMAGES))
    assert classes.shape == (6,)
    np.testing.assert_array_equal(to_numpy(classes), gan.discriminator(tensor(IMAGES))[1].numpy().argmax(axis=1))


def test_each_player_moves_its_own(check_players: Callable) -> None:
    check_players(small().eval(), IMAGES)
