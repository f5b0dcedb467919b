"""The training of a GAN on images, as the GAN demos share it: the game, its table and its figures."""

from __future__ import annotations

import argparse

import numpy as np

from common import figures, flags, tables, training
from minigen import data, train
from minigen.models import GAN


def play(name: str, game: train.Game, loader: data.Loader, history: figures.History, args: argparse.Namespace) -> None:
    """Train for --epochs, with a picture after each, and write the averaged weights, which the model has at the end."""

    def after_epoch() -> dict[str, float]:
        with game.averaged():
            history.save_epoch(game.rounds // len(loader))
        return {}

    training.learn(name, game, loader, tables.GameTable(game.model), args, evaluate=after_epoch)
    with flags.own_folder(args.out):
        history.save_animation()


def pixels_of_samples(gan: GAN, n: int = 1000) -> np.ndarray:
    """Samples (n, C, H, W) with pixels in [0, 1]; of a model with classes, one class after the other."""
    labels = np.arange(n) * gan.classes // n if gan.classes else None
    return figures.shown(gan.sample(n, labels).data)
