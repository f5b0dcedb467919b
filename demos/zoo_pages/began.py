"""BEGAN on the digits: does M fall as the samples get better, and does the controller hold its balance?

Training is cut into parts. M and both errors are their means over a part, of the model in training; the Fréchet
distance is that of the averaged generator at the part's end.

How well M follows the samples differs from run to run: Spearman's correlation was 0.50, 0.89 and 0.99 with three seeds.
In the first third it follows them in each. Later M goes on falling with L(x), because D learns to reconstruct better
and better, also what is no digit, and the samples, which the controller holds to an error below that of the data, need
not become digits. L(x) alone is as good a measure, as the first row shows. EBGAN's margin lets D push samples above the
error of the data; with networks of these sizes its digits are better. A code of 16 numbers, which should keep D from
reconstructing what is no digit, makes it worse: the correlation was -0.24 with the first seed.

Errors are squared, one of the paper's two choices: with absolute ones these networks draw one image, and k stays 0. The
paper's gain of 1e-3 is for hundreds of thousands of rounds; here it is 3e-2. The learning rate falls in a line, where
the paper halves it when M stalls.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import minigen
from common.figures import new_figure
from minigen import plot
from minigen.files import read_json
from minigen.models.zoo.autoencoder import AutoencoderDiscriminator, DecoderGenerator
from minigen.models.zoo.began import BEGAN
from zoo_pages import Claim, digits, learn, reaches, seeds, spread

ITERATIONS = 4000
CLAIM = "M says how good the samples are, and the controller keeps the errors of samples and data in proportion"
BATCH, GAMMA, GAIN, PARTS = 64, 0.7, 3e-2, 18


def train(seed: int, judge: digits.Judge, args: argparse.Namespace, out: Path) -> tuple[BEGAN, list[dict[str, Any]]]:
    """The model, and the log: a record for each part."""
    minigen.manual_seed(seed)
    gan = BEGAN(DecoderGenerator(digits.SHAPE), AutoencoderDiscriminator(digits.SHAPE, code=64), GAMMA, GAIN)
    frechet = lambda: {"frechet": judge.frechet(gan)}
    learn(gan, digits.batches(BATCH, seed), args, out / f"{seed}", lr=1e-3, epochs=PARTS, evaluate=frechet)
    return gan, read_json(out / f"{seed}" / "log.jsonl", lines=True)


def of(log: list[dict[str, Any]], name: str) -> np.ndarray:
    """A metric in each part."""
    return np.array([(record["train"] | record["test"])[name] for record in log])


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's: that of the ranks."""
    rank = lambda x: x.argsort().argsort()
    return float(np.corrcoef(rank(a), rank(b))[0, 1])


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    judge = digits.Judge(out)
    gans, logs = zip(*(train(seed, judge, args, out) for seed in seeds(args)), strict=True)
    draw(gans, logs, out / "samples.png")
    follows = lambda name, parts: [rank_correlation(of(log, name)[parts], of(log, "frechet")[parts]) for log in logs]
    balance = [float(of(log[-4:], "L(G(z))").sum() / of(log[-4:], "L(x)").sum()) for log in logs]
    claims = []
    for text, parts in (("Spearman(M, Fréchet)", slice(None)), ("the same in the first third", slice(PARTS // 3))):
        claims.append(reaches(f"{text}, beside that of L(x)", ">= 0.8", follows("M", parts), follows("L(x)", parts)))
    held = bool(abs(np.median(balance) / GAMMA - 1) <= 0.1)
    return [*claims, Claim("L(G(z)) / L(x) in the last quarter", f"{GAMMA} ± 10%", spread(balance), "", held)]


def draw(gans: tuple[BEGAN, ...], logs: tuple[list[dict[str, Any]], ...], path: Path) -> None:
    """M and the Fréchet distance along the training, and samples."""
    figure = new_figure(11, 3.6)
    left, right = figure.subplots(1, 2, width_ratios=[2, 3])
    other = left.twinx()
    for i, log in enumerate(logs):
        left.plot(of(log, "M"), "C0", label=None if i else "M")
        other.plot(of(log, "frechet"), "C1", label=None if i else "Fréchet distance")
    left.set(xlabel="part of the training", ylabel="M", xticks=range(0, PARTS, 3))
    other.set(ylabel="Fréchet distance", yscale="log")
    figure.legend(loc="upper left", bbox_to_anchor=(0.15, 0.95))
    right.imshow(plot.mosaic(np.concatenate([digits.shown(gan.sample(32)) for gan in gans]), columns=16))
    right.set_axis_off()
    plot.save_figure(figure, path)
