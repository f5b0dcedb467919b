"""The mean over a data set of a likelihood, or of any other value of an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigen.autograd import Tensor, no_grad
from minigen.data import Loader
from minigen.nn import Module
from minigen.nn.module import evaluating
from minigen.processes import group, own_part
from minigen.random import separate_random


def mean_over(loader: Loader, fn: Callable[[Any, Any], Tensor], model: Module, *, progress: str = "") -> float:
    """The mean over a data set of `fn(images, labels)`, one value for each image, (N,).

    The model is in evaluation mode. Random numbers come from a fixed seed, so the same model always gets the same
    value, and their state is restored afterwards, so training is not disturbed. `progress` is the label of
    a progress bar. Several processes (`train.parallel`) divide each batch, and all get the mean.

    >>> mean_over(loader, lambda images, labels: vae.elbo(images), vae)
    """
    batches: Any = loader.epoch(0)
    if progress:
        from tqdm import tqdm

        batches = tqdm(batches, total=len(loader), desc=progress, leave=False, disable=None)
    with no_grad(), separate_random(seed=0), evaluating(model):
        values = [_values(fn, images, labels) for images, labels in batches]
    return float(group().sum(np.concatenate(values)).mean())


def _values(fn: Callable[[Any, Any], Tensor], images: Any, labels: Any) -> np.ndarray:
    """fn of each image, (N,) in float64, with zeros for the images that another process takes."""
    values = np.zeros(len(images))
    with own_part(len(images)) as part:
        values[part.start : part.stop] = fn(part.of(images), part.of(labels)).numpy() / part.copies
    return values
