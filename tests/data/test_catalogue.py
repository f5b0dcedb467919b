"""`load`: which data set a name or a path means."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minigen.data import NAMES, load


def test_an_unknown_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(ValueError, match="load: no data set 'minst'; there are ") as error:
        load("minst")
    assert all(name in str(error.value) for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_split_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match='load: expects split "train" or "test", got \'validation\''):
        load(name, "validation")


def test_a_path_is_a_folder_of_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pictures").mkdir()
    Image.fromarray(np.full((40, 50), 9, np.uint8)).save(tmp_path / "pictures" / "a.png")
    monkeypatch.chdir(tmp_path)
    for name in ("pictures", "./pictures", str(tmp_path / "pictures"), tmp_path / "pictures"):
        dataset = load(name)
        assert dataset.image_shape == (3, 32, 32) and (dataset.images == 9).all()
    with pytest.raises(ValueError, match="is not a folder"):
        load("./digits")  # a path, not the name


def test_a_known_name_wins_over_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert len(load("digits")) == len(load()) == 8000


def test_only_numpy_is_imported() -> None:
    code = (
        "import sys, minigen.data\n"
        "minigen.data.load('digits')\n"
        "print({'pooch', 'requests', 'tqdm', 'PIL', 'matplotlib', 'safetensors', 'cupy'} & set(sys.modules))"
    )
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout == "set()\n"


def test_a_folder_without_splits_keeps_every_tenth_image_for_the_test(tmp_path: Path) -> None:
    for i in range(25):
        Image.new("L", (4, 4), color=10 * i).save(tmp_path / f"{i:02d}.png")
    train, test = (load(tmp_path, split, size=4) for split in ("train", "test"))
    assert test.images[:, 0, 0, 0].tolist() == [90, 190]
    assert sorted([*train.images[:, 0, 0, 0].tolist(), 90, 190]) == [10 * i for i in range(25)]
    assert train.image_shape == (3, 4, 4) and (train.split, test.split) == ("train", "test")


def test_a_folder_with_too_few_images_for_a_test_says_so(tmp_path: Path) -> None:
    for i in range(9):
        Image.new("L", (4, 4)).save(tmp_path / f"{i}.png")
    assert len(load(tmp_path, size=4)) == 9
    with pytest.raises(ValueError, match=r"load: .* has too few images: every tenth is for the test, and there are 9"):
        load(tmp_path, "test", size=4)
    Image.new("L", (4, 4)).save(tmp_path / "9.png")
    assert len(load(tmp_path, "test", size=4)) == 1
