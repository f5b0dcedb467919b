"""The gallery shows what is there, in one row each, and names a command for what is not."""

from __future__ import annotations

import importlib
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import gallery
import minigen
from minigen import plot
from minigen.evaluate import Classifier
from minigen.models import VAE, PixelRNN


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """The rows of images that were drawn, by their titles."""
    result: dict[str, np.ndarray] = {}

    def save_grid(images: np.ndarray, path: Path, columns: int, rows: list[str]) -> None:
        result.update(zip(rows, np.split(images, len(rows)), strict=True))

    monkeypatch.setattr(plot, "save_grid", save_grid)
    return result


def finish(folder: Path, test: dict[str, float], samples: np.ndarray | None = None) -> None:
    """A run whose last record has these metrics of the test images; without samples, of a PixelRNN."""
    folder.mkdir()
    minigen.save(PixelRNN(levels=3, hidden=1, layers=1, head=1), folder / "weights.safetensors")
    (folder / "log.jsonl").write_text("".join(json.dumps({"test": x}) + "\n" for x in ({"nats": 999.0}, test)))
    if samples is not None:
        np.save(folder / "samples.npy", samples)


def test_a_row_for_every_run_and_a_command_for_the_others(
    tmp_path: Path, shown: dict, run_demo: Callable, capsys: pytest.CaptureFixture
) -> None:
    samples = np.arange(30, dtype=np.uint8).reshape(30, 1, 1, 1).repeat(28, 2).repeat(28, 3)
    finish(tmp_path / "vae", {"-elbo": 106.11}, samples)
    finish(tmp_path / "row", {"nats": 91.09})
    finish(tmp_path / "cgan", {}, samples)
    minigen.manual_seed(0)
    minigen.save(Classifier(), tmp_path / "classifier" / "digits.safetensors")
    run_demo("gallery", "--runs", tmp_path)
    titles = ["test images", "VAE, -ELBO 106.1 nats", "Row LSTM, 91.1 nats", r"DCGAN, told the class, Frechet .*\d\.\d"]
    assert all(map(re.fullmatch, titles, shown))
    digits, vae, row, cgan = shown.values()
    numbers = np.rint(255 * vae[:, 0, 0, 0])  # of the samples: from the first to the last, in steps of 2 or 3
    assert (vae == cgan).all() and {*numbers[[0, -1]]} == {0, 29} and {*np.diff(numbers)} == {2, 3}
    assert digits.max() == 1 and set(np.unique(row)) == {0, 0.5, 1} and len(digits) == len(row) == 12

    text = capsys.readouterr().out
    commands = re.findall(r"^No finished run in (.*); this makes one:\n    python demos/(\w+).py (.*)$", text, re.M)
    assert {Path(folder).name for folder, _, _ in commands} == {*gallery.RUNS} - {"vae", "row", "cgan"}
    for folder, name, flags in commands:
        assert str(importlib.import_module(name).parser().parse_args(shlex.split(flags)).out) == folder


def test_samples_of_other_images_are_refused(tmp_path: Path, error_of: Callable) -> None:
    finish(tmp_path / "gan", {}, np.zeros((30, 3, 8, 8), np.uint8))
    assert "gan: expects samples (1, 28, 28), got (3, 8, 8)" in error_of("gallery", "--runs", tmp_path)


def test_samples_that_a_stopped_run_has_not_written(tmp_path: Path, error_of: Callable) -> None:
    minigen.save(VAE(hidden=1, latent_dim=1), tmp_path / "vae" / "weights.safetensors")
    assert "vae: expects samples.npy, which its demo writes" in error_of("gallery", "--runs", tmp_path)
