"""AnoGAN on the digits: one digit is held out of the training, and is to be found among test images by its score.

Each digit is held out once, and also the other way round: it is normal, and all others are anomalies. The seeds share
the digits, so that there are ten trainings of each kind. Beside the mean of the areas under the ROC curve, and their
range, stands that of the squared error that 20 principal components leave.

iGAN's part: a search for z that starts from an encoder's prediction, and a stroke of paint.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import minigen
from minigen import data, evaluate, plot
from minigen.autograd import Tensor, no_grad
from minigen.backend import Array, to_numpy
from minigen.models import GAN
from minigen.models.dcgan import DCGANGenerator
from minigen.models.zoo.anogan import anomaly_error, edit_error
from minigen.models.zoo.encoder import Inversion
from minigen.models.zoo.heads import ConvTrunk, Heads
from zoo_pages import Claim, compared, digits, learn

ITERATIONS = 900
CLAIM = "what a generator of normal images cannot make is an anomaly"
LATENT, FEATURES, COMPONENTS = 16, 8, 20
DIGITS = range(10)
IMAGES, STEPS, FEW = 60, 300, 20  # test images of each kind, steps of the search, and of iGAN's


def train(normal: data.Dataset, seed: int, args: argparse.Namespace, out: Path) -> GAN:
    minigen.manual_seed(seed)
    d = Heads(ConvTrunk(digits.SHAPE, FEATURES), 1)
    gan = GAN(DCGANGenerator(digits.SHAPE, LATENT, FEATURES), d)
    loader = data.Loader(normal, 32, pixels="signed", seed=seed, drop_last=True)
    return learn(gan, loader, args, out, lr={"discriminator": 5e-4, "generator": 1e-3})


def search(gan: GAN, errors: Any, start: Any, steps: int) -> tuple[Array, np.ndarray]:
    """z (N, latent_dim) and the errors (N,) that are left."""
    with evaluate.evaluating(gan):
        z, left = evaluate.latent.search(errors, start, steps=steps, lr=0.1)
    return z, to_numpy(left)


def areas(gan: GAN, normal: np.ndarray, test: np.ndarray, is_normal: np.ndarray, steps: int) -> list[float]:
    """Those under the ROC curve: of AnoGAN, of it after a third of the search, and of principal components."""
    images = np.concatenate([test[mask][:IMAGES] for mask in (~is_normal, is_normal)])
    x = gan.device.asarray(images.astype(np.float32) / 127.5 - 1)
    error = anomaly_error(gan, x)
    z, early = search(gan, error, gan.noise(len(x)), steps // 3)
    _, score = search(gan, error, z, steps - steps // 3)
    return [evaluate.auroc(s[:IMAGES], s[IMAGES:]) for s in (score, early, residual(normal, images))]


def residual(training: np.ndarray, images: np.ndarray) -> np.ndarray:
    """The squared error (N,) of images that the first principal components of the training images leave."""
    x, y = (part.reshape(len(part), -1) / 255 for part in (training, images))
    mean = x.mean(axis=0)
    axes = np.linalg.eigh(np.cov(x - mean, rowvar=False))[1][:, -COMPONENTS:]
    return (((y - mean) - (y - mean) @ axes @ axes.T) ** 2).sum(axis=1)


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    training, test = data.load("digits"), data.load("digits", "test")
    claims = []
    for name, text in (("without", "AUROC, one digit held out"), ("only", "AUROC, one digit normal")):
        found = []
        for i, digit in enumerate(DIGITS):
            normal, is_normal = ((part.labels != digit) == (name == "without") for part in (training, test))
            seed = args.seed + i % args.seeds
            gan = train(training[normal], seed, args, out / f"{name}-{digit}-{seed}")
            found.append(areas(gan, training.images[normal], test.images, is_normal, min(STEPS, args.iterations)))
        mine, early, components = np.array(found).T
        shown = [f"{x.mean():.3f} ({x.min():.3f} to {x.max():.3f})" for x in (mine, components)]
        claims.append(Claim(f"{text}, beside components", "more", *shown, bool(mine.mean() > components.mean())))
        shown[1] = f"{early.mean():.3f}"
        claims.append(Claim(f"{text}, beside a third of the search", "more", *shown, bool(mine.mean() > early.mean())))
    return [*claims, *predicted(training, test, args, out)]


def predicted(training: data.Dataset, test: data.Dataset, args: argparse.Namespace, out: Path) -> list[Claim]:
    """iGAN: the squared error of few steps from a prediction, and what becomes of a stroke."""
    gan = train(training, args.seed, args, out / f"all-{args.seed}")
    model = Inversion(gan, Heads(ConvTrunk(digits.SHAPE, FEATURES), LATENT), "data")
    learn(model, digits.batches(32, args.seed), args, out / f"predictor-{args.seed}", lr=1e-3, average="encoder")
    x = Tensor(gan.device.asarray(test.images[:IMAGES].astype(np.float32) / 127.5 - 1))
    with no_grad(), evaluate.evaluating(model):
        z0 = model.encoder(x)
    whole = gan.device.asarray(np.ones((IMAGES, 1, 28, 28), np.float32))
    fit = edit_error(gan, whole, x, z0, edges=0.0, stay=0.0)
    _, alone = search(gan, fit, z0, 0)
    z1, refined = search(gan, fit, z0, FEW)
    _, unaided = search(gan, fit, gan.noise(IMAGES), FEW)

    mask = np.zeros((IMAGES, 1, 28, 28), np.float32)
    mask[:, :, 12:15, 8:20] = 1  # a horizontal stroke through the middle
    stroke = edit_error(gan, gan.device.asarray(mask), whole, z1)
    z2, _ = search(gan, stroke, z1, 5 * FEW)
    before, after = (digits.shown(gan.sample(z=Tensor(z))) for z in (z1, z2))
    lit = [float((picture * mask).sum() / mask.sum()) for picture in (before, after)]
    painted = np.maximum(before, mask)
    pictures = [test.images[:IMAGES] / 255, digits.shown(gan.sample(z=z0)), before, painted, after]
    rows = ["test image", "predicted", "refined", "painted", "its nearest"]
    plot.save_grid(np.concatenate([part[:16] for part in pictures]), out / "edits.png", columns=16, rows=rows)
    text = f"iGAN: squared error after {FEW} steps from E(x), beside "
    return [
        compared(f"{text}E(x)", "less", [refined.mean() / 4], [alone.mean() / 4], ".1f"),
        compared(f"{text}noise", "less", [refined.mean() / 4], [unaided.mean() / 4], ".1f"),
        compared("iGAN: brightness of a stroke in the image, beside before", "more", [lit[1]], [lit[0]], ".2f"),
    ]
