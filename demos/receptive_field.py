"""Which pixels each autoregressive model sees: its receptive field, measured, not drawn from theory.

PixelCNN and PixelRNN (van den Oord et al. 2016, arXiv 1601.06759, figure 4) and the Gated PixelCNN (arXiv 1606.05328,
figure 1) predict a pixel from those before it, but not each model sees all of them. Here, models with random weights
get random images, and the gradient of one pixel's logit with respect to every pixel of the image says which ones matter
and how much. What comes after the pixel must have a gradient of exactly zero; what comes before it and has none is a
blind spot. Prints the counts and draws the four receptive fields in --out, which takes some seconds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

import minigen
from common import figures, flags
from minigen.models import GatedPixelCNN, PixelCNN, PixelRNN
from minigen.models.autoregressive import Autoregressive


def run(args: argparse.Namespace) -> None:
    row, column = args.pixel or (args.size // 2, args.size // 2)
    if not (0 <= row < args.size and 0 <= column < args.size):
        raise ValueError(f"--pixel expects a row and a column from 0 to {args.size - 1}, got {row} {column}")
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
        before, seen = figures.before_pixel(field.shape, row, column), field > 0
        counts = before.sum(), (before & seen).sum(), (before & ~seen).sum(), (~before & seen).sum()
        print(f"{name:18}{counts[0]:10}{counts[1]:7}{counts[2]:7}{counts[3]:16}")
        if counts[3]:
            raise RuntimeError(f"{name} sees the pixel itself or later ones: it is no probability")
    path = args.out / "receptive_field.png"
    figures.save_receptive_fields(fields, row, column, path)
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
        images = np.random.default_rng(seed + k).uniform(-1, 1, (8, *model.image_shape))
        x = minigen.Tensor(images, requires_grad=True)
        logit = model.network(x)[:, 0, row, column]  # (8,)
        (gradient,) = minigen.grad(logit, x, minigen.Tensor(np.ones(len(x))))
        total = total + np.abs(gradient.numpy()).mean(axis=(0, 1)) / tries
    return np.asarray(total)


def parser() -> flags.Parser:
    result = flags.Parser(__doc__, quick={"tries": 1})
    result.add_argument("--size", type=flags.positive, default=28, help="height and width of the image")
    result.add_argument(
        "--pixel", type=int, nargs=2, metavar=("ROW", "COLUMN"), help="whose logit (default: the one in the centre)"
    )
    result.add_argument("--kernel-size", type=flags.positive, default=7, help="of the first layer, odd")
    result.add_argument("--layers", type=flags.positive, default=15, help="3x3 layers after it")
    result.add_argument("--recurrent-layers", type=flags.positive, default=3, help="LSTM layers after it")
    result.add_argument("--tries", type=flags.positive, default=2, help="draws of the weights, which are added")
    result.add_argument("--seed", type=flags.seed, default=0, help="of weights and images")
    result.add_argument("--out", type=Path, default=Path("runs/receptive_field"), help="folder for the figure")
    return result


if __name__ == "__main__":
    flags.run(run, parser())
