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

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from minigen import backend
from minigen.backend import array_module
from minigen.checkpoint import atomic_write, load_checkpoint, load_progress, save_checkpoint
from minigen.nn import Module

Metrics = dict[str, float]


class Diverged(RuntimeError):
    """A loss or a parameter is not a finite number any more."""


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
    every `checkpoint_seconds`). Ctrl-C saves and ends the program with exit status 130. A loss or a parameter that
    is not finite raises `Diverged`, which names the step, the part of the model and the last good checkpoint.
    """
    from tqdm import tqdm

    run = _Run(Path(out), step.parts, dict(settings or {}))
    if resume:
        run.continue_()
    else:
        run.start()
    rows = {1, epochs, *(round(epochs * i / 12) for i in range(1, 12))}
    bar = tqdm(
        total=epochs * len(loader), initial=run.epoch * len(loader) + run.batch, unit="step", leave=False, disable=None
    )
    saved = time.monotonic()
    with bar, _interruptible() as interrupted:
        while run.epoch < epochs:
            bar.set_description(f"epoch {run.epoch + 1}/{epochs}")
            for images, labels in loader.epoch(run.epoch, start=run.batch):
                try:
                    metrics = step(images, labels)
                except Diverged as error:
                    raise Diverged(f"epoch {run.epoch + 1}, step {run.batch + 1}: {error}; {run.last_good()}") from None
                run.add(metrics)
                bar.update()
                bar.set_postfix({name: f"{value:.4g}" for name, value in run.averages().items()}, refresh=False)
                if interrupted.is_set():
                    run.save()
                    bar.close()
                    print(
                        f"Interrupted in epoch {run.epoch + 1}. All is saved in {out}; --resume goes on.",
                        file=sys.stderr,
                    )
                    raise SystemExit(130)
                if time.monotonic() - saved > checkpoint_seconds:
                    run.save()
                    saved = time.monotonic()
            run.check_parameters()
            with backend.separate_random(seed=0):
                test = evaluate() if evaluate else {}
            record = run.end_epoch(test)
            if record["epoch"] in rows:
                if report:
                    bar.write(report(record), file=sys.stdout)
                    sys.stdout.flush()
                if draw:
                    with backend.separate_random(seed=0):
                        draw(record["epoch"])
    return run.log


class _Run:
    """The bookkeeping of a run: where it is, its log, its checkpoint."""

    def __init__(self, out: Path, parts: Mapping[str, Any], settings: dict[str, Any]) -> None:
        self.out, self.parts = out, parts
        self.settings = json.loads(json.dumps(settings))  # as a checkpoint gives them back: a tuple becomes a list
        self.checkpoint, self.log_file = out / "checkpoint.safetensors", out / "log.jsonl"
        self.epoch = self.batch = 0  # finished epochs, and finished batches of the present one
        self.sums: Metrics = {}  # of the present epoch
        self.log: list[dict[str, Any]] = []
        self.seconds, self.since = 0.0, time.monotonic()

    def start(self) -> None:
        """Begin in an empty folder: an earlier run in it gets another name, `<folder>.1` or the next one free."""
        if self.checkpoint.exists() or self.log_file.exists():
            number = 1
            while (aside := self.out.with_name(f"{self.out.name}.{number}")).exists():
                number += 1
            self.out.rename(aside)
            print(f"The earlier run in {self.out} is now in {aside}.")
        self.out.mkdir(parents=True, exist_ok=True)

    def continue_(self) -> None:
        """Take up the run where its checkpoint left it."""
        if not self.checkpoint.exists():
            raise FileNotFoundError(f"{self.checkpoint}: there is no run to resume")
        before = load_progress(self.checkpoint).get("settings", {})
        names = sorted(before.keys() | self.settings.keys())
        changed = [name for name in names if before.get(name) != self.settings.get(name)]
        if changed:
            was = ", ".join(f"{name}={before.get(name)}, now {self.settings.get(name)}" for name in changed)
            raise ValueError(f"{self.out}: cannot resume with other settings (the run has {was})")
        log = list(_records(self.log_file))
        progress = load_checkpoint(self.checkpoint, self.parts)
        self.epoch, self.batch, self.sums = progress["epoch"], progress["batch"], progress["sums"]
        self.seconds = progress["seconds"]
        backend.set_random_state(progress["random"])
        self.log = [record for record in log if record["epoch"] <= self.epoch]
        self._write_log()

    def add(self, metrics: Metrics) -> None:
        """One more batch is done."""
        self.batch += 1
        for name, value in metrics.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def averages(self) -> Metrics:
        """The metrics of the present epoch so far."""
        return {name: value / self.batch for name, value in self.sums.items()}

    def end_epoch(self, test: Metrics) -> dict[str, Any]:
        """Log the epoch and save."""
        seconds = round(self.seconds + time.monotonic() - self.since, 3)
        record = {"epoch": self.epoch + 1, "train": self.averages(), "test": test, "seconds": seconds}
        self.log.append(record)
        self.epoch, self.batch, self.sums = self.epoch + 1, 0, {}
        self._write_log()
        self.save()
        return record

    def check_parameters(self) -> None:
        """Raise `Diverged` if a parameter has gone bad."""
        for part, owner in self.parts.items():
            if isinstance(owner, Module) and (bad := bad_parameter(owner)):
                raise Diverged(f"epoch {self.epoch + 1}, step {self.batch}: {part}: {bad}; {self.last_good()}")

    def save(self) -> None:
        """Write the checkpoint, unless a parameter has gone bad: the last good one stays."""
        self.check_parameters()
        now = time.monotonic()
        self.seconds, self.since = self.seconds + now - self.since, now
        progress = {
            "epoch": self.epoch,
            "batch": self.batch,
            "sums": self.sums,
            "seconds": self.seconds,
            "random": backend.random_state(),
            "settings": self.settings,
        }
        save_checkpoint(self.checkpoint, self.parts, progress)

    def last_good(self) -> str:
        """Where to go back to."""
        if not self.checkpoint.exists():
            return "there is no checkpoint yet"
        progress = load_progress(self.checkpoint)
        return (
            f"the last good checkpoint is {self.checkpoint} (epoch {progress['epoch'] + 1}, step {progress['batch']})"
        )

    def _write_log(self) -> None:
        with atomic_write(self.log_file) as temporary:
            temporary.write_text("".join(json.dumps(record) + "\n" for record in self.log))


def _records(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            try:
                yield json.loads(line)
            except ValueError:
                raise ValueError(f"{path}: line {number} is damaged") from None


def bad_parameter(model: Module) -> str:
    """What is wrong with the first parameter that is not finite; empty if all are."""
    for name, p in model.named_parameters():
        if not bool(array_module(p.data).isfinite(p.data).all()):
            return f"the parameter {name} has values that are NaN or infinite"
    return ""


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
