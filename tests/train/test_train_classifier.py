"""The classifier of a data set: trained once, then read from its file; whatever is wrong with that is put right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from minigen import load, save
from minigen.backend import manual_seed, random_state
from minigen.data import Dataset
from minigen.models.classifier import Classifier
from minigen.train import classifier as module
from minigen.train.classifier import trained_classifier


def halves(n: int, classes: tuple[str, ...] = ("dark", "bright")) -> Dataset:
    """Images brighter or darker than the middle."""
    random = np.random.default_rng(n)
    labels = random.integers(0, 2, n)
    images = (random.integers(0, 120, (n, 1, 4, 4)) + 120 * labels[:, None, None, None]).astype(np.uint8)
    return Dataset(images, labels, classes, "halves", "train")


def test_trained_then_read(tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "new" / "halves.safetensors"
    manual_seed(3)
    before = random_state()
    first = trained_classifier(halves(200), halves(60), path, epochs=4, batch_size=20)
    assert random_state() == before and not first.training
    said = capsys.readouterr().out
    assert said == f"Classifier of halves, trained and saved in {path}: 100.0% of 60 test images right\n"
    for name, x in load(path).items():
        assert (x == first.state_dict()[name]).all()

    monkeypatch.setattr(module, "_train", lambda *arguments: pytest.fail("trained although there is a file"))
    second = trained_classifier(halves(200), halves(60), path)
    assert capsys.readouterr().out == f"Classifier of halves, from {path}: 100.0% of 60 test images right\n"
    x = np.linspace(-1, 1, 48, dtype=np.float32).reshape(3, 1, 4, 4)
    assert (first.logits(x).numpy() == second.logits(x).numpy()).all()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-9]),
        lambda path: save(Classifier((1, 4, 4), classes=3), path),
        lambda path: save({"other": np.zeros(3)}, path),
    ],
    ids=["cut short", "other classes", "other model"],
)
def test_a_file_that_does_not_fit_is_replaced(
    spoil: Callable[[Path], None], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    path = tmp_path / "halves.safetensors"
    make = lambda: trained_classifier(halves(40), halves(60), path, epochs=1)
    first = make()
    good = load(path)
    spoil(path)
    capsys.readouterr()
    again = make()
    assert f"trained anew ({path}: " in capsys.readouterr().out
    for name, x in load(path).items():  # the same classifier as before
        assert (x == good[name]).all() and (x == again.state_dict()[name]).all()
    assert first.classes == again.classes == 2


def test_batches_are_moved_by_up_to_two_pixels_of_28(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    image = np.zeros((1, 1, 28, 28), np.uint8)
    image[0, 0, 10, 14] = 255
    seen = []

    class Step:
        def __init__(self, *arguments: object, **settings: object) -> None: ...

        def __call__(self, images: np.ndarray, labels: np.ndarray) -> None:
            seen.append(tuple(int(n) for n in np.argwhere(images[0, 0] == 1)[0]))

    monkeypatch.setattr(module, "MaximumLikelihood", Step)
    dot = Dataset(image, np.zeros(1, np.int64), ("dot", "none"), "dot", "train")
    trained_classifier(dot, dot, tmp_path / "dot.safetensors", epochs=200)
    assert set(seen) == {(y, x) for y in range(8, 13) for x in range(12, 17)}


def test_one_class_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Classifier: got .*classes=1"):
        trained_classifier(
            Dataset(np.zeros((2, 1, 4, 4), np.uint8), np.zeros(2, np.int64), ("image",), "folder", "train"),
            halves(2),
            tmp_path / "x",
        )
