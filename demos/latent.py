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
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import minigen
from minigen import command_line, data, evaluate, plot
from minigen.backend import separate_random, to_numpy
from minigen.command_line import adversarial
from minigen.command_line.judge import trained_classifier
from minigen.evaluate import latent
from minigen.models import DCGAN


def main() -> None:
    parser = command_line.argument_parser(__doc__, out="runs/latent", epochs=30, batch_size=64)
    parser.set_defaults(dataset="coloured_digits")
    group = adversarial.add_arguments(parser, objective="non-saturating", judged=False)
    group.add_argument(
        "--features", type=command_line.positive, default=32, help="channels of the widest maps, doubled as they shrink"
    )
    group = parser.add_argument_group("the analogies")
    group.add_argument("--attributes", type=Path, help="file of the attributes of the images in the folder --dataset")
    group.add_argument(
        "--attribute-names", nargs=2, default=["Eyeglasses", "Male"], help="the two attributes to calculate with"
    )
    group.add_argument("--analogies", type=command_line.positive, default=500, help="how many to measure")
    group.add_argument("--exemplars", type=command_line.positive, default=30, help="points z in each mean")
    args = parser.parse_args()
    with command_line.errors_without_traceback(), minigen.device(args.device):
        run(args)


def run(args: argparse.Namespace) -> None:
    minigen.manual_seed(args.seed)
    images, test_images = (load(args, split) for split in ("train", "test"))
    gan = DCGAN(images.image_shape, args.latent_dim, args.features, **adversarial.options(args))
    adversarial.train_and_draw(gan, "DCGAN", images, args)
    minigen.load(args.out / "weights.safetensors", into=gan)  # with the averaged weights
    with separate_random(args.seed):
        draw_paths(gan, args.out)
        draw_projections(gan, test_images, args.out)
        measure_analogies(gan, images, test_images, args)
    print(f"Figures, log and weights are in {args.out}/")


def load(args: argparse.Namespace, split: str) -> data.Dataset:
    """A data set with two labels."""
    if args.attributes is not None:
        return data.load_attributes(args.dataset, args.attributes, args.attribute_names, split, size=args.image_size)
    dataset = data.load(args.dataset, split, data_dir=args.data_dir, size=args.image_size)
    if dataset.colours is None:
        raise ValueError(f"{args.dataset} has one label; takes coloured_digits, or a folder with --attributes")
    return dataset


# -- walks, corners, projections ---------------------------------------------------------------------------------------


def draw_paths(gan: DCGAN, out: Path) -> None:
    drawn = lambda z: adversarial.shown(gan.sample(z=minigen.Tensor(z)).data)
    starts, ends, corners, stops = (gan.noise(n).data for n in (8, 8, 4, 6))
    rows = latent.slerp(starts, ends, 12).swapaxes(0, 1)  # (8, 12, latent_dim)
    plot.save_grid(drawn(rows.reshape(-1, gan.latent_dim)), out / "walk.png", columns=12)
    square = latent.grid(corners[0], corners[1], corners[2], corners[3], rows=10, columns=10)
    plot.save_grid(drawn(square.reshape(-1, gan.latent_dim)), out / "grid.png", columns=10)
    round_trip = latent.walk(np.concatenate([to_numpy(stops), to_numpy(stops[:1])]), steps=12)
    frames = [plot.mosaic(image[None], scale=6) for image in drawn(gan.device.asarray(round_trip))]
    plot.save_animation(frames, out / "walk.gif")


def draw_projections(gan: DCGAN, test_images: data.Dataset, out: Path) -> None:
    """Test images, and below each the nearest that the generator can draw."""
    loader = data.Loader(test_images[:24], 24, pixels="signed", shuffle=False)
    originals, _ = next(loader.epoch(0))
    with evaluate.evaluating(gan):
        z, errors = latent.project(gan.generator, originals, gan.latent_dim)
    found = gan.sample(z=minigen.Tensor(z)).data
    plot.save_pairs(adversarial.shown(originals), adversarial.shown(found), out / "projections.png")
    error = float(errors.mean())
    print(f"\nProjection of {len(z)} test images: mean squared error of a pixel {error:.4f}, pixels in [-1, 1]")


# -- the arithmetic ----------------------------------------------------------------------------------------------------


def measure_analogies(gan: DCGAN, images: data.Dataset, test_images: data.Dataset, args: argparse.Namespace) -> None:
    """Of many analogies (f, s) - (g, s) + (g, t), such as red 3 - red 7 + blue 7, how many draw (f, t), a blue 3."""
    firsts, seconds = len(images.classes), len(images.colour_names)
    classifier = trained_classifier(joint(images), joint(test_images), args.out / "classifier.safetensors")

    def read(z: Any) -> np.ndarray:
        """The classifier's probabilities of what z (N, latent_dim) draw, (N, firsts, seconds)."""
        _, p = evaluate.features_and_probabilities(classifier, gan.sample(z=minigen.Tensor(z)).data)
        return p.reshape(-1, firsts, seconds)

    pool = np.concatenate([to_numpy(gan.noise(1000).data) for _ in range(20)])
    p = np.concatenate([read(gan.device.asarray(z)) for z in np.split(pool, 20)])
    sure = p.max(axis=(1, 2)) > 0.9
    drawn = p.reshape(len(p), -1).argmax(axis=1)
    exemplars = {divmod(k, seconds): pool[sure & (drawn == k)] for k in range(firsts * seconds)}
    enough = [pair for pair, z in exemplars.items() if len(z) >= args.exemplars]
    analogies = [
        ((f, s), (g, s), (g, t)) for f, s in enough for g, t in enough if f != g and s != t and (g, s) in enough
    ]
    if not analogies:
        raise ValueError(
            f"no analogy: of 20,000 samples the classifier finds {args.exemplars} of only {len(enough)} pairs"
        )
    random = np.random.default_rng(args.seed)
    analogies = [analogies[i] for i in random.permutation(len(analogies))[: args.analogies]]
    chosen = [[random.choice(exemplars[pair], args.exemplars, replace=False) for pair in each] for each in analogies]
    length = float(np.sqrt((pool * pool).sum(axis=1).mean()))
    z = np.stack([on_the_sphere(latent.arithmetic(*points), length) for points in chosen])
    p = read(gan.device.asarray(z))
    wanted = np.array([(f, t) for (f, _), _, (_, t) in analogies])
    first_right = p.sum(axis=2).argmax(axis=1) == wanted[:, 0]
    second_right = p.sum(axis=1).argmax(axis=1) == wanted[:, 1]
    both = p.reshape(len(p), -1).argmax(axis=1) == wanted[:, 0] * seconds + wanted[:, 1]
    print(f"\n{len(analogies)} analogies, {args.exemplars} points in each mean; read by the classifier")
    print("                            right     chance")
    for what, right, kinds in (
        ("first label", first_right, firsts),
        ("second label", second_right, seconds),
        ("both", both, firsts * seconds),
    ):
        print(f"  {what:20} {right.mean():12.1%} {1 / kinds:10.1%}")
    draw_analogies(gan, images, analogies[:6], chosen[:6], z[:6], args.out)


def joint(dataset: data.Dataset) -> data.Dataset:
    """The same images with one class for every pair of labels."""
    assert dataset.colours is not None
    classes = tuple(f"{second} {first}" for first in dataset.classes for second in dataset.colour_names)
    labels = dataset.labels * len(dataset.colour_names) + dataset.colours
    return replace(dataset, labels=labels, classes=classes, colours=None, colour_names=())


def on_the_sphere(z: np.ndarray, length: float) -> np.ndarray:
    """z scaled to the length that nearly all points have for which the generator was trained."""
    return z * (length / np.sqrt(z @ z))


def draw_analogies(gan: DCGAN, images: data.Dataset, analogies: Any, chosen: Any, z: np.ndarray, out: Path) -> None:
    """In the lecture's layout: exemplars of each kind and what their mean draws, and the result among variations."""
    from matplotlib.figure import Figure

    drawn = lambda z: adversarial.shown(gan.sample(z=minigen.Tensor(gan.device.asarray(z))).data)
    rows = math.ceil(len(analogies) / 2)
    figure = Figure(figsize=(9, 2.2 * rows), layout="constrained")
    panels = figure.subplots(rows, 8, squeeze=False, width_ratios=2 * [1, 1, 1, 3]).reshape(-1, 4)
    for axes in panels.flat:
        axes.axis("off")
    name = lambda pair: f"{images.colour_names[pair[1]]} {images.classes[pair[0]]}"
    for row, pairs, points, result in zip(panels, analogies, chosen, z, strict=False):
        for axes, sign, pair, kind in zip(row, ("", "- ", "+ "), pairs, points, strict=False):
            mean = on_the_sphere(kind.mean(axis=0), float(np.sqrt(result @ result)))
            axes.imshow(plot.mosaic(drawn(np.concatenate([kind[:3], [mean]]).astype(z.dtype)), columns=1))
            axes.set_title(sign + name(pair), fontsize=8)
        nearby = result + 0.25 * to_numpy(minigen.backend.normal((9, len(result)), dtype=z.dtype))
        nearby[4] = result  # in the middle
        row[3].imshow(plot.mosaic(drawn(nearby), columns=3))
        row[3].set_title(f"= {name((pairs[0][0], pairs[2][1]))}?", fontsize=8)
    plot.save_figure(figure, out / "analogies.png")


if __name__ == "__main__":
    main()
