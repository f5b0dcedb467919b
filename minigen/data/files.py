"""Reading files that may be damaged or malicious.

A gzip file can unpack to a thousand times its size. Therefore every reader here first decides how many bytes it
expects, and `read_at_most` takes no more memory than that. The checksum of a gzip file stands at its end and is checked
when the end is reached: a reader that asks for one byte more than it expects has also had the checksum verified.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast


@contextmanager
def open_uncompressed(path: str | Path) -> Iterator[IO[bytes]]:
    """The file `path`, opened for reading and uncompressed on the way if it is gzipped.

    The first two bytes tell whether it is, not its name. Raises `ValueError`, naming the file, from the block if the
    gzip file turns out to be corrupted or cut short, or if its contents do not fit into memory.
    """
    with open(path, "rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    try:
        with cast(IO[bytes], gzip.open(path)) if gzipped else open(path, "rb") as file:
            yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"{path}: the gzip file is corrupted or cut short ({error})") from error
    except MemoryError:
        raise ValueError(f"{path}: the contents do not fit into memory") from None


def read_at_most(file: IO[bytes], count: int) -> bytearray:
    """The next `count` bytes of `file`, fewer if it ends before. Memory grows with the bytes read, not with `count`."""
    content = bytearray()
    while piece := file.read(min(count - len(content), 1 << 20)):
        content += piece
    return content
