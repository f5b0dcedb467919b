"""Arithmetic in a latent space, measured: red 3 - red 7 + blue 7 = blue 3 (Radford et al. 2016, section 6.3.2).

A classifier finds points z that draw, say, red 3s, red 7s and blue 7s; the mean of the first minus that of the second
plus that of the third should draw a blue 3. The classifier reads what it draws, over many such analogies.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

import minigen
from common import figures
from common.figures import shown
from common.judge import trained_classifier
from minigen import data, evaluate, nn
from minigen.backend import Array, to_numpy
from minigen.evaluate import latent

Pair = tuple[int, int]  # the two labels of an image, such as digit and colour


def with_brightness(dataset: data.Dataset) -> data.Dataset:
    """A data set with two labels: its own or, if it has one, in which third of its class an image is by brightness."""
    if dataset.colours is not None:
        return dataset
    mean, third = dataset.images.mean(axis=(1, 2, 3)), np.zeros_like(dataset.labels)
    for own in (dataset.labels == label for label in np.unique(dataset.labels)):
        third[own] = np.searchsorted(np.quantile(mean[own], (1 / 3, 2 / 3)), mean[own])
    return replace(dataset, colours=third, colour_names=("thin", "medium", "bold"))


def joint(dataset: data.Dataset) -> data.Dataset:
    """The same images with one class for every pair of labels."""
    assert dataset.colours is not None
    classes = tuple(f"{second} {first}" for first, second in product(dataset.classes, dataset.colour_names))
    labels = dataset.labels * len(dataset.colour_names) + dataset.colours
    return replace(dataset, labels=labels, classes=classes, colours=None, colour_names=())


def calculate(
    draw: Callable[[Array], Array],
    noise: Callable[[int], Array],
    images: data.Dataset,
    test_images: data.Dataset,
    out: Path,
    **options: Any,
) -> None:
    """Train the classifier of both labels on the images, or read it, and `measure_analogies`."""
    images, test_images = with_brightness(images), with_brightness(test_images)
    classifier = trained_classifier(joint(images), joint(test_images), out / "classifier.safetensors")
    measure_analogies(draw, noise, classifier, images, out, **options)


def measure_analogies(
    draw: Callable[[Array], Array],
    noise: Callable[[int], Array],
    classifier: nn.Module,
    images: data.Dataset,
    out: Path,
    *,
    seed: int = 0,
    at_most: int = 500,
    exemplars: int = 30,
) -> None:
    """Of many analogies (f, s) - (g, s) + (g, t), such as red 3 - red 7 + blue 7, how many draw (f, t), a blue 3.

    `draw` makes images (N, C, H, W) with pixels in [-1, 1] of points z (N, latent_dim), and `noise(n)` draws n points.
    """
    firsts, seconds = len(images.classes), len(images.colour_names)

    def read(z: np.ndarray) -> np.ndarray:
        """The classifier's probabilities of what z (N, latent_dim) draw, (N, firsts, seconds)."""
        _, p = evaluate.features_and_probabilities(classifier, draw(z))
        return p.reshape(-1, firsts, seconds)

    pool = np.concatenate([to_numpy(noise(1000)) for _ in range(20)])
    of_pair = sort_by_label(pool, np.concatenate([read(z) for z in np.split(pool, 20)]))
    analogies = choose_analogies(of_pair, exemplars)
    if not analogies:
        print(f"\nNo analogies: of {len(pool)} samples the classifier finds {exemplars} of too few pairs of labels")
        return
    random = np.random.default_rng(seed)
    analogies = [analogies[i] for i in random.permutation(len(analogies))[:at_most]]
    points = [[random.choice(of_pair[pair], exemplars, replace=False) for pair in each] for each in analogies]
    length = float(np.sqrt((pool * pool).sum(axis=1).mean()))
    z = np.stack([of_length(latent.arithmetic(*three), length) for three in points])

    p = read(z)
    first, second = np.array([(f, t) for (f, _), _, (_, t) in analogies]).T  # the labels that each result should have
    right = {
        "first label": (p.sum(axis=2).argmax(axis=1) == first, firsts),
        "second label": (p.sum(axis=1).argmax(axis=1) == second, seconds),
        "both": (p.reshape(len(p), -1).argmax(axis=1) == first * seconds + second, firsts * seconds),
    }
    print(f"\n{len(analogies)} analogies, {exemplars} points in each mean; read by the classifier")
    print("                            right     chance")
    for what, (hits, kinds) in right.items():
        print(f"  {what:20} {hits.mean():12.1%} {1 / kinds:10.1%}")
    draw_analogies(draw, images, analogies[:6], points[:6], z[:6], out / "analogies.png")


def sort_by_label(pool: np.ndarray, p: np.ndarray) -> dict[Pair, np.ndarray]:
    """The points of the pool (N, latent_dim) of whose pair of labels the classifier is sure, by that pair."""
    n, _, seconds = p.shape
    sure, drawn = p.max(axis=(1, 2)) > 0.9, p.reshape(n, -1).argmax(axis=1)
    return {divmod(k, seconds): pool[sure & (drawn == k)] for k in range(p[0].size)}


def choose_analogies(exemplars: dict[Pair, np.ndarray], at_least: int) -> list[tuple[Pair, Pair, Pair]]:
    """All ((f, s), (g, s), (g, t)) with f != g and s != t of which there are enough exemplars each."""
    enough = [pair for pair, z in exemplars.items() if len(z) >= at_least]
    return [((f, s), (g, s), (g, t)) for f, s in enough for g, t in enough if f != g and s != t and (g, s) in enough]


def of_length(z: np.ndarray, length: float) -> np.ndarray:
    """z scaled to the length that nearly all points have for which the generator was trained."""
    return z * (length / np.sqrt(z @ z))


def draw_analogies(
    draw: Callable[[Array], Array], images: data.Dataset, analogies: Any, points: Any, z: np.ndarray, path: Path
) -> None:
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
    figures.save_analogies(rows, lambda z: shown(draw(z)), path)
