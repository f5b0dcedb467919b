"""The training of a GAN on images, as the GAN demos share it: the game, its table and its figures."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from common import analogies, figures, flags, tables, training
from minigen import Tensor, data, evaluate, plot, train
from minigen.backend import Array
from minigen.models import GAN
from minigen.processes import group


def play(name: str, game: train.Game, loader: data.Loader, history: figures.History, args: argparse.Namespace) -> None:
    """Train for --epochs, with a picture after each, and write the averaged weights, which the model has at the end."""

    def after_epoch() -> dict[str, float]:
        if group().rank == 0:
            with game.averaged():
                history.save_epoch(game.rounds // len(loader))
        return {}

    training.learn(name, game, loader, tables.GameTable(game.model), args, evaluate=after_epoch)
    with flags.own_folder(args.out):
        history.save_animation()


def draw_projections(gan: GAN, test_images: data.Dataset, out: Path) -> None:
    """Test images, and below each the nearest that the generator can draw."""
    if gan.classes is not None:
        raise ValueError("expects a generator without classes: the nearest image is searched among all that it draws")
    originals, _ = next(data.Loader(test_images[:24], 24, pixels="signed", shuffle=False).epoch(0))
    with evaluate.evaluating(gan):
        z, errors = evaluate.latent.project(gan.generator, originals, gan.latent_dim)
    nearest = gan.sample(z=Tensor(z)).data
    names = ("test image", "projection")
    plot.save_pairs(figures.shown(originals), figures.shown(nearest), out / "projections.png", names)
    shown = f"{len(z)} test image{'s' * (len(z) > 1)}"
    print(f"\nProjection of {shown}: mean squared error of a pixel {float(errors.mean()):.4f}, pixels in [-1, 1]")


def images_of(gan: GAN, z: Array) -> Array:
    """The images (N, C, H, W) that points z (N, latent_dim) draw."""
    return gan.sample(z=Tensor(gan.device.asarray(z))).data


def measure_analogies(gan: GAN, images: data.Dataset, test_images: data.Dataset, out: Path, **options: Any) -> None:
    """Arithmetic in the latent space of a generator without classes: `analogies.calculate`."""
    draw, noise = partial(images_of, gan), lambda n: gan.noise(n).data
    analogies.calculate(draw, noise, images, test_images, out, **options)


def pixels_of_samples(gan: GAN, n: int = 1000) -> np.ndarray:
    """Samples (n, C, H, W) with pixels in [0, 1]; of a model with classes, one class after the other."""
    labels = np.arange(n) * gan.classes // n if gan.classes else None
    return figures.shown(gan.sample(n, labels).data)
