"""The training loop that all models share.

    for epoch in range(epochs):
        for images, labels in loader.epoch(epoch):
            metrics = step(images, labels)
        evaluate, log, draw, save

A `step` is one update, such as `MaximumLikelihood`; everything around it is here: the progress bar, the log, the
figures, and checkpoints from which an interrupted or killed run continues to exactly the same bits. Batches depend on
the seed, the epoch and their number alone, and the random numbers that the model draws are part of the checkpoint.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from minigen import backend
from minigen.train.run import Diverged, Metrics, Run


class Interrupted(KeyboardInterrupt):
    """Ctrl-C (or SIGTERM) ended a run, after everything was saved."""


class Step(Protocol):
    """One update from a batch."""

    parts: Mapping[str, Any]
    """What a checkpoint holds, each with `state_dict` and `load_state_dict`: the modules and the optimizers."""

    def __call__(self, images: Any, labels: Any) -> Metrics:
        """Update from images (N, C, H, W) and labels (N,); returns what the bar and the log show."""


class Batches(Protocol):
    """What gives the batches of each epoch: a `data.Loader` or `data.toy.Draws`."""

    def __len__(self) -> int:
        """Batches in an epoch."""

    def epoch(self, epoch: int, start: int = 0) -> Iterator[tuple[Any, Any]]:
        """(images, labels) of the batches of that epoch, from number `start` on."""


def train(
    step: Step,
    loader: Batches,
    *,
    epochs: int,
    out: str | Path,
    evaluate: Callable[[], Metrics] | None = None,
    draw: Callable[[int], None] | None = None,
    report: Callable[[dict], str] | None = None,
    resume: bool = False,
    settings: Mapping[str, Any] | None = None,
    checkpoint_seconds: float = 30.0,
) -> list[dict[str, Any]]:
    """Train for `epochs` epochs, with everything that belongs to the run in the folder `out`; returns the log.

    evaluate    gives the metrics of the test set, after every epoch
    draw        called with the number of finished epochs, about 12 times in the run: writes figures
    report      turns a record of the log into the line that is printed as often
    resume      continue the run in `out`; otherwise an earlier run there is moved aside
    settings    what defines the run; resuming with other settings is an error

    In `out` are `log.jsonl` (a record for each epoch) and `checkpoint.safetensors` (written after every epoch and
    every `checkpoint_seconds`). Ctrl-C saves and raises `Interrupted`. A loss or a parameter that is not finite raises
    `Diverged`, which names the step, the part of the model and the last good checkpoint.
    """
    run = Run(Path(out), step.parts, settings or {})
    moved = None if resume else run.start()
    if resume:
        run.resume()
    shown = {1, epochs, *(round(epochs * i / 12) for i in range(1, 12))}
    with _progress_bar(run, epochs, len(loader)) as bar, _interruptible() as interrupted:
        if moved:
            _say(bar, f"The earlier run in {out} is now in {moved}.")
        while run.epoch < epochs:
            bar.set_description(f"epoch {run.epoch + 1}/{epochs}")
            for images, labels in loader.epoch(run.epoch, start=run.batch):
                _one_step(run, step, images, labels, bar)
                if interrupted.is_set():
                    run.save()
                    raise Interrupted(f"Interrupted in epoch {run.epoch + 1}. All is saved in {out}; --resume goes on.")
                run.save_if_older_than(checkpoint_seconds)
            run.check_parameters()
            with backend.separate_random(seed=0):
                test = evaluate() if evaluate else {}
            record = run.end_epoch(test)
            if report and record["epoch"] in shown:
                _say(bar, report(record))
            if draw and record["epoch"] in shown:
                with backend.separate_random(seed=0):
                    draw(record["epoch"])
    return run.log


def _one_step(run: Run, step: Step, images: Any, labels: Any, bar: Any) -> None:
    """Make the step, and show the mean metrics of the epoch so far in the bar."""
    try:
        run.add(step(images, labels))
    except Diverged as error:
        raise run.diverged(run.batch + 1, str(error)) from None
    bar.update()
    bar.set_postfix({name: f"{value:.4g}" for name, value in run.averages().items()}, refresh=False)


def _progress_bar(run: Run, epochs: int, batches: int) -> Any:
    from tqdm import tqdm

    done = run.epoch * batches + run.batch
    return tqdm(total=epochs * batches, initial=done, unit="step", leave=False, disable=None)


def _say(bar: Any, line: str) -> None:
    """A line of output, above the progress bar."""
    bar.write(line, file=sys.stdout)
    sys.stdout.flush()


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """The first Ctrl-C (or SIGTERM) sets the event, so that the step in progress ends; the second is as usual."""
    asked = threading.Event()
    in_main_thread = threading.current_thread() is threading.main_thread()  # only there can signals be caught
    before: dict[int, Any] = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)} if in_main_thread else {}

    def ask(number: int, frame: Any) -> None:
        asked.set()
        signal.signal(number, before[number])

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
