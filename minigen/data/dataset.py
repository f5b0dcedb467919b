"""The type of every data set of images: the images, their labels and the labels' names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images with labels, in the computer's memory.

    `dataset[i]` is one image (C, H, W) and its label. A slice, a mask or an array of indices gives a smaller data set:
    `dataset[:100]`, `dataset[dataset.labels == 3]`. `from_arrays` makes a data set from one's own arrays.

    Raises `ValueError` if shapes or dtypes are not those below, or a label has no name.
    """

    images: np.ndarray  # (N, C, H, W) uint8
    labels: np.ndarray  # (N,) int64
    classes: tuple[str, ...]  # label i means classes[i]
    name: str
    split: str  # "train" or "test"
    colours: np.ndarray | None = None  # (N,) int64, a second label: only coloured digits and attributes have one
    colour_names: tuple[str, ...] = ()

    @staticmethod
    def from_arrays(images: Any, labels: Any = None, *, name: str = "arrays", split: str = "train") -> Dataset:
        """A data set of one's own arrays: `images` (N, C, H, W) uint8, `labels` (N,) integers from 0 on.

        Without labels, every image gets label 0. The classes are named by their numbers.

        >>> Dataset.from_arrays(np.zeros((60, 3, 32, 32), np.uint8))
        <arrays train: (60, 3, 32, 32) images, 1 classes>
        """
        images = np.asarray(images)
        labels = np.zeros(len(images), np.int64) if labels is None else np.asarray(labels)
        if labels.dtype.kind not in "iu":
            raise ValueError(f"from_arrays: expects integer labels, got {labels.dtype}")
        classes = tuple(map(str, range(labels.max(initial=0) + 1)))
        return Dataset(images, labels.astype(np.int64), classes, name, split)

    def __post_init__(self) -> None:
        images = self.images
        if images.ndim != 4 or images.dtype != np.uint8:
            raise ValueError(f"{self}: expects images (N, C, H, W) uint8, got {images.shape} {images.dtype}")
        self._check("labels", self.labels, self.classes)
        if self.colours is not None:
            self._check("colours", self.colours, self.colour_names)

    def _check(self, what: str, values: np.ndarray, names: tuple[str, ...]) -> None:
        if values.shape != (len(self.images),) or values.dtype != np.int64:
            raise ValueError(f"{self}: expects {what} ({len(self.images)},) int64, got {values.shape} {values.dtype}")
        if len(values) and not 0 <= values.min() <= values.max() < len(names):
            raise ValueError(f"{self}: expects {what} in 0 ... {len(names) - 1}, got {values.min()} ... {values.max()}")

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W), the first argument of every model."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def __len__(self) -> int:
        """The number of images."""
        return len(self.images)

    @overload
    def __getitem__(self, index: int | np.integer) -> tuple[np.ndarray, int]: ...
    @overload
    def __getitem__(self, index: slice | np.ndarray | list) -> Dataset: ...
    def __getitem__(self, index: Any) -> Any:
        """One image (C, H, W) and its label for an integer; a `Dataset` for a slice, a mask or an array of indices."""
        if isinstance(index, int | np.integer) and not isinstance(index, bool):
            return self.images[index], int(self.labels[index])
        if not isinstance(index, slice | np.ndarray | list):
            raise TypeError(f"{self}: expects an integer, a slice or an array as the index, got {index!r}")
        colours = None if self.colours is None else self.colours[index]
        return replace(self, images=self.images[index], labels=self.labels[index], colours=colours)

    def take(self, n: int) -> Dataset:
        """The first `n` images. Raises `ValueError` if there are not that many."""
        if not 1 <= n <= len(self):
            raise ValueError(f"take: expects n = 1 ... {len(self)}, the number of images in {self}, got {n}")
        return self[:n]

    def __repr__(self) -> str:
        colours = f", {len(self.colour_names)} colours" if self.colours is not None else ""
        return f"<{self.name} {self.split}: {self.images.shape} images, {len(self.classes)} classes{colours}>"
