"""What one training step of each model, and one pixel of sampling, ask of a GPU: counted on the stand-in for CuPy.

    python tests/gpu_costs.py                  # the table for all models
    python tests/gpu_costs.py vae pixelcnn     # for some

The models and batch sizes are the defaults of the demos. `test_gpu_costs.py` has the limits.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import strict_cupy

from minigen import backend, nn, optim, train
from minigen.models import DCGAN, GAN, VAE, GatedPixelCNN, MLPDiscriminator, MLPGenerator, PixelCNN, PixelRNN

SHAPE = (1, 28, 28)


class Case(NamedTuple):
    make: Callable[[], nn.Module]
    images: int


MODELS = {
    "vae": Case(lambda: VAE(SHAPE), 128),
    "gan": Case(lambda: GAN(MLPGenerator(SHAPE), MLPDiscriminator(SHAPE)), 64),
    "dcgan": Case(lambda: DCGAN(SHAPE), 32),
    "wgan-gp": Case(lambda: DCGAN(SHAPE, features=16, objective="wasserstein-gp"), 32 * 5),
    "pixelcnn": Case(lambda: PixelCNN(SHAPE), 16),
    "gated": Case(lambda: GatedPixelCNN(SHAPE), 16),
    "row": Case(lambda: PixelRNN(SHAPE, cell="row"), 16),
    "diagonal": Case(lambda: PixelRNN(SHAPE, cell="diagonal"), 16),
}


def costs_of_a_step(name: str) -> strict_cupy.Counts:
    """The second training step of a model: after the first one, its optimizer and its masks are on the device."""
    backend.manual_seed(0)
    with backend.device("gpu") as device:
        model, n = MODELS[name].make(), MODELS[name].images
        images = device.asarray(np.random.default_rng(0).integers(0, 2, (n, *SHAPE), np.uint8))
        step = training_step(model)
        step(images.astype(np.float32) if isinstance(model, GAN) else images, None)
        with strict_cupy.count() as costs:
            step(images.astype(np.float32) if isinstance(model, GAN) else images, None)
    return costs


def training_step(model: Any) -> Any:
    """The step that the demos train the model with."""
    if isinstance(model, GAN):
        return train.Game(model, {name: optim.Adam(p.module.parameters()) for name, p in model.players().items()})
    return train.MaximumLikelihood(model, optim.Adam(model.parameters()))


if __name__ == "__main__":
    sys.modules["cupy"] = strict_cupy.cupy
    for name in sys.argv[1:] or MODELS:
        costs = costs_of_a_step(name)
        print(name, costs, flush=True)
