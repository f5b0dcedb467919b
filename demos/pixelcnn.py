"""A PixelCNN, plain or gated, learns images and draws new ones, pixel by pixel (van den Oord et al. 2016).

Trains on the 8,000 digits that come with minigen and, in the folder --out, draws samples (also as an animation in which
they appear row by row), completions of half-covered test images and the curves. Prints the exact negative
log-likelihood of the test images in nats per image and in bits per dimension. With --classes it learns what the images
of each class look like, and draws the classes one after the other.
"""

from __future__ import annotations

import argparse
from typing import Any

import minigen
from common import figures, flags, tables
from minigen import data, evaluate, optim, plot, train
from minigen.models import GatedPixelCNN, PixelCNN
from minigen.models.autoregressive import Autoregressive


def run(args: argparse.Namespace) -> None:
    if args.classes and not args.gated:
        raise ValueError("--classes needs --gated")
    minigen.manual_seed(args.seed)
    images, test_images = flags.datasets(args)
    model = flags.new_or_loaded(args, images, Autoregressive, lambda: new_model(args, images))
    pixels: Any = {"pixels": "binary"} if model.levels == 2 else {"pixels": "levels", "levels": model.levels}
    loader = data.Loader(images, args.batch_size, seed=args.seed, **pixels)
    test = data.Loader(test_images, 50, shuffle=False, seed=args.seed, binarization="fixed", **pixels)

    pictures = figures.PixelFigures(model, images.classes, args.temperature, args.out)
    table = tables.LikelihoodTable(test, model.levels, columns=("nats", "nats"), metric="nats")
    log_prob = lambda x, labels: model.log_prob(x, labels if model.classes else None)
    evaluation = lambda: {"nats": -evaluate.mean_over(test, log_prob, model, progress="test images")}

    def draw(epoch: int) -> None:
        pictures.save_samples()
        plot.save_curves(args.out / "log.jsonl", args.out / "curves.png", {"nats per image": ["loss", "nats"]})

    if args.weights is None:
        schedule = optim.linear_decay(args.epochs * len(loader))
        step = train.MaximumLikelihood(model, optim.Adam(model.parameters(), args.lr), schedule=schedule)
        table.print_heading(type(model).__name__, images, args.dataset)
        log = train.train(
            step,
            loader,
            epochs=args.epochs,
            out=args.out,
            evaluate=evaluation,
            draw=draw,
            report=table.row,
            resume=args.resume,
            settings=flags.settings_of(args),
        )
    with flags.own_folder(args.out):
        if args.weights is None:
            minigen.save(model, args.out / "weights.safetensors")
            found = log[-1]["test"]
        else:
            pictures.save_samples()
            found = evaluation()
        table.print_result({"-log p(x | class)" if model.classes else "-log p(x)": found["nats"]})
        pictures.save_appearance()
        pictures.save_completions(test)
    tables.print_place(args)


def new_model(args: argparse.Namespace, images: data.Dataset) -> Autoregressive:
    """A PixelCNN, gated or not; its widths grow with the number of colours."""
    shape, colours = images.image_shape, images.image_shape[0]
    levels, hidden, head = args.levels or (2 if colours == 1 else 256), colours * args.hidden, colours * args.head
    if not args.gated:
        return PixelCNN(shape, levels, hidden, args.blocks, head=head)
    classes = len(images.classes) if args.classes else None
    return GatedPixelCNN(shape, levels, hidden, args.layers, head=head, classes=classes)


def parser() -> flags.Parser:
    quick = {"epochs": 1, "hidden": 8}
    result = flags.training_parser(__doc__, out="runs/pixelcnn", epochs=3, batch_size=16, quick=quick)
    group = flags.add_pixel_flags(result)
    group.add_argument("--gated", action="store_true", help="the Gated PixelCNN, which has no blind spot")
    group.add_argument("--classes", action="store_true", help="model p(image | class), with --gated")
    group.add_argument(
        "--hidden", type=flags.positive, default=16, help="h, for each colour: a block carries 2h features"
    )
    group.add_argument("--blocks", type=flags.positive, default=7, help="residual blocks, without --gated")
    group.add_argument("--layers", type=flags.positive, default=8, help="gated layers, with --gated")
    return result


if __name__ == "__main__":
    flags.run(run, parser())
