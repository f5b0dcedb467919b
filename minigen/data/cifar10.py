"""CIFAR-10 (Krizhevsky 2009) in its binary form: 50,000 training and 10,000 test images (3, 32, 32).

A record is a byte with the label, then 3,072 bytes of the image, red before green before blue, row by row; a file
holds 10,000 records. The files are read out of the archive (or its unpacked folder) and never unpacked to disk.
"""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from minigen.data.dataset import Dataset
from minigen.data.download import RemoteFile, data_folders, fetch

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
    """CIFAR-10, from a folder `cifar-10-batches-bin` or the archive, which is downloaded if there is neither."""
    places = (place for folder in data_folders(data_dir) for place in (folder / "cifar10", folder))
    unpacked = next((place / FOLDER for place in places if (place / FOLDER).is_dir()), None)
    images, labels = read_cifar10(unpacked or fetch("cifar10", ARCHIVE, data_dir), split)
    return Dataset(images, labels, CLASSES, "cifar10", split)


def read_cifar10(path: Path, split: str, images_per_file: int = 10_000) -> tuple[np.ndarray, np.ndarray]:
    """Images (N, 3, 32, 32) uint8 and labels (N,) int64 from the archive or the unpacked folder `path`.

    Raises `ValueError` naming the file that is missing, of another size or damaged.
    """
    contents = _read_folder(path, FILES[split]) if path.is_dir() else _read_archive(path, FILES[split])
    batches = []
    for name in FILES[split]:
        content = contents.get(name)
        if content is None:
            raise ValueError(f"{path}: has no file {FOLDER}/{name}")
        if len(content) != images_per_file * RECORD:
            raise ValueError(
                f"{path}: {name} has {len(content)} bytes; {images_per_file} images of {RECORD} bytes each "
                f"take {images_per_file * RECORD}"
            )
        records = np.frombuffer(content, np.uint8).reshape(-1, RECORD)
        if records[:, 0].max() >= len(CLASSES):
            raise ValueError(f"{path}: {name} is damaged: it has a label {records[:, 0].max()}, not 0 ... 9")
        batches.append(records)
    records = np.concatenate(batches)
    return records[:, 1:].reshape(-1, 3, 32, 32), records[:, 0].astype(np.int64)


def _read_folder(folder: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}


def _read_archive(path: Path, names: tuple[str, ...]) -> dict[str, bytes]:
    import tarfile  # slow to import

    members = {f"{FOLDER}/{name}": name for name in names}
    contents = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.name in members and member.isfile() else None
                if file is not None:
                    contents[members[member.name]] = file.read()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path}: not a gzipped tar archive, or damaged ({error})") from error
    return contents
