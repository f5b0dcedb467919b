"""What a computation records, and where the time of a training step goes: minigen.graph and minigen.profile.

The graph of a model's loss is drawn in --out: its operations, what each has saved for its derivative, and the
parameters by name, folded where there are many; of a PixelRNN also one of its layers. Then an LSTM cell that reads an
image row by row: 28 steps, which are drawn as one; dashed arrows lead to the next step.
A .png needs Graphviz; without it there is a .mmd file, which GitHub shows. Then the profile of a step is printed, the
fastest of --repeat, with its sum and the time of the fastest step without a profile.

    python demos/graph.py --models dcgan --by line
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import minigen
from benchmarks.models import MODELS, example, training_step
from common import flags
from minigen import nn
from minigen.models import PixelRNN


def run(args: argparse.Namespace) -> None:
    for name in args.models:
        model, images = example(name, n=args.batch_size)
        draw(minigen.graph(model.loss(model.device.asarray(images)), model), args.out / name)
        if isinstance(model, PixelRNN):
            layer: Any = model.layers[0]
            h = minigen.randn(args.batch_size, 2 * layer.hidden, *model.image_shape[1:])
            draw(minigen.graph(layer(h), layer), args.out / f"{name}_layer")
        report(name, training_step(model, images), args)
    cell, state = nn.LSTMCell(28, 16), None
    for row in minigen.randn(28, args.batch_size, 28):
        state = cell(row, state)
    draw(minigen.graph(state, cell), args.out / "loop")


def draw(graph: minigen.graph.Graph, path: Path) -> None:
    path = path.with_suffix(".png" if shutil.which("dot") else ".mmd")
    graph.save(path)
    print(f"{path}: {graph.summary}")


def report(name: str, step: Callable[[], Any], args: argparse.Namespace) -> None:
    """Profile the step, in turns with steps that are not profiled."""
    step()  # the first one asks the system for memory
    plain, profiles = [], []
    for _ in range(args.repeat):
        start = time.perf_counter()
        step()
        plain.append(1e3 * (time.perf_counter() - start))
        with minigen.profile() as p:
            step()
        profiles.append(p)
    fastest = min(profiles, key=lambda p: p.seconds)
    print(f"\n{name}, a training step of {args.batch_size} images")
    print(fastest.table(by=args.by))
    print(f"These are {1e3 * fastest.seconds:.1f} ms in all; without a profile a step takes {min(plain):.1f} ms.\n")
    if args.trace:
        fastest.save(args.out / f"{name}.json")


def parser() -> flags.Parser:
    result = flags.Parser(__doc__, quick={"repeat": 1})
    result.add_argument("--models", nargs="+", choices=MODELS, default=["vae", "row"], help="those of benchmark.py")
    result.add_argument("--by", choices=["operation", "line"], default="operation", help="what a line of the table is")
    result.add_argument("--batch-size", type=flags.positive, default=16, help="images in a step")
    result.add_argument("--repeat", type=flags.positive, default=9, help="steps with and without a profile")
    result.add_argument("--trace", action="store_true", help="also write the profile for ui.perfetto.dev")
    result.add_argument("--device", default="cpu", help='"cpu", "gpu" or "gpu:N"')
    result.add_argument("--out", type=Path, default=Path("runs/graph"), help="folder for the drawings")
    return result


if __name__ == "__main__":
    flags.run(run, parser())
