"""The bookkeeping of a training run: where it stands, its log and its checkpoint, all in one folder."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from minigen.autograd import raw
from minigen.backend import array_module, on_host, to_numpy
from minigen.checkpoint import load_checkpoint, load_progress, save_checkpoint
from minigen.files import atomic_write, locked
from minigen.processes import group
from minigen.random import random_state, set_random_state
from minigen.train.divergence import Diverged, check_finite
from minigen.train.parallel import broadcast_json, broadcast_parts

Metrics = dict[str, Any]
"""Numbers by name. Those that a GPU computes are 0-d arrays, for which nothing waits until `Run.read` fetches them."""


class Run:
    """A run in the folder `out`. Of several processes, only the first one reads and writes there.

    parts      what the checkpoint holds: modules and optimizers by name
    settings   what affects training; a run is resumed only with the same values
    look       called with the metrics of each step that `read` has fetched
    """

    def __init__(
        self,
        out: Path,
        parts: Mapping[str, Any],
        settings: Mapping[str, Any],
        look: Callable[[Metrics], None] = lambda metrics: None,
    ) -> None:
        self.out, self.parts, self.look, self.group = out, parts, look, group()
        self.settings = json.loads(json.dumps(dict(settings)))  # as a checkpoint gives them back: tuples become lists
        self.checkpoint, self.log_file = out / "checkpoint.safetensors", out / "log.jsonl"
        self.epoch = self.batch = 0  # finished epochs, and finished batches of the present one
        self.sums: Metrics = {}  # of the metrics in the present epoch
        self.unread: list[Metrics] = []  # of its last steps: they are still on a GPU
        self.log: list[dict[str, Any]] = []
        self.seconds, self.since = 0.0, time.monotonic()  # spent until `since`, the last save

    # -- beginning ---------------------------------------------------------------------------------------------------

    @contextmanager
    def opened(self, resume: bool) -> Iterator[Path | None]:
        """Begin or resume the run; inside the block no other process may train in its folder.

        Gives the path that an earlier run was moved to, which is `<out>.1` or the next free name. `FileNotFoundError`
        if there is nothing to resume, `ValueError` if the settings differ or the checkpoint is damaged, other `OSError`
        if the folder cannot be used, `RuntimeError` that names the process which already trains there.
        """
        if self.group.rank > 0:
            self._begin_together()
            yield None
            return
        if resume and not self.checkpoint.exists():
            raise FileNotFoundError(f"{self.checkpoint}: there is no run to resume")
        moved = None if resume else self._empty_folder()
        with locked(self.out):
            if resume:
                self._resume()
            self._begin_together()
            yield moved

    def _begin_together(self) -> None:
        """Give all processes the state of the first one: progress, random numbers, parameters, optimizers."""
        if self.group.size > 1:
            self._restore(broadcast_json(self._progress(), self.group))
            broadcast_parts(self.parts, self.group)

    def _empty_folder(self) -> Path | None:
        """Make the folder; if an earlier run is in it, that folder is moved aside first."""
        try:
            self.out.resolve().mkdir(parents=True, exist_ok=True)  # of a symbolic link, what it stands for
        except OSError as error:
            raise OSError(f"out: {self.out} cannot be made a folder ({error.strerror})") from None
        with locked(self.out) as lock:
            if not self.checkpoint.exists() and not self.log_file.exists():
                return None
            moved = self._move_folder()
        (moved / lock.name).unlink()
        self.out.resolve().mkdir(exist_ok=True)
        return moved if self.out.is_symlink() else self.out.with_name(moved.name)

    def _move_folder(self) -> Path:
        """Rename the folder to the next free `<out>.1`, `<out>.2`, ..."""
        folder = self.out.resolve()
        names = (folder.with_name(f"{folder.name}.{number}") for number in count(1))
        moved = next(path for path in names if not path.exists())
        problem = f"out: {self.out} holds an earlier run and cannot be moved to {moved}"
        advice = "resume that run or choose another folder"
        if Path.cwd().is_relative_to(folder):
            raise OSError(f"{problem}, because it is the current folder; {advice}")
        try:
            folder.rename(moved)
        except OSError as error:
            raise OSError(f"{problem} ({error.strerror}); {advice}") from None
        return moved

    def _resume(self) -> None:
        """Restore the state of the checkpoint."""
        progress = load_progress(self.checkpoint)
        self._check_settings(progress.get("settings", {}))
        try:
            set_random_state(progress["random"])
        except ValueError as error:
            raise ValueError(f"{self.checkpoint}: {error}") from None
        load_checkpoint(self.checkpoint, self.parts)
        self._restore(progress)
        self._write_log()

    def _restore(self, progress: dict[str, Any]) -> None:
        set_random_state(progress["random"])
        self.epoch, self.batch, self.sums = progress["epoch"], progress["batch"], progress["sums"]
        self.seconds, self.log = progress["seconds"], progress["log"]

    def _check_settings(self, before: dict[str, Any]) -> None:
        changed = [name for name in sorted(self.settings) if before.get(name) != self.settings[name]]
        if changed:
            was = ", ".join(f"{name}={before.get(name)}, now {self.settings[name]}" for name in changed)
            raise ValueError(f"{self.out}: cannot resume with other settings (the run has {was})")

    # -- progress ----------------------------------------------------------------------------------------------------

    def add(self, metrics: Metrics) -> None:
        """Add the metrics of one more batch; those on a GPU wait for `read`."""
        metrics = {name: figure(value) for name, value in metrics.items()}
        self.batch += 1
        if all(map(on_host, metrics.values())):
            self._add_to_sums(metrics)
        else:
            self.unread.append(metrics)

    def read(self) -> None:
        """Fetch the metrics that are still on a GPU; `Diverged`, which names the step, if one is NaN or infinite."""
        first = self.batch - len(self.unread) + 1
        unread, self.unread = self.unread, []
        for number, metrics in enumerate(fetched(unread), first):
            for name, value in metrics.items():
                if not math.isfinite(value):
                    raise self.diverged(number, f"the {name.replace('_', ' ')} is {value}")
            self._add_to_sums(metrics)
            self.look(metrics)

    def _add_to_sums(self, metrics: Metrics) -> None:
        for name, value in metrics.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def averages(self) -> Metrics:
        """The mean metrics of the present epoch so far, without those that have not been read."""
        return {name: value / (self.batch - len(self.unread)) for name, value in self.sums.items()}

    def end_epoch(self, test: Metrics) -> None:
        """Log the epoch and save."""
        seconds = round(self.seconds + time.monotonic() - self.since, 3)
        test = json.loads(json.dumps(test, default=float))  # tensors and NumPy's numbers become Python's
        record = {"epoch": self.epoch + 1, "train": self.averages(), "test": test, "seconds": seconds}
        self.log.append(record)
        self.epoch, self.batch, self.sums = self.epoch + 1, 0, {}
        self._write_log()
        self.save()

    # -- saving ------------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Write the checkpoint; `Diverged`, with the last good one left in place, if anything is not finite."""
        self.check_finite()
        now = time.monotonic()
        self.seconds, self.since = self.seconds + now - self.since, now
        if self.group.rank == 0:
            save_checkpoint(self.checkpoint, self.parts, self._progress())

    def _progress(self) -> dict[str, Any]:
        """What a checkpoint holds beside the parts."""
        return {
            "epoch": self.epoch,
            "batch": self.batch,
            "sums": self.sums,
            "seconds": self.seconds,
            "random": random_state(),
            "log": self.log,
            "settings": self.settings,
        }

    def save_if_older_than(self, seconds: float) -> None:
        """Write the checkpoint if the last one is older than that."""
        if time.monotonic() - self.since > seconds:
            self.save()

    def _write_log(self) -> None:
        if self.group.rank > 0:
            return
        with atomic_write(self.log_file) as temporary:
            temporary.write_text("".join(json.dumps(record) + "\n" for record in self.log))

    # -- when numbers are not finite ---------------------------------------------------------------------------------

    def check_finite(self) -> None:
        """Raise `Diverged` if a metric or anything that a checkpoint holds is NaN or infinite."""
        self.read()
        try:
            for part, owner in self.parts.items():
                check_finite(part, owner)
        except Diverged as error:
            raise self.diverged(self.batch, str(error)) from None

    def diverged(self, step: int, what: str) -> Diverged:
        """The error that says where and what went wrong, and which checkpoint is the last good one."""
        good = "there is no checkpoint yet"
        if self.checkpoint.exists():
            at = load_progress(self.checkpoint)
            good = f"the last good checkpoint is {self.checkpoint} (epoch {at['epoch'] + 1}, step {at['batch']})"
        return Diverged(f"epoch {self.epoch + 1}, step {step}: {what}; {good}")


def figure(x: Any) -> Any:
    """A tensor or array of one number as a metric: a float, but on a GPU the array, which is not waited for."""
    return float(raw(x)) if on_host(raw(x)) else raw(x)


def fetched(metrics: list[Metrics]) -> list[Metrics]:
    """The same metrics as numbers; all that are on a GPU come in one transfer."""
    arrays = [x for step in metrics for x in step.values() if not on_host(x)]
    if not arrays:
        return metrics
    numbers = iter(to_numpy(array_module(arrays[0]).stack(arrays)).tolist())
    return [{name: x if on_host(x) else next(numbers) for name, x in step.items()} for step in metrics]
