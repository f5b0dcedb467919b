r"""f-GAN: a GAN for every f-divergence (Nowozin et al. 2016, arXiv 1606.00709).

Idea: D's loss is a lower bound of a divergence of data p and samples q, and the divergence may be chosen.

    D_f(p || q) = \int q f(p / q),   f convex, f(1) = 0

A convex f is the largest of its tangents, f(u) = sup_t (u t - f*(t)), with the conjugate f*. A function T(x) in place
of t at each x therefore gives a bound, which is tight for T = f'(p / q):

    D_f(p || q)  >=  E_p T(x) - E_q f*(T(x)),   T(x) = g(v(x))

v is D's output, and the activation g maps it into the domain of f*. D maximises the bound; G minimises it.

What differs from a plain GAN: the two losses. "gan" is the plain one: its divergence is 2 JSD - log 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor
from minigen.backend import Array
from minigen.models.gan import GAN
from minigen.models.objectives import Objective


@dataclass(frozen=True)
class Divergence:
    """A row of the paper's tables 1 and 2. The functions are elementwise."""

    f: Callable[[Any], Any]
    """u > 0 -> f(u)"""
    activation: Callable[[Any], Any]
    """D's output v -> T = g(v)"""
    conjugate: Callable[[Any], Any]
    """v -> f*(g(v)), simplified, so that it does not overflow early"""
    threshold: float
    """f'(1): D takes x for data where T(x) is larger."""


DIVERGENCES = {
    "kl": Divergence(lambda u: u * ops.log(u), lambda v: v, lambda v: ops.exp(v - 1.0), 1.0),
    "reverse-kl": Divergence(lambda u: -ops.log(u), lambda v: -ops.exp(-v), lambda v: v - 1.0, -1.0),
    "pearson": Divergence(lambda u: (u - 1.0) ** 2, lambda v: v, lambda v: 0.25 * v * v + v, 0.0),
    "hellinger": Divergence(  # squared
        lambda u: (ops.sqrt(u) - 1.0) ** 2, lambda v: 1.0 - ops.exp(-v), lambda v: ops.exp(v) - 1.0, 0.0
    ),
    "jensen-shannon": Divergence(  # 2 JSD
        lambda u: u * ops.log(u) - (u + 1.0) * ops.log((u + 1.0) / 2.0),
        lambda v: math.log(2) - ops.softplus(-v),
        lambda v: ops.softplus(v) - math.log(2),
        0.0,
    ),
    "gan": Divergence(
        lambda u: u * ops.log(u) - (u + 1.0) * ops.log(u + 1.0), lambda v: -ops.softplus(-v), ops.softplus, -math.log(2)
    ),
}


class FGAN(GAN):
    """A GAN that minimises the divergence of that name in `DIVERGENCES`.

    With `tricky`, G minimises -E g(v) in place of -E f*(g(v)), as the non-saturating GAN does (section 3.2).
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        divergence: str = "kl",
        k: int = 1,
        *,
        tricky: bool = False,
    ) -> None:
        if divergence not in DIVERGENCES:
            raise ValueError(f"FGAN: expects divergence to be one of {tuple(DIVERGENCES)}, got {divergence!r}")
        super().__init__(generator, discriminator, k=k)
        self.divergence, self.objective_name = DIVERGENCES[divergence], divergence
        g, conjugate = self.divergence.activation, self.divergence.conjugate
        self.objective = Objective(
            discriminator=lambda s, t: ops.mean(conjugate(t)) - ops.mean(g(s)),
            generator=(lambda t: -ops.mean(g(t))) if tricky else (lambda t: -ops.mean(conjugate(t))),
            metrics=self._metrics,
            perfect=None,
            labelled=False,
        )

    def _metrics(self, s: Array, t: Array) -> dict[str, Array]:
        """The bound of the divergence, and the share that D tells rightly, of data and samples."""
        g, threshold = self.divergence.activation, self.divergence.threshold
        right = ((g(s) > threshold).mean() + (g(t) <= threshold).mean()) / 2
        return {"bound": g(s).mean() - self.divergence.conjugate(t).mean(), "right": right}


def f_divergence(divergence: str, p: Any, q: Any, cell: float) -> Tensor:
    """The integral of q f(p / q), from two densities at points that stand for `cell` each; it has derivatives."""
    return ops.sum(q * DIVERGENCES[divergence].f(p / q)) * cell
