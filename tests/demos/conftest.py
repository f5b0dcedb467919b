"""The demos run in this process, with their own command lines, on small folders of images."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from minigen import train

DEMOS = Path(__file__).parents[2] / "demos"
Run = Callable[..., None]


@pytest.fixture(scope="session")
def run_demo() -> Run:
    """`run_demo("vae", "--epochs", 1)` is `python demos/vae.py --epochs 1`."""

    def run(name: str, *flags: object) -> None:
        path = str(DEMOS / f"{name}.py")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [path, *map(str, flags)])
            runpy.run_path(path, run_name="__main__")

    return run


@pytest.fixture
def error_of(run_demo: Run) -> Callable[..., str]:
    """The one line with which a demo ends."""

    def error(name: str, *flags: object) -> str:
        with pytest.raises(SystemExit) as ended:
            run_demo(name, *flags)
        message = ended.value.code
        assert isinstance(message, str) and "\n" not in message  # Python prints it and exits with status 1
        assert message.startswith(f"{name}.py: ")
        return message

    return error


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with bright and dark images, 8 x 8, in colour: 11 of each to learn from, 4 to test with."""
    folder, random = tmp_path_factory.mktemp("data") / "photographs", np.random.default_rng(0)
    for split, n in (("train", 11), ("test", 4)):
        for name, low, high in (("bright", 156, 256), ("dark", 0, 100)):
            (folder / split / name).mkdir(parents=True)
            for i in range(n):
                image = random.integers(low, high, (8, 8, 3), np.uint8)
                Image.fromarray(image).save(folder / split / name / f"{i:02d}.png")
    return folder


@pytest.fixture
def untrained(run_demo: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, Any]]:
    """Runs a demo up to its training; returns the step and the batches that `train.train` would have been given."""

    class Stopped(Exception):
        pass

    def stopped(step: Any, loader: Any, **options: Any) -> None:
        raise Stopped(step, loader)

    def up_to_training(name: str, *flags: object) -> tuple[Any, Any]:
        with pytest.raises(Stopped) as caught:
            run_demo(name, *flags)
        return caught.value.args  # type: ignore[return-value]

    monkeypatch.setattr(train, "train", stopped)
    return up_to_training
