"""What the demos of autoregressive models have in common: their flags, and training and showing a model."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from minigen import command_line, data, evaluate, optim, plot, train
from minigen.backend import Array, to_numpy
from minigen.checkpoint import save
from minigen.models.autoregressive import Autoregressive


def add_arguments(parser: argparse.ArgumentParser) -> Any:
    """The flags of every such demo; returns the group for those of the model."""
    group = parser.add_argument_group("the model")
    group.add_argument(
        "--levels",
        type=command_line.positive,
        help="values of a pixel and colour, 2 ... 256 (default: 2, with colours 256)",
    )
    group.add_argument("--lr", type=float, default=2e-3, help="Adam's rate, which falls to 0 in the second half")
    group.add_argument("--temperature", type=float, default=1.0, help="of the samples: below 1 likelier ones")
    return group


def datasets(args: argparse.Namespace) -> tuple[data.Dataset, data.Dataset]:
    """The training and the test images; and --levels, if not given: 2 for one channel, 256 for colours."""
    train_images, test_images = command_line.datasets(args)
    args.levels = args.levels or (2 if train_images.image_shape[0] == 1 else 256)
    return train_images, test_images


def train_and_show(
    model: Autoregressive, title: str, images: data.Dataset, test_images: data.Dataset, args: argparse.Namespace
) -> None:
    """Train, print the table, and draw into --out: samples, how they appear, completions, the curves."""
    shape, classes = images.image_shape, model.classes
    pixels: dict[str, Any] = {"pixels": "binary"} if args.levels == 2 else {"pixels": "levels", "levels": args.levels}
    task = "dynamic binarization for training, one fixed draw of the test images"
    if args.levels > 2:
        task = f"{args.levels} levels"
    loader = data.Loader(images, args.batch_size, seed=args.seed, **pixels)
    test = data.Loader(test_images, 50, shuffle=False, seed=args.seed, binarization="fixed", **pixels)
    bits = lambda nats: evaluate.bits_per_dim(nats, shape)
    log_prob = lambda x, labels: model.log_prob(x, labels if classes else None)
    shown = lambda x: to_numpy(x) / (args.levels - 1)

    def sample(n: int, **options: Any) -> Array:
        one_after_the_other = np.arange(n) * classes // n if classes else None
        return model.sample(n, one_after_the_other, temperature=args.temperature, progress=True, **options).data

    def draw(epoch: int) -> None:
        plot.save_grid(shown(sample(100)), args.out / "samples.png")
        plot.save_curves(args.out / "log.jsonl", args.out / "curves.png", {"nats per image": ["loss", "nats"]})

    def report(record: dict) -> str:
        loss, nats = record["train"]["loss"], record["test"]["nats"]
        return f"{record['epoch']:5d}  {loss:10.2f}  {nats:9.2f}  {bits(nats):8.4f}  {record['seconds']:7.1f}"

    print(f"{title} on {args.dataset}, {len(images)} training and {len(test_images)} test images; {task}")
    print("              train       test      test")
    print("epoch          nats       nats  bits/dim  seconds")
    log = train.train(
        train.MaximumLikelihood(
            model, optim.Adam(model.parameters(), args.lr), schedule=optim.linear_decay(args.epochs * len(loader))
        ),
        loader,
        epochs=args.epochs,
        out=args.out,
        evaluate=lambda: {"nats": -evaluate.mean_over(test, log_prob, model)},
        draw=draw,
        report=report,
        resume=args.resume,
        settings=command_line.settings_of(args),
    )
    save(model, args.out / "weights.safetensors")
    nats = log[-1]["test"]["nats"]
    likelihood = "-log p(x | class)" if classes else "-log p(x)"
    print(f"\nOn {len(test_images)} test images ({task}):")
    print(f"  {likelihood}  {nats:8.2f} nats per image  {bits(nats):.4f} bits per dimension")

    frames: list[np.ndarray] = []
    sample(36, watch=lambda row, x: frames.append(plot.mosaic(shown(x))))
    plot.save_animation(frames, args.out / "samples.gif")
    save_completions(model, test, shown, args)
    print(f"Figures, log and weights are in {args.out}/")


def save_completions(
    model: Autoregressive, test: data.Loader, shown: Callable[[Any], np.ndarray], args: argparse.Namespace
) -> None:
    """Below test images with the lower half covered: four completions of each, and what it was."""
    originals, labels = (x[:24] for x in next(test.epoch(0)))
    height, width = model.image_shape[1:]
    mask = np.zeros((height, width), dtype=bool)
    mask[: height // 2] = True
    given = {"labels": labels if model.classes else None, "image": originals, "mask": mask}
    rows = [shown(model.sample(**given, temperature=args.temperature, progress=True).data) for _ in range(4)]
    rows = [np.where(mask, shown(originals), 0.5), *rows, shown(originals)]
    plot.save_grid(np.concatenate(rows), args.out / "completions.png", columns=len(originals))
