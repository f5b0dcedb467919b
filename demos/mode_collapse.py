"""Mode collapse: which GANs find every mode of a mixture of Gaussians (Metz et al. 2017; Srivastava et al. 2017).

The data are draws from 8 Gaussians on a circle (--mixture ring) or 25 on a square (grid). A small GAN learns them, once
for each of --objectives and each of several seeds. Prints how many modes its samples cover and how many of them lie
within three standard deviations of a mode, and draws the samples of every run into the folder --out.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np

import minigen
from common import figures, flags
from minigen import data, evaluate, optim, train
from minigen.backend import to_numpy
from minigen.data.toy import GaussianMixture
from minigen.models import GAN, MLPDiscriminator, MLPGenerator
from minigen.models.objectives import OBJECTIVES
from minigen.train.forecast import duration

MIXTURES = {"ring": data.toy.ring, "grid": data.toy.grid}


def run(args: argparse.Namespace) -> None:
    mixture = MIXTURES[args.mixture]()
    modes = len(mixture.means)
    at_least = 4000 // modes // 10
    for objective in args.objectives:
        new_gan(objective, args)  # flags that it does not take are told before the first run
    print(f"{modes} Gaussians; of 4,000 samples a covered mode has at least {at_least} within 3 std")
    print(f"{'objective':15}  seed  modes covered  samples near a mode")
    good = lambda found: found.covered == modes and found.near >= 0.9
    runs: list[figures.Samples] = []
    start = time.monotonic()
    for objective, seed in product(args.objectives, range(args.seed, args.seed + args.seeds)):
        samples = learn(mixture, objective, seed, args)
        found = figures.Samples(objective, seed, samples, *evaluate.modes_covered(samples, mixture, at_least))
        runs.append(found)
        mark = "" if good(found) else "  missed"
        print(f"{objective:15}  {seed:4d}  {found.covered:6d} of {modes:2d}  {found.near:19.1%}{mark}", flush=True)
        if len(runs) == 1 and (others := len(args.objectives) * args.seeds - 1):
            rest = duration(others * (time.monotonic() - start))
            print(f"About {rest} for the other {others} runs; the figure comes at the end", flush=True)
    print()
    for objective in args.objectives:
        count = sum(good(found) for found in runs if found.name == objective)
        print(f"{objective:15}  all modes, and 90 % of the samples near one: {count} of {args.seeds} seeds")
    path = args.out / f"{args.mixture}.png"
    figures.save_modes(mixture, runs, args.seeds, path)
    print(f"The figure is {path}")


def new_gan(objective: str, args: argparse.Namespace) -> GAN:
    """Two small networks for points in the plane."""
    generator = MLPGenerator((2,), latent_dim=2, hidden=128, tanh=False)
    discriminator = MLPDiscriminator((2,), hidden=128, pieces=2, dropout=0.0)
    k, penalty = args.k, None
    if OBJECTIVES[objective].penalty:  # a small one is quicker, and enough in two dimensions
        k, penalty = 2 if k is None else k, args.penalty
    return GAN(generator, discriminator, objective, k, penalty=penalty, tricks=flags.tricks(args, args.iterations))


def learn(mixture: GaussianMixture, objective: str, seed: int, args: argparse.Namespace) -> np.ndarray:
    """4,000 samples (4000, 2) of a GAN that was trained on the mixture."""
    minigen.manual_seed(seed)
    gan = new_gan(objective, args)
    draws = data.toy.Draws(mixture, 256 * gan.k, args.iterations, seed)

    adam = partial(optim.Adam, betas=(0.5, 0.9) if gan.objective.critic else (0.5, 0.999))
    optimizer = optim.RMSprop if gan.objective.clip is not None else adam  # the papers' own
    generator_lr = args.lr if args.generator_lr is None else args.generator_lr
    optimizers = {
        "discriminator": optimizer(gan.discriminator.parameters(), args.lr),
        "generator": optimizer(gan.generator.parameters(), generator_lr),
    }
    average = optim.WeightEMA(gan.generator, args.average) if args.average else None
    game = train.Game(gan, optimizers, average=average, schedule=optim.linear_decay(args.iterations))
    out = args.out / f"{objective}-{seed}"
    resume = args.resume and (out / "checkpoint.safetensors").exists()
    train.train(game, draws, epochs=1, out=out, resume=resume, settings=flags.settings_of(args))
    with game.averaged():
        return to_numpy(gan.sample(4000).data)


def parser() -> flags.Parser:
    result = flags.Parser(__doc__, quick={"iterations": 3000, "seeds": 1})
    group = result.add_argument_group("the runs")
    group.add_argument("--device", default="cpu", help='"cpu", "gpu" or "gpu:N"')
    group.add_argument("--mixture", choices=MIXTURES, default="ring", help="8 Gaussians on a circle, or 25 on a square")
    group.add_argument(
        "--objectives",
        nargs="+",
        choices=OBJECTIVES,
        default=["minimax", "non-saturating", "wasserstein-gp"],
        help="those to compare",
    )
    group.add_argument("--seeds", type=flags.positive, default=5, help="runs of each")
    group.add_argument("--seed", type=flags.seed, default=0, help="the first of the seeds")
    group.add_argument("--iterations", type=flags.positive, default=5000, help="generator steps of each run")
    group.add_argument(
        "--out", type=Path, default=Path("runs/mode_collapse"), help="folder for the figure and the runs"
    )
    group.add_argument("--resume", action="store_true", help="continue, without training again what is in --out")
    group = result.add_argument_group("the game")
    group.add_argument("--k", type=flags.positive, help="discriminator steps for each of the generator's")
    group.add_argument(
        "--penalty", type=flags.above_zero, default=0.1, help="weight of the gradient penalty of wasserstein-gp"
    )
    group.add_argument("--lr", type=flags.above_zero, default=1e-3, help="the discriminator's learning rate")
    group.add_argument("--generator-lr", type=flags.above_zero, help="the generator's (default: the same)")
    flags.add_average(group)
    flags.add_tricks(result)
    return result


if __name__ == "__main__":
    flags.run(run, parser())
