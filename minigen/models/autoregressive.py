"""Autoregressive image models: the exact likelihood and the sampling, value by value, that they share.

An image is generated in raster order, and the colours of a pixel in the order R, G, B (lecture, "Autoregressive Image
Modeling"). With x_1, x_2, ... the values in that order,

    p(x) = product over i of p(x_i | x_1, ..., x_{i-1})

A model computes the logits of all these conditional distributions at once, from the whole image. It must be causal:
the logits of x_i depend on x_1, ..., x_{i-1} only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad, raw
from minigen.backend import Array, Shape, array_module, is_array, on_host
from minigen.capture import Captured
from minigen.distributions import bits_per_dim
from minigen.kernels import kernel
from minigen.models.one_pixel import Cursor, at_one_pixel, margin_for
from minigen.nn.module import evaluating
from minigen.random import uniform

# Draws the row of a number, from noise (n, C, W), and for completion from that row of image and mask, (n, C, W), too.
DrawRow = Callable[..., None]


class Autoregressive(nn.Module):
    """Base class of models of integer images x (N, C, H, W) with values 0 ... levels - 1.

    A subclass writes its architecture as `network`. If it sets `classes`, it is a class-conditional model p(x | label):
    its methods then expect the images' labels (N,), 0 ... classes - 1. `ValueError` or `TypeError` for other shapes,
    values or dtypes; values that are on a GPU are not looked at, which would wait for it.
    """

    classes: int | None = None

    def __init__(self, image_shape: Shape, levels: int) -> None:
        if len(image_shape) != 3 or min(image_shape) < 1 or not 2 <= levels <= 256:
            raise ValueError(
                f"{type(self).__name__}: expects image_shape (C, H, W) and 2 ... 256 levels, "
                f"got image_shape={tuple(image_shape)}, levels={levels}"
            )
        self.image_shape, self.levels = tuple(image_shape), levels
        self.outputs = 1 if levels == 2 else levels  # logits for each value

    def network(self, x: Any, labels: Any = None) -> Any:
        """The architecture, from scaled images (N, C, H, W) to the last layer's maps (N, C outputs, H, W).

        `outputs` is `levels`, or 1 for two levels: the logit of a Bernoulli distribution. Without classes,
        `labels` is None. Cached sampling runs this code on arrays (N, C, 1, 1) of a single pixel: see `one_pixel.py`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no network")

    def forward(self, x: Any, labels: Any = None) -> Tensor:
        """The logits of every conditional distribution, (N, levels, C, H, W), or (N, 1, C, H, W) for two levels."""
        x = self._checked(x)
        labels = self._checked_labels(labels, len(x))
        return self._arranged(self.network(self._scaled(x), labels))

    def logits(self, x: Any, labels: Any = None) -> Tensor:
        """The same as calling the model: the logits of every conditional distribution."""
        return self(x, labels)

    # -- likelihood --------------------------------------------------------------------------------------------------

    def log_prob(self, x: Any, labels: Any = None) -> Tensor:
        """The exact log p(x) in nats, (N,); of a model with classes, log p(x | label)."""
        x = self._checked(x)
        logits = self.logits(x, labels)
        if self.levels == 2:
            logits = ops.reshape(logits, x.shape)
            nats = ops.binary_cross_entropy_with_logits(logits, x.astype(logits.dtype), reduction="none")
        else:
            nats = ops.cross_entropy(logits, x, reduction="none")
        return -ops.sum(nats, axis=(1, 2, 3))

    def bits_per_dim(self, x: Any, labels: Any = None) -> float:
        """Bits per dimension: the mean of -log2 p(x) over images, divided by their number of values, C x H x W."""
        with no_grad():
            return bits_per_dim(-float(ops.mean(self.log_prob(x, labels))), self.image_shape)

    def loss(self, images: Any, labels: Any = None) -> Tensor:
        """What training minimises: the mean of -log p(x) over images, in nats. Without classes, labels are ignored."""
        return -ops.mean(self.log_prob(images, labels if self.classes is not None else None))

    # -- sampling ----------------------------------------------------------------------------------------------------

    @no_grad()
    def sample(
        self,
        n: int | None = None,
        labels: Any = None,
        *,
        temperature: float = 1.0,
        image: Any = None,
        mask: Any = None,
        cached: bool = True,
        progress: bool = False,
        watch: Callable[[int, Array], None] | None = None,
    ) -> Tensor:
        """Draw `n` images, (n, C, H, W) integers, one value after the other.

        labels       (n,), for a model with classes: the class of each image
        temperature  the logits are divided by it: below 1, samples are more probable; above 1, more diverse
        image, mask  completion of images: where the boolean `mask`, (H, W) or (n, C, H, W), is True, the value of
                     `image` (n, C, H, W) is kept; the other values are drawn
        cached       compute only what the next value needs. False runs the whole network for every value: this is the
                     definition, and it gives the same images slowly
        progress     show a progress bar
        watch        called after each row with the row's number and the images so far

        `ValueError` if an argument is out of its range, or if image and mask do not fit.
        """
        if not temperature > 0:
            raise ValueError(f"sample: expects a temperature > 0, got {temperature}")
        with evaluating(self):
            n, image, mask = self._checked_completion(n, image, mask)
            labels = self._checked_labels(labels, n)
            channels, height, width = self.image_shape
            x = self.device.module.zeros((n, channels, height, width), dtype=np.uint8)
            if n == 0:
                return Tensor(x)
            noise = uniform((height, width, channels, n), dtype=np.float64).transpose(3, 2, 0, 1)
            given = (noise,) if mask is None else (noise, image, mask)
            draw_row = (self._cached_rows if cached else self._naive_rows)(x, labels, temperature)
            for i in rows_with_progress(height, n) if progress else range(height):
                draw_row(i, *[y[:, :, i] for y in given])
                if watch is not None:
                    watch(i, x)
        return Tensor(x)

    def _naive_rows(self, x: Array, labels: Array | None, temperature: float) -> DrawRow:
        """The definition: run the model on the whole image for every value."""

        def draw_row(i: int, *given: Array) -> None:
            for j, c in np.ndindex(x.shape[3], x.shape[1]):
                logits = self.logits(x, labels).data[:, :, c, i, j]
                x[:, c, i, j] = draw_value(logits / temperature, *[y[:, c, j] for y in given])

        return draw_row

    def _cached_rows(self, x: Array, labels: Array | None, temperature: float) -> DrawRow:
        """The same from the network's one-pixel form; on a GPU, all kernels of a row are launched as one."""
        levels = self._scaled(self.device.module.arange(self.levels)).data
        cursor = Cursor(len(x), self.image_shape, levels, margin_for(self))
        model = at_one_pixel(self, cursor)

        def draw(*given: Array) -> dict[str, Any]:
            for j, c in np.ndindex(x.shape[3], x.shape[1]):
                cursor.move(j, c)
                logits = model._arranged(model.network(cursor.pixel, labels))[:, :, c, 0, 0]
                cursor.write(draw_value(logits / temperature, *[y[:, c, j] for y in given]))
            return {}

        captured = Captured(draw)

        def draw_row(i: int, *given: Array) -> None:
            captured(*given)
            x[:, :, i] = cursor.row

        return draw_row

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _checked(self, x: Any) -> Tensor:
        x = x if isinstance(x, Tensor) else Tensor(x)
        if x.shape[1:] != self.image_shape:
            raise ValueError(
                f"{type(self).__name__}: expects images (N, {', '.join(map(str, self.image_shape))}), got {x.shape}"
            )
        expected = f"{type(self).__name__}: expects integers 0 ... {self.levels - 1}"
        if x.dtype.kind not in "iu":
            raise TypeError(f"{expected}, got {x.dtype}")
        if on_host(x.data) and x.size and not 0 <= x.data.min() <= x.data.max() < self.levels:
            raise ValueError(f"{expected}, got {x.data.min()} ... {x.data.max()}")
        return x

    def _checked_labels(self, labels: Any, n: int) -> Array | None:
        """The labels of n images as an array (n,); None if the model has no classes."""
        name, classes = type(self).__name__, self.classes
        if classes is None:
            if labels is not None:
                raise ValueError(f"{name}: expects no labels, it has no classes")
            return None
        expected = f"expects labels ({n},), integers 0 ... {classes - 1}"
        if labels is None:
            raise ValueError(f"{name}: {expected}, got none")
        labels = raw(labels) if is_array(raw(labels)) else np.asarray(labels)
        if labels.dtype.kind not in "iu":
            raise TypeError(f"{name}: {expected}, got {labels.dtype}")
        if labels.shape != (n,):
            raise ValueError(f"{name}: {expected}, got {labels.shape}")
        if on_host(labels) and n and not 0 <= labels.min() <= labels.max() < classes:
            raise ValueError(f"{name}: {expected}, got {labels.min()} ... {labels.max()}")
        return self.device.asarray(labels)

    def _checked_completion(self, n: int | None, image: Any, mask: Any) -> tuple[int, Array | None, Array | None]:
        """The number of images, and image and mask as arrays (n, C, H, W), or None without them."""
        if (image is None) != (mask is None):
            raise ValueError("sample: expects image together with mask, got only one of them")
        if image is not None:
            image = self.device.asarray(self._checked(image).data)
            if n not in (None, len(image)):
                raise ValueError(f"sample: expects n={n} images to complete, got {len(image)}")
            n = len(image)
            mask = self.device.asarray(raw(mask)).astype(bool)
            if mask.shape not in (image.shape[2:], image.shape):
                raise ValueError(f"sample: expects mask {image.shape[2:]} or {image.shape}, got {mask.shape}")
            mask = self.device.module.broadcast_to(mask, image.shape)
        if n is None or n < 0:
            raise ValueError(f"sample: expects n >= 0, or image and mask, got n={n}")
        return n, image, mask

    def _scaled(self, x: Any) -> Tensor:
        """Integers scaled to [-1, 1], of the parameters' dtype, so that zero padding differs from black and white."""
        x = raw(x)
        dtype = next(self.parameters()).dtype
        return Tensor(x.astype(dtype) * (2.0 / (self.levels - 1)) - 1.0)

    def _arranged(self, maps: Tensor) -> Tensor:
        """The last layer's maps (N, C outputs, H, W), colour by colour, as logits (N, outputs, C, H, W)."""
        n, _, height, width = maps.shape
        channels = self.image_shape[0]
        return ops.permute_dims(ops.reshape(maps, (n, channels, self.outputs, height, width)), (0, 2, 1, 3, 4))


def rows_with_progress(height: int, n: int) -> Iterable[int]:
    """The numbers of the rows, with a progress bar."""
    from tqdm import tqdm

    return tqdm(range(height), desc=f"drawing {n} images", unit="row", leave=False, disable=None)


def draw_value(logits: Array, noise: Array, image: Array | None = None, mask: Array | None = None) -> Array:
    """`sample_from_logits`, with the value of `image` (N,) kept where `mask` (N,) is True."""
    value = sample_from_logits(logits, noise)
    return value if mask is None else array_module(value).where(mask, image, value)


def sample_from_logits(logits: Array, noise: Array) -> Array:
    """Inverse transform sampling: a value for each row of logits, (N, levels) or (N, 1), from uniform noise (N,).

    The value is the number of levels whose cumulative probability is at most the noise.
    """
    values = array_module(logits).empty(len(logits), np.uint8)
    _draw(logits, noise, values)
    return values


@kernel(
    "raw T logits, float64 noise",
    "uint8 value",
    """
    const ptrdiff_t levels = logits.shape()[1], first = i * levels;
    value = 0;
    if (levels == 1) {
        value = noise < sigmoid(double(logits[first]));
    } else {
        double largest = logits[first], total = 0, cumulative = 0;
        for (ptrdiff_t k = 1; k < levels; ++k) largest = max(largest, double(logits[first + k]));
        for (ptrdiff_t k = 0; k < levels; ++k) total += exp(logits[first + k] - largest);
        for (ptrdiff_t k = 0; k + 1 < levels; ++k) {
            cumulative += exp(logits[first + k] - largest) / total;
            value += noise >= cumulative;
        }
    }
    """,
)
def _draw(logits: Array, noise: Array, values: Array) -> None:
    logits = logits.astype(np.float64)
    if logits.shape[1] == 1:
        values[...] = noise < ops.sigmoid(logits[:, 0])
    else:
        cumulative = np.cumsum(ops.softmax(logits, axis=1), axis=1)[:, :-1]
        values[...] = (noise[:, None] >= cumulative).sum(axis=1)
