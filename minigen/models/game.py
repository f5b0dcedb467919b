"""What a game between networks is made of: its players, and the batch from which each computes its loss.

A GAN is a game of two players. Its successors have more: two generators and two discriminators (CycleGAN), an encoder
on the generator's side (BiGAN), a classifier as a third player. A model of such a game is a `Module` with two methods:

    players()   {name: Player}, in the order in which they play
    noise(n)    n draws of what the generators start from, (n, latent_dim) in a GAN; None where nothing is drawn

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
    """what the model's `noise(m)` gave, fresh in every step"""
    labels: Any = None
    """(m,), the labels of the data, if it has any"""
    round: int = 0
    """rounds made before this one, for what changes in the course of the training"""


@dataclass(frozen=True)
class Player:
    """One side of a game: what it moves, and what it minimises while all the rest of the model is frozen.

    >>> Player(gan.generator, gan.generator_loss)
    >>> Player(nn.ModuleList([generator, encoder]), loss, steps=2)  # several networks, two steps in a round
    """

    module: nn.Module
    """The networks whose parameters it moves. Two players may share parts of theirs."""
    loss: Callable[[Batch], tuple[Tensor, Mapping[str, Any]]]
    """Gives the loss, a scalar, and metrics for the log: 0-d arrays, which may stay on the device."""
    steps: int = 1
    """Steps in a round."""
    after: Callable[[Mapping[str, Any]], None] = lambda metrics: None
    """Called after each of its steps with the metrics of that step: to clip weights, or to adapt a coefficient."""
    perfect: float | None = None
    """A loss that stays below this means that the player wins without fail; `train.Game` then warns."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"Player: expects steps >= 1, got {self.steps}")


def prefix(player: str) -> str:
    """A player's name in the log: its first word is cut to a letter.

    >>> prefix("discriminator"), prefix("generator_b")
    ('d', 'g_b')
    """
    first, underscore, rest = player.partition("_")
    return first[:1] + underscore + rest
