"""Walks in a GAN's latent space, and arithmetic in it: red 3 - red 7 + blue 7 = blue 3 (Radford et al. 2016).

Trains an unconditional DCGAN on coloured digits and draws, in the folder --out, walks between points z, what lies
between four corners, and the points whose images come nearest to given ones. Then the arithmetic, measured: a
classifier finds z that draw, say, red 3s, red 7s and blue 7s; the mean of the first minus that of the second plus that
of the third should draw a blue 3. The classifier reads what it draws, over many such analogies.

With a folder of faces and a file of attributes in CelebA's format it is the lecture's "glasses man - man + woman":

    python demos/latent.py --dataset img_align_celeba --attributes list_attr_celeba.txt --image-size 64
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

import minigen
from common import figures, flags, games, tables
from common.figures import shown
from common.judge import trained_classifier
from minigen import data, evaluate, nn, optim, plot, train
from minigen.backend import Array, to_numpy
from minigen.evaluate import latent
from minigen.models import DCGAN
from minigen.random import separate_random

Pair = tuple[int, int]  # the two labels of an image, such as digit and colour


def run(args: argparse.Namespace) -> None:
    minigen.manual_seed(args.seed)
    images, test_images = (load(args, split) for split in ("train", "test"))
    loader = data.Loader(images, args.batch_size, pixels="signed", seed=args.seed, drop_last=True)

    gan = flags.new_or_loaded(args, images, DCGAN, lambda: DCGAN(images.image_shape, args.latent_dim, args.features))
    history = figures.History(gan, images.classes, args.out, args.seed)
    if args.weights is None:
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
        classifier = trained_classifier(joint(images), joint(test_images), args.out / "classifier.safetensors")
        measure_analogies(gan, classifier, images, args)
    tables.print_place(args)


def load(args: argparse.Namespace, split: str) -> data.Dataset:
    """A data set with two labels."""
    if args.attributes is not None:
        return data.load_attributes(args.dataset, args.attributes, args.attribute_names, split, size=args.image_size)
    dataset = data.load(args.dataset, split, data_dir=args.data_dir, size=args.image_size)
    if dataset.colours is None:
        raise ValueError(f"{args.dataset} has one label; expects coloured_digits, or a folder with --attributes")
    return dataset


def joint(dataset: data.Dataset) -> data.Dataset:
    """The same images with one class for every pair of labels."""
    assert dataset.colours is not None
    classes = tuple(f"{second} {first}" for first, second in product(dataset.classes, dataset.colour_names))
    labels = dataset.labels * len(dataset.colour_names) + dataset.colours
    return replace(dataset, labels=labels, classes=classes, colours=None, colour_names=())


def generate(gan: DCGAN, z: Array) -> Array:
    """The images (N, C, H, W) that points z (N, latent_dim) draw."""
    return gan.sample(z=minigen.Tensor(gan.device.asarray(z))).data


# -- walks, corners, projections ---------------------------------------------------------------------------------------


def draw_paths(gan: DCGAN, out: Path) -> None:
    """Straight walks between pairs of points, what lies between four corners, and a round trip as an animation."""
    starts, ends, corners, stops = (gan.noise(n).data for n in (8, 8, 4, 6))
    rows = latent.slerp(starts, ends, 12).swapaxes(0, 1)  # (8, 12, latent_dim)
    plot.save_grid(shown(generate(gan, rows.reshape(-1, gan.latent_dim))), out / "walk.png", columns=12)
    square = latent.grid(*corners, 10, 10)
    plot.save_grid(shown(generate(gan, square.reshape(-1, gan.latent_dim))), out / "grid.png", columns=10)
    figures.save_walk(lambda z: shown(generate(gan, z)), stops, out / "walk.gif")


# -- the arithmetic ----------------------------------------------------------------------------------------------------


def measure_analogies(gan: DCGAN, classifier: nn.Module, images: data.Dataset, args: argparse.Namespace) -> None:
    """Of many analogies (f, s) - (g, s) + (g, t), such as red 3 - red 7 + blue 7, how many draw (f, t), a blue 3."""
    firsts, seconds = len(images.classes), len(images.colour_names)

    def read(z: np.ndarray) -> np.ndarray:
        """The classifier's probabilities of what z (N, latent_dim) draw, (N, firsts, seconds)."""
        _, p = evaluate.features_and_probabilities(classifier, generate(gan, z))
        return p.reshape(-1, firsts, seconds)

    pool = np.concatenate([to_numpy(gan.noise(1000).data) for _ in range(20)])
    exemplars = sort_by_label(pool, np.concatenate([read(z) for z in np.split(pool, 20)]))
    analogies = choose_analogies(exemplars, args.exemplars)
    random = np.random.default_rng(args.seed)
    analogies = [analogies[i] for i in random.permutation(len(analogies))[: args.analogies]]
    points = [[random.choice(exemplars[pair], args.exemplars, replace=False) for pair in each] for each in analogies]
    length = float(np.sqrt((pool * pool).sum(axis=1).mean()))
    z = np.stack([of_length(latent.arithmetic(*three), length) for three in points])

    p = read(z)
    first, second = np.array([(f, t) for (f, _), _, (_, t) in analogies]).T  # the labels that each result should have
    right = {
        "first label": (p.sum(axis=2).argmax(axis=1) == first, firsts),
        "second label": (p.sum(axis=1).argmax(axis=1) == second, seconds),
        "both": (p.reshape(len(p), -1).argmax(axis=1) == first * seconds + second, firsts * seconds),
    }
    print(f"\n{len(analogies)} analogies, {args.exemplars} points in each mean; read by the classifier")
    print("                            right     chance")
    for what, (hits, kinds) in right.items():
        print(f"  {what:20} {hits.mean():12.1%} {1 / kinds:10.1%}")
    draw_analogies(gan, images, analogies[:6], points[:6], z[:6], args.out)


def sort_by_label(pool: np.ndarray, p: np.ndarray) -> dict[Pair, np.ndarray]:
    """The points of the pool (N, latent_dim) of whose pair of labels the classifier is sure, by that pair."""
    n, _, seconds = p.shape
    sure, drawn = p.max(axis=(1, 2)) > 0.9, p.reshape(n, -1).argmax(axis=1)
    return {divmod(k, seconds): pool[sure & (drawn == k)] for k in range(p[0].size)}


def choose_analogies(exemplars: dict[Pair, np.ndarray], at_least: int) -> list[tuple[Pair, Pair, Pair]]:
    """All ((f, s), (g, s), (g, t)) with f != g and s != t of which there are enough exemplars each."""
    enough = [pair for pair, z in exemplars.items() if len(z) >= at_least]
    analogies = [
        ((f, s), (g, s), (g, t)) for f, s in enough for g, t in enough if f != g and s != t and (g, s) in enough
    ]
    if not analogies:
        raise ValueError(f"no analogy: of 20,000 samples the classifier finds {at_least} of only {len(enough)} pairs")
    return analogies


def of_length(z: np.ndarray, length: float) -> np.ndarray:
    """z scaled to the length that nearly all points have for which the generator was trained."""
    return z * (length / np.sqrt(z @ z))


def draw_analogies(gan: DCGAN, images: data.Dataset, analogies: Any, points: Any, z: np.ndarray, out: Path) -> None:
    """In the lecture's layout: exemplars of each kind and what their mean draws, and the result among variations."""
    name = lambda pair: f"{images.colour_names[pair[1]]} {images.classes[pair[0]]}"
    rows = []
    for pairs, kinds, result in zip(analogies, points, z, strict=True):
        row = []
        for sign, pair, kind in zip(("", "- ", "+ "), pairs, kinds, strict=True):
            mean = of_length(kind.mean(axis=0), float(np.sqrt(result @ result)))
            row.append((sign + name(pair), np.concatenate([kind[:3], [mean]]).astype(z.dtype)))
        nearby = result + 0.25 * to_numpy(minigen.random.normal((9, len(result)), dtype=z.dtype))
        nearby[4] = result  # in the middle
        rows.append([*row, (f"= {name((pairs[0][0], pairs[2][1]))}?", nearby)])
    figures.save_analogies(rows, lambda z: shown(generate(gan, z)), out / "analogies.png")


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
