"""Walks in a GAN's latent space, and arithmetic in it: red 3 - red 7 + blue 7 = blue 3 (Radford et al. 2016).

Trains an unconditional DCGAN on coloured digits and draws, in the folder --out, walks between points z, what lies
between four corners, and the points whose images come nearest to given ones. Then the arithmetic, measured: a
classifier finds z that draw, say, red 3s, red 7s and blue 7s; the mean of the first minus that of the second plus that
of the third should draw a blue 3. The classifier reads what it draws, over many such analogies. Where images have one
label, the other is their brightness: thin 3 - thin 7 + bold 7.

With a folder of faces and a file of attributes in CelebA's format it is the lecture's "glasses man - man + woman":

    python demos/latent.py --dataset img_align_celeba --attributes list_attr_celeba.txt --image-size 64
"""

from __future__ import annotations

import argparse
from pathlib import Path

import minigen
from common import figures, flags, games, tables
from common.figures import shown
from minigen import data, optim, plot, train
from minigen.evaluate import latent
from minigen.models import DCGAN
from minigen.random import separate_random


def run(args: argparse.Namespace) -> None:
    minigen.manual_seed(args.seed)
    images, test_images = (load(args, split) for split in ("train", "test"))

    gan = flags.new_or_loaded(args, images, DCGAN, lambda: DCGAN(images.image_shape, args.latent_dim, args.features))
    if gan.classes is not None:
        raise ValueError(f"{args.weights}: expects a DCGAN without classes, got one of {gan.classes}")
    history = figures.History(gan, images.classes, args.out, args.seed)
    if args.weights is None:
        loader = data.Loader(images, args.batch_size, pixels="signed", seed=args.seed, drop_last=True)
        optimizers = {
            "discriminator": optim.Adam(gan.discriminator.parameters(), args.lr, betas=(0.5, 0.999)),
            "generator": optim.Adam(gan.generator.parameters(), 2 * args.lr, betas=(0.5, 0.999)),
        }
        average = optim.WeightEMA(gan.generator, args.average) if args.average else None
        schedule = optim.linear_decay(args.epochs * len(loader))
        game = train.Game(gan, optimizers, average=average, schedule=schedule)
        games.play("DCGAN", game, loader, history, args)
    with flags.own_folder(args.out), separate_random(args.seed):
        history.save_samples()
        draw_paths(gan, args.out)
        games.draw_projections(gan, test_images, args.out)
        games.measure_analogies(
            gan, images, test_images, args.out, seed=args.seed, at_most=args.analogies, exemplars=args.exemplars
        )
    tables.print_place(args)


def load(args: argparse.Namespace, split: str) -> data.Dataset:
    """A data set, with two labels where --attributes names them."""
    if args.attributes is not None:
        return data.load_attributes(args.dataset, args.attributes, args.attribute_names, split, size=args.image_size)
    return data.load(args.dataset, split, data_dir=args.data_dir, size=args.image_size)


def draw_paths(gan: DCGAN, out: Path) -> None:
    """Straight walks between pairs of points, what lies between four corners, and a round trip as an animation."""
    starts, ends, corners, stops = (gan.noise(n).data for n in (8, 8, 4, 6))
    rows = latent.slerp(starts, ends, 12).swapaxes(0, 1)  # (8, 12, latent_dim)
    plot.save_grid(shown(games.images_of(gan, rows.reshape(-1, gan.latent_dim))), out / "walk.png", columns=12)
    square = latent.grid(*corners, 10, 10)
    plot.save_grid(shown(games.images_of(gan, square.reshape(-1, gan.latent_dim))), out / "grid.png", columns=10)
    figures.save_walk(lambda z: shown(games.images_of(gan, z)), stops, out / "walk.gif")


def parser() -> flags.Parser:
    quick = {"epochs": 8, "features": 16, "exemplars": 10}
    result = flags.training_parser(__doc__, out="runs/latent", epochs=30, batch_size=64, quick=quick)
    result.set_defaults(dataset="coloured_digits")
    group = result.add_argument_group("the GAN")
    group.add_argument(
        "--lr", type=flags.above_zero, default=5e-4, help="the discriminator's learning rate; the generator's: twice"
    )
    flags.add_average(group)
    group.add_argument("--latent-dim", type=flags.positive, default=64, help="length of z")
    group.add_argument("--features", type=flags.positive, default=32, help="channels of the widest maps")
    group = result.add_argument_group("the analogies")
    group.add_argument("--attributes", type=Path, help="file of the attributes of the images in the folder --dataset")
    group.add_argument(
        "--attribute-names", nargs=2, default=["Eyeglasses", "Male"], help="the two attributes to calculate with"
    )
    group.add_argument("--analogies", type=flags.positive, default=500, help="how many to measure")
    group.add_argument("--exemplars", type=flags.positive, default=30, help="points z in each mean")
    return result


if __name__ == "__main__":
    flags.run(run, parser())
