"""CIFAR-10 (Krizhevsky 2009) in its binary form: 50,000 training and 10,000 test images (3, 32, 32).

A record is a byte with the label, then 3,072 bytes of the image, red before green before blue, row by row; a file
holds 10,000 records. The files are read out of the archive (or its unpacked folder) and never unpacked to disk.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from minigen.data.dataset import Dataset
from minigen.data.download import RemoteFile, data_folders, fetch
from minigen.data.files import open_uncompressed, read_at_most

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FOLDER = "cifar-10-batches-bin"
FILES = {"train": tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test": ("test_batch.bin",)}
ARCHIVE = RemoteFile(
    "cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",  # of the archive itself
    ("https://www.cs.toronto.edu/~kriz/",),
    gzipped=False,
)
RECORD = 1 + 3 * 32 * 32


def load_cifar10(split: str = "train", data_dir: str | Path | None = None) -> Dataset:
    """CIFAR-10 from an unpacked folder `cifar-10-batches-bin`, or from the archive, which is downloaded if needed.

    The archive is used only if it has the published SHA-256. The files of an unpacked folder have no checksum: their
    sizes and labels are checked (see `read_cifar10`), but a changed pixel in them cannot be noticed.
    """
    places = (place for folder in data_folders(data_dir) for place in (folder / "cifar10", folder))
    unpacked = next((place / FOLDER for place in places if (place / FOLDER).is_dir()), None)
    images, labels = read_cifar10(unpacked or fetch("cifar10", ARCHIVE, data_dir), split)
    return Dataset(images, labels, CLASSES, "cifar10", split)


def read_cifar10(path: Path, split: str, images_per_file: int = 10_000) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) uint8 and labels (N,) int64 from the archive or the unpacked folder `path`.

    Raises `ValueError`, naming the file, if it is missing, of another size or damaged. In each split, every class has
    the same number of images, so that one changed label is noticed.
    """
    names, size = FILES[split], images_per_file * RECORD
    contents = _read_folder(path, names, size) if path.is_dir() else _read_archive(path, names, size)
    for name in names:
        if name not in contents:
            raise ValueError(f"{path}: has no file {FOLDER}/{name}")
    records = np.concatenate([_records(path, name, contents[name], size) for name in names])
    labels = records[:, 0].astype(np.int64)
    counts = np.bincount(labels, minlength=len(CLASSES))
    if (counts != len(labels) // len(CLASSES)).any():
        raise ValueError(
            f"{path}: a label in {', '.join(names)} is damaged: the classes must have {len(labels) // len(CLASSES)} "
            f"images each, but have {counts.tolist()}"
        )
    return records[:, 1:].reshape(-1, 3, 32, 32), labels


def _records(path: Path, name: str, content: bytearray, size: int) -> np.ndarray:
    """The records of one file, (N, 3073) uint8: the label, then the image."""
    if len(content) != size:
        fault = "more" if len(content) > size else "fewer"
        raise ValueError(f"{path}: {name} must have {size} bytes ({size // RECORD} images), but it has {fault}")
    records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
    if records[:, 0].max() >= len(CLASSES):
        raise ValueError(f"{path}: {name} is damaged: it has a label {records[:, 0].max()}, not 0 ... 9")
    return records


def _read_folder(folder: Path, names: tuple[str, ...], size: int) -> dict[str, bytearray]:
    """The files called `names` that are there, at most `size` + 1 bytes of each."""
    contents = {}
    for name in names:
        if (folder / name).is_file():
            with open(folder / name, "rb") as file:
                contents[name] = read_at_most(file, size + 1)
    return contents


def _read_archive(path: Path, names: tuple[str, ...], size: int) -> dict[str, bytearray]:
    """The same from the archive, which is read to its end, where the checksum of gzip stands."""
    import tarfile  # slow to import

    limit = 6 * size + (1 << 20)  # the six files of images, and room for their headers and two short texts
    with open_uncompressed(path) as file:
        content = read_at_most(file, limit + 1)
    if len(content) > limit:
        raise ValueError(f"{path}: must have at most {limit} bytes when uncompressed, but it has more")
    members = {f"{FOLDER}/{name}": name for name in names}
    contents = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for member in archive:
                data = archive.extractfile(member) if member.name in members and member.isfile() else None
                if data is not None:
                    contents[members[member.name]] = read_at_most(data, size + 1)
    except (tarfile.TarError, ValueError) as error:
        raise ValueError(f"{path}: not a tar archive, or a damaged one ({error})") from error
    return contents
