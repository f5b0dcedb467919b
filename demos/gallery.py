"""Samples of every model side by side: a row for each, under real digits.

Reads the finished runs of the demos in the folder --runs and draws `gallery.png` in the folder --out. Beside the name
of a model stands how good it is: -log p(x) of the test images, for the VAE its bound -ELBO, or for a GAN the Fréchet
distance of its samples to test images. Where a run is missing, the command that makes it is printed.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Callable
from pathlib import Path

import numpy as np

import minigen
from common import flags
from common.judge import read_samples, trained_classifier
from minigen import data, evaluate, plot
from minigen.files import read_json
from minigen.models.autoregressive import Autoregressive

COLUMNS = 12
RUNS = {  # the folder in --runs, the title of the row, and the demo that makes the run
    "vae": ("VAE", "vae.py"),
    "pixelcnn": ("PixelCNN", "pixelcnn.py"),
    "gated": ("Gated PixelCNN", "pixelcnn.py --gated"),
    "row": ("Row LSTM", "pixelrnn.py"),
    "diagonal": ("Diagonal BiLSTM", "pixelrnn.py --cell diagonal"),
    "gan": ("GAN", "gan.py"),
    "dcgan": ("DCGAN", "dcgan.py"),
    "wgan-gp": ("WGAN-GP", "dcgan.py --objective wasserstein-gp"),
    "cgan": ("DCGAN, told the class", "dcgan.py --classes --epochs 8 --batch-size 32 --discriminator-features 32"),
}


def run(args: argparse.Namespace) -> None:
    test_images = data.load("digits", "test")
    judge = functools.cache(lambda: new_judge(test_images, args.runs / "classifier" / "digits.safetensors"))
    rows = {"test images": test_images.images[:COLUMNS] / 255}
    for name, (title, demo) in RUNS.items():
        folder = args.runs / name
        if not (folder / "weights.safetensors").exists():
            print(f"No finished run in {folder}; this makes one:\n    python demos/{demo} --out {folder}")
            continue
        minigen.manual_seed(args.seed)
        samples = samples_of(folder)
        if samples.shape[1:] != test_images.image_shape:
            raise ValueError(f"{folder}: expects samples {test_images.image_shape}, got {samples.shape[1:]}")
        rows[f"{title}, {quality(folder, judge)}"] = samples
    path = args.out / "gallery.png"
    plot.save_grid(np.concatenate([*rows.values()]), path, columns=COLUMNS, rows=[*rows])
    print(f"The figure is {path}")


def samples_of(folder: Path) -> np.ndarray:
    """A row of samples with pixels in [0, 1]: some of those that the run has left, or new ones from its weights."""
    if (file := folder / "samples.npy").exists():
        samples = read_samples(file)  # where there are classes, one after the other
        return samples[np.linspace(0, len(samples) - 1, COLUMNS).astype(int)] / 255
    model = minigen.load(folder / "weights.safetensors")
    if not isinstance(model, Autoregressive):
        raise ValueError(f"{folder}: expects samples.npy, which its demo writes at the end; --resume of that goes on")
    return model.sample(COLUMNS).numpy() / (model.levels - 1)


def quality(folder: Path, judge: Callable[[], Callable[[np.ndarray], float]]) -> str:
    """What the log of a run says of the test images at its end; of a GAN, what the judge says of its samples."""
    last = read_json(folder / "log.jsonl", lines=True)[-1]["test"]
    for metric, text in {"nats": "{:.1f} nats", "-elbo": "-ELBO {:.1f} nats"}.items():
        if metric in last:
            return text.format(last[metric])
    return f"Frechet distance {judge()(read_samples(folder / 'samples.npy')):.1f}"


def new_judge(test_images: data.Dataset, weights: Path) -> Callable[[np.ndarray], float]:
    """The Fréchet distance of samples (N, C, H, W) uint8 to test images, in the features of the demos' classifier."""
    classifier = trained_classifier(data.load("digits"), test_images, weights)
    scaled = lambda x: x.astype(np.float32) / 127.5 - 1
    return lambda samples: evaluate.report_on(scaled(samples), classifier, scaled(test_images.images))["frechet"]


def parser() -> flags.Parser:
    result = flags.Parser(__doc__, quick={})
    result.add_argument("--runs", type=Path, default=Path("runs"), help="folder with the folders of the runs")
    result.add_argument("--seed", type=flags.seed, default=0, help="of the samples that are drawn anew")
    result.add_argument("--out", type=Path, default=Path("runs/gallery"), help="folder for the figure")
    return result


if __name__ == "__main__":
    flags.run(run, parser())
