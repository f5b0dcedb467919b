"""A deep convolutional GAN learns to draw images (Radford et al. 2016; the lecture, "DCGAN").

Trains on the 8,000 digits that come with minigen and, in the folder --out, draws what the same z become after every
epoch (also as an animation) and the curves. At the end a classifier, trained on the same images, judges the samples:
which classes there are, how sure it is, and the Fréchet distance to test images; and beside samples lie the training
images nearest to them. With --classes the classes can be asked for (conditional GAN, Mirza and Osindero 2014).
"""

from __future__ import annotations

import minigen
from minigen import command_line
from minigen.command_line import adversarial


def main() -> None:
    parser = command_line.argument_parser(__doc__, out="runs/dcgan", epochs=26, batch_size=32)
    group = adversarial.add_arguments(parser, objective="non-saturating")
    group.add_argument(
        "--features",
        type=command_line.positive,
        default=32,
        help="channels of the widest maps, doubled where they shrink",
    )
    args = parser.parse_args()
    with command_line.errors_without_traceback(), minigen.device(args.device):
        adversarial.run_dcgan("DCGAN", args)


if __name__ == "__main__":
    main()
