"""Small models in float64, and a step of each: what several processes compute is held against one process.

mpiexec -n 2 python tests/small_models.py OUT    # writes the weights of each after 50 steps
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from small_run import dataset

import minigen
from minigen import nn, optim, train
from minigen.data import Loader
from minigen.models import DCGAN, VAE, PixelCNN, PixelRNN

STEPS = 50


def likelihood(model: nn.Module) -> train.MaximumLikelihood:
    return train.MaximumLikelihood(model, optim.Adam(model.parameters(), 1e-2), max_norm=20.0)


def game(gan: DCGAN) -> train.Game:
    adam = lambda module: optim.Adam(module.parameters(), 1e-3, betas=(0.5, 0.999))
    optimizers = {"discriminator": adam(gan.discriminator), "generator": adam(gan.generator)}
    return train.Game(gan, optimizers, average=optim.WeightEMA(gan.generator, 0.9))


class Dropping(VAE):
    """A VAE with dropout and batch normalisation in its encoder."""

    def __init__(self) -> None:
        layers = [nn.Flatten(), nn.Linear(16, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.2), nn.Linear(6, 4)]
        super().__init__((1, 4, 4), 2, 6, encoder=nn.Sequential(*layers))


CASES: Mapping[str, tuple[Callable[[], Any], Mapping[str, Any]]] = {
    "vae": (lambda: likelihood(VAE((1, 4, 4), 2, 6)), {"batch_size": 8}),
    "vae with batch norm": (lambda: likelihood(Dropping()), {"batch_size": 13}),
    "pixelcnn": (lambda: likelihood(PixelCNN((1, 4, 4), 2, 3, 1, head=4)), {"batch_size": 8}),
    "row lstm": (lambda: likelihood(PixelRNN((1, 4, 4), 2, "row", 3, 1, head=4)), {"batch_size": 8}),
    "dcgan": (lambda: game(DCGAN((1, 8, 8), 4, 2)), {"batch_size": 7, "pixels": "signed"}),
    "wgan-gp": (lambda: game(DCGAN((1, 8, 8), 4, 2, "wasserstein-gp", 2)), {"batch_size": 14, "pixels": "signed"}),
}
"""The steps, and the arguments of their `Loader`. Of most batches some processes take more images than others; the last
batch of "vae with batch norm" has two images, which may be fewer than there are processes."""


def weights_after(name: str, steps: int = STEPS) -> dict[str, np.ndarray]:
    """All that the step would put into a checkpoint, after so many steps."""
    make, options = CASES[name]
    with minigen.default_dtype("float64"):
        minigen.manual_seed(3)
        step, loader = make(), Loader(dataset(28, 8 if "gan" in name else 4), seed=1, **options)
        for images, labels in (batch for _ in range(steps) for batch in loader):
            step(images, labels)
            steps -= 1
            if steps == 0:
                break
    return {f"{part}/{key}": x for part, owner in step.parts.items() for key, x in owner.state_dict().items()}


if __name__ == "__main__":
    from minigen.train import parallel

    with parallel.together(patience=30.0) as group:
        for case in CASES:
            weights = weights_after(case)
            parallel.check_equal({"weights": type("", (), {"state_dict": lambda self, w=weights: w})()}, STEPS, group)
            if group.rank == 0:
                np.savez(Path(sys.argv[1]) / f"{case}.npz", **weights)
