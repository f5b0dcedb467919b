"""Figures: images side by side, animations, and curves of training, written to files.

Images are arrays (N, C, H, W) with values in [0, 1] and one channel (grey) or three (RGB).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minigen.autograd import raw
from minigen.backend import to_numpy
from minigen.files import atomic_write, read_json


def mosaic(images: Any, columns: int | None = None, gap: int = 2, scale: int = 2) -> np.ndarray:
    """Images (N, C, H, W) side by side in rows, as one RGB image (height, width, 3) of bytes.

    columns  images in a row; by default as many as rows, or one more
    gap      white pixels between images
    scale    each pixel is drawn as a square of this side

    Values outside [0, 1] are clipped. `ValueError` if there are no images, or not one or three channels.
    """
    x = to_numpy(raw(images))
    if x.ndim != 4 or x.shape[1] not in (1, 3) or len(x) == 0:
        raise ValueError(f"mosaic: expects images (N, 1 or 3, H, W), got {x.shape}")
    n, _, height, width = x.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    canvas = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, dtype=np.uint8)
    for i, image in enumerate(np.rint(np.clip(x, 0, 1) * 255).astype(np.uint8)):
        top, left = gap + i // columns * (height + gap), gap + i % columns * (width + gap)
        canvas[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    return canvas.repeat(scale, axis=0).repeat(scale, axis=1)


def titled(picture: np.ndarray, rows: Sequence[str] = (), caption: str = "") -> np.ndarray:
    """A picture (height, width, 3) of bytes with a title on the left of each of its rows, and a caption above it."""
    from PIL import Image, ImageDraw, ImageFont

    height, width, _ = picture.shape
    size = max(13, width // 60)  # of the text, in pixels; wide pictures are often shown smaller
    font = ImageFont.load_default(size)
    left = size + math.ceil(max(font.getlength(title) for title in rows)) if any(rows) else 0
    top = 2 * size if caption else 0
    canvas = Image.new("RGB", (left + width, top + height), "white")
    canvas.paste(Image.fromarray(picture), (left, top))
    draw = ImageDraw.Draw(canvas)
    draw.text((left + size // 2, top / 2), caption, "black", font, anchor="lm")
    for i, title in enumerate(rows):
        middle = top + (i + 0.5) * height / len(rows)
        draw.text((left - size // 2, middle), title, "black", font, anchor="rm")
    return np.asarray(canvas)


def save_grid(
    images: Any, path: str | Path, columns: int | None = None, scale: int = 2, rows: Sequence[str] = ()
) -> None:
    """Write images (N, C, H, W) as one PNG, side by side in rows: see `mosaic`; `rows` has a title for each of them."""
    from PIL import Image

    picture = Image.fromarray(titled(mosaic(images, columns, scale=scale), rows))
    with atomic_write(path) as temporary:
        (picture.convert("L") if images.shape[1] == 1 else picture).save(temporary, format="png")


def save_animation(frames: Sequence[np.ndarray], path: str | Path, milliseconds: int = 80) -> None:
    """Write RGB images (height, width, 3) of bytes, such as those of `mosaic`, as an animated GIF.

    The last image stays for two seconds, then the animation repeats. `ValueError` if there are no images.
    """
    from PIL import Image

    if not len(frames):
        raise ValueError("save_animation: expects at least one frame, got none")
    pictures = [Image.fromarray(frame).quantize(64) for frame in frames]
    durations = [milliseconds] * (len(frames) - 1) + [2000]
    with atomic_write(path) as temporary:
        pictures[0].save(temporary, format="gif", save_all=True, append_images=pictures[1:], duration=durations, loop=0)


def save_pairs(
    originals: Any, others: Any, path: str | Path, names: tuple[str, str] = ("", ""), columns: int = 12, scale: int = 2
) -> None:
    """Write images (N, C, H, W), each above its counterpart (such as a reconstruction), as one PNG.

    `names` are the titles of the two kinds of rows. `ValueError` if the two have different shapes.
    """
    both = [to_numpy(raw(x)) for x in (originals, others)]
    if both[0].shape != both[1].shape:
        raise ValueError(
            f"save_pairs: expects originals and others of one shape, got {both[0].shape} and {both[1].shape}"
        )
    columns = min(columns, len(both[0]))
    rows = []
    for start in range(0, len(both[0]), columns):
        for x in both:
            row = x[start : start + columns]
            white = np.ones((columns - len(row), *x.shape[1:]), x.dtype)  # fills the row up
            rows += [row, white]
    save_grid(np.concatenate(rows), path, columns, scale, rows=names * (len(rows) // 4))


def save_curves(log: str | Path, path: str | Path, panels: Mapping[str, Sequence[str]]) -> None:
    """Write the curves of a training log (JSON lines, see `train.train`) over the epochs as a PNG.

    `panels` maps the label of each panel's vertical axis to the metrics that it shows. Dashed lines show the training
    set, solid lines the test set. Every epoch has a point.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    records = read_json(Path(log), lines=True)
    figure = Figure(figsize=(6 * len(panels), 4), layout="constrained")
    for axes, (label, keys) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for color, key in enumerate(keys):
            for split, style in (("train", "--"), ("test", "-")):
                points = [(r["epoch"], r[split][key]) for r in records if key in r.get(split, {})]
                if points:
                    axes.plot(*zip(*points, strict=True), f"o{style}", ms=3, color=f"C{color}", label=f"{split}: {key}")
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_ylabel(label)
        axes.grid(alpha=0.3)
        axes.legend()
    save_figure(figure, path)


def save_figure(figure: Any, path: str | Path) -> None:
    """Write a Matplotlib figure as PNG."""
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=100, format="png")
