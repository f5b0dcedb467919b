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

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from minigen.backend import device
from minigen.capture import Captured
from minigen.nn import Module
from minigen.processes import Alone, changed_group, group
from minigen.random import separate_random
from minigen.train.divergence import Diverged
from minigen.train.forecast import Forecast, duration
from minigen.train.interruption import Interruption
from minigen.train.parallel import check_equal
from minigen.train.run import Metrics, Run


class Step(Protocol):
    """One update from a batch."""

    parts: Mapping[str, Any]
    """What a checkpoint holds, each with `state_dict` and `load_state_dict`: the modules and the optimizers."""

    def __call__(self, images: Any, labels: Any, /) -> Metrics:
        """Update from images (N, C, H, W) and labels (N,); returns what the bar and the log show.

        Numbers that are still on a GPU are read when the bar is next drawn, and before a checkpoint is written. A step
        with a method `look(metrics)` is then told them.
        """


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
    capture: bool = False,
    checkpoint_seconds: float = 30.0,
) -> list[dict[str, Any]]:
    """Train for `epochs` epochs, with everything that belongs to the run in the folder `out`; returns the log.

    evaluate    gives the metrics of the test set, after every epoch
    draw        called with the number of finished epochs, about 12 times in the run: writes figures
    report      turns a record of the log into the line that is printed as often; then a line is also printed after the
                first steps, which says how long the run will take
    resume      continue the run in `out`; otherwise an earlier run there is moved aside
    settings    what affects training (not how samples are drawn from the trained model, for example); resuming with
                another value of one is an error
    capture     on a GPU, record the step once and launch it as one from then on: `Captured` says what it must be like.
                Steps of several processes are not recorded

    In `out` are `log.jsonl` (a record for each epoch) and `checkpoint.safetensors` (written after every epoch and
    every `checkpoint_seconds`). One process at a time trains in a folder: `RuntimeError` names the other one. A run
    that is resumed just after an epoch, also after the last one, draws and reports that epoch once more, since the
    figures may not have been finished.

    After Ctrl-C, SIGTERM or SIGHUP, `train` finishes the current step, evaluation or drawing, saves, and raises
    `Interrupted`. A loss, a gradient or any state of training that is not finite raises `Diverged`, which names the
    step, the part of the model and the last good checkpoint; on a GPU only the loss and what a checkpoint holds are
    looked at, when the bar is drawn and before a checkpoint is written, so that no step has to wait.

    Several processes (`train.parallel`) call `train` alike. The first one begins or resumes the run and gives its state
    to the others; it draws, reports and saves. All of them call `evaluate`. A signal to one of them ends the run.
    """
    if out == "":
        raise ValueError("train: expects out to be a folder, got ''")
    if not isinstance(epochs, int | np.integer) or epochs < 0:
        raise ValueError(f"train: expects epochs to be 0, 1, 2 ..., got {epochs}")
    if capture and group().size == 1:
        step = Captured(step)
    run = Run(Path(out), step.parts, settings or {}, look=getattr(step, "look", lambda metrics: None))
    if run.group.rank > 0:  # the first process draws and reports
        draw = report = None
    shown = {1, epochs, *(round(epochs * i / 12) for i in range(1, 12))}
    place = next((part.device for part in step.parts.values() if isinstance(part, Module)), device())
    with (
        place,
        run.opened(resume) as moved,
        _progress_bar(run, epochs, len(loader)) as bar,
        Interruption() as interruption,
    ):
        if moved:
            _say(bar, f"The earlier run in {out} is now in {moved}.")
        forecast = Forecast()
        while True:
            if run.log and run.batch == 0 and run.epoch in shown:  # an epoch has just ended, or had when it was stopped
                with interruption.finishing("the figures", run):
                    _show(run.log[-1], report, draw, bar)
            if run.epoch >= epochs:
                return run.log
            bar.set_description(f"epoch {run.epoch + 1}/{epochs}")
            for images, labels in loader.epoch(run.epoch, start=run.batch):
                with interruption.finishing("this step", run):
                    _one_step(run, step, images, labels, bar)
                    if (made := run.epoch * len(loader) + run.batch) % 100 == 0:
                        check_equal(step.parts, made, run.group)
                    if (seconds := forecast.after_step()) and report:
                        _say(bar, _outlook(seconds, run, len(loader), epochs, shown))
                run.save_if_older_than(checkpoint_seconds)
            with interruption.finishing("the evaluation", run):
                run.check_finite()
                with separate_random(seed=0):
                    test = evaluate() if evaluate else {}
                run.end_epoch(test)


def _show(record: dict[str, Any], report: Callable[[dict], str] | None, draw: Callable | None, bar: Any) -> None:
    """Print the line of an epoch, and draw its figures."""
    if report:
        _say(bar, report(record))
    if draw:
        with separate_random(seed=0), changed_group(Alone()):
            draw(record["epoch"])


def _one_step(run: Run, step: Step, images: Any, labels: Any, bar: Any) -> None:
    """Make the step, and show the mean metrics of the epoch so far in the bar."""
    try:
        with np.errstate(all="ignore"):  # an overflow is reported as `Diverged`
            run.add(step(images, labels))
    except Diverged as error:
        raise run.diverged(run.batch + 1, str(error)) from None
    if bar.update():  # it was just drawn, so it is time to look at what is on a GPU
        run.read()
    bar.set_postfix({name: f"{value:.4g}" for name, value in run.averages().items()}, refresh=False)


def _outlook(seconds: float, run: Run, batches: int, epochs: int, shown: set[int]) -> str:
    """How long the training will take, and that of the epochs before the next figures, at so many seconds a step."""
    done = run.epoch * batches + run.batch
    next_figures = min(epoch for epoch in shown if epoch > run.epoch)
    until = lambda epoch: duration(seconds * (epoch * batches - done))
    return f"About {until(epochs)} of training for {epochs} epochs; the next figures in about {until(next_figures)}"


def _progress_bar(run: Run, epochs: int, batches: int) -> Any:
    from tqdm import tqdm

    done = run.epoch * batches + run.batch
    hidden = True if run.group.rank > 0 else None  # None: it is hidden unless there is a terminal
    return tqdm(total=epochs * batches, initial=done, unit="step", leave=False, disable=hidden)


def _say(bar: Any, line: str) -> None:
    """Print a line above the progress bar. If the output has been closed (a broken pipe), training goes on."""
    try:
        bar.write(line, file=sys.stdout)
        sys.stdout.flush()
    except OSError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
