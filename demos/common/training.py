"""The training of a model on images, as every demo does it: a heading, rows, curves, and the weights at the end."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import minigen
from common import flags, tables
from minigen import data, plot, train
from minigen.files import locked
from minigen.processes import group


def learn(
    name: str,
    step: train.MaximumLikelihood | train.Game,
    loader: data.Loader,
    table: tables.LikelihoodTable | tables.GameTable,
    args: argparse.Namespace,
    *,
    evaluate: Callable[[], dict[str, float]],
    draw: Callable[[], None] = lambda: None,
) -> list[dict[str, Any]]:
    """Train for --epochs and write the weights into --out; returns the log.

    `evaluate` gives the metrics of the test images after every epoch, `draw` writes figures from time to time. The
    weights of a game are the averaged ones, which the model has at the end. Of several processes the first one writes.
    """

    def draw_all(epoch: int) -> None:
        draw()
        plot.save_curves(args.out / "log.jsonl", args.out / "curves.png", table.panels())

    table.print_heading(name, loader.dataset, args.dataset)
    log = train.train(
        step,
        loader,
        epochs=args.epochs,
        out=args.out,
        evaluate=evaluate,
        draw=draw_all,
        report=table.row,
        resume=args.resume,
        settings=flags.settings_of(args),
        capture=True,
    )
    weights = args.out / "weights.safetensors"
    if group().rank == 0:
        with locked(args.out), step.averaged() if isinstance(step, train.Game) else nullcontext():
            minigen.save(step.model, weights)
        minigen.load(weights, into=step.model)
    return log
