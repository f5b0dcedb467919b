"""Means of likelihoods and the like over a data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigen import backend
from minigen.autograd import no_grad
from minigen.data import Loader
from minigen.nn import Module
from minigen.nn.module import evaluating


def what_it_takes(model: Any, images: Any, labels: Any) -> tuple[Any, ...]:
    """What the model's methods take of a batch: the labels too, if it has classes."""
    return (images,) if getattr(model, "classes", None) is None else (images, labels)


def mean_over(loader: Loader, fn: Callable[..., Any], model: Module, *, progress: str = "") -> float:
    """The mean over a data set of `fn(images)`, one value an image (N,); `fn(images, labels)` if the model has classes.

    The model is in evaluation mode meanwhile, and random numbers come from a fixed seed, so the same model always
    gets the same figure and training is not disturbed. `progress` is the label of a progress bar.
    """
    batches: Any = loader.epoch(0)
    if progress:
        from tqdm import tqdm

        batches = tqdm(batches, total=len(loader), desc=progress, leave=False, disable=None)
    values = []
    with no_grad(), backend.separate_random(seed=0), evaluating(model):
        for images, labels in batches:
            values.append(fn(*what_it_takes(model, images, labels)).numpy().astype(np.float64))
    return float(np.concatenate(values).mean())
