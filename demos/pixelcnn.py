"""A PixelCNN, plain or gated, learns images and draws new ones, pixel by pixel (van den Oord et al. 2016).

Trains on the 8,000 digits that come with minigen and, in the folder --out, draws samples (also as an animation in which
they appear row by row), completions of half-covered test images and the curves. Prints the exact negative
log-likelihood of the test images in nats per image and in bits per dimension. With --classes it learns what the images
of each class look like, and draws the classes one after the other.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import minigen
from minigen import command_line, data, evaluate, optim, plot, train
from minigen.backend import Array, to_numpy
from minigen.models import GatedPixelCNN, PixelCNN
from minigen.models.autoregressive import Autoregressive


def main() -> None:
    parser = command_line.argument_parser(__doc__, out="runs/pixelcnn", epochs=3, batch_size=16)
    group = parser.add_argument_group("the model")
    group.add_argument(
        "--levels", type=command_line.positive, default=2, help="values of a pixel and colour, 2 ... 256"
    )
    group.add_argument("--gated", action="store_true", help="the Gated PixelCNN, which has no blind spot")
    group.add_argument("--classes", action="store_true", help="model p(image | class), with --gated")
    group.add_argument(
        "--hidden", type=command_line.positive, default=16, help="h: the blocks carry 2h features, both gated stacks h"
    )
    group.add_argument("--blocks", type=command_line.positive, default=7, help="residual blocks, without --gated")
    group.add_argument("--layers", type=command_line.positive, default=8, help="gated layers, with --gated")
    group.add_argument("--head", type=command_line.positive, default=32, help="features before the output")
    group.add_argument(
        "--lr", type=float, default=2e-3, help="Adam's learning rate, which falls to 0 in the second half"
    )
    group.add_argument("--temperature", type=float, default=1.0, help="of the samples: below 1 likelier ones")
    args = parser.parse_args()
    with command_line.errors_without_traceback(), minigen.device(args.device):
        run(args)


def run(args: argparse.Namespace) -> None:
    if args.classes and not args.gated:
        raise ValueError("--classes needs --gated")
    minigen.manual_seed(args.seed)
    load = lambda split: data.load(args.dataset, split, data_dir=args.data_dir, size=args.image_size)
    images, test_images = load("train"), load("test")
    pixels = {"pixels": "binary"} if args.levels == 2 else {"pixels": "levels", "levels": args.levels}
    loader = data.Loader(images, args.batch_size, seed=args.seed, **pixels)
    test = data.Loader(test_images, 250, shuffle=False, seed=args.seed, binarization="fixed", **pixels)
    task = (
        "dynamic binarization for training, one fixed draw of the test images"
        if args.levels == 2
        else f"{args.levels} levels"
    )

    classes = len(images.classes) if args.classes else None
    model: Autoregressive
    if args.gated:
        model = GatedPixelCNN(
            images.image_shape, args.levels, args.hidden, args.layers, head=args.head, classes=classes
        )
    else:
        model = PixelCNN(images.image_shape, args.levels, args.hidden, args.blocks, head=args.head)
    schedule = optim.linear_decay(args.lr, args.epochs * len(loader))
    step = train.MaximumLikelihood(model, optim.Adam(model.parameters(), args.lr), schedule=schedule)
    bits = lambda nats: evaluate.bits_per_dim(nats, images.image_shape)
    shown = lambda x: to_numpy(x) / (args.levels - 1)
    originals, labels = (x[:24] for x in next(test.epoch(0)))

    def sample(n: int, **options: Any) -> minigen.Tensor:
        one_after_the_other = np.arange(n) * classes // n if classes else None
        return model.sample(n, one_after_the_other, temperature=args.temperature, **options)

    @minigen.no_grad()
    def test_nats() -> float:
        batches = (model.log_prob(x, label if classes else None).numpy() for x, label in test.epoch(0))
        return -float(np.concatenate(list(batches)).astype(np.float64).mean())

    def draw(epoch: int) -> None:
        samples = sample(100)
        plot.save_grid(shown(samples.data), args.out / "samples.png")
        plot.save_curves(args.out / "log.jsonl", args.out / "curves.png", ["loss", "nats"], "nats per image")

    def report(record: dict) -> str:
        loss, nats = record["train"]["loss"], record["test"]["nats"]
        return f"{record['epoch']:5d}  {loss:10.2f}  {nats:9.2f}  {bits(nats):8.4f}  {record['seconds']:7.1f}"

    name, likelihood = type(model).__name__, "-log p(x | class)" if classes else "-log p(x)"
    print(f"{name} on {args.dataset}, {len(images)} training and {len(test_images)} test images; {task}")
    print("              train       test      test")
    print("epoch          nats       nats  bits/dim  seconds")
    log = train.train(
        step,
        loader,
        epochs=args.epochs,
        out=args.out,
        evaluate=lambda: {"nats": test_nats()},
        draw=draw,
        report=report,
        resume=args.resume,
        settings=command_line.settings_of(args),
    )
    minigen.save(model, args.out / "weights.safetensors")
    nats = log[-1]["test"]["nats"]
    print(f"\nOn {len(test_images)} test images ({task}):")
    print(f"  {likelihood}  {nats:8.2f} nats per image  {bits(nats):.4f} bits per dimension")

    frames: list[np.ndarray] = []

    def watch(row: int, x: Array) -> None:
        frames.append(plot.mosaic(shown(x)))

    sample(36, watch=watch, progress=True)
    plot.save_animation(frames, args.out / "samples.gif")
    half = np.arange(images.image_shape[1])[:, None] < images.image_shape[1] / 2
    known = np.broadcast_to(half, images.image_shape[1:])
    covered = shown(originals) * known + 0.5 * ~known
    given = {"labels": labels if classes else None, "given": originals, "known": known}
    completions = [model.sample(**given, progress=True).data for _ in range(4)]
    rows = np.stack([covered, *map(shown, completions), shown(originals)])  # (6, N, C, H, W)
    plot.save_grid(rows.reshape(-1, *images.image_shape), args.out / "completions.png", columns=len(originals))
    print(f"Figures, log and weights are in {args.out}/")


if __name__ == "__main__":
    main()
