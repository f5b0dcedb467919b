"""What the zoo's pages about labels measure: right where the answer is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import minigen
from minigen import data, nn, ops
from minigen.autograd import Tensor
from minigen.data.coloured_digits import COLOURS
from minigen.models import Batch, MLPGenerator
from minigen.models.zoo.heads import Heads, Labelled, MLPTrunk
from minigen.models.zoo.info_gan import InfoGAN
from zoo_pages import ac_gan, clusters, dr_gan, few, info_gan


class ByPixel(nn.Module):
    """Its largest output is the number of the brightest pixel."""

    def forward(self, x: Any) -> Any:
        return Tensor(x.data.reshape(len(x), -1)[:, :20])


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """In place of the digits: an image whose pixel 2 k or 2 k + 1 is bright has label k, but for every tenth."""
    pixel = np.arange(100) % 20
    images = np.zeros((100, 196), np.uint8)
    images[range(100), pixel] = 255
    labels = np.where(np.arange(100) % 10 == 9, 0, pixel // 2)
    dataset = data.Dataset(images.reshape(-1, 1, 14, 14), labels, tuple("0123456789"), "lines", "train")
    monkeypatch.setattr(clusters, "digits", lambda split="train": dataset if split == "train" else dataset[:50])
    return labels


def test_the_digits_at_half_the_resolution() -> None:
    whole, half = data.load("digits", "test"), clusters.digits("test")
    assert half.image_shape == clusters.SHAPE and half.labels.tolist() == whole.labels.tolist()
    square = whole.images[7, 0, 10:12, 14:16].astype(float)
    assert half.images[7, 0, 5, 7] == np.rint(square.mean()) and square.std() > 0


def test_classes_accuracy_and_clusters(lines: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 classes, two for a label: all are right but for every tenth, which is wrong except by its vote."""
    classes, labels = few.classes_of(ByPixel(), clusters.digits())
    assert classes.tolist() == (np.arange(100) % 20).tolist() and labels.tolist() == lines.tolist()
    monkeypatch.setattr(few.data, "load", lambda name, split: clusters.digits(split))
    assert few.accuracy(ByPixel()) == (np.arange(50) % 20 == lines[:50]).mean()
    expected = np.mean([lines[i] == (0 if i % 10 == 9 else i % 20 // 2) for i in range(50)])
    assert clusters.sorted_right(ByPixel()) == pytest.approx(expected) and clusters.k_means(20, 0) > 0.5


def test_clusters_get_their_labels_from_the_training_digits(lines: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> None:
    training = clusters.digits()
    other = replace(training, labels=9 - training.labels)
    monkeypatch.setattr(clusters, "digits", lambda split="train": other if split == "test" else training)
    assert clusters.sorted_right(ByPixel()) < 0.1


def test_k_means_finds_clusters_that_are_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where both centres start in one of them."""
    random = np.random.default_rng(0)
    labels = np.arange(300) % 2
    images = (200 * labels[:, None] + random.integers(0, 9, (300, 4))).astype(np.uint8).reshape(-1, 1, 2, 2)
    monkeypatch.setattr(clusters, "digits", lambda split="train": data.Dataset.from_arrays(images, labels))
    assert all(clusters.k_means(2, seed) == 1 for seed in range(6))
    assert min(clusters.k_means(2, seed, passes=0) for seed in range(6)) < 1


def test_the_labelled_examples() -> None:
    some, every = few.labelled(3), few.labelled(3, all_of_them=True)
    assert len(some.images) == 100 and len(every.images) == 8000
    assert np.bincount(some.labels.numpy()).tolist() == [10] * 10
    assert some.images.numpy().min() == -1 and (few.labelled(4).images.numpy() != some.images.numpy()).any()


def test_the_classifier_that_learns_from_the_labels_alone() -> None:
    """What else it is given does not matter."""
    examples = Labelled(np.ones((1, 2), "float32"), np.array([2]))
    model = few.Alone(Heads(MLPTrunk((2,), (4,)), 3), examples)
    p = ops.softmax(model.discriminator(examples.images), axis=1).numpy()[0]
    for x in (np.zeros((5, 2), "float32"), np.full((5, 2), 7, "float32")):
        assert model.of_labels(Batch(x, None))[0].item() == pytest.approx(-np.log(p[2]), rel=1e-5)


def test_the_claims_about_few_labels() -> None:
    kept, beside = few.claims("accuracy", [0.96, 0.1, 0.97], [0.95, 0.2, 0.99], 0.98)
    assert kept.holds and beside.holds and beside.text == "accuracy, beside labels alone"
    assert kept.measured == beside.measured == "0.960 (0.100 to 0.970)" and kept.baseline == "all labels 0.980"
    assert not any(claim.holds for claim in few.claims("accuracy", [0.9], [0.8, 0.9, 1.0], 0.98))


def test_the_colour_of_an_image() -> None:
    images = data.load("coloured_digits", "test")[:200]
    assert (dr_gan.colour_of(images.images / 127.5 - 1) == images.colours).all()
    assert dr_gan.colour_of(np.stack([0.4 * np.array(c)[:, None, None] - 1 for c in COLOURS.values()])).tolist() == [
        *range(5)
    ]


def test_what_a_nearest_code_has_in_common() -> None:
    training, test = (data.load("coloured_digits", split)[:50] for split in ("train", "test"))
    by_digit = lambda dataset: dataset.labels[:, None].astype(float)
    digit, colour = dr_gan.alike_in(by_digit(test), by_digit(training), test, training)
    assert digit == 1 and colour < 0.5
    assert dr_gan.alike_in(test.images, test.images, test, test) == [1, 1]


def test_the_report_of_perfect_samples_and_of_one_image_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """Test digits themselves: as various as they are, at no distance. One image for each class has no variety."""
    test = data.load("digits", "test")
    chosen = np.concatenate([np.flatnonzero(test.labels == k)[: 2 * ac_gan.EACH : 2] for k in range(10)])

    class Judge:
        classifier = None
        features = staticmethod(lambda images: images.reshape(len(images), -1)[:, 300:500:20])

    class Fixed:
        def __init__(self, index: np.ndarray) -> None:
            self.index = index

        def sample(self, n: int, labels: np.ndarray) -> np.ndarray:
            assert n == len(self.index) and (test.labels[self.index] == labels).all()
            return test.images[self.index].astype(np.float32) / 127.5 - 1

    named = lambda classifier, x: (Judge.features(x), np.eye(10)[np.arange(10).repeat(ac_gan.EACH)])
    monkeypatch.setattr(ac_gan.evaluate, "features_and_probabilities", named)
    real = ac_gan.real_features(Judge(), 0)  # type: ignore[arg-type]
    perfect: Any = ac_gan.report(Fixed(chosen), Judge(), real)  # type: ignore[arg-type]
    assert perfect.read == 1 and perfect.variety == pytest.approx(1, abs=1e-4) and perfect.frechet < 1e-3
    one: Any = ac_gan.report(Fixed(chosen[:: ac_gan.EACH].repeat(ac_gan.EACH)), Judge(), real)  # type: ignore[arg-type]
    assert one.variety == pytest.approx(0, abs=1e-4) and one.frechet > 0.1


def test_the_bound_of_untrained_networks_is_about_zero() -> None:
    minigen.manual_seed(0)
    gan = InfoGAN(MLPGenerator(clusters.SHAPE, info_gan.LATENT, 8), Heads(MLPTrunk(clusters.SHAPE, (8,)), 1, 12))
    assert info_gan.nats(gan) == pytest.approx(0, abs=0.3)
    assert info_gan.Reader(gan)(Tensor(np.zeros((3, *clusters.SHAPE), "float32"))).shape == (3, 10)
