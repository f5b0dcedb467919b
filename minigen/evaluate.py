"""Figures that say how good a model is."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigen import backend
from minigen.autograd import no_grad
from minigen.backend import Shape
from minigen.data import Loader
from minigen.nn import Module


def bits_per_dim(nats: float, image_shape: Shape) -> float:
    """Nats for a whole image as bits for each of its C x H x W values: nats / (dimensions log 2)."""
    return nats / (math.prod(image_shape) * math.log(2))


def mean_over(loader: Loader, fn: Callable[[Any], Any], model: Module, *, progress: str = "") -> float:
    """The mean over a data set of `fn(images)`, which gives one value an image (N,).

    The model is in evaluation mode meanwhile, and random numbers come from a fixed seed, so the same model always
    gets the same figure and training is not disturbed. `progress` is the label of a progress bar.
    """
    batches: Any = loader.epoch(0)
    if progress:
        from tqdm import tqdm

        batches = tqdm(batches, total=len(loader), desc=progress, leave=False, disable=None)
    values = []
    with no_grad(), backend.separate_random(seed=0), evaluating(model):
        for images, _ in batches:
            values.append(fn(images).numpy().astype(np.float64))
    return float(np.concatenate(values).mean())


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """The model is in evaluation mode inside the block, and afterwards each part in the mode that it was in."""
    before = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in before:
            module.training = training
