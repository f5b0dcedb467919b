"""What all optimizers share: groups of parameters, the loop over blocks of their arrays, and the state in checkpoints.

An optimizer's update is written for a block of a flattened parameter. `step` applies it to blocks that are small enough
to stay in a CPU's cache, which is more than twice as fast as updating a whole parameter at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from minigen.autograd import Tensor
from minigen.autograd.modes import timed
from minigen.backend import Array, array_module, blocks, flattened, memory_order, ordered, row_major
from minigen.capture import recomputed
from minigen.kernels import kernel
from minigen.nn.module import Parameter, load_arrays

Parameters = Iterable[Parameter] | Iterable[dict[str, Any]]
"""Parameters, or groups of them: see `Optimizer`."""


class Optimizer:
    """Base class of the optimizers. A subclass names its state arrays in `slots` and writes `update`.

    parameters    the parameters to move, or groups of them as dictionaries, which may have their own "lr" and
                  "weight_decay", such as [{"params": weights, "weight_decay": 1e-2}, {"params": biases, "lr": 1e-4}]
    lr            the learning rate; assigning another to `optimizer.lr` changes that of all groups in proportion
    weight_decay  the factor w of the penalty w |p|^2 / 2, whose gradient w p is added to each parameter's gradient

    `ValueError` for numbers out of range, no parameters, or the same one twice; `TypeError` for other types.
    """

    slots: tuple[str, ...] = ()
    numbers = 1
    """How many numbers `rates` gives."""

    def __init__(self, parameters: Parameters, lr: float, weight_decay: float = 0.0) -> None:
        self.lr = self._initial_lr = lr
        self.groups = self._as_groups(parameters, {"lr": lr, "weight_decay": weight_decay})
        self.parameters = [p for group in self.groups for p in group["params"]]
        if not self.parameters:
            raise ValueError(f"{type(self).__name__}: got no parameters")
        if not all(isinstance(p, Parameter) for p in self.parameters):
            raise TypeError(f"{type(self).__name__}: expects parameters, such as `model.parameters()`")
        if len({id(p) for p in self.parameters}) < len(self.parameters):
            raise ValueError(f"{type(self).__name__}: got the same parameter twice")
        self.steps = 0
        with self.parameters[0].device:  # zeros in the same memory order
            self.state = [{x: array_module(p.data).zeros_like(p.data) for x in self.slots} for p in self.parameters]

    def _as_groups(self, parameters: Iterable[Any], defaults: dict[str, float]) -> list[dict[str, Any]]:
        """Each group as a new dictionary of "params", "lr" and "weight_decay"."""
        given = _listed(parameters)
        if not given or not all(isinstance(x, dict) for x in given):
            given = [{"params": given}]
        for group in given:
            if not {"params"} <= group.keys() <= {"params", *defaults}:
                raise ValueError(
                    f"{type(self).__name__}: expects groups with params and perhaps lr and weight_decay, got one with "
                    f"{', '.join(group)}"
                )
        groups = [defaults | group for group in given]
        for lr, decay in [(x["lr"], x["weight_decay"]) for x in (defaults, *groups)]:
            check_settings(self, lr=(lr, lr > 0, "> 0"), weight_decay=(decay, decay >= 0, ">= 0"))
        return [group | {"params": _listed(group["params"])} for group in groups]

    def rates(self, lr: float, weight_decay: float) -> tuple[float, ...]:
        """The numbers of this step that `update` and `decay` need, from a group's: here the learning rate."""
        return (lr,)

    def update(self, p: Array, g: Array, rates: tuple[Any, ...], *state: Array) -> None:
        """Update a block `p` (n,) of a parameter in place, given its gradient g (n,), `rates` and its state (n,)."""
        raise NotImplementedError

    def decay(self, p: Array, g: Array, rates: tuple[Any, ...], weight_decay: float) -> Array:
        """The gradient with weight decay: here, that of the loss plus the penalty."""
        return _penalized(g, p, weight_decay)

    def step(self) -> None:
        """Update every parameter that has a gradient; the others and their state do not change."""
        recomputed(self._count)
        states = iter(self.state)
        with timed("optimizer"):
            for group in self.groups:
                for parameter in group["params"]:
                    self._move(parameter, next(states), group)

    def _count(self) -> tuple[()]:
        self.steps += 1
        return ()

    def _lr_of(self, group: dict[str, Any]) -> float:
        return self.lr * (group["lr"] / self._initial_lr)

    def _move(self, parameter: Parameter, state: dict[str, Array], group: dict[str, Any]) -> None:
        """Update one parameter, block by block."""
        if parameter.grad is None:
            return
        order = memory_order(next(iter(state.values()), parameter.data))
        data = ordered(parameter.data, order)
        g = parameter.grad.data.astype(data.dtype, copy=False)
        arrays = [flattened(x, order) for x in (data, g, *state.values())]
        decay = group["weight_decay"]
        rates = recomputed(lambda: self.rates(self._lr_of(group), decay), *[data.dtype] * self.numbers)
        for block in blocks(data):
            p, g, *slots = [x[block] for x in arrays]
            self.update(p, self.decay(p, g, rates, decay) if decay else g, rates, *slots)
        parameter.data = data  # the assignment increases the version that the tape checks

    def zero_grad(self) -> None:
        """Set the gradients to None."""
        for parameter in self.parameters:
            parameter.grad = None

    def state_dict(self) -> dict[str, Array]:
        """The state as arrays: "steps", and for each parameter by its number and the slot, such as "0.exp_avg"."""
        return {"steps": np.array(self.steps), **{name: row_major(x) for name, x in self._slots().items()}}

    def _slots(self) -> dict[str, Array]:
        return {f"{i}.{slot}": x for i, slots in enumerate(self.state) for slot, x in slots.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from a `state_dict`. `ValueError`, with nothing changed, if it does not fit the parameters."""
        steps = Tensor(np.array(self.steps))
        own = {name: Tensor(x) for name, x in self._slots().items()}
        load_arrays({"steps": steps, **own}, state, type(self).__name__)
        self.steps = steps.item()

    def __repr__(self) -> str:
        groups = []
        for group in self.groups:
            text = f"{sum(p.size for p in group['params'])} parameters, lr={self._lr_of(group):g}"
            groups.append(text + (f", weight_decay={group['weight_decay']:g}" if group["weight_decay"] else ""))
        return f"{type(self).__name__}({'; '.join(groups)}{self.extra_repr()})"

    def extra_repr(self) -> str:
        """What `repr` shows of the settings that all groups share, such as ", momentum=0.9"."""
        return ""


def check_settings(owner: object, **settings: tuple[Any, bool, str]) -> None:
    """`ValueError` for a setting (value, whether it is in its range, the range in words) out of it or not finite."""
    for name, (value, holds, expected) in settings.items():
        finite = np.isfinite(value).all()
        if not (holds and finite):
            expected += "" if finite else " and finite"
            raise ValueError(f"{type(owner).__name__}: expects {name} {expected}, got {value}")


def _listed(given: Any) -> list[Any]:
    """The items of an iterable; anything else, such as a module, is one item, which is then refused."""
    return list(given) if isinstance(given, Iterable) else [given]


@kernel("T g, T p, T w", "T out", "out = g + w * p")
def _penalized(g: Array, p: Array, w: float) -> Array:
    return g + w * p
