"""Generative adversarial networks (Goodfellow et al. 2014, arXiv 1406.2661; the lecture, "Training GANs").

A generator G turns noise z into samples G(z). A discriminator D gives the probability that its input is data and not a
sample. They play against each other:

    min_G max_D   E_data log D(x)  +  E_z log(1 - D(G(z)))

For a fixed G the optimal D is p_data / (p_data + p_g). Against it, G's loss is -log 4 + 2 JSD(p_data || p_g), which is
smallest where p_g = p_data. `objectives` has this game and its successors; `train.Game` plays it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor, checked_labels, no_grad, raw
from minigen.backend import Array, array_module
from minigen.kernels import kernel
from minigen.models.game import Batch, Player
from minigen.models.objectives import OBJECTIVES, clip_weights, gradient_penalty
from minigen.models.tricks import PARTS, Tricks
from minigen.nn.module import evaluating
from minigen.processes import present_part


class GAN(nn.Module):
    """A generator and a discriminator, with the loss of each. `gan(z)` gives the generator's samples.

    generator      z (N, latent_dim) -> samples (N, ...); with classes, (z, labels); has the attributes `latent_dim` and
                   `classes` (None or their number)
    discriminator  x (N, ...) -> outputs (N,), logits for most objectives; with classes, (x, labels)
    objective      a name from `OBJECTIVES`
    k              discriminator steps for each generator step; by default the objective's
    penalty        weight of the gradient penalty of "wasserstein-gp"; by default the objective's
    tricks         options that sometimes help; by default none

    `ValueError` if a value is out of its range, or if objective, options and networks do not fit together.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: str = "non-saturating",
        k: int | None = None,
        *,
        penalty: float | None = None,
        tricks: Tricks | None = None,
    ) -> None:
        if objective not in OBJECTIVES:
            raise ValueError(f"GAN: expects objective to be one of {tuple(OBJECTIVES)}, got {objective!r}")
        self.generator, self.discriminator = generator, discriminator
        self.objective, self.objective_name = OBJECTIVES[objective], objective
        self.k = self.objective.k if k is None else k
        self.tricks = tricks or Tricks()
        if self.k < 1:
            raise ValueError(f"GAN: expects k >= 1, got {k}")
        if penalty is not None:
            if not (self.objective.penalty and penalty > 0):
                raise ValueError(f"GAN: expects penalty > 0, with a gradient penalty, got {penalty} with {objective!r}")
            self.objective = replace(self.objective, penalty=penalty)
        if self.tricks.label_smoothing and not self.objective.labelled:
            raise ValueError(f"GAN: objective={objective!r} has no labels that could be smoothed")
        if self.tricks.noise == "mixture" and self.latent_dim <= PARTS:
            raise ValueError(f'GAN: noise="mixture" expects latent_dim > {PARTS}, got {self.latent_dim}')
        if getattr(discriminator, "classes", self.classes) != self.classes:
            raise ValueError(
                f"GAN: the generator has classes={self.classes}, the discriminator classes={discriminator.classes}"  # type: ignore[attr-defined]
            )

    @property
    def latent_dim(self) -> int:
        """Length of z."""
        return self.generator.latent_dim  # type: ignore[attr-defined]

    @property
    def classes(self) -> int | None:
        """Number of classes that samples can be asked for, or None."""
        return getattr(self.generator, "classes", None)

    # -- the game ----------------------------------------------------------------------------------------------------

    def players(self) -> dict[str, Player]:
        """The discriminator, with k steps in a round, and then the generator, with one."""
        perfect = self.objective.perfect
        return {
            "discriminator": Player(self.discriminator, self.discriminator_loss, self.k, self._clip, perfect),
            "generator": Player(self.generator, self.generator_loss),
        }

    def noise(self, n: int) -> Tensor:
        """`n` draws of z, (n, latent_dim)."""
        dtype = next(self.parameters()).dtype
        return Tensor(self.tricks.draw(n, self.latent_dim, dtype, self.device))

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What D minimises, and the objective's metrics. G gets no gradients: the samples are constants."""
        condition = self._condition(batch.labels)
        with no_grad():
            samples = self.generator(batch.noise, *condition)
        x = self.tricks.blur(Tensor(raw(batch.data)), batch.round)
        samples = self.tricks.blur(samples, batch.round)
        on_data, on_samples = self._judge(x, samples, condition)
        label = {"real": 1.0 - self.tricks.label_smoothing} if self.tricks.label_smoothing else {}
        loss = self.objective.discriminator(*self.tricks.flip(on_data, on_samples), **label)
        if self.objective.penalty:
            critic = lambda between: self.discriminator(between, *condition)
            loss = loss + self.objective.penalty * gradient_penalty(critic, x, samples)
        return loss, self.objective.metrics(on_data.data, on_samples.data)

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What G minimises, and the diversity of its samples: their standard deviation divided by that of the data."""
        condition = self._condition(batch.labels)
        samples = self.generator(batch.noise, *condition)
        loss = self.objective.generator(self.discriminator(self.tricks.blur(samples, batch.round), *condition))
        return loss, {"diversity": _spread(samples.data) / (_spread(raw(batch.data)) + 1e-12)}

    def loss(self, images: Any, labels: Any = None) -> Tensor:
        """D's loss on data (N, ...) and N new samples. For a D with logits, it is minus the value of the game."""
        return self.discriminator_loss(Batch(images, self.noise(len(images)), labels))[0]

    def _judge(self, x: Tensor, samples: Tensor, condition: tuple[Any, ...]) -> tuple[Tensor, Tensor]:
        """D's outputs (N,) on the data and on the samples."""
        if not self.tricks.mixed_batch:
            return self.discriminator(x, *condition), self.discriminator(samples, *condition)
        both = self.discriminator(ops.concat([x, samples]), *(ops.concat([c, c]) for c in condition))
        return both[: len(x)], both[len(x) :]

    def _clip(self, metrics: Any) -> None:
        if self.objective.clip is not None:
            clip_weights(self.discriminator, self.objective.clip)

    # -- samples -----------------------------------------------------------------------------------------------------

    def forward(self, z: Any, labels: Any = None) -> Tensor:
        """G(z), (N, ...), in the current mode and with derivatives, unlike `sample`. With classes, labels (N,)."""
        if labels is not None and self.classes is None:
            raise ValueError(f"{type(self).__name__}: expects no labels, it has no classes")
        return self.generator(z, *self._condition(labels))

    @no_grad()
    def sample(self, n: int | None = None, labels: Any = None, *, z: Any = None) -> Tensor:
        """`n` samples (n, ...), or those of the given z (n, latent_dim).

        The generator is in evaluation mode, so that a sample depends on its own z only. With classes, labels (n,).
        """
        if (n is None) == (z is None):
            raise ValueError(f"sample: expects n or z, got n={n} and {'a' if z is not None else 'no'} z")
        z = self.noise(n) if n is not None else z
        with evaluating(self):
            return self(z, labels)

    def _condition(self, labels: Any) -> tuple[Array, ...]:
        """The second argument of both networks: the labels, if there are classes."""
        if self.classes is None:
            return ()
        if labels is None:
            raise ValueError(f"{type(self).__name__}: expects labels, got none")
        return (self.device.asarray(checked_labels(type(self).__name__, labels, self.classes)),)


def _spread(x: Array) -> Array:
    """The standard deviation over a batch (N, ...) of each value, summed over values: a 0-d array."""
    if (part := present_part()) is not None:  # x are the own rows of one of several processes
        centred = x - part.mean(x.mean(axis=0))
        return (part.mean((centred * centred).mean(axis=0)) ** 0.5).sum()
    return _std(x, array_module(x).empty(x.shape[1:], x.dtype)).sum()


@kernel(
    "raw T x",
    "T std",
    """
    const ptrdiff_t n = x.shape()[0], each = x.size() / n;
    T mean = 0, squares = 0;
    for (ptrdiff_t k = 0; k < n; ++k) mean += x[i + k * each] / n;
    for (ptrdiff_t k = 0; k < n; ++k) squares += (x[i + k * each] - mean) * (x[i + k * each] - mean);
    std = sqrt(squares / n);
    """,
)
def _std(x: Array, out: Array) -> Array:
    """The standard deviation over the first axis."""
    return x.std(axis=0, out=out)
