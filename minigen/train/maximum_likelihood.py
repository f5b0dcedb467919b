"""Training by maximum likelihood: the step of every model that has one (or a bound of it)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from minigen.autograd import detect_anomaly
from minigen.evaluate.likelihood import what_it_takes
from minigen.optim import Optimizer, clip_grad_norm
from minigen.train.loop import Diverged, Metrics, bad_parameter


class MaximumLikelihood:
    """A step down the gradient of `model.loss(images)`, in nats an image; `loss(images, labels)` if it has classes.

    max_norm    what the gradient's norm is clipped to
    schedule    gives the learning rate for the number of steps that were made, such as `optim.linear_decay`
    """

    def __init__(
        self,
        model: Any,
        optimizer: Optimizer,
        max_norm: float | None = None,
        schedule: Callable[[int], float] | None = None,
    ) -> None:
        self.model, self.optimizer, self.max_norm, self.schedule = model, optimizer, max_norm, schedule
        self.parts: Mapping[str, Any] = {"model": model, "optimizer": optimizer}

    def __call__(self, images: Any, labels: Any) -> Metrics:
        batch = what_it_takes(self.model, images, labels)
        loss = self.model.loss(*batch)
        value = loss.item()
        if not math.isfinite(value):
            raise Diverged(f"the loss is {value}; {first_bad_value(self.model, batch)}")
        self.optimizer.zero_grad()
        loss.backward()
        if self.max_norm is not None:
            clip_grad_norm(self.model.parameters(), self.max_norm)
        if self.schedule is not None:
            self.optimizer.lr = self.schedule(self.optimizer.steps)
        self.optimizer.step()
        return {"loss": value}


def first_bad_value(model: Any, batch: tuple) -> str:
    """Where the NaN or infinity in `model.loss(*batch)` comes from."""
    if bad := bad_parameter(model):
        return bad
    try:
        with detect_anomaly():
            model.loss(*batch)
    except FloatingPointError as error:
        return str(error)
    return "computed once more, with other random numbers, it is finite"
