"""Two domains of images without pairs, for models that translate between them or learn both together.

A domain is a data set. To make two that have nothing in common but their digits, cut one into `halves`, and turn the
images of one half into something else: `edges`, `negatives`, `painted`, `with_bars`.

>>> first, second = halves(load("digits"))
>>> second = replace(second, images=edges(second.images))
>>> batches = Unpaired(first, second, batch_size=64, batches=1000)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from minigen.backend import Array, current_dtype
from minigen.backend import device as find_device
from minigen.data.dataset import Dataset
from minigen.random import random_generator, separate_random


def halves(dataset: Dataset, seed: int = 0) -> tuple[Dataset, Dataset]:
    """Two data sets that have no image in common, of equal size (one image is left out if the number is odd)."""
    if len(dataset) < 2:
        raise ValueError(f"halves: expects at least two images, got {dataset}")
    order, half = np.random.default_rng(seed).permutation(len(dataset)), len(dataset) // 2
    return dataset[order[:half]], dataset[order[half : 2 * half]]


def edges(images: np.ndarray) -> np.ndarray:
    """The outer edges of bright shapes, (N, C, H, W) uint8: the largest of 3 x 3 pixels minus the pixel itself."""
    height, width = _checked("edges", images).shape[2:]
    around = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    dilated = [around[:, :, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return np.max(dilated, axis=0) - images


def negatives(images: np.ndarray) -> np.ndarray:
    """Bright becomes dark, (N, C, H, W) uint8."""
    return 255 - _checked("negatives", images)


def painted(images: np.ndarray, ink: tuple[int, int, int], ground: tuple[int, int, int] = (0, 0, 0)) -> np.ndarray:
    """Grey images (N, 1, H, W) uint8 in two colours (r, g, b) of 0 to 255, (N, 3, H, W): black turns into `ground`."""
    if _checked("painted", images).shape[1] != 1:
        raise ValueError(f"painted: expects grey images (N, 1, H, W), got {images.shape}")
    share = images / 255
    colour = lambda rgb: np.reshape(rgb, (3, 1, 1))
    return np.rint((1 - share) * colour(ground) + share * colour(ink)).astype(np.uint8)


def with_bars(images: np.ndarray, seed: int = 0, thickness: int = 3) -> np.ndarray:
    """A bright horizontal bar is pasted over each image (N, C, H, W) uint8, at a random height."""
    n, _, height, _ = _checked("with_bars", images).shape
    top = np.random.default_rng(seed).integers(1, height - thickness, (n, 1))
    rows = np.arange(height)
    bar = (rows >= top) & (rows < top + thickness)  # (N, H)
    return np.where(bar[:, None, :, None], np.uint8(255), images)


def _checked(name: str, images: np.ndarray) -> np.ndarray:
    if images.ndim != 4 or images.dtype != np.uint8:
        raise ValueError(f"{name}: expects images (N, C, H, W) uint8, got {images.shape} {images.dtype}")
    return images


class Unpaired:
    """Random images of two data sets side by side, in the form of a `Loader`: an epoch has `batches` batches.

    A batch is (images (batch_size, 2, C, H, W) with pixels in [-1, 1], labels (batch_size, 2)): [:, 0] is drawn from
    the first data set and [:, 1], independently, from the second. All random numbers of batch b of epoch e depend on
    (seed, e, b) alone. `ValueError` if the images have different shapes or a number is out of its range.
    """

    def __init__(self, first: Dataset, second: Dataset, batch_size: int, batches: int, seed: int = 0) -> None:
        if first.image_shape != second.image_shape or min(len(first), len(second)) < 1:
            raise ValueError(f"Unpaired: expects images of one shape, got {first} and {second}")
        if min(batch_size, batches) < 1 or seed < 0:
            raise ValueError(
                f"Unpaired: expects batch_size and batches >= 1 and seed >= 0, got {batch_size}, {batches}, {seed}"
            )
        self.domains: Sequence[Dataset] = (first, second)
        self.batch_size, self.batches, self.seed = batch_size, batches, seed
        self.device = find_device()

    def __len__(self) -> int:
        """Batches in an epoch."""
        return self.batches

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Array, Array]]:
        """The batches of epoch number `epoch`, from batch number `start` on."""
        for b in range(start, self.batches):
            with separate_random(self.seed, "batch", epoch, b):
                drawn = [
                    domain[random_generator().integers(len(domain), size=self.batch_size)] for domain in self.domains
                ]
            images = np.stack([part.images for part in drawn], axis=1).astype(current_dtype()) / 127.5 - 1
            yield self.device.asarray(images), self.device.asarray(np.stack([part.labels for part in drawn], axis=1))
