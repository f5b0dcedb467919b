"""What a training step of each model, and a pixel of cached sampling, ask of a GPU: counted on the stand-in for CuPy.

    python tests/gpu_costs.py                  # a table of all models
    python tests/gpu_costs.py vae pixelcnn     # of some

The models and the numbers of images are the demos' defaults. `test_gpu_costs.py` holds the counts to limits.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import strict_cupy

from minigen import backend, nn, optim, train
from minigen.models import DCGAN, GAN, VAE, GatedPixelCNN, MLPDiscriminator, MLPGenerator, PixelCNN, PixelRNN


class Case(NamedTuple):
    make: Callable[[tuple[int, int, int]], nn.Module]
    images: int


MODELS = {
    "vae": Case(VAE, 128),
    "gan": Case(lambda shape: GAN(MLPGenerator(shape), MLPDiscriminator(shape)), 64),
    "dcgan": Case(DCGAN, 32),
    "wgan-gp": Case(lambda shape: DCGAN(shape, features=16, objective="wasserstein-gp"), 5 * 32),
    "pixelcnn": Case(PixelCNN, 16),
    "gated": Case(GatedPixelCNN, 16),
    "row": Case(lambda shape: PixelRNN(shape, cell="row"), 16),
    "diagonal": Case(lambda shape: PixelRNN(shape, cell="diagonal"), 16),
}
AUTOREGRESSIVE = ("pixelcnn", "gated", "row", "diagonal")


def training_step(name: str, side: int = 28) -> Callable[[], Any]:
    """One training step of the model on the current device, after a first one, which makes what is made once."""
    backend.manual_seed(0)
    model: Any = MODELS[name].make((1, side, side))
    images = np.random.default_rng(0).integers(0, 2, (MODELS[name].images, 1, side, side), np.uint8)
    adam = lambda module: optim.Adam(module.parameters())
    if isinstance(model, GAN):
        images = images.astype(np.float32)
        step: Any = train.Game(model, {name: adam(player.module) for name, player in model.players().items()})
    else:
        step = train.MaximumLikelihood(model, adam(model))
    there = backend.device().asarray(images)
    step(there, None)
    return lambda: step(there, None)


def costs_of_a_step(name: str) -> strict_cupy.Counts:
    """The counts of one training step."""
    with backend.device("gpu"):
        step = training_step(name)
        with strict_cupy.count() as costs:
            step()
    return costs


def launches_a_pixel(name: str) -> float:
    """The mean launches for a pixel of cached sampling, in images of 4 rows."""
    with backend.device("gpu"):
        model: Any = MODELS[name].make((1, 4, 28))
        with strict_cupy.count() as costs:
            model.sample(MODELS[name].images)
    return costs.launches / (4 * 28)


if __name__ == "__main__":
    sys.modules["cupy"] = strict_cupy.cupy
    print(f"{'':10}{'launches':>10}{'waits':>8}{'uploads':>9}{'downloads':>11}{'launches a pixel':>19}")
    for name in sys.argv[1:] or MODELS:
        costs = costs_of_a_step(name)
        text = f"{name:10}{costs.launches:10}{costs.synchronisations:8}{costs.uploads:9}{costs.downloads:11}"
        print(text + (f"{launches_a_pixel(name):19.1f}" if name in AUTOREGRESSIVE else ""), flush=True)
