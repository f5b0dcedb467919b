"""Training a GAN: the lecture's algorithm ("Putting it together: GAN training algorithm"), and what to watch in it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

from minigen import ops
from minigen.autograd import Tensor
from minigen.backend import Array
from minigen.models.gan import GAN
from minigen.models.objectives import Objective
from minigen.optim import Optimizer, WeightEMA, clip_grad_norm
from minigen.train.loop import Diverged, Metrics


class GANWarning(UserWarning):
    """Something that often means that the training of a GAN has gone wrong."""


class Adversarial:
    """One iteration of the algorithm, from a batch of k m images (fewer than k more are left out).

    average               decay of a running average of the generator's weights, 0.999, say: `averaged` draws with them
    schedule              gives what both learning rates are multiplied by, for the number of iterations that were made,
                          such as `optim.linear_decay(1.0, iterations)`
    instance_noise_steps  iterations in which the GAN's instance noise decays to nothing, in a straight line

    Metrics for the log: `d_loss` and `g_loss`; `D(x)` and `D(G(z))`, the mean probabilities of "data", or for a critic
    `wasserstein`, its estimate mean critic(x) - mean critic(G(z)) (up to the critic's slope); `d_grad` and `g_grad`,
    the gradients' norms; `diversity`, the standard deviation among the samples of a batch beside that among the data.
    """

    def __init__(
        self,
        gan: GAN,
        discriminator_optimizer: Optimizer,
        generator_optimizer: Optimizer,
        *,
        average: float | None = None,
        schedule: Callable[[int], float] | None = None,
        instance_noise_steps: int = 1000,
    ) -> None:
        self.gan, self.d_optimizer, self.g_optimizer = gan, discriminator_optimizer, generator_optimizer
        self.average = WeightEMA(gan.generator, average) if average is not None else None
        if instance_noise_steps < 1:
            raise ValueError(f"Adversarial: takes instance_noise_steps >= 1, got {instance_noise_steps}")
        self.schedule, self.rates = schedule, [(o, o.lr) for o in (discriminator_optimizer, generator_optimizer)]
        self.instance_noise, self.instance_noise_steps = gan.instance_noise, instance_noise_steps
        parts: dict[str, Any] = {
            "gan": gan,
            "discriminator_optimizer": self.d_optimizer,
            "generator_optimizer": self.g_optimizer,
        }
        if self.average is not None:
            parts["average"] = self.average
        self.parts: Mapping[str, Any] = parts
        self.diagnostics = Diagnostics(gan.objective)

    def __call__(self, images: Any, labels: Any = None) -> Metrics:
        gan = self.gan
        labels = None if gan.classes is None else labels
        done = self.g_optimizer.steps
        gan.instance_noise = self.instance_noise * max(0.0, 1 - done / self.instance_noise_steps)
        if self.schedule is not None:
            for optimizer, rate in self.rates:
                optimizer.lr = rate * self.schedule(done)
        m = len(images) // gan.k
        if m == 0:
            raise ValueError(f"Adversarial: takes at least k={gan.k} images, one for each step, got {len(images)}")

        for i in range(gan.k):  # for k steps do
            x = images[i * m : (i + 1) * m]  # sample m examples from the data
            y = None if labels is None else labels[i * m : (i + 1) * m]
            z = gan.noise(m)  # sample m noise vectors
            d_loss, on_data, on_samples = gan.discriminator_loss(x, z, y)
            d_norm = update(self.d_optimizer, d_loss)  # descend the discriminator's gradient
            self._clip()
        z = gan.noise(m)  # sample m noise vectors
        g_loss, samples = gan.generator_loss(z, y)
        g_norm = update(self.g_optimizer, g_loss)  # descend the generator's gradient

        if self.average is not None:
            self.average.update()
        metrics = {"d_loss": d_loss.item(), "g_loss": g_loss.item(), "d_grad": d_norm, "g_grad": g_norm}
        if gan.objective.critic:
            metrics["wasserstein"] = float(on_data.data.mean() - on_samples.data.mean())
        else:
            metrics["D(x)"] = float(ops.sigmoid(on_data.data).mean())
            metrics["D(G(z))"] = float(ops.sigmoid(on_samples.data).mean())
        metrics["diversity"] = diversity(samples.data) / max(diversity(x), 1e-12)
        self.diagnostics.look(metrics)
        return metrics

    def _clip(self) -> None:
        """A critic whose weights are bounded has bounded slopes (Arjovsky et al. 2017, algorithm 1)."""
        bound = self.gan.objective.clip
        if bound is not None:
            for p in self.gan.discriminator.parameters():
                p.data = p.data.clip(-bound, bound)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside the block the generator has its averaged weights, if they are kept."""
        with self.average.applied() if self.average is not None else nullcontext():
            yield


def update(optimizer: Optimizer, loss: Tensor) -> float:
    """One step down the gradient of `loss`; returns the gradient's norm."""
    value = loss.item()
    if not math.isfinite(value):
        raise Diverged(f"the loss is {value}")
    optimizer.zero_grad()
    loss.backward()
    norm = clip_grad_norm(optimizer.parameters, math.inf)
    optimizer.step()
    optimizer.zero_grad()
    return norm


def diversity(x: Array) -> float:
    """The mean standard deviation of a value among the images (N, ...) of a batch."""
    return float(x.std(axis=0).mean())


class Diagnostics:
    """Running averages of the metrics, and a warning, once each, when they look like a known way to fail."""

    def __init__(self, objective: Objective, patience: int = 300) -> None:
        self.objective, self.patience = objective, patience
        self.averages: dict[str, float] = {}
        self.looked = 0
        self.told: set[str] = set()

    def look(self, metrics: Metrics) -> None:
        """Take in the metrics of one iteration."""
        before = self.averages
        share = 1 / min(self.looked + 1, self.patience)
        self.averages = {name: before.get(name, 0.0) * (1 - share) + share * value for name, value in metrics.items()}
        self.looked += 1
        if self.looked < self.patience:
            return
        now = self.averages
        if not self.objective.critic and now["d_loss"] < 0.02:
            self.tell(
                f"the discriminator's loss is near zero ({now['d_loss']:.2g}): it tells samples from data without "
                "fail, and the generator learns little. Instance noise, label smoothing or a smaller rate may help."
            )
        for player, owner in (("d_grad", "discriminator"), ("g_grad", "generator")):
            if metrics[player] > 100 * before[player]:
                self.tell(
                    f"the {owner}'s gradient has exploded (norm {metrics[player]:.2g}, before about "
                    f"{before[player]:.2g}). A smaller learning rate may help."
                )
        if now["diversity"] < 0.1:
            self.tell(
                f"the generator emits nearly one image (its samples vary {now['diversity']:.2g} times as much as the "
                "data): mode collapse. Another objective, a smaller rate or a longer average may help."
            )

    def tell(self, message: str) -> None:
        """Warn, once for each kind of message."""
        kind = message.partition("(")[0]
        if kind not in self.told:
            self.told.add(kind)
            warnings.warn(message, GANWarning, stacklevel=4)
