"""The first GAN: two fully connected networks learn to draw images (Goodfellow et al. 2014; the lecture).

Trains on the 8,000 digits that come with minigen and, in the folder --out, draws what the same z become after every
epoch (also as an animation) and the curves. At the end a classifier, trained on the same images, judges the samples.
With --classes the classes can be asked for (conditional GAN, Mirza and Osindero 2014).
"""

from __future__ import annotations

import argparse

import numpy as np

import minigen
from common import figures, flags, tables
from common.judge import judge
from minigen import data, optim, plot, train
from minigen.models import GAN, MLPDiscriminator, MLPGenerator
from minigen.models.objectives import OBJECTIVES


def run(args: argparse.Namespace) -> None:
    minigen.manual_seed(args.seed)
    images, test_images = flags.datasets(args)
    loader = data.Loader(images, args.batch_size * args.k, pixels="signed", seed=args.seed, drop_last=True)
    rounds = args.epochs * len(loader)

    shape, classes = images.image_shape, len(images.classes) if args.classes else None
    generator = MLPGenerator(shape, args.latent_dim, args.hidden, classes=classes)
    discriminator = MLPDiscriminator(shape, args.hidden, classes=classes)
    gan = GAN(generator, discriminator, args.objective, args.k, tricks=flags.tricks(args, rounds))

    generator_lr = 2 * args.lr if args.generator_lr is None else args.generator_lr
    optimizers = {
        "discriminator": optim.Adam(discriminator.parameters(), args.lr, betas=(0.5, 0.999)),
        "generator": optim.Adam(generator.parameters(), generator_lr, betas=(0.5, 0.999)),
    }
    average = optim.WeightEMA(generator, args.average) if args.average else None
    game = train.Game(gan, optimizers, average=average, schedule=optim.linear_decay(rounds))

    table, history = tables.GameTable(gan), figures.History(gan, args.out, args.seed)

    def after_epoch() -> dict[str, float]:
        with game.averaged():
            history.save_epoch(game.rounds // len(loader))
        return {}

    table.print_heading("GAN", images, args.dataset)
    train.train(
        game,
        loader,
        epochs=args.epochs,
        out=args.out,
        evaluate=after_epoch,
        draw=lambda epoch: plot.save_curves(args.out / "log.jsonl", args.out / "curves.png", table.panels()),
        report=table.row,
        resume=args.resume,
        settings=flags.settings_of(args),
    )
    history.save_animation()
    with game.averaged():
        minigen.save(gan, args.out / "weights.safetensors")
        samples = gan.sample(1000, np.arange(1000) * classes // 1000 if classes else None)
    judge(figures.shown(samples.data), images, test_images, args.out, args.beside)


def parser() -> argparse.ArgumentParser:
    result = flags.training_parser(__doc__, out="runs/gan", epochs=40, batch_size=64)
    probabilities = [name for name, objective in OBJECTIVES.items() if not objective.critic]
    group = result.add_argument_group("the game")
    group.add_argument("--objective", choices=probabilities, default="non-saturating", help="what the players minimise")
    group.add_argument("--k", type=flags.positive, default=1, help="discriminator steps for each of the generator's")
    group.add_argument("--lr", type=float, default=5e-4, help="the discriminator's learning rate")
    group.add_argument("--generator-lr", type=float, help="the generator's (default: twice as much)")
    group.add_argument("--average", type=float, default=0.995, help="decay of the generator's weight average; 0: none")
    flags.add_tricks(result)
    group = result.add_argument_group("the networks")
    group.add_argument("--latent-dim", type=flags.positive, default=64, help="length of z")
    group.add_argument("--hidden", type=flags.positive, default=256, help="units of the hidden layers")
    group.add_argument("--classes", action="store_true", help="learn p(image | class); a row for each class")
    flags.add_judge_flags(result)
    return result


if __name__ == "__main__":
    flags.run(run, parser())
