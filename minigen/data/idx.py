"""IDX, the file format of MNIST: a header with the sizes, then the bytes.

    2 zero bytes | type (8: unsigned byte) | number of axes | one big-endian uint32 an axis | the values

Files may be gzipped or not, whatever they are called; the first two bytes tell.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import IO, cast

import numpy as np

_UNSIGNED_BYTE = 8


def open_plain(path: str | Path) -> IO[bytes]:
    """The file `path` for reading, uncompressed on the way if it is gzipped."""
    with open(path, "rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    return cast(IO[bytes], gzip.open(path)) if gzipped else open(path, "rb")


def read_idx(path: str | Path) -> np.ndarray:
    """The array in the IDX file `path`, uint8. `ValueError` names the file and what is wrong with it."""
    try:
        with open_plain(path) as file:
            content = file.read()
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path}: the gzip file is corrupted or cut short ({error})") from error
    if len(content) < 4:
        raise ValueError(f"{path}: {len(content)} bytes are too few for an IDX file")
    zeros, kind, axes = struct.unpack(">HBB", content[:4])
    if zeros != 0 or kind != _UNSIGNED_BYTE or axes == 0:
        raise ValueError(f"{path}: starts with {content[:4].hex(' ')}; an IDX file of bytes starts with 00 00 08")
    start = 4 + 4 * axes
    if len(content) < start:
        raise ValueError(f"{path}: the header of {axes} axes is cut short")
    shape = struct.unpack(f">{axes}I", content[4:start])
    size, found = math.prod(shape), len(content) - start
    if found != size:
        fault = "cut short" if found < size else "too long"
        raise ValueError(f"{path}: {fault}: {shape} takes {size} bytes after the header, but there are {found}")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()


def write_idx(path: str | Path, array: np.ndarray) -> None:
    """Write a uint8 array as an IDX file, gzipped if `path` ends in ".gz": the same array, the same bytes."""
    if array.dtype != np.uint8 or array.ndim == 0:
        raise ValueError(f"write_idx: takes a uint8 array with an axis, got {array.shape} {array.dtype}")
    header = struct.pack(f">HBB{array.ndim}I", 0, _UNSIGNED_BYTE, array.ndim, *array.shape)
    content = header + array.tobytes()
    Path(path).write_bytes(gzip.compress(content, mtime=0) if str(path).endswith(".gz") else content)


def read_images_and_labels(images_path: str | Path, labels_path: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Grey images (N, 1, H, W) uint8 and their labels (N,) int64, from a pair of IDX files."""
    images, labels = read_idx(images_path), read_idx(labels_path)
    if images.ndim != 3:
        raise ValueError(f"{images_path}: images are (N, H, W), this is {images.shape}")
    if labels.ndim != 1:
        raise ValueError(f"{labels_path}: labels are (N,), this is {labels.shape}")
    if len(images) != len(labels):
        raise ValueError(f"{images_path} has {len(images)} images, but {labels_path} {len(labels)} labels")
    return images[:, None], labels.astype(np.int64)
