"""What the demo of latent spaces claims: its analogies are measured right, whatever the classifier reads."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from common import analogies
from minigen import nn
from minigen.autograd import Tensor
from minigen.backend import to_numpy
from minigen.data import Dataset
from minigen.evaluate import latent
from minigen.models import DCGAN
from minigen.random import normal

FIRSTS, SECONDS = ("zero", "one", "two", "three"), ("red", "green", "blue")


LATENT_DIM = len(FIRSTS) + len(SECONDS)


def mirror(z: np.ndarray) -> np.ndarray:
    """A generator whose images show z itself: tanh(z / 2)."""
    return np.tanh(z / 2).reshape(-1, 1, LATENT_DIM, 1)


class Reads(nn.Module):
    """A classifier: the largest of z's first four values is the first label, that of the last three the second.

    `how` changes the two labels of what is not of the pool, which is read in batches of 1,000.
    """

    def __init__(self, how: Callable[[np.ndarray, np.ndarray], Any] = lambda first, second: (first, second)) -> None:
        self.how = how

    def features(self, x: Any) -> Tensor:
        return Tensor(to_numpy(x).reshape(len(x), -1))

    def head(self, features: Tensor) -> Tensor:
        z = features.numpy()
        first, second = z[:, :4].argmax(axis=1), z[:, 4:].argmax(axis=1)
        if len(z) % 500:
            first, second = self.how(first, second)
        scores = np.zeros((len(z), 4, 3))
        scores[np.arange(len(z)), first, second] = 20
        return Tensor(scores.reshape(len(z), -1))


LABELS = np.arange(24) % 4, np.arange(24) // 4 % 3
PAIRS = Dataset(np.zeros((24, 1, 7, 1), np.uint8), LABELS[0], FIRSTS, "pairs", "train", LABELS[1], SECONDS)


@pytest.fixture
def measured(tmp_path: Path, capsys: pytest.CaptureFixture) -> Callable[..., list[tuple[float, float]]]:
    """Percent of the analogies of `mirror` that are right, and by chance: the first label, the second, both."""

    def measure(classifier: nn.Module, at_most: int = 500, exemplars: int = 100) -> list[tuple[float, float]]:
        noise = lambda n: normal((n, LATENT_DIM))
        options: Any = {"at_most": at_most, "exemplars": exemplars}
        analogies.measure_analogies(mirror, noise, classifier, PAIRS, tmp_path, **options)
        text = capsys.readouterr().out
        assert f"{min(at_most, 72)} analogies, {exemplars} points in each mean" in text  # 4 3 3 2 are 72
        rows = re.findall(r"^  (?:first label|second label|both) +(\S+)% +(\S+)%$", text, re.MULTILINE)
        return [(float(right), float(chance)) for right, chance in rows]

    return measure


def test_analogies_are_right_where_the_space_is_linear(measured: Callable, tmp_path: Path) -> None:
    assert measured(Reads()) == [(100.0, 25.0), (100.0, 33.3), (100.0, 8.3)]
    assert (tmp_path / "analogies.png").exists()
    assert measured(Reads(), at_most=5)[2] == (100.0, 8.3)


def test_the_two_labels_are_counted_apart(measured: Callable) -> None:
    """Those with the wanted second label 0, a third of all, are read as another number."""
    rights = lambda how: [right for right, _ in measured(Reads(how))]
    assert rights(lambda first, second: ((first + (second == 0)) % 4, second)) == [66.7, 100.0, 66.7]
    assert rights(lambda first, second: (first, np.where(first == 1, (second + 1) % 3, second))) == [100.0, 75.0, 75.0]


def test_a_classifier_that_guesses_is_at_chance(measured: Callable) -> None:
    random = np.random.default_rng(0)
    guess = lambda first, second: (random.integers(0, 4, len(first)), random.integers(0, 3, len(second)))
    for right, chance in measured(Reads(guess)):
        p = chance / 100
        assert right / 100 == pytest.approx(p, abs=4 * (p * (1 - p) / 72) ** 0.5)


def test_an_analogy_needs_enough_exemplars(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    few = {(f, s): np.zeros((10 if (f, s) == (0, 0) else 3, 7)) for f in range(2) for s in range(2)}
    assert len(analogies.choose_analogies(few, 3)) == 4
    assert not analogies.choose_analogies(few, 4)
    unsure = analogies.sort_by_label(np.zeros((5, 7)), np.full((5, 2, 2), 0.25))
    assert [len(z) for z in unsure.values()] == [0] * 4
    zeros = lambda n: np.zeros((n, LATENT_DIM))
    analogies.measure_analogies(mirror, zeros, Reads(), PAIRS, tmp_path)  # type: ignore[arg-type]
    assert "No analogies: of 20000 samples the classifier finds 30 of too few pairs" in capsys.readouterr().out


def test_the_second_label_of_a_data_set_that_has_one_is_its_brightness() -> None:
    """Among the images of each class: a third each is thin, medium and bold."""
    images = np.arange(24, dtype=np.uint8).reshape(-1, 1, 1, 1) + np.uint8(100) * (LABELS[0] == 1)[:, None, None, None]
    one = Dataset(images, LABELS[0], FIRSTS, "one", "train")
    found = analogies.with_brightness(one)
    assert found.colour_names == ("thin", "medium", "bold")
    np.testing.assert_array_equal(found.colours, np.arange(24) // 8)
    assert analogies.with_brightness(PAIRS) is PAIRS


def test_a_class_for_every_pair_of_labels() -> None:
    both = analogies.joint(PAIRS)
    assert len(both.classes) == 12 and both.colours is None
    for label, first, second in zip(both.labels, *LABELS, strict=True):
        assert both.classes[label] == f"{SECONDS[second]} {FIRSTS[first]}"


@pytest.fixture
def faces(tmp_path: Path) -> list:
    """The flags of a folder of images with attributes."""
    (tmp_path / "faces").mkdir()
    for i, image in enumerate(np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8)):
        Image.fromarray(image).save(tmp_path / "faces" / f"{i:02d}.png")
    lines = [f"{i:02d}.png {1 - 2 * (i % 2)} -1 {1 - 2 * (i // 2 % 2)}" for i in range(40)]
    (tmp_path / "attributes.txt").write_text("\n".join(["Eyeglasses Young Male", *lines]))
    return ["--dataset", tmp_path / "faces", "--attributes", tmp_path / "attributes.txt"]


class Spread(nn.Module):
    """A classifier of four classes that finds differences even in the samples of an untrained generator."""

    def features(self, x: Any) -> Tensor:
        return Tensor(to_numpy(x).reshape(len(x), -1))

    def head(self, features: Tensor) -> Tensor:
        f = features.numpy()
        directions = np.random.default_rng(1).standard_normal((f.shape[1], 4))
        return Tensor(1e6 * (f - f.mean(axis=0)) @ directions)


@pytest.mark.parametrize("device", ["cpu", "gpu"])
@pytest.mark.usefixtures("gpu_standin")
def test_it_runs_on_faces_and_measures_again_without_training(
    device: str,
    faces: list,
    tmp_path: Path,
    run_demo: Callable,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[Dataset] = []
    monkeypatch.setattr("common.analogies.trained_classifier", lambda a, b, path: (given.extend((a, b)), Spread())[1])
    monkeypatch.setattr("minigen.evaluate.latent.project", partial(latent.project, steps=5))
    small = ["--image-size", 8, "--batch-size", 4, "--latent-dim", 3, "--features", 2, "--epochs", 1]
    small += ["--device", device]
    run_demo("latent", *small, *faces, "--out", tmp_path / "run")
    text = capsys.readouterr().out
    assert "Projection of 4 test images: mean squared error of a pixel 0." in text
    assert "4 analogies, 30 points in each mean" in text
    names = [f"{male} {glasses}" for glasses in ("not Eyeglasses", "Eyeglasses") for male in ("not Male", "Male")]
    assert [dataset.classes for dataset in given] == [tuple(names)] * 2
    files = ["analogies.png", "grid.png", "projections.png", "samples.gif", "walk.gif", "walk.png"]
    assert {*files, "weights.safetensors"} <= set(os.listdir(tmp_path / "run"))

    monkeypatch.setattr(DCGAN, "discriminator_loss", lambda *arguments: pytest.fail("trained again"))
    run_demo("latent", *small, *faces, "--out", tmp_path / "run", "--resume", "--exemplars", 7, "--analogies", 3)
    assert "3 analogies, 7 points in each mean" in capsys.readouterr().out


def test_by_default_it_learns_coloured_digits_without_classes(tmp_path: Path, untrained: Callable) -> None:
    step, loader = untrained("latent", "--out", tmp_path)
    assert step.model.classes is None and loader.dataset.colour_names and loader.dataset.name == "coloured_digits"
