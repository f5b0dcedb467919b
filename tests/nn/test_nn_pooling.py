"""Layers that make images smaller or larger; what pooling computes is tested in `ops/test_pooling.py`."""

from __future__ import annotations

import numpy as np
import pytest

from minigen import nn, ops
from minigen.autograd import grad, tensor
from minigen.backend import Device


@pytest.mark.parametrize(("layer", "operation"), [(nn.MaxPool2d, ops.max_pool2d), (nn.AvgPool2d, ops.avg_pool2d)])
def test_pooling_layers_are_the_operations(layer: type[nn.Module], operation: object, device: Device) -> None:
    x = tensor(np.random.default_rng(0).normal(size=(2, 3, 7, 6)))
    for arguments in [(2,), (3, 1), ((3, 2), (1, 2), (1, 0))]:
        np.testing.assert_array_equal(layer(*arguments)(x).numpy(), operation(x, *arguments).numpy())  # type: ignore[operator]
    assert repr(layer(3)) == f"{layer.__name__}(kernel_size=3, stride=3, padding=0)"
    assert not layer(3).state_dict()


def test_upsample_makes_a_block_of_each_pixel(device: Device) -> None:
    x = tensor(np.array([[[[1.0, 2.0], [3.0, 4.0]]]]), requires_grad=True)
    y = nn.Upsample(scale_factor=(2, 3))(x)
    above, below = [1, 1, 1, 2, 2, 2], [3, 3, 3, 4, 4, 4]
    assert y.tolist() == [[[above, above, below, below]]]
    (g,) = grad(y, x, tensor(np.arange(24.0).reshape(y.shape)))
    assert g.tolist() == [[[[24, 42], [96, 114]]]]


def test_upsample_is_undone_by_mean_and_by_largest(device: Device) -> None:
    x = tensor(np.random.default_rng(0).normal(size=(2, 3, 4, 5)))
    y = nn.Upsample(scale_factor=3)(x)
    assert y.shape == (2, 3, 12, 15)
    for layer in (nn.AvgPool2d(3), nn.MaxPool2d(3)):
        np.testing.assert_allclose(layer(y).numpy(), x.numpy(), rtol=1e-12)
