"""The flags that demos share, and errors told in one line."""

from __future__ import annotations

import argparse
import errno
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import minigen
from common.own_image import one_image
from minigen import data, train
from minigen.files import locked
from minigen.models import Tricks
from minigen.models.tricks import NOISES
from minigen.nn import Module
from minigen.processes import group

Model = TypeVar("Model", bound=Module)


def run(demo: Callable[[argparse.Namespace], None], parser: Parser) -> None:
    """Parse the command line, then run `demo(args)` on the device that it names."""
    args = parser.parse_args()
    with errors_without_traceback(), processes(args), errors_without_traceback(), minigen.device(device_of(args)):
        if args.quick:
            print(f"A quick run, for a first look: {parser.quick_values}")
        demo(args)


# -- several processes -------------------------------------------------------------------------------------------------


@contextmanager
def processes(args: argparse.Namespace) -> Iterator[None]:
    """With --parallel, this process computes together with the others that `mpiexec` started; the first one prints."""
    if not getattr(args, "parallel", False):
        yield
        return
    with train.parallel.together() as together, open(os.devnull, "w") as nowhere, warnings.catch_warnings():
        print(together) if together.rank == 0 else warnings.simplefilter("ignore")
        with redirect_stdout(nowhere) if together.rank > 0 else nullcontext():
            yield


def device_of(args: argparse.Namespace) -> str:
    """The device --device; with --parallel and "gpu", a card of its own for each process of a machine."""
    name = getattr(args, "device", "cpu")
    return f"gpu:{getattr(group(), 'place', 0)}" if name == "gpu" else name


# -- errors ------------------------------------------------------------------------------------------------------------

ADVICE = {
    errno.ENOSPC: "make room there, or choose --out on another disk",
    errno.EDQUOT: "make room there, or choose --out on another disk",
    errno.EROFS: "choose --out on a disk that can be written",
    errno.EEXIST: "something else has that name: choose another --out",
    errno.ENOTDIR: "a file is in the place of a folder: choose another --out",
}


@contextmanager
def errors_without_traceback() -> Iterator[None]:
    """What the user can correct (a missing file, a full disk, no GPU) ends the program with one line, not a traceback.

    The exit status is 1 after an error, 130 after Ctrl-C, as in a shell; argparse ends with 2 if a flag is wrong. When
    the reader of a pipe has gone, as in `... | head`, there is nobody to tell, and the status alone is 1.
    """
    try:
        yield
        sys.stdout.flush()
    except KeyboardInterrupt as interrupted:  # `train.Interrupted` says where all is saved
        if group().rank == 0:
            print(str(interrupted) or "Interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except BrokenPipeError:
        os.dup2(
            os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno()
        )  # for what Python still wants to write at its end
        raise SystemExit(1) from None
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        raise SystemExit(f"{Path(sys.argv[0]).name}: {in_one_line(error)}") from None


def in_one_line(error: Exception) -> str:
    """What is wrong, with the name of the file if it is about one, and what to do about it."""
    if isinstance(error, MemoryError):
        return f"out of memory ({str(error) or 'no details'}); a smaller --batch-size or a smaller model needs less"
    text = str(error)
    if isinstance(error, OSError) and error.filename is not None:
        text = f"{error.filename}: {error.strerror}"
    advice = ADVICE.get(getattr(error, "errno", None) or getattr(error.__cause__, "errno", None) or 0)
    return f"{text}; {advice}" if advice else text


# -- parsing -----------------------------------------------------------------------------------------------------------


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Shows the defaults that are not None or False, as on a command line, and keeps the description's line breaks."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        hidden = any(action.default is x for x in (None, False, argparse.SUPPRESS))
        return action.help if hidden else f"{action.help} (default: {text(action.default)})"


class Parser(argparse.ArgumentParser):
    """A parser that tells a mistake in one line.

    `quick` are the values of --quick, which other flags get where they are not given; without them there is no --quick.
    """

    def __init__(self, description: str | None, quick: dict[str, Any]) -> None:
        super().__init__(description=description, formatter_class=Formatter)
        self.quick = quick
        self.quick_values = " ".join(f"--{name.replace('_', '-')} {text(value)}" for name, value in quick.items())
        help = f"a first look soon: {self.quick_values}, where these are not given"
        self.set_defaults(quick=False)
        if quick:
            self.add_argument("--quick", action="store_true", help=help)

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> argparse.Namespace:  # type: ignore[override]
        """The flags, with the defaults that depend on other flags."""
        given = super().parse_args(args, namespace)
        if given.quick:
            self.set_defaults(**self.quick)
        if getattr(given, "weights", None):
            self.set_defaults(out=Path(f"runs/{Path(self.prog).stem}-weights"))
        return super().parse_args(args, namespace)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message} (--help explains the flags)\n")


def text(value: Any) -> str:
    """A value, or several, as on a command line."""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def number(expects: str, convert: Callable[[str], Any], accepts: Callable[[Any], bool]) -> Callable[[str], Any]:
    """The `type` of a flag with a number that `accepts` allows; `expects` says in words which these are."""

    def parse(given: str) -> Any:
        try:
            value = convert(given)
        except ValueError:
            value = math.nan  # which no condition accepts
        if not accepts(value):
            raise argparse.ArgumentTypeError(f"expects {expects}, got {given}")
        return value

    return parse


positive = number("a whole number >= 1", int, lambda n: n >= 1)
seed = number("a whole number from 0 to 2**64 - 1", int, lambda n: 0 <= n < 2**64)
levels = number("a whole number from 2 to 256", int, lambda n: 2 <= n <= 256)
above_zero = number("a number > 0", float, lambda x: 0 < x < math.inf)
at_least_zero = number("a number >= 0", float, lambda x: 0 <= x < math.inf)
share = number("a number from 0 to 1", float, lambda x: 0 <= x <= 1)
below_one = number("a number >= 0 and < 1", float, lambda x: 0 <= x < 1)


# -- a training run ----------------------------------------------------------------------------------------------------


def training_parser(
    description: str | None, *, out: str | None, epochs: int | None, batch_size: int | None, quick: dict[str, Any]
) -> Parser:
    """A parser with the flags of every demo that trains on images; the demo fills in a default that is None."""
    parser = Parser(description, quick)
    group = parser.add_argument_group("the run")
    add_data(group)
    group.add_argument("--epochs", type=positive, default=epochs, help="passes over the training set")
    group.add_argument("--batch-size", type=positive, default=batch_size, help="images in a step")
    group.add_argument("--seed", type=seed, default=0, help="of all random numbers")
    group.add_argument("--parallel", action="store_true", help="train with all processes of `mpiexec -n N python ...`")
    group.add_argument(
        "--out", type=Path, default=out and Path(out), help="folder for figures, log, weights and checkpoint"
    )
    either = group.add_mutually_exclusive_group()
    either.add_argument("--resume", action="store_true", help="continue the run in --out exactly where it stopped")
    help = "use the model in this weights file, and do not train; an old file also needs the flags of its training"
    either.add_argument("--weights", type=Path, help=help)
    help = "begin the training with the weights in this file, of a model that has the same flags"
    either.add_argument("--start", type=Path, metavar="WEIGHTS", help=help)
    return parser


def add_data(group: Any) -> None:
    """The flags of the device and of the data set."""
    group.add_argument("--device", default="cpu", help='"cpu", "gpu" or "gpu:N"')
    group.add_argument(
        "--dataset",
        default="digits",
        help="digits, coloured_digits, mnist, fashion-mnist, cifar10, or a folder of images",
    )
    group.add_argument("--image-size", type=positive, default=32, help="side that the images of a folder get")
    group.add_argument("--data-dir", type=Path, help="where data files are or go (or MINIGEN_DATA; by default a cache)")


def datasets(args: argparse.Namespace) -> tuple[data.Dataset, data.Dataset]:
    """The training and the test images of --dataset; with --image, that image takes the place of the test images."""
    load = lambda split: data.load(args.dataset, split, data_dir=args.data_dir, size=args.image_size)
    images, test_images = load("train"), load("test")
    if (own := getattr(args, "image", None)) is not None:
        if args.weights is None:
            raise ValueError("--image needs --weights: it is shown to a model that is trained")
        test_images = one_image(own, test_images)
    return images, test_images


def add_image(group: Any) -> None:
    """The flag of an image of one's own."""
    group.add_argument(
        "--image", help="with --weights: an image file, or the number of a test image, in place of the test images"
    )


def new_or_loaded(args: argparse.Namespace, images: data.Dataset, kind: type[Model], new: Callable[[], Model]) -> Model:
    """The model of the file --weights if that is given, else `new()`, with the weights of --start if they are given.

    A file that does not name its model is read into a new one, which must have its shapes. `ValueError` if its model is
    of another kind, or for other images.
    """
    if args.weights is None:
        fresh = new()
        if args.start is not None:
            minigen.load(args.start, into=fresh)
        return fresh
    model: Any = minigen.load(args.weights)
    if isinstance(model, dict):
        if any("/" in name for name in model):
            raise ValueError(f"{args.weights}: expects weights, got a checkpoint; beside it is weights.safetensors")
        minigen.load(args.weights, into=(model := new()))
    if not isinstance(model, kind):
        raise ValueError(f"{args.weights}: expects weights of {kind.__name__}, got those of {type(model).__name__}")
    if (shape := getattr(model, "image_shape", images.image_shape)) != images.image_shape:
        raise ValueError(f"{args.weights}: expects images {shape}, those of {args.dataset} are {images.image_shape}")
    if (classes := getattr(model, "classes", None)) not in (None, len(images.classes)):
        raise ValueError(f"{args.weights}: expects {classes} classes, {args.dataset} has {len(images.classes)}")
    return model


@contextmanager
def own_folder(out: Path) -> Iterator[None]:
    """Inside the block the folder --out belongs to this process: what it writes after the training does not fall into
    the folder of another run, which was started in the meantime. Of several processes, only the first one goes on."""
    train.parallel.first_goes_on()
    out.mkdir(parents=True, exist_ok=True)
    with locked(out):
        yield


NOT_SETTINGS = {
    *("device", "data_dir", "epochs", "out", "resume", "quick", "weights", "start", "parallel"),
    *("beside", "image", "importance_samples", "temperature"),  # these say what is done with trained models
    *("objectives", "seeds", "analogies", "exemplars"),
}


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """The flags that affect training, with which a run must be resumed: all but `NOT_SETTINGS`."""
    chosen = {name: value for name, value in vars(args).items() if name not in NOT_SETTINGS}
    return {name: str(value) if isinstance(value, Path) else value for name, value in chosen.items()}


# -- autoregressive models ---------------------------------------------------------------------------------------------


def add_pixel_flags(parser: argparse.ArgumentParser) -> Any:
    """The flags of every autoregressive model; returns the group for those of one model."""
    group = parser.add_argument_group("the model")
    group.add_argument(
        "--levels", type=levels, help="values of a pixel and colour, 2 ... 256 (default: 2, with colours 256)"
    )
    group.add_argument("--lr", type=above_zero, default=4e-3, help="Adam's rate, which falls to 0 in the second half")
    group.add_argument("--temperature", type=above_zero, default=1.0, help="of the samples: below 1 likelier ones")
    group.add_argument("--head", type=positive, default=32, help="features before the output, for each colour")
    return group


# -- generative adversarial networks -----------------------------------------------------------------------------------


def add_average(group: Any) -> None:
    """The flag of the generator's running average."""
    group.add_argument(
        "--average", type=below_one, default=0.995, help="decay of the generator's weight average; 0: none"
    )


def add_tricks(parser: argparse.ArgumentParser, noise: str | None = "normal", help: str = "distribution of z") -> None:
    """The flags that become `Tricks`."""
    group = parser.add_argument_group("folklore that sometimes helps")
    group.add_argument("--noise", choices=NOISES, default=noise, help=help)
    group.add_argument("--label-smoothing", type=below_one, default=0.0, help="the data's label is 1 minus this")
    group.add_argument("--label-flips", type=share, default=0.0, help="share of labels that are wrong on purpose")
    group.add_argument(
        "--instance-noise", type=at_least_zero, default=0.0, help="std of noise on D's input, which decays"
    )
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
