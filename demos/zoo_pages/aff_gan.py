"""AffGAN makes 7 x 7 digits 28 x 28 again, beside the network that minimises the squared error.

Both have the same layers, the projection included. G starts from the other's weights, because that takes fewer rounds
than from the beginning; D starts anew. Two things are as they are because digits are black and white: g ends with tanh,
which makes a background that is as even as that of the data, and of the noise on D's inputs a third stays to the end.
Without either, D sees the unevenness, which is no matter of digits, and G learns little else. The first row is measured
before the pixels are clipped to [-1, 1] and the others after it: what is clipped does not fit exactly any more.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

import minigen
from minigen import data, nn, ops, plot
from minigen.autograd import Tensor, no_grad
from minigen.backend import to_numpy
from minigen.models import Batch, DCGANDiscriminator, Player, Tricks
from minigen.models.zoo.aff_gan import AffGAN
from minigen.models.zoo.restoration import Hourglass, down, up
from minigen.nn.module import evaluating
from zoo_pages import Claim, compared, digits, learn, reaches, seeds

ITERATIONS = 1500
CLAIM = "enlarged images that fit exactly look like data where the squared error blurs"
BATCH, FACTOR = 64, 4


class SquaredError(AffGAN):
    """The generator by itself, with the whole images as its targets."""

    def players(self) -> dict[str, Player]:
        return {"generator": Player(self.generator, self.squared_error)}

    def squared_error(self, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
        return ops.mse_loss(self(down(batch.data, FACTOR)), Tensor(batch.data)), {}


def new(kind: type[AffGAN], rounds: int) -> AffGAN:
    noise = Tricks(instance_noise=0.3, instance_noise_rounds=rounds * 3 // 2)
    net = nn.Sequential(Hourglass(1, 1, downs=0, ups=2), nn.Tanh())
    return kind(net, DCGANDiscriminator(digits.SHAPE, 16), FACTOR, noise)


def train(seed: int, args: argparse.Namespace, out: Path) -> tuple[AffGAN, AffGAN]:
    minigen.manual_seed(seed)
    blurred = new(SquaredError, args.iterations)
    learn(blurred, digits.batches(BATCH, seed), args, out / f"squared-error-{seed}", lr=1e-3)
    rates = {"discriminator": 2e-4, "generator": 3e-4}
    gan = new(AffGAN, args.iterations)
    gan.generator.load_state_dict(blurred.generator.state_dict())
    return learn(gan, digits.batches(BATCH, seed + 1000), args, out / f"affgan-{seed}", lr=rates), blurred


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    judge = digits.Judge(out)
    gans, others = zip(*(train(seed, args, out) for seed in seeds(args)), strict=True)
    test = data.Loader(data.load("digits", "test")[1::2], 1000, pixels="signed", shuffle=False)
    images = Tensor(next(test.epoch(0))[0])  # not those that the judge compares with
    small = down(images, FACTOR)
    ys, blurred = ([model.sample(z=small) for model in models] for models in (gans, others))
    draw(small, blurred[0], ys[0], images, out / "enlarged.png")
    misfit = lambda x: float(abs(to_numpy((down(x, FACTOR) - small).data)).max())
    with no_grad(), evaluating(gans[0]):
        unprojected = misfit(gans[0].generator.net(small))
    worst = max(map(misfit, ys))
    ys, blurred = ([ops.clip(x, -1, 1) for x in xs] for xs in (ys, blurred))
    distance, theirs = ([judge.distance(x) for x in xs] for xs in (ys, blurred))
    quality, other = ([digits.psnr(x, images) for x in xs] for xs in (ys, blurred))
    fit, text = "largest |A y - x|, beside g without projection", "the squared-error network's"
    return [
        reaches(fit, "< 1e-6", [worst], f"{unprojected:.2f}", ".1e"),
        compared(f"Fréchet distance, beside {text}", "less", distance, theirs, ".1f"),
        compared(f"PSNR in dB, beside {text}", "less", quality, other, ".1f"),
    ]


def draw(small: Tensor, blurred: Tensor, y: Tensor, images: Tensor, path: Path) -> None:
    rows = {"given": up(small, FACTOR), "squared error": blurred, "AffGAN": y, "data": images}
    plot.save_grid(np.concatenate([digits.shown(x[:20]) for x in rows.values()]), path, columns=20, rows=list(rows))
