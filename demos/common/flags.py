"""The flags that demos share, and errors told in one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import minigen
from minigen import data
from minigen.models import Tricks
from minigen.models.tricks import NOISES


def run(demo: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> None:
    """Parse the command line, then run `demo(args)` on the device that it names."""
    args = parser.parse_args()
    with errors_without_traceback(), minigen.device(getattr(args, "device", "cpu")):
        demo(args)


@contextmanager
def errors_without_traceback() -> Iterator[None]:
    """What the user can correct (a missing file, a flag, no GPU) ends the program with one line, not a traceback."""
    try:
        yield
    except KeyboardInterrupt as interrupted:  # `train.Interrupted` says where all is saved
        if str(interrupted):
            print(interrupted, file=sys.stderr)
        raise SystemExit(130) from None
    except (ValueError, OSError, RuntimeError) as error:
        raise SystemExit(f"{Path(sys.argv[0]).name}: {error}") from None


class Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows the defaults that are not None or False, and keeps the line breaks of the description."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False) else super()._get_help_string(action)


def positive(text: str) -> int:
    """The `type` of a flag that expects a whole number of 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"expects a number >= 1, got {text}")
    return number


# -- a training run ----------------------------------------------------------------------------------------------------


def training_parser(
    description: str | None, *, out: str | None, epochs: int | None, batch_size: int
) -> argparse.ArgumentParser:
    """A parser with the flags of every demo that trains on images; the demo fills in a default that is None."""
    parser = argparse.ArgumentParser(description=description, formatter_class=Formatter)
    group = parser.add_argument_group("the run")
    group.add_argument("--device", default="cpu", help='"cpu", "gpu" or "gpu:N"')
    group.add_argument(
        "--dataset",
        default="digits",
        help="digits, coloured_digits, mnist, fashion-mnist, cifar10, or a folder of images",
    )
    group.add_argument("--image-size", type=positive, default=32, help="side that the images of a folder get")
    group.add_argument("--data-dir", type=Path, help="where data files are or go (or MINIGEN_DATA; by default a cache)")
    group.add_argument("--epochs", type=positive, default=epochs, help="passes over the training set")
    group.add_argument("--batch-size", type=positive, default=batch_size, help="images in a step")
    group.add_argument("--seed", type=int, default=0, help="of all random numbers")
    group.add_argument(
        "--out", type=Path, default=out and Path(out), help="folder for figures, log, weights and checkpoint"
    )
    group.add_argument("--resume", action="store_true", help="continue the run in --out exactly where it stopped")
    return parser


def datasets(args: argparse.Namespace) -> tuple[data.Dataset, data.Dataset]:
    """The training and the test images of --dataset."""
    load = lambda split: data.load(args.dataset, split, data_dir=args.data_dir, size=args.image_size)
    return load("train"), load("test")


NOT_SETTINGS = {"device", "data_dir", "epochs", "out", "resume"} | {
    *("beside", "objectives", "seeds", "analogies", "exemplars")  # these say what is done with trained models
}


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """The flags that define a run, with which it must be resumed: all but `NOT_SETTINGS`."""
    chosen = {name: value for name, value in vars(args).items() if name not in NOT_SETTINGS}
    return {name: str(value) if isinstance(value, Path) else value for name, value in chosen.items()}


# -- autoregressive models ---------------------------------------------------------------------------------------------


def add_pixel_flags(parser: argparse.ArgumentParser) -> Any:
    """The flags of every autoregressive model; returns the group for those of one model."""
    group = parser.add_argument_group("the model")
    group.add_argument(
        "--levels", type=positive, help="values of a pixel and colour, 2 ... 256 (default: 2, with colours 256)"
    )
    group.add_argument("--lr", type=float, default=2e-3, help="Adam's rate, which falls to 0 in the second half")
    group.add_argument("--temperature", type=float, default=1.0, help="of the samples: below 1 likelier ones")
    group.add_argument("--head", type=positive, default=32, help="features before the output, for each colour")
    return group


# -- generative adversarial networks -----------------------------------------------------------------------------------


def add_tricks(parser: argparse.ArgumentParser) -> None:
    """The flags that become `Tricks`."""
    group = parser.add_argument_group("folklore that sometimes helps, off by default")
    group.add_argument("--noise", choices=NOISES, default="normal", help="distribution of z")
    group.add_argument("--label-smoothing", type=float, default=0.0, help="the data's label is 1 minus this")
    group.add_argument("--label-flips", type=float, default=0.0, help="share of labels that are wrong on purpose")
    group.add_argument("--instance-noise", type=float, default=0.0, help="std of noise on D's input, which decays")
    group.add_argument("--mixed-batch", action="store_true", help="data and samples in one batch through D, not apart")


def tricks(args: argparse.Namespace, rounds: int) -> Tricks:
    """Those flags, for a game of so many rounds: the instance noise decays within the first half."""
    names = ("noise", "label_smoothing", "label_flips", "instance_noise", "mixed_batch")
    return Tricks(**{name: getattr(args, name) for name in names}, instance_noise_rounds=max(rounds // 2, 1))


def add_judge_flags(parser: argparse.ArgumentParser) -> None:
    """The flags of the comparison at the end."""
    parser.add_argument_group("at the end").add_argument(
        "--beside",
        nargs="*",
        type=Path,
        default=[Path("runs/gan"), Path("runs/vae")],
        help="folders of other runs whose samples the same classifier judges",
    )
