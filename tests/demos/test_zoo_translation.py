"""The pages of CoGAN, CycleGAN and DTN: what they measure is right where it is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import minigen
from minigen import data, nn
from minigen.autograd import Tensor
from minigen.evaluate import Classifier
from zoo_pages import cogan, cycle_gan, digits, dtn

TEST = data.load("digits", "test")[:40]


class Known(digits.Judge):
    """Reads the test digits themselves, and calls all other images -1."""

    def __init__(self) -> None:
        self.known = {image.tobytes(): int(label) for image, label in zip(TEST.images, TEST.labels, strict=True)}

    def read(self, images: Any) -> np.ndarray:
        images = np.rint((np.asarray(images) + 1) * 127.5).astype(np.uint8)
        return np.array([self.known.get(image.tobytes(), -1) for image in images])

    def distance(self, images: Any) -> float:
        return 0.0


def signed(dataset: data.Dataset) -> Tensor:
    return Tensor(dataset.images.astype(np.float32) / 127.5 - 1)


@pytest.mark.parametrize("domain", ["negatives", "edges"])
def test_pairs_that_fit(domain: str) -> None:
    """Agreement and overlap are 1; of wrong pairs the overlap is small, while the agreement is not."""
    right = np.stack([TEST.images, cogan.DOMAINS[domain](TEST.images)], axis=1) / 255
    wrong = np.stack([right[:, 0], np.roll(right[:, 1], 1, axis=0)], axis=1)
    fit, miss = (cogan.compared(x, domain, Known()) for x in (right, wrong))
    assert fit.agreement == fit.overlap == 1 and miss.overlap < 0.4 < 0.7 < miss.agreement < 0.9
    if domain == "negatives":
        labels = TEST.labels
        assert fit.same == 1 and miss.same == pytest.approx((labels == np.roll(labels, 1)).mean())


class Painter(nn.Module):
    """Translates exactly, or leaves images as they are."""

    def __init__(self, exact: bool) -> None:
        self.exact = exact

    def forth(self, x: Tensor) -> Tensor:
        grey = (1 - x[:, :1]) / 2  # 1 on the ground
        none = 0.0 * grey - 1
        return minigen.ops.concat([none, 2 * grey - 1, none], axis=1) if self.exact else x

    def back(self, y: Tensor) -> Tensor:
        none = 0.0 * y[:, :1] - 1
        return minigen.ops.concat([-y[:, 1:2], none, none], axis=1) if self.exact else y


@pytest.mark.parametrize("exact", [True, False])
def test_a_translation_that_is_exact_and_one_that_does_nothing(exact: bool) -> None:
    x, y = signed(cycle_gan.red(TEST)), signed(cycle_gan.on_green(TEST))
    found = cycle_gan.score(Painter(exact), x, y, TEST.labels, Known())  # type: ignore[arg-type]
    assert found.kept == found.coloured == (1 if exact else 0)
    np.testing.assert_allclose(found.cycle.numpy(), x.numpy()[:20], atol=1e-6)
    if exact:
        np.testing.assert_allclose(found.forth.numpy(), y.numpy(), atol=1e-6)


def test_dtn_reads_grey_negatives() -> None:
    class Exact(nn.Module):
        classifier = Classifier((3, 28, 28))
        device = minigen.device()

        def forward(self, x: Tensor) -> Tensor:
            return Tensor(np.repeat(-x.data.max(axis=1, keepdims=True), 3, axis=1))

    coloured = data.load("coloured_digits", "test")[:40]
    assert dtn.score(Exact(), coloured, Known()).kept == 1  # type: ignore[arg-type]
    model = Exact()
    model.forward = lambda x: x  # type: ignore[method-assign]
    assert dtn.score(model, coloured, Known()).kept == 0  # type: ignore[arg-type]


def test_the_reader_sees_both_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the uniform number, from which a sign comes, is 0."""
    minigen.manual_seed(0)
    signs = dtn.Reader().noise(500).numpy()
    assert signs.shape == (500, 3, 1, 1) and set(signs.ravel()) == {-1, 1} and abs(signs.mean()) < 0.15
    monkeypatch.setattr(dtn, "uniform", lambda shape, *bounds, device: np.zeros(shape, np.float32))
    assert set(dtn.Reader().noise(1).numpy().ravel()) == {1}
