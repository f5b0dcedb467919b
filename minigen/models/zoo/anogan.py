r"""AnoGAN: anomalies are what the generator cannot make (Schlegl et al. 2017, arXiv 1703.05921).

Idea: train a GAN on normal images only. For a new image x, search the z whose image is nearest; the error that is left
is the score of x being an anomaly:

    score(x) = min_z  0.9 sum |x - G(z)|  +  0.1 sum |f(x) - f(G(z))|

f are the features of a hidden layer of D: G(z) is to resemble x also in what D has learned to see in normal images.

What differs from a plain GAN: nothing in the training; D has `features`. The search is `evaluate.latent.search`.

iGAN (Zhu et al. 2016, arXiv 1609.03552) uses the same search to edit images: an encoder predicts z0, from where the
search needs few steps, and an edit, such as a stroke of paint, is one more term of the error. See `edit_error`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from minigen import ops
from minigen.autograd import Tensor, no_grad, raw
from minigen.models.gan import GAN
from minigen.nn.module import evaluating

Errors = Callable[[Tensor], Tensor]
"""z (N, latent_dim) -> an error for each, (N,), for `evaluate.latent.search` with the GAN in evaluation mode"""


def anomaly_error(gan: GAN, images: Any, weight: float = 0.1) -> Errors:
    """The error of z as the code of each image (N, ...); `weight` is that of D's features."""
    x, features = Tensor(raw(images)), gan.discriminator.features  # type: ignore[attr-defined]
    with no_grad(), evaluating(gan):
        fx = features(x)

    def errors(z: Tensor) -> Tensor:
        y = gan(z)
        return (1 - weight) * _sum(ops.abs(x - y)) + weight * _sum(ops.abs(fx - features(y)))

    return errors


def edit_error(gan: GAN, mask: Any, colour: Any, z0: Any, edges: float = 0.2, stay: float = 5.0) -> Errors:
    """iGAN's error: the image is to have the `colour` (N, C, H, W) where the mask is 1, and z is to stay near z0.

    The mask is (N, 1, H, W). `edges` is the weight of the differences of neighbouring pixels, where both are in the
    mask, and `stay` that of |z - z0|^2. Squares are summed. The paper compares edges by histograms of gradients.
    """
    mask, colour, z0 = (Tensor(raw(x)) for x in (mask, colour, z0))

    def errors(z: Tensor) -> Tensor:
        difference = mask * (gan(z) - colour)
        inside_x, inside_y = mask[..., 1:] * mask[..., :-1], mask[..., 1:, :] * mask[..., :-1, :]
        edge_x = inside_x * (difference[..., 1:] - difference[..., :-1])
        edge_y = inside_y * (difference[..., 1:, :] - difference[..., :-1, :])
        edge = _sum(ops.square(edge_x)) + _sum(ops.square(edge_y))
        return _sum(ops.square(difference)) + edges * edge + stay * _sum(ops.square(z - z0))

    return errors


def _sum(x: Tensor) -> Tensor:
    """(N, ...) -> (N,)"""
    return ops.sum(ops.reshape(x, (len(x), -1)), axis=1)
