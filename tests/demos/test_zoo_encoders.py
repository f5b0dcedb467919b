"""What the pages of encoders measure, where it is known."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import minigen
from minigen import data, nn
from minigen.autograd import Tensor
from minigen.evaluate import knn_accuracy
from minigen.models.zoo.ali import ALI
from zoo_pages import after_half, ali, anogan, bigan, icgan


@pytest.mark.parametrize(("parts", "half"), [(4, 2), (3, 2), (1, 1)])
def test_a_metric_after_half_of_a_training(parts: int, half: int, tmp_path: Path) -> None:
    lines = [json.dumps({"epoch": i, "test": {"ratio": i}}) for i in range(1, parts + 1)]
    (tmp_path / "log.jsonl").write_text("\n".join(lines) + "\n")
    assert after_half(tmp_path, "ratio") == half


def test_the_colour_of_a_coloured_digit() -> None:
    test = data.load("coloured_digits", "test").take(300)
    np.testing.assert_array_equal(icgan.colours(test.images / 255), test.colours)
    np.testing.assert_array_equal(icgan.colours(test.images / 255 * 0.5 + 0.05), test.colours)  # darker, on grey


def test_what_principal_components_leave() -> None:
    """Against the singular value decomposition; nothing is left of what lies on the components."""
    rng = np.random.default_rng(0)
    images = (255 * rng.random((60, 1, 6, 6))).astype(np.uint8)
    x = images.reshape(60, -1) / 255
    mean, (_, _, axes) = x.mean(axis=0), np.linalg.svd(x - x.mean(axis=0))
    inside = (x[:5] - mean) @ axes[:20].T @ axes[:20]
    expected = ((x[:5] - mean - inside) ** 2).sum(axis=1)
    np.testing.assert_allclose(anogan.residual(images, images[:5]), expected, rtol=1e-6)
    on_them = 255 * (inside + mean).reshape(5, 1, 6, 6)
    np.testing.assert_allclose(anogan.residual(images, on_them), 0, atol=1e-12)


class Codes(nn.Module):
    """Takes the pixels as a code, its own features, and gives them back as an image."""

    device = minigen.device()

    def features(self, x: Tensor) -> Tensor:
        return x.reshape(len(x), -1)

    def forward(self, x: Tensor) -> Tensor:
        return self.features(x) if x.ndim == 4 else x.reshape(len(x), 1, 28, 28)


def test_a_perfect_encoder_of_digits() -> None:
    training, test = data.load("digits").take(300), data.load("digits", "test").take(100)
    found = bigan.look(Codes(), Codes(), training, test)  # type: ignore[arg-type]
    assert found.own == pytest.approx(0, abs=1e-5) and found.ratio == pytest.approx(0, abs=1e-6)
    assert found.neighbours == knn_accuracy(training.images / 255, training.labels, test.images / 255, test.labels)


class Prior(nn.Module):
    """An encoder of points on the grid whose codes do not depend on them, and its generator of one point."""

    def distribution(self, x: Any) -> Any:
        return SimpleNamespace(mean=x)

    def forward(self, x: Any) -> Any:
        return Tensor(np.random.default_rng(0).normal(size=x.shape).astype("float32"))


def test_codes_that_are_the_priors_and_points_that_come_back() -> None:
    model = ALI(nn.Identity(), Prior(), nn.Identity())  # type: ignore[arg-type]
    model.generator.latent_dim = 2
    model.generator.weight = nn.Parameter(np.zeros(1, "float32"))  # which gives the model its dtype
    minigen.manual_seed(0)
    found = ali.infer(model)
    assert found.ratio == 0 and found.distance < 0.1
