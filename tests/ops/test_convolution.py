from __future__ import annotations

import itertools
import math
import re
from typing import Any, NamedTuple

import numpy as np
import pytest
import strict_cupy
from hypothesis import given
from hypothesis import strategies as st

from minigen.autograd import Tensor, grad, tensor
from minigen.autograd.primitives import Rule
from minigen.backend import Device, device, to_numpy
from minigen.ops import convolution, im2col
from minigen.ops.convolution import conv2d, conv_transpose2d, masked_conv2d, naive_conv2d
from minigen.ops.convolution_geometry import Geometry, overlap
from minigen.testing.checks import Case, everything
from minigen.testing.strategies import SEEDS, Cases

CAUSAL = np.array([[1, 1, 1], [1, 0, 0], [0, 0, 0]])  # a mask

# -- what is expected: the definition, and the two other derivatives of the same sum -----------------------------------


class Setting(NamedTuple):
    """Shapes of a convolution x -> y, and its options in full."""

    x: tuple[int, int, int, int]
    weight: tuple[int, int, int, int]
    stride: tuple[int, int]
    padding: tuple[tuple[int, int], tuple[int, int]]
    dilation: tuple[int, int]
    groups: int

    @property
    def options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in ("stride", "padding", "dilation", "groups")}

    @property
    def free(self) -> list[int]:
        """How many rows and columns the kernel can move."""
        span = [d * (k - 1) + 1 for d, k in zip(self.dilation, self.weight[2:], strict=True)]
        return [n + sum(p) - s for n, p, s in zip(self.x[2:], self.padding, span, strict=True)]

    @property
    def left_over(self) -> tuple[int, int]:
        """Rows and columns, of the padded image, too few for another step."""
        return self.free[0] % self.stride[0], self.free[1] % self.stride[1]

    @property
    def y(self) -> tuple[int, int, int, int]:
        return (self.x[0], self.weight[0], *(f // s + 1 for f, s in zip(self.free, self.stride, strict=True)))


def expected_conv2d(setting: Setting, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return naive_conv2d(x, weight, **setting.options)


def expected_conv_transpose2d(setting: Setting, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The transpose of the convolution's matrix, whose rows are the convolutions of images with a single 1."""
    shape = setting.x[1:]
    matrix = expected_conv2d(setting, np.eye(math.prod(shape)).reshape(-1, *shape), weight)
    return np.tensordot(y, matrix, axes=((1, 2, 3), (1, 2, 3))).reshape(len(y), *shape)


def expected_weight_gradient(setting: Setting, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A convolution too, of x with y for its kernel, summed over the images; stride and dilation change places."""
    _, _, kh, kw = setting.weight
    turned = {"stride": setting.dilation, "dilation": setting.stride, "padding": setting.padding}
    groups = zip(np.split(x, setting.groups, axis=1), np.split(y, setting.groups, axis=1), strict=True)
    gradients = [naive_conv2d(a.swapaxes(0, 1), b.swapaxes(0, 1), **turned)[:, :, :kh, :kw] for a, b in groups]
    return np.concatenate([gradient.swapaxes(0, 1) for gradient in gradients])


# -- what is drawn -----------------------------------------------------------------------------------------------------


@st.composite
def conv_settings(draw: st.DrawFn, most: int = 3, free: int = 4, ungrouped: bool = False) -> Setting:
    """Any convolution with kernels, strides, paddings and channels up to `most`."""
    upto = lambda least, limit=most: draw(st.integers(least, limit))
    groups = 1 if ungrouped else upto(1, 2)
    kernel, stride, dilation = ((upto(1), upto(1)) for _ in range(3))
    padding = ((upto(0), upto(0)), (upto(0), upto(0)))
    size = []
    for k, d, p in zip(kernel, dilation, padding, strict=True):
        least = max(1, d * (k - 1) + 1 - sum(p))
        size.append(draw(st.integers(least, least + free)))
    inputs, outputs = upto(1, most - 1), upto(1, most - 1)
    return Setting(
        (upto(1, 2), groups * inputs, *size), (groups * outputs, inputs, *kernel), stride, padding, dilation, groups
    )


@st.composite
def masks(draw: st.DrawFn, weight: tuple[int, ...]) -> np.ndarray:
    """Any mask over the taps, or over the taps of each pair of channels."""
    shape = draw(st.sampled_from([weight, weight[2:]]))
    return np.random.default_rng(draw(SEEDS)).integers(0, 2, shape).astype(draw(st.sampled_from(["float64", "bool"])))


def numbers(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.standard_normal(shape) for shape in shapes]


def small() -> st.SearchStrategy[Setting]:
    """Small enough for second derivatives by differences."""
    return conv_settings(most=2, free=1)


@st.composite
def conv2d_cases(draw: st.DrawFn) -> Case:
    setting = draw(small())
    inputs = numbers(draw(SEEDS), setting.x, setting.weight, setting.weight[:1])
    return Case(lambda *xs: conv2d(*xs, **setting.options), inputs[: draw(st.integers(2, 3))])


@st.composite
def masked_cases(draw: st.DrawFn) -> Case:
    setting = draw(conv_settings(most=2, free=1, ungrouped=True))
    mask = draw(masks(setting.weight))
    options = {name: value for name, value in setting.options.items() if name != "groups"}
    inputs = numbers(draw(SEEDS), setting.x, setting.weight, setting.weight[:1])
    return Case(lambda *xs: masked_conv2d(*xs, mask=mask, **options), inputs)


@st.composite
def conv_transpose2d_cases(draw: st.DrawFn) -> Case:
    setting = draw(small())
    inputs = numbers(draw(SEEDS), setting.y, setting.weight, setting.x[1:2])
    options = {**setting.options, "output_padding": setting.left_over}
    return Case(lambda *xs: conv_transpose2d(*xs, **options), inputs[: draw(st.integers(2, 3))])


@st.composite
def weight_gradient_cases(draw: st.DrawFn) -> Case:
    """The gradient of a weight, as a function of the other two."""
    setting = draw(small())

    def weight_gradient(x: Tensor, y: Tensor) -> Tensor:
        weight = tensor(np.zeros(setting.weight, x.dtype), requires_grad=True)
        (gradient,) = grad(conv2d(x, weight, **setting.options), weight, y, create_graph=True)
        assert gradient is not None
        return gradient

    return Case(weight_gradient, numbers(draw(SEEDS), setting.x, setting.y))


CASES: Cases = {
    "conv2d": conv2d_cases(),
    "masked_conv2d": masked_cases(),
    "conv_transpose2d": conv_transpose2d_cases(),
    "conv2d_weight_gradient": weight_gradient_cases(),
}
every_operation = pytest.mark.parametrize("operation", CASES)

# -- values and derivatives --------------------------------------------------------------------------------------------


def close(actual: Any, expected: np.ndarray, rtol: float = 1e-10) -> None:
    actual = to_numpy(actual.data if isinstance(actual, Tensor) else actual)
    np.testing.assert_allclose(
        actual, expected, rtol=rtol, atol=rtol * max(1.0, float(np.abs(expected).max(initial=0)))
    )


@given(conv_settings(), SEEDS)
def test_conv2d_and_its_gradients_are_the_sums(device: Device, setting: Setting, seed: int) -> None:
    x, weight, bias, g = numbers(seed, setting.x, setting.weight, setting.weight[:1], setting.y)
    leaves = [tensor(a, requires_grad=True) for a in (x, weight, bias)]
    y = conv2d(*leaves, **setting.options)
    y.backward(device.asarray(g))
    close(y, expected_conv2d(setting, x, weight) + bias[:, None, None])
    close(leaves[0].grad, expected_conv_transpose2d(setting, g, weight))
    close(leaves[1].grad, expected_weight_gradient(setting, x, g))
    close(leaves[2].grad, g.sum((0, 2, 3)))


@given(conv_settings(), SEEDS)
def test_conv_transpose2d_and_its_gradients_are_the_sums(device: Device, setting: Setting, seed: int) -> None:
    y, weight, bias, g = numbers(seed, setting.y, setting.weight, setting.x[1:2], setting.x)
    leaves = [tensor(a, requires_grad=True) for a in (y, weight, bias)]
    x = conv_transpose2d(*leaves, output_padding=setting.left_over, **setting.options)
    x.backward(device.asarray(g))
    close(x, expected_conv_transpose2d(setting, y, weight) + bias[:, None, None])
    close(leaves[0].grad, expected_conv2d(setting, g, weight))
    close(leaves[1].grad, expected_weight_gradient(setting, g, y))
    close(leaves[2].grad, g.sum((0, 2, 3)))


@given(conv_settings(), SEEDS)
def test_conv_transpose2d_is_the_adjoint_of_conv2d(setting: Setting, seed: int) -> None:
    x, weight, y = numbers(seed, setting.x, setting.weight, setting.y)
    there = (conv2d(x, weight, **setting.options) * y).sum()
    back = (conv_transpose2d(y, weight, output_padding=setting.left_over, **setting.options) * x).sum()
    np.testing.assert_allclose(there, back, rtol=1e-10, atol=1e-10)


def test_output_padding_beyond_the_stride() -> None:
    """Allowed below the dilation: the rows that it adds are seen by no tap."""
    y, weight, bias = numbers(0, (2, 1, 3, 3), (1, 1, 2, 2), (1,))
    leaves = [tensor(a, requires_grad=True) for a in (y, weight, bias)]
    x = conv_transpose2d(*leaves, dilation=3, output_padding=(2, 1))
    assert x.shape == (2, 1, 8, 7)
    close(x[:, :, :6, :6], conv_transpose2d(y, weight, bias, dilation=3))
    close(x[:, :, 6:], np.full((2, 1, 2, 7), bias))
    g = np.random.default_rng(1).standard_normal(x.shape)
    x.backward(g)
    close(leaves[0].grad, conv2d(g[:, :, :6, :6], weight, dilation=3))
    close(leaves[2].grad, g.sum((0, 2, 3)))


@pytest.mark.parametrize("stride", [1, 2])
def test_padding_cuts_off_what_a_transposed_convolution_would_give(stride: int) -> None:
    """Also where it cuts off all that a tap reaches, or the kernel, and only a row of `output_padding` remains."""
    y, weight, bias = numbers(0, (2, 1, 1, 4), (1, 1, 2, 2), (1,))
    options = {"stride": stride, "dilation": 3, "output_padding": 2}
    whole = conv_transpose2d(y, weight, bias, **options)
    height, width = whole.shape[2:]
    for top, bottom, left, right in [(5, 0, 0, 0), (0, 5, 8, 0), (2, 3, 0, 8), (1, 0, 2, 3)]:
        x = conv_transpose2d(y, weight, bias, padding=((top, bottom), (left, right)), **options)
        close(x, whole[:, :, top : height - bottom, left : width - right])


def test_without_any_option() -> None:
    x, y, weight = numbers(0, (2, 3, 5, 6), (2, 4, 3, 4), (4, 3, 3, 3))
    close(conv2d(x, weight), naive_conv2d(x, weight))
    close(masked_conv2d(x, weight, mask=CAUSAL), naive_conv2d(x, weight * CAUSAL))
    setting = Setting(x.shape, weight.shape, (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    close(conv_transpose2d(y, weight), expected_conv_transpose2d(setting, y, weight))


@pytest.mark.parametrize(
    "operation, kernel",
    [
        (conv2d, 1),
        (conv2d, 3),
        (conv_transpose2d, 1),
        (conv_transpose2d, 3),
        (lambda *xs: conv_transpose2d(*xs, stride=2), 3),
        (lambda *xs: masked_conv2d(*xs, mask=CAUSAL), 3),
        (lambda *xs: masked_conv2d(*xs, mask=np.zeros((3, 3))), 3),
    ],
)
def test_no_images(operation: Any, kernel: int) -> None:
    """No outputs, and zeros for the gradients of weight and bias, to second order."""
    case = Case(operation, numbers(0, (0, 2, 4, 4), (2, 2, kernel, kernel), (2,)))
    results = everything(case)
    assert results[0].shape[0] == 0
    assert [gradient.shape for gradient in results[1:4]] == [x.shape for x in case.inputs]
    assert not any(x.numpy().any() for x in results)


def test_a_tensor_names_the_operation_that_made_it() -> None:
    x, weight = (tensor(a, requires_grad=True) for a in numbers(0, (1, 1, 2, 2), (1, 1, 1, 1)))
    for operation in (conv2d, conv_transpose2d):
        assert f"made by {operation.__name__}" in repr(operation(x, weight))


def test_float32_is_accurate() -> None:
    x, weight, g = numbers(0, (4, 16, 9, 9), (8, 16, 3, 3), (4, 8, 9, 9))
    setting = Setting(x.shape, weight.shape, (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    leaves = [tensor(a, "float32", requires_grad=True) for a in (x, weight)]
    y = conv2d(*leaves, padding=1)
    y.backward(g.astype("float32"))
    for actual, expected in (
        (y, expected_conv2d(setting, x, weight)),
        (leaves[0].grad, expected_conv_transpose2d(setting, g, weight)),
        (leaves[1].grad, expected_weight_gradient(setting, x, g)),
    ):
        close(actual, expected, rtol=2e-6)


# -- masks -------------------------------------------------------------------------------------------------------------


@given(conv_settings(ungrouped=True), st.data(), SEEDS)
def test_a_mask_is_a_factor_of_the_weight(device: Device, setting: Setting, data: st.DataObject, seed: int) -> None:
    mask = data.draw(masks(setting.weight))
    options = {name: value for name, value in setting.options.items() if name != "groups"}
    x, weight, bias, g = numbers(seed, setting.x, setting.weight, setting.weight[:1], setting.y)
    leaves = [tensor(a, requires_grad=True) for a in (x, weight, bias)]
    y = masked_conv2d(*leaves, mask=mask, **options)
    y.backward(device.asarray(g))
    close(y, expected_conv2d(setting, x, weight * mask) + bias[:, None, None])
    close(leaves[0].grad, expected_conv_transpose2d(setting, g, weight * mask))
    close(leaves[1].grad, expected_weight_gradient(setting, x, g) * mask)
    assert not leaves[1].grad.numpy()[np.broadcast_to(mask == 0, weight.shape)].any()


@pytest.mark.parametrize("channels", [1, 4], ids=["taps added", "weights flipped"])
def test_dead_taps_are_never_read(device: Device, channels: int) -> None:
    """NaN in the weight at dead taps, and in a pixel that only dead taps see, reach nothing."""
    x, weight, g = numbers(0, (2, channels, 5, 5), (4, channels, 3, 3), (2, 4, 5, 5))
    x[:, :, -1, -1] = np.nan  # the last pixel of all
    g[:, :, 0, 0] = np.nan  # the first output sees only padding
    weight[:, :, CAUSAL == 0] = np.nan
    leaves = [tensor(a, requires_grad=True) for a in (x, weight)]
    y = masked_conv2d(*leaves, mask=CAUSAL, padding=1)
    y.backward(device.asarray(g))
    assert np.isfinite(y.numpy()).all()
    assert np.isfinite(leaves[0].grad.numpy()).all()
    assert not leaves[1].grad.numpy()[:, :, CAUSAL == 0].any()


def test_dead_taps_are_not_computed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The matrices that are multiplied have the live taps alone."""
    widths = []

    def watched(*args: Any) -> Any:
        for some, columns in im2col.im2col(*args):
            widths.append(columns.shape[1])
            yield some, columns

    monkeypatch.setattr(convolution, "im2col", watched)
    leaves = [tensor(a, requires_grad=True) for a in numbers(0, (2, 3, 5, 5), (3, 3, 3, 3))]
    masked_conv2d(*leaves, mask=CAUSAL, padding=1).sum().backward()
    assert widths == [4 * 3] * 3  # forward, input gradient, weight gradient: 4 of 9 taps, 3 channels


# -- how it is computed ------------------------------------------------------------------------------------------------


def test_where_outputs_and_pixels_overlap() -> None:
    for first, stride, outputs, pixels in itertools.product(range(-9, 10), range(1, 4), range(6), range(10)):
        seen = {i: first + stride * i for i in range(outputs) if 0 <= first + stride * i < pixels}
        i, pixel = overlap(first, stride, outputs, pixels)
        assert dict(zip(range(outputs)[i], range(pixels)[pixel], strict=True)) == seen


def test_the_picture_of_im2col() -> None:
    """The numbers drawn at the head of the file: in each line a row of the image, then what one output sees."""
    lines = re.findall(r"(.*) for y\[", im2col.__doc__ or "")
    numbers_drawn = np.array([re.findall(r"\d+", line) for line in lines], float)
    image, drawn = numbers_drawn[:, :4], numbers_drawn[:, 4:]
    for mask in (np.ones((3, 3), bool), CAUSAL.astype(bool)):
        geometry = Geometry((3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), groups=1)
        ((some, columns),) = im2col.im2col(image[None, None], geometry, im2col.LiveTaps(mask))
        assert some == slice(0, 1)
        np.testing.assert_array_equal(columns, drawn[:, mask.ravel()])


def channels_last(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


@pytest.mark.parametrize("kernel, options", [(1, {}), (3, {"padding": 1}), (4, {"stride": 2, "padding": 1})])
def test_memory_order_does_not_matter(kernel: int, options: dict[str, int]) -> None:
    x, weight = numbers(0, (3, 5, 8, 8), (4, 5, kernel, kernel))
    g = numbers(1, conv2d(x, weight, **options).shape)[0]
    results = []
    for order in (np.ascontiguousarray, np.asfortranarray, channels_last, lambda a: a[::-1].copy()[::-1]):
        leaves = [Tensor(order(x), requires_grad=True), Tensor(weight, requires_grad=True)]
        y = conv2d(*leaves, **options)
        y.backward(order(g))
        assert y.data.transpose(0, 2, 3, 1).flags.c_contiguous
        results.append([y, leaves[0].grad, leaves[1].grad])
    for others in results[1:]:
        for one, other in zip(results[0], others, strict=True):
            close(other, one.numpy())


@pytest.mark.parametrize("images", [0, 1, 3, 5, 7])
@pytest.mark.parametrize("outputs", [2, 20], ids=["weights flipped", "taps added"])
def test_a_few_images_at_a_time(device: Device, monkeypatch: pytest.MonkeyPatch, images: int, outputs: int) -> None:
    """Three at a time, so that none, one or two are left over for the last time."""
    numbers_an_image = 9 * 2 * 5 * 5  # taps, channels, outputs
    monkeypatch.setattr(im2col, "working_memory", lambda x: 3 * numbers_an_image * x.dtype.itemsize)
    assert im2col.images_at_once(np.zeros(5), numbers_an_image) == 3
    x, weight, g = numbers(0, (images, 2, 5, 5), (outputs, 2, 3, 3), (images, outputs, 5, 5))
    setting = Setting(x.shape, weight.shape, (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    leaves = [tensor(a, requires_grad=True) for a in (x, weight)]
    y = conv2d(*leaves, padding=1)
    y.backward(device.asarray(g))
    close(y, expected_conv2d(setting, x, weight))
    close(leaves[0].grad, expected_conv_transpose2d(setting, g, weight))
    close(leaves[1].grad, expected_weight_gradient(setting, x, g))


def test_columns_stay_small_on_a_cpu_and_steps_few_on_a_gpu(gpu_standin: Device) -> None:
    images, an_image = np.zeros(1000, "float32"), 9 * 64 * 32 * 32
    assert im2col.images_at_once(images, an_image) * an_image * 4 <= 8 << 20
    assert im2col.images_at_once(gpu_standin.asarray(images), an_image) >= 100


def test_launches_do_not_grow_with_the_batch(gpu_standin: Device) -> None:
    launches = []
    with gpu_standin:
        for images in (1, 64):
            leaves = [tensor(a, "float32", requires_grad=True) for a in numbers(0, (images, 2, 8, 8), (4, 2, 4, 4))]
            with strict_cupy.count() as counts:
                conv2d(*leaves, stride=2, padding=1).sum().backward()
            launches.append(counts.launches)
            assert counts.synchronisations == 0
    assert launches[0] == launches[1] < 60


def test_from_a_single_pixel_each_product_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A generator's first layer; as a convolution with flipped weights it would multiply zeros, 48 times of 49."""
    monkeypatch.setattr(convolution, "_flipped", lambda *_: pytest.fail("flipped the weights"))
    y, weight = numbers(0, (2, 6, 1, 1), (6, 4, 7, 7))
    close(conv_transpose2d(y, weight), np.einsum("noij,ocab->ncab", y, weight))


@pytest.mark.parametrize("operation", [conv2d, conv_transpose2d])
def test_a_gradient_that_is_not_needed_is_not_computed(operation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def unwanted(g: Any) -> Any:
        raise AssertionError("computed the gradient of x")

    for primitive, argument in ((convolution._conv2d, "x"), (convolution._conv_transpose2d, "y")):
        monkeypatch.setitem(primitive.rules, argument, Rule(unwanted, ()))
        monkeypatch.setattr(primitive, "_plans", {})  # of what to save: those made now name nothing for this rule
    x, weight = (tensor(a, requires_grad=True) for a in numbers(0, (1, 2, 4, 4), (2, 2, 3, 3)))
    operation(x.detach(), weight).sum().backward()
    with pytest.raises(AssertionError, match="gradient of x"):
        operation(x, weight).sum().backward()


# -- errors ------------------------------------------------------------------------------------------------------------

X, W = (8, 3, 28, 28), (64, 3, 4, 4)


@pytest.mark.parametrize(
    "x, weight, options, message",
    [
        (X, (64, 1, 4, 4), {}, "conv2d: x has 3 channels (8, 3, 28, 28) but weight takes 1 (64, 1, 4, 4)"),
        (
            X,
            (64, 2, 4, 4),
            {"groups": 2},
            "conv2d: x has 3 channels (8, 3, 28, 28) but weight takes 4 (64, 2, 4, 4) in 2 groups",
        ),
        ((3, 28, 28), W, {}, "conv2d: expects x (N, C, H, W), got (3, 28, 28)"),
        (X, (64, 3), {}, "conv2d: expects weight with 4 axes, got (64, 3)"),
        (X, W, {"groups": 5}, "conv2d: groups must divide the 64 of weight (64, 3, 4, 4), got 5"),
        (X, W, {"groups": 0}, "conv2d: groups must divide the 64 of weight (64, 3, 4, 4), got 0"),
        (
            (1, 3, 2, 9),
            W,
            {"dilation": (1, 2)},
            "conv2d: the kernel, which reaches (4, 7), is larger than x (1, 3, 2, 9) with padding ((0, 0), (0, 0))",
        ),
        (X, W, {"stride": 0}, "conv2d: expects stride to be an int from 1 up, or a pair of them, got 0"),
        (
            X,
            W,
            {"stride": (1, 2, 3)},
            "conv2d: expects stride to be an int from 1 up, or a pair of them, got (1, 2, 3)",
        ),
        (X, W, {"stride": 1.5}, "conv2d: expects stride to be an int from 1 up, or a pair of them, got 1.5"),
        (X, W, {"dilation": (1, 0)}, "conv2d: expects dilation to be an int from 1 up, or a pair of them, got (1, 0)"),
        (X, W, {"padding": -1}, "conv2d: expects padding to be an int from 0 up, or a pair of them, got -1"),
        (X, W, {"padding": "same"}, "conv2d: expects padding to be an int from 0 up, or a pair of them, got 'same'"),
        (X, W, {"bias": np.zeros(3)}, "conv2d: expects a bias (64,) for weight (64, 3, 4, 4), got (3,)"),
        (X, W, {"bias": 1.0}, "conv2d: expects a bias (64,) for weight (64, 3, 4, 4), got float"),
    ],
)
def test_conv2d_says_what_is_wrong(x: tuple, weight: tuple, options: dict[str, Any], message: str) -> None:
    for make in (np.zeros, lambda shape: tensor(np.zeros(shape), requires_grad=True)):
        with pytest.raises(ValueError) as error:
            conv2d(make(x), make(weight), **options)
        assert str(error.value) == message


@pytest.mark.parametrize(
    "x, weight, options, message",
    [
        (X, W, {}, "conv_transpose2d: x has 3 channels (8, 3, 28, 28) but weight takes 64 (64, 3, 4, 4)"),
        (
            X,
            (3, 64, 4, 4),
            {"stride": 2, "output_padding": 2},
            "conv_transpose2d: output_padding must be less than the stride or the dilation, at most (1, 1), got (2, 2)",
        ),
        (
            X,
            (3, 4, 4, 4),
            {"bias": np.zeros(3)},
            "conv_transpose2d: expects a bias (4,) for weight (3, 4, 4, 4), got (3,)",
        ),
        (
            (1, 3, 1, 1),
            (3, 4, 2, 2),
            {"padding": 1},
            "conv_transpose2d: padding 1 leaves nothing of x (1, 3, 1, 1) under weight (3, 4, 2, 2)",
        ),
    ],
)
def test_conv_transpose2d_says_what_is_wrong(x: tuple, weight: tuple, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as error:
        conv_transpose2d(np.zeros(x), np.zeros(weight), **options)
    assert str(error.value) == message


def test_masked_conv2d_says_what_is_wrong_with_a_mask() -> None:
    x, weight = np.zeros(X), np.zeros(W)
    with pytest.raises(
        ValueError, match=r"masked_conv2d: expects a mask \(4, 4\) or \(64, 3, 4, 4\) for weight .*, got \(3, 3\)"
    ):
        masked_conv2d(x, weight, mask=np.ones((3, 3)))
    with pytest.raises(ValueError, match="masked_conv2d: expects a mask of zeros and ones"):
        masked_conv2d(x, weight, mask=np.full((4, 4), 0.5))


def test_dtypes_have_to_agree() -> None:
    x, weight = np.zeros(X, "float32"), np.zeros(W)
    with pytest.raises(TypeError, match="conv2d: x is float32 but weight float64; cast"):
        conv2d(x, weight)
    with pytest.raises(TypeError, match="conv2d: bias is float64 but weight float32; cast"):
        conv2d(x, weight.astype("float32"), np.zeros(64))


def test_devices_have_to_agree(gpu_standin: Device) -> None:
    with pytest.raises(ValueError, match="x is on cpu, weight is on gpu:0"):
        conv2d(tensor(np.zeros(X)), tensor(np.zeros(W), device=gpu_standin))
    assert device() == device("cpu")
