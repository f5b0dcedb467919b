"""The objectives of GANs: the losses of the discriminator and of the generator.

s is the discriminator's output on data, t its output on samples. In the first two objectives the output is a logit,
D(x) = sigmoid(s), and the losses use log D = -softplus(-s) and log(1 - D) = -softplus(s), which do not overflow and do
not round small gradients to 0. The others have no sigmoid: the output is D(x) itself, or the score of a critic.

    name              the discriminator minimises                       the generator minimises
    minimax           E softplus(-s) + E softplus(t)                    -E softplus(t)   = E log(1 - D(G(z)))
    non-saturating    the same                                          E softplus(-t)   = -E log D(G(z))
    least-squares     E (s - 1)^2 / 2 + E t^2 / 2                       E (t - 1)^2 / 2
    hinge             E relu(1 - s) + E relu(1 + t)                     -E t
    wasserstein       E t - E s, weights clipped                        -E t
    wasserstein-gp    E t - E s + 10 gradient penalty                   -E t

Goodfellow et al. 2014 (arXiv 1406.2661; the lecture, "Two-player game"), Mao et al. 2017 (1611.04076), Lim and Ye 2017
(1705.02894), Arjovsky et al. 2017 (1701.07875), Gulrajani et al. 2017 (1704.00028).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from minigen import ops
from minigen.autograd import Tensor, grad, raw
from minigen.backend import Array
from minigen.nn import Module
from minigen.random import uniform


@dataclass(frozen=True)
class Objective:
    """The two losses of a GAN, and the settings of its training that belong to them."""

    discriminator: Callable[..., Tensor]
    """(outputs on the data (N,), outputs on the samples (N,)) -> a scalar; where `labelled`, also real=1.0."""
    generator: Callable[[Tensor], Tensor]
    """(outputs on the samples (N,)) -> a scalar."""
    metrics: Callable[[Array, Array], dict[str, Array]]
    """(outputs on the data (N,), outputs on the samples (N,)) -> what the log shows of them, 0-d arrays by name."""
    perfect: float | None = 0.02
    """Below this loss, the discriminator separates samples from data almost perfectly. None: it has no lower bound."""
    k: int = 1
    """Discriminator steps for each generator step."""
    labelled: bool = True
    """Whether the data have a label, real=1.0, that can be smoothed."""
    clip: float | None = None
    """The critic's weights are put back into [-clip, clip] after each of its steps."""
    penalty: float = 0.0
    """Weight of the gradient penalty."""

    @property
    def critic(self) -> bool:
        """Whether the discriminator is a critic, whose loss estimates -(a Wasserstein distance)."""
        return self.clip is not None or self.penalty > 0


def _cross_entropy(data: Tensor, samples: Tensor, real: float = 1.0) -> Tensor:
    """-E [real log D(x) + (1 - real) log(1 - D(x))] - E log(1 - D(G(z)))"""
    on_data = ops.mean(ops.softplus(-data))
    if real != 1.0:
        on_data = real * on_data + (1.0 - real) * ops.mean(ops.softplus(data))
    return on_data + ops.mean(ops.softplus(samples))


def _least_squares(data: Tensor, samples: Tensor, real: float = 1.0) -> Tensor:
    return 0.5 * ops.mean(ops.square(data - real)) + 0.5 * ops.mean(ops.square(samples))


def _hinge(data: Tensor, samples: Tensor) -> Tensor:
    return ops.mean(ops.relu(1.0 - data)) + ops.mean(ops.relu(1.0 + samples))


def _difference(data: Tensor, samples: Tensor) -> Tensor:
    return ops.mean(samples) - ops.mean(data)


def _minimax(samples: Tensor) -> Tensor:
    """E log(1 - D(G(z)))"""
    return -ops.mean(ops.softplus(samples))


def _non_saturating(samples: Tensor) -> Tensor:
    """-E log D(G(z))"""
    return ops.mean(ops.softplus(-samples))


def _least_squares_of_generator(samples: Tensor) -> Tensor:
    return 0.5 * ops.mean(ops.square(samples - 1.0))


def _minus_mean(samples: Tensor) -> Tensor:
    return -ops.mean(samples)


def _probabilities(data: Array, samples: Array) -> dict[str, Array]:
    """The means of D = sigmoid(output)."""
    return {"D(x)": ops.sigmoid(data).mean(), "D(G(z))": ops.sigmoid(samples).mean()}


def _outputs(data: Array, samples: Array) -> dict[str, Array]:
    """The means of D, which is the output itself."""
    return {"D(x)": data.mean(), "D(G(z))": samples.mean()}


def _distance(data: Array, samples: Array) -> dict[str, Array]:
    """The estimate of the Wasserstein distance, up to a factor: the critic's Lipschitz constant."""
    return {"wasserstein": data.mean() - samples.mean()}


OBJECTIVES = {
    "minimax": Objective(_cross_entropy, _minimax, _probabilities),
    "non-saturating": Objective(_cross_entropy, _non_saturating, _probabilities),
    "least-squares": Objective(_least_squares, _least_squares_of_generator, _outputs),
    "hinge": Objective(_hinge, _minus_mean, _outputs, labelled=False),
    "wasserstein": Objective(_difference, _minus_mean, _distance, perfect=None, k=5, labelled=False, clip=0.01),
    "wasserstein-gp": Objective(_difference, _minus_mean, _distance, perfect=None, k=5, labelled=False, penalty=10.0),
}


def clip_weights(critic: Module, bound: float) -> None:
    """Put its weights into [-bound, bound]; this bounds its Lipschitz constant (Arjovsky et al. 2017, algorithm 1)."""
    for p in critic.parameters():
        p.data = p.data.clip(-bound, bound, out=p.data)  # the assignment tells the tape that it changed


def gradient_penalty(critic: Callable[[Any], Any], data: Any, samples: Any) -> Tensor:
    """The mean of (|gradient of critic(x) with respect to x| - 1)^2 at random points x between data and samples.

    Each x lies on the line from a data point to a sample. A critic with gradients of norm 1 there estimates the
    Wasserstein distance (Gulrajani et al. 2017, section 4). Data and samples are (N, ...). The gradient of the penalty
    needs second derivatives of the critic.
    """
    a, b = raw(data), raw(samples)
    mix = uniform((len(a), *(1,) * (a.ndim - 1)), dtype=a.dtype, device=Tensor(a).device)
    x = Tensor(mix * a + (1 - mix) * b, requires_grad=True)
    (slope,) = grad(ops.sum(critic(x)), x, create_graph=True)
    squares = ops.sum(ops.square(ops.reshape(slope, (len(a), -1))), axis=1)
    return ops.mean(ops.square(ops.sqrt(squares + 1e-12) - 1.0))  # sqrt has no derivative at 0
