"""Pooling: values by a loop over the windows, ties, padding, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen import ops
from minigen.autograd import grad, tensor
from minigen.backend import Device
from minigen.ops.pooling import add_windows, windows
from minigen.testing import strategies
from minigen.testing.checks import Case
from minigen.testing.strategies import Cases, uniform, well_separated

# -- cases -------------------------------------------------------------------------------------------------------------

PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))


@st.composite
def image_and_windows(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, int], tuple[int, int]]:
    """The shape of images, and the size and the stride of a window that fits into them."""
    kernel, stride = draw(PAIRS), draw(PAIRS)
    size = [k + draw(st.integers(0, 2)) for k in kernel]
    return (draw(st.integers(strategies.SHORTEST, 2)), draw(st.integers(1, 2)), *size), kernel, stride


@st.composite
def pooled(draw: st.DrawFn, operation: Callable[..., Any]) -> Case:
    shape, kernel, stride = draw(image_and_windows())
    padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
    options: dict[str, Any] = {"padding": padding} | ({"stride": stride} if draw(st.booleans()) else {})
    return Case(lambda x: operation(x, kernel, **options), draw(well_separated(shape)))


@st.composite
def windowed(draw: st.DrawFn) -> Case:
    shape, kernel, stride = draw(image_and_windows())
    return Case(lambda x: windows(x, kernel, stride), [draw(uniform(shape))])


@st.composite
def added_windows(draw: st.DrawFn) -> Case:
    shape, kernel, stride = draw(image_and_windows())
    of_windows = windows(np.zeros(shape), kernel, stride).shape
    return Case(lambda y: add_windows(y, stride, shape), [draw(uniform(of_windows))])


CASES: Cases = {
    "max_pool2d": pooled(ops.max_pool2d),  # compositions
    "avg_pool2d": pooled(ops.avg_pool2d),
    "windows": windowed(),
    "add_windows": added_windows(),
}


# -- values ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "reduce", "around"), [("max_pool2d", np.max, -np.inf), ("avg_pool2d", np.mean, 0.0)]
)
@given(data=st.data())
def test_pooling_is_a_loop_over_the_windows(operation: str, reduce: Any, around: float, data: st.DataObject) -> None:
    shape, kernel, stride = data.draw(image_and_windows())
    padding = [data.draw(st.integers(0, k // 2)) for k in kernel]
    x = data.draw(uniform(shape))
    y = getattr(ops, operation)(tensor(x), kernel, stride, padding).numpy()
    padded = np.pad(x, ((0, 0), (0, 0), *((p, p) for p in padding)), constant_values=around)
    assert y.shape == (
        *shape[:2],
        *((n - k) // s + 1 for n, k, s in zip(padded.shape[2:], kernel, stride, strict=True)),
    )
    for n, c, i, j in np.ndindex(y.shape):
        top, left = stride[0] * i, stride[1] * j
        np.testing.assert_allclose(y[n, c, i, j], reduce(padded[n, c, top : top + kernel[0], left : left + kernel[1]]))


def test_the_window_moves_by_its_size_unless_told_otherwise(device: Device) -> None:
    x = tensor(np.arange(16.0).reshape(1, 1, 4, 4))
    assert ops.max_pool2d(x, 2).tolist() == [[[[5, 7], [13, 15]]]]
    assert ops.avg_pool2d(x, (2, 4)).tolist() == [[[[3.5], [11.5]]]]
    assert ops.max_pool2d(x, 2, 1).shape == (1, 1, 3, 3)


def test_largest_values_share_the_gradient_and_the_padding_gets_none(device: Device) -> None:
    x = tensor(np.array([[[[-1.0, -1.0], [-3.0, -2.0]]]]), requires_grad=True)
    (g,) = grad(ops.max_pool2d(x, 2, 2, 1).sum(), x)  # four windows, each sees one pixel
    assert g.tolist() == [[[[1, 1], [1, 1]]]]
    (g,) = grad(ops.max_pool2d(x, 2), x, tensor(np.ones((1, 1, 1, 1))))
    assert g.tolist() == [[[[0.5, 0.5], [0, 0]]]]


@given(data=st.data())
def test_adding_windows_is_the_adjoint_of_taking_them(data: st.DataObject) -> None:
    """<windows(x), y> = <x, add_windows(y)>"""
    shape, kernel, stride = data.draw(image_and_windows())
    x = data.draw(uniform(shape))
    taken = windows(x, kernel, stride)
    y = data.draw(uniform(taken.shape))
    np.testing.assert_allclose((taken * y).sum(), (x * add_windows(y, stride, shape)).sum(), atol=1e-12)


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d"])
@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"kernel_size": 0}, "expects kernel_size to be an int from 1 up, or a pair of them, got 0"),
        ({"kernel_size": 2, "stride": 0}, "expects stride to be an int from 1 up"),
        ({"kernel_size": 2, "padding": -1}, "expects padding to be an int from 0 up"),
        ({"kernel_size": 2, "padding": (1, 2)}, "expects a padding of at most half of the kernel (2, 2), got (1, 2)"),
        ({"kernel_size": (3, 6)}, "the kernel (3, 6) is larger than x (1, 2, 4, 5) with padding (0, 0)"),
    ],
)
def test_options_that_do_not_fit_are_refused(name: str, options: dict[str, Any], words: str, device: Device) -> None:
    with pytest.raises(ValueError) as caught:
        getattr(ops, name)(tensor(np.zeros((1, 2, 4, 5))), **options)
    assert str(caught.value).startswith(f"{name}: {words}")


def test_other_than_images_is_refused(device: Device) -> None:
    with pytest.raises(ValueError, match=r"^max_pool2d: expects x \(N, C, H, W\), got \(2, 3\)"):
        ops.max_pool2d(tensor(np.zeros((2, 3))), 1)
    with pytest.raises(TypeError, match=r"^avg_pool2d: expects floating-point x, got uint8"):
        ops.avg_pool2d(tensor(np.zeros((1, 1, 2, 2), "uint8")), 1)
