"""A training run that is small enough to be made, stopped and resumed many times: a VAE on 28 images of 4 x 4."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from minigen.checkpoint import load_progress
from minigen.data import Dataset, Loader
from minigen.models import VAE
from minigen.optim import Adam
from minigen.random import manual_seed
from minigen.train import MaximumLikelihood, train


def dataset(n: int, size: int = 4) -> Dataset:
    images = np.random.default_rng(7).integers(0, 256, (n, 1, size, size), np.uint8)
    return Dataset(images, np.zeros(n, np.int64), ("image",), "random", "train")


class Watched:
    """A step that calls `before(number)` first, and remembers its losses."""

    def __init__(self, step: MaximumLikelihood, before: Callable[[int], Any] | None = None) -> None:
        self.step, self.parts, self.before = step, step.parts, before
        self.losses: list[float] = []

    def __call__(self, images: Any, labels: Any) -> dict[str, float]:
        if self.before:
            self.before(len(self.losses))
        metrics = self.step(images, labels)
        self.losses.append(metrics["loss"])
        return metrics


EPOCHS, STEPS = 3, 4  # 28 images in batches of 8, the last of 4


def run(
    out: Path | str,
    before: Callable[[int], Any] | None = None,
    *,
    epochs: int = EPOCHS,
    vae: VAE | None = None,
    observe: Callable[[VAE], dict] = lambda vae: {},
    **options: Any,
) -> tuple[VAE, list[float], list[dict]]:
    """Train a small VAE; returns it, the losses of the steps that were made, and the log."""
    manual_seed(0)
    vae = vae or VAE((1, 4, 4), 2, 6)
    step = Watched(MaximumLikelihood(vae, Adam(vae.parameters(), 0.01), max_norm=50.0), before)
    options = {"settings": {"lr": 0.01}} | options | observe(vae)
    log = train(step, Loader(dataset(28), 8, seed=1), epochs=epochs, out=out, **options)
    return vae, step.losses, log


def at(number: int, *signals: signal.Signals) -> Callable[[int], None]:
    """Send these signals to this process in that step."""

    def before(step: int) -> None:
        if step == number:
            for s in signals:
                os.kill(os.getpid(), s)

    return before


def final_state(out: Path) -> dict[str, Any]:
    """All that a run leaves behind, without its times: arrays bit for bit, progress with the random state, log."""
    arrays = {name: x.tobytes() for name, x in load_file(out / "checkpoint.safetensors").items()}
    progress = load_progress(out / "checkpoint.safetensors")
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert progress.pop("log") == log
    for record in (progress, *log):
        assert record.pop("seconds") >= 0
    return {"arrays": arrays, "progress": progress, "log": log}


def in_a_process(code: str, out: Path) -> subprocess.CompletedProcess:
    """Run some lines in a process of their own, where everything of this file is known, and `out`."""
    code = f"import os, signal, sys\nfrom small_run import *\nout = Path(sys.argv[1])\n{code}"
    tests = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests.parent), str(tests)])}
    command = [sys.executable, "-c", code, str(out)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
