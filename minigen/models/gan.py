"""Generative adversarial networks (Goodfellow et al. 2014, arXiv 1406.2661; the lecture, "Training GANs").

A generator G turns noise z into samples G(z); a discriminator D says how likely it is that what it sees is data. They
play against each other:

    min_G max_D   E_data log D(x)  +  E_z log(1 - D(G(z)))

For a given G the best D is p_data / (p_data + p_g), and against that one G's loss is -log 4 + 2 JSD(p_data || p_g),
smallest where p_g = p_data. `objectives` has this game and its successors; `train.Adversarial` plays it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad, raw
from minigen.backend import Shape, current_dtype, normal, uniform
from minigen.models.objectives import OBJECTIVES, gradient_penalty
from minigen.nn.module import evaluating, frozen

NOISES = ("normal", "uniform", "sphere")


class GAN(nn.Module):
    """A generator and a discriminator, with what each of them minimises.

    generator      z (N, latent_dim) -> samples (N, ...); with classes, (z, labels); has the attributes `latent_dim` and
                   `classes` (None or their number)
    discriminator  x (N, ...) -> logits (N,); with classes, (x, labels)
    objective      a name from `OBJECTIVES`
    k              discriminator steps for each of the generator's; by default the objective's own
    penalty        weight of the gradient penalty of "wasserstein-gp"; by default the objective's own

    What follows is folklore that sometimes helps (Salimans et al. 2016, arXiv 1606.03498; White 2016, 1609.04468;
    Sønderby et al. 2017, 1610.04490; Chintala et al., "How to train a GAN"):

    noise            "normal"; "uniform" in [-1, 1], as the first papers had it; "sphere", a normal one scaled to the
                     length sqrt(latent_dim), where nearly all of a normal one is anyway
    label_smoothing  the data's label is 1 - label_smoothing: D is never quite sure (one-sided: samples keep 0)
    label_flips      so often a sample is called data and the other way round
    instance_noise   standard deviation of noise added to all that D sees, so that the two densities overlap;
                     `train.Adversarial` lets it decay
    mixed_batch      data and samples go through D in one batch. Batch normalisation then sees both together, and D
                     can tell them apart by less; apart is right, which is why it is the default
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: str = "non-saturating",
        k: int | None = None,
        *,
        penalty: float | None = None,
        noise: str = "normal",
        label_smoothing: float = 0.0,
        label_flips: float = 0.0,
        instance_noise: float = 0.0,
        mixed_batch: bool = False,
    ) -> None:
        if objective not in OBJECTIVES or noise not in NOISES:
            raise ValueError(
                f"GAN: got objective={objective!r}, noise={noise!r}; "
                f"takes one of {tuple(OBJECTIVES)} and one of {NOISES}"
            )
        self.generator, self.discriminator = generator, discriminator
        self.objective, self.objective_name = OBJECTIVES[objective], objective
        self.k = self.objective.k if k is None else k
        if penalty is not None:
            if not (self.objective.penalty and penalty > 0):
                raise ValueError(f"GAN: penalty={penalty} with {objective!r}; takes one > 0, with a gradient penalty")
            self.objective = replace(self.objective, penalty=penalty)
        fractions_hold = 0 <= label_smoothing < 1 and 0 <= label_flips < 1
        if self.k < 1 or not fractions_hold or instance_noise < 0:
            raise ValueError(
                f"GAN: got k={k}, label_smoothing={label_smoothing}, label_flips={label_flips}, "
                f"instance_noise={instance_noise}; takes k >= 1, fractions in [0, 1) and a standard deviation >= 0"
            )
        if label_smoothing and not self.objective.labelled:
            raise ValueError(f"GAN: objective={objective!r} has no labels that could be smoothed")
        if getattr(discriminator, "classes", self.classes) != self.classes:
            raise ValueError(
                f"GAN: the generator has classes={self.classes}, the discriminator classes={discriminator.classes}"  # type: ignore[attr-defined]
            )
        self.noise_kind, self.label_smoothing, self.label_flips = noise, label_smoothing, label_flips
        self.instance_noise, self.mixed_batch = instance_noise, mixed_batch

    @property
    def latent_dim(self) -> int:
        """Length of z."""
        return self.generator.latent_dim  # type: ignore[attr-defined]

    @property
    def classes(self) -> int | None:
        """Number of classes that samples can be asked for, or None."""
        return getattr(self.generator, "classes", None)

    def noise(self, n: int) -> Tensor:
        """`n` draws of z, (n, latent_dim)."""
        draw: dict[str, Any] = {"dtype": next(self.parameters()).dtype, "device": self.device}
        if self.noise_kind == "uniform":
            return Tensor(uniform((n, self.latent_dim), -1.0, 1.0, **draw))
        z = normal((n, self.latent_dim), **draw)
        if self.noise_kind == "sphere":
            z *= math.sqrt(self.latent_dim) / (z * z).sum(axis=1, keepdims=True) ** 0.5
        return Tensor(z)

    # -- the two losses ----------------------------------------------------------------------------------------------

    def discriminator_loss(self, x: Any, z: Any, labels: Any = None) -> tuple[Tensor, Tensor, Tensor]:
        """What D minimises, given data x and noise z, and its logits (N,) of the data and of the samples.

        Nothing in the generator changes: it gets no gradients, and its running statistics stay.
        """
        condition = self._condition(labels)
        with no_grad(), frozen(self.generator):
            samples = self.generator(z, *condition)
        x, samples = self._blurred(x), self._blurred(samples)
        if self.mixed_batch:
            twice = tuple(ops.concat([c, c]) for c in condition)
            both = self.discriminator(ops.concat([x, samples]), *twice)
            on_data, on_samples = both[: len(x)], both[len(x) :]
        else:
            on_data, on_samples = self.discriminator(x, *condition), self.discriminator(samples, *condition)
        judged = self._flipped(on_data, on_samples)
        loss = self.objective.discriminator(*judged, **self._smoothed())
        if self.objective.penalty:
            critic = lambda between: self.discriminator(between, *condition)
            loss = loss + self.objective.penalty * gradient_penalty(critic, x, samples)
        return loss, on_data, on_samples

    def generator_loss(self, z: Any, labels: Any = None) -> tuple[Tensor, Tensor]:
        """What G minimises, given noise z, and the samples G(z). Nothing in the discriminator changes."""
        condition = self._condition(labels)
        samples = self.generator(z, *condition)
        with frozen(self.discriminator):
            loss = self.objective.generator(self.discriminator(self._blurred(samples), *condition))
        return loss, samples

    # -- samples -----------------------------------------------------------------------------------------------------

    @no_grad()
    def sample(self, n: int | None = None, labels: Any = None, *, z: Any = None) -> Tensor:
        """`n` samples (n, ...), or those of the given z (n, latent_dim).

        In evaluation mode: one z gives one sample, whatever else is in the batch.
        """
        if (n is None) == (z is None):
            raise ValueError(f"sample: takes n or z, got n={n} and {'a' if z is not None else 'no'} z")
        z = self.noise(n) if n is not None else z
        with evaluating(self):
            return self.generator(z, *self._condition(labels))

    # -- helpers -----------------------------------------------------------------------------------------------------

    def _condition(self, labels: Any) -> tuple[Any, ...]:
        if (labels is None) != (self.classes is None):
            wanted = "takes no labels, it has no classes" if self.classes is None else "takes labels"
            raise ValueError(f"{type(self).__name__}: {wanted}")
        return () if labels is None else (self.device.asarray(raw(labels)),)

    def _smoothed(self) -> dict[str, float]:
        return {"real": 1.0 - self.label_smoothing} if self.label_smoothing else {}

    def _blurred(self, x: Any) -> Tensor:
        x = x if isinstance(x, Tensor) else Tensor(x)
        return (
            x + normal(x.shape, std=self.instance_noise, dtype=x.dtype, device=x.device) if self.instance_noise else x
        )

    def _flipped(self, on_data: Tensor, on_samples: Tensor) -> tuple[Tensor, Tensor]:
        """Some of the data change places with samples."""
        if not self.label_flips:
            return on_data, on_samples
        flip = uniform(on_data.shape, device=on_data.device) < self.label_flips
        return ops.where(flip, on_samples, on_data), ops.where(flip, on_data, on_samples)


# -- the networks of the first paper -----------------------------------------------------------------------------------


class Maxout(nn.Module):
    """The largest of `pieces` linear functions, for each output (Goodfellow et al. 2013, arXiv 1302.4389)."""

    def __init__(self, in_features: int, out_features: int, pieces: int) -> None:
        self.linear = nn.Linear(in_features, out_features * pieces)
        self.pieces = pieces

    def forward(self, x: Any) -> Any:
        y = self.linear(x)  # (N, pieces out_features)
        return ops.max(ops.reshape(y, (len(y), self.pieces, -1)), axis=1)


class Generator(nn.Module):
    """z (N, latent_dim) -> (N, *shape) through hidden ReLU layers; images end in a tanh, so they lie in [-1, 1].

    With `classes`, each label is appended to z as a one-hot vector (Mirza and Osindero 2014, arXiv 1411.1784).
    """

    def __init__(
        self,
        shape: Shape,
        latent_dim: int = 100,
        hidden: int = 256,
        layers: int = 2,
        classes: int | None = None,
        tanh: bool = True,
    ) -> None:
        self.latent_dim, self.classes = latent_dim, classes
        sizes = [latent_dim + (classes or 0)] + [hidden] * layers
        parts: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            parts += [nn.Linear(inputs, outputs), nn.ReLU()]
        parts += [nn.Linear(sizes[-1], math.prod(shape)), nn.Unflatten(tuple(shape))]
        self.net = nn.Sequential(*parts, *([nn.Tanh()] if tanh else []))

    def forward(self, z: Any, labels: Any = None) -> Any:
        return self.net(with_labels(z, labels, self.classes))


class Discriminator(nn.Module):
    """x (N, *shape) -> logits (N,) through hidden maxout layers with dropout, as in the paper.

    With `classes`, each label is appended to x as a one-hot vector.
    """

    def __init__(
        self,
        shape: Shape,
        hidden: int = 240,
        layers: int = 2,
        pieces: int = 5,
        dropout: float = 0.5,
        classes: int | None = None,
    ) -> None:
        self.classes = classes
        sizes = [math.prod(shape) + (classes or 0)] + [hidden] * layers
        parts: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            parts += [Maxout(inputs, outputs, pieces), nn.Dropout(dropout)]
        self.net = nn.Sequential(*parts, nn.Linear(sizes[-1], 1))

    def forward(self, x: Any, labels: Any = None) -> Any:
        flat = ops.reshape(x, (x.shape[0], -1))
        return ops.reshape(self.net(with_labels(flat, labels, self.classes)), (-1,))


def one_hot(labels: Any, classes: int) -> Tensor:
    """Integers (N,) as rows (N, classes) with a single 1."""
    labels = raw(labels)
    if (
        labels.ndim != 1
        or labels.dtype.kind not in "iu"
        or (labels.size and not 0 <= int(labels.min()) <= int(labels.max()) < classes)
    ):
        raise ValueError(f"one_hot: takes integers (N,) in 0 ... {classes - 1}, got {labels.dtype} {labels.shape}")
    device = Tensor(labels).device
    return Tensor((labels[:, None] == device.module.arange(classes)).astype(current_dtype()))


def with_labels(x: Any, labels: Any, classes: int | None) -> Any:
    """x (N, D) with the labels appended, (N, D + classes); x itself where there are no classes."""
    if classes is None:
        return x
    return ops.concat([x, one_hot(labels, classes).astype(x.dtype)], axis=1)
