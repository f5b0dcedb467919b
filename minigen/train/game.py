"""Training a GAN: the lecture's algorithm ("Putting it together: GAN training algorithm"), for any players."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from minigen.autograd import Tensor, raw
from minigen.models.game import Batch, Player, prefix
from minigen.nn.module import Module, frozen
from minigen.optim import Optimizer, WeightEMA, clip_grad_norm
from minigen.train.diagnostics import Diagnostics
from minigen.train.loop import Diverged, Metrics


class Game:
    """One round of a game, from a batch of images: a step for `train.train`.

    model       has `players()` and `noise(n)`, such as `models.GAN`; `models.game` says more
    optimizers  by the player's name
    average     a running average of weights, such as `optim.WeightEMA(gan.generator, 0.999)`, updated after each round
    schedule    gives the factor of all learning rates for the number of rounds made, such as `optim.linear_decay`

    In a round the players take their turns, with as many steps as each has: a GAN's discriminator k, then its generator
    one. A player moves its own parameters; nothing else in the model changes, not even running statistics. With k the
    most steps of a player, the images are cut into k parts of m, one for each step (a remainder is left out); a player
    with fewer steps uses the last parts.

    Metrics for the log are those of each player's last step: `d_loss` and `d_grad`, the gradient's norm, of the
    discriminator; `g_loss` and `g_grad` of the generator; and what their losses report, in a `GAN` with samples of the
    diversity of the data `diversity` = 1 and the means `D(x)` and `D(G(z))`, or for a critic `wasserstein`.

    `ValueError` if optimizers and players do not belong together, or for fewer than k images; `Diverged` if a loss is
    not finite.
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
        """Rounds made, those before a break included: the last player's optimizer has counted them."""
        name, player = list(self.players.items())[-1]
        return self.optimizers[name].steps // player.steps

    def __call__(self, images: Any, labels: Any = None) -> Metrics:
        rounds = self.rounds
        if self.schedule is not None:
            for name, optimizer in self.optimizers.items():
                optimizer.lr = self.rates[name] * self.schedule(rounds)
        k = max(player.steps for player in self.players.values())
        m = len(images) // k
        if m == 0:
            raise ValueError(f"Game: expects at least {k} images, one for each step of a round, got {len(images)}")

        losses, norms, others = {}, {}, {}
        for name, player in self.players.items():  # the discriminator, then the generator
            for i in range(k - player.steps, k):  # for its number of steps do
                x = images[i * m : (i + 1) * m]  # sample m examples from the data
                y = None if labels is None else labels[i * m : (i + 1) * m]
                z = self.model.noise(m)  # sample m noise vectors
                with frozen_but(player.module, self.model):
                    loss, metrics = player.loss(Batch(x, z, y, rounds))
                norm = descend(self.optimizers[name], loss)  # descend the player's gradient
                player.after(metrics)
            losses[f"{prefix(name)}_loss"], norms[f"{prefix(name)}_grad"] = loss, norm
            others.update(metrics)

        if self.average is not None:
            self.average.update()
        result = {name: float(raw(value)) for name, value in (losses | norms | others).items()}
        self.diagnostics.look(result)
        return result

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside the block the model has its averaged weights, if they are kept."""
        with self.average.applied() if self.average is not None else nullcontext():
            yield


def check_optimizers(players: Mapping[str, Player], optimizers: Mapping[str, Optimizer]) -> None:
    """`ValueError` unless there is an optimizer for each player, which moves parameters of that player only."""
    if optimizers.keys() != players.keys():
        raise ValueError(f"Game: expects an optimizer for each of {list(players)}, got {list(optimizers)}")
    for name, player in players.items():
        own = {id(p) for p in player.module.parameters()}
        if not all(id(p) in own for p in optimizers[name].parameters):
            raise ValueError(f"Game: expects the optimizer of {name!r} to move its parameters, got others")
    if len({prefix(name) for name in players}) < len(players):
        raise ValueError(f"Game: expects players with different names in the log, got {list(players)}")


@contextmanager
def frozen_but(own: Module, model: Module) -> Iterator[None]:
    """Inside the block nothing in the model changes but `own`, of which each part stays as frozen as it was."""
    parts = [(part, part.frozen) for part in own.modules()]
    parameters = [(p, p.requires_grad) for p in own.parameters()]
    with frozen(model):
        for part, was in parts:
            part.frozen = was
        for p, required in parameters:
            p.requires_grad = required
        yield


def descend(optimizer: Optimizer, loss: Tensor) -> float:
    """One step down the gradient of `loss`; returns the gradient's norm."""
    value = loss.item()
    if not math.isfinite(value):
        raise Diverged(f"the loss is {value}")
    optimizer.zero_grad()
    loss.backward()
    norm = clip_grad_norm(optimizer.parameters, math.inf)
    optimizer.step()
    optimizer.zero_grad()
    return norm
