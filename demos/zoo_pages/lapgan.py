"""LAPGAN on the digits, 7 -> 14 -> 28 pixels, beside the fully connected GAN that has as many rounds.

Its networks are convolutional. A DCGAN, which also draws all pixels at once, is better still in about as many minutes:
the Fréchet distance of `dcgan.py` is 8.5.

What is wrong in the smallest images grows with each level, so both networks there have more layers than DCGAN's would
have for 7 x 7 pixels. Each level is also measured by itself: it gets test digits that were made smaller, and adds the
detail, beside the same images with larger pixels only.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import minigen
from minigen import data, nn, plot
from minigen.autograd import Tensor
from minigen.models import GAN, DCGANDiscriminator, MLPDiscriminator, MLPGenerator, Tricks
from minigen.models.zoo.lapgan import LAPGAN, DetailGenerator, Level
from minigen.models.zoo.restoration import down, up
from zoo_pages import Claim, compared, digits, learn, seeds

ITERATIONS = 3000
CLAIM = "a GAN for each level of a pyramid draws better digits than a fully connected one of all pixels at once"
BATCH, LATENT, SIDES = 64, 64, (7, 14, 28)


def smallest_discriminator() -> nn.Sequential:
    """Images (N, 1, 7, 7) -> logits (N,)."""
    layers: list[nn.Module] = [nn.Conv2d(1, 32, 3, padding=1), nn.LeakyReLU(0.2)]
    layers += [nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.LeakyReLU(0.2), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(64 * 16, 256), nn.LeakyReLU(0.2), nn.Linear(256, 1), nn.Unflatten(()))


def train(seed: int, args: argparse.Namespace, out: Path) -> LAPGAN:
    """With noise on what later Ds see, of which a third stays: without it, they see how even the data's black is."""
    minigen.manual_seed(seed)
    noise = Tricks(instance_noise=0.3, instance_noise_rounds=args.iterations * 3 // 2)
    second, third = ((1, side, side) for side in SIDES[1:])
    levels = [
        GAN(digits.FullSizeGenerator(LATENT, (4, 7), (128, 64)), smallest_discriminator()),
        Level(DetailGenerator(second, 32, halvings=1), DCGANDiscriminator(second, 32), tricks=noise),
        Level(DetailGenerator(third, 16, halvings=2), DCGANDiscriminator(third, 16), tricks=noise),
    ]
    model = LAPGAN(levels)
    rates = {name: 1e-3 if "generator" in name else 5e-4 for name in model.players()} | {"discriminator_0": 1.5e-3}
    return learn(model, digits.batches(BATCH, seed), args, out / f"lapgan-{seed}", lr=rates)


def train_at_once(seed: int, args: argparse.Namespace, out: Path) -> GAN:
    """The GAN of all pixels, with the rates of `gan.py`."""
    minigen.manual_seed(seed)
    rates = {"discriminator": 5e-4, "generator": 1e-3}
    gan = GAN(MLPGenerator(digits.SHAPE, LATENT, 240), MLPDiscriminator(digits.SHAPE, 240))
    return learn(gan, digits.batches(BATCH, seed), args, out / f"mlp-{seed}", lr=rates)


def enlarged(x: Tensor) -> Tensor:
    """To 28 x 28, with larger pixels."""
    return up(x, 28 // x.shape[2])


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    judge = digits.Judge(out)
    models = [train(seed, args, out) for seed in seeds(args)]
    plain = [train_at_once(seed, args, out) for seed in seeds(args)]
    test = data.Loader(data.load("digits", "test")[1::2], 1000, pixels="signed", shuffle=False)
    images, _ = next(test.epoch(0))  # not those that the judge compares with
    draw(models[0], plain[0], Tensor(images[:20]), out / "samples.png")
    mine, theirs = [judge.frechet(model) for model in models], [judge.frechet(gan) for gan in plain]
    claims = [compared("Fréchet distance of samples, beside an MLP GAN's", "less", mine, theirs, ".1f")]
    for k, side in enumerate(SIDES[:-1], start=1):
        smaller = down(Tensor(images), 28 // side)
        found = [judge.distance(model.refine(smaller, k)) for model in models]
        text, blocks = f"from real {side} x {side} images, beside larger pixels", [judge.distance(enlarged(smaller))]
        claims.append(compared(text, "less", found, blocks, ".1f"))
    return claims


def draw(model: LAPGAN, plain: GAN, images: Tensor, path: Path) -> None:
    """Samples as they grow; digits, and what the last level makes of them; and samples of the other GAN."""
    n = len(images)
    first = model.levels[0].sample(n)
    second = model.levels[1].sample(z=(model.levels[1].noise(n), up(first)))
    rows = {f"{x.shape[2]} x {x.shape[2]}": x for x in (first, second, model.refine(second, 2))}
    rows |= {"of data": down(images), "refined": model.refine(down(images), 2), "data": images, "MLP": plain.sample(n)}
    pictures = np.concatenate([digits.shown(enlarged(x)) for x in rows.values()])
    plot.save_grid(pictures, path, columns=n, rows=list(rows))
