"""The training of a GAN on images, as the GAN demos share it: the game, its table, its figures and its weights."""

from __future__ import annotations

import argparse

import numpy as np

import minigen
from common import figures, flags, tables
from minigen import data, plot, train
from minigen.models import GAN


def play(name: str, game: train.Game, loader: data.Loader, history: figures.History, args: argparse.Namespace) -> None:
    """Train for --epochs and write the averaged weights, which the model has at the end."""
    table, weights = tables.GameTable(game.model), args.out / "weights.safetensors"

    def after_epoch() -> dict[str, float]:
        with game.averaged():
            history.save_epoch(game.rounds // len(loader))
        return {}

    table.print_heading(name, loader.dataset, args.dataset)
    train.train(
        game,
        loader,
        epochs=args.epochs,
        out=args.out,
        evaluate=after_epoch,
        draw=lambda epoch: plot.save_curves(args.out / "log.jsonl", args.out / "curves.png", table.panels()),
        report=table.row,
        resume=args.resume,
        settings=flags.settings_of(args),
        capture=True,
    )
    with flags.own_folder(args.out):
        history.save_animation()
        with game.averaged():
            minigen.save(game.model, weights)
        minigen.load(weights, into=game.model)


def pixels_of_samples(gan: GAN, n: int = 1000) -> np.ndarray:
    """Samples (n, C, H, W) with pixels in [0, 1]; of a model with classes, one class after the other."""
    labels = np.arange(n) * gan.classes // n if gan.classes else None
    return figures.shown(gan.sample(n, labels).data)
