"""VAE, GAN and autoregressive models compared on the same images: the tables on which the lecture ends, measured.

Takes the finished runs of the demos in the folder --runs, and trains what is missing there with the demos' own
commands. Of every model it measures the likelihood, the samples, the time and the size, in the same way and on the same
test images. Beside each claim of the lecture's tables ("PixelRNN" and "Comparisons") it prints the numbers, and whether
the claim holds. The table, the claims and a figure go into the folder --out, as Markdown, JSON and PNG.

A run may be a folder with weights.safetensors and log.jsonl, or a file of weights such as row.safetensors. It can be
stopped at any moment: --resume goes on, and what is finished is not trained again. All takes about an hour on one CPU
core, --quick some minutes.
"""

from __future__ import annotations

import argparse
import importlib
from itertools import product
from pathlib import Path
from typing import Any

import minigen
from common import flags
from common.judge import trained_classifier
from comparison import Results, Row, claims, measures, report
from gallery import RUNS
from minigen import data
from minigen.files import read_json

MODELS = [name for name in RUNS if name != "cgan"]


def run(args: argparse.Namespace) -> None:
    images, test_images = flags.datasets(args)
    if min(args.images, len(images), len(test_images) // 2) < 4:
        counts = f"--images {args.images}, {len(images)} training and {len(test_images)} test images"
        raise ValueError(f"expects at least --images 4, 4 training and 8 test images, got {counts}")
    args.out.mkdir(parents=True, exist_ok=True)
    place = args.runs if (args.runs / "classifier").exists() else args.out
    classifier = trained_classifier(images, test_images, place / "classifier" / f"{images.name}.safetensors")
    judge = measures.Judge(classifier, images, test_images, args.images)
    test_images = judge.test_images
    settings = {"dataset": args.dataset, "samples": judge.n, "test_images": len(test_images), "seeds": args.seeds}
    rows: list[Row] = judge.of_real_images()
    save = lambda: report.write(Results(rows), claims.judged(Results(rows)), settings, args.out)
    for seed, name in product(range(args.seeds), args.models):
        weights = trained(name, seed, args)
        print(f"Measuring {weights}", flush=True)
        rows += measured(name, seed, weights, judge, test_images)
        save()
    measures.add_steps(rows, {name: trained(name, 0, args) for name in args.models}, test_images)
    save()
    results = Results(rows)
    print(f"\n{report.aligned(report.table(results))}\n\n{report.LEGEND}\n")
    print(report.claims_as_text(claims.judged(results)))
    report.draw(results, args.out / "compare.png")
    print(f"\ncompare.md, compare.json and compare.png are in {args.out}/")


def trained(name: str, seed: int, args: argparse.Namespace) -> Path:
    """The weights file of a finished run; the run is made or continued by its demo if it is not finished."""
    folder = args.runs / (name if seed == 0 else f"{name}-seed-{seed}")
    weights = folder / "weights.safetensors"
    if (alone := folder.with_name(f"{folder.name}.safetensors")).exists():
        return alone
    if not weights.exists():
        demo, *own = RUNS[name][1].split()
        given = [*own, "--dataset", args.dataset, "--image-size", str(args.image_size)]
        given += ["--levels", "2"] if demo.startswith("pixel") else []  # binary pixels, as the VAE's are
        given += ["--data-dir", str(args.data_dir)] if args.data_dir else []
        given += ["--seed", str(seed), "--out", str(folder)]
        given += ["--quick"] if args.quick else []
        given += ["--resume"] if args.resume and (folder / "checkpoint.safetensors").exists() else []
        print(f"\npython demos/{demo} {' '.join(given)}", flush=True)
        page = importlib.import_module(Path(demo).stem)
        parsed = page.parser().parse_args(given)
        parsed.beside = []  # of a GAN: no others are judged beside it
        page.run(parsed)
    return weights


def log_of(weights: Path) -> list[dict[str, Any]]:
    """The log of the run that made the weights; empty if there is none."""
    log = weights.with_name("log.jsonl")
    if weights.name != "weights.safetensors" or not log.exists():
        return []
    return read_json(log, lines=True)


def measured(name: str, seed: int, weights: Path, judge: measures.Judge, test_images: data.Dataset) -> list[Row]:
    """The row of a model; of a VAE two, for its samples are mean images or draws of pixels."""
    title, model = RUNS[name][0], minigen.load(weights)
    if isinstance(model, dict):
        raise ValueError(f"{weights}: expects a file that names its model, got arrays alone")
    samples = measures.samples_of(model, judge.n)
    judged = [{"examples": x, **judge(x, kind)} for kind, x in samples.items()]
    row = {"model": name, "title": title, "seed": seed, **judged[0], **measures.likelihood(model, test_images)}
    row |= measures.size(model) | measures.training(log_of(weights))
    if seed == 0:
        row |= measures.sight(model) | measures.speed(model, test_images)
    drawn = {"model": f"{name}-drawn", "title": f"{title}, pixels drawn", "seed": seed}
    return [row, *(drawn | x for x in judged[1:])]


def parser() -> flags.Parser:
    folder = Path("runs/compare-quick")
    quick = {"images": 500, "out": folder, "runs": folder, "seeds": 1}
    result = flags.Parser(__doc__, quick=quick)
    result.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs, finished or to be made")
    result.add_argument("--models", nargs="+", choices=MODELS, default=MODELS, help="the models to compare")
    result.add_argument("--seeds", type=flags.positive, default=3, help="runs of each model")
    result.add_argument("--images", type=flags.positive, default=1000, help="samples, and half of the test images")
    result.add_argument("--resume", action="store_true", help="continue runs that were stopped")
    result.add_argument("--out", type=Path, default=Path("runs/compare"), help="folder for the tables and the figure")
    flags.add_data(result)
    return result


if __name__ == "__main__":
    flags.run(run, parser())
