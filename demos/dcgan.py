"""A deep convolutional GAN learns to draw images (Radford et al. 2016; the lecture, "DCGAN").

Trains on the 8,000 digits that come with minigen and, in the folder --out, draws what the same z become after every
epoch (also as an animation) and the curves. At the end a classifier, trained on the same images, judges the samples:
which classes there are, how sure it is, and the Fréchet distance to test images; and beside samples lie the training
images nearest to them. With --classes the classes can be asked for (conditional GAN, Mirza and Osindero 2014).

With --objective wasserstein-gp (Gulrajani et al. 2017) or wasserstein (Arjovsky et al. 2017) a critic takes the place
of the discriminator. Its score of the data minus its score of the samples estimates how far the two are apart, in the
sense of the Wasserstein distance. So the loss means something: the estimate falls as the samples get better.

By default 30 epochs with 32 features and batches of 16 into runs/dcgan; another objective goes into
runs/dcgan-OBJECTIVE, and a critic, which makes five steps to one of the generator's, learns for 40 epochs with 16
features and batches of 32. The discriminator has half the generator's features: a larger one soon knows the 8,000
digits by heart. A part of z is one of ten vectors: a generator is continuous, and with a normal z more of the samples
lie between the digits (--noise normal).

With --weights a trained model draws in seconds, walks through its latent space, and calculates in it as `latent.py`
does (thin 3 - thin 7 + bold 7 = bold 3); with --image 5, or a file, it searches the image nearest to that one.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import minigen
from common import figures, flags, games, tables
from common.judge import judge
from minigen import data, optim, train
from minigen.models import DCGAN
from minigen.models.objectives import OBJECTIVES
from minigen.models.tricks import PARTS


def run(args: argparse.Namespace) -> None:
    fill_in_defaults(args)
    minigen.manual_seed(args.seed)
    images, test_images = flags.datasets(args)
    k = OBJECTIVES[args.objective].k if args.k is None else args.k
    training = args.weights is None
    loader = data.Loader(images, args.batch_size * k, pixels="signed", seed=args.seed, drop_last=training)
    rounds = args.epochs * len(loader)

    gan = flags.new_or_loaded(args, images, DCGAN, lambda: new_gan(args, images, k, rounds))
    history = figures.History(gan, images.classes, args.out, args.seed)
    if training:
        average = optim.WeightEMA(gan.generator, args.average) if args.average else None
        optimizers = papers_optimizers(gan, args.lr, args.generator_lr)
        game = train.Game(gan, optimizers, average=average, schedule=optim.linear_decay(rounds))
        games.play("DCGAN", game, loader, history, args)
    with flags.own_folder(args.out):
        history.save_samples()
        history.save_walk()
        if args.image is not None:
            games.draw_projections(gan, test_images, args.out)
        else:
            judge(games.pixels_of_samples(gan), images, test_images, args.out, args.beside)
            if not training and gan.classes is None:
                games.measure_analogies(gan, images, test_images, args.out)
    tables.print_place(args)


def new_gan(args: argparse.Namespace, images: data.Dataset, k: int, rounds: int) -> DCGAN:
    """A GAN of two convolutional networks."""
    return DCGAN(
        images.image_shape,
        args.latent_dim,
        args.features,
        args.objective,
        k,
        discriminator_features=args.discriminator_features,
        penalty=args.penalty,
        classes=len(images.classes) if args.classes else None,
        tricks=flags.tricks(args, rounds),
    )


def papers_optimizers(gan: DCGAN, lr: float | None, generator_lr: float | None) -> dict[str, optim.Optimizer]:
    """RMSprop for a critic whose weights are clipped, otherwise Adam.

    A generator stays behind its discriminator, so its rate is twice as large; a critic is to be ahead.
    """
    clipped, critic = gan.objective.clip is not None, gan.objective.critic
    if lr is None:
        lr = 5e-5 if clipped else 5e-4
    if generator_lr is None:
        generator_lr = lr if critic else 2 * lr
    adam = partial(optim.Adam, betas=(0.5, 0.9) if critic else (0.5, 0.999))
    optimizer = optim.RMSprop if clipped else adam
    return {
        "discriminator": optimizer(gan.discriminator.parameters(), lr),
        "generator": optimizer(gan.generator.parameters(), generator_lr),
    }


def fill_in_defaults(args: argparse.Namespace) -> None:
    """The defaults that depend on the objective."""
    critic = OBJECTIVES[args.objective].critic
    if args.epochs is None:
        args.epochs = 40 if critic else 30
    if args.batch_size is None:
        args.batch_size = 32 if critic else 16
    if args.features is None:
        args.features = 16 if critic else 32
    if args.noise is None:
        args.noise = "normal" if critic or args.classes or args.latent_dim <= PARTS else "mixture"
    if args.discriminator_features is None:
        args.discriminator_features = args.features if critic else (args.features + 1) // 2
    if args.out is None:
        suffix = "" if args.objective == "non-saturating" else f"-{args.objective}"
        args.out = Path(f"runs/dcgan{suffix}")


def parser() -> flags.Parser:
    quick = {"epochs": 6, "features": 16}
    result = flags.training_parser(__doc__, out=None, epochs=None, batch_size=None, quick=quick)
    group = result.add_argument_group("the game")
    group.add_argument("--objective", choices=OBJECTIVES, default="non-saturating", help="what the players minimise")
    group.add_argument("--k", type=flags.positive, help="discriminator steps for each of the generator's")
    group.add_argument(
        "--penalty", type=flags.above_zero, help="weight of the gradient penalty (default: the objective's own)"
    )
    group.add_argument(
        "--lr", type=flags.above_zero, help="the discriminator's learning rate (default: 5e-4; 5e-5 for RMSprop)"
    )
    group.add_argument(
        "--generator-lr", type=flags.above_zero, help="the generator's (default: twice as much; with a critic equal)"
    )
    flags.add_average(group)
    default = "a mixture of 10 normals; with a critic, --classes or a z of up to 10 numbers: normal"
    flags.add_tricks(result, noise=None, help=f"distribution of z (default: {default})")
    group = result.add_argument_group("the networks")
    group.add_argument("--latent-dim", type=flags.positive, default=64, help="length of z")
    group.add_argument(
        "--features",
        type=flags.positive,
        help="channels of the widest maps, doubled where they shrink (default: 32; with a critic 16)",
    )
    group.add_argument(
        "--discriminator-features", type=flags.positive, help="the discriminator's (default: half; of a critic equal)"
    )
    group.add_argument("--classes", action="store_true", help="learn p(image | class); a row for each class")
    flags.add_judge_flags(result)
    flags.add_image(result)
    return result


if __name__ == "__main__":
    flags.run(run, parser())
