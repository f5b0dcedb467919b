"""Which pixels each autoregressive model sees: its receptive field, measured, not drawn from theory.

PixelCNN and PixelRNN (van den Oord et al. 2016, arXiv 1601.06759, figure 4) and the Gated PixelCNN (arXiv 1606.05328,
figure 1) predict a pixel from those before it, but not each model sees all of them. Here, models with random weights
get random images, and the gradient of one pixel's logit with respect to every pixel of the image says which ones matter
and how much. What comes after the pixel must have a gradient of exactly zero; what comes before it and has none is a
blind spot. Prints the counts and draws the four receptive fields in --out.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np

import minigen
from minigen import command_line
from minigen.checkpoint import atomic_write
from minigen.models import GatedPixelCNN, PixelCNN, PixelRNN
from minigen.models.autoregressive import Autoregressive

AFTER, BLIND, PIXEL = "#eeeeee", "#f4792b", "#111111"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--size", type=command_line.positive, default=28, help="height and width of the image")
    parser.add_argument("--pixel", type=int, nargs=2, metavar=("ROW", "COLUMN"), help="whose logit; None: the centre")
    parser.add_argument("--kernel-size", type=command_line.positive, default=7, help="of the first layer, odd")
    parser.add_argument("--layers", type=command_line.positive, default=15, help="3x3 layers after it")
    parser.add_argument("--recurrent-layers", type=command_line.positive, default=3, help="LSTM layers after it")
    parser.add_argument("--tries", type=command_line.positive, default=2, help="draws of the weights, which are added")
    parser.add_argument("--seed", type=int, default=0, help="of weights and images")
    parser.add_argument("--out", type=Path, default=Path("runs/receptive_field"), help="folder for the figure")
    with command_line.errors_without_traceback():
        run(parser.parse_args())


def run(args: argparse.Namespace) -> None:
    row, column = args.pixel or (args.size // 2, args.size // 2)
    if not (0 <= row < args.size and 0 <= column < args.size):
        raise ValueError(f"--pixel takes a row and a column from 0 to {args.size - 1}, got {row} {column}")
    first = {"image_shape": (1, args.size, args.size), "kernel_size": args.kernel_size}
    models: dict[str, Callable[[], Autoregressive]] = {
        "PixelCNN": lambda: PixelCNN(**first, blocks=args.layers),
        "Gated PixelCNN": lambda: GatedPixelCNN(**first, layers=args.layers + 1),
        "Row LSTM": lambda: PixelRNN(**first, cell="row", layers=args.recurrent_layers),
        "Diagonal BiLSTM": lambda: PixelRNN(**first, cell="diagonal", layers=args.recurrent_layers),
    }
    k = args.kernel_size
    print(f"What the pixel at row {row}, column {column} of {args.size} x {args.size} sees:")
    print(f"a first layer {k}x{k}, then {args.layers} layers 3x3 (the PixelCNNs) or {args.recurrent_layers} of LSTMs\n")
    print(f"{'':18}{'before it':>10}{'seen':>7}{'blind':>7}{'after it, seen':>16}")
    fields = {}
    for name, make in models.items():
        fields[name] = field = influence(make, row, column, args.tries, args.seed)
        before, seen = before_pixel(field.shape, row, column), field > 0
        counts = before.sum(), (before & seen).sum(), (before & ~seen).sum(), (~before & seen).sum()
        print(f"{name:18}{counts[0]:10}{counts[1]:7}{counts[2]:7}{counts[3]:16}")
        if counts[3]:
            raise RuntimeError(f"{name} sees the pixel itself or later ones: it is no probability")
    path = args.out / "receptive_field.png"
    draw(fields, row, column, path)
    print(f"\nThe figure is {path}")


def influence(make: Callable[[], Autoregressive], row: int, column: int, tries: int, seed: int) -> np.ndarray:
    """The mean of |d logit of the pixel / d input pixel|, (H, W), over random images and `tries` random weights.

    In double precision, where it is zero only if there is no path; a path that a ReLU closes in one image is open in
    another.
    """
    total: np.ndarray | float = 0.0
    for k in range(tries):
        minigen.manual_seed(seed + k)
        with minigen.default_dtype("float64"):
            model = make()
        shape, random = (8, *model.image_shape), np.random.default_rng(seed + k)
        x = minigen.Tensor(random.uniform(-1, 1, shape), requires_grad=True)
        model._scaled = lambda _, x=x: x  # type: ignore[method-assign]  # the numbers that the first layer gets
        logit = model.logits(np.zeros(shape, np.uint8))[:, 0, 0, row, column]  # (8,)
        (gradient,) = minigen.grad(logit, x, minigen.Tensor(np.ones(len(x))))
        total = total + np.abs(gradient.numpy()).mean(axis=(0, 1)) / tries
    return np.asarray(total)


def before_pixel(shape: tuple[int, ...], row: int, column: int) -> np.ndarray:
    """Where an image (H, W) comes before a pixel, in raster order."""
    order = np.arange(shape[0] * shape[1]).reshape(shape)
    return order < order[row, column]


def draw(fields: dict[str, np.ndarray], row: int, column: int, path: Path) -> None:
    """The influences side by side, each relative to its largest, on a logarithmic scale."""
    from matplotlib.colors import LinearSegmentedColormap, LogNorm
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch, Rectangle
    from PIL import Image  # which Matplotlib brings

    figure = Figure(figsize=(12, 3.9), layout="constrained")
    panels = figure.subplots(1, len(fields))
    blues = LinearSegmentedColormap.from_list("influence", ["#cfe3f5", "#5b9bd5", "#08306b"])
    norm = LogNorm(1e-6, 1, clip=True)
    for axes, (name, field) in zip(panels, fields.items(), strict=True):
        before, seen = before_pixel(field.shape, row, column), field > 0
        blind, grid = before & ~seen, {"edgecolor": "white", "linewidth": 8 / len(field)}
        axes.set_facecolor(AFTER)
        strength = np.ma.masked_array(field / max(field.max(), 1e-300), ~seen)
        shades = axes.pcolormesh(strength, cmap=blues, norm=norm, **grid)
        for i, j in np.argwhere(blind):
            axes.add_patch(Rectangle((j, i), 1, 1, facecolor=BLIND, **grid))
        axes.add_patch(Rectangle((column, row), 1, 1, color=PIXEL))
        axes.set(xlim=(0, field.shape[1]), ylim=(field.shape[0], 0), xticks=[], yticks=[], aspect="equal")
        axes.set_title(name, fontsize=13, fontweight="bold")
        axes.set_xlabel(f"sees {(before & seen).sum()} of {before.sum()} pixels before it", fontsize=12)
    bar = figure.colorbar(shades, ax=panels, shrink=0.72, pad=0.01, aspect=16, extend="min")
    bar.set_label("influence, relative to the largest", fontsize=11)
    bar.outline.set_visible(False)
    patches = {
        "the pixel": PIXEL,
        "before it, and seen": "#5b9bd5",
        "before it, but never seen: a blind spot": BLIND,
        "after it: must not be seen": AFTER,
    }
    handles = [Patch(facecolor=color, edgecolor="#bbbbbb", label=text) for text, color in patches.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=12)
    figure.savefig(file := BytesIO(), dpi=100, format="png")
    with atomic_write(path) as temporary:
        Image.open(file).convert("RGB").quantize(128).save(temporary, format="png")  # a third of the bytes


if __name__ == "__main__":
    main()
