"""The same models in PyTorch, where it is installed: `benchmark.py` compares with their training steps.

A twin runs the layers of a model with PyTorch's functions, on copies of the same weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from minigen import nn
from minigen.models import DCGAN, GAN, VAE, Maxout, PixelCNN

try:
    import torch
    from torch.nn import functional
except ImportError:
    torch = None  # type: ignore[assignment]

LR = 5e-4  # of Adam, in all steps


def training_step(model: nn.Module, x: np.ndarray) -> Callable[[], float] | None:
    """A training step on the images x, which returns its loss; None if there is no twin of this model."""
    twin, images = Twin(model), torch.from_numpy(x).float()
    if isinstance(model, GAN):
        return game_round(twin, model, images)
    if isinstance(model, VAE):
        draw = lambda: torch.randn(len(x), model.latent_dim)
        return minimise(twin.parameters(model), lambda: vae_loss(twin, model, images, draw()))
    if type(model) is PixelCNN:
        return minimise(twin.parameters(model), lambda: pixelcnn_loss(twin, model, images))
    return None


class Twin:
    """The layers of a model, run by PyTorch in training mode: `twin(layer, x)`."""

    def __init__(self, model: nn.Module) -> None:
        self.tensors = {id(p): torch.from_numpy(p.numpy().copy()).requires_grad_() for p in model.parameters()}

    def parameters(self, part: nn.Module) -> list[Any]:
        """PyTorch's copies of the parameters of a part of the model."""
        return [self.tensors[id(p)] for p in part.parameters()]

    def __call__(self, layer: Any, x: Any) -> Any:
        weight, bias = (self.tensors.get(id(getattr(layer, name, None))) for name in ("weight", "bias"))
        match layer:
            case nn.Sequential():
                for part in layer:
                    x = self(part, x)
                return x
            case nn.Linear():
                return functional.linear(x, weight, bias)
            case nn.MaskedConv2d():
                return functional.conv2d(x, weight * torch.from_numpy(layer.mask), bias, **layer.options)
            case nn.Conv2d():
                return functional.conv2d(x, weight, bias, **layer.options)
            case nn.ConvTranspose2d():
                return functional.conv_transpose2d(x, weight, bias, **layer.options)
            case nn.BatchNorm2d():
                return functional.batch_norm(x, None, None, weight, bias, training=True)
            case Maxout():
                return self(layer.linear, x).reshape(len(x), layer.pieces, -1).amax(dim=1)
            case nn.LeakyReLU():
                return functional.leaky_relu(x, layer.negative_slope)
            case nn.Dropout():
                return functional.dropout(x, layer.p)
            case nn.Unflatten():
                return x.reshape(len(x), *layer.shape)
        return {"ReLU": torch.relu, "Tanh": torch.tanh, "Flatten": torch.nn.Flatten()}[type(layer).__name__](x)


def vae_loss(twin: Twin, vae: VAE, x: Any, noise: Any) -> Any:
    """KL - log p(x | z) with z = mean + std noise."""
    mean, log_var = twin(vae.encoder, x).chunk(2, dim=1)
    logits = twin(vae.decoder, mean + torch.exp(0.5 * log_var) * noise).reshape(x.shape)
    kl = 0.5 * torch.sum(mean.square() + log_var.exp() - 1.0 - log_var)
    return (functional.binary_cross_entropy_with_logits(logits, x, reduction="sum") + kl) / len(x)


def pixelcnn_loss(twin: Twin, model: PixelCNN, x: Any) -> Any:
    """-log p(x) of binary images."""
    h = twin(model.first, 2 * x - 1)
    for block in list[Any](model.blocks):
        y = twin(block.conv, torch.relu(twin(block.reduce, torch.relu(h))))
        h = h + twin(block.expand, torch.relu(y))
    logits = twin(model.last, torch.relu(twin(model.head, torch.relu(h))))
    return functional.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)


def game_round(twin: Twin, gan: Any, x: Any) -> Callable[[], float]:
    """A step of each player under the non-saturating objective; returns the discriminator's loss."""
    convolutional, softplus = isinstance(gan, DCGAN), functional.softplus
    noise = lambda: torch.randn(len(x), gan.latent_dim, *((1, 1) if convolutional else ()))
    judge = lambda images: twin(gan.discriminator.net, images if convolutional else images.flatten(1))

    def discriminator_loss() -> Any:
        with torch.no_grad():
            samples = twin(gan.generator.net, noise())
        return softplus(-judge(x)).mean() + softplus(judge(samples)).mean()

    players = twin.parameters(gan.discriminator), twin.parameters(gan.generator)
    update_discriminator = minimise(players[0], discriminator_loss)
    update_generator = minimise(players[1], lambda: softplus(-judge(twin(gan.generator.net, noise()))).mean())

    def step() -> float:
        loss = update_discriminator()
        for p in players[0]:
            p.requires_grad_(False)
        update_generator()
        for p in players[0]:
            p.requires_grad_(True)
        return loss

    return step


def minimise(parameters: list[Any], loss: Callable[[], Any]) -> Callable[[], float]:
    """A step of Adam, which returns the loss."""
    adam = torch.optim.Adam(parameters, LR)

    def step() -> float:
        value = loss()
        adam.zero_grad()
        value.backward()
        adam.step()
        return value.item()

    return step
