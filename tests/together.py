"""Small models in float64, and a step of each: what several processes compute is held against one process.

mpiexec -n 2 python tests/together.py OUT    # writes the weights of each after 50 steps
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from small_run import dataset

import minigen
from minigen import evaluate, grad, nn, ops, optim, train
from minigen.backend import to_numpy
from minigen.data import Loader
from minigen.models import DCGAN, VAE, PixelCNN, PixelRNN
from minigen.processes import Part, own_part, present_part

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
        layers = [
            nn.Flatten(),
            nn.Linear(16, 6, bias=False),
            nn.BatchNorm1d(6),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(6, 4),
        ]
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
    """All that the step would put into a checkpoint after so many steps, and the metrics of the last one."""
    make, options = CASES[name]
    with minigen.default_dtype("float64"):
        minigen.manual_seed(3)
        step, loader = make(), Loader(dataset(28, 8 if "gan" in name else 4), seed=1, **options)
        for images, labels in (batch for _ in range(steps) for batch in loader):
            metrics = step(images, labels)
            steps -= 1
            if steps == 0:
                break
    state = {f"{part}/{key}": x for part, owner in step.parts.items() for key, x in owner.state_dict().items()}
    return state | {f"metrics/{key}": np.array(to_numpy(value)) for key, value in metrics.items()}


def batch_norm_to_second_order() -> dict[str, np.ndarray]:
    """Batch norm of 7 rows, its gradients, and gradients of these: what all processes have together."""
    random = np.random.default_rng(5)
    x, v, u = (random.standard_normal((7, 2, 3)) for _ in range(3))
    others = [random.standard_normal(2) for _ in range(4)]
    with own_part(len(x)) as part:
        x, v, u = (part.of(values) for values in (x, v, u))
        inputs = [minigen.tensor(values, requires_grad=True) for values in (x, *others[:2])]
        y = ops.batch_norm(*inputs, part=present_part())[0]
        first = grad(y, inputs, v)
        recorded = grad(ops.batch_norm(*inputs, part=present_part())[0], inputs, v, create_graph=True)
        slope = sum(ops.sum(g * w) for g, w in zip(recorded, (u, *others[2:]), strict=True))
        second = grad(slope, inputs[:2])
        results = {"y": y, **{f"first {i}": g for i, g in enumerate((*first, *recorded))}}
        return {name: of_all(g.numpy(), part) for name, g in (results | {"xx": second[0], "xw": second[1]}).items()}


def of_all(values: np.ndarray, part: Part) -> np.ndarray:
    """The rows of all processes; of what all rows have in common, such as the gradient for a weight, the sum."""
    if values.ndim == 1:
        return part.group.sum(values)
    whole = np.zeros((part.total, *values.shape[1:]))
    whole[part.start : part.stop] = values / part.copies
    return part.group.sum(whole)


def evaluation() -> dict[str, np.ndarray]:
    """The mean bound of the log-likelihood over 28 images, from 3 draws of z for each."""
    with minigen.default_dtype("float64"):
        minigen.manual_seed(3)
        vae = VAE((1, 4, 4), 2, 6)
        bound = lambda x, labels: vae.log_prob(x, samples=3)
        loader = Loader(dataset(28), 9, shuffle=False, binarization="fixed")  # the last batch has one image
        return {"mean": np.array(evaluate.mean_over(loader, bound, vae))}


RESULTS: Mapping[str, Callable[[], dict[str, Any]]] = {
    **{name: partial(weights_after, name) for name in CASES},
    "batch norm": batch_norm_to_second_order,
    "evaluation": evaluation,
}

if __name__ == "__main__":
    with train.parallel.together(patience=30.0) as together:
        for name, result in RESULTS.items():
            arrays = result()
            if together.rank == 0:
                np.savez(Path(sys.argv[1]) / f"{name}.npz", **arrays)
