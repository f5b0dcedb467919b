"""A game between networks: its players, and the batch from which each player computes its loss.

A GAN is a game of two players. Its successors have more: two generators and two discriminators (CycleGAN), an encoder
on the generator's side (BiGAN), a classifier as a third player. A model of such a game is a `Module` with two methods:

    players()   {name: Player}, in the order in which they play
    noise(n)    n draws of the generators' input, (n, latent_dim) in a GAN; None if nothing is drawn

`train.Game` plays it. A player's name also names what the game writes: for "generator" that is `generator_optimizer` in
a checkpoint, and `g_loss` and `g_grad` in the log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from minigen import nn
from minigen.autograd import Tensor


class Batch(NamedTuple):
    """What a loss is computed from: m examples of the data and m draws of the noise."""

    data: Any
    """(m, ...), such as images (m, C, H, W)"""
    noise: Any
    """the result of the model's `noise(m)`, drawn anew in every step"""
    labels: Any = None
    """(m,), the labels of the data, if it has any"""
    round: int = 0
    """the number of rounds before this one, for what changes during training"""


@dataclass(frozen=True)
class Player:
    """A player: the parameters that it updates and the loss that it minimises while the rest of the model is frozen.

    >>> Player(gan.generator, gan.generator_loss)
    >>> Player(nn.ModuleList([generator, encoder]), loss, steps=2)  # several networks, two steps in a round
    """

    module: nn.Module
    """The networks whose parameters it updates. Two players may have networks in common."""
    loss: Callable[[Batch], tuple[Tensor, Mapping[str, Any]]]
    """Gives the loss, a scalar, and metrics for the log: 0-d arrays, which may stay on the device."""
    steps: int = 1
    """Steps in a round."""
    after: Callable[[Mapping[str, Any]], None] = lambda metrics: None
    """Called after each of its steps with the metrics of that step: to clip weights, or to adapt a coefficient."""
    perfect: float | None = None
    """`train.Game` warns if the loss stays below this, because the player then wins almost always."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"Player: expects steps >= 1, got {self.steps}")


def prefix(player: str) -> str:
    """A player's prefix in the log: the first word of its name is shortened to a letter.

    >>> prefix("discriminator"), prefix("generator_b")
    ('d', 'g_b')
    """
    first, underscore, rest = player.partition("_")
    return first[:1] + underscore + rest
