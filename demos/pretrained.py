"""The models that come with minigen, trained for hours on all 60,000 digits of MNIST: what they are and how good.

    python demos/pretrained.py                        lists them
    python demos/pixelrnn.py --weights demos/pretrained/row-lstm.safetensors --image 7
    python demos/pretrained.py --add runs/row-lstm --made "python demos/pixelrnn.py --epochs 6"

--add puts a finished run among them. The weights become float16, which takes half the room, unless that changes the
figure by more than 0.01. The figure is measured on the first 200 test images that come with minigen, and stands in the
file, beside that of the run itself, on all 10,000: -log p(x) in nats per image of an autoregressive model; of a VAE the
importance-weighted bound of it, K = 100, beside -ELBO; of a GAN, the share of 200 samples among the images, precision
and recall of pixels (Kynkäänniemi et al. 2019).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

import minigen
from common import flags
from minigen import data, evaluate
from minigen.checkpoint import read
from minigen.files import read_json
from minigen.models import GAN, VAE
from minigen.random import separate_random
from minigen.train.forecast import duration

FOLDER = Path(__file__).parent / "pretrained"
FEW = 200  # test images on which a model is measured in seconds


def run(args: argparse.Namespace) -> None:
    if args.add is None and (args.name or args.made):
        raise ValueError("--name and --made need --add")
    if args.add is not None:
        if not (args.add / "weights.safetensors").is_file():
            raise ValueError(f"--add expects the folder of a finished run, got {args.add}")
        add(args.add, args.made or "", FOLDER / f"{args.name or args.add.resolve().name}.safetensors")
    for path in sorted(FOLDER.glob("*.safetensors")):
        about = description(path)
        in_words = lambda results: ", ".join(f"{name} {x:.2f}" for name, x in results.items())
        print(f"{path.name:28} {path.stat().st_size / 1e6:4.2f} MB  {in_words(about['figures'])} on {FEW} test images")
        of_run = f"; on all: {in_words(about['test'])}" if about["test"] else ""
        print(f"    {about['made']} ({duration(about['seconds'])}{of_run})")


def add(folder: Path, made: str, path: Path) -> None:
    """Write the weights of a run with its description; in float16 where that does not change the figures."""
    last = read_json(folder / "log.jsonl", lines=True)[-1]
    model = minigen.load(folder / "weights.safetensors")
    exact, state = measure(model), {name: x.copy() for name, x in model.state_dict().items()}
    for dtype in ("float16", "float32"):
        with np.errstate(all="ignore"):  # what is too large for float16
            model.load_state_dict({name: x.astype(dtype) if x.dtype.kind == "f" else x for name, x in state.items()})
            figures = measure(model)
        if max(abs(figures[name] - x) for name, x in exact.items()) <= 0.01:
            break
    about = {
        "made": made,
        "seconds": last["seconds"],
        "epochs": last["epoch"],
        "test": last["test"],
        "figures": figures,
    }
    path.parent.mkdir(exist_ok=True)
    minigen.save(model, path, {"about": json.dumps(about)}, dtype=dtype)


def description(path: Path) -> dict[str, Any]:
    """How a model was made, and its figures."""
    return json.loads(read(path)[1]["about"])


def measure(model: Any, n: int = FEW) -> dict[str, float]:
    """What is measured of a model on the first n test images, by name."""
    images = data.load("digits", split="test")[:n]
    if isinstance(model, GAN):
        with separate_random(seed=0):
            samples = model.sample(n, images.labels if model.classes else None).numpy()
        found = evaluate.precision_and_recall((samples + 1) / 2, images.images / 255)
        return dict(zip(("precision", "recall"), found, strict=True))
    test = data.Loader(images, 50, pixels="binary", shuffle=False, binarization="fixed")
    if isinstance(model, VAE):
        return {"bound, nats": -evaluate.mean_over(test, lambda x, labels: model.log_prob(x, 100), model)}
    labels_of = lambda labels: labels if model.classes else None
    return {"nats": -evaluate.mean_over(test, lambda x, labels: model.log_prob(x, labels_of(labels)), model)}


def parser() -> flags.Parser:
    result = flags.Parser(__doc__, quick={})
    result.add_argument("--add", type=Path, metavar="RUN", help="the folder of a finished run on MNIST")
    result.add_argument("--name", help="of the file (default: that of the folder)")
    result.add_argument("--made", help="the command of the run, for the list")
    return result


if __name__ == "__main__":
    flags.run(run, parser())
