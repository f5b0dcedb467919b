"""The training of an autoregressive model, as its demos share it: batches, a table, figures and the weights."""

from __future__ import annotations

import argparse
from typing import Any

import minigen
from common import figures, flags, tables
from minigen import data, evaluate, plot, train
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
    pictures = figures.PixelFigures(model, loader.dataset.classes, args.temperature, args.out)
    table = tables.LikelihoodTable(test, model.levels, columns=("nats", "nats"), metric="nats")
    log_prob = lambda x, labels: model.log_prob(x, labels if model.classes else None)
    evaluation = lambda: {"nats": -evaluate.mean_over(test, log_prob, model, progress="test images")}

    def draw(epoch: int) -> None:
        pictures.save_samples()
        plot.save_curves(args.out / "log.jsonl", args.out / "curves.png", {"nats per image": ["loss", "nats"]})

    if args.weights is None:
        table.print_heading(name, loader.dataset, args.dataset)
        log = train.train(
            step,
            loader,
            epochs=args.epochs,
            out=args.out,
            evaluate=evaluation,
            draw=draw,
            report=table.row,
            resume=args.resume,
            settings=flags.settings_of(args),
            capture=True,
        )
    with flags.own_folder(args.out):
        if args.weights is None:
            minigen.save(model, args.out / "weights.safetensors")
            found = log[-1]["test"]
        else:
            pictures.save_samples()
            found = evaluation()
        table.print_result({"-log p(x | class)" if model.classes else "-log p(x)": found["nats"]})
        pictures.save_appearance()
        pictures.save_completions(test)
    tables.print_place(args)
