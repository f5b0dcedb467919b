"""What the two players of a GAN minimise: the discriminator, and the generator against it.

s is the discriminator's output on data, t that on samples. In the first two objectives it is a logit, so that
D(x) = sigmoid(s), and the losses are computed from it: log D = -softplus(-s) and log(1 - D) = -softplus(s) never
overflow and round no gradient away. In the others there is no sigmoid: the output is D(x) itself, or a critic's score.

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
from minigen.backend import Array, uniform


@dataclass(frozen=True)
class Objective:
    """The two losses, what the discriminator's output means, and what belongs to the training of a critic."""

    discriminator: Callable[..., Tensor]
    """(outputs on the data (N,), outputs on the samples (N,)) -> a scalar; where `labelled`, also real=1.0."""
    generator: Callable[[Tensor], Tensor]
    """(outputs on the samples (N,)) -> a scalar."""
    metrics: Callable[[Array, Array], dict[str, Array]]
    """(outputs on the data (N,), outputs on the samples (N,)) -> what the log shows of them, 0-d arrays by name."""
    perfect: float | None = 0.02
    """The discriminator's loss below which it tells samples from data without fail. None: it has no least value."""
    k: int = 1
    """Discriminator steps for each of the generator's."""
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


def _log_likelihood(data: Tensor, samples: Tensor, real: float = 1.0) -> Tensor:
    """-E [real log D(x) + (1 - real) log(1 - D(x))] - E log(1 - D(G(z)))"""
    on_data = real * ops.mean(ops.softplus(-data))
    if real != 1.0:
        on_data = on_data + (1.0 - real) * ops.mean(ops.softplus(data))
    return on_data + ops.mean(ops.softplus(samples))


def _squares(data: Tensor, samples: Tensor, real: float = 1.0) -> Tensor:
    return 0.5 * ops.mean(ops.square(data - real)) + 0.5 * ops.mean(ops.square(samples))


def _hinge(data: Tensor, samples: Tensor) -> Tensor:
    return ops.mean(ops.relu(1.0 - data)) + ops.mean(ops.relu(1.0 + samples))


def _difference(data: Tensor, samples: Tensor) -> Tensor:
    return ops.mean(samples) - ops.mean(data)


def _log_of_not_data(samples: Tensor) -> Tensor:
    """E log(1 - D(G(z)))"""
    return -ops.mean(ops.softplus(samples))


def _minus_log_of_data(samples: Tensor) -> Tensor:
    """-E log D(G(z))"""
    return ops.mean(ops.softplus(-samples))


def _squares_to_data(samples: Tensor) -> Tensor:
    return 0.5 * ops.mean(ops.square(samples - 1.0))


def _raise(samples: Tensor) -> Tensor:
    return -ops.mean(samples)


def _probabilities(data: Array, samples: Array) -> dict[str, Array]:
    """How likely the discriminator finds it that they are data: D = sigmoid(output)."""
    return {"D(x)": ops.sigmoid(data).mean(), "D(G(z))": ops.sigmoid(samples).mean()}


def _outputs(data: Array, samples: Array) -> dict[str, Array]:
    """D is the output itself, which the discriminator pulls to a target on data and to another on samples."""
    return {"D(x)": data.mean(), "D(G(z))": samples.mean()}


def _distance(data: Array, samples: Array) -> dict[str, Array]:
    """The estimate of the Wasserstein distance, up to a factor: the critic's slope."""
    return {"wasserstein": data.mean() - samples.mean()}


OBJECTIVES = {
    "minimax": Objective(_log_likelihood, _log_of_not_data, _probabilities),
    "non-saturating": Objective(_log_likelihood, _minus_log_of_data, _probabilities),
    "least-squares": Objective(_squares, _squares_to_data, _outputs),
    "hinge": Objective(_hinge, _raise, _outputs, labelled=False),
    "wasserstein": Objective(_difference, _raise, _distance, perfect=None, k=5, labelled=False, clip=0.01),
    "wasserstein-gp": Objective(_difference, _raise, _distance, perfect=None, k=5, labelled=False, penalty=10.0),
}


def gradient_penalty(critic: Callable[[Any], Any], data: Any, samples: Any) -> Tensor:
    """The mean of (|gradient of critic(x) with respect to x| - 1)^2 at random points x between data and samples.

    A critic with gradients of norm 1 along those lines estimates the Wasserstein distance (Gulrajani et al. 2017,
    section 4). Data and samples: (N, ...). The penalty's own gradient needs second derivatives of the critic.
    """
    a, b = raw(data), raw(samples)
    mix = uniform((len(a), *(1,) * (a.ndim - 1)), dtype=a.dtype, device=Tensor(a).device)
    x = Tensor(mix * a + (1 - mix) * b, requires_grad=True)
    (slope,) = grad(ops.sum(critic(x)), x, create_graph=True)
    squares = ops.sum(ops.square(ops.reshape(slope, (len(a), -1))), axis=1)
    return ops.mean(ops.square(ops.sqrt(squares + 1e-12) - 1.0))  # the root of 0 itself has no derivative
