"""A PixelRNN learns images and draws new ones, pixel by pixel (van den Oord et al. 2016).

Its recurrent layers are Row LSTMs or, with --cell diagonal, Diagonal BiLSTMs, which see more and take longer. Trains on
the 8,000 digits that come with minigen and, in the folder --out, draws samples, completions of half-covered test images
and the curves. Prints the exact negative log-likelihood of the test images in nats per image and in bits per dimension.
"""

from __future__ import annotations

import argparse

import numpy as np

import minigen
from minigen import command_line, data, evaluate, optim, plot, train
from minigen.backend import to_numpy
from minigen.models import PixelRNN


def main() -> None:
    parser = command_line.argument_parser(__doc__, out="runs/pixelrnn", epochs=3, batch_size=16)
    group = parser.add_argument_group("the model")
    group.add_argument("--cell", choices=["row", "diagonal"], default="row", help="kind of the recurrent layers")
    group.add_argument(
        "--levels", type=command_line.positive, default=2, help="values of a pixel and colour, 2 ... 256"
    )
    group.add_argument("--hidden", type=command_line.positive, default=16, help="h: features of the states")
    group.add_argument("--layers", type=command_line.positive, default=3, help="number of recurrent layers")
    group.add_argument("--head", type=command_line.positive, default=32, help="features before the output")
    group.add_argument(
        "--lr", type=float, default=2e-3, help="Adam's learning rate, which falls to 0 in the second half"
    )
    group.add_argument("--temperature", type=float, default=1.0, help="of the samples: below 1 likelier ones")
    args = parser.parse_args()
    with command_line.errors_without_traceback(), minigen.device(args.device):
        run(args)


def run(args: argparse.Namespace) -> None:
    minigen.manual_seed(args.seed)
    images, test_images = (
        data.load(args.dataset, split, data_dir=args.data_dir, size=args.image_size) for split in ("train", "test")
    )
    pixels = {"pixels": "binary"} if args.levels == 2 else {"pixels": "levels", "levels": args.levels}
    loader = data.Loader(images, args.batch_size, seed=args.seed, **pixels)
    test = data.Loader(test_images, 250, shuffle=False, seed=args.seed, binarization="fixed", **pixels)
    binarized = "dynamic binarization for training, one fixed draw of the test images"
    task = binarized if args.levels == 2 else f"{args.levels} levels"

    model = PixelRNN(images.image_shape, args.levels, args.cell, args.hidden, args.layers, head=args.head)
    schedule = optim.linear_decay(args.lr, args.epochs * len(loader))
    step = train.MaximumLikelihood(model, optim.Adam(model.parameters(), args.lr), schedule=schedule)
    bits = lambda nats: evaluate.bits_per_dim(nats, images.image_shape)
    shown = lambda x: to_numpy(x.data) / (args.levels - 1)

    def draw(epoch: int) -> None:
        samples = model.sample(100, temperature=args.temperature, progress=True)
        plot.save_grid(shown(samples), args.out / "samples.png")
        plot.save_curves(args.out / "log.jsonl", args.out / "curves.png", ["loss", "nats"], "nats per image")

    def report(record: dict) -> str:
        loss, nats = record["train"]["loss"], record["test"]["nats"]
        return f"{record['epoch']:5d}  {loss:10.2f}  {nats:9.2f}  {bits(nats):8.4f}  {record['seconds']:7.1f}"

    print(
        f"PixelRNN ({args.cell}) on {args.dataset}, {len(images)} training and {len(test_images)} test images; {task}"
    )
    print("              train       test      test")
    print("epoch          nats       nats  bits/dim  seconds")
    log = train.train(
        step,
        loader,
        epochs=args.epochs,
        out=args.out,
        evaluate=lambda: {"nats": -evaluate.mean_over(test, model.log_prob, model)},
        draw=draw,
        report=report,
        resume=args.resume,
        settings=command_line.settings_of(args),
    )
    minigen.save(model, args.out / "weights.safetensors")
    nats = log[-1]["test"]["nats"]
    print(f"\nOn {len(test_images)} test images ({task}):")
    print(f"  -log p(x)  {nats:8.2f} nats per image  {bits(nats):.4f} bits per dimension")

    originals = minigen.Tensor(next(test.epoch(0))[0][:24])
    known = np.zeros(images.image_shape[1:], dtype=bool)
    known[: images.image_shape[1] // 2] = True  # the upper half
    completions = [model.sample(given=originals, known=known, progress=True) for _ in range(4)]
    rows = [np.where(known, shown(originals), 0.5), *map(shown, completions), shown(originals)]
    plot.save_grid(np.concatenate(rows), args.out / "completions.png", columns=len(originals.data))
    print(f"Figures, log and weights are in {args.out}/")


if __name__ == "__main__":
    main()
