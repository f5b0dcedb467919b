"""The first GAN: two fully connected networks learn to draw images (Goodfellow et al. 2014; the lecture).

Trains on the 8,000 digits that come with minigen and, in the folder --out, draws what the same z become after every
epoch (also as an animation) and the curves. At the end a classifier, trained on the same images, judges the samples.
With --classes the classes can be asked for (conditional GAN, Mirza and Osindero 2014).
"""

from __future__ import annotations

import argparse

import minigen
from common import figures, flags, games, tables
from common.judge import judge
from minigen import data, optim, train
from minigen.models import GAN, MLPDiscriminator, MLPGenerator
from minigen.models.objectives import OBJECTIVES


def run(args: argparse.Namespace) -> None:
    minigen.manual_seed(args.seed)
    images, test_images = flags.datasets(args)
    training = args.weights is None
    loader = data.Loader(images, args.batch_size * args.k, pixels="signed", seed=args.seed, drop_last=training)
    rounds = args.epochs * len(loader)

    gan = flags.new_or_loaded(args, images, GAN, lambda: new_gan(args, images, rounds))
    history = figures.History(gan, images.classes, args.out, args.seed)
    if training:
        generator_lr = 2 * args.lr if args.generator_lr is None else args.generator_lr
        optimizers = {
            "discriminator": optim.Adam(gan.discriminator.parameters(), args.lr, betas=(0.5, 0.999)),
            "generator": optim.Adam(gan.generator.parameters(), generator_lr, betas=(0.5, 0.999)),
        }
        average = optim.WeightEMA(gan.generator, args.average) if args.average else None
        game = train.Game(gan, optimizers, average=average, schedule=optim.linear_decay(rounds))
        games.play("GAN", game, loader, history, args)
    with flags.own_folder(args.out):
        history.save_samples()
        history.save_walk()
        judge(games.pixels_of_samples(gan), images, test_images, args.out, args.beside)
    tables.print_place(args)


def new_gan(args: argparse.Namespace, images: data.Dataset, rounds: int) -> GAN:
    """A GAN of two fully connected networks."""
    shape, classes = images.image_shape, len(images.classes) if args.classes else None
    generator = MLPGenerator(shape, args.latent_dim, args.hidden, classes=classes)
    discriminator = MLPDiscriminator(shape, args.hidden, classes=classes)
    return GAN(generator, discriminator, args.objective, args.k, tricks=flags.tricks(args, rounds))


def parser() -> flags.Parser:
    result = flags.training_parser(__doc__, out="runs/gan", epochs=40, batch_size=64, quick={"epochs": 12})
    probabilities = [name for name, objective in OBJECTIVES.items() if not objective.critic]
    group = result.add_argument_group("the game")
    group.add_argument("--objective", choices=probabilities, default="non-saturating", help="what the players minimise")
    group.add_argument("--k", type=flags.positive, default=1, help="discriminator steps for each of the generator's")
    group.add_argument("--lr", type=flags.above_zero, default=5e-4, help="the discriminator's learning rate")
    group.add_argument("--generator-lr", type=flags.above_zero, help="the generator's (default: twice as much)")
    flags.add_average(group)
    flags.add_tricks(result)
    group = result.add_argument_group("the networks")
    group.add_argument("--latent-dim", type=flags.positive, default=64, help="length of z")
    group.add_argument("--hidden", type=flags.positive, default=256, help="units of the hidden layers")
    group.add_argument("--classes", action="store_true", help="learn p(image | class); a row for each class")
    flags.add_judge_flags(result)
    return result


if __name__ == "__main__":
    flags.run(run, parser())
