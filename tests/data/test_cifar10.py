"""CIFAR-10 from its archive or its folder; damaged and foreign files are named."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import tracemalloc
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from minigen.data import cifar10, load
from minigen.data.cifar10 import read_cifar10

NAMES = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
COUNT = 10  # images in a file, one of each class


def record(label: int, file: int, i: int) -> bytes:
    """One image in CIFAR-10's layout, written by a loop: a pixel's value tells where it belongs."""
    values = [label]
    for channel in range(3):
        for row in range(32):
            for column in range(32):
                values.append((file * 100 + i * 50 + channel * 7 + row * 3 + column) % 256)
    return bytes(values)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return {name: b"".join(record((file + i) % 10, file, i) for i in range(COUNT)) for file, name in enumerate(NAMES)}


def write_folder(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def write_archive(path: Path, files: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in {"readme.html": b"<html>", **files}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize("write", [write_folder, write_archive])
def test_reads_both_forms(tmp_path: Path, files: dict[str, bytes], write: object) -> None:
    path = write(tmp_path / "cifar", dict(reversed(files.items())))  # type: ignore[operator]
    for split, numbers in (("train", range(5)), ("test", [5])):
        images, labels = read_cifar10(path, split, COUNT)
        assert images.dtype == np.uint8 and images.shape == (COUNT * len(numbers), 3, 32, 32)
        assert labels.tolist() == [(file + i) % 10 for file in numbers for i in range(COUNT)]
        for n, (file, i) in enumerate((file, i) for file in numbers for i in range(COUNT)):
            for channel, row, column in [(0, 0, 0), (0, 0, 5), (0, 7, 0), (1, 0, 0), (2, 31, 31), (2, 4, 9)]:
                value = (file * 100 + i * 50 + channel * 7 + row * 3 + column) % 256
                assert images[n, channel, row, column] == value


@pytest.mark.parametrize("write", [write_folder, write_archive])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-1], r"data_batch_3.bin must have 30730 bytes \(10 images\), but it has fewer"),
        (lambda content: content + b"\0", "data_batch_3.bin must have 30730 bytes .*, but it has more"),
        (lambda content: content[:3073], "data_batch_3.bin must have 30730 bytes .*, but it has fewer"),
        (lambda content: b"", "data_batch_3.bin must have 30730 bytes .*, but it has fewer"),
        (lambda content: content[:3073] + b"\x0a" + content[3074:], "data_batch_3.bin is damaged.* a label 10"),
        (lambda content: b"\0" + content[1:], r"a label in data_batch_1.bin, .* 5 images each, .* \[6, 5, 4, 5, 5,"),
        (None, "cifar: has no file cifar-10-batches-bin/data_batch_3.bin"),
    ],
)
def test_names_the_file_that_is_wrong(
    tmp_path: Path, files: dict[str, bytes], write: object, change: object, message: str
) -> None:
    files = dict(files)
    content = files.pop("data_batch_3.bin")
    if change is not None:
        files["data_batch_3.bin"] = change(content)  # type: ignore[operator]
    path = write(tmp_path / "cifar", files)  # type: ignore[operator]
    with pytest.raises(ValueError, match=message):
        read_cifar10(path, "train", COUNT)
    read_cifar10(path, "test", COUNT)  # the other split is whole


def test_a_link_in_the_archive_is_not_followed(tmp_path: Path, files: dict[str, bytes]) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(files["test_batch.bin"])
    with tarfile.open(tmp_path / "cifar", "w:gz") as archive:
        link = tarfile.TarInfo("cifar-10-batches-bin/test_batch.bin")
        link.type, link.linkname = tarfile.SYMTYPE, str(secret)
        archive.addfile(link)
    with pytest.raises(ValueError, match=r"has no file cifar-10-batches-bin/test_batch\.bin"):
        read_cifar10(tmp_path / "cifar", "test", COUNT)


@pytest.mark.parametrize("damage", [lambda c: c[: len(c) // 2], lambda c: b"nonsense", lambda c: c[:60] + c[70:]])
def test_a_damaged_archive_is_named(tmp_path: Path, files: dict[str, bytes], damage: object) -> None:
    path = write_archive(tmp_path / "cifar-10-binary.tar.gz", files)
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"cifar-10-binary\.tar\.gz: (the gzip file is corrupted|not a tar archive)"):
        read_cifar10(path, "train", COUNT)


def test_the_checksum_at_the_end_of_an_archive_is_compared(tmp_path: Path, files: dict[str, bytes]) -> None:
    path = write_archive(tmp_path / "archive", files)
    content = path.read_bytes()
    path.write_bytes(content[:-8] + bytes(4) + content[-4:])
    with pytest.raises(ValueError, match=r"archive: the gzip file is corrupted or cut short .CRC check failed"):
        read_cifar10(path, "test", COUNT)


def test_an_archive_takes_no_more_memory_than_cifar10s(tmp_path: Path, files: dict[str, bytes]) -> None:
    (tmp_path / "zeros").write_bytes(gzip.compress(bytes(100_000_000), 1))
    large = write_archive(tmp_path / "large", {"test_batch.bin": bytes(100_000_000)})
    folder = write_folder(tmp_path / "folder", {"test_batch.bin": bytes(100_000_000)})
    with tarfile.open(tmp_path / "sparse", "w:gz") as archive:  # a hole of 100 MB that takes no byte in the archive
        member = tarfile.TarInfo("cifar-10-batches-bin/test_batch.bin")
        member.pax_headers = {"GNU.sparse.map": "0,0", "GNU.sparse.size": "100000000"}
        archive.addfile(member)
    for path, fault in [
        (tmp_path / "zeros", "must have at most"),
        (large, "must have at most"),
        (tmp_path / "sparse", "test_batch.bin must have"),
        (folder, "test_batch.bin must have"),
    ]:
        tracemalloc.start()
        with pytest.raises(ValueError, match=f"{path.name}: {fault}"):
            read_cifar10(path, "test", COUNT)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
        tracemalloc.stop()


@pytest.mark.parametrize("place", ["", "cifar10"])
def test_loads_by_name(
    tmp_path: Path,
    files: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
    mirror: tuple[str, Path],
    empty_cache: Path,
    place: str,
) -> None:
    monkeypatch.setattr(cifar10, "read_cifar10", partial(read_cifar10, images_per_file=COUNT))
    archive = write_archive(mirror[1] / "cifar-10-binary.tar.gz", files)
    checksum = hashlib.sha256(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(cifar10, "ARCHIVE", replace(cifar10.ARCHIVE, sha256=checksum, mirrors=(mirror[0],)))
    downloaded = load("cifar10")
    assert len(downloaded) == 5 * COUNT and downloaded.classes[6] == "frog" and downloaded.image_shape == (3, 32, 32)
    assert (empty_cache / "cifar10" / "cifar-10-binary.tar.gz").is_file()
    files = {name: content[:1] + bytes(3072) + content[3073:] for name, content in files.items()}
    write_folder(tmp_path / place / "cifar-10-batches-bin", files)  # an unpacked folder comes first
    dataset = load("cifar10", "test", data_dir=tmp_path)
    assert len(dataset) == COUNT and (dataset.images[0] == 0).all() and dataset.images[1].any()
