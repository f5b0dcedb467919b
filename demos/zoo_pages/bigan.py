"""BiGAN on the digits: is the encoder that nobody told to reconstruct G's inverse, and do its features know the digit?

Beside it stands AEGAN, whose encoder is learned after the generator of a plain GAN, on the error of the image.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import minigen
from minigen import data, evaluate, nn, plot
from minigen.autograd import Tensor, no_grad
from minigen.models import GAN, MLPGenerator
from minigen.models.zoo.bigan import BiGAN, PairDiscriminator
from minigen.models.zoo.encoder import Inversion
from minigen.models.zoo.heads import Heads, MLPTrunk
from zoo_pages import Claim, learn, pixels, seeds, spread

ITERATIONS = 3000
CLAIM = "an encoder that D judges together with the generator comes to invert it, without a loss that says so"
SHAPE, LATENT, HIDDEN = (1, 28, 28), 32, (256, 256)
RATES = {"discriminator": 5e-4, "generator": 1e-3}


class Found(NamedTuple):
    neighbours: float  # accuracy of the nearest neighbour in E's features
    own: float  # mean |x - G(E(x))|, of pixels in [0, 1]
    other: float  # the same with another x
    images: np.ndarray  # the first G(E(x))


def encoder() -> Heads:
    return Heads(MLPTrunk(SHAPE, HIDDEN, batch_norm=True), LATENT)


def bigan(seed: int, args: argparse.Namespace, out: Path) -> Any:
    """The trained model; `encoder` and `generator` are its parts."""
    minigen.manual_seed(seed)
    d = Heads(MLPTrunk((math.prod(SHAPE) + LATENT,), HIDDEN), 1)
    model = BiGAN(generator(), encoder(), PairDiscriminator(d))
    return learn(model, loader(seed), args, out / f"bigan-{seed}", lr=RATES, average="both")


def aegan(seed: int, args: argparse.Namespace, out: Path) -> Any:
    """A plain GAN, and then an encoder for it."""
    minigen.manual_seed(seed)
    gan = GAN(generator(), Heads(MLPTrunk(SHAPE, HIDDEN), 1))
    learn(gan, loader(seed), args, out / f"gan-{seed}", lr=RATES)
    model = Inversion(gan, encoder(), "samples")
    learn(model, loader(seed), args, out / f"aegan-{seed}", lr=1e-3, average="encoder")
    model.generator = gan.generator
    return model
