"""What all autoregressive image models share: an exact likelihood, and drawing one pixel after the other.

An image is generated in raster order, and the colours of a pixel in the order R, G, B (lecture, "Autoregressive Image
Modeling"). With x_1, x_2, ... the values in that order,

    p(x) = product over i of p(x_i | x_1, ..., x_{i-1})

A model computes the logits of all these conditional distributions at once, from the whole image; it must see to it
that those of x_i depend on nothing at i or after it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad, raw
from minigen.backend import Array, Shape, array_module, uniform
from minigen.distributions import bits_per_dim
from minigen.nn.module import evaluating

# What the next value needs: called with the row, the column and the colour, in the order of generation, and with the
# image so far (N, C, H, W); returns the logits of that value, (N, levels) or (N, 1).
NextLogits = Callable[[int, int, int, Array], Array]


class Autoregressive(nn.Module):
    """Base of the models of integer images x (N, C, H, W) with values 0 ... levels - 1.

    A subclass computes `logits(x)`: (N, levels, C, H, W), or (N, 1, C, H, W) with the logit of 1 where levels is 2.
    If it sets `classes`, it is a model p(x | label), and `logits(x, labels)` and `next_logits(n, labels)` take labels
    0 ... classes - 1, (N,).
    """

    classes: int | None = None

    def __init__(self, image_shape: Shape, levels: int) -> None:
        if len(image_shape) != 3 or min(image_shape) < 1 or not 2 <= levels <= 256:
            raise ValueError(
                f"{type(self).__name__}: got image_shape={tuple(image_shape)}, levels={levels}; takes (C, H, W) and "
                "2 ... 256 levels"
            )
        self.image_shape, self.levels = tuple(image_shape), levels
        self.outputs = 1 if levels == 2 else levels  # logits for each value

    def logits(self, x: Any) -> Tensor:
        """The logits of every conditional distribution."""
        raise NotImplementedError

    # -- likelihood --------------------------------------------------------------------------------------------------

    def log_prob(self, x: Any, labels: Any = None) -> Tensor:
        """log p(x), or log p(x | label) of a model with classes, in nats, (N,), exact."""
        x = self._checked(x)
        logits = self.logits(x, *self._condition(labels, len(x)))
        if self.levels == 2:
            logits = ops.reshape(logits, x.shape)
            nats = ops.binary_cross_entropy_with_logits(logits, x.astype(logits.dtype), reduction="none")
        else:
            nats = ops.cross_entropy(logits, x, reduction="none")
        return -ops.sum(nats, axis=(1, 2, 3))

    def bits_per_dim(self, x: Any, labels: Any = None) -> float:
        """The mean of -log2 p(x) over images, for each of their C x H x W values."""
        with no_grad():
            return bits_per_dim(-float(ops.mean(self.log_prob(x, labels))), self.image_shape)

    def loss(self, images: Any, labels: Any = None) -> Tensor:
        """What training minimises: the mean of -log p(x) over images, in nats. Without classes, labels are ignored."""
        return -ops.mean(self.log_prob(images, labels if self.classes is not None else None))

    # -- sampling ----------------------------------------------------------------------------------------------------

    def next_logits(self, n: int) -> NextLogits:
        """How to get the logits of one value after the other for `n` images; a subclass can remember what it computed.

        This is the definition: the whole image goes through the model for every value.
        """
        return self._naive_next_logits()

    def _naive_next_logits(self, *condition: Array) -> NextLogits:
        return lambda row, column, colour, x: self.logits(x, *condition).data[:, :, colour, row, column]

    @no_grad()
    def sample(
        self,
        n: int | None = None,
        labels: Any = None,
        *,
        temperature: float = 1.0,
        given: Any = None,
        known: Any = None,
        cached: bool = True,
        progress: bool = False,
        watch: Callable[[int, Array], None] | None = None,
    ) -> Tensor:
        """Draw `n` images, (n, C, H, W) integers, one value after the other.

        labels        (n,), for a model with classes: what each image is to be
        temperature   the logits are divided by it: below 1 likelier images, above 1 wilder ones
        given, known  complete images: where the booleans `known`, (H, W) or (n, C, H, W), hold, the value of the
                      images `given` (n, C, H, W) is taken in place of a draw
        cached        compute only what the next value needs; False is the definition, the same images but slow
        progress      show a progress bar
        watch         called after each row with its number and the images so far
        """
        if not temperature > 0:
            raise ValueError(f"sample: takes a temperature > 0, got {temperature}")
        if given is not None:
            given = self._checked(given).data
            if n not in (None, len(given)):
                raise ValueError(f"sample: asked for {n} images but given {len(given)}")
            n = len(given)
        if n is None or n < 1 or (given is None) != (known is None):
            raise ValueError(f"sample: takes n >= 1, or given together with known; got n={n}")
        condition = self._condition(labels, n)
        channels, height, width = self.image_shape
        device = self.device
        xp = device.module
        x = xp.zeros((n, *self.image_shape), dtype=np.uint8)
        noise = uniform((height, width, channels, n), dtype=np.float64, device=device)
        if known is not None:
            known = xp.broadcast_to(device.asarray(raw(known)).astype(bool), x.shape)
        rows: Any = range(height)
        if progress:
            from tqdm import tqdm

            rows = tqdm(rows, desc=f"drawing {n} images", unit="row", leave=False, disable=None)
        with evaluating(self):
            next_logits = self.next_logits(n, *condition) if cached else self._naive_next_logits(*condition)
            for i in rows:
                for j in range(width):
                    for c in range(channels):
                        drawn = sample_from_logits(next_logits(i, j, c, x) / temperature, noise[i, j, c])
                        if known is not None:
                            drawn = xp.where(known[:, c, i, j], given[:, c, i, j], drawn)
                        x[:, c, i, j] = drawn
                if watch is not None:
                    watch(i, x)
        return Tensor(x)

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _checked(self, x: Any) -> Tensor:
        x = x if isinstance(x, Tensor) else Tensor(x)
        if x.shape[1:] != self.image_shape:
            raise ValueError(
                f"{type(self).__name__}: takes images (N, {', '.join(map(str, self.image_shape))}), got {x.shape}"
            )
        if x.dtype.kind not in "iu":
            raise TypeError(f"{type(self).__name__}: takes integers 0 ... {self.levels - 1}, got {x.dtype}")
        if x.size and int(x.data.max()) >= self.levels:
            raise ValueError(f"{type(self).__name__}: takes integers 0 ... {self.levels - 1}, got {int(x.data.max())}")
        return x

    def _condition(self, labels: Any, n: int) -> tuple[Array, ...]:
        """What the model takes beside n images: the labels (n,), or nothing if it has no classes."""
        name, classes = type(self).__name__, self.classes
        if classes is None:
            if labels is not None:
                raise ValueError(f"{name}: takes no labels, it has no classes")
            return ()
        takes = f"takes labels ({n},), integers 0 ... {classes - 1}"
        if labels is None:
            raise ValueError(f"{name}: {takes}, got none")
        labels = self.device.asarray(raw(labels))
        if labels.dtype.kind not in "iu":
            raise TypeError(f"{name}: {takes}, got {labels.dtype}")
        if labels.shape != (n,):
            raise ValueError(f"{name}: {takes}, got {labels.shape}")
        if n and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
            raise ValueError(f"{name}: {takes}, got {int(labels.min())} ... {int(labels.max())}")
        return (labels,)

    def _scaled(self, x: Any) -> Tensor:
        """Integers as numbers in [-1, 1], of the parameters' dtype; the zeros of a padding are none of the extremes."""
        x = raw(x)
        dtype = next(self.parameters()).dtype
        return Tensor(x.astype(dtype) * (2.0 / (self.levels - 1)) - 1.0)

    def _arranged(self, maps: Tensor) -> Tensor:
        """The last layer's maps (N, C outputs, H, W), colour by colour, as logits (N, outputs, C, H, W)."""
        n, _, height, width = maps.shape
        channels = self.image_shape[0]
        return ops.permute_dims(ops.reshape(maps, (n, channels, self.outputs, height, width)), (0, 2, 1, 3, 4))


def sample_from_logits(logits: Array, noise: Array) -> Array:
    """A value for each of the distributions with these logits, (N, levels) or (N, 1), from uniform noise (N,).

    It is the inverse of the cumulative distribution: the number of levels whose cumulated probability is at most the
    noise.
    """
    xp = array_module(logits)
    logits = logits.astype(np.float64)
    if logits.shape[1] == 1:
        return (noise < ops.sigmoid(logits[:, 0])).astype(np.uint8)
    cumulated = xp.cumsum(ops.softmax(logits, axis=1), axis=1)[:, :-1]
    return (noise[:, None] >= cumulated).sum(axis=1).astype(np.uint8)
