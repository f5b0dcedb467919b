"""A PixelCNN, plain or gated, learns images and draws new ones, pixel by pixel (van den Oord et al. 2016).

Trains on the 8,000 digits that come with minigen and, in the folder --out, draws samples (also as an animation in which
they appear row by row), completions of half-covered test images and the curves. Prints the exact negative
log-likelihood of the test images in nats per image and in bits per dimension. With --classes it learns what the images
of each class look like, and draws the classes one after the other.

With --weights a trained model draws in seconds; --image 5, or a file, gives the nats of that image and completes it.
"""

from __future__ import annotations

import argparse

import minigen
from common import flags, pixels
from minigen import data, optim, train
from minigen.models import GatedPixelCNN, PixelCNN
from minigen.models.autoregressive import Autoregressive


def run(args: argparse.Namespace) -> None:
    if args.classes and not args.gated:
        raise ValueError("--classes needs --gated")
    minigen.manual_seed(args.seed)
    images, test_images = flags.datasets(args)
    model = flags.new_or_loaded(args, images, Autoregressive, lambda: new_model(args, images))
    loader, test = pixels.loaders(model, images, test_images, args)
    schedule = optim.linear_decay(args.epochs * len(loader))
    step = train.MaximumLikelihood(model, optim.Adam(model.parameters(), args.lr), schedule=schedule)
    pixels.learn(type(model).__name__, step, loader, test, args)


def new_model(args: argparse.Namespace, images: data.Dataset) -> Autoregressive:
    """A PixelCNN, gated or not; its widths grow with the number of colours."""
    shape, colours = images.image_shape, images.image_shape[0]
    levels, hidden, head = args.levels or (2 if colours == 1 else 256), colours * args.hidden, colours * args.head
    if not args.gated:
        return PixelCNN(shape, levels, hidden, args.blocks, head=head)
    classes = len(images.classes) if args.classes else None
    return GatedPixelCNN(shape, levels, hidden, args.layers, head=head, classes=classes)


def parser() -> flags.Parser:
    quick = {"epochs": 1, "hidden": 8}
    result = flags.training_parser(__doc__, out="runs/pixelcnn", epochs=3, batch_size=16, quick=quick)
    group = flags.add_pixel_flags(result)
    group.add_argument("--gated", action="store_true", help="the Gated PixelCNN, which has no blind spot")
    group.add_argument("--classes", action="store_true", help="model p(image | class), with --gated")
    group.add_argument(
        "--hidden", type=flags.positive, default=16, help="h, for each colour: a block carries 2h features"
    )
    group.add_argument("--blocks", type=flags.positive, default=7, help="residual blocks, without --gated")
    group.add_argument("--layers", type=flags.positive, default=8, help="gated layers, with --gated")
    flags.add_image(result)
    return result


if __name__ == "__main__":
    flags.run(run, parser())
