"""The zoo's pages of restoration: what they measure and draw is right where that is known."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from zoo_pages import aff_gan, ccgan, digits

pytestmark = pytest.mark.filterwarnings("ignore::minigen.train.diagnostics.GANWarning")  # they are trained for a moment
QUICK = argparse.Namespace(iterations=2, resume=False)


def test_the_signal_to_noise_ratio() -> None:
    """An error of a tenth of the range everywhere: 20 decibels."""
    images = np.random.default_rng(0).uniform(-1, 1, (2, 1, 4, 4))
    assert digits.psnr(images + 0.2, images) == pytest.approx(20)


def test_aff_gan_starts_from_the_squared_errors_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose discriminator has learned nothing."""
    trained = []

    def learn(model: aff_gan.AffGAN, *_: object, **options: object) -> aff_gan.AffGAN:
        for p in model.players()["generator"].module.parameters():
            p.data = p.data + 1.0 if not trained else p.data
        trained.append(model)
        return model

    monkeypatch.setattr(aff_gan, "learn", learn)
    gan, blurred = aff_gan.train(0, QUICK, tmp_path)
    assert trained == [blurred, gan] and [*blurred.players()] == ["generator"]
    for (name, p), (_, q) in zip(gan.named_parameters(), blurred.named_parameters(), strict=True):
        same = np.array_equal(p.numpy(), q.numpy())
        assert same == name.startswith("generator") or "bias" in name


def test_ccgan_is_shown_with_black_holes(tmp_path: Path) -> None:
    """Of half of the image; each class has as many labels."""
    model = ccgan.train(ccgan.CCGAN, True, 0, QUICK, tmp_path)
    labels = model.labelled.labels.numpy()
    assert np.bincount(labels).tolist() == [ccgan.few.PER_CLASS] * 10
    images = np.random.default_rng(0).uniform(-0.9, 0.9, (4, 1, 28, 28)).astype("float32")
    filled, known = (x.numpy() for x in ccgan.fill(model, images))
    black = known == -1
    assert (black.sum(axis=(1, 2, 3)) == 20 * 20).all()
    for x in (filled, known):
        np.testing.assert_array_equal(x[~black], images[~black])
    assert filled[black].std() > 0
