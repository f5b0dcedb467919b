"""What every source of images returns: the images, their labels and the labels' names."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images with labels, in the computer's memory.

    Index it like an array to choose images: `dataset[:100]`, `dataset[dataset.labels == 3]`.
    """

    images: np.ndarray  # (N, C, H, W) uint8
    labels: np.ndarray  # (N,) int64
    classes: tuple[str, ...]  # label i means classes[i]
    name: str
    split: str  # "train" or "test"
    colours: np.ndarray | None = None  # (N,) int64, a second label: only coloured digits have one
    colour_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        images = self.images
        if images.ndim != 4 or images.dtype != np.uint8:
            raise ValueError(f"{self}: images must be (N, C, H, W) uint8, got {images.shape} {images.dtype}")
        self._check("labels", self.labels, self.classes)
        if self.colours is not None:
            self._check("colours", self.colours, self.colour_names)

    def _check(self, what: str, values: np.ndarray, names: tuple[str, ...]) -> None:
        if values.shape != (len(self.images),) or values.dtype != np.int64:
            raise ValueError(f"{self}: {what} must be ({len(self.images)},) int64, got {values.shape} {values.dtype}")
        if len(values) and not 0 <= values.min() <= values.max() < len(names):
            raise ValueError(
                f"{self}: {what} must lie in 0 ... {len(names) - 1}, got {values.min()} ... {values.max()}"
            )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(C, H, W), the first argument of every model."""
        channels, height, width = self.images.shape[1:]
        return channels, height, width

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Any) -> Dataset:
        """The images chosen by a slice, a mask or an array of indices."""
        if not isinstance(index, slice | np.ndarray | list):
            raise TypeError(f"{self}: takes a slice or an array as index, got {index!r}")
        colours = None if self.colours is None else self.colours[index]
        return replace(self, images=self.images[index], labels=self.labels[index], colours=colours)

    def take(self, n: int) -> Dataset:
        """The first `n` images; `ValueError` if there are not that many."""
        if not 1 <= n <= len(self):
            raise ValueError(f"take: got {n}, but {self} has {len(self)} images")
        return self[:n]

    def __repr__(self) -> str:
        return f"<{self.name} {self.split}: {self.images.shape} images, {len(self.classes)} classes>"
