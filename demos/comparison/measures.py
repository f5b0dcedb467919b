"""What is measured of a model: its likelihood, its samples beside real images, its speed, and what it sees.

Samples are compared with real images of the same kind. The generators of GANs and the mean images of a VAE are grey as
the data are; autoregressive models, and draws of a VAE's pixels, are binary and are compared with binarized images.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

import minigen
from benchmarks import in_turns, sampling
from benchmarks.models import training_step
from common import figures, games
from comparison import Row
from minigen import data, evaluate
from minigen.backend import to_numpy
from minigen.models import GAN, VAE
from minigen.models.autoregressive import Autoregressive
from receptive_field import influence

BOUND = 100  # draws of z for a VAE's importance-weighted bound
TIMED = 16  # images that are drawn, encoded or learned from at a time, where that is timed
PROJECTION = {"steps": 30, "restarts": 4}  # timed; a projection has ten times as many steps


class Judge:
    """Compares samples with `n` test images, in the features of a classifier and pixel by pixel.

    `self.test_images` are these and `n` others, chosen from those that are given.
    """

    def __init__(
        self, classifier: evaluate.Classifier, images: data.Dataset, test_images: data.Dataset, n: int
    ) -> None:
        self.classifier, self.training = classifier, unit(images, "grey")
        self.n = n = min(n, len(test_images) // 2, len(images))
        self.test_images, copies = evaluate.random_subset(test_images, 2 * n), evaluate.random_subset(images, n)
        self.test = {kind: unit(self.test_images, kind) for kind in ("grey", "binary")}
        self.copies = {kind: unit(copies, kind) for kind in ("grey", "binary")}
        self.features = {kind: self._seen(x[0::2])[0] for kind, x in self.test.items()}

    def __call__(self, samples: np.ndarray, kind: str) -> Row:
        """What is measured of samples (n, C, H, W) with pixels in [0, 1]; `kind` is "grey" or "binary"."""
        features, probabilities = self._seen(samples)
        shares = evaluate.class_shares(probabilities)
        precision, recall = evaluate.precision_and_recall(features, self.features[kind])
        return {
            "pixels": kind,
            "frechet": evaluate.frechet_distance(features, self.features[kind]),
            "precision": precision,
            "recall": recall,
            "confident": evaluate.confident_share(probabilities),
            "rarest": float(shares.min()),
            "shares": shares.tolist(),
            "sharpness": float(evaluate.sharpness(samples).mean()),
            "copying": evaluate.copying(samples, self.test[kind][1::2], self.training),
        }

    def of_real_images(self) -> list[Row]:
        """The same of other test images, which is the best that samples can be, and of copies of training images."""
        rows = []
        for kind in ("grey", "binary"):
            for model, title, x in (
                ("test", "test images", self.test[kind][1::2]),
                ("copies", "copies of training images", self.copies[kind]),
            ):
                rows.append({"model": f"{model}-{kind}", "title": f"{title}, {kind}", "examples": x, **self(x, kind)})
        return rows

    def _seen(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return evaluate.features_and_probabilities(self.classifier, 2 * x - 1)


def unit(images: data.Dataset, kind: str) -> np.ndarray:
    """Images (N, C, H, W) with pixels in [0, 1]: grey, or one fixed binary draw."""
    pixels: Any = "unit" if kind == "grey" else "binary"
    loader = data.Loader(images, len(images), pixels=pixels, shuffle=False, binarization="fixed")
    return to_numpy(next(loader.epoch(0))[0]).astype(np.float32)


def samples_of(model: Any, n: int) -> dict[str, np.ndarray]:
    """Samples (n, C, H, W) with pixels in [0, 1], of each kind of pixels that the model has."""
    minigen.manual_seed(0)
    if isinstance(model, VAE):
        return {"grey": model.sample(n, mean=True).numpy(), "binary": model.sample(n).numpy().astype(np.float32)}
    if isinstance(model, GAN):
        return {"grey": games.pixels_of_samples(model, n)}
    return {"binary": model.sample(n, progress=True).numpy().astype(np.float32)}


def likelihood(model: Any, test_images: data.Dataset) -> Row:
    """-log p(x) in nats of the test images, one fixed binary draw: exact, a bound, or not defined."""
    if isinstance(model, GAN):
        return {"likelihood": "not defined"}
    pixels = model.likelihood.pixels if isinstance(model, VAE) else "binary" if model.levels == 2 else "levels"
    if pixels != "binary":
        raise ValueError(f"expects a model of binary pixels, got a {type(model).__name__} of {pixels!r}")
    test = data.Loader(test_images, 50, pixels="binary", shuffle=False, binarization="fixed")
    mean = lambda fn, name: -evaluate.mean_over(test, fn, model, progress=name)
    if isinstance(model, VAE):
        nats = mean(lambda x, labels: model.log_prob(x, BOUND), f"bound, K = {BOUND}")
        found: Row = {"likelihood": f"bound, K = {BOUND}", "elbo": mean(lambda x, labels: model.elbo(x), "-ELBO")}
    else:
        nats = mean(lambda x, labels: model.log_prob(x), "-log p(x)")
        found = {"likelihood": "exact"}
    return {"nats": nats, "bits": evaluate.bits_per_dim(nats, test_images.image_shape), **found}


def speed(model: Any, test_images: data.Dataset) -> Row:
    """Milliseconds: of a sample, and of the code of an image."""
    if isinstance(model, Autoregressive):
        cached = min(sampling.sample(model, TIMED, cached=True)[0] for _ in range(3))
        naive, rows = sampling.sample(model, TIMED, cached=False, limit=1.0)
        naive *= model.image_shape[1] / rows.shape[2]
        return {"sample_ms": 1000 * cached / TIMED, "naive_ms": 1000 * naive / TIMED}
    (drawing,) = in_turns([lambda: model.sample(TIMED)], 20)
    return {"sample_ms": min(drawing.values) / TIMED, "code_ms": milliseconds_of_a_code(model, test_images[:TIMED])}


def add_steps(rows: list[Row], weights: dict[str, Path], test_images: data.Dataset) -> None:
    """Add to the rows of autoregressive models the milliseconds of a training step, timed in turns: only so can they be
    compared on a machine that others use too."""
    models = {name: minigen.load(path) for name, path in weights.items()}
    models = {name: model for name, model in models.items() if isinstance(model, Autoregressive)}
    x = unit(test_images[:TIMED], "binary").astype(np.uint8)
    times = in_turns([training_step(model, x) for model in models.values()], 10)
    for name, time_of_a_step in zip(models, times, strict=True):
        next(row for row in rows if row["model"] == name)["step_ms"] = time_of_a_step.median


def milliseconds_of_a_code(model: VAE | GAN, images: data.Dataset) -> float:
    """The time in which z is found for an image: by the encoder, or by a search with gradients (GAN inversion)."""
    if isinstance(model, VAE):
        x = model.device.asarray(unit(images, "binary"))
        (encoding,) = in_turns([lambda: model.encode(x)], 20)
        return min(encoding.values) / len(x)
    x = model.device.asarray(2 * unit(images, "grey") - 1)
    start = time.perf_counter()
    with evaluate.evaluating(model):
        z, _ = evaluate.latent.project(model.generator, x, model.latent_dim, **PROJECTION)
        to_numpy(z)
    return 10 * 1000 * (time.perf_counter() - start) / len(x)


def sight(model: Any) -> Row:
    """What the pixel in the centre depends on: how many of the pixels before it, and how many rows above.

    A blind spot is made of pixels that are never seen although they lie between rows and columns that are.
    """
    if not isinstance(model, Autoregressive):
        return {}
    row, column = (side // 2 for side in model.image_shape[1:])
    with minigen.device("cpu"):
        field = influence(lambda: type(model)(**model.arguments()), row, column, tries=2, seed=0)
    before = figures.before_pixel(field.shape, row, column)
    rows, columns = np.nonzero(before & (field > 0))
    between = np.zeros_like(before)
    between[rows.min() :, columns.min() : columns.max() + 1] = True
    return {
        "seen": len(rows),
        "context": int(before.sum()),
        "rows_above": int(row - rows.min()),
        "blind": int((before & between & (field == 0)).sum()),
    }


def size(model: Any) -> Row:
    """The number of its parameters, and what the code of an image is."""
    code = "none" if isinstance(model, Autoregressive) else f"{model.latent_dim} numbers"
    return {"parameters": sum(p.data.size for p in model.parameters()), "code": code}


def training(log: list[dict[str, Any]]) -> Row:
    """The time that the training took, and the curve of the test images: (seconds, nats) after every epoch."""
    if not log:
        return {}
    curve = [(record["seconds"], *record["test"].values()) for record in log if record["test"]]
    return {"epochs": log[-1]["epoch"], "seconds": log[-1]["seconds"], "curve": curve or None}
