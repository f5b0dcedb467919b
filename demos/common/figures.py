"""What the demos draw beyond the grids and curves of `minigen.plot`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minigen import Tensor, data, plot
from minigen.backend import to_numpy
from minigen.evaluate import latent
from minigen.files import atomic_write
from minigen.models import GAN
from minigen.models.autoregressive import Autoregressive
from minigen.random import separate_random


def row_titles(classes: Sequence[str], labels: np.ndarray) -> list[str]:
    """The classes that each row of images shows, from their labels (rows, columns)."""
    return [", ".join(classes[label] for label in np.unique(row)) for row in labels]


def save_small(figure: Any, path: Path, colours: int = 128) -> None:
    """Write a Matplotlib figure as a PNG of few colours, which needs a third of the bytes."""
    from PIL import Image

    figure.savefig(file := BytesIO(), dpi=100, format="png")
    with atomic_write(path) as temporary:
        Image.open(file).convert("RGB").quantize(colours).save(temporary, format="png")


def new_figure(width: float, height: float) -> Any:
    """An empty Matplotlib figure of that size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def save_walk(draw: Callable[[Any], np.ndarray], stops: Any, path: Path) -> None:
    """A round trip in a latent space as an animation: `draw` makes images of points, `stops` are (P, latent_dim)."""
    stops = to_numpy(stops)
    round_trip = latent.walk(np.concatenate([stops, stops[:1]]), steps=12)
    plot.save_animation([plot.mosaic(image[None], scale=6) for image in draw(round_trip)], path)


# -- variational autoencoders ------------------------------------------------------------------------------------------


def save_manifold(images: np.ndarray, values: Sequence[float], path: Path) -> None:
    """Images of codes (z1, z2) on a square grid, z1 growing to the right and z2 upwards; `values` are those of both."""
    side = len(values)
    figure = new_figure(7, 7)
    axes = figure.subplots()
    axes.imshow(plot.mosaic(images, side, gap=0, scale=1), extent=(0, side, 0, side))
    places = range(1, side, 3)
    ticks = {"ticks": [i + 0.5 for i in places], "labels": [f"{values[i]:.2f}" for i in places]}
    axes.set_xticks(**ticks)
    axes.set_yticks(**ticks)
    axes.set_xlabel("$z_1$", fontsize=13)
    axes.set_ylabel("$z_2$", fontsize=13)
    save_small(figure, path, colours=32)


# -- autoregressive models ---------------------------------------------------------------------------------------------


class PixelFigures:
    """Samples and completions by an autoregressive model, into the folder `out`; `classes` are the names of classes."""

    def __init__(self, model: Autoregressive, classes: Sequence[str], temperature: float, out: Path) -> None:
        self.model, self.classes, self.temperature, self.out = model, classes, temperature, out

    def save_samples(self) -> None:
        """100 samples in rows of ten; of a model with classes, one class after the other."""
        labels = self._labels(100)
        rows = [] if labels is None else row_titles(self.classes, labels.reshape(10, 10))
        plot.save_grid(self._shown(self._sample(100)), self.out / "samples.png", columns=10, rows=rows)

    def save_appearance(self) -> None:
        """36 samples as an animation in which they appear row by row."""
        frames: list[np.ndarray] = []
        self._sample(36, watch=lambda row, x: frames.append(plot.mosaic(self._shown(x))))
        plot.save_animation(frames, self.out / "samples.gif")

    def save_completions(self, test: data.Loader) -> None:
        """Test images with the lower half covered; below each, four completions and the whole image."""
        model = self.model
        originals, labels = (x[:24] for x in next(test.epoch(0)))
        height, width = model.image_shape[1:]
        mask = np.zeros((height, width), dtype=bool)
        mask[: height // 2] = True
        given = {"image": originals, "mask": mask, "labels": labels if model.classes else None}
        completions = [self._shown(model.sample(**given, **self._options()).data) for _ in range(4)]
        whole = self._shown(originals)
        images = {"covered": np.where(mask, whole, 0.5)}
        images |= {f"completion {i}": x for i, x in enumerate(completions, start=1)} | {"original": whole}
        path = self.out / "completions.png"
        plot.save_grid(np.concatenate([*images.values()]), path, columns=len(originals), rows=[*images])

    def _labels(self, n: int) -> np.ndarray | None:
        """Of n samples of a model with classes, one class after the other; otherwise None."""
        classes = self.model.classes
        return np.arange(n) * classes // n if classes else None

    def _sample(self, n: int, **options: Any) -> Any:
        return self.model.sample(n, self._labels(n), **self._options(), **options).data

    def _options(self) -> dict[str, Any]:
        return {"temperature": self.temperature, "progress": True}

    def _shown(self, x: Any) -> np.ndarray:
        return to_numpy(x) / (self.model.levels - 1)


def save_receptive_fields(fields: dict[str, np.ndarray], row: int, column: int, path: Path) -> None:
    """The influence of each pixel on one, (H, W) for each model, relative to its largest, on a logarithmic scale."""
    from matplotlib.colors import LinearSegmentedColormap, LogNorm
    from matplotlib.patches import Patch, Rectangle

    colours = {
        "the pixel": "#111111",
        "before it, and seen": "#5b9bd5",
        "before it, but never seen: a blind spot": "#f4792b",
        "after it: must not be seen": "#eeeeee",
    }
    of_pixel, of_seen, of_blind, of_after = colours.values()
    blues = LinearSegmentedColormap.from_list("influence", ["#cfe3f5", of_seen, "#08306b"])
    figure = new_figure(12, 3.9)
    panels = figure.subplots(1, len(fields))
    for axes, (name, field) in zip(panels, fields.items(), strict=True):
        before, seen = before_pixel(field.shape, row, column), field > 0
        grid: Any = {"edgecolor": "white", "linewidth": 8 / len(field)}
        axes.set_facecolor(of_after)
        strength = np.ma.masked_array(field / max(field.max(), 1e-300), ~seen)
        shades = axes.pcolormesh(strength, cmap=blues, norm=LogNorm(1e-6, 1, clip=True), **grid)
        for i, j in np.argwhere(before & ~seen):
            axes.add_patch(Rectangle((j, i), 1, 1, facecolor=of_blind, **grid))
        axes.add_patch(Rectangle((column, row), 1, 1, color=of_pixel))
        axes.set(xlim=(0, field.shape[1]), ylim=(field.shape[0], 0), xticks=[], yticks=[], aspect="equal")
        axes.set_title(name, fontsize=13, fontweight="bold")
        axes.set_xlabel(f"sees {(before & seen).sum()} of {before.sum()} pixels before it", fontsize=12)
    bar = figure.colorbar(shades, ax=panels, shrink=0.72, pad=0.01, aspect=16, extend="min")
    bar.set_label("influence, relative to the largest", fontsize=11)
    bar.outline.set_visible(False)
    handles = [Patch(facecolor=colour, edgecolor="#bbbbbb", label=text) for text, colour in colours.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=12)
    save_small(figure, path)


def before_pixel(shape: tuple[int, ...], row: int, column: int) -> np.ndarray:
    """Where an image (H, W) comes before a pixel, in raster order."""
    order = np.arange(shape[0] * shape[1]).reshape(shape)
    return order < order[row, column]


# -- generative adversarial networks -----------------------------------------------------------------------------------


def shown(x: Any) -> np.ndarray:
    """Pixels from [-1, 1] to [0, 1]."""
    return (to_numpy(x) + 1) / 2


class History:
    """What a GAN makes of the same z after every epoch: a picture each, and in the end all of them as an animation.

    Ten samples in a row; of a model with classes, whose names are `classes`, a row for each class.
    """

    def __init__(self, gan: GAN, classes: Sequence[str], out: Path, seed: int) -> None:
        self.gan, self.out = gan, out
        rows = 10 if gan.classes is None else gan.classes
        self.labels = None if gan.classes is None else np.arange(rows).repeat(10)
        self.titles = [] if gan.classes is None else list(classes)
        with separate_random(seed):
            self.z = gan.noise(10 * rows)

    def save_samples(self, name: str = "samples.png") -> None:
        """What the model makes of z now."""
        samples = shown(self.gan.sample(labels=self.labels, z=self.z).data)
        plot.save_grid(samples, self.out / name, columns=10, rows=self.titles)

    def save_epoch(self, epoch: int) -> None:
        """The samples after so many epochs."""
        self.save_samples(f"epochs/{epoch:04d}.png")

    def save_walk(self) -> None:
        """A round trip along some of the z; of a model with classes, with images of the first."""

        def draw(z: np.ndarray) -> np.ndarray:
            labels = None if self.gan.classes is None else np.zeros(len(z), np.int64)
            return shown(self.gan.sample(labels=labels, z=Tensor(self.gan.device.asarray(z))).data)

        save_walk(draw, self.z.data[:6], self.out / "walk.gif")

    def save_animation(self) -> None:
        """All epochs as `samples.gif`, each with its number."""
        from PIL import Image

        paths = sorted((self.out / "epochs").glob("*.png"))
        frames = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
        frames = [plot.titled(x, caption=f"epoch {int(path.stem)}") for x, path in zip(frames, paths, strict=True)]
        plot.save_animation(frames, self.out / "samples.gif", milliseconds=200)


class Samples(NamedTuple):
    """Samples of a model of points in the plane, and the modes that they cover: a panel of `save_modes`."""

    name: str
    seed: int
    points: np.ndarray  # (n, 2)
    near: float  # share of the points that are near a mode
    covered: int  # modes


def save_modes(mixture: data.toy.GaussianMixture, runs: Sequence[Samples], columns: int, path: Path) -> None:
    """The samples of every run, `columns` in a row, and a circle around each mode of the mixture."""
    figure = new_figure(2.3 * columns, 2.5 * (len(runs) // columns))
    draw_modes(figure, mixture, runs, columns)
    plot.save_figure(figure, path)


def draw_modes(figure: Any, mixture: data.toy.GaussianMixture, runs: Sequence[Samples], columns: int) -> None:
    """The panels of `save_modes`, in a Matplotlib figure or a part of one."""
    rows = len(runs) // columns
    limit = 1.3 * abs(mixture.means).max()
    for axes, run in zip(figure.subplots(rows, columns, squeeze=False).flat, runs, strict=True):
        axes.plot(*run.points[:1000].T, ".", markersize=1.5, color="C0", alpha=0.5)
        axes.plot(*mixture.means.T, "o", markersize=9, markerfacecolor="none", color="C1", linewidth=0.7)
        axes.set_title(f"{run.name}, seed {run.seed}\n{run.covered} modes, {run.near:.0%} near", fontsize=9)
        axes.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=[], yticks=[], aspect="equal")


def save_analogies(rows: Sequence[Sequence[tuple[str, Any]]], draw: Callable[[Any], np.ndarray], path: Path) -> None:
    """Analogies as in the lecture: for each, three columns of images and a square, each with a title.

    A row holds four pairs (title, points z); `draw` makes images of the points.
    """
    lines = math.ceil(len(rows) / 2)
    figure = new_figure(11, 2.5 * lines)
    panels = figure.subplots(lines, 8, squeeze=False, width_ratios=2 * [1, 1, 1, 3]).reshape(-1, 4)
    for axes in panels.flat:
        axes.axis("off")
    for row_of_axes, row in zip(panels, rows, strict=False):
        for axes, columns, (title, z) in zip(row_of_axes, (1, 1, 1, 3), row, strict=True):
            axes.imshow(plot.mosaic(draw(z), columns=columns))
            axes.set_title(title, fontsize=9)
    save_small(figure, path)
