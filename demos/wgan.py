"""A Wasserstein GAN learns to draw images (Arjovsky et al. 2017; with gradient penalty, Gulrajani et al. 2017).

In place of a discriminator there is a critic, whose score of the data minus its score of the samples estimates how far
the two are apart, in the sense of the Wasserstein distance. So the loss means something: in the curves the estimate
falls towards 0 as the samples get better. Weights are kept from growing (--objective wasserstein) or slopes are
held at 1 (wasserstein-gp, the default). Draws what the same z become after every epoch; at the end a classifier,
trained on the same images, judges the samples.
"""

from __future__ import annotations

import minigen
from minigen import command_line
from minigen.command_line import adversarial


def main() -> None:
    parser = command_line.argument_parser(__doc__, out="runs/wgan", epochs=40, batch_size=32)
    group = adversarial.add_arguments(parser, "wasserstein-gp", ["wasserstein", "wasserstein-gp"])
    group.add_argument(
        "--features",
        type=command_line.positive,
        default=16,
        help="channels of the widest maps, doubled where they shrink",
    )
    args = parser.parse_args()
    with command_line.errors_without_traceback(), minigen.device(args.device):
        adversarial.run_dcgan("WGAN", args)


if __name__ == "__main__":
    main()
