"""Mini-batches of a data set on a device, shuffled and converted to what a model expects.

All random numbers of batch b of epoch e depend on (seed, e, b) alone, so a training run that is resumed there gets the
same batches.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, get_args

import numpy as np

from minigen.backend import Array, Device, array_module, current_dtype, device_of
from minigen.backend import device as find_device
from minigen.data.dataset import Dataset
from minigen.random import random_generator, separate_random, uniform

Pixels = Literal["binary", "levels", "unit", "signed"]
Binarization = Literal["dynamic", "fixed"]


class Loader:
    """Batches (images (n, C, H, W), labels (n,)) as arrays on `device` (default: the current one).

    A `for` loop over the loader goes through one epoch, the next loop through the next one. `epoch(e)` always gives
    the batches of epoch e; training uses it so that it can be resumed.

    `pixels` says what an image value v = 0 ... 255 becomes:

    - "binary": 1 with probability v / 255, else 0 (uint8). With `binarization="dynamic"` it is drawn anew in every
      epoch, with "fixed" only once. The two are different tasks, so results must say which was used.
    - "levels": an integer 0 ... levels - 1, floor(v levels / 256) (uint8; `levels` is 256 if not given).
    - "unit", "signed": a float in [0, 1] or [-1, 1], of the default dtype.

    `flip` mirrors each image left to right with probability 1/2. `drop_last` leaves out a smaller last batch.

    Raises `ValueError` if an argument is out of its range or the data set has too few images for one batch.

    >>> loader = Loader(load("digits"))
    >>> for images, labels in loader: ...
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 128,
        *,
        pixels: Pixels = "binary",
        levels: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        flip: bool = False,
        drop_last: bool = False,
        device: str | Device | None = None,
        binarization: Binarization = "dynamic",
    ) -> None:
        if not isinstance(dataset, Dataset):
            raise TypeError(f"Loader: expects a Dataset (Dataset.from_arrays makes one), got {type(dataset).__name__}")
        _check_choice("pixels", pixels, get_args(Pixels))
        _check_choice("binarization", binarization, get_args(Binarization))
        if levels is not None and (pixels != "levels" or not 2 <= levels <= 256):
            raise ValueError(f'Loader: expects levels 2 ... 256 with pixels="levels", got {levels} with {pixels!r}')
        if batch_size < 1 or seed < 0:
            raise ValueError(f"Loader: expects batch_size >= 1 and seed >= 0, got {batch_size} and {seed}")
        least = batch_size if drop_last else 1
        if len(dataset) < least:
            raise ValueError(
                f"Loader: too few images: expects at least {least}{' (a whole batch)' * drop_last}, got {dataset}"
            )
        self.dataset, self.batch_size, self.pixels, self.seed = dataset, batch_size, pixels, seed
        self.shuffle, self.flip, self.drop_last, self.binarization = shuffle, flip, drop_last, binarization
        self.device = find_device(device)
        images = dataset.images
        if pixels == "levels" and levels is not None:
            images = (images.astype(np.uint16) * levels // 256).astype(np.uint8)
        elif pixels == "binary" and binarization == "fixed":
            with separate_random(seed, "binarization"):
                images = binarize(images)
        self._images = self.device.asarray(images)
        self._labels = self.device.asarray(dataset.labels)
        self._next_epoch = 0  # of a `for` loop; `epoch` neither reads nor changes it

    def __len__(self) -> int:
        """Batches in an epoch."""
        full, rest = divmod(len(self.dataset), self.batch_size)
        return full if self.drop_last or rest == 0 else full + 1

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        """The batches of the next epoch: of epoch 0 the first time, of epoch 1 the second time, and so on."""
        self._next_epoch += 1
        return self.epoch(self._next_epoch - 1)

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Array, Array]]:
        """The batches of epoch number `epoch`, from batch number `start` on. Both numbers begin at 0."""
        if epoch < 0 or not 0 <= start <= len(self):
            raise ValueError(f"Loader: expects epoch >= 0 and start 0 ... {len(self)}, got {epoch} and {start}")
        count = len(self.dataset)
        with separate_random(self.seed, "order", epoch):
            order = random_generator().permutation(count) if self.shuffle else np.arange(count)
        order = self.device.asarray(order)
        return (self._batch(epoch, b, order) for b in range(start, len(self)))

    def _batch(self, epoch: int, b: int, order: Array) -> tuple[Array, Array]:
        with self.device, separate_random(self.seed, "batch", epoch, b):
            chosen = order[b * self.batch_size : (b + 1) * self.batch_size]
            images, labels = self._images[chosen], self._labels[chosen]
            if self.flip:
                images = flip(images)
            if self.pixels == "binary" and self.binarization == "dynamic":
                images = binarize(images)
            elif self.pixels == "unit":
                images = images.astype(current_dtype()) / 255
            elif self.pixels == "signed":
                images = images.astype(current_dtype()) / 127.5 - 1
            return images, labels

    def __repr__(self) -> str:
        order = "shuffled" if self.shuffle else "in order"
        return f"<Loader of {self.dataset}: {len(self)} batches of {self.batch_size}, {self.pixels}, {order}>"


def binarize(images: Array) -> Array:
    """Each uint8 value v becomes 1 with probability v / 255, else 0."""
    threshold = uniform(images.shape, high=255, dtype="float32", device=device_of(images))
    return (threshold < images).astype("uint8")


def flip(images: Array) -> Array:
    """Each image (N, C, H, W) mirrored left to right with probability 1/2."""
    mirrored = uniform((len(images), 1, 1, 1), dtype="float32", device=device_of(images)) < 0.5
    return array_module(images).where(mirrored, images[..., ::-1], images)


def _check_choice(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"Loader: expects {what} to be one of {', '.join(map(repr, choices))}, got {value!r}")
