"""The digits in the package, and MNIST and Fashion-MNIST side by side."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from minigen.data import load, mnist
from minigen.data.idx import write_idx


def test_digits_are_mnists_first() -> None:
    train, test = load("digits"), load("digits", "test")
    assert train.images.shape == (8000, 1, 28, 28) and test.images.shape == (2000, 1, 28, 28)
    assert train.classes == tuple("0123456789") and train.image_shape == (1, 28, 28)
    assert train.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]  # the known first labels of MNIST
    assert test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert np.bincount(train.labels).min() > 700 and np.bincount(test.labels).min() > 150
    for dataset in (train, test):  # MNIST centres every digit's mass in the image
        mass = dataset.images[:, 0].astype(float).mean(axis=0)
        rows, columns = np.indices(mass.shape)
        assert abs((rows * mass).sum() / mass.sum() - 14) < 0.2
        assert abs((columns * mass).sum() / mass.sum() - 14) < 0.2


def test_digits_are_small_and_carry_their_licence() -> None:
    folder = Path(mnist.__file__).parent / "digits"
    assert sorted(path.name for path in folder.iterdir()) == [
        "LICENSE.md",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
    ]
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1_700_000
    licence = (folder / "LICENSE.md").read_text(encoding="utf-8")
    for part in ("Yann LeCun and Corinna Cortes", "NIST", "by-sa/3.0", "8,000", "2,000"):
        assert part in licence


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_every_file_has_a_checksum_and_two_mirrors(name: str) -> None:
    assert set(mnist.SHA256[name]) == {file for files in mnist.FILES.values() for file in files}
    assert all(len(bytes.fromhex(checksum)) == 32 for checksum in mnist.SHA256[name].values())
    assert len(set(mnist.MIRRORS[name])) >= 2
    assert all(address.endswith("/") for address in mnist.MIRRORS[name])


def write(folder: Path, value: int, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A small data set in `folder`, and its checksums as those of the data set called `name`."""
    folder.mkdir()
    for split, count in (("train", 5), ("test", 2)):
        images, labels = mnist.FILES[split]
        write_idx(folder / f"{images}.gz", np.full((count, 28, 28), value, np.uint8))
        write_idx(folder / f"{labels}.gz", np.arange(count, dtype=np.uint8))
        for file in (images, labels):
            content = gzip.decompress((folder / f"{file}.gz").read_bytes())
            monkeypatch.setitem(mnist.SHA256[name], file, hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize(
    ("shape", "label", "message"),
    [
        ((2, 28, 14), 0, "idx3.*: expects images of 28 x 28, got 28 x 14"),
        ((2, 28, 28), 10, "idx1.*: expects labels 0 ... 9, got 10"),
    ],
)
def test_files_of_another_shape_are_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, ...], label: int, message: str
) -> None:
    write_idx(tmp_path / "idx3", np.zeros(shape, np.uint8))
    write_idx(tmp_path / "idx1", np.array([0, label], np.uint8))
    monkeypatch.setattr(
        mnist, "fetch", lambda name, file, data_dir: tmp_path / ("idx3" if "idx3" in file.name else "idx1")
    )
    with pytest.raises(ValueError, match=message):
        load("mnist")


def test_both_data_sets_side_by_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "mnist", 1, monkeypatch, "mnist")
    write(tmp_path / "fashion-mnist", 2, monkeypatch, "fashion-mnist")
    for name, value, first in (("mnist", 1, "0"), ("fashion-mnist", 2, "T-shirt/top")):
        for split, count in (("train", 5), ("test", 2)):
            dataset = load(name, split, data_dir=tmp_path)
            assert (dataset.images == value).all() and dataset.images.shape == (count, 1, 28, 28)
            assert dataset.labels.tolist() == list(range(count))
            assert (dataset.name, dataset.split, dataset.classes[0]) == (name, split, first)
            assert len(dataset.classes) == 10


def test_one_is_never_taken_for_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dead_mirror: str) -> None:
    monkeypatch.setitem(mnist.MIRRORS, "mnist", (dead_mirror,))
    write(tmp_path / "data", 2, monkeypatch, "fashion-mnist")
    assert (load("fashion-mnist", data_dir=tmp_path / "data").images == 2).all()
    with pytest.raises(FileNotFoundError, match=r"data/train-images-idx3-ubyte\.gz: its SHA-256 is"):
        load("mnist", data_dir=tmp_path / "data")
