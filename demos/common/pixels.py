"""The training of an autoregressive model, as its demos share it: batches, a table, figures and the weights."""

from __future__ import annotations

import argparse
from typing import Any

from common import figures, flags, tables, training
from minigen import data, evaluate, train
from minigen.models.autoregressive import Autoregressive


def loaders(
    model: Autoregressive, images: data.Dataset, test_images: data.Dataset, args: argparse.Namespace
) -> tuple[data.Loader, data.Loader]:
    """Batches of training and of test images with the model's levels; two levels are drawn anew in each epoch."""
    pixels: Any = {"pixels": "binary"} if model.levels == 2 else {"pixels": "levels", "levels": model.levels}
    return (
        data.Loader(images, args.batch_size, seed=args.seed, **pixels),
        data.Loader(test_images, 50, shuffle=False, seed=args.seed, binarization="fixed", **pixels),
    )


def learn(
    name: str, step: train.MaximumLikelihood, loader: data.Loader, test: data.Loader, args: argparse.Namespace
) -> None:
    """Train for --epochs and save the weights, unless --weights gave them; print the result and draw the figures."""
    model: Any = step.model
    if model.classes and not (args.image or "0").isdecimal():
        raise ValueError(f"--image expects the number of a test image, whose class is known, got {args.image}")
    pictures = figures.PixelFigures(model, loader.dataset.classes, args.temperature, args.out)
    table = tables.LikelihoodTable(test, model.levels, columns=("nats", "nats"), metric="nats")
    log_prob = lambda x, labels: model.log_prob(x, labels if model.classes else None)
    evaluation = lambda: {"nats": -evaluate.mean_over(test, log_prob, model, progress="test images")}

    if args.weights is None:
        log = training.learn(name, step, loader, table, args, evaluate=evaluation, draw=pictures.save_samples)
    with flags.own_folder(args.out):
        if args.weights is None:
            found = log[-1]["test"]
        else:
            pictures.save_samples()
            found = evaluation()
        table.print_result({"-log p(x | class)" if model.classes else "-log p(x)": found["nats"]})
        pictures.save_appearance()
        pictures.save_completions(test)
    tables.print_place(args)
