"""The classifier: it learns, its parts fit together, and it refuses what is no image of its kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from minigen import evaluate, optim
from minigen.autograd import Tensor
from minigen.backend import Device, to_numpy
from minigen.data import Dataset, Loader
from minigen.models.classifier import Classifier
from minigen.train import MaximumLikelihood


def bars(n: int, size: int = 8, seed: int = 0) -> Dataset:
    """Grey noise with a bright bar: class 0 upright, 1 level, 2 none."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 100, (n, 1, size, size), np.uint8)
    labels, places = random.integers(0, 3, n), random.integers(0, size, n)
    for image, label, place in zip(images, labels, places, strict=True):
        if label < 2:
            image[(0, slice(None), place) if label == 0 else (0, place)] += 120
    return Dataset(images, labels, ("upright", "level", "none"), "bars", "train")


def images(n: int, shape: tuple[int, ...] = (1, 8, 8), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (n, *shape)).astype(np.float32)


def test_it_learns() -> None:
    model = Classifier((1, 8, 8), 3, width=4, features=16)
    step = MaximumLikelihood(model, optim.Adam(model.parameters(), 1e-2))
    for epoch in range(5):
        for batch in Loader(bars(500), 25, pixels="signed").epoch(epoch):
            step(*batch)
    assert evaluate.mean_over(Loader(bars(200, seed=1), 100, pixels="signed"), model.correct, model) > 0.95


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 16, 33), (1, 1, 1)])
def test_logits_are_the_head_of_the_features(shape: tuple[int, int, int]) -> None:
    model = Classifier(shape, classes=5, width=2, features=7).eval()
    x = images(3, shape)
    features = model.features(x)
    assert features.shape == (3, 7)
    expected = features.numpy() @ model.head.weight.numpy().T + model.head.bias.numpy()
    np.testing.assert_allclose(model.logits(x).numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.logits(Tensor(x[1:2])).numpy(), expected[1:2], rtol=1e-4, atol=1e-6)


def test_loss_and_correct(device: Device) -> None:
    model, labels = Classifier((1, 8, 8), 3, width=2, features=4).eval(), np.array([0, 1, 2, 0, 1, 2, 0])
    x, y = device.asarray(images(7)), device.asarray(labels)
    logits = to_numpy(model.logits(x).data).astype(np.float64)
    log_p = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    loss = model.loss(x, y)
    assert loss.item() == pytest.approx(
        -np.mean([row[label] for row, label in zip(log_p, labels, strict=True)]), rel=1e-5
    )
    correct = model.correct(x, y)
    assert correct.numpy().tolist() == [
        float(max(row) == row[label]) for row, label in zip(logits, labels, strict=True)
    ]
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"image_shape": (28, 28)}, r"Classifier: got image_shape=\(28, 28\)"),
        ({"classes": 1}, "Classifier: got .*classes=1.*takes .*classes >= 2"),
        ({"width": 0}, "Classifier: .*width=0"),
    ],
)
def test_impossible_settings(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Classifier(**arguments)


@pytest.mark.parametrize(
    "x",
    [np.zeros((2, 1, 8, 8), np.uint8), images(2, (3, 8, 8)), images(2, (8, 8)), [0.5]],
    ids=["bytes", "RGB", "3-D", "list"],
)
def test_what_is_no_image_of_its_kind(x: Any) -> None:
    with pytest.raises(ValueError, match=r"Classifier: takes images \(N, 1, 8, 8\) of floats in \[-1, 1\], got "):
        Classifier((1, 8, 8), 3).logits(x)
