"""Figures that say how good a model is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigen import backend
from minigen.autograd import no_grad
from minigen.data import Loader
from minigen.distributions import bits_per_dim
from minigen.nn import Module
from minigen.nn.module import evaluating

__all__ = ["bits_per_dim", "evaluating", "mean_over"]


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
