"""Training a GAN: the lecture's algorithm ("Putting it together: GAN training algorithm"), for any players."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np

from minigen.autograd import Tensor
from minigen.backend import Array, on_host
from minigen.capture import recomputed
from minigen.models.game import Batch, Player, prefix
from minigen.nn.module import Module, frozen
from minigen.optim import Optimizer, WeightEMA, grad_norm
from minigen.processes import Part, own_part
from minigen.train.diagnostics import Diagnostics
from minigen.train.divergence import Diverged, check_overflow
from minigen.train.parallel import backward
from minigen.train.run import Metrics, figure


class Game:
    """One round of a game between players, from a batch of images: a step for `train.train`.

    model       has `players()` and `noise(n)`, such as `models.GAN`; `models.game` says what they are
    optimizers  an optimizer for each player, by its name; it updates parameters of that player only
    average     a running average of weights, updated after each round, such as `optim.WeightEMA(gan.generator, 0.999)`
    schedule    gives a factor for all learning rates from the number of rounds made, such as `optim.linear_decay`

    In a round each player in turn makes its number of steps: in a GAN the discriminator makes k, then the generator
    makes one. A step updates the parameters of its player; the rest of the model is frozen, running statistics
    included. The images are cut into k parts of m, where k is the largest number of steps, and a remainder is left
    out. A player with fewer steps gets the last parts.

    The metrics of a player are those of its last step: its loss and the norm of its gradient, which are `d_loss` and
    `d_grad` for the discriminator, `g_loss` and `g_grad` for the generator, and what its loss reports. In a `GAN` that
    is the mean output of D, `D(x)` on data and `D(G(z))` on samples (`wasserstein` for a critic), and the `diversity`
    of the samples beside that of the data.

    `ValueError` if optimizers and players do not belong together, or if there are fewer than k images; `Diverged` if a
    loss or a gradient is not finite.
    """

    def __init__(
        self,
        model: Any,
        optimizers: Mapping[str, Optimizer],
        *,
        average: WeightEMA | None = None,
        schedule: Callable[[int], float] | None = None,
    ) -> None:
        self.model, self.players, self.optimizers = model, model.players(), dict(optimizers)
        check_optimizers(self.players, self.optimizers)
        self.average, self.schedule = average, schedule
        self.rates = {name: optimizer.lr for name, optimizer in self.optimizers.items()}
        parts = {"gan": model, **{f"{name}_optimizer": self.optimizers[name] for name in self.players}}
        self.parts: Mapping[str, Any] = parts if average is None else parts | {"average": average}
        self.diagnostics = Diagnostics(self.players)

    @property
    def rounds(self) -> int:
        """Rounds made so far, also before an interruption, from the steps of the last player's optimizer."""
        name, player = list(self.players.items())[-1]
        return self.optimizers[name].steps // player.steps

    def __call__(self, images: Any, labels: Any = None) -> Metrics:
        (rounds,) = recomputed(self._begin_round, np.int64)
        k = max(player.steps for player in self.players.values())
        m = len(images) // k
        if m == 0:
            raise ValueError(f"Game: expects at least {k} images, one for each step of a round, got {len(images)}")

        losses, norms, others = {}, {}, {}
        for name, player in self.players.items():  # the discriminator, then the generator
            for i in range(k - player.steps, k):  # for its number of steps do
                x = images[i * m : (i + 1) * m]  # sample m examples from the data
                y = None if labels is None else labels[i * m : (i + 1) * m]
                with own_part(m) as part:  # of several processes, each takes its own rows
                    x, y = part.of(x), part.of(y)
                    z = self.model.noise(len(x))  # sample m noise vectors
                    with frozen_but(player.module, self.model):
                        loss, metrics = player.loss(Batch(x, z, y, rounds))
                    mean_loss, *means = part.means([loss.data, *metrics.values()])
                    metrics = dict(zip(metrics, means, strict=True))
                    norm = descend(self.optimizers[name], loss, mean_loss, self.model, part)  # the player's gradient
                player.after(metrics)
            losses[f"{prefix(name)}_loss"], norms[f"{prefix(name)}_grad"] = mean_loss, norm
            others.update(metrics)

        if self.average is not None:
            self.average.update()
        result = {name: figure(value) for name, value in (losses | norms | others).items()}
        if all(map(on_host, result.values())):
            self.diagnostics.look(result)
        return result

    def _begin_round(self) -> tuple[int]:
        """Set the learning rates; returns the number of rounds before this one."""
        rounds = self.rounds
        if self.schedule is not None:
            for name, optimizer in self.optimizers.items():
                optimizer.lr = self.rates[name] * self.schedule(rounds)
        return (rounds,)

    def look(self, metrics: Metrics) -> None:
        """Look for signs of failure in the metrics of one round, which were on a GPU; `train` calls this."""
        self.diagnostics.look(metrics)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside the block the model has its averaged weights, if there are any."""
        with self.average.applied() if self.average is not None else nullcontext():
            yield


def check_optimizers(players: Mapping[str, Player], optimizers: Mapping[str, Optimizer]) -> None:
    """`ValueError` unless there is an optimizer for each player, which updates parameters of that player only."""
    if optimizers.keys() != players.keys():
        raise ValueError(f"Game: expects an optimizer for each of {list(players)}, got {list(optimizers)}")
    for name, player in players.items():
        own = {id(p) for p in player.module.parameters()}
        if not all(id(p) in own for p in optimizers[name].parameters):
            raise ValueError(f"Game: expects the optimizer of {name!r} to update its parameters, got others")
    if len({prefix(name) for name in players}) < len(players):
        raise ValueError(f"Game: expects players with different names in the log, got {list(players)}")


@contextmanager
def frozen_but(own: Module, model: Module) -> Iterator[None]:
    """Inside the block nothing in the model changes except `own`; what was frozen in that stays frozen."""
    parts = [(part, part.frozen) for part in own.modules()]
    parameters = [(p, p.requires_grad) for p in own.parameters()]
    with frozen(model):
        for part, was in parts:
            part.frozen = was
        for p, required in parameters:
            p.requires_grad = required
        yield


def descend(optimizer: Optimizer, loss: Tensor, mean_loss: Array, model: Module, part: Part) -> Array:
    """One step down the gradient of a player's loss, `mean_loss` over the batch; returns the gradient's norm."""
    here = on_host(mean_loss)
    if here and not math.isfinite(mean_loss):
        raise Diverged(f"the loss is {float(mean_loss)}")
    optimizer.zero_grad()
    backward(loss, optimizer.parameters, part)
    norm = grad_norm(optimizer.parameters)
    if here:
        check_overflow("gan", model)
    optimizer.step()
    optimizer.zero_grad()
    return norm
