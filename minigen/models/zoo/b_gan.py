r"""b-GAN: a GAN that estimates the density ratio (Uehara et al. 2016, arXiv 1610.02920).

Idea: let D estimate the ratio r = p / q of data and samples, and let G minimise the f-divergence that r says there is.

    D minimises   E_q [r f'(r) - f(r)] - E_p f'(r), the Bregman divergence of f between p / q and r, up to a constant
    G minimises   E_q f(r(x)),   which is D_f(p || q) if r = p / q

With T = f'(r), D's loss is that of f-GAN. What differs from it: G's loss. It has the divergence's value but not its
gradient, because the divergence depends on q through r too, which is fixed here:

    the gradient of D_f at G's sample x     -r f''(r) dr/dx,   f-GAN's, always towards larger r
    that of b-GAN's loss                    f'(r) dr/dx,       towards larger r where f'(r) < 0

At p = N(0, 1), q = N(m, 1) it is -m E_p f'(p / q) for m. So G approaches the data with "reverse-kl", where the two are
equal, and with "gan"; with the others it goes away, although c (u - 1) more in f would change no divergence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from minigen import nn, ops
from minigen.models.zoo.f_gan import FGAN

RATIOS: dict[str, Callable[[Any], Any]] = {
    "kl": lambda v: ops.exp(v - 1.0),
    "reverse-kl": ops.exp,
    "pearson": lambda v: 1.0 + 0.5 * v,
    "hellinger": lambda v: ops.exp(2.0 * v),
    "jensen-shannon": ops.exp,
    "gan": ops.exp,
}
"""Of each divergence of `f_gan`, from D's output v the ratio r with f'(r) = g(v)."""


class BGAN(FGAN):
    """An `FGAN` whose generator minimises E_q f(r), for the ratio r that D's output stands for."""

    def __init__(self, generator: nn.Module, discriminator: nn.Module, divergence: str = "gan", k: int = 1) -> None:
        super().__init__(generator, discriminator, divergence, k)
        f, ratio = self.divergence.f, RATIOS[divergence]
        self.objective = replace(self.objective, generator=lambda t: ops.mean(f(ratio(t))))
