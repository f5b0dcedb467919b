"""The judge: the classifier learns and is kept in a file, and what it reports of samples is what it sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen import evaluate, load, optim, save, train
from minigen.autograd import Tensor
from minigen.backend import Device, to_numpy
from minigen.data import Dataset, Loader
from minigen.evaluate import judge as module
from minigen.evaluate.frechet import frechet_distance
from minigen.evaluate.judge import (
    Classifier,
    class_shares,
    confident_share,
    features_and_probabilities,
    random_subset,
    report_on,
    trained_classifier,
)
from minigen.random import manual_seed, random_state

# -- the classifier ----------------------------------------------------------------------------------------------------


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
    step = train.MaximumLikelihood(model, optim.Adam(model.parameters(), 1e-2))
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
    np.testing.assert_allclose(model(x).numpy(), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model(Tensor(x[1:2])).numpy(), expected[1:2], rtol=1e-4, atol=1e-6)


def test_loss_and_correct(device: Device) -> None:
    model, labels = Classifier((1, 8, 8), 3, width=2, features=4).eval(), np.array([0, 1, 2, 0, 1, 2, 0])
    x, y = device.asarray(images(7)), device.asarray(labels)
    logits = to_numpy(model(x).data).astype(np.float64)
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
        ({"image_shape": (28, 28)}, r"Classifier: expects image_shape \(C, H, W\), .*, got image_shape=\(28, 28\)"),
        ({"classes": 1}, "Classifier: expects .*classes >= 2, got .*classes=1"),
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
    with pytest.raises(ValueError, match=r"Classifier: expects images \(N, 1, 8, 8\) of floats in \[-1, 1\], got "):
        Classifier((1, 8, 8), 3)(x)


# -- its training ------------------------------------------------------------------------------------------------------


def halves(n: int, classes: tuple[str, ...] = ("dark", "bright")) -> Dataset:
    """Images brighter or darker than the middle."""
    random = np.random.default_rng(n)
    labels = random.integers(0, 2, n)
    images = (random.integers(0, 120, (n, 1, 4, 4)) + 120 * labels[:, None, None, None]).astype(np.uint8)
    return Dataset(images, labels, classes, "halves", "train")


def test_trained_then_read(tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "halves.safetensors"
    manual_seed(3)
    before = random_state()
    first, accuracy, origin = trained_classifier(halves(200), halves(60), path, epochs=4, batch_size=20)
    assert random_state() == before and not first.training
    assert (accuracy, origin) == (1.0, f"trained and saved in {path}")
    for name, x in load(path).state_dict().items():
        assert (x == first.state_dict()[name]).all()

    monkeypatch.setattr(module, "_train", lambda *arguments: pytest.fail("trained although there is a file"))
    second, accuracy, origin = trained_classifier(halves(200), halves(60), path)
    assert (accuracy, origin) == (1.0, f"from {path}") and not second.training
    assert capfd.readouterr() == ("", "")
    x = np.linspace(-1, 1, 48, dtype=np.float32).reshape(3, 1, 4, 4)
    assert (first(x).numpy() == second(x).numpy()).all()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
        lambda path: save(Classifier((1, 4, 4), classes=3), path),
        lambda path: save({"other": np.zeros(3)}, path),
    ],
    ids=["cut short", "other classes", "other model"],
)
def test_a_file_that_does_not_fit_is_replaced(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "halves.safetensors"
    make = lambda: trained_classifier(halves(40), halves(60), path, epochs=1)
    first = make().classifier
    good = load(path).state_dict()
    spoil(path)
    again, _, origin = make()
    assert origin.startswith(f"trained anew ({path}: ") and origin.endswith(f") and saved in {path}")
    for name, x in load(path).state_dict().items():  # the same classifier as before
        assert (x == good[name]).all() and (x == again.state_dict()[name]).all()
    assert first.classes == again.classes == 2


def test_batches_are_moved_by_up_to_two_pixels_of_28(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    image = np.zeros((1, 1, 28, 28), np.uint8)
    image[0, 0, 10, 14] = 255
    seen, loss = [], Classifier.loss

    def watched(self: Classifier, images: np.ndarray, labels: np.ndarray) -> Tensor:
        seen.append(tuple(int(n) for n in np.argwhere(images[0, 0] == 1)[0]))
        return loss(self, images, labels)

    monkeypatch.setattr(Classifier, "loss", watched)
    dot = Dataset(image, np.zeros(1, np.int64), ("dot", "none"), "dot", "train")
    trained_classifier(dot, dot, tmp_path / "dot.safetensors", epochs=200)
    assert set(seen) == {(y, x) for y in range(8, 13) for x in range(12, 17)}


def test_one_class_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Classifier: expects .*, got .*classes=1"):
        trained_classifier(
            Dataset(np.zeros((2, 1, 4, 4), np.uint8), np.zeros(2, np.int64), ("image",), "folder", "train"),
            halves(2),
            tmp_path / "x",
        )


# -- what it reports ---------------------------------------------------------------------------------------------------


def test_shares_and_confidence(device: Device) -> None:
    p = device.asarray(np.array([[0.95, 0.05, 0, 0], [0.2, 0.3, 0.5, 0], [0.91, 0, 0.09, 0], [0, 0.1, 0.9, 0]]))
    assert to_numpy(class_shares(p)).tolist() == [0.5, 0, 0.5, 0]
    assert confident_share(p) == 0.5  # 0.9 is not over 0.9
    assert confident_share(Tensor(p), above=0.3) == 1


def signed(n: int, seed: int = 0) -> np.ndarray:
    return np.tanh(np.random.default_rng(seed).standard_normal((n, 1, 4, 4))).astype(np.float32)


def classifier() -> Classifier:
    """With running statistics and a bias that fit, so that it is sure of some images and not of others."""
    model = Classifier((1, 4, 4), 3, width=4, features=16)
    for seed in range(30):
        features = model.features(model.device.asarray(signed(50, seed))).data
    weight = model.head.weight.data * 200
    model.head.weight.data, model.head.bias.data = weight, -weight @ features.mean(axis=0)
    return model


def test_features_and_probabilities(device: Device) -> None:
    """In evaluation mode, in blocks, and afterwards the classifier is as it was."""
    model, x = classifier(), signed(1001)
    features, probabilities = features_and_probabilities(model, x)
    assert model.training and model.body.training
    model.eval()
    here = device.asarray(x)
    np.testing.assert_allclose(features, model.features(here).numpy(), rtol=1e-4, atol=1e-5)
    logits = model(here).numpy().astype(np.float64)
    np.testing.assert_allclose(probabilities, np.exp(logits) / np.exp(logits).sum(axis=1)[:, None], rtol=1e-4)


@pytest.mark.parametrize(("n", "compared"), [(10, 10), (50, 20)])
def test_report_on(n: int, compared: int) -> None:
    """The distances are of equally many images, whatever there is more of, from the whole set."""
    model, samples, real = classifier().eval(), signed(n), signed(40, seed=1)
    of_samples, of_real = (model.features(x).numpy() for x in (samples, real))
    found = report_on(samples, model, real)
    chosen = random_subset(of_real, 2 * compared)
    even, odd = chosen[0::2], chosen[1::2]
    assert found["compared"] == compared
    assert found["frechet"] == pytest.approx(frechet_distance(random_subset(of_samples, compared), even), rel=1e-4)
    assert found["floor"] == pytest.approx(frechet_distance(odd, even), rel=1e-4)
    p, p_real = (features_and_probabilities(model, x)[1] for x in (samples, real))
    assert found["shares"] == class_shares(p).tolist() and sum(found["shares"]) == pytest.approx(1)
    assert 0 < found["confident"] < 1 and found["confident"] != found["confident_real"]
    assert (found["confident"], found["confident_real"]) == (confident_share(p), confident_share(p_real))


@given(st.integers(0, 300), st.integers(0, 400))
def test_random_subset(size: int, n: int) -> None:
    chosen = random_subset(np.arange(size), n).tolist()
    assert len(chosen) == min(n, size) and chosen == sorted(set(chosen))
    assert set(chosen) <= set(range(size)) and chosen == random_subset(np.arange(size), n).tolist()


def test_a_random_subset_is_a_fair_choice() -> None:
    """From all parts of a sorted set, and of one with a period, as MNIST's test set is and has."""
    chosen = random_subset(np.arange(10_000), 1000)
    for parts in (chosen // 1000, chosen % 10):
        counts = np.bincount(parts, minlength=10)
        assert counts.min() > 60 and counts.max() < 140, "about 100 in each, with a standard deviation of 9"


def test_report_on_takes_signed_pixels_only() -> None:
    model = Classifier((1, 4, 4), 3, width=2, features=5)
    for samples, real in ((signed(4) * 127, signed(4)), (signed(4), signed(4) / 2 + 0.5), (signed(4), signed(4) * 2)):
        with pytest.raises(ValueError, match=r"report_on: expects pixels in \[-1, 1\], got samples in "):
            report_on(samples, model, real)
    report_on(np.ones((4, 1, 4, 4), np.float32), model, signed(4))  # a generator may have collapsed to white
