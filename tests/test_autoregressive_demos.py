"""The demos of the autoregressive models: PixelCNN and PixelRNN, what they see, and how long they take.

Times are never compared: where a table of times is checked, the clock is the test's own.
"""

from __future__ import annotations

import json
import os
import re
import runpy
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import minigen
from minigen import train
from minigen.data import Loader
from minigen.models import GatedPixelCNN, PixelCNN, PixelRNN
from minigen.models.autoregressive import Autoregressive
from minigen.nn import convolution
from minigen.optim import Adam

DEMOS = Path(__file__).parents[1] / "demos"
PIXELCNN, PIXELRNN, RECEPTIVE_FIELD, SAMPLING_SPEED, BENCHMARK = (
    DEMOS / f"{name}.py"
    for name in ("pixelcnn", "pixelrnn", "receptive_field", "sampling_speed", "benchmark_autoregressive")
)


def run(demo: Path, *flags: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(demo), *map(str, flags)])
        runpy.run_path(str(demo), run_name="__main__")


@pytest.fixture(scope="module")
def receptive_field() -> dict[str, Any]:
    return runpy.run_path(str(RECEPTIVE_FIELD))


class Clock:
    """Takes the place of `time.perf_counter`: goes on by `tick` seconds whenever it is looked at."""

    def __init__(self, tick: float = 0.0) -> None:
        self.now, self.tick = 0.0, tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


# -- learning and drawing ----------------------------------------------------------------------------------------------

SMALL = ["--image-size", 6, "--epochs", 2, "--batch-size", 4, "--hidden", 1, "--layers", 1, "--head", 1]
MODELS: dict[str, tuple[Path, list]] = {
    "gated with classes": (PIXELCNN, [*SMALL, "--gated", "--classes", "--levels", 4]),
    "diagonal": (PIXELRNN, [*SMALL, "--cell", "diagonal", "--levels", 4]),
    "plain, of two levels": (PIXELCNN, [*SMALL, "--blocks", 1, "--levels", 2]),
}


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with six images of each of two classes to learn from, and three to test with."""
    folder, random = tmp_path_factory.mktemp("data") / "photographs", np.random.default_rng(0)
    for split, n in (("train", 6), ("test", 3)):
        for name in ("bright", "dark"):
            (folder / split / name).mkdir(parents=True)
            for i in range(n):
                Image.fromarray(random.integers(0, 256, (6, 6, 3), np.uint8)).save(folder / split / name / f"{i}.png")
    return folder


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `sample` of every model was asked for, and what it drew."""
    calls: list[dict[str, Any]] = []
    sample = Autoregressive.sample

    def spy(model: Autoregressive, n: int | None = None, labels: Any = None, **options: Any) -> Any:
        x = sample(model, n, labels, **options)
        calls.append({"n": n, "labels": labels, **options, "x": x.numpy().copy()})
        return x

    monkeypatch.setattr(Autoregressive, "sample", spy)
    return calls


def cells(picture: np.ndarray, side: int = 6) -> np.ndarray:
    """The images of a grid, (rows, columns, C, side, side)."""
    rows, columns = (picture.shape[0] - 4) // (2 * side + 4), (picture.shape[1] - 4) // (2 * side + 4)
    small = picture[::2, ::2].transpose(2, 0, 1)
    at = lambda i, j: small[:, 2 + i * (side + 2) :, 2 + j * (side + 2) :][:, :side, :side]
    return np.array([[at(i, j) for j in range(columns)] for i in range(rows)])


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("name", MODELS)
def test_table_and_figures(
    name: str, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture, sampled: list
) -> None:
    demo, flags = MODELS[name]
    out, classes, levels = tmp_path / "run", "classes" in name, flags[-1]
    run(demo, *flags, "--dataset", photographs, "--temperature", 0.9, "--out", out)
    text = capsys.readouterr().out
    assert sorted(os.listdir(out)) == [
        *("checkpoint.safetensors", "completions.png", "curves.png", "log.jsonl", "samples.gif", "samples.png"),
        "weights.safetensors",
    ]

    # the table: its numbers agree with the log, with each other, and with the sentence at the end
    task = f"{levels} levels" if levels > 2 else "dynamic binarization for training, one fixed draw of the test images"
    assert f" on {photographs}, 12 training and 6 test images; {task}\n" in text
    rows = re.findall(r"^ +(\d) +(\S+) +(\S+) +(\S+) +\S+$", text, re.MULTILINE)
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert len(rows) == len(log) == 2
    for row, record in zip(rows, log, strict=True):
        train, nats = record["train"]["loss"], record["test"]["nats"]
        assert row == (str(record["epoch"]), f"{train:.2f}", f"{nats:.2f}", f"{nats / 108 / np.log(2):.4f}")
        assert 0.5 < float(row[3]) / np.log2(levels) < 1.5
    what = r"-log p\(x \| class\)" if classes else r"-log p\(x\)"
    (end,) = re.findall(rf"^  {what} +(\S+) nats per image +(\S+) bits per dimension$", text, re.MULTILINE)
    assert end == rows[-1][2:]

    # samples after every epoch, with a row for each class or more; and as they appear, row by row
    assert all(call["temperature"] == 0.9 for call in sampled)
    _, last, appearing, *completions = sampled
    for call, n in ((last, 100), (appearing, 36)):
        assert call["n"] == len(call["x"]) == n
        assert call["labels"].tolist() == [0] * (n // 2) + [1] * (n // 2) if classes else call["labels"] is None
    shown = lambda x: np.rint(x / (levels - 1) * 255)
    np.testing.assert_array_equal(cells(read(out / "samples.png")).reshape(100, 3, 6, 6), shown(last["x"]))
    assert read(out / "curves.png").shape == (400, 600, 3)
    with Image.open(out / "samples.gif") as animation:
        assert animation.n_frames == 6
        for row in range(6):
            animation.seek(row)
            drawn = cells(np.asarray(animation.convert("RGB"))).reshape(36, 3, 6, 6)
            known = appearing["x"] * (np.arange(6) <= row)[:, None]
            np.testing.assert_array_equal(drawn, shown(known))  # four levels of three colours fit into 64

    # completions: covered images, four completions that keep what was given, and the images
    test_images, labels = minigen.data.load(photographs, "test", size=6), [0, 0, 0, 1, 1, 1]
    picture = cells(read(out / "completions.png"))
    assert picture.shape == (6, 6, 3, 6, 6) and len(completions) == 4
    if levels > 2:
        original = shown(test_images.images.astype(int) * levels // 256)
    else:  # the one draw of the test images
        original = shown(next(Loader(test_images, shuffle=False, binarization="fixed").epoch(0))[0])
    np.testing.assert_array_equal(picture[5], original)
    for row in range(5):
        np.testing.assert_array_equal(picture[row, :, :, :3], original[:, :, :3])
    assert (picture[0, :, :, 3:] == 128).all()
    for row, call in enumerate(completions, start=1):
        np.testing.assert_array_equal(picture[row], shown(call["x"]))
        assert call["labels"].tolist() == labels if classes else call["labels"] is None
    assert len({call["x"].tobytes() for call in completions}) == 4


@pytest.mark.parametrize("name", ["gated with classes", "diagonal"])
def test_interrupted_and_resumed(name: str, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the same bits of weights and figures as without a break."""
    demo, flags = MODELS[name]
    flags = [*flags, "--dataset", photographs, "--out"]
    monkeypatch.setattr(minigen.plot, "save_curves", lambda *arguments: None)
    step, calls = train.MaximumLikelihood.__call__, []

    def interrupt(self: train.MaximumLikelihood, *batch: Any) -> dict[str, float]:
        calls.append(1)
        if len(calls) == 5:  # in the second epoch of three steps
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, *batch)

    run(demo, *flags, tmp_path / "whole")
    monkeypatch.setattr(train.MaximumLikelihood, "__call__", interrupt)
    with pytest.raises(SystemExit, match="130"):
        run(demo, *flags, tmp_path / "broken")
    run(demo, *flags, tmp_path / "broken", "--resume")
    assert len(calls) == 6
    for file in ("weights.safetensors", "samples.png", "samples.gif", "completions.png"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "broken" / file).read_bytes(), file


class Stopped(Exception):
    """In place of training."""


def untrained(patch: pytest.MonkeyPatch, demo: Path, *flags: object) -> tuple[Any, Any]:
    """The step and the loader with which a demo begins to train."""

    def stopped(step: Any, loader: Any, **options: Any) -> None:
        raise Stopped(step, loader)

    patch.setattr(train, "train", stopped)
    with pytest.raises(Stopped) as caught:
        run(demo, *flags)
    return caught.value.args[0], caught.value.args[1]


def test_the_flags_reach_the_model(photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Widths are for each colour; the levels are by default 2 of grey images and 256 of colours."""
    common = ["--out", tmp_path, "--epochs", 10, "--batch-size", 2, "--lr", 0.5, "--hidden", 2, "--head", 3]
    colour = [*common, "--dataset", photographs, "--image-size", 6]
    begin = lambda demo, *flags: untrained(monkeypatch, demo, *flags)
    step, loader = begin(PIXELCNN, *colour, "--gated", "--classes", "--layers", 4)
    model = step.model
    assert isinstance(model, GatedPixelCNN) and (model.levels, model.classes, len(model.layers)) == (256, 2, 4)
    assert (model.image_shape, loader.pixels, loader.batch_size) == ((3, 6, 6), "levels", 2)
    step, loader = begin(PIXELCNN, *colour, "--blocks", 5, "--levels", 2)
    assert type(step.model) is PixelCNN and step.model.levels == 2 and step.model.classes is None
    assert len(step.model.blocks) == 5 and (loader.pixels, loader.binarization) == ("binary", "dynamic")
    assert isinstance(step.optimizer, Adam)
    rates = [step.lr * step.schedule(n) for n in (0, 30, 45, 60)]  # of 10 epochs of 6
    assert rates == pytest.approx([0.5, 0.5, 0.25, 0])

    shapes = {name: p.shape for name, p in step.model.named_parameters()}
    expected = PixelCNN((3, 6, 6), 2, 6, 5, head=9)
    assert shapes == {name: p.shape for name, p in expected.named_parameters()}
    for cell in ("row", "diagonal"):
        step, _ = begin(PIXELRNN, *colour, "--cell", cell, "--layers", 2, "--levels", 8)
        expected_rnn = PixelRNN((3, 6, 6), 8, cell, 6, 2, head=9)
        shapes = {name: p.shape for name, p in step.model.named_parameters()}
        assert shapes == {name: p.shape for name, p in expected_rnn.named_parameters()} and step.model.levels == 8
        step, loader = begin(PIXELRNN, *common, "--cell", cell)
        assert (step.model.levels, loader.pixels, loader.dataset.name) == (2, "binary", "digits")


def test_wrong_flags_of_the_models(photographs: Path, tmp_path: Path) -> None:
    flags = ["--dataset", photographs, "--out", tmp_path / "run"]
    with pytest.raises(SystemExit, match=r"^pixelcnn\.py: --classes needs --gated$"):
        run(PIXELCNN, *flags, "--classes")
    for levels in (1, 257):
        with pytest.raises(
            SystemExit, match=rf"^pixelrnn\.py: PixelRNN: got .*levels={levels}; takes .* 2 \.\.\. 256 levels$"
        ):
            run(PIXELRNN, *flags, "--levels", levels)
    assert not (tmp_path / "run").exists()


def test_a_model_learns_and_draws_on_a_gpu(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture, gpu_standin: minigen.backend.Device
) -> None:
    demo, flags = MODELS["gated with classes"]
    run(demo, *flags, "--epochs", 1, "--dataset", photographs, "--device", "gpu", "--out", tmp_path)
    assert " bits per dimension\n" in capsys.readouterr().out


# -- the receptive fields ----------------------------------------------------------------------------------------------


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
def test_the_influence_is_where_the_taps_lead(
    receptive_field: dict[str, Any], place: tuple[int, int], layers: int, kernel_size: int
) -> None:
    make = lambda: PixelCNN((1, 7, 7), hidden=8, blocks=layers, kernel_size=kernel_size)
    field = receptive_field["influence"](make, *place, tries=2, seed=0)
    assert {(int(i), int(j)) for i, j in np.argwhere(field > 0)} == pixelcnn_sees(7, *place, layers, kernel_size)


def test_the_receptive_fields_of_the_papers(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """At the centre of 28 x 28, with the settings that are the demo's own."""
    seen = {
        "PixelCNN": len(pixelcnn_sees(28, 14, 14, 15, 7)),
        "Gated PixelCNN": 406,
        # u rows up, the triangle of three Row LSTMs goes from u + 6 columns on the left to u + 2 on the right
        "Row LSTM": 14 - 8 + sum(min(14, u + 6) + 1 + min(13, u + 2) for u in range(1, 15)),
        "Diagonal BiLSTM": 406 - 1,  # the last pixel of the row above
    }
    assert seen["PixelCNN"] == 406 - 55
    run(RECEPTIVE_FIELD, "--tries", 1, "--out", tmp_path)
    rows = re.findall(r"^(\w.*?) {2,}(\d+) +(\d+) +(\d+) +(\d+)$", capsys.readouterr().out, re.MULTILINE)
    assert [(name, *map(int, counts)) for name, *counts in rows] == [
        (name, 406, n, 406 - n, 0) for name, n in seen.items()
    ]

    path = tmp_path / "receptive_field.png"
    assert path.stat().st_size < 60_000
    with Image.open(path) as image:
        colours = np.asarray(image.convert("RGB")).astype(int)
    orange = (np.abs(colours - [0xF4, 0x79, 0x2B]).max(axis=2) < 40).sum()
    cell, blind = (270 / 28) ** 2, 4 * 406 - sum(seen.values())
    assert 0.6 * cell * blind < orange < cell * blind  # the rest is the grid


def test_a_model_without_masks_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "causal_mask", lambda shape, *rest, **options: np.ones(shape, dtype=bool))
    with pytest.raises(SystemExit, match=r"PixelCNN sees the pixel itself or later ones: it is no probability$"):
        run(RECEPTIVE_FIELD, "--size", 5, "--layers", 1, "--kernel-size", 3, "--out", tmp_path)


@pytest.mark.parametrize("place", [(5, 0), (0, -1)])
def test_a_pixel_outside_the_image_is_refused(place: tuple[int, int], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"--pixel takes a row and a column from 0 to 4, got "):
        run(RECEPTIVE_FIELD, "--size", 5, "--pixel", *place, "--out", tmp_path)


# -- the speed of drawing ----------------------------------------------------------------------------------------------

TINY = ("--size", 5, "--batch-sizes", 1, 3)


def table(text: str) -> list[tuple[str, ...]]:
    """Images, rows of the naive loop, seconds of both, speedup, milliseconds an image, images that are the same."""
    return re.findall(r"^ +(\d+) +(\d+ of \d+) +(\S+) +(\S+) +(\S+) +(\S+)  (\d+ of \d+)$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("limit", "rows", "about"), [(["--full", "--naive-seconds", 0], 5, ""), (["--naive-seconds", 1.5], 2, "~")]
)
def test_sampling_speed(
    limit: list, rows: int, about: str, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that is looked at once a row, all rows take a second."""
    monkeypatch.setattr(time, "perf_counter", Clock(1.0))
    run(SAMPLING_SPEED, *TINY, *limit, "--out", tmp_path)
    expected = lambda n, ms: (n, f"{rows} of 5", f"{about}5.00", "5.00", f"{about}1.0", ms, f"{n} of {n}")
    assert table(capsys.readouterr().out) == [expected("1", "5000.0"), expected("3", "1666.7")]
    with Image.open(tmp_path / "sampling_speed.png") as image:
        assert image.size == (600, 400)


def test_sampling_speed_of_every_model(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run(SAMPLING_SPEED, *TINY, "--model", "all", "--naive-seconds", 0, "--out", tmp_path)
    text = capsys.readouterr().out
    assert re.findall(r"^(\w+), seconds", text, re.MULTILINE) == ["pixelcnn", "gated", "row", "diagonal"]
    assert [row[:2] for row in table(text)] == [("1", "1 of 5"), ("3", "1 of 5")] * 4


def test_other_pixels_with_the_cache_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zeros = lambda model, n, labels: lambda i, j, c, x: np.full((n, 1), 50.0, np.float32)
    monkeypatch.setattr(PixelCNN, "next_logits", zeros)
    with pytest.raises(SystemExit, match="pixelcnn: with the cache, 1 of 1 images are others than without"):
        run(SAMPLING_SPEED, *TINY, "--out", tmp_path)


def test_sampling_speed_with_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[np.ndarray] = []
    sample, path = Autoregressive.sample, tmp_path / "white.safetensors"
    model = PixelCNN((1, 5, 5))
    model.last.bias.data[...] = 99
    minigen.save(model, path)

    def watched(model: Autoregressive, n: int, *, watch: Any, **options: Any) -> Any:
        return sample(model, n, **options, watch=lambda row, x: (drawn.append(x[:, :, row].copy()), watch(row, x)))

    monkeypatch.setattr(Autoregressive, "sample", watched)
    run(SAMPLING_SPEED, *TINY, "--weights", path, "--out", tmp_path)
    assert len(drawn) > 20 and all((row == 1).all() for row in drawn)
    with pytest.raises(SystemExit, match=r"white\.safetensors: .*state does not fit"):
        run(SAMPLING_SPEED, *TINY, "--model", "gated", "--weights", path, "--out", tmp_path)
    with pytest.raises(SystemExit, match="--weights needs one --model, not all"):
        run(SAMPLING_SPEED, *TINY, "--model", "all", "--weights", path, "--out", tmp_path)


# -- the time of a training step ---------------------------------------------------------------------------------------


def test_benchmark_autoregressive(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a clock that goes on by a millisecond a pixel in every loss."""
    clock, loss, backward, step = Clock(), Autoregressive.loss, minigen.Tensor.backward, Adam.step
    done: list[str] = []

    def slow_loss(model: Autoregressive, x: Any) -> Any:
        clock.now += x.size * 1e-3
        return loss(model, x)

    monkeypatch.setattr(time, "perf_counter", clock)
    monkeypatch.setattr(Autoregressive, "loss", slow_loss)
    monkeypatch.setattr(minigen.Tensor, "backward", lambda loss: (done.append("backward"), backward(loss)))
    monkeypatch.setattr(Adam, "step", lambda adam: (done.append("step"), step(adam)))
    run(BENCHMARK, "--sizes", 3, 5, "--batch-size", 2, "--batch-sizes", 1, 3, "--size", 4, "--repeat", 1)
    text = capsys.readouterr().out
    rows = re.findall(r"^ +(\d) x \1 +(\d+) +(\S+) +(\d+)$", text, re.MULTILINE)
    cases = [(3, 2), (5, 2), (4, 1), (4, 3)]
    assert rows == [(str(n), str(k), f"{n * n * k}.0", "1000000") for n, k in cases] * 4
    exponents = re.findall(r"seconds ~ (\w+)\^(\S+)$", text, re.MULTILINE)
    assert exponents == [("pixels", "1.00"), ("images", "1.00")] * 4
    assert re.findall(r"^(\w+) +size", text, re.MULTILINE) == ["pixelcnn", "gated", "row", "diagonal"]
    assert done == ["backward", "step"] * 2 * len(rows)  # the first step of each warms up


def test_the_exponent_is_that_of_a_power(capsys: pytest.CaptureFixture) -> None:
    exponent = runpy.run_path(str(BENCHMARK))["report_exponent"]
    exponent("pixels", [2, 3, 7], [5 * n**1.5 for n in (2, 3, 7)])
    exponent("images", [4], [1.0])
    assert capsys.readouterr().out.split() == ["seconds", "~", "pixels^1.50"]


# -- what they do the same ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("demo", [RECEPTIVE_FIELD, SAMPLING_SPEED, BENCHMARK], ids=lambda path: path.stem)
def test_help_and_wrong_flags(demo: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        run(demo, "--help")
    text = " ".join(capsys.readouterr().out.split())
    for flag in re.findall(r'add_argument\("(--[\w-]+)"', demo.read_text()):
        assert re.search(rf" {flag} [^()]*\w,? \S+[^()]*\(default: ", text), f"{flag} is not explained"
    with pytest.raises(SystemExit, match=r"^2$"):
        run(demo, "--size", "0")
    assert "takes a number >= 1, got 0" in capsys.readouterr().err


@pytest.mark.parametrize("demo", [SAMPLING_SPEED, BENCHMARK], ids=lambda path: path.stem)
def test_a_missing_gpu_is_one_line(demo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(SystemExit, match=rf"^{demo.name}: device: .*CuPy"):
        run(demo, "--device", "gpu")


def test_the_stand_in_for_a_gpu_is_timed_too(
    tmp_path: Path, capsys: pytest.CaptureFixture, gpu_standin: minigen.backend.Device
) -> None:
    run(SAMPLING_SPEED, "--size", 3, "--batch-sizes", 2, "--device", "gpu", "--out", tmp_path)
    run(BENCHMARK, "--model", "pixelcnn", "--sizes", 3, "--batch-sizes", 2, "--repeat", 1, "--device", "gpu")
    assert capsys.readouterr().out.count(" on gpu, ") == 2
