"""The variational autoencoder (Kingma and Welling 2014, arXiv 1312.6114).

A latent z is drawn from Normal(0, 1) and a decoder turns it into a distribution over images:

    p(x) = integral p(z) p(x | z) dz

The integral is intractable, so an encoder q(z | x) = Normal(mean(x), var(x)) guesses which z an image came from, and
training maximises a lower bound of log p(x), the ELBO:

    log p(x)  >=  E_q [log p(x | z)]  -  KL(q(z | x) || p(z))
                  reconstruction         distance from the prior

The gradient passes through the draw because z = mean + std * noise (the reparameterization trick). More draws give
a tighter bound (Burda et al. 2016, arXiv 1509.00519):  log p(x) >= E log 1/K sum_k p(x, z_k) / q(z_k | x).
"""

from __future__ import annotations

import math
from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.backend import Shape, normal
from minigen.distributions import Bernoulli, DiscretizedLogistic, Normal
from minigen.nn.init import constant

LIKELIHOODS = ("bernoulli", "gaussian", "levels")
ARCHITECTURES = ("mlp", "conv")


class VAE(nn.Module):
    """A VAE for images (C, H, W).

    likelihood     what the decoder's output means, and what images x (N, C, H, W) are
        "bernoulli"    binary pixels, 0 or 1
        "gaussian"     real-valued pixels in [0, 1], Normal with one learned variance; `log_prob` is then a density
        "levels"       integers 0 ... levels - 1, discretized logistic
    architecture   "mlp": one hidden layer; "conv": two strided convolutions and two transposed ones (H and W
                   divisible by 4)
    beta           weight of the KL term in `loss` (Higgins et al. 2017); `elbo` is the ELBO whatever beta
    """

    def __init__(
        self,
        image_shape: Shape = (1, 28, 28),
        latent_dim: int = 20,
        hidden: int = 400,
        architecture: str = "mlp",
        likelihood: str = "bernoulli",
        levels: int = 256,
        beta: float = 1.0,
    ) -> None:
        if likelihood not in LIKELIHOODS or architecture not in ARCHITECTURES:
            raise ValueError(
                f"VAE: got likelihood={likelihood!r}, architecture={architecture!r}; "
                f"takes one of {LIKELIHOODS} and one of {ARCHITECTURES}"
            )
        if len(image_shape) != 3 or min(*image_shape, latent_dim, hidden) < 1 or levels < 2:
            raise ValueError(
                f"VAE: got image_shape={tuple(image_shape)}, latent_dim={latent_dim}, hidden={hidden}, "
                f"levels={levels}; takes (C, H, W), latent_dim and hidden >= 1, and levels >= 2"
            )
        self.image_shape, self.latent_dim, self.likelihood = tuple(image_shape), latent_dim, likelihood
        self.levels, self.beta = levels, beta
        # for each value of a pixel a mean, and for levels also a scale
        self.maps = maps = image_shape[0] * (2 if likelihood == "levels" else 1)
        halves = _mlp if architecture == "mlp" else _conv
        self.encoder, self.decoder = halves(tuple(image_shape), maps, latent_dim, hidden)
        if likelihood == "gaussian":
            self.log_var = constant((), -2.0)

    # -- the two halves ----------------------------------------------------------------------------------------------

    def encode(self, x: Any) -> Normal:
        """q(z | x), of shape (N, latent_dim)."""
        x = self._checked(x).astype(self._dtype)
        if self.likelihood == "levels":
            x = x * (2.0 / (self.levels - 1)) - 1.0
        mean, log_var = ops.split(self.encoder(x), 2, axis=1)
        return Normal(mean, log_var)

    def decode(self, z: Any) -> Bernoulli | Normal | DiscretizedLogistic:
        """p(x | z), of shape (N, C, H, W), for z (N, latent_dim)."""
        out = self.decoder(z)
        out = ops.reshape(out, (out.shape[0], self.maps, *self.image_shape[1:]))
        if self.likelihood == "bernoulli":
            return Bernoulli(out)
        if self.likelihood == "gaussian":
            mean = ops.sigmoid(out)
            return Normal(mean, ops.broadcast_to(self.log_var, mean.shape))
        mean, log_scale = ops.split(out, 2, axis=1)
        return DiscretizedLogistic(mean, ops.maximum(log_scale, -7.0), self.levels)

    # -- what is maximised -------------------------------------------------------------------------------------------

    def elbo(self, x: Any) -> Tensor:
        """The evidence lower bound of log p(x) in nats, (N,), with one draw of z for each image."""
        log_likelihood, kl = self._terms(x)
        return log_likelihood - kl

    def loss(self, x: Any) -> Tensor:
        """What training minimises: the mean over images of beta KL - log p(x | z), in nats."""
        log_likelihood, kl = self._terms(x)
        return ops.mean(self.beta * kl - log_likelihood)

    def _terms(self, x: Any) -> tuple[Tensor, Tensor]:
        """log p(x | z) for one z drawn from q, and KL(q || p): (N,) each, summed over pixels and over latents."""
        q = self.encode(x)
        log_likelihood = _sum_over_all_but_first(self.decode(q.sample()).log_prob(self._target(x)))
        return log_likelihood, _sum_over_all_but_first(q.kl_to_standard())

    def log_prob(self, x: Any, samples: int = 100, rows: int = 4096) -> Tensor:
        """The importance-weighted bound of log p(x) in nats, (N,): with one sample the ELBO, exact in the limit.

        At most about `rows` images are decoded at a time.
        """
        if samples < 1:
            raise ValueError(f"log_prob: takes samples >= 1, got {samples}")
        q, target, n = self.encode(x), self._target(x), x.shape[0]
        log_weights = []
        for start in range(0, samples, max(rows // n, 1)):
            k = min(max(rows // n, 1), samples - start)
            repeated = Normal(_repeat(q.mean, k), _repeat(q.log_var, k))
            z = repeated.sample()
            prior = Normal(z * 0.0, z * 0.0)
            log_likelihood = _sum_over_all_but_first(self.decode(z).log_prob(_repeat(target, k)))
            log_ratio = _sum_over_all_but_first(prior.log_prob(z) - repeated.log_prob(z))
            log_weights.append(ops.reshape(log_likelihood + log_ratio, (k, n)))
        return ops.logsumexp(ops.concat(log_weights), axis=0) - math.log(samples)

    # -- images ------------------------------------------------------------------------------------------------------

    @no_grad()
    def reconstruct(self, x: Any) -> Tensor:
        """The decoder's mean image for the mean code of each image, (N, C, H, W)."""
        return self.decode(self.encode(x).mean).mean

    @no_grad()
    def sample(self, n: int, *, mean: bool = False) -> Tensor:
        """`n` images from p(x), (n, C, H, W); with `mean`, the mean of p(x | z) in place of a draw from it."""
        p = self.decode(Tensor(normal((n, self.latent_dim), dtype=self._dtype, device=self.device)))
        return p.mean if mean else p.sample()

    # -- helpers -----------------------------------------------------------------------------------------------------

    @property
    def _dtype(self) -> Any:
        return next(self.parameters()).dtype

    def _checked(self, x: Any) -> Tensor:
        x = x if isinstance(x, Tensor) else Tensor(x)
        if x.shape[1:] != self.image_shape:
            raise ValueError(f"VAE: takes images (N, {', '.join(map(str, self.image_shape))}), got {x.shape}")
        return x

    def _target(self, x: Any) -> Tensor:
        x = self._checked(x)
        if self.likelihood == "bernoulli" and not bool(((x.data == 0) | (x.data == 1)).all()):
            raise ValueError('VAE: likelihood="bernoulli" takes pixels 0 and 1; grey ones have no Bernoulli likelihood')
        return x if self.likelihood == "levels" else x.astype(self._dtype)


def _mlp(image_shape: Shape, maps: int, latent_dim: int, hidden: int) -> tuple[nn.Sequential, nn.Sequential]:
    """Encoder (N, C, H, W) -> (N, 2 latent_dim) and decoder (N, latent_dim) -> (N, maps H W), one hidden layer each."""
    channels, height, width = image_shape
    encoder = nn.Sequential(
        nn.Flatten(), nn.Linear(channels * height * width, hidden), nn.ReLU(), nn.Linear(hidden, 2 * latent_dim)
    )
    decoder = nn.Sequential(nn.Linear(latent_dim, hidden), nn.ReLU(), nn.Linear(hidden, maps * height * width))
    return encoder, decoder


def _conv(image_shape: Shape, maps: int, latent_dim: int, hidden: int) -> tuple[nn.Sequential, nn.Sequential]:
    """The same with two strided convolutions, and two transposed ones back to (N, maps, H, W)."""
    channels, height, width = image_shape
    if height % 4 or width % 4:
        raise ValueError(f'VAE: architecture="conv" takes sides divisible by 4, got {height} x {width}')
    small = (64, height // 4, width // 4)
    encoder = nn.Sequential(
        nn.Conv2d(channels, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(math.prod(small), 2 * latent_dim),
    )
    decoder = nn.Sequential(
        nn.Linear(latent_dim, math.prod(small)),
        nn.ReLU(),
        nn.Unflatten(small),
        nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(32, maps, 4, stride=2, padding=1),
    )
    return encoder, decoder


def _sum_over_all_but_first(x: Tensor) -> Tensor:
    return ops.sum(ops.reshape(x, (x.shape[0], -1)), axis=1)


def _repeat(x: Tensor, k: int) -> Tensor:
    """(N, ...) -> (k N, ...), the whole batch k times."""
    return ops.reshape(ops.broadcast_to(x, (k, *x.shape)), (k * x.shape[0], *x.shape[1:]))
