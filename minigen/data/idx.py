"""IDX, the file format of MNIST: a header with the sizes, then the values.

    2 zero bytes | type (8: unsigned byte) | number of axes | one big-endian uint32 an axis | the values

A file may be gzipped or not.
"""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path

import numpy as np

from minigen.data.files import open_uncompressed, read_at_most

_UNSIGNED_BYTE = 8


def read_idx(path: str | Path) -> np.ndarray:
    """The array in the IDX file `path`, uint8, of any shape.

    Raises `ValueError`, naming the file, if it is not an IDX file of bytes, or is damaged, cut short or too long.
    """
    with open_uncompressed(path) as file:
        start = file.read(4)
        if len(start) < 4:
            raise ValueError(f"{path}: {len(start)} bytes are too few for an IDX file")
        zeros, kind, axes = struct.unpack(">HBB", start)
        if zeros != 0 or kind != _UNSIGNED_BYTE or axes == 0:
            raise ValueError(f"{path}: starts with {start.hex(' ')}; an IDX file of bytes starts with 00 00 08")
        sizes = file.read(4 * axes)
        if len(sizes) < 4 * axes:
            raise ValueError(f"{path}: the header of {axes} axes is cut short")
        shape = struct.unpack(f">{axes}I", sizes)
        size = math.prod(shape)
        content = read_at_most(file, size + 1)
    if len(content) != size:
        fault = f"cut short: there are {len(content)}" if len(content) < size else "too long: there are more"
        raise ValueError(f"{path}: {shape} takes {size} bytes after the header, but the file is {fault}")
    try:
        return np.frombuffer(content, np.uint8).reshape(shape)
    except ValueError as error:  # too many axes, or sizes whose product is 0 but too large without the 0
        raise ValueError(f"{path}: no array has the shape in the header ({error})") from None


def write_idx(path: str | Path, array: np.ndarray) -> None:
    """Write a uint8 array as an IDX file, gzipped if `path` ends in ".gz". The same array gives the same bytes."""
    if array.dtype != np.uint8 or array.ndim == 0:
        raise ValueError(f"write_idx: expects a uint8 array with at least one axis, got {array.shape} {array.dtype}")
    header = struct.pack(f">HBB{array.ndim}I", 0, _UNSIGNED_BYTE, array.ndim, *array.shape)
    content = header + array.tobytes()
    Path(path).write_bytes(gzip.compress(content, mtime=0) if str(path).endswith(".gz") else content)


def read_images_and_labels(images_path: str | Path, labels_path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Grey images (N, 1, H, W) uint8 and their labels (N,) int64, from a pair of IDX files.

    Raises `ValueError`, naming the file, if one of them is damaged, has another number of axes, or if the numbers of
    images and labels differ.
    """
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3:
        raise ValueError(f"{images_path}: expects images (N, H, W), got {images.shape}")
    if labels.ndim != 1:
        raise ValueError(f"{labels_path}: expects labels (N,), got {labels.shape}")
    if len(images) != len(labels):
        raise ValueError(f"{images_path} has {len(images)} images, but {labels_path} has {len(labels)} labels")
    return images[:, None], labels.astype(np.int64)
