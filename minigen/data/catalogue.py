"""The data sets by their names."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from minigen.data.cifar10 import load_cifar10
from minigen.data.coloured_digits import load_coloured_digits
from minigen.data.dataset import Dataset
from minigen.data.images import load_folder
from minigen.data.mnist import load_digits, load_mnist

_LOADERS: dict[str, Callable[[str, str | Path | None], Dataset]] = {
    "digits": lambda split, data_dir: load_digits(split),
    "coloured_digits": lambda split, data_dir: load_coloured_digits(split),
    "mnist": lambda split, data_dir: load_mnist("mnist", split, data_dir),
    "fashion-mnist": lambda split, data_dir: load_mnist("fashion-mnist", split, data_dir),
    "cifar10": load_cifar10,
}
NAMES = tuple(_LOADERS)


def load(
    name: str | Path = "digits", split: str = "train", *, data_dir: str | Path | None = None, size: int = 32
) -> Dataset:
    """The data set called `name`, or the folder of images at that path (see `load_folder`).

    `split` is "train" or "test". "digits" and "coloured_digits" come with minigen. "mnist", "fashion-mnist" and
    "cifar10" are searched in `data_dir`, in the folder that the environment variable `MINIGEN_DATA` names and in the
    cache, and downloaded if they are in none of them. If a folder has no subfolders "train" and "test", every tenth of
    its images belongs to "test" and the others to "train". `size` is the side in pixels that its images get.

    Raises `ValueError` if there is no such data set, or if a file is damaged, and `FileNotFoundError` if a file is
    neither on this machine nor can be downloaded.

    >>> load("digits")
    <digits train: (8000, 1, 28, 28) images, 10 classes>
    """
    if split not in ("train", "test"):
        raise ValueError(f'load: expects split "train" or "test", got {split!r}')
    if name in _LOADERS:
        return _LOADERS[str(name)](split, data_dir)
    if isinstance(name, Path) or "/" in name or os.sep in name or Path(name).is_dir():
        return _load_folder(Path(name).expanduser(), split, size)
    raise ValueError(f"load: no data set {name!r}; there are {', '.join(NAMES)}, or a folder's path")


def _load_folder(path: Path, split: str, size: int) -> Dataset:
    if (path / "train").is_dir() or (path / "test").is_dir():
        return load_folder(path, split, size=size)
    everything = load_folder(path, size=size)
    if split == "test" and len(everything) < 10:
        raise ValueError(
            f"load: {path} has too few images: every tenth is for the test, and there are {len(everything)}"
        )
    tenth = np.arange(len(everything)) % 10 == 9
    return replace(everything[tenth if split == "test" else ~tenth], split=split)
