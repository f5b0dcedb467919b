"""The flags that all demos share, and errors told in one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minigen import data


def argument_parser(description: str | None, *, out: str, epochs: int, batch_size: int) -> argparse.ArgumentParser:
    """The flags of every demo, with these defaults."""
    parser = argparse.ArgumentParser(description=description, formatter_class=_Formatter)
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
    group.add_argument("--out", type=Path, default=Path(out), help="folder for figures, log, weights and checkpoint")
    group.add_argument("--resume", action="store_true", help="continue the run in --out exactly where it stopped")
    return parser


class _Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Shows defaults that say something, and leaves the description's lines as they are."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False) else super()._get_help_string(action)


def positive(text: str) -> int:
    """The `type` of a flag that takes a whole number of 1 or more."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"takes a number >= 1, got {text}")
    return number


def datasets(args: argparse.Namespace) -> tuple[data.Dataset, data.Dataset]:
    """The training and the test images of --dataset."""
    train_images, test_images = (
        data.load(args.dataset, split, data_dir=args.data_dir, size=args.image_size) for split in ("train", "test")
    )
    return train_images, test_images


def settings_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """The arguments that define a run: all but where it runs, how long, where its files are, and how it is judged."""
    free = {"device", "epochs", "out", "resume", "data_dir", "beside", "seeds", "objectives", "analogies", "exemplars"}
    chosen = {name: value for name, value in vars(arguments).items() if name not in free}
    return {name: str(value) if isinstance(value, Path) else value for name, value in chosen.items()}


@contextmanager
def errors_without_traceback() -> Iterator[None]:
    """What the user can put right (a missing file, a flag, no GPU) ends the program with one line, not a traceback."""
    try:
        yield
    except KeyboardInterrupt as interrupted:  # `train.Interrupted` says where all is saved
        if str(interrupted):
            print(interrupted, file=sys.stderr)
        raise SystemExit(130) from None
    except (ValueError, OSError, RuntimeError) as error:
        raise SystemExit(f"{Path(sys.argv[0]).name}: {error}") from None
