"""Faces, or other images, with named attributes in a file of CelebA's format (Liu et al. 2015, arXiv 1411.7766).

202599                                  the number of images (may be missing)
5_o_Clock_Shadow Arched_Eyebrows ...    the attributes' names
000001.jpg -1  1 ...                    for each image its file, and 1 or -1 for each attribute
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from minigen.data.dataset import Dataset
from minigen.data.images import read_image


def load_attributes(
    folder: str | Path, file: str | Path, attributes: tuple[str, str], split: str = "train", *, size: int = 32
) -> Dataset:
    """The images of `folder` that `file` lists, (N, 3, size, size), with two attributes as labels 0 and 1.

    The first attribute gives `labels`, the second `colours` (a data set's second label). Every tenth image belongs to
    the split "test", the others to "train". Values may be separated by commas, and 0 may stand for -1.

    Raises `FileNotFoundError` if there is no such file, and `ValueError`, naming the file, if it has no such
    attribute, another number of images than its first line says, a line that does not fit, or an unreadable image.
    """
    if split not in ("train", "test"):
        raise ValueError(f'load_attributes: expects split "train" or "test", got {split!r}')
    folder, file = Path(folder).expanduser(), Path(file).expanduser()
    names, rows = _read_list(file)
    for attribute in attributes:
        if attribute not in names:
            raise ValueError(f"load_attributes: {file} has no attribute {attribute!r}; it has {' '.join(names)}")
    columns = [1 + names.index(attribute) for attribute in attributes]
    chosen = [row for i, row in enumerate(rows) if (i % 10 == 9) == (split == "test")]
    if not chosen:
        raise ValueError(f"load_attributes: {file} lists {len(rows)} images, of which none is for {split!r}")
    images = np.empty((len(chosen), 3, size, size), np.uint8)
    labels = np.empty((2, len(chosen)), np.int64)
    for i, row in enumerate(chosen):
        if len(row) != 1 + len(names) or any(row[c] not in ("-1", "0", "1") for c in columns):
            raise ValueError(
                f"load_attributes: {file}: the line of {row[0]!r} is not a name and {len(names)} times 1 or -1"
            )
        try:
            images[i] = read_image(folder / row[0], size)
        except ValueError as error:
            raise ValueError(f"load_attributes: {file} lists an image that is missing or damaged: {error}") from error
        labels[:, i] = [row[c] == "1" for c in columns]
    first, second = ((f"not {name}", name) for name in attributes)
    return Dataset(images, labels[0], first, folder.resolve().name, split, labels[1], second)


def _read_list(file: Path) -> tuple[list[str], list[list[str]]]:
    """The attributes' names, and for each image the words of its line."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"load_attributes: {file} is not a text file in UTF-8 ({error})") from None
    lines = [re.split(r"[,\s]+", line.strip()) for line in text.splitlines() if line.strip()]
    claim = lines.pop(0)[0] if lines and len(lines[0]) == 1 and lines[0][0].isdecimal() else None
    if len(lines) < 2:
        raise ValueError(f"load_attributes: {file} lists no images")
    names, rows = [name for name in lines[0] if name not in ("", "image_id")], lines[1:]
    if claim not in (None, str(len(rows))):
        raise ValueError(f"load_attributes: {file} lists {len(rows)} images, but its first line says {claim}")
    return names, rows
