"""Optimizers: how parameters move against their gradients.

The update of an optimizer is written once, for a stretch of all parameters; `step` applies it to blocks small enough
to stay in a CPU's cache, which is more than twice as fast as pass after pass over everything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from minigen.autograd import Tensor
from minigen.backend import Array, array_module, blocks
from minigen.nn.module import Module, Parameter, load_arrays


class Optimizer:
    """Base of the optimizers. A subclass names its state arrays in `slots` and writes `update`."""

    slots: tuple[str, ...] = ()

    def __init__(self, parameters: Iterable[Parameter], lr: float, weight_decay: float = 0.0) -> None:
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError(f"{type(self).__name__}: got no parameters")
        if isinstance(parameters, Tensor) or not all(isinstance(p, Parameter) for p in self.parameters):
            raise TypeError(f"{type(self).__name__}: takes parameters, such as `module.parameters()`")
        if len({id(p) for p in self.parameters}) < len(self.parameters):
            raise ValueError(f"{type(self).__name__}: got the same parameter twice")
        _check(self, lr=(lr, lr > 0, "> 0"), weight_decay=(weight_decay, weight_decay >= 0, ">= 0"))
        self.lr, self.weight_decay = lr, weight_decay
        self.steps = 0
        zeros = lambda p: array_module(p.data).zeros(p.shape, dtype=p.dtype)
        self.state = [{slot: zeros(p) for slot in self.slots} for p in self.parameters]

    def update(self, p: Array, g: Array, *state: Array) -> None:
        """Move a stretch of a parameter `p` (n,) in place, given its gradient and state (n,)."""
        raise NotImplementedError

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        self.steps += 1
        for parameter, state in zip(self.parameters, self.state, strict=True):
            if parameter.grad is None:
                continue
            data = parameter.data if parameter.data.flags.c_contiguous else parameter.data.copy()
            arrays = [x.reshape(-1) for x in (data, parameter.grad.data, *state.values())]
            for block in blocks(data):
                p, g, *slots = [x[block] for x in arrays]
                self.update(p, g + self.weight_decay * p if self.weight_decay else g, *slots)
            parameter.data = data  # tells the tape that it changed

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def state_dict(self) -> dict[str, Array]:
        """The state as arrays: "steps", and "<number of the parameter>.<slot>"."""
        state = {f"{i}.{slot}": x for i, slots in enumerate(self.state) for slot, x in slots.items()}
        return {"steps": np.array(self.steps), **state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`. `ValueError`, with nothing changed, if it does not fit the parameters."""
        steps = Tensor(np.array(self.steps))
        own = {name: Tensor(x) for name, x in self.state_dict().items() if name != "steps"}
        load_arrays({"steps": steps, **own}, state, type(self).__name__)
        self.steps = steps.item()


def _check(owner: object, **settings: tuple[Any, bool, str]) -> None:
    for name, (value, holds, takes) in settings.items():
        if not holds:
            raise ValueError(f"{type(owner).__name__}: takes {name} {takes}, got {value}")


class SGD(Optimizer):
    """Stochastic gradient descent: v = momentum v + g;  p -= lr v."""

    def __init__(
        self, parameters: Iterable[Parameter], lr: float, momentum: float = 0.0, weight_decay: float = 0.0
    ) -> None:
        _check(self, momentum=(momentum, 0 <= momentum < 1, "in [0, 1)"))
        self.slots = ("momentum_buffer",) if momentum else ()
        super().__init__(parameters, lr, weight_decay)
        self.momentum = momentum

    def update(self, p: Array, g: Array, *state: Array) -> None:
        for v in state:
            v *= self.momentum
            v += g
            g = v
        p -= self.lr * g


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, arXiv 1412.6980): steps of about lr, whatever the gradient's scale.

    m = b1 m + (1 - b1) g,  v = b2 v + (1 - b2) g^2,  p -= lr m' / (sqrt(v') + eps), where m' = m / (1 - b1^t) and
    v' = v / (1 - b2^t) undo that both begin at zero.
    """

    slots = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        _check(self, betas=(betas, all(0 <= b < 1 for b in betas), "in [0, 1)"), eps=(eps, eps > 0, "> 0"))
        super().__init__(parameters, lr, weight_decay)
        self.betas, self.eps = betas, eps

    def update(self, p: Array, g: Array, *state: Array) -> None:
        m, v = state
        b1, b2 = self.betas
        t = (1 - b1) * g  # one temporary array for everything
        m *= b1
        m += t
        array_module(g).multiply(g, g, out=t)
        t *= 1 - b2
        v *= b2
        v += t
        # lr m' / (sqrt(v') + eps), with the two corrections taken out of the arrays
        correction = math.sqrt(1 - b2**self.steps)
        array_module(v).sqrt(v, out=t)
        t += self.eps * correction
        array_module(v).divide(m, t, out=t)
        t *= self.lr * correction / (1 - b1**self.steps)
        p -= t


class RMSprop(Optimizer):
    """RMSprop (Hinton's lecture 6e): v = alpha v + (1 - alpha) g^2;  p -= lr g / (sqrt(v) + eps)."""

    slots = ("square_avg",)

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        _check(self, alpha=(alpha, 0 <= alpha < 1, "in [0, 1)"), eps=(eps, eps > 0, "> 0"))
        super().__init__(parameters, lr, weight_decay)
        self.alpha, self.eps = alpha, eps

    def update(self, p: Array, g: Array, *state: Array) -> None:
        (v,) = state
        v *= self.alpha
        t = g * g
        t *= 1 - self.alpha
        v += t
        array_module(v).sqrt(v, out=t)
        t += self.eps
        array_module(v).divide(g, t, out=t)
        t *= self.lr
        p -= t


def linear_decay(steps: int) -> Callable[[int], float]:
    """A schedule: the factor of the learning rate for the number of steps made, of `steps` in all.

    It is 1 in the first half and then falls to 0 in a straight line.

    >>> schedule = linear_decay(1000)
    >>> schedule(0), schedule(750), schedule(1000)
    (1.0, 0.5, 0.0)
    """
    return lambda step: min(1.0, max(0.0, 2 * (steps - step) / steps))


def clip_grad_norm(parameters: Iterable[Parameter], max_norm: float) -> float:
    """Scale all gradients down together so that their common norm is at most `max_norm`; returns what it was."""
    if max_norm <= 0:
        raise ValueError(f"clip_grad_norm: takes max_norm > 0, got {max_norm}")
    gradients = [p.grad for p in parameters if p.grad is not None]
    norm = math.sqrt(sum(float((g.data.astype(np.float64) ** 2).sum()) for g in gradients))
    if norm > max_norm:
        for g in gradients:
            g.data *= max_norm / norm
    return norm


class WeightEMA:
    """An exponential moving average of a module's weights, often better than the last ones (Polyak averaging).

    Running statistics of batch normalisation are averaged with the parameters. The decay warms up: for the n-th update
    it is at most (1 + n) / (10 + n), so that the average of a short run is not one of its initial weights.

    >>> ema = WeightEMA(generator, decay=0.999)
    >>> ...                                  # after every optimizer.step():
    >>> ema.update()
    >>> with ema.applied():                  # inside, the module has the averaged weights
    ...     generator.sample(64)
    """

    def __init__(self, module: Module, decay: float = 0.999) -> None:
        _check(self, decay=(decay, 0 <= decay < 1, "in [0, 1)"))
        self.module, self.decay = module, decay
        self.updates = 0
        self.average = {name: x.data.copy() for name, x in self._averaged()}

    def _averaged(self) -> Iterator[tuple[str, Tensor]]:
        return ((name, x) for name, x in self.module.named_tensors() if x.dtype.kind == "f")

    def update(self) -> None:
        """average = decay average + (1 - decay) weights"""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, p in self._averaged():
            average, current = self.average[name].reshape(-1), p.data.reshape(-1)
            for block in blocks(p.data):
                average[block] += (1 - decay) * (current[block] - average[block])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The module has the averaged weights inside the block, and its own again afterwards."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, p in self._averaged():
            current = p.data.copy()
            p.data[...] = self.average[name]
            p.data = p.data  # tells the tape that it changed
            self.average[name][...] = current

    def state_dict(self) -> dict[str, Array]:
        """The averages by name, and "number of updates", a name that no attribute has."""
        return {**self.average, "number of updates": np.array(self.updates)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`. `ValueError`, with nothing changed, if it does not fit the module."""
        own = {name: Tensor(x) for name, x in self.state_dict().items()}
        warmed_up = {"number of updates": np.array(10**9)}  # for states of before there was a warm-up
        load_arrays(own, warmed_up | dict(state), type(self).__name__)
        self.updates = own["number of updates"].item()
