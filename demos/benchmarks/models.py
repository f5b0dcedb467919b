"""The models that are timed, of about the demos' sizes, and a training step of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import minigen
from minigen import nn, optim, train
from minigen.backend import Array, Shape
from minigen.capture import Captured
from minigen.models import DCGAN, GAN, VAE, GatedPixelCNN, MLPDiscriminator, MLPGenerator, PixelCNN, PixelRNN


class Model(NamedTuple):
    """How to make a model for images of a shape, and the batches that it is trained on."""

    make: Callable[[Shape], nn.Module]
    batch_size: int
    image_shape: Shape = (1, 28, 28)
    levels: int = 2


MODELS = {
    "vae": Model(VAE, 128),
    "vae-conv": Model(lambda shape: VAE(shape, architecture="conv"), 128),
    "gan": Model(lambda shape: GAN(MLPGenerator(shape), MLPDiscriminator(shape)), 64),
    "dcgan": Model(DCGAN, 32),
    "dcgan-64": Model(lambda shape: DCGAN(shape, features=64), 16, (3, 64, 64)),
    "pixelcnn": Model(PixelCNN, 16),
    "pixelcnn-rgb": Model(lambda shape: PixelCNN(shape, levels=256), 16, (3, 28, 28), levels=256),
    "gated": Model(GatedPixelCNN, 16),
    "row": Model(lambda shape: PixelRNN(shape, cell="row"), 16),
    "row-64": Model(lambda shape: PixelRNN(shape, cell="row"), 64),
    "diagonal": Model(lambda shape: PixelRNN(shape, cell="diagonal"), 16),
}
AUTOREGRESSIVE = ("pixelcnn", "gated", "row", "diagonal")
LR = 5e-4  # of Adam, in all steps


def example(name: str, side: int | None = None, n: int | None = None) -> tuple[Any, np.ndarray]:
    """A model, by default for its own images, and n random images of that side as it is trained on."""
    kind = MODELS[name]
    colours, height, width = kind.image_shape
    shape = (colours, side or height, side or width)
    minigen.manual_seed(0)
    model: Any = kind.make(shape)
    images = np.random.default_rng(0).integers(0, kind.levels, (n or kind.batch_size, *shape), np.uint8)
    return model, images.astype(np.float32) if isinstance(model, GAN) else images


def training_step(model: Any, x: np.ndarray, captured: bool = False) -> Callable[[], Any]:
    """The step that the demos train the model with, on the images x."""
    images: Array = model.device.asarray(x)
    adam = lambda module: optim.Adam(module.parameters(), LR)
    step: Any
    if isinstance(model, GAN):
        step = train.Game(model, {name: adam(player.module) for name, player in model.players().items()})
    else:
        step = train.MaximumLikelihood(model, adam(model))
    step = Captured(step) if captured else step
    return lambda: step(images)
