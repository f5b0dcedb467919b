r"""AdaGAN: boosting for GANs (Tolstikhin et al. 2017, arXiv 1701.02386).

Idea: train GANs one after the other, each on the data that the mixture of those before it misses, and mix them all.

    P_t = (1 - beta) P_{t-1} + beta Q_t,   beta = 1 / t by default

The best Q_t for the mixture has density max(0, lambda p_data - (1 - beta) p_{t-1}) / beta. In terms of weights of the N
data points, with r = p_{t-1} / p_data at each point, this is

    w_i = max(0, lambda - (1 - beta) r_i) / (N beta),   with lambda such that the w_i sum to 1

which is water-filling: lambda is the level of the water, and a point that the mixture already covers well stays dry.
The ratio comes from a classifier D of data against samples of the mixture: r = (1 - D) / D = e^-s for its logit s.

What differs from a plain GAN: nothing in the game. The data are weighted, and the samples come from a mixture.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.random import random_generator


class AdaGAN(nn.Module):
    """A mixture of models with `sample(n)`, such as `GAN`s, which grows by `add`."""

    def __init__(self) -> None:
        self.components = nn.ModuleList([])
        self.shares = np.zeros(0)
        """(components,), the probability of each; they sum to 1"""

    def add(self, component: nn.Module, beta: float | None = None) -> None:
        """Mix it in with the share `beta`, by default an equal one; the others keep 1 - beta. The first has 1."""
        t = len(self.components) + 1
        beta = 1 / t if beta is None else beta
        if not 0 < beta <= 1 or (t == 1 and beta != 1):
            raise ValueError(f"AdaGAN: expects beta > 0 and <= 1, and 1 for the first component, got {beta}")
        self.components = nn.ModuleList([*self.components, component])
        self.shares = np.append((1 - beta) * self.shares, beta)

    @no_grad()
    def sample(self, n: int) -> Tensor:
        """`n` samples (n, ...), in random order."""
        generator, components = random_generator(), cast(Any, self.components)
        counts = generator.multinomial(n, self.shares)
        samples = ops.concat([part.sample(int(m)) for part, m in zip(components, counts, strict=True) if m])
        return samples[samples.device.asarray(generator.permutation(n))]


def water_filling(ratios: Any, beta: float) -> np.ndarray:
    """The weights w (N,) of N data points for the next component, from r = p_mixture / p_data (N,) at each.

    They are not negative and sum to 1. The smallest k with lambda_k <= (1 - beta) r_{k+1}, where r is sorted and

        lambda_k = beta N / k (1 + (1 - beta) / (beta N) sum_{i <= k} r_i)

    is the number of points that get weight (the paper's algorithm 3). `ValueError` if a value is out of its range.
    """
    ratios = np.asarray(ratios, np.float64)
    n = len(ratios)
    if ratios.shape != (n,) or not (ratios >= 0).all() or not 0 < beta <= 1:
        raise ValueError(f"water_filling: expects ratios >= 0 (N,) and 0 < beta <= 1, got {ratios}, {beta}")
    dry = (1 - beta) * np.sort(ratios)
    levels = (beta * n + np.cumsum(dry)) / np.arange(1, n + 1)
    k = np.argmax(levels <= np.append(dry[1:], np.inf))
    return np.maximum(0.0, levels[k] - (1 - beta) * ratios) / (n * beta)
