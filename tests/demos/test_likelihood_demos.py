"""What the demos of models with a likelihood claim: their numbers, completions that keep what is given, blind spots."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import receptive_field
from minigen.data import Loader, load
from minigen.models import VAE, GatedPixelCNN, PixelCNN, PixelRNN
from minigen.models.autoregressive import Autoregressive
from minigen.nn import convolution


def test_the_vae_learns_the_digits(tmp_path: Path, run_demo: Callable, capsys: pytest.CaptureFixture) -> None:
    """Two small epochs on the data that come with minigen: well below the 206 nats of a model with one grey for all."""
    small = ["--epochs", 2, "--hidden", 32, "--latent-dim", 4, "--lr", 0.01, "--importance-samples", 5]
    run_demo("vae", *small, "--out", tmp_path)
    text = capsys.readouterr().out
    assert "VAE on digits, 8000 training and 2000 test images; dynamic binarization" in text
    first, second = (float(x) for x in re.findall(r"^ +\d +\S+ +(\S+) +\S+ +\S+$", text, re.MULTILINE))
    assert 100 < second < 180 and second < first
    elbo, bound = (float(x) for x in re.findall(r"(\S+) nats per image", text))
    assert elbo == second and second - 10 < bound < second  # the importance-weighted bound is tighter
    samples = np.load(tmp_path / "samples.npy")
    assert samples.shape == (1000, 1, 28, 28) and samples.dtype == np.uint8 and 10 < samples.mean() < 70


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, np.ndarray]]:
    """The labels of every call of `sample`, and what it drew."""
    calls: list[tuple[Any, np.ndarray]] = []
    sample = Autoregressive.sample

    def spy(model: Autoregressive, n: int | None = None, labels: Any = None, **options: Any) -> Any:
        assert options["temperature"] == 0.9
        x = sample(model, n, labels, **options)
        calls.append((labels, x.numpy()))
        return x

    monkeypatch.setattr(Autoregressive, "sample", spy)
    return calls


@pytest.mark.parametrize(
    ("demo", "flags", "name"),
    [
        ("pixelcnn", ["--gated", "--classes", "--levels", 4], r"-log p\(x \| class\)"),
        ("pixelrnn", ["--cell", "row", "--levels", 4], r"-log p\(x\)"),
    ],
)
def test_numbers_agree_and_completions_keep_the_upper_half(
    demo: str,
    flags: list,
    name: str,
    photographs: Path,
    tmp_path: Path,
    run_demo: Callable,
    drawn: list,
    capsys: pytest.CaptureFixture,
) -> None:
    small = ["--dataset", photographs, "--image-size", 8, "--epochs", 2, "--batch-size", 8, "--hidden", 1, "--head", 1]
    run_demo(demo, *small, *flags, "--layers", 1, "--temperature", 0.9, "--out", tmp_path)
    text = capsys.readouterr().out
    rows = re.findall(r"^ +(\d) +(\S+) +(\S+) +(\S+) +\S+$", text, re.MULTILINE)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    for row, record in zip(rows, log, strict=True):
        loss, nats = record["train"]["loss"], record["test"]["nats"]
        assert row == (str(record["epoch"]), f"{loss:.2f}", f"{nats:.2f}", f"{nats / 192 / np.log(2):.4f}")
        assert 1 < float(row[3]) < 3
    (result,) = re.findall(rf"^  {name} +(\S+) nats per image +(\S+) bits per dimension$", text, re.MULTILINE)
    assert result == rows[-1][2:]

    test_images = load(photographs, "test", size=8)
    originals, labels = next(Loader(test_images, pixels="levels", levels=4, shuffle=False).epoch(0))
    assert [len(x) for _, x in drawn] == [100, 100, 36, 8, 8, 8, 8]
    completions = [x for _, x in drawn[-4:]]
    for x in completions:
        np.testing.assert_array_equal(x[:, :, :4], originals[:, :, :4])
    assert len({x.tobytes() for x in completions}) == 4
    if "--classes" in flags:  # the samples one class after the other, the completions with the images' own
        np.testing.assert_array_equal(drawn[0][0], [0] * 50 + [1] * 50)
        np.testing.assert_array_equal(drawn[-1][0], labels)
    else:
        assert all(labels is None for labels, _ in drawn)


def test_flags_reach_the_models(photographs: Path, tmp_path: Path, untrained: Callable) -> None:
    """Widths are for each colour; the levels are by default 2 of grey images and 256 of colours."""
    colour = ["--out", tmp_path, "--dataset", photographs, "--image-size", 8, "--hidden", 2]
    shapes = lambda model: {name: p.shape for name, p in model.named_parameters()}
    step, _ = untrained("vae", *colour, "--beta", 0.5, "--latent-dim", 3, "--likelihood", "gaussian", "--lr", 0.02)
    assert shapes(step.model) == shapes(VAE((3, 8, 8), 3, 2, likelihood="gaussian"))
    assert (step.model.beta, step.optimizer.lr, step.schedule(30)) == (0.5, 0.02, 0.5)  # of 40 epochs of one batch
    step, loader = untrained("pixelcnn", *colour, "--head", 3, "--gated", "--classes", "--layers", 4)
    assert shapes(step.model) == shapes(GatedPixelCNN((3, 8, 8), 256, 6, 4, head=9, classes=2))
    step, loader = untrained("pixelcnn", *colour, "--head", 3, "--blocks", 5, "--levels", 2, "--epochs", 10)
    assert shapes(step.model) == shapes(PixelCNN((3, 8, 8), 2, 6, 5, head=9))
    assert (loader.pixels, loader.binarization) == ("binary", "dynamic")
    assert [step.schedule(n) for n in (0, 10, 15, 20)] == pytest.approx([1, 1, 0.5, 0])  # of 10 epochs of 2 batches
    step, loader = untrained("pixelrnn", "--out", tmp_path, "--cell", "diagonal", "--layers", 2, "--hidden", 2)
    assert shapes(step.model) == shapes(PixelRNN((1, 28, 28), 2, "diagonal", 2, 2))
    assert (loader.pixels, loader.dataset.name) == ("binary", "digits")


def test_wrong_flags_of_the_models(tmp_path: Path, error_of: Callable) -> None:
    out = ["--out", tmp_path / "run"]
    assert error_of("pixelcnn", *out, "--classes") == "pixelcnn.py: --classes needs --gated"
    message = error_of("receptive_field", "--size", 5, "--pixel", 0, -1, *out)
    assert message == "receptive_field.py: --pixel expects a row and a column from 0 to 4, got 0 -1"
    assert not (tmp_path / "run").exists()


# -- receptive fields --------------------------------------------------------------------------------------------------


def pixelcnn_sees(size: int, row: int, column: int, layers: int, kernel_size: int) -> set[tuple[int, int]]:
    """All places that can be reached by one step under mask A after `layers` steps under mask B of 3x3."""
    r = kernel_size // 2
    a = [(-u, d) for u in range(1, r + 1) for d in range(-r, r + 1)] + [(0, -d) for d in range(1, r + 1)]
    b = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 0)]
    places = {(row, column)}
    for taps in [b] * layers + [a]:
        steps = {(i + di, j + dj) for i, j in places for di, dj in taps}
        places = {(i, j) for i, j in steps if 0 <= i < size and 0 <= j < size}
    return places


@settings(max_examples=8)
@given(
    place=st.tuples(st.integers(0, 6), st.integers(0, 6)), layers=st.integers(1, 3), kernel_size=st.sampled_from([3, 5])
)
def test_the_influence_is_where_the_taps_lead(place: tuple[int, int], layers: int, kernel_size: int) -> None:
    make = lambda: PixelCNN((1, 7, 7), hidden=8, blocks=layers, kernel_size=kernel_size)
    field = receptive_field.influence(make, *place, tries=2, seed=0)
    assert {(int(i), int(j)) for i, j in np.argwhere(field > 0)} == pixelcnn_sees(7, *place, layers, kernel_size)


def test_the_receptive_fields_of_the_papers(tmp_path: Path, run_demo: Callable, capsys: pytest.CaptureFixture) -> None:
    """At the centre of 28 x 28, with the settings that are the demo's own."""
    seen = {
        "PixelCNN": len(pixelcnn_sees(28, 14, 14, 15, 7)),
        "Gated PixelCNN": 406,
        # u rows up, the triangle of three Row LSTMs goes from u + 6 columns on the left to u + 2 on the right
        "Row LSTM": 14 - 8 + sum(min(14, u + 6) + 1 + min(13, u + 2) for u in range(1, 15)),
        "Diagonal BiLSTM": 406 - 1,  # the last pixel of the row above
    }
    assert seen["PixelCNN"] == 406 - 55
    run_demo("receptive_field", "--tries", 1, "--out", tmp_path)
    rows = re.findall(r"^(\w.*?) {2,}(\d+) +(\d+) +(\d+) +(\d+)$", capsys.readouterr().out, re.MULTILINE)
    expected = [(name, 406, n, 406 - n, 0) for name, n in seen.items()]
    assert [(name, *map(int, counts)) for name, *counts in rows] == expected
    assert (tmp_path / "receptive_field.png").stat().st_size > 5_000


def test_a_model_without_masks_is_found(tmp_path: Path, error_of: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "causal_mask", lambda shape, *rest, **options: np.ones(shape, dtype=bool))
    message = error_of("receptive_field", "--size", 5, "--layers", 1, "--kernel-size", 3, "--out", tmp_path)
    assert message.endswith("PixelCNN sees the pixel itself or later ones: it is no probability")
