"""Folders of images: cut, resized, in colour or grey, in classes and splits."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minigen.data import load_folder
from minigen.data.images import read_image


def save(path: Path, array: np.ndarray, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def flat(colour: tuple[int, int, int] | int, height: int = 4, width: int = 4) -> np.ndarray:
    shape = (height, width, 3) if isinstance(colour, tuple) else (height, width)
    return np.full(shape, colour, np.uint8)


def test_an_image_of_the_right_size_is_not_touched(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    image = read_image(save(tmp_path / "a.png", array), 8)
    assert image.dtype == np.uint8 and image.shape == (3, 8, 8)
    for channel in range(3):
        np.testing.assert_array_equal(image[channel], array[:, :, channel])


@pytest.mark.parametrize("sideways", [False, True])
def test_cuts_out_the_middle(tmp_path: Path, sideways: bool) -> None:
    array = np.zeros((8, 24), np.uint8)
    array[:, 8:16] = np.random.default_rng(0).integers(1, 256, (8, 8))
    middle = array[:, 8:16]
    path = save(tmp_path / "wide.png", array.T.copy() if sideways else array)
    np.testing.assert_array_equal(read_image(path, 8, 1)[0], middle.T if sideways else middle)


@pytest.mark.parametrize("shape", [(40, 80), (80, 40), (3, 5), (33, 32)])
def test_resizes_the_shorter_side(tmp_path: Path, shape: tuple[int, int]) -> None:
    rows, columns = np.indices(shape)
    centre = [(n - 1) / 2 for n in shape]
    scale = min(shape)
    ramp = 128 + 80 * (columns - centre[1]) / scale + 40 * (rows - centre[0]) / scale
    image = read_image(save(tmp_path / "ramp.png", ramp.round().astype(np.uint8)), 16, 1)[0]
    rows, columns = np.indices((16, 16))  # a ramp stays a ramp, whatever the size
    expected = 128 + 80 * (columns - 7.5) / 16 + 40 * (rows - 7.5) / 16
    inner = (slice(2, -2), slice(2, -2))  # at the edges a filter has less to look at
    assert np.abs(image[inner] - expected[inner]).max() < (10 if scale < 16 else 2)


def test_rgb_and_grey(tmp_path: Path) -> None:
    colour = save(tmp_path / "colour.png", flat((200, 100, 50)))
    grey = save(tmp_path / "grey.png", flat(70))
    deep = save(tmp_path / "deep.png", np.full((4, 4), 70 * 256 + 5, np.uint16))
    clear = save(tmp_path / "clear.png", np.full((4, 4, 4), (0, 0, 0, 102), np.uint8))  # black, and 60 % transparent
    assert read_image(clear, 4, 3)[:, 0, 0].tolist() == [153, 153, 153] == 3 * read_image(clear, 4, 1)[:, 0, 0].tolist()
    assert read_image(colour, 4, 3)[:, 0, 0].tolist() == [200, 100, 50]
    luma = 0.299 * 200 + 0.587 * 100 + 0.114 * 50
    assert abs(int(read_image(colour, 4, 1)[0, 0, 0]) - luma) <= 1
    for path in (grey, deep):
        assert read_image(path, 4, 3)[:, 0, 0].tolist() == [70, 70, 70]
        assert read_image(path, 4, 1)[:, 0, 0].tolist() == [70]


def test_a_photograph_taken_sideways_is_turned(tmp_path: Path) -> None:
    array = np.zeros((8, 8), np.uint8)
    array[:4] = 255  # white above; orientation 3: to be shown upside down
    exif = Image.Exif()
    exif[0x0112] = 3
    path = save(tmp_path / "photo.png", array, exif=exif)
    np.testing.assert_array_equal(read_image(path, 8, 1)[0], array[::-1])


def test_a_flat_folder_is_sorted_by_name_and_has_one_class(tmp_path: Path) -> None:
    for name, value in (("b.png", 2), ("a.bmp", 1), ("c.PGM", 3), ("10.png", 0)):
        save(tmp_path / name, flat(value))
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "._a.png").write_text("what another system leaves behind")
    dataset = load_folder(tmp_path, size=4, channels=1)
    assert dataset.images[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert dataset.labels.tolist() == [0, 0, 0, 0] and dataset.labels.dtype == np.int64
    assert dataset.image_shape == (1, 4, 4) and dataset.name == tmp_path.name


def test_subfolders_are_classes(tmp_path: Path) -> None:
    save(tmp_path / "dog" / "1.png", flat((1, 1, 1)))
    save(tmp_path / "cat" / "2.png", flat((2, 2, 2), 9, 5))
    save(tmp_path / "dog" / "puppies" / "3.png", flat(3))
    dataset = load_folder(tmp_path, size=4)
    assert dataset.classes == ("cat", "dog") and dataset.image_shape == (3, 4, 4)
    assert dataset.images[:, 0, 0, 0].tolist() == [2, 1, 3] and dataset.labels.tolist() == [0, 1, 1]


def test_splits(tmp_path: Path) -> None:
    save(tmp_path / "train" / "cat" / "1.png", flat(1))
    with pytest.raises(ValueError, match="has no subfolder 'test'"):
        load_folder(tmp_path, "test")
    save(tmp_path / "test" / "cat" / "2.png", flat(2))
    for split, value in (("train", 1), ("test", 2)):
        dataset = load_folder(tmp_path, split, size=4)
        assert (dataset.images == value).all() and dataset.classes == ("cat",)
        assert (dataset.name, dataset.split) == (tmp_path.name, split)
    save(tmp_path / "test" / "dog" / "3.png", flat(3))
    save(tmp_path / "train" / "ant" / "4.png", flat(4))
    for split, labels in (("train", [0, 1]), ("test", [1, 2])):  # a label means the same in both
        dataset = load_folder(tmp_path, split, size=4)
        assert dataset.classes == ("ant", "cat", "dog") and dataset.labels.tolist() == labels
    shutil.rmtree(tmp_path / "train")
    with pytest.raises(ValueError, match="has no subfolder 'train'"):
        load_folder(tmp_path)  # else it would learn from the test images


def test_a_png_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (8, 8), np.uint8), compress_level=0)
    content = path.read_bytes()
    end = content.index(b"IDAT") + 4 + int.from_bytes(content[content.index(b"IDAT") - 4 :][:4])
    path.write_bytes(content[: end + 3] + bytes([content[end + 3] ^ 1]) + content[end + 4 :])  # of the pixels' chunk
    with pytest.raises(ValueError, match=r"a\.png: not an image that can be read .*checksum"):
        read_image(path, 8)


def test_an_image_with_too_many_pixels_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = save(tmp_path / "large.png", np.zeros((100, 120), np.uint8))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 11_999)
    with pytest.raises(ValueError, match=r"large\.png: not an image that can be read .*12000 pixels"):
        read_image(path, 8)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 12_000)
    assert read_image(path, 8).shape == (3, 8, 8)


def test_errors(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"load_folder: .* has no image"):
        load_folder(tmp_path)
    with pytest.raises(ValueError, match=r"load_folder: .*absent is not a folder"):
        load_folder(tmp_path / "absent")
    for options in ({"channels": 2}, {"size": 0}):
        with pytest.raises(ValueError, match="expects channels=1 or 3 and size >= 1"):
            load_folder(tmp_path, **options)
    whole = save(tmp_path / "whole.png", np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
    (tmp_path / "short.png").write_bytes(whole.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"short\.png: not an image that can be read"):
        load_folder(tmp_path)
    (tmp_path / "short.png").write_bytes(b"nonsense")
    with pytest.raises(ValueError, match=r"short\.png: not an image that can be read"):
        load_folder(tmp_path)
    (tmp_path / "short.png").unlink()
    save(tmp_path / "cat" / "1.png", flat(1))
    with pytest.raises(ValueError, match="images both in subfolders and beside them"):
        load_folder(tmp_path)
