"""The bookkeeping of a training run: where it stands, its log and its checkpoint, all in one folder."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Any

from minigen import backend
from minigen.backend import array_module
from minigen.checkpoint import atomic_write, load_checkpoint, load_progress, save_checkpoint
from minigen.nn import Module

Metrics = dict[str, float]


class Diverged(RuntimeError):
    """A loss or a parameter is not a finite number any more."""


class Run:
    """A run in the folder `out`.

    parts      what the checkpoint holds: modules and optimizers by name
    settings   what defines the run; only a run with the same settings can be resumed
    """

    def __init__(self, out: Path, parts: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
        self.out, self.parts = out, parts
        self.settings = json.loads(json.dumps(dict(settings)))  # as a checkpoint gives them back: tuples become lists
        self.checkpoint, self.log_file = out / "checkpoint.safetensors", out / "log.jsonl"
        self.epoch = self.batch = 0  # finished epochs, and finished batches of the present one
        self.sums: Metrics = {}  # of the metrics in the present epoch
        self.log: list[dict[str, Any]] = []
        self.seconds, self.since = 0.0, time.monotonic()  # spent until `since`, the last save

    # -- beginning ---------------------------------------------------------------------------------------------------

    def start(self) -> Path | None:
        """Begin in an empty folder. An earlier run there is moved to `<out>.1` or the next free name: returns which."""
        moved = None
        if self.checkpoint.exists() or self.log_file.exists():
            names = (self.out.with_name(f"{self.out.name}.{number}") for number in count(1))
            moved = next(path for path in names if not path.exists())
            self.out.rename(moved)
        self.out.mkdir(parents=True, exist_ok=True)
        return moved

    def resume(self) -> None:
        """Go on where the checkpoint stands.

        `FileNotFoundError` if there is none, `ValueError` if the settings differ or a file is damaged.
        """
        if not self.checkpoint.exists():
            raise FileNotFoundError(f"{self.checkpoint}: there is no run to resume")
        self._check_settings(load_progress(self.checkpoint).get("settings", {}))
        log = list(_records(self.log_file))
        progress = load_checkpoint(self.checkpoint, self.parts)
        self.epoch, self.batch, self.sums = progress["epoch"], progress["batch"], progress["sums"]
        self.seconds = progress["seconds"]
        backend.set_random_state(progress["random"])
        self.log = [record for record in log if record["epoch"] <= self.epoch]
        self._write_log()

    def _check_settings(self, before: dict[str, Any]) -> None:
        names = sorted(before.keys() | self.settings.keys())
        changed = [name for name in names if before.get(name) != self.settings.get(name)]
        if changed:
            was = ", ".join(f"{name}={before.get(name)}, now {self.settings.get(name)}" for name in changed)
            raise ValueError(f"{self.out}: cannot resume with other settings (the run has {was})")

    # -- progress ----------------------------------------------------------------------------------------------------

    def add(self, metrics: Metrics) -> None:
        """One more batch is done."""
        self.batch += 1
        for name, value in metrics.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def averages(self) -> Metrics:
        """The mean metrics of the present epoch so far."""
        return {name: value / self.batch for name, value in self.sums.items()}

    def end_epoch(self, test: Metrics) -> dict[str, Any]:
        """Log the epoch, save, and return the epoch's record."""
        seconds = round(self.seconds + time.monotonic() - self.since, 3)
        record = {"epoch": self.epoch + 1, "train": self.averages(), "test": test, "seconds": seconds}
        self.log.append(record)
        self.epoch, self.batch, self.sums = self.epoch + 1, 0, {}
        self._write_log()
        self.save()
        return record

    # -- saving ------------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the checkpoint; `Diverged`, with the last good one left in place, if a parameter is not finite."""
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

    def save_if_older_than(self, seconds: float) -> None:
        """Write the checkpoint if the last one is older than that."""
        if time.monotonic() - self.since > seconds:
            self.save()

    def _write_log(self) -> None:
        with atomic_write(self.log_file) as temporary:
            temporary.write_text("".join(json.dumps(record) + "\n" for record in self.log))

    # -- when numbers are not finite ---------------------------------------------------------------------------------

    def check_parameters(self) -> None:
        """Raise `Diverged` if a parameter is not finite."""
        for part, owner in self.parts.items():
            if isinstance(owner, Module) and (bad := bad_parameter(owner)):
                raise self.diverged(self.batch, f"{part}: {bad}")

    def diverged(self, step: int, what: str) -> Diverged:
        """The error that says where and what went wrong, and which checkpoint is the last good one."""
        good = "there is no checkpoint yet"
        if self.checkpoint.exists():
            at = load_progress(self.checkpoint)
            good = f"the last good checkpoint is {self.checkpoint} (epoch {at['epoch'] + 1}, step {at['batch']})"
        return Diverged(f"epoch {self.epoch + 1}, step {step}: {what}; {good}")


def bad_parameter(model: Module) -> str:
    """What is wrong with the first parameter that is not finite; empty if all are."""
    for name, p in model.named_parameters():
        if not bool(array_module(p.data).isfinite(p.data).all()):
            return f"the parameter {name} has values that are NaN or infinite"
    return ""


def _records(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            try:
                yield json.loads(line)
            except ValueError:
                raise ValueError(f"{path}: line {number} is damaged") from None
