"""The pages of the zoo: how each model of `minigen.models.zoo` is trained and measured; `zoo.py` runs them.

Each page has ITERATIONS, the rounds of one training, and `measure(args, out)`, which trains with every seed, draws into
the folder `out` and returns its claims.

There is no third set of images: networks, rates and rounds were chosen by trial, by these measures on these test
images. This favours the models a little, and a new seed is the fairer test.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from common.figures import Samples
from minigen import data, optim, train
from minigen.backend import to_numpy
from minigen.evaluate import modes_covered
from minigen.files import read_json


class Claim(NamedTuple):
    """What is claimed, and what was measured beside a baseline."""

    text: str
    aim: str
    measured: str
    baseline: str
    holds: bool


def spread(values: Sequence[float], form: str = ".3f") -> str:
    """The median, and the range if there are several values."""
    low, middle, high = (format(float(x), form) for x in (min(values), np.median(values), max(values)))
    return f"{middle} ({low} to {high})" if len(values) > 1 else middle


def compared(text: str, aim: str, values: Sequence[float], others: Sequence[float], form: str = ".3f") -> Claim:
    """The claim that the median of values is "more" or "less" than that of a baseline's."""
    mine, baseline = float(np.median(values)), float(np.median(others))
    holds = {"more": mine > baseline, "less": mine < baseline}[aim]
    return Claim(text, aim, spread(values, form), spread(others, form), holds)


def reaches(text: str, aim: str, values: Sequence[float], baseline: str | Sequence[float], form: str = ".3f") -> Claim:
    """The claim that the median of values is where the aim says, such as ">= 95%" or "< 65"."""
    middle, (sign, number) = float(np.median(values)), aim.split()
    limit = float(number.rstrip("%")) / (100 if number.endswith("%") else 1)
    holds = {">=": middle >= limit, "<=": middle <= limit, "<": middle < limit}[sign]
    beside = baseline if isinstance(baseline, str) else spread(baseline, form)
    return Claim(text, aim, spread(values, form), beside, holds)


def seeds(args: argparse.Namespace) -> range:
    return range(args.seed, args.seed + args.seeds)


def learn(
    model: Any,
    batches: Any,
    args: argparse.Namespace,
    out: Path,
    *,
    lr: float | Mapping[str, float],
    betas: tuple[float, float] = (0.5, 0.999),
    average: str | None = "generator",
    decay: bool = True,
    epochs: int = 1,
    evaluate: Callable[[], dict[str, float]] | None = None,
) -> Any:
    """Play a game for --iterations rounds, or continue it in `out` with --resume; returns the model.

    batches    a `data.Loader`, or what else gives batches (images, labels), as often as is needed
    lr         Adam's rate, or the rate of each player by its name
    average    the network whose weights the model has at the end as their running average
    decay      whether the rates fall to 0 in the second half; where they do not, the average is a longer one
    epochs     parts of the training, after each of which `evaluate` gives metrics for the log
    """
    epochs = min(epochs, args.iterations)
    players = model.players()
    rates = lr if isinstance(lr, Mapping) else dict.fromkeys(players, lr)
    game = train.Game(
        model,
        {name: optim.Adam(players[name].module.parameters(), rate, betas=betas) for name, rate in rates.items()},
        average=optim.WeightEMA(getattr(model, average), 0.995 if decay else 0.999) if average else None,
        schedule=optim.linear_decay(args.iterations) if decay else None,
    )

    def after_epoch() -> dict[str, float]:
        with game.averaged():
            return evaluate() if evaluate else {}

    train.train(
        game,
        Rounds(batches, args.iterations // epochs),
        epochs=epochs,
        out=out,
        evaluate=after_epoch,
        resume=args.resume and (out / "checkpoint.safetensors").exists(),
        settings={"iterations": args.iterations},
    )
    with game.averaged():
        weights = {name: x.copy() for name, x in model.state_dict().items()}
    model.load_state_dict(weights)
    return model


def after_half(folder: Path, metric: str) -> float:
    """What `evaluate` found after half of the parts of a training, from its log."""
    log = read_json(folder / "log.jsonl", lines=True)
    return float(log[(len(log) - 1) // 2]["test"][metric])


class Rounds:
    """The batches of a loader, one pass over the data after the other, cut into epochs of equal length."""

    def __init__(self, loader: Any, length: int) -> None:
        self.loader, self.length = loader, length

    def __len__(self) -> int:
        return self.length

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Any, Any]]:
        first, place = divmod(epoch * self.length + start, len(self.loader))
        passes = (self.loader.epoch(first + i, 0 if i else place) for i in count())
        return islice(chain.from_iterable(passes), self.length - start)


def play(
    gan: Any, density: Any, args: argparse.Namespace, out: Path, *, batch_size: int, lr: tuple[float, float], seed: int
) -> Any:
    """Train a GAN on draws of a density; `lr` are the rates of discriminator and generator."""
    draws = data.toy.Draws(density, batch_size * gan.k, args.iterations, seed)
    return learn(gan, draws, args, out, lr={"discriminator": lr[0], "generator": lr[1]})


def covered(name: str, seed: int, model: Any, mixture: data.toy.GaussianMixture, at_least: int = 50) -> Samples:
    """4,000 samples of a model of points in the plane, and the modes that at least so many of them are near."""
    samples = to_numpy(model.sample(4000).data)
    return Samples(name, seed, samples, *modes_covered(samples, mixture, at_least))
