"""Batches: every image once an epoch, the same at every resume; and what becomes of the pixels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen import backend, random
from minigen.backend import default_dtype, to_numpy
from minigen.data import Dataset, Loader
from minigen.data.loader import binarize
from minigen.random import STREAMS, manual_seed, separate_random, uniform


def _gpu() -> str:
    try:
        backend.device("gpu")
    except RuntimeError as error:
        pytest.skip(str(error))
    return "gpu"


@pytest.fixture(params=["cpu", pytest.param("gpu", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> str:
    return "cpu" if request.param == "cpu" else _gpu()


def dataset(n: int = 23, size: int = 6, channels: int = 1) -> Dataset:
    """Random images, told apart by their labels 0 ... n - 1."""
    images = np.random.default_rng(5).integers(0, 256, (n, channels, size, size), np.uint8)
    return Dataset(images, np.arange(n), tuple(map(str, range(n))), "random", "train")


def values(*of_images: int, size: int = 6) -> Dataset:
    """Images each of one value."""
    images = np.broadcast_to(np.array(of_images, np.uint8)[:, None, None, None], (len(of_images), 1, size, size))
    return Dataset(images, np.arange(len(of_images)), tuple(map(str, of_images)), "values", "train")


def epoch(loader: Loader, number: int = 0, start: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(to_numpy(images), to_numpy(labels)) for images, labels in loader.epoch(number, start)]


def by_label(loader: Loader, number: int = 0) -> np.ndarray:
    """All images of an epoch in the data set's order."""
    batches = epoch(loader, number)
    images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    return images[np.argsort(labels)]


# -- which images make a batch ---------------------------------------------------------------------------------


@given(st.integers(1, 30), st.integers(1, 40), st.booleans(), st.booleans(), st.integers(0, 3))
def test_an_epoch_has_every_image_once(n: int, batch_size: int, shuffle: bool, drop_last: bool, e: int) -> None:
    if drop_last and n < batch_size:
        return
    data = dataset(n, size=2)
    loader = Loader(data, batch_size, pixels="levels", shuffle=shuffle, drop_last=drop_last)
    batches = epoch(loader, e)
    assert len(loader) == len(batches) == (n // batch_size if drop_last else math.ceil(n / batch_size))
    assert all(len(labels) == batch_size for _, labels in batches[:-1])
    seen = np.concatenate([labels for _, labels in batches])
    assert len(seen) == (n - n % batch_size if drop_last else n) and len(set(seen)) == len(seen)
    if not shuffle:
        assert seen.tolist() == list(range(len(seen)))
    for images, labels in batches:
        np.testing.assert_array_equal(images, data.images[labels])


def test_every_order_is_as_likely() -> None:
    orders = [tuple(epoch(Loader(dataset(3), 3), e)[0][1]) for e in range(1200)]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 6 and max(abs(count - 200) for count in counts) < 65  # five standard deviations


PIXELS: list[dict[str, Any]] = [
    {"pixels": "binary"},
    {"pixels": "binary", "binarization": "fixed"},
    {"pixels": "levels", "levels": 4},
    {"pixels": "unit"},
    {"pixels": "signed"},
]


@pytest.mark.parametrize("options", PIXELS)
def test_resumed_epochs_have_the_same_batches(options: dict[str, Any], device: str) -> None:
    options = options | {"batch_size": 5, "flip": True, "seed": 7, "device": device}
    loader = Loader(dataset(), **options)
    whole = [epoch(loader, e) for e in range(3)]
    manual_seed(0)
    for e, start in [(2, 0), (0, 3), (1, 4), (2, 5), (0, 0)]:
        uniform((3,))  # others draw random numbers in between
        resumed = epoch(Loader(dataset(), **options), e, start)
        assert len(resumed) == len(loader) - start
        for (images, labels), (again, labels_again) in zip(whole[e][start:], resumed, strict=True):
            np.testing.assert_array_equal(images, again)
            np.testing.assert_array_equal(labels, labels_again)


@pytest.mark.parametrize("options", PIXELS)
def test_a_gpu_gives_the_cpus_batches(options: dict[str, Any], device: str) -> None:
    loader, cpu = (Loader(dataset(), 5, flip=True, **options, device=place) for place in (device, "cpu"))
    for batches in zip(loader.epoch(1), cpu.epoch(1), strict=True):
        for ours, theirs in zip(*batches, strict=True):
            assert backend.device_of(ours).name.startswith(device) and ours.dtype == theirs.dtype
            np.testing.assert_array_equal(to_numpy(ours), theirs)


def test_each_loop_goes_through_the_next_epoch() -> None:
    loader = Loader(dataset(), 5)
    for e in range(3):
        epoch(loader, 7)  # which has no influence
        for (images, labels), (expected, expected_labels) in zip(loader, epoch(loader, e), strict=True):
            np.testing.assert_array_equal(images, expected)
            np.testing.assert_array_equal(labels, expected_labels)


def test_a_loader_says_what_it_gives() -> None:
    assert repr(Loader(dataset(), 5)) == (
        "<Loader of <random train: (23, 1, 6, 6) images, 23 classes>: 5 batches of 5, binary, shuffled>"
    )
    assert repr(Loader(dataset(), 5, pixels="unit", shuffle=False)).endswith(": 5 batches of 5, unit, in order>")


def test_epochs_and_seeds_differ() -> None:
    def labels(seed: int, e: int) -> list[int]:
        return np.concatenate([labels for _, labels in epoch(Loader(dataset(), 5, seed=seed), e)]).tolist()

    orders = [labels(seed, e) for seed in range(3) for e in range(3)]
    assert len({tuple(order) for order in orders}) == 9


def test_no_two_uses_share_their_random_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[tuple] = []
    take = random._take
    monkeypatch.setattr(random, "_take", lambda: taken.append(words := take()) or words)
    for seed in (0, 1):
        manual_seed(seed)
        uniform((3,))
        with separate_random(seed):
            uniform((3,))
        for binarization in ("fixed", "dynamic"):
            loader = Loader(dataset(), 8, seed=seed, flip=True, binarization=binarization)  # type: ignore[arg-type]
            for e in range(2):
                epoch(loader, e)
    once = [words for words in taken if words[1] in (STREAMS.index(stream) for stream in ("model", "evaluation"))]
    assert len(once) == len(set(once)) == 4
    # Each loader: the order of each epoch, and the flips of each batch; one the pixels once, the other in each batch.
    assert len(set(taken)) == 2 * (2 + 2 + 2 * 3 + 1 + 2 * 3)


def test_batches_are_the_takers_to_change() -> None:
    data = dataset()
    before = data.images.copy()
    loader = Loader(data, 5, pixels="levels", shuffle=False)
    for images, labels in loader.epoch(0):
        images[:] = 0
        labels[:] = 0
    np.testing.assert_array_equal(data.images, before)
    np.testing.assert_array_equal(by_label(loader), before)


# -- what becomes of the pixels --------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0, 1, 2, 64, 127, 128, 253, 254, 255])
def test_binary_pixels_have_their_probability(value: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all the numbers that `uniform` may give, each once, as many give 1 as should: 0 and 255 always do the same."""
    every = np.arange(2**24, dtype="float32") / 2**24
    monkeypatch.setattr("minigen.data.loader.uniform", lambda shape, high, **kwargs: every * np.float32(high))
    ones = np.count_nonzero(binarize(np.broadcast_to(np.uint8(value), every.shape)))
    assert ones == pytest.approx(2**24 * value / 255, abs=1 if 0 < value < 255 else 0)


def test_binary_pixels_are_drawn_with_that_probability(device: str) -> None:
    grey = [0, 1, 64, 128, 254, 255]
    images = by_label(Loader(values(*grey, size=200), 4, device=device))
    assert images.dtype == np.uint8 and set(np.unique(images)) == {0, 1}
    for value, image in zip(grey, images, strict=True):
        p = value / 255
        assert image.mean() == pytest.approx(p, abs=5 * math.sqrt(p * (1 - p) / image.size))


def test_dynamic_draws_anew_and_fixed_does_not() -> None:
    data = dataset()
    dynamic, fixed = Loader(data, 5), Loader(data, 5, binarization="fixed")
    assert (by_label(dynamic, 0) != by_label(dynamic, 1)).any()
    for e in range(3):
        np.testing.assert_array_equal(by_label(fixed, e), by_label(fixed, 0))
    assert (by_label(fixed) != by_label(Loader(data, 5, binarization="fixed", seed=1))).any()


@pytest.mark.parametrize("options", [{"pixels": "binary"}, {"pixels": "levels", "flip": True}])
def test_every_batch_of_every_epoch_has_its_own_draw(options: dict[str, Any]) -> None:
    images = np.broadcast_to(np.arange(100, 228, dtype=np.uint8).reshape(1, 1, 1, 128), (256, 1, 1, 128))
    loader = Loader(Dataset(images, np.zeros(256, np.int64), ("ramp",), "ramp", "train"), 64, shuffle=False, **options)
    draws = {images.tobytes() for e in range(3) for images, _ in epoch(loader, e)}
    assert len(draws) == 3 * len(loader)


@given(st.integers(1, 23), st.integers(1, 9), st.booleans())
def test_fixed_depends_on_seed_and_index_alone(n: int, batch_size: int, shuffle: bool) -> None:
    whole = by_label(Loader(dataset(), 5, binarization="fixed", seed=2))
    part = by_label(Loader(dataset()[:n], batch_size, shuffle=shuffle, binarization="fixed", seed=2))
    np.testing.assert_array_equal(part, whole[:n])


def test_fixed_has_the_probability_too() -> None:
    image = by_label(Loader(values(64, size=200), binarization="fixed"))
    assert image.mean() == pytest.approx(64 / 255, abs=5 * math.sqrt(0.25 * 0.75 / image.size))


@given(st.integers(2, 256))
def test_levels(levels: int) -> None:
    images = by_label(Loader(values(*range(256), size=1), pixels="levels", levels=levels))
    assert images.dtype == np.uint8
    assert images.ravel().tolist() == [math.floor(v * levels / 256) for v in range(256)]
    assert set(images.ravel()) == set(range(levels))


def test_levels_are_256_if_not_given() -> None:
    assert by_label(Loader(values(*range(256), size=1), pixels="levels")).ravel().tolist() == list(range(256))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats(dtype: str, device: str) -> None:
    with default_dtype(dtype):
        unit, signed = (
            by_label(Loader(values(*range(256), size=1), pixels=pixels, device=device)).ravel()
            for pixels in ("unit", "signed")
        )
    assert unit.dtype == signed.dtype == dtype
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(unit, [v / 255 for v in range(256)], rtol=eps)
    np.testing.assert_allclose(signed, [2 * v / 255 - 1 for v in range(256)], atol=2 * eps, rtol=0)
    assert (unit[0], unit[-1], signed[0], signed[-1]) == (0, 1, -1, 1)


def test_flip_mirrors_half_of_the_images(device: str) -> None:
    data = dataset(600, channels=3)
    loader = Loader(data, 50, pixels="levels", flip=True, device=device)
    flipped = []
    for e in range(2):
        images = by_label(loader, e)
        same = (images == data.images).all(axis=(1, 2, 3))
        mirrored = (images == data.images[:, :, :, ::-1]).all(axis=(1, 2, 3))
        assert (same ^ mirrored).all()
        assert abs(mirrored.sum() - 300) < 62  # five standard deviations
        flipped.append(mirrored)
    assert 0.35 < (flipped[0] != flipped[1]).mean() < 0.65


def test_binary_images_are_flipped_with_their_probabilities() -> None:
    images = np.zeros((64, 1, 2, 4), np.uint8)
    images[..., 0] = 255
    data = Dataset(images, np.zeros(64, np.int64), ("left",), "left", "train")
    for binarization in ("dynamic", "fixed"):
        batch, _ = next(Loader(data, flip=True, binarization=binarization).epoch(0))  # type: ignore[arg-type]
        assert {tuple(row) for row in batch.reshape(-1, 4)} == {(1, 0, 0, 0), (0, 0, 0, 1)}


# -- errors ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pixels": "grey"}, "expects pixels to be one of 'binary', 'levels', 'unit', 'signed', got 'grey'"),
        ({"binarization": "static"}, "expects binarization to be one of 'dynamic', 'fixed', got 'static'"),
        ({"levels": 2}, "expects levels 2 ... 256 with pixels=\"levels\", got 2 with 'binary'"),
        ({"pixels": "levels", "levels": 257}, "expects levels 2 ... 256"),
        ({"pixels": "levels", "levels": 1}, "expects levels 2 ... 256"),
        ({"batch_size": 0}, "expects batch_size >= 1 and seed >= 0, got 0 and 0"),
        (
            {"batch_size": 24, "drop_last": True},
            r"too few images: expects at least 24 \(a whole batch\), got <random train: \(23,",
        ),
        ({"seed": -1}, "expects batch_size >= 1 and seed >= 0, got 128 and -1"),
        ({"device": "tpu"}, "device: expects .*got 'tpu'"),
    ],
)
def test_refuses_bad_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Loader(dataset(), **options)


def test_too_few_images_are_counted() -> None:
    with pytest.raises(
        ValueError, match=r"^Loader: too few images: expects at least 1, got <random train: \(0, 1, 6, 6\)"
    ):
        Loader(dataset()[:0], 500)


def test_an_array_is_no_data_set() -> None:
    with pytest.raises(TypeError, match=r"Loader: expects a Dataset \(Dataset.from_arrays makes one\), got ndarray"):
        Loader(dataset().images)  # type: ignore[arg-type]


@pytest.mark.parametrize(("e", "start"), [(-1, 0), (0, -1), (0, 6)])
def test_refuses_a_place_that_is_not_in_the_epoch(e: int, start: int) -> None:
    with pytest.raises(ValueError, match=f"Loader: expects epoch >= 0 and start 0 ... 5, got {e} and {start}"):
        Loader(dataset(), 5).epoch(e, start)  # at once, not at the first batch
