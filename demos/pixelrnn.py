"""A PixelRNN learns images and draws new ones, pixel by pixel (van den Oord et al. 2016).

Its recurrent layers are Row LSTMs or, with --cell diagonal, Diagonal BiLSTMs, which see more and take longer. Trains on
the 8,000 digits that come with minigen and, in the folder --out, draws samples (also as an animation in which they
appear row by row), completions of half-covered test images and the curves. Prints the exact negative log-likelihood of
the test images in nats per image and in bits per dimension.
"""

from __future__ import annotations

import argparse

import minigen
from minigen import command_line
from minigen.command_line import autoregressive
from minigen.models import PixelRNN


def main() -> None:
    parser = command_line.argument_parser(__doc__, out="runs/pixelrnn", epochs=2, batch_size=16)
    group = autoregressive.add_arguments(parser)
    group.add_argument("--cell", choices=["row", "diagonal"], default="row", help="kind of the recurrent layers")
    group.add_argument(
        "--hidden", type=command_line.positive, default=16, help="h: features of the states, for each colour"
    )
    group.add_argument("--layers", type=command_line.positive, default=3, help="number of recurrent layers")
    group.add_argument(
        "--head", type=command_line.positive, default=32, help="features before the output, for each colour"
    )
    args = parser.parse_args()
    with command_line.errors_without_traceback(), minigen.device(args.device):
        run(args)


def run(args: argparse.Namespace) -> None:
    minigen.manual_seed(args.seed)
    images, test_images = autoregressive.datasets(args)
    colours = images.image_shape[0]
    model = PixelRNN(
        images.image_shape, args.levels, args.cell, colours * args.hidden, args.layers, head=colours * args.head
    )
    autoregressive.train_and_show(model, f"PixelRNN ({args.cell})", images, test_images, args)


if __name__ == "__main__":
    main()
