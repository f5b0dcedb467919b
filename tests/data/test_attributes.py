"""A file of attributes in CelebA's format beside a folder of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from minigen.data import load_attributes

NAMES = ("Bangs", "Eyeglasses", "Male", "5_o_Clock_Shadow")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """25 images of one colour each: image i is (i, 2 i, 3 i)."""
    folder = tmp_path_factory.mktemp("data") / "faces"
    folder.mkdir()
    for i in range(25):
        Image.fromarray(np.full((4, 4, 3), (i, 2 * i, 3 * i), np.uint8)).save(folder / f"{i}.png")
    return folder


def written(path: Path, values: np.ndarray, form: str = "celeba", no: int = -1) -> Path:
    """The attributes (N, 4) of 0 and 1 as a file, with `no` for a 0."""
    rows = [[f"{i}.png", *(("1" if yes else str(no)) for yes in row)] for i, row in enumerate(values)]
    if form == "celeba":  # values in columns of two, Windows' line ends
        lines = [
            str(len(rows)),
            " ".join(NAMES) + " ",
            *(name + "".join(f" {v:>2}" for v in row) for name, *row in rows),
        ]
        path.write_bytes("\r\n".join([*lines, ""]).encode())
    elif form == "csv":
        path.write_text("\n".join(["image_id," + ",".join(NAMES), *(",".join(row) for row in rows)]))
    else:
        path.write_text("\n".join([" ".join(NAMES), *(" ".join(row) for row in rows)]) + "\n")
    return path


@given(
    values=st.lists(st.lists(st.booleans(), min_size=4, max_size=4), min_size=10, max_size=25),
    which=st.tuples(st.sampled_from(NAMES), st.sampled_from(NAMES)),
    form=st.sampled_from(["celeba", "csv", "no count"]),
    no=st.sampled_from([-1, 0]),
)
def test_two_attributes_as_labels(
    folder: Path, values: list[list[bool]], which: tuple[str, str], form: str, no: int
) -> None:
    """Every tenth image is for the test."""
    file = written(folder.parent / "attributes.txt", np.array(values), form, no)
    seen: list[int] = []
    for split in ("train", "test"):
        dataset = load_attributes(folder, file, which, split, size=4)
        numbers = dataset.images[:, 0, 0, 0].tolist()
        assert numbers == [i for i in range(len(values)) if (i in (9, 19)) == (split == "test")]
        seen += numbers
        for channel in range(3):
            expected = np.broadcast_to(np.reshape(numbers, (-1, 1, 1)) * (channel + 1), (len(numbers), 4, 4))
            np.testing.assert_array_equal(dataset.images[:, channel], expected)
        first, second = (NAMES.index(name) for name in which)
        assert dataset.labels.tolist() == [values[i][first] for i in numbers]
        assert dataset.colours is not None and dataset.colours.tolist() == [values[i][second] for i in numbers]
        assert dataset.classes == (f"not {which[0]}", which[0])
        assert dataset.colour_names == (f"not {which[1]}", which[1])
        assert (dataset.name, dataset.split) == ("faces", split)
    assert sorted(seen) == list(range(len(values)))


@pytest.mark.parametrize("form", ["celeba", "csv", "no count"])
def test_a_list_of_one_image(folder: Path, tmp_path: Path, form: str) -> None:
    file = written(tmp_path / "a.txt", np.array([[1, 0, 0, 1]]), form)
    dataset = load_attributes(folder, file, ("Bangs", "Male"), size=4)
    assert (dataset.images.shape, dataset.labels.tolist(), dataset.colours.tolist()) == ((1, 3, 4, 4), [1], [0])


def test_images_get_the_size_that_is_asked_for(folder: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "a.txt", np.ones((10, 4)))
    assert load_attributes(folder, file, ("Bangs", "Male"), size=7).images.shape == (9, 3, 7, 7)
    assert load_attributes(str(folder), str(file), ("Bangs", "Male")).image_shape == (3, 32, 32)


def test_errors_name_the_file_and_what_is_wrong(folder: Path, tmp_path: Path) -> None:
    values = np.ones((10, 4), bool)
    good = written(tmp_path / "a.txt", values).read_text()

    def refused(text: str, message: str, split: str = "train", which: tuple[str, str] = ("Bangs", "Male")) -> None:
        (tmp_path / "a.txt").write_text(text)
        with pytest.raises(ValueError, match=message):
            load_attributes(folder, tmp_path / "a.txt", which, split, size=4)

    has_no = r"^load_attributes: .*a\.txt has no attribute 'Hat'; it has Bangs Eyeglasses Male 5_o_Clock_Shadow$"
    refused(good, has_no, which=("Male", "Hat"))
    refused(good, r"^load_attributes: expects split \"train\" or \"test\", got 'validation'$", "validation")
    line = r"^load_attributes: .*a\.txt: the line of '3\.png' is not a name and 4 times 1 or -1$"
    refused(good.replace("3.png  1  1", "3.png  1"), line)
    refused(good.replace("3.png  1  1", "3.png  1  1  1"), line)
    refused(good.replace("3.png  1  1", "3.png yes 1"), line)
    for text in ("", "10\n", "10\nBangs Male\n", "Bangs Male\n"):
        refused(text, r"^load_attributes: .*a\.txt lists no images$")
    refused(
        good.replace("3.png", "33.png"),
        r"a\.txt lists an image .* damaged: .*33\.png: not an image .* \(FileNotFoundError",
    )
    for claim in ("9", "11", "010"):
        refused(good.replace("10\n", f"{claim}\n", 1), rf"a\.txt lists 10 images, but its first line says {claim}$")
    (tmp_path / "a.txt").write_bytes(good.encode() + b"\xff")
    with pytest.raises(ValueError, match=r"^load_attributes: .*a\.txt is not a text file in UTF-8 \(.*0xff"):
        load_attributes(folder, tmp_path / "a.txt", ("Bangs", "Male"))
    nine = written(tmp_path / "a.txt", values[:9]).read_text()
    refused(nine, r"^load_attributes: .*a\.txt lists 9 images, of which none is for 'test'$", "test")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_attributes(folder, tmp_path / "nowhere.txt", ("Bangs", "Male"))
