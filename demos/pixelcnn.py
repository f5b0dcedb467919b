"""A PixelCNN, plain or gated, learns images and draws new ones, pixel by pixel (van den Oord et al. 2016).

Trains on the 8,000 digits that come with minigen and, in the folder --out, draws samples (also as an animation in which
they appear row by row), completions of half-covered test images and the curves. Prints the exact negative
log-likelihood of the test images in nats per image and in bits per dimension. With --classes it learns what the images
of each class look like, and draws the classes one after the other.
"""

from __future__ import annotations

import argparse

import minigen
from minigen import command_line
from minigen.command_line import autoregressive
from minigen.models import GatedPixelCNN, PixelCNN
from minigen.models.autoregressive import Autoregressive


def main() -> None:
    parser = command_line.argument_parser(__doc__, out="runs/pixelcnn", epochs=3, batch_size=16)
    group = autoregressive.add_arguments(parser)
    group.add_argument("--gated", action="store_true", help="the Gated PixelCNN, which has no blind spot")
    group.add_argument("--classes", action="store_true", help="model p(image | class), with --gated")
    group.add_argument(
        "--hidden", type=command_line.positive, default=16, help="h, for each colour: a block carries 2h features"
    )
    group.add_argument("--blocks", type=command_line.positive, default=7, help="residual blocks, without --gated")
    group.add_argument("--layers", type=command_line.positive, default=8, help="gated layers, with --gated")
    group.add_argument(
        "--head", type=command_line.positive, default=32, help="features before the output, for each colour"
    )
    args = parser.parse_args()
    with command_line.errors_without_traceback(), minigen.device(args.device):
        run(args)


def run(args: argparse.Namespace) -> None:
    if args.classes and not args.gated:
        raise ValueError("--classes needs --gated")
    minigen.manual_seed(args.seed)
    images, test_images = autoregressive.datasets(args)
    colours = images.image_shape[0]
    hidden, head = colours * args.hidden, colours * args.head
    model: Autoregressive
    if args.gated:
        classes = len(images.classes) if args.classes else None
        model = GatedPixelCNN(images.image_shape, args.levels, hidden, args.layers, head=head, classes=classes)
    else:
        model = PixelCNN(images.image_shape, args.levels, hidden, args.blocks, head=head)
    autoregressive.train_and_show(model, type(model).__name__, images, test_images, args)


if __name__ == "__main__":
    main()
