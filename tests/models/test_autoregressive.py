"""Every autoregressive model: no value sees itself or a later one, each sees what the architecture promises, the
likelihood sums to one, samples follow it, and the cache changes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigen import backend, grad, nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.backend import Device, default_dtype, to_numpy
from minigen.models import GatedPixelCNN, PixelCNN, PixelRNN
from minigen.models.autoregressive import Autoregressive, sample_from_logits
from minigen.nn import convolution
from minigen.random import manual_seed
from minigen.testing import check_module

Make = Callable[..., Autoregressive]


def tiny_pixelcnn(shape: tuple[int, int, int], levels: int, **options: int) -> PixelCNN:
    settings = {"hidden": 2 * shape[0], "blocks": 1, "kernel_size": 3, "head": 2 * shape[0] + 1} | options
    return PixelCNN(shape, levels, **settings)


def tiny_gated_pixelcnn(shape: tuple[int, int, int], levels: int, **options: int) -> GatedPixelCNN:
    settings = {"hidden": shape[0] + 1, "layers": 2, "kernel_size": 3, "head": 2 * shape[0] + 1} | options
    return GatedPixelCNN(shape, levels, **settings)


def tiny_row_lstm(shape: tuple[int, int, int], levels: int, **options: int) -> PixelRNN:
    settings = {"hidden": shape[0] + 1, "layers": 2, "kernel_size": 3, "head": 2 * shape[0] + 1} | options
    return PixelRNN(shape, levels, "row", **settings)


def tiny_diagonal_bilstm(shape: tuple[int, int, int], levels: int, **options: int) -> PixelRNN:
    settings = {"hidden": shape[0] + 1, "layers": 2, "kernel_size": 3, "head": 2 * shape[0] + 1} | options
    return PixelRNN(shape, levels, "diagonal", **settings)


MODELS: dict[str, Make] = {
    "PixelCNN": tiny_pixelcnn,
    "GatedPixelCNN": tiny_gated_pixelcnn,
    "PixelRNN-row": tiny_row_lstm,
    "PixelRNN-diagonal": tiny_diagonal_bilstm,
}
every_model = pytest.mark.parametrize("make", MODELS.values(), ids=MODELS.keys())
SHAPES = st.tuples(st.sampled_from([1, 3]), st.integers(1, 4), st.integers(1, 4))


def build(
    make: Make, shape: tuple[int, int, int], levels: int, seed: int = 0, scale: float = 1.0, **options: int
) -> Any:
    """The model in double precision; `scale` makes its weights larger, so that its distributions are far from flat."""
    manual_seed(seed)
    with default_dtype("float64"):
        model = make(shape, levels, **options)
    for p in model.parameters():
        p.data *= scale
    return model


def images(shape: tuple[int, ...], levels: int, n: int = 1, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, levels, (n, *shape)).astype(np.uint8)


def raster(shape: tuple[int, int, int]) -> np.ndarray:
    """The number of each value (C, H, W) in the order of generation."""
    channels, height, width = shape
    return np.arange(channels * height * width).reshape(height, width, channels).transpose(2, 0, 1)


# -- sizes -------------------------------------------------------------------------------------------------------------

# The parameters of each model with its default sizes: the layers between the first and the head; the first layer, the
# head and the last layer for one colour of two levels; and the same for three colours of 256 levels.
DEFAULTS: dict[str, tuple[Make, int, int, int]] = {
    "PixelCNN": (PixelCNN, 7 * (528 + 2320 + 544), 1600 + 1056 + 33, 4736 + 1056 + 25344),
    "GatedPixelCNN": (GatedPixelCNN, 7 * (3104 + 1056 + 1568 + 272), 2512 + 544 + 33, 4752 + 544 + 25344),
    "PixelRNN-row": (PixelRNN, 3 * (6208 + 3072 + 32 + 544), 1600 + 1056 + 33, 4736 + 1056 + 25344),
    "PixelRNN-diagonal": (
        lambda *args: PixelRNN(*args, cell="diagonal"),
        3 * (2 * (2112 + 2048 + 32) + 544),
        1600 + 1056 + 33,
        4736 + 1056 + 25344,
    ),
}


@pytest.mark.parametrize(("make", "layers", "binary", "coloured"), DEFAULTS.values(), ids=DEFAULTS.keys())
def test_default_sizes(make: Make, layers: int, binary: int, coloured: int) -> None:
    count = lambda model: sum(int(np.prod(p.shape)) for p in model.parameters())
    assert make((1, 28, 28), 2).image_shape == make().image_shape
    assert count(make()) == count(make((1, 28, 28), 2)) == layers + binary
    assert count(make((3, 32, 32), 256)) == layers + coloured


# -- causality ---------------------------------------------------------------------------------------------------------


def check_causality_by_perturbation(model: Autoregressive) -> None:
    """Changing a value leaves its own logits and all earlier ones exactly as they were."""
    order, x = raster(model.image_shape), images(model.image_shape, model.levels)
    with no_grad():
        before = model.logits(x).numpy()
        for place in np.ndindex(*model.image_shape):
            changed = x.copy()
            changed[0][place] = (changed[0][place] + 1) % model.levels
            difference = np.abs(model.logits(changed).numpy() - before).max(axis=(0, 1))  # (C, H, W)
            assert difference[order <= order[place]].max() == 0, f"the value at {place} is seen at or before it"


def dependence(model: Autoregressive, place: tuple[int, int, int], tries: int = 4) -> np.ndarray:
    """Which input values (C, H, W) the logits at `place` have a gradient with respect to."""
    seen = np.zeros(model.image_shape, dtype=bool)
    for seed in range(tries):
        random = np.random.default_rng(seed)
        leaf = Tensor(random.uniform(-1, 1, (2, *model.image_shape)), requires_grad=True)
        model._scaled = lambda x, leaf=leaf: leaf  # type: ignore[method-assign]
        logits = model.logits(images(model.image_shape, model.levels, n=2))[(slice(None), slice(None), *place)]
        (g,) = grad(logits, leaf, Tensor(random.standard_normal(logits.shape)), allow_unused=True)
        if g is not None:
            seen |= (g.numpy() != 0).any(axis=0)
    del model._scaled  # type: ignore[attr-defined]
    return seen


def check_causality_by_gradient(model: Autoregressive) -> None:
    """The gradient of a value's logits with respect to itself and all later values is exactly zero."""
    order = raster(model.image_shape)
    for place in np.ndindex(*model.image_shape):
        assert not dependence(model, place, tries=1)[order >= order[place]].any(), f"{place} sees what comes later"


@every_model
@settings(max_examples=10)
@given(shape=SHAPES, levels=st.sampled_from([2, 3]), seed=st.integers(0, 99))
def test_no_value_sees_itself_or_a_later_one(make: Make, shape: tuple[int, int, int], levels: int, seed: int) -> None:
    model = build(make, shape, levels, seed, scale=2.0)
    check_causality_by_perturbation(model)
    check_causality_by_gradient(model)


@settings(max_examples=10)
@given(
    colours=st.sampled_from([1, 3]),
    hidden=st.integers(3, 5),
    blocks=st.integers(0, 3),
    kernel_size=st.sampled_from([3, 5, 7]),
    head=st.integers(3, 7),
)
def test_pixelcnn_of_any_size_is_causal(colours: int, hidden: int, blocks: int, kernel_size: int, head: int) -> None:
    """Also where the features do not divide evenly among the colours."""
    model = build(
        PixelCNN, (colours, 3, 4), 2, 0, 2.0, hidden=hidden, blocks=blocks, kernel_size=kernel_size, head=head
    )
    check_causality_by_perturbation(model)


# -- coverage ----------------------------------------------------------------------------------------------------------


def pixelcnn_sees(height: int, width: int, at: tuple[int, int], blocks: int, kernel_size: int) -> np.ndarray:
    """The pixels that a PixelCNN promises to see from `at`: one step with mask A after `blocks` steps with mask B."""

    def taps(size: int, centre: bool) -> list[tuple[int, int]]:
        r = size // 2
        above = [(-a, b) for a in range(1, r + 1) for b in range(-r, r + 1)]
        return above + [(0, -b) for b in range(1, r + 1)] + ([(0, 0)] if centre else [])

    places = {at}
    for step in [taps(3, centre=True)] * blocks + [taps(kernel_size, centre=False)]:
        reached = {(i + di, j + dj) for i, j in places for di, dj in step}
        places = {(i, j) for i, j in reached if 0 <= i < height and 0 <= j < width}
    seen = np.zeros((height, width), dtype=bool)
    for i, j in places:
        seen[i, j] = True
    return seen


def check_pixelcnn_coverage(model: PixelCNN, blocks: int, kernel_size: int) -> None:
    _, height, width = model.image_shape
    for at in itertools.product(range(height), range(width)):
        promised = pixelcnn_sees(height, width, at, blocks, kernel_size)
        np.testing.assert_array_equal(dependence(model, (0, *at))[0], promised, err_msg=f"seen from {at}")


@pytest.mark.parametrize(("blocks", "kernel_size"), [(0, 3), (1, 3), (2, 5)])
def test_pixelcnn_sees_its_cone_without_the_blind_spot(blocks: int, kernel_size: int) -> None:
    model = build(PixelCNN, (1, 5, 6), 2, hidden=6, blocks=blocks, kernel_size=kernel_size, head=12)
    check_pixelcnn_coverage(model, blocks, kernel_size)


def test_the_blind_spot_of_the_published_pixelcnn() -> None:
    """One 7x7 and fifteen 3x3 layers never see 55 of the 406 pixels before the centre of 28 x 28."""
    promised = pixelcnn_sees(28, 28, (14, 14), blocks=15, kernel_size=7)
    assert raster((1, 28, 28))[0, 14, 14] == 406 and 406 - promised.sum() == 55
    model = build(PixelCNN, (1, 28, 28), 2, scale=1.5, hidden=6, blocks=15, kernel_size=7, head=12)
    np.testing.assert_array_equal(dependence(model, (0, 14, 14), tries=2)[0], promised)


def check_row_lstm_coverage(model: PixelRNN, layers: int, kernel_size: int) -> None:
    """A triangle: a row up it is one column wider on both sides, and each layer adds one column on the left."""
    _, height, width = model.image_shape
    radius = kernel_size // 2
    for i, j in itertools.product(range(height), range(width)):
        promised = np.zeros((height, width), dtype=bool)
        for up in range(i + 1):
            end = j if up == 0 else j + up + radius
            promised[i - up, max(0, j - up - radius - layers) : end] = True
        np.testing.assert_array_equal(dependence(model, (0, i, j))[0], promised, err_msg=f"seen from {(i, j)}")


def check_diagonal_bilstm_coverage(model: PixelRNN, kernel_size: int) -> None:
    """Everything before but the last pixel of the row above, which only the first layer can reach."""
    _, height, width = model.image_shape
    for i, j in itertools.product(range(height), range(width)):
        promised = raster(model.image_shape)[0] < i * width + j
        if i > 0 and j + kernel_size // 2 < width - 1:
            promised[i - 1, -1] = False
        np.testing.assert_array_equal(dependence(model, (0, i, j))[0], promised, err_msg=f"seen from {(i, j)}")


@pytest.mark.parametrize(("layers", "kernel_size"), [(1, 3), (2, 3), (1, 5)])
def test_row_lstm_sees_its_triangle(layers: int, kernel_size: int) -> None:
    model = build(PixelRNN, (1, 4, 9), 2, cell="row", hidden=6, layers=layers, kernel_size=kernel_size, head=12)
    check_row_lstm_coverage(model, layers, kernel_size)


@pytest.mark.parametrize(("layers", "kernel_size"), [(1, 3), (2, 3), (1, 5)])
def test_diagonal_bilstm_sees_everything_but_one_pixel(layers: int, kernel_size: int) -> None:
    model = build(PixelRNN, (1, 4, 5), 2, cell="diagonal", hidden=6, layers=layers, kernel_size=kernel_size, head=12)
    check_diagonal_bilstm_coverage(model, kernel_size)


@pytest.mark.parametrize("cell", ["row", "diagonal"])
def test_a_colour_of_a_pixelrnn_sees_the_colours_before_it(cell: str) -> None:
    model = build(PixelRNN, (3, 2, 2), 2, cell=cell, hidden=9, layers=1, kernel_size=3, head=18)
    here = np.array([dependence(model, (colour, 1, 1))[:, 1, 1] for colour in range(3)])
    np.testing.assert_array_equal(here, [[False, False, False], [True, False, False], [True, True, False]])
    assert dependence(model, (0, 1, 1))[:, 0, :].all()  # every colour of the pixels before


def test_a_colour_sees_the_colours_before_it() -> None:
    model = build(PixelCNN, (3, 2, 2), 2, hidden=9, blocks=1, kernel_size=3, head=18)
    here = np.array([dependence(model, (colour, 1, 1))[:, 1, 1] for colour in range(3)])
    np.testing.assert_array_equal(here, [[False, False, False], [True, False, False], [True, True, False]])
    assert dependence(model, (0, 1, 1))[:, 0, :].all()  # every colour of the pixels before


# -- the likelihood ----------------------------------------------------------------------------------------------------


def all_images(shape: tuple[int, int, int], levels: int) -> np.ndarray:
    values = itertools.product(range(levels), repeat=int(np.prod(shape)))
    return np.array(list(values), dtype=np.uint8).reshape(-1, *shape)


TINY = [((1, 2, 2), 3), ((1, 3, 3), 2), ((3, 1, 2), 2)]


def check_sums_to_one(model: Autoregressive) -> None:
    with no_grad():
        total = np.exp(model.log_prob(all_images(model.image_shape, model.levels)).numpy()).sum()
    assert total == pytest.approx(1, abs=1e-10)


@every_model
@pytest.mark.parametrize(("shape", "levels"), TINY)
def test_the_likelihood_sums_to_one(make: Make, shape: tuple[int, int, int], levels: int) -> None:
    check_sums_to_one(build(make, shape, levels, scale=3.0))


@every_model
def test_log_prob_is_the_sum_of_the_conditionals(make: Make) -> None:
    for levels in (2, 4):
        model, x = build(make, (3, 2, 3), levels, scale=2.0), images((3, 2, 3), levels, n=4)
        logits = model.logits(x).numpy()
        assert logits.shape == (4, 1 if levels == 2 else levels, 3, 2, 3)
        if levels == 2:
            logits = np.concatenate([0 * logits, logits], axis=1)
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        chosen = np.take_along_axis(p, x[:, None].astype(int), axis=1)
        np.testing.assert_allclose(model.log_prob(x).numpy(), np.log(chosen).sum(axis=(1, 2, 3, 4)), rtol=1e-10)
        bits = -model.log_prob(x).numpy().mean() / np.log(2) / 18
        assert model.bits_per_dim(x) == pytest.approx(bits) and model.loss(x).item() == pytest.approx(
            bits * 18 * np.log(2)
        )


# -- sampling ----------------------------------------------------------------------------------------------------------


@every_model
@pytest.mark.parametrize(("shape", "levels"), [((1, 2, 2), 3), ((3, 1, 2), 2)])
def test_samples_follow_the_likelihood(make: Make, shape: tuple[int, int, int], levels: int) -> None:
    """Chi-square of the frequencies of all images: about as large as its degrees of freedom."""
    model, every = build(make, shape, levels, scale=1.5), all_images(shape, levels)
    with no_grad():
        expected = 20_000 * np.exp(model.log_prob(every).numpy())
    digits = levels ** np.arange(int(np.prod(shape)))[::-1]
    numbers = model.sample(20_000).numpy().reshape(20_000, -1).astype(int) @ digits
    observed = np.bincount(numbers, minlength=len(every))
    rare = expected <= max(5, expected.min())  # counted together
    expected, observed = (np.append(counts[~rare], counts[rare].sum()) for counts in (expected, observed))
    freedom = len(expected) - 1
    assert freedom > len(every) / 2 and np.ptp(expected) > 100  # enough of most, and far from uniform
    assert ((observed - expected) ** 2 / expected).sum() < freedom + 4 * np.sqrt(2 * freedom)


@every_model
@settings(max_examples=8)
@given(shape=SHAPES, levels=st.sampled_from([2, 5]), seed=st.integers(0, 99), temperature=st.floats(0.3, 3))
def test_the_cache_changes_nothing(
    make: Make, shape: tuple[int, int, int], levels: int, seed: int, temperature: float
) -> None:
    model, whole = build(make, shape, levels, seed, 2.0), images(shape, levels, n=3, seed=seed)
    mask = np.random.default_rng(seed).random(shape[1:]) < 0.4
    for options in ({"n": 3}, {"image": whole, "mask": mask}):
        drawn = []
        for cached in (True, False):
            manual_seed(seed)
            drawn.append(model.sample(**options, cached=cached, temperature=temperature).numpy())
        np.testing.assert_array_equal(*drawn)


@every_model
def test_completion_keeps_the_values_under_the_mask(make: Make) -> None:
    model, whole = build(make, (3, 4, 3), 4), images((3, 4, 3), 4, n=6)
    mask = np.zeros((4, 3), dtype=bool)
    mask[:2] = True
    filled = model.sample(image=whole, mask=mask).numpy()
    np.testing.assert_array_equal(filled[:, :, :2], whole[:, :, :2])
    assert (filled[:, :, 2:] != whole[:, :, 2:]).any()
    every = model.sample(image=whole, mask=np.ones((6, 3, 4, 3), dtype=bool)).numpy()
    np.testing.assert_array_equal(every, whole)


def test_a_low_temperature_draws_the_likeliest() -> None:
    logits, noise = np.log([[0.2, 0.5, 0.3]] * 5), np.linspace(0.01, 0.99, 5)
    np.testing.assert_array_equal(sample_from_logits(logits, noise), [0, 1, 1, 2, 2])
    np.testing.assert_array_equal(sample_from_logits(logits / 0.01, noise), [1] * 5)
    np.testing.assert_array_equal(
        sample_from_logits(np.full((5, 1), np.log(3.0)), noise), [1, 1, 1, 1, 0]
    )  # p(1) = 3/4


def test_watch_sees_every_row() -> None:
    model, rows = build(tiny_pixelcnn, (1, 3, 2), 2), []
    model.sample(2, watch=lambda i, x: rows.append((i, to_numpy(x).copy())))
    assert [i for i, _ in rows] == [0, 1, 2]


@every_model
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n": -1}, "expects n >= 0, or image and mask, got n=-1"),
        ({}, "expects n >= 0, or image and mask, got n=None"),
        ({"n": 2, "temperature": 0.0}, "expects a temperature > 0, got 0.0"),
        ({"image": images((1, 2, 2), 2)}, "expects image together with mask, got only one of them"),
        ({"n": 2, "mask": np.ones((2, 2), bool)}, "expects image together with mask, got only one of them"),
        (
            {"n": 3, "image": images((1, 2, 2), 2), "mask": np.ones((2, 2), bool)},
            "expects n=3 images to complete, got 1",
        ),
        (
            {"image": images((1, 2, 2), 2), "mask": np.ones((1, 2, 2), bool)},
            r"expects mask \(2, 2\) or \(1, 1, 2, 2\), got \(1, 2, 2\)",
        ),
    ],
)
def test_sampling_errors(make: Make, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(make, (1, 2, 2), 2).sample(**options)


@every_model
def test_wrong_images_are_refused(make: Make) -> None:
    model = build(make, (1, 2, 2), 3)
    with pytest.raises(ValueError, match=r"expects images \(N, 1, 2, 2\), got \(4, 1, 2, 3\)"):
        model.log_prob(images((1, 2, 3), 2, n=4))
    with pytest.raises(TypeError, match=r"expects integers 0 \.\.\. 2, got float64"):
        model.log_prob(np.zeros((1, 1, 2, 2)))
    for wrong in ([0, 0, 0, 3], [0, 0, 3, -1]):
        with pytest.raises(ValueError, match=rf"expects integers 0 \.\.\. 2, got {min(wrong)} \.\.\. 3"):
            model.sample(image=np.reshape(wrong, (1, 1, 2, 2)), mask=np.ones((2, 2), bool))
    with pytest.raises(ValueError, match=r"expects image_shape \(C, H, W\) and 2 \.\.\. 256 levels, got .*levels=1"):
        make((1, 2, 2), 1)


# -- devices, dtypes, derivatives --------------------------------------------------------------------------------------


def train_and_sample(make: Make, device: Device) -> tuple[float, list[np.ndarray], np.ndarray]:
    """The loss, the gradients and twenty samples of a model made on a device; the third row's kernels are captured."""
    manual_seed(1)
    with device:
        model = make((3, 5, 2), 4)
        loss = model.loss(device.asarray(images((3, 5, 2), 4, n=3)))
        loss.backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        assert all(g.dtype == np.float32 and g.device == device for g in gradients)
        for p in model.parameters():
            p.data *= 3  # so that the values depend on each other
        assert model.sample(0).shape == (0, 3, 5, 2)
        return loss.item(), [g.numpy() for g in gradients], model.sample(20).numpy()


@every_model
def test_a_model_samples_on_its_own_card(make: Make, gpu_standin: Device) -> None:
    with backend.device("gpu:1") as second:
        model = make((3, 2, 3), 4)
    image = images((3, 2, 3), 4, n=2)
    assert model.sample(2).device == model.sample(image=image, mask=image > 1).device == second


@every_model
def test_training_and_sampling_on_each_device(make: Make, device: Device) -> None:
    """The same seed gives the same loss, gradients and images as on the CPU."""
    here, there = train_and_sample(make, backend.device("cpu")), train_and_sample(make, device)
    assert there[0] == pytest.approx(here[0], rel=1e-5)
    for a, b in zip(there[1], here[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(there[2], here[2])


@every_model
def test_the_loss_has_the_right_derivatives(make: Make) -> None:
    check_module(build(make, (2, 2, 2), 3), images((2, 2, 2), 3, n=2), method="loss")


# -- mistakes ----------------------------------------------------------------------------------------------------------


def masks_with(change: Callable[[np.ndarray, str, int], None]) -> Callable[..., np.ndarray]:
    right = convolution.causal_mask

    def wrong(shape: tuple[int, ...], mask: str, colours: int = 1, splits: int = 1) -> np.ndarray:
        seen = right(shape, mask, colours, splits)
        change(seen, mask, colours)
        return seen

    return wrong


def centre_in_mask_a(seen: np.ndarray, mask: str, colours: int) -> None:
    if mask == "A":
        seen[:, :, seen.shape[2] // 2, seen.shape[3] // 2] = True


def row_below(seen: np.ndarray, mask: str, colours: int) -> None:
    seen[:, :, seen.shape[2] // 2 + 1 :, 0] = True


def right_of_the_centre(seen: np.ndarray, mask: str, colours: int) -> None:
    seen[:, :, seen.shape[2] // 2, seen.shape[3] // 2 + 1 :] = True


def colours_mixed_in_mask_b(seen: np.ndarray, mask: str, colours: int) -> None:
    if mask == "B" and colours > 1:
        seen[:, :, seen.shape[2] // 2, seen.shape[3] // 2] = True


@pytest.mark.parametrize("mistake", [centre_in_mask_a, row_below, right_of_the_centre, colours_mixed_in_mask_b])
def test_a_leaking_mask_is_found(mistake: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "causal_mask", masks_with(mistake))
    model = build(tiny_pixelcnn, (3, 3, 3), 2, scale=2.0)
    with pytest.raises(AssertionError, match="is seen at or before it"):
        check_causality_by_perturbation(model)
    with pytest.raises(AssertionError, match="sees what comes later"):
        check_causality_by_gradient(model)


def centre_row_of_mask_b(seen: np.ndarray, mask: str, colours: int) -> None:
    if mask == "B" and seen.shape[2] > 1:
        seen[:, :, seen.shape[2] // 2] = False


def test_a_mask_that_hides_too_much_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convolution, "causal_mask", masks_with(centre_row_of_mask_b))
    model = build(PixelCNN, (1, 4, 5), 2, hidden=6, blocks=2, kernel_size=3, head=12)
    with pytest.raises(AssertionError, match="seen from"):
        check_pixelcnn_coverage(model, 2, 3)


def next_row_in_the_two_taps(patch: pytest.MonkeyPatch) -> None:
    """A Diagonal BiLSTM that reads the states of rows r and r + 1: with a tap more, and a row more below."""
    right = ops.lstm

    def wrong(gates: Any, weight: Any, h: Any, c: Any, *, steps: Any) -> Any:
        weight = ops.pad(weight, ((0, 0), (0, 0), (c.shape[3], 0)))
        return right(gates, weight, ops.pad(h, ((0, 0), (0, 0), (0, 1), (0, 0))), c, steps=steps)

    patch.setattr(ops, "lstm", wrong)


def last_row_zeroed_in_place_of_a_shift(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(nn.ShiftDown, "forward", lambda self, x: ops.pad(x[:, :, :-1], ((0, 0), (0, 0), (0, 1), (0, 0))))


def one_mask_over_all_gates(patch: pytest.MonkeyPatch) -> None:
    """Leaks colours where h is not a multiple of their number."""
    right = convolution.causal_mask
    patch.setattr(convolution, "causal_mask", lambda shape, mask, colours, splits: right(shape, mask, colours, 1))


@pytest.mark.parametrize(
    ("make", "mistake"),
    [
        (tiny_diagonal_bilstm, next_row_in_the_two_taps),
        (tiny_diagonal_bilstm, last_row_zeroed_in_place_of_a_shift),
        (tiny_diagonal_bilstm, one_mask_over_all_gates),
        (tiny_row_lstm, one_mask_over_all_gates),
    ],
)
def test_a_leaking_recurrence_is_found(make: Make, mistake: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    mistake(monkeypatch)
    model = build(make, (3, 3, 3), 2, scale=2.0)
    with pytest.raises(AssertionError, match="is seen at or before it"):
        check_causality_by_perturbation(model)
    with pytest.raises(AssertionError, match="sees what comes later"):
        check_causality_by_gradient(model)


def test_a_recurrence_that_sees_too_little_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Row LSTM whose mask B hides the centre row, and a Diagonal BiLSTM without its right-to-left half."""
    options = {"hidden": 6, "layers": 1, "kernel_size": 3, "head": 12}
    with monkeypatch.context() as patch:
        patch.setattr(nn.ShiftDown, "forward", lambda self, x: 0 * x)
        with pytest.raises(AssertionError, match="seen from"):
            check_diagonal_bilstm_coverage(build(PixelRNN, (1, 3, 5), 2, cell="diagonal", **options), 3)
    centre_row = lambda seen, mask, colours: seen.fill(False) if mask == "B" and seen.shape[3] > 1 else None
    monkeypatch.setattr(convolution, "causal_mask", masks_with(centre_row))
    with pytest.raises(AssertionError, match="seen from"):
        check_row_lstm_coverage(build(PixelRNN, (1, 3, 5), 2, cell="row", **options), 1, 3)


class Leaky(PixelCNN):
    """Sees the whole image: no probability any more."""

    def network(self, x: Any, labels: Any = None) -> Any:
        return super().network(x) + 3.0 * ops.mean(x, axis=(1, 2, 3), keepdims=True)


def test_a_leak_breaks_the_sum() -> None:
    with pytest.raises(AssertionError):
        check_sums_to_one(build(Leaky, (1, 2, 2), 2, scale=2.0, hidden=2, blocks=1, kernel_size=3, head=3))


def test_the_residual_stream_is_added_once() -> None:
    block = build(lambda shape, levels: nn.Sequential(*PixelCNN(shape, levels, blocks=1).blocks), (1, 3, 3), 2)  # type: ignore[arg-type,return-value]
    for p in block.parameters():
        p.data *= 0
    x = Tensor(np.random.default_rng(0).standard_normal((1, 32, 3, 3)))
    np.testing.assert_array_equal(block(x).numpy(), x.numpy())


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [(PixelCNN, "kernel_size", 1), (PixelCNN, "blocks", -1), (PixelRNN, "layers", 0), (PixelRNN, "cell", "gru")],
)
def test_options_that_are_refused(kind: type[Autoregressive], name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{kind.__name__}: expects .*, got .*{name}={value!r}"):
        kind((1, 2, 2), **{name: value})
