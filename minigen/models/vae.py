"""The variational autoencoder (Kingma and Welling 2014, arXiv 1312.6114).

A latent z is drawn from Normal(0, 1) and a decoder turns it into a distribution over images:

    p(x) = integral p(z) p(x | z) dz

The integral is intractable. So an encoder q(z | x) = Normal(mean(x), var(x)) approximates the posterior p(z | x), and
training maximises the evidence lower bound (ELBO) of log p(x):

    log p(x)  >=  E_q [log p(x | z)]  -  KL(q(z | x) || p(z))
                  reconstruction         distance from the prior

The gradient passes through the draw because z = mean + std * noise (the reparameterization trick). More draws give
the tighter importance-weighted bound (Burda et al. 2016, arXiv 1509.00519):

    log p(x)  >=  E log 1/K sum_k p(x, z_k) / q(z_k | x)
"""

from __future__ import annotations

import math
from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.backend import Shape
from minigen.distributions import Distribution, Normal
from minigen.models.likelihoods import LIKELIHOODS, DiscretizedLogisticLikelihood, Likelihood
from minigen.random import normal


class VAE(nn.Module):
    """A VAE for images x (N, C, H, W), made of three parts: an encoder, a decoder and a likelihood.

    latent_dim     length of the code z of an image
    hidden         units of the hidden layers of "mlp"
    architecture   default encoder and decoder: "mlp", one hidden layer each; "conv", two strided convolutions and two
                   transposed ones (H and W divisible by 4)
    likelihood     the distribution of pixels given the decoder's output; a `Likelihood` or the name of one:
        "bernoulli"    binary pixels, 0 or 1
        "gaussian"     real-valued pixels in [0, 1], Normal with one learned variance; `log_prob` is then a density
        "levels"       integers 0 ... levels - 1, discretized logistic
    levels         of the likelihood "levels"
    beta           weight of the KL term in `loss` (Higgins et al. 2017); `elbo` does not depend on it
    draws          of z for each image in `loss`; more than one make it an importance-weighted autoencoder
    encoder        a module in place of the default: (N, C, H, W) -> (N, 2 latent_dim), the mean and log variance of z
    decoder        a module in place of the default: (N, latent_dim) -> the likelihood's maps, (N, maps C, H, W) or flat

    Calling a VAE gives p(x | z), the decoder's distribution, for one z drawn from q(z | x). `ValueError` if an argument
    is out of its range, or if images, encoder, decoder and likelihood do not fit together.

    >>> VAE((1, 28, 28))
    >>> VAE((3, 32, 32), latent_dim=64, architecture="conv", likelihood="levels")
    >>> VAE((1, 28, 28), 20, encoder=nn.Sequential(nn.Flatten(), nn.Linear(784, 40)))
    """

    def __init__(
        self,
        image_shape: Shape = (1, 28, 28),
        latent_dim: int = 20,
        hidden: int = 400,
        architecture: str = "mlp",
        likelihood: str | Likelihood = "bernoulli",
        levels: int = 256,
        beta: float = 1.0,
        draws: int = 1,
        encoder: nn.Module | None = None,
        decoder: nn.Module | None = None,
    ) -> None:
        if len(image_shape) != 3 or min(*image_shape, latent_dim, hidden) < 1:
            raise ValueError(
                "VAE: expects image_shape (C, H, W), and latent_dim and hidden >= 1, "
                f"got image_shape={tuple(image_shape)}, latent_dim={latent_dim}, hidden={hidden}"
            )
        if architecture not in ARCHITECTURES:
            raise ValueError(f"VAE: expects an architecture of {list(ARCHITECTURES)}, got {architecture!r}")
        if draws < 1 or (draws > 1 and beta != 1):
            raise ValueError(f"VAE: expects draws >= 1, and beta = 1 where there are several, got {draws=}, {beta=}")
        self.image_shape, self.latent_dim, self.beta, self.draws = tuple(image_shape), latent_dim, beta, draws
        self.likelihood = _likelihood(likelihood, levels)
        self.maps = image_shape[0] * self.likelihood.maps
        new_encoder, new_decoder = ARCHITECTURES[architecture]
        self.encoder = new_encoder(image_shape, latent_dim, hidden) if encoder is None else encoder
        self.decoder = new_decoder(image_shape, self.maps, latent_dim, hidden) if decoder is None else decoder
        for name, parameter in self.likelihood.parameters.items():
            setattr(self, name, parameter)  # weights files name it without a prefix

    def forward(self, x: Any) -> Distribution:
        """p(x | z) for one z drawn from q(z | x)."""
        return self.decode(self.encode(x).sample())

    # -- the two halves ----------------------------------------------------------------------------------------------

    def encode(self, x: Any) -> Normal:
        """q(z | x), of shape (N, latent_dim)."""
        x = self.likelihood.scaled(self._checked(x).astype(self._dtype))
        code, shape = self.encoder(x), (len(x), 2 * self.latent_dim)
        if code.shape != shape:
            raise ValueError(f"VAE: expects {shape} from the encoder, got {code.shape}")
        mean, log_var = ops.split(code, 2, axis=1)
        return Normal(mean, log_var)

    def decode(self, z: Any) -> Distribution:
        """p(x | z), of shape (N, C, H, W), for z (N, latent_dim)."""
        out, shape = self.decoder(z), (len(z), self.maps, *self.image_shape[1:])
        if out.shape not in (shape, (len(z), math.prod(shape[1:]))):
            raise ValueError(f"VAE: expects {shape} or flat from the decoder, got {out.shape}")
        return self.likelihood.distribution(ops.reshape(out, shape))

    # -- what is maximised -------------------------------------------------------------------------------------------

    def elbo(self, x: Any) -> Tensor:
        """The evidence lower bound of log p(x) in nats, (N,), with one draw of z for each image."""
        log_likelihood, kl = self._terms(x)
        return log_likelihood - kl

    def loss(self, images: Any, labels: Any = None) -> Tensor:
        """What training minimises, in nats: the mean over images of beta KL - log p(x | z). Labels are ignored.

        With several draws it is the negative of the importance-weighted bound.
        """
        if self.draws > 1:
            return -ops.mean(self.log_prob(images, self.draws))
        log_likelihood, kl = self._terms(images)
        return ops.mean(self.beta * kl - log_likelihood)

    def _terms(self, x: Any) -> tuple[Tensor, Tensor]:
        """log p(x | z) for one z drawn from q, and KL(q || p): (N,) each, summed over pixels and over latents."""
        q = self.encode(x)
        log_likelihood = _sum_over_all_but_first(self.decode(q.sample()).log_prob(self._target(x)))
        return log_likelihood, _sum_over_all_but_first(q.kl_to_standard())

    def log_prob(self, x: Any, samples: int = 100, rows: int = 4096) -> Tensor:
        """The importance-weighted bound of log p(x) in nats, (N,), from `samples` draws of z for each image.

        With one draw it is the ELBO; in the limit of many it is log p(x). About `rows` images are decoded at a time.
        """
        if samples < 1:
            raise ValueError(f"log_prob: expects samples >= 1, got {samples}")
        q, target, n = self.encode(x), self._target(x), x.shape[0]
        draws = Normal(_repeat(q.mean, samples), _repeat(q.log_var, samples)).sample()  # in one, whatever `rows` is
        log_weights = []
        for start in range(0, samples, max(rows // n, 1)):
            k = min(max(rows // n, 1), samples - start)
            repeated = Normal(_repeat(q.mean, k), _repeat(q.log_var, k))
            z = draws[start * n : (start + k) * n]
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
        with self.device:
            p = self.decode(Tensor(normal((n, self.latent_dim), dtype=self._dtype)))
            return p.mean if mean else p.sample()

    # -- helpers -----------------------------------------------------------------------------------------------------

    @property
    def _dtype(self) -> Any:
        return next(self.parameters()).dtype

    def _checked(self, x: Any) -> Tensor:
        x = x if isinstance(x, Tensor) else Tensor(x)
        if x.shape[1:] != self.image_shape:
            raise ValueError(f"VAE: expects images (N, {', '.join(map(str, self.image_shape))}), got {x.shape}")
        return x

    def _target(self, x: Any) -> Tensor:
        """The images as the argument of log p(x | z), after a check of their pixels."""
        x = self._checked(x)
        self.likelihood.check(x)
        return x.astype(self._dtype)


def _likelihood(likelihood: str | Likelihood, levels: int) -> Likelihood:
    if isinstance(likelihood, Likelihood):
        return likelihood
    if likelihood not in LIKELIHOODS:
        raise ValueError(f"VAE: expects a Likelihood or one of {list(LIKELIHOODS)}, got {likelihood!r}")
    return DiscretizedLogisticLikelihood(levels) if likelihood == "levels" else LIKELIHOODS[likelihood]()


# -- the default networks ----------------------------------------------------------------------------------------------


def mlp_encoder(image_shape: Shape, latent_dim: int, hidden: int) -> nn.Sequential:
    """(N, C, H, W) -> (N, 2 latent_dim) through one hidden layer."""
    return nn.Sequential(
        nn.Flatten(), nn.Linear(math.prod(image_shape), hidden), nn.ReLU(), nn.Linear(hidden, 2 * latent_dim)
    )


def mlp_decoder(image_shape: Shape, maps: int, latent_dim: int, hidden: int) -> nn.Sequential:
    """(N, latent_dim) -> (N, maps H W) through one hidden layer."""
    _, height, width = image_shape
    return nn.Sequential(nn.Linear(latent_dim, hidden), nn.ReLU(), nn.Linear(hidden, maps * height * width))


def conv_encoder(image_shape: Shape, latent_dim: int, hidden: int) -> nn.Sequential:
    """(N, C, H, W) -> (N, 2 latent_dim): two convolutions that halve the sides, and a linear layer."""
    return nn.Sequential(
        nn.Conv2d(image_shape[0], 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(math.prod(_quarter(image_shape)), 2 * latent_dim),
    )


def conv_decoder(image_shape: Shape, maps: int, latent_dim: int, hidden: int) -> nn.Sequential:
    """(N, latent_dim) -> (N, maps, H, W): a linear layer, and two transposed convolutions that double the sides."""
    small = _quarter(image_shape)
    return nn.Sequential(
        nn.Linear(latent_dim, math.prod(small)),
        nn.ReLU(),
        nn.Unflatten(small),
        nn.ConvTranspose2d(64, 32, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.ConvTranspose2d(32, maps, 4, stride=2, padding=1),
    )


def _quarter(image_shape: Shape) -> Shape:
    """The shape of the smallest maps: 64 channels, a quarter of the sides."""
    _, height, width = image_shape
    if height % 4 or width % 4:
        raise ValueError(f'VAE: architecture="conv" expects sides divisible by 4, got {height} x {width}')
    return 64, height // 4, width // 4


ARCHITECTURES: dict[str, Any] = {"mlp": (mlp_encoder, mlp_decoder), "conv": (conv_encoder, conv_decoder)}

# -- helpers -----------------------------------------------------------------------------------------------------------


def _sum_over_all_but_first(x: Tensor) -> Tensor:
    return ops.sum(ops.reshape(x, (x.shape[0], -1)), axis=1)


def _repeat(x: Tensor, k: int) -> Tensor:
    """(N, ...) -> (k N, ...), the whole batch k times."""
    return ops.reshape(ops.broadcast_to(x, (k, *x.shape)), (k * x.shape[0], *x.shape[1:]))
