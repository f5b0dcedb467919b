"""Figures: every pixel of a mosaic, files that can be read, errors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from minigen import plot
from minigen.autograd import Tensor
from minigen.backend import Device


def random_images(n: int, channels: int = 1, height: int = 3, width: int = 2) -> np.ndarray:
    return np.random.default_rng(0).random((n, channels, height, width)).astype(np.float32)


def pixel(x: np.ndarray, columns: int, gap: int, row: int, column: int) -> np.ndarray:
    """What a mosaic has at that place: white, or the value of an image."""
    _, channels, height, width = x.shape
    (i, y), (j, k) = divmod(row - gap, height + gap), divmod(column - gap, width + gap)
    n = i * columns + j
    if row < gap or column < gap or y >= height or k >= width or n >= len(x):
        return np.array([255, 255, 255])
    value = np.rint(x[n, :, y, k] * 255)
    return value if channels == 3 else np.repeat(value, 3)


@given(
    st.integers(1, 7),
    st.sampled_from([1, 3]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.one_of(st.none(), st.integers(1, 8)),
    st.integers(0, 2),
    st.integers(1, 3),
)
def test_mosaic_pixel_by_pixel(
    n: int, channels: int, height: int, width: int, columns: int | None, gap: int, scale: int
) -> None:
    x = random_images(n, channels, height, width)
    image = plot.mosaic(x, columns, gap, scale)
    columns = columns or next(c for c in range(1, 9) if c * c >= n)  # as square as can be
    rows = -(-n // columns)
    expected_shape = (scale * (rows * (height + gap) + gap), scale * (columns * (width + gap) + gap), 3)
    assert image.shape == expected_shape and image.dtype == np.uint8
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            expected = pixel(x, columns, gap, row // scale, column // scale)
            np.testing.assert_array_equal(image[row, column], expected)


def test_mosaic_takes_tensors_of_any_device_and_clips(device: Device) -> None:
    x = np.array([-1.0, 0.0, 0.5, 1.0, 9.0], np.float32).reshape(1, 1, 1, 5)
    for images in (device.asarray(x), Tensor(device.asarray(x)), Tensor(device.asarray(x), requires_grad=True)):
        image = plot.mosaic(images, gap=0, scale=1)
        assert image[0, :, 0].tolist() == [0, 0, 128, 255, 255]
    binary = device.asarray(np.array([0, 1], np.uint8).reshape(1, 1, 1, 2))
    assert plot.mosaic(binary, gap=0, scale=1)[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("shape", [(3, 2), (1, 3, 2), (2, 2, 3, 2), (2, 4, 3, 2), (0, 1, 3, 2), (1, 1, 1, 3, 2)])
def test_what_is_no_image_is_refused(shape: tuple) -> None:
    with pytest.raises(ValueError, match=r"^mosaic: expects images \(N, 1 or 3, H, W\), got \(" + str(shape)[1:-1]):
        plot.mosaic(np.zeros(shape))


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("channels", [1, 3])
def test_save_grid_writes_the_mosaic(channels: int, tmp_path: Path) -> None:
    x, path = random_images(5, channels), tmp_path / "folder" / "samples.png"
    for columns, scale in ((None, 2), (5, 1)):
        plot.save_grid(x, path, columns, scale)
        np.testing.assert_array_equal(read(path), plot.mosaic(x, columns, scale=scale))
    assert os.listdir(path.parent) == ["samples.png"]  # nothing half-written beside it


def test_save_pairs_puts_each_below_its_original(tmp_path: Path) -> None:
    """Five of them in rows of three: the last row is filled up with white."""
    values = np.linspace(0.0, 0.9, 10, dtype=np.float32)
    originals, others = values[:5].reshape(5, 1, 1, 1), values[5:].reshape(5, 1, 1, 1)
    plot.save_pairs(originals, Tensor(others), tmp_path / "pairs.png", columns=3, scale=1)
    image = read(tmp_path / "pairs.png")[2::3, 2::3, 0]  # one pixel each, between gaps of two
    numbers = np.rint(values * 255).astype(int)
    white = 255
    assert image.tolist() == [[*numbers[0:3]], [*numbers[5:8]], [*numbers[3:5], white], [*numbers[8:10], white]]
    plot.save_pairs(originals, others, tmp_path / "pairs.png", scale=1)  # fewer than a row
    assert read(tmp_path / "pairs.png")[2::3, 2::3, 0].tolist() == [[*numbers[:5]], [*numbers[5:]]]
    with pytest.raises(
        ValueError, match=r"^save_pairs: expects originals and others of one shape, got \(5, .* and \(4, "
    ):
        plot.save_pairs(originals, others[:4], tmp_path / "pairs.png")


def is_written(area: np.ndarray) -> bool:
    """Whether there is text, which is black on white."""
    return bool((area < 128).any())


def test_titles_stand_before_their_rows_and_a_caption_above() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (60, 40, 3), np.uint8)
    image = plot.titled(picture, rows=("original", "", "x"))
    left = image.shape[1] - 40
    np.testing.assert_array_equal(image[:, left:], picture)
    assert [is_written(image[top : top + 20, :left]) for top in (0, 20, 40)] == [True, False, True]
    image = plot.titled(picture, caption="epoch 7")
    np.testing.assert_array_equal(image[-60:], picture)
    assert len(image) > 70 and image.shape[1] == 40 and is_written(image[:-60])
    np.testing.assert_array_equal(plot.titled(picture), picture)


def test_pairs_are_named_in_every_row(tmp_path: Path) -> None:
    x = random_images(5, height=20, width=20)
    plot.save_pairs(x, x, tmp_path / "plain.png", columns=3, scale=1)
    plot.save_pairs(x, x, tmp_path / "named.png", names=("a", "b"), columns=3, scale=1)
    plain, named = read(tmp_path / "plain.png"), read(tmp_path / "named.png")
    left = named.shape[1] - plain.shape[1]
    np.testing.assert_array_equal(named[:, left:], plain)
    written = (named[:, :left] < 128).any(axis=(1, 2))
    assert (np.diff(written.astype(int)) == 1).sum() == 4  # pieces of text, one below the other


LOG: list[dict[str, Any]] = [
    {"epoch": 1, "train": {"loss": 3.0}, "test": {"-elbo": 4.0}, "seconds": 1.0},
    {"epoch": 2, "train": {"loss": 2.0}, "test": {}, "seconds": 2.0},
    {"epoch": 3, "train": {"loss": 1.0}, "test": {"-elbo": 2.5}, "seconds": 3.0},
]


def test_save_curves_draws_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines, labels and axes as the figure was about to be written."""
    drawn: list[Axes] = []
    savefig = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (drawn.extend(self.axes), savefig(self, *a, **k))[1])
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in LOG))
    plot.save_curves(tmp_path / "log.jsonl", tmp_path / "curves.png", {"nats per image": ["loss", "-elbo"]})
    (axes,) = drawn
    lines = {line.get_label(): (line.get_linestyle(), line.get_xydata().tolist()) for line in axes.get_lines()}
    assert lines == {"train: loss": ("--", [[1, 3.0], [2, 2.0], [3, 1.0]]), "test: -elbo": ("-", [[1, 4.0], [3, 2.5]])}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "nats per image")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == list(lines)
    assert read(tmp_path / "curves.png").shape == (400, 600, 3)
    assert sorted(os.listdir(tmp_path)) == ["curves.png", "log.jsonl"]
    (tmp_path / "log.jsonl").write_bytes(b"{}\n\xff\n")
    with pytest.raises(ValueError, match=rf"^{tmp_path}/log.jsonl: is no JSON, or cut short \('utf-8' codec"):
        plot.save_curves(tmp_path / "log.jsonl", tmp_path / "curves.png", {"nats": ["loss"]})


@pytest.mark.parametrize("epochs", [1, 2, 3, 40])
def test_epochs_are_whole_numbers_and_one_is_a_point(
    epochs: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Axes] = []
    savefig = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (savefig(self, *a, **k), drawn.extend(self.axes))[0])
    records = [{"epoch": i, "train": {"loss": 1.0}} for i in range(1, epochs + 1)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    plot.save_curves(tmp_path / "log.jsonl", tmp_path / "curves.png", {"nats": ["loss"]})
    low, high = drawn[0].get_xlim()
    ticks = [tick for tick in drawn[0].get_xticks() if low <= tick <= high]
    assert ticks and all(tick == round(tick) for tick in ticks)
    assert drawn[0].get_lines()[0].get_marker() == "o"


def test_save_curves_in_panels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Side by side, in the given order; what the log does not have (yet) is left out."""
    drawn: list[Axes] = []
    savefig = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (drawn.extend(self.axes), savefig(self, *a, **k))[1])
    keys = ["d_loss", "g_loss", "D(x)"]
    records = [{"epoch": e, "train": {key: e * 10.0 + i for i, key in enumerate(keys)}, "test": {}} for e in (1, 2)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    panels = {"loss": ["d_loss", "g_loss"], "probability": ["D(x)", "nothing"]}
    plot.save_curves(tmp_path / "log.jsonl", tmp_path / "curves.png", panels)
    assert [axes.get_ylabel() for axes in drawn] == ["loss", "probability"]
    assert drawn[0].get_position().x1 < drawn[1].get_position().x0
    lines = [{line.get_label(): line.get_xydata().tolist() for line in axes.get_lines()} for axes in drawn]
    assert lines == [
        {"train: d_loss": [[1, 10], [2, 20]], "train: g_loss": [[1, 11], [2, 21]]},
        {"train: D(x)": [[1, 12], [2, 22]]},
    ]
    colours = [[line.get_color() for line in axes.get_lines()] for axes in drawn]
    assert colours == [["C0", "C1"], ["C0"]]
    assert read(tmp_path / "curves.png").shape == (400, 1200, 3)


def test_a_figure_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "samples.png"
    plot.save_grid(random_images(2), path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda a, b: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        plot.save_grid(random_images(3), path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["samples.png"]


def test_save_animation(tmp_path: Path) -> None:
    frames = [np.full((6, 8, 3), value, np.uint8) for value in (0, 128, 255)]
    plot.save_animation(frames, tmp_path / "a.gif", milliseconds=50)
    with Image.open(tmp_path / "a.gif") as animation:
        assert (animation.format, animation.n_frames, animation.size) == ("GIF", 3, (8, 6))
        for i, frame in enumerate(frames):
            animation.seek(i)
            np.testing.assert_array_equal(np.asarray(animation.convert("RGB")), frame)
            assert animation.info["duration"] == (2000 if i == 2 else 50)
    with pytest.raises(ValueError, match=r"^save_animation: expects at least one frame, got none$"):
        plot.save_animation([], tmp_path / "b.gif")
