"""Maximum likelihood: the training step of every model with a likelihood or a bound of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from minigen.backend import on_host
from minigen.capture import recomputed
from minigen.optim import Optimizer, clip_grad_norm
from minigen.processes import own_part
from minigen.train.divergence import Diverged, check_overflow, origin
from minigen.train.parallel import backward
from minigen.train.run import Metrics, figure


class MaximumLikelihood:
    """A step down the gradient of `model.loss(images, labels)`, the mean over the images, in nats an image.

    max_norm    gradient clipping: the largest norm of the gradient
    schedule    gives the factor of the learning rate for the number of steps made, such as `optim.linear_decay(steps)`
    """

    def __init__(
        self,
        model: Any,
        optimizer: Optimizer,
        max_norm: float | None = None,
        schedule: Callable[[int], float] | None = None,
    ) -> None:
        self.model, self.optimizer, self.max_norm = model, optimizer, max_norm
        self.schedule, self.lr = schedule, optimizer.lr
        self.parts: Mapping[str, Any] = {"model": model, "optimizer": optimizer}

    def __call__(self, images: Any, labels: Any = None) -> Metrics:
        with own_part(len(images)) as part:  # of several processes, each takes its own rows
            images, labels = part.of(images), part.of(labels)
            loss = self.model.loss(images, labels)
            value = part.mean(loss.data)
            here = on_host(value)
            if here and not math.isfinite(value):
                raise Diverged(f"the loss is {float(value)}; {origin(self.model, images, labels)}")
            self.optimizer.zero_grad()
            backward(loss, self.model.parameters(), part)
        if self.max_norm is not None:
            clip_grad_norm(self.model.parameters(), self.max_norm)
        if here:
            check_overflow("model", self.model)
        recomputed(self._set_rate)
        self.optimizer.step()
        return {"loss": figure(value)}

    def _set_rate(self) -> tuple[()]:
        if self.schedule is not None:
            self.optimizer.lr = self.lr * self.schedule(self.optimizer.steps)
        return ()
