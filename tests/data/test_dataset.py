"""A data set: images with their labels, how parts are chosen, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from minigen.data import Dataset


def make(n: int = 6, **changes: object) -> Dataset:
    parts = {
        "images": np.arange(n, dtype=np.uint8).reshape(n, 1, 1, 1).repeat(3, axis=1),
        "labels": np.arange(n) % 2,
        "classes": ("even", "odd"),
        "name": "numbers",
        "split": "train",
        "colours": np.arange(n) % 3,
        "colour_names": ("a", "b", "c"),
    }
    return Dataset(**(parts | changes))  # type: ignore[arg-type]


def test_chooses_images_with_all_their_labels() -> None:
    dataset = make()
    for index, chosen in [
        (slice(2), [0, 1]),
        (slice(1, 6, 2), [1, 3, 5]),
        (dataset.labels == 1, [1, 3, 5]),
        (np.array([4, 0]), [4, 0]),
        ([3], [3]),
    ]:
        part = dataset[index]
        assert part.images[:, 0, 0, 0].tolist() == chosen
        assert part.labels.tolist() == [i % 2 for i in chosen]
        assert part.colours is not None and part.colours.tolist() == [i % 3 for i in chosen]
        assert (part.name, part.split, part.classes) == ("numbers", "train", ("even", "odd"))
    assert len(dataset) == 6 and dataset.image_shape == (3, 1, 1)
    assert dataset.take(4).labels.tolist() == dataset[:4].labels.tolist() == [0, 1, 0, 1]
    assert repr(dataset) == "<numbers train: (6, 3, 1, 1) images, 2 classes, 3 colours>"


@pytest.mark.parametrize("n", [0, -1, 7])
def test_take_takes_no_other_number(n: int) -> None:
    with pytest.raises(ValueError, match=rf"take: expects n = 1 ... 6, the number of images in .*, got {n}"):
        make().take(n)


def test_an_integer_chooses_an_image_and_its_label() -> None:
    dataset = make()
    for index in (1, np.int64(1), -5):
        image, label = dataset[index]
        assert image.shape == (3, 1, 1) and (image == 1).all() and (type(label), label) == (int, 1)
    assert [(int(image[0, 0, 0]), label) for image, label in dataset] == [(i, i % 2) for i in range(6)]
    with pytest.raises(IndexError):
        dataset[6]
    for index in (True, "a", 1.0, None):
        with pytest.raises(TypeError, match=f"expects an integer, a slice or an array as the index, got {index!r}"):
            dataset[index]  # type: ignore[call-overload]


def test_from_arrays() -> None:
    images = np.zeros((3, 1, 2, 2), np.uint8)
    dataset = Dataset.from_arrays(images, [2, 0, 2])
    assert dataset.images is images and dataset.labels.dtype == np.int64 and dataset.labels.tolist() == [2, 0, 2]
    assert dataset.classes == ("0", "1", "2") and (dataset.name, dataset.split) == ("arrays", "train")
    without = Dataset.from_arrays(images, name="mine", split="test")
    assert without.labels.tolist() == [0, 0, 0] and without.classes == ("0",)
    assert repr(without) == "<mine test: (3, 1, 2, 2) images, 1 classes>"
    with pytest.raises(ValueError, match="from_arrays: expects integer labels, got float64"):
        Dataset.from_arrays(images, [0.0, 1.0, 2.0])
    with pytest.raises(ValueError, match=r"expects labels in 0 ... 0, got -1 ... 0"):
        Dataset.from_arrays(images, [0, -1, 0])
    with pytest.raises(ValueError, match=r"expects labels \(3,\) int64, got \(2,\)"):
        Dataset.from_arrays(images, [0, 1])
    with pytest.raises(ValueError, match=r"expects images \(N, C, H, W\) uint8, got \(3, 1, 2, 2\) float64"):
        Dataset.from_arrays(images / 255)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": np.zeros((6, 1, 1), np.uint8)}, r"expects images \(N, C, H, W\) uint8, got \(6, 1, 1\)"),
        ({"images": np.zeros((6, 1, 1, 1))}, "uint8, got .* float64"),
        ({"labels": np.zeros(5, np.int64)}, r"expects labels \(6,\) int64, got \(5,\)"),
        ({"labels": np.zeros(6, np.uint8)}, "expects labels .* int64, got .* uint8"),
        ({"labels": np.full(6, 2)}, r"expects labels in 0 ... 1, got 2 ... 2"),
        ({"labels": np.arange(6) % 2 - 1}, r"expects labels in 0 ... 1, got -1 ... 0"),
        ({"colours": np.full(6, 3)}, r"expects colours in 0 ... 2"),
    ],
)
def test_refuses_parts_that_do_not_fit(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**changes)
