"""The small networks of the experiments, and the loop that trains them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigen import Tensor, nn, no_grad, optim
from minigen.models.objectives import OBJECTIVES

HIDDEN = 64


def mlp(inputs: int, activation: Callable[[], nn.Module], shape: tuple[int, ...] = ()) -> nn.Sequential:
    """x (N, inputs) -> (N, *shape), logits (N,) by default, through two hidden layers."""
    hidden = [nn.Linear(inputs, HIDDEN), activation(), nn.Linear(HIDDEN, HIDDEN), activation()]
    return nn.Sequential(*hidden, nn.Linear(HIDDEN, math.prod(shape)), nn.Unflatten(shape))


@no_grad()
def evaluate(net: nn.Module, x: np.ndarray) -> np.ndarray:
    """The network's outputs at the points x (N, inputs)."""
    return net(Tensor(x.astype(np.float32))).numpy()


def probabilities(logits: np.ndarray) -> np.ndarray:
    """D = sigmoid(logits), without overflow."""
    return np.exp(-np.logaddexp(0, -logits))


def descend(
    optimizer: optim.Optimizer, loss: Callable[[], Tensor], steps: int, watch: Callable[[int], Any] = lambda step: None
) -> None:
    """Minimise; `watch` is called before the first step and after each, with the number of steps taken."""
    lr, decay = optimizer.lr, optim.linear_decay(steps)
    watch(0)
    for step in range(steps):
        optimizer.lr = lr * decay(step)
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
        watch(step + 1)


def train_discriminator(
    net: nn.Module, data: Callable, samples: Callable, steps: int, watch: Callable[[int], Any] = lambda step: None
) -> None:
    """Minimise -V(G, D) over D; `data(n)` and `samples(n)` draw from p_data and p_g."""
    loss = lambda: OBJECTIVES["minimax"].discriminator(net(Tensor(data(1024))), net(Tensor(samples(1024))))
    descend(optim.Adam(net.parameters(), 5e-3), loss, steps, watch)
