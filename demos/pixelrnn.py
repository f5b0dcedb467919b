"""A PixelRNN learns images and draws new ones, pixel by pixel (van den Oord et al. 2016).

Its recurrent layers are Row LSTMs or, with --cell diagonal, Diagonal BiLSTMs, which see more and take longer. Trains on
the 8,000 digits that come with minigen and, in the folder --out, draws samples (also as an animation in which they
appear row by row), completions of half-covered test images and the curves. Prints the exact negative log-likelihood of
the test images in nats per image and in bits per dimension.

With --weights a trained model draws in seconds; --image 5, or a file, gives the nats of that image and completes it.
"""

from __future__ import annotations

import argparse

import minigen
from common import flags, pixels
from minigen import data, optim, train
from minigen.models import PixelRNN


def run(args: argparse.Namespace) -> None:
    minigen.manual_seed(args.seed)
    images, test_images = flags.datasets(args)
    model = flags.new_or_loaded(args, images, PixelRNN, lambda: new_model(args, images))
    loader, test = pixels.loaders(model, images, test_images, args)
    schedule = optim.linear_decay(args.epochs * len(loader))
    step = train.MaximumLikelihood(model, optim.Adam(model.parameters(), args.lr), schedule=schedule)
    pixels.learn(f"PixelRNN ({args.cell})", step, loader, test, args)


def new_model(args: argparse.Namespace, images: data.Dataset) -> PixelRNN:
    """A PixelRNN; its widths grow with the number of colours."""
    shape, colours = images.image_shape, images.image_shape[0]
    levels, hidden, head = args.levels or (2 if colours == 1 else 256), colours * args.hidden, colours * args.head
    return PixelRNN(shape, levels, args.cell, hidden, args.layers, head=head)


def parser() -> flags.Parser:
    quick = {"epochs": 1, "hidden": 8, "layers": 2}
    result = flags.training_parser(__doc__, out="runs/pixelrnn", epochs=2, batch_size=16, quick=quick)
    group = flags.add_pixel_flags(result)
    group.add_argument("--cell", choices=["row", "diagonal"], default="row", help="kind of the recurrent layers")
    group.add_argument("--hidden", type=flags.positive, default=16, help="h: features of the states, for each colour")
    group.add_argument("--layers", type=flags.positive, default=3, help="number of recurrent layers")
    flags.add_image(result)
    return result


if __name__ == "__main__":
    flags.run(run, parser())
