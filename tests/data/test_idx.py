"""Files in MNIST's IDX format against bytes written by hand; damaged ones are named."""

from __future__ import annotations

import gzip
import math
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen.data import idx
from minigen.data.idx import read_idx, read_images_and_labels, write_idx

# Written out by hand after the format's description: 2 x 3 bytes.
SMALL = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 250, 251, 252])


@pytest.mark.parametrize("content", [SMALL, gzip.compress(SMALL, mtime=0)])
@pytest.mark.parametrize("name", ["small", "small.gz"])
def test_reads_bytes_written_by_hand(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    array = read_idx(path)
    assert array.dtype == np.uint8 and array.tolist() == [[1, 2, 3], [250, 251, 252]]
    array[0, 0] = 7  # and may be changed


def test_writes_bytes_written_by_hand(tmp_path: Path) -> None:
    array = np.array([[1, 2, 3], [250, 251, 252]], np.uint8)
    for view in (array, np.asfortranarray(array)):
        write_idx(tmp_path / "small", view)
        assert (tmp_path / "small").read_bytes() == SMALL
    write_idx(tmp_path / "small.gz", array)
    content = (tmp_path / "small.gz").read_bytes()
    assert gzip.decompress(content) == SMALL
    assert content[4:8] == bytes(4)  # no time of writing: the same array gives the same file


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.booleans())
def test_reads_what_it_wrote(tmp_path_factory: pytest.TempPathFactory, shape: list[int], gzipped: bool) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    path = tmp_path_factory.mktemp("idx") / ("array.gz" if gzipped else "array")
    write_idx(path, array)
    np.testing.assert_array_equal(read_idx(path), array)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "0 bytes are too few"),
        (SMALL[:3], "3 bytes are too few"),
        (SMALL[:9], "the header of 2 axes is cut short"),
        (SMALL[:-1], r"\(2, 3\) takes 6 bytes after the header, but the file is cut short: there are 5"),
        (SMALL + b"\0", r"\(2, 3\) takes 6 bytes after the header, but the file is too long: there are more"),
        (b"\x89PNG" + SMALL, "starts with 89 50 4e 47"),
        (b"\1" + SMALL[1:], "starts with 01 00 08 02"),
        (b"\0\0\x0d\2" + SMALL[4:], "starts with 00 00 0d 02"),  # floats
        (b"\0\0\x08\0", "starts with 00 00 08 00"),  # no axis
        (gzip.compress(SMALL, mtime=0)[:-12], "gzip file is corrupted or cut short"),
        (gzip.compress(SMALL, mtime=0)[:-6] + bytes(6), "gzip file is corrupted or cut short"),  # its checksum
        (b"\x1f\x8b" + b"nonsense", "gzip file is corrupted or cut short"),
        (gzip.compress(SMALL, mtime=0)[:10] + b"\xff" * 20, "gzip file is corrupted or cut short"),
    ],
)
def test_names_the_file_and_its_fault(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "damaged-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"damaged-idx3-ubyte: .*{message}"):
        read_idx(path)


def test_sizes_beyond_64_bits_do_not_wrap_around(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    path.write_bytes(bytes([0, 0, 8, 4]) + b"\x00\x01\x00\x00" * 4)  # 2^16 to the 4th is 2^64, 0 in 64 bits
    with pytest.raises(ValueError, match="cut short"):
        read_idx(path)


@pytest.mark.parametrize("sizes", [[1] * 100, [0, 2**32 - 1, 2**32 - 1]])
def test_a_shape_that_no_array_has_is_refused_by_name(tmp_path: Path, sizes: list[int]) -> None:
    path = tmp_path / "odd"
    path.write_bytes(struct.pack(f">HBB{len(sizes)}I", 0, 8, len(sizes), *sizes) + bytes(math.prod(sizes)))
    with pytest.raises(ValueError, match="odd: no array has the shape in the header"):
        read_idx(path)


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize(("claim", "found"), [(6, 100_000_000), (2**31, 6)])
def test_takes_no_more_memory_than_the_claim_and_the_content(
    tmp_path: Path, gzipped: bool, claim: int, found: int
) -> None:
    content = struct.pack(">HBBI", 0, 8, 1, claim) + bytes(found)
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(content, 1) if gzipped else content)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"bomb: .* bytes after the header, but the file is (too long|cut short)"):
        read_idx(path)
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_contents_that_do_not_fit_into_memory_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_much(*args: object) -> None:
        raise MemoryError

    write_idx(tmp_path / "large", np.zeros(3, np.uint8))
    monkeypatch.setattr(idx, "read_at_most", too_much)
    with pytest.raises(ValueError, match="large: the contents do not fit into memory"):
        read_idx(tmp_path / "large")


@pytest.mark.parametrize("array", [np.zeros(3), np.uint8(3)])
def test_writes_only_bytes_with_an_axis(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="write_idx: expects a uint8 array with at least one axis"):
        write_idx(tmp_path / "x", array)


def test_images_and_labels(tmp_path: Path) -> None:
    images = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    write_idx(tmp_path / "images", images)
    write_idx(tmp_path / "labels", np.array([4, 2], np.uint8))
    write_idx(tmp_path / "three", np.array([4, 2, 1], np.uint8))
    read, labels = read_images_and_labels(tmp_path / "images", tmp_path / "labels")
    np.testing.assert_array_equal(read, images.reshape(2, 1, 2, 3))
    assert labels.dtype == np.int64 and labels.tolist() == [4, 2]
    with pytest.raises(ValueError, match=r"images has 2 images, but .*three has 3 labels"):
        read_images_and_labels(tmp_path / "images", tmp_path / "three")
    with pytest.raises(ValueError, match=r"labels: expects images \(N, H, W\), got \(2,\)"):
        read_images_and_labels(tmp_path / "labels", tmp_path / "labels")
    with pytest.raises(ValueError, match=r"images: expects labels \(N,\), got \(2, 2, 3\)"):
        read_images_and_labels(tmp_path / "images", tmp_path / "images")
