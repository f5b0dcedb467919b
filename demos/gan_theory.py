"""What the theory of GANs says, measured (Goodfellow et al. 2014; Arjovsky et al. 2017; Gulrajani et al. 2017).

On densities that are known exactly: a trained discriminator beside the optimal one, the value of the game beside the
Jensen-Shannon divergence, the gradients of the two generator losses, and WGAN's estimate beside the exact Wasserstein
distance; each is a file in `theory/`. Draws a figure for each into the folder --out, and prints a table: a claim, what
is expected, what was measured, and whether it holds.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import minigen
from common import flags
from minigen.train.forecast import duration
from theory import Claim, generator_losses, optimal_discriminator, value_of_the_game, wasserstein

EXPERIMENTS = (optimal_discriminator, value_of_the_game, generator_losses, wasserstein)


def run(args: argparse.Namespace) -> None:
    args.out.mkdir(parents=True, exist_ok=True)
    print(f"{'claim':65s}  {'expected':>15s}   measured")
    claims: list[Claim] = []
    start = time.monotonic()
    for experiment in EXPERIMENTS:
        minigen.manual_seed(args.seed)
        claims += (found := experiment.measure(args.steps, args.out))
        for claim in found:
            print(line(claim), flush=True)
        if experiment is EXPERIMENTS[0]:
            rest = duration((len(EXPERIMENTS) - 1) * (time.monotonic() - start))
            print(f"About {rest} for the other experiments; the first figure is in {args.out}/", flush=True)
    checked = [claim for claim in claims if claim.holds is not None]
    print(f"\n{sum(claim.holds for claim in checked)} of {len(checked)} claims hold. Figures are in {args.out}/")


def line(claim: Claim) -> str:
    mark = {True: "holds", False: "NOT MET", None: ""}[claim.holds]
    return f"{claim.text:65s}  {claim.expected:>15s}   {claim.measured:20s}  {mark}".rstrip()


def parser() -> flags.Parser:
    result = flags.Parser(__doc__, quick={"steps": 500})
    result.add_argument("--out", type=Path, default=Path("runs/gan_theory"), help="folder for the figures")
    result.add_argument("--seed", type=flags.seed, default=0, help="of all random numbers")
    result.add_argument(
        "--steps",
        type=flags.positive,
        default=1000,
        help="training steps of a discriminator; a critic takes half as many",
    )
    return result


if __name__ == "__main__":
    flags.run(run, parser())
