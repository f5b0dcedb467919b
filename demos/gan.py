"""A fully connected GAN on images, or on a ring of Gaussians (Goodfellow et al. 2014; the lecture).

On images it draws, in the folder --out, what the same z become after every epoch (also as an animation) and the curves;
at the end a classifier, trained on the same images, judges the samples. With --dataset ring (8 Gaussians on a circle)
or grid (25) it shows mode collapse: for each of --objectives and several seeds, how many modes the samples cover and
how many of them lie within three standard deviations of a mode, as a table and as a figure.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

import minigen
from minigen import command_line, data, evaluate, plot, train
from minigen.backend import to_numpy
from minigen.command_line import adversarial
from minigen.command_line.judge import judge
from minigen.models import GAN, MLPDiscriminator, MLPGenerator
from minigen.models.objectives import OBJECTIVES

TOYS = {"ring": data.toy.ring, "grid": data.toy.grid}


def main() -> None:
    parser = command_line.argument_parser(__doc__, out="runs/gan", epochs=40, batch_size=64)
    group = adversarial.add_arguments(parser, objective="non-saturating")
    group.add_argument("--hidden", type=command_line.positive, default=256, help="units of the hidden layers")
    toy = parser.add_argument_group("ring and grid")
    toy.add_argument(
        "--objectives",
        nargs="+",
        choices=list(OBJECTIVES),
        default=["minimax", "non-saturating", "wasserstein-gp"],
        help="those to compare",
    )
    toy.add_argument("--seeds", type=command_line.positive, default=5, help="runs of each")
    toy.add_argument("--iterations", type=command_line.positive, default=5000, help="generator steps of each run")
    args = parser.parse_args()
    with command_line.errors_without_traceback(), minigen.device(args.device):
        (compare if args.dataset in TOYS else run)(args)


def run(args: argparse.Namespace) -> None:
    minigen.manual_seed(args.seed)
    images, test_images = command_line.datasets(args)
    shape, classes = images.image_shape, len(images.classes) if args.classes else None
    generator = MLPGenerator(shape, args.latent_dim, args.hidden, classes=classes)
    gan = GAN(generator, MLPDiscriminator(shape, args.hidden, classes=classes), **adversarial.options(args))
    judge(adversarial.train_and_draw(gan, "GAN", images, args), images, test_images, args)


# -- ring and grid -----------------------------------------------------------------------------------------------------


def compare(args: argparse.Namespace) -> None:
    mixture = TOYS[args.dataset]()
    modes = len(mixture.means)
    print(f"{modes} Gaussians; of 4,000 samples a covered mode has at least {4000 // modes // 10} within 3 std")
    print(f"{'objective':15}  seed  modes covered  samples near a mode")
    found: dict[tuple[str, int], tuple[np.ndarray, float, int]] = {}
    for objective in args.objectives:
        for seed in range(args.seed, args.seed + args.seeds):
            samples = learn(mixture, objective, seed, args)
            near, covered = evaluate.modes_covered(samples, mixture, at_least=len(samples) // modes // 10)
            found[objective, seed] = samples, near, covered
            print(f"{objective:15}  {seed:4d}  {covered:6d} of {modes:2d}  {near:19.1%}", flush=True)
    print()
    for objective in args.objectives:
        runs = [(near, covered) for (name, _), (_, near, covered) in found.items() if name == objective]
        good = sum(covered == modes and near >= 0.9 for near, covered in runs)
        print(f"{objective:15}  all modes, and 90 % of the samples near one: {good} of {len(runs)} seeds")
    draw(mixture, found, args)
    print(f"The figure is {args.out / (args.dataset + '.png')}")


def learn(mixture: data.toy.GaussianMixture, objective: str, seed: int, args: argparse.Namespace) -> np.ndarray:
    """4,000 samples (4000, 2) of a GAN that was trained on the mixture."""
    minigen.manual_seed(seed)
    generator = MLPGenerator((2,), latent_dim=2, hidden=128, tanh=False)
    discriminator = MLPDiscriminator((2,), hidden=128, pieces=2, dropout=0.0)
    changes: dict[str, Any] = {"objective": objective, "penalty": None}
    if OBJECTIVES[objective].penalty:  # a small one is quicker, and enough in two dimensions
        changes |= {"k": args.k or 2, "penalty": args.penalty or 0.1}
    gan = GAN(generator, discriminator, **adversarial.options(args, **changes))
    draws = data.toy.Draws(mixture, 256 * gan.k, args.iterations, seed)
    lr = args.lr or 1e-3
    step = adversarial.adversarial_step(gan, args.iterations, lr, args.generator_lr or lr, args.average)
    out = args.out / f"{objective}-{seed}"
    resume = args.resume and (out / "checkpoint.safetensors").exists()
    train.train(step, draws, epochs=1, out=out, resume=resume, settings=command_line.settings_of(args))
    with step.averaged():
        return to_numpy(gan.sample(4000).data)


def draw(mixture: data.toy.GaussianMixture, found: dict[tuple[str, int], Any], args: argparse.Namespace) -> None:
    """Samples of every run, a row for each objective, and a circle around each mode."""
    from matplotlib.figure import Figure

    rows, columns = len(args.objectives), args.seeds
    figure = Figure(figsize=(2.2 * columns, 2.3 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False)
    for axes, ((objective, seed), (samples, near, covered)) in zip(panels.flat, found.items(), strict=True):
        axes.plot(*samples[:1000].T, ".", markersize=1.5, color="C0", alpha=0.5)
        axes.plot(*mixture.means.T, "o", markersize=9, markerfacecolor="none", color="C1", linewidth=0.7)
        axes.set_title(f"{objective}, seed {seed}\n{covered} modes, {near:.0%} near", fontsize=7)
        limit = 1.3 * abs(mixture.means).max()
        axes.set(xlim=(-limit, limit), ylim=(-limit, limit), xticks=[], yticks=[], aspect="equal")
    plot.save_figure(figure, args.out / f"{args.dataset}.png")


if __name__ == "__main__":
    main()
