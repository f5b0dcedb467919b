"""InfoGAN finds the digits without labels: a class in z that has to be read in the sample comes to stand for a digit.

Q names the class of test images; a class stands for the digit that most of its training images are. Beside it stands
k-means of the pixels, with as many clusters. The images have half the resolution, and D and Q see them through noise.

The bound is near its maximum, log 10 nats, after a few hundred rounds, when samples are hardly digits yet. The classes
that can be told apart then are strokes at different places and of different slant, and they become digits slowly, while
the bound stays as it is: a high bound does not make the code the digit. The paper trains longer, on 60,000 images. With
little noise it is worse. Then classes may draw the same digit, and Q reads the code in faint pixels.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np

import minigen
from minigen import evaluate, nn, plot
from minigen.autograd import Tensor, no_grad
from minigen.models import DCGANGenerator
from minigen.models.zoo.heads import ConvTrunk, Heads
from minigen.models.zoo.info_gan import InfoGAN
from zoo_pages import Claim, clusters, digits, learn, seeds, spread

ITERATIONS = 6000
CLAIM = "a class that stays readable in the samples is mostly the digit, which nobody has named"
CLASSES, NUMBERS, LATENT, HIDDEN = 10, 2, 74, 256


class Reader(nn.Module):
    """x -> the logits of the class that Q reads."""

    def __init__(self, gan: InfoGAN) -> None:
        self.gan = gan

    def forward(self, x: Any) -> Any:
        return self.gan.discriminator(x)[1][:, :CLASSES]


class Generator(nn.Module):
    """DCGAN's after a hidden layer, in which a class and the noise come together."""

    def __init__(self) -> None:
        self.latent_dim = LATENT
        self.net = nn.Sequential(*hidden(LATENT), DCGANGenerator(clusters.SHAPE, HIDDEN, 32))

    def forward(self, z: Any) -> Any:
        return self.net(z)


class Trunk(nn.Module):
    """DCGAN's discriminator with a hidden layer in place of its last, so that all of the image meets before D and Q."""

    def __init__(self) -> None:
        convolutions, self.width = ConvTrunk(clusters.SHAPE, features=32, noise=0.05), HIDDEN
        self.net = nn.Sequential(convolutions, *hidden(convolutions.width))

    def forward(self, x: Any) -> Any:
        return self.net(x)


def hidden(inputs: int, outputs: int = HIDDEN) -> list[nn.Module]:
    return [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.LeakyReLU(0.1)]


def train(seed: int, args: argparse.Namespace, out: Path) -> InfoGAN:
    minigen.manual_seed(seed)
    q = nn.Sequential(*hidden(HIDDEN, 128), nn.Linear(128, CLASSES + NUMBERS))
    gan = InfoGAN(Generator(), Heads(Trunk(), 1, q), CLASSES, NUMBERS)
    rates = {"discriminator": 5e-4, "generator": 1e-3}
    return learn(gan, clusters.batches(64, seed), args, out / f"info-{seed}", lr=rates)


@no_grad()
def nats(gan: InfoGAN) -> float:
    """The bound for the class, from 1,000 samples."""
    z = gan.noise(1000)
    with evaluate.evaluating(gan):
        return float(gan.read(gan.discriminator(gan(z))[1], z)[0].item())


def measure(args: argparse.Namespace, out: Path) -> list[Claim]:
    gans = [train(seed, args, out) for seed in seeds(args)]
    draw(gans[0], out / "codes.png")
    read = [nats(gan) for gan in gans]
    found = [clusters.sorted_right(Reader(gan)) for gan in gans]
    by_pixels = [clusters.k_means(CLASSES, seed) for seed in seeds(args)]
    text = f"digits right by {CLASSES} classes that Q reads, beside k-means"
    return [
        Claim(text, ">= 0.8", spread(found), spread(by_pixels), bool(np.median(found) >= 0.8)),
        Claim(
            "the bound I(c; G(z)) in nats",
            ">= 2",
            spread(read, ".2f"),
            f"{math.log(CLASSES):.2f} at most",
            bool(np.median(read) >= 2),
        ),
    ]


def draw(gan: InfoGAN, path: Path) -> None:
    """A row for each class: six samples with different noise, then the first and the second number from -1 to 1."""
    steps = np.linspace(-1, 1, 6)
    z = np.tile(gan.noise(6).numpy(), (CLASSES * 3, 1)).reshape(CLASSES, 3, 6, LATENT)
    z[:, 1:] = z[:, :1, :1]  # the same noise in both sweeps
    z[..., -CLASSES - NUMBERS : -NUMBERS] = np.eye(CLASSES)[:, None, None]
    z[..., -NUMBERS:] = 0
    z[:, 1, :, -2] = z[:, 2, :, -1] = steps
    samples = gan.sample(z=Tensor(gan.device.asarray(z.reshape(-1, LATENT))))
    plot.save_grid(digits.shown(samples), path, columns=18, rows=[f"class {k}" for k in range(CLASSES)])
