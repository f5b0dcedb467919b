"""New tensors from a shape: values, data types, devices, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import minigen
from minigen.autograd import Tensor, tensor
from minigen.backend import Device, default_dtype
from minigen.random import manual_seed

OF_A_SHAPE: dict[str, Callable[..., Tensor]] = {
    "zeros": minigen.zeros,
    "ones": minigen.ones,
    "full": lambda *shape, **options: minigen.full(shape[0] if len(shape) == 1 else shape, 0.5, **options),
    "rand": minigen.rand,
    "randn": minigen.randn,
}
every_constructor = pytest.mark.parametrize("name", OF_A_SHAPE)


@every_constructor
def test_a_shape_is_numbers_or_a_tuple(name: str, device: Device) -> None:
    make = OF_A_SHAPE[name]
    for x, shape in [
        (make(2, 3), (2, 3)),
        (make((2, 3)), (2, 3)),
        (make([2, 0]), (2, 0)),
        (make(4), (4,)),
        (make(()), ()),
    ]:
        assert (x.shape, x.dtype, x.device, x.requires_grad) == (shape, np.float32, device, False)


@every_constructor
def test_dtype_and_requires_grad(name: str) -> None:
    x = OF_A_SHAPE[name](2, 3, dtype="float64", requires_grad=True)
    assert (x.dtype, x.requires_grad) == (np.float64, True)
    with default_dtype("float64"):
        assert OF_A_SHAPE[name](2).dtype == np.float64
    (x.sum() * 2.0).backward()
    assert x.grad is not None and x.grad.tolist() == [[2.0] * 3] * 2


@every_constructor
def test_a_device(name: str, gpu_standin: Device) -> None:
    assert OF_A_SHAPE[name](2, device="gpu:1").device == minigen.device("gpu:1")
    with gpu_standin:
        assert OF_A_SHAPE[name](2, device="cpu").device == minigen.device("cpu")


@every_constructor
@pytest.mark.parametrize("shape", [(2, "float64"), (-1,), (2.0,), ((2, 3), 4)])
def test_what_is_no_shape_is_refused(name: str, shape: Any) -> None:
    with pytest.raises(
        TypeError, match=rf"^{name}: expects a shape of integers from 0 up, such as {name}\(2, 3\), got "
    ):
        OF_A_SHAPE[name](*shape)


def test_values(device: Device) -> None:
    assert minigen.zeros(2, 2).tolist() == [[0, 0], [0, 0]]
    assert minigen.ones(2).tolist() == [1, 1]
    assert minigen.full((1, 2), 0.5).tolist() == [[0.5, 0.5]]
    assert minigen.zeros(2, dtype="int64").dtype == np.int64
    assert minigen.full(2, 3).dtype == np.int64 and minigen.full(2, True).dtype == bool


def test_random_numbers_are_those_of_the_seed() -> None:
    for make, mean, variance in [(minigen.rand, 1 / 2, 1 / 12), (minigen.randn, 0.0, 1.0)]:
        manual_seed(1)
        x = make(100, 100).numpy()
        manual_seed(1)
        np.testing.assert_array_equal(make((100, 100)).numpy(), x)
        assert (make(100, 100).numpy() != x).any()
        assert abs(x.mean() - mean) < 0.05 and abs(x.var() - variance) < 0.05


@pytest.mark.parametrize("arguments", [(4,), (1, 4), (4, 1, -1), (0, 1, 0.25), (2.5,), (3, 3)])
def test_arange_counts_up_to_its_end(arguments: tuple[float, ...], device: Device) -> None:
    start, stop, step = {1: (0, *arguments, 1), 2: (*arguments, 1), 3: arguments}[len(arguments)]
    expected = []
    while (start < stop) if step > 0 else (start > stop):
        expected.append(start)
        start += step
    x = minigen.arange(*arguments)
    assert x.tolist() == expected
    assert x.dtype == (np.float32 if any(isinstance(a, float) for a in arguments) else np.int64) and x.device == device


def test_like_another_tensor(gpu_standin: Device) -> None:
    x = tensor(np.ones((2, 3), "float16"), device=gpu_standin)
    for make, value in [(minigen.zeros_like, 0.0), (minigen.ones_like, 1.0)]:
        y = make(x)
        assert (y.shape, y.dtype, y.device) == ((2, 3), np.float16, gpu_standin)
        assert y.tolist() == [[value] * 3] * 2
        z = make(x, dtype="float64", device="cpu", requires_grad=True)
        assert (z.dtype, z.device, z.requires_grad) == (np.float64, minigen.device("cpu"), True)


def test_one_hot(device: Device) -> None:
    for labels in (tensor(np.array([2, 0])), device.asarray([2, 0]), [2, 0]):
        x = minigen.one_hot(labels, 3)
        assert (x.tolist(), x.dtype, x.device) == ([[0, 0, 1], [1, 0, 0]], np.float32, device)
    for wrong in ([3], [-1], [0.5], [[1]]):
        with pytest.raises(ValueError, match=r"^one_hot: expects integers \(N,\) in 0 ... 2, got "):
            minigen.one_hot(wrong, 3)
