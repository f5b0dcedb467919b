"""Pyramids by loops and laws, holes by counting, the shapes and the reach of the network."""

from __future__ import annotations

import numpy as np
import pytest

from minigen import ops
from minigen.autograd import Tensor, grad, tensor
from minigen.backend import Device
from minigen.models.zoo.restoration import Hourglass, down, holes, up


def images(*shape: int) -> Tensor:
    return tensor(np.random.default_rng(0).normal(size=shape).astype("float32"))


@pytest.mark.parametrize("factor", [1, 2, 4])
def test_down_and_up_against_loops(factor: int, device: Device) -> None:
    x = images(2, 3, 4, 8)
    smaller, larger = down(x, factor).numpy(), up(x, factor).numpy()
    assert smaller.shape == (2, 3, 4 // factor, 8 // factor) and larger.shape == (2, 3, 4 * factor, 8 * factor)
    for i, j in np.ndindex(smaller.shape[2:]):
        block = x.numpy()[:, :, i * factor : (i + 1) * factor, j * factor : (j + 1) * factor]
        np.testing.assert_allclose(smaller[:, :, i, j], block.mean(axis=(2, 3)), rtol=1e-5, atol=1e-6)
    for i, j in np.ndindex(larger.shape[2:]):
        np.testing.assert_array_equal(larger[:, :, i, j], x.numpy()[:, :, i // factor, j // factor])


def test_up_is_the_pseudo_inverse_of_down() -> None:
    """The four conditions of Moore and Penrose, from the matrices of both."""
    basis = lambda n, side: np.eye(n).reshape(n, 1, side, side)
    a = np.asarray(down(basis(16, 4))).reshape(16, 4).T  # (4, 16)
    b = np.asarray(up(basis(4, 2))).reshape(4, 16).T
    for found, expected in ((a @ b @ a, a), (b @ a @ b, b), (a @ b, (a @ b).T), (b @ a, (b @ a).T)):
        np.testing.assert_allclose(found, expected, atol=1e-12)


def test_holes(device: Device) -> None:
    """In each image a square of zeros, wholly inside; every place is as likely as any other."""
    mask = holes(6000, 5, 4, 3, device=device)
    assert mask.shape == (6000, 1, 5, 4) and mask.dtype == "float32" and mask.device == device
    m = mask.numpy()[:, 0]
    assert set(np.unique(m)) == {0, 1} and ((m == 0).sum(axis=(1, 2)) == 9).all()
    counts = []
    for top, left in np.ndindex(3, 2):
        inside = np.ones((5, 4))
        inside[top : top + 3, left : left + 3] = 0
        counts.append((m == inside).all(axis=(1, 2)).sum())
    assert sum(counts) == 6000 and min(counts) > 900
    assert holes(10, 5, 4, 4).numpy().sum() == 4 * 10


@pytest.mark.parametrize(("downs", "ups", "before", "after"), [(0, 2, 7, 28), (1, 1, 14, 14), (2, 2, 8, 8)])
def test_the_network(downs: int, ups: int, before: int, after: int, device: Device) -> None:
    """Sides and channels are as stated, and the outputs depend on the whole input."""
    net = Hourglass(2, 3, 4, downs, ups)
    x = Tensor(images(4, 2, before, before).data, requires_grad=True)
    y = net(x)
    assert y.shape == (4, 3, after, after)
    (slope,) = grad(ops.sum(ops.square(y)), x)
    assert (slope.numpy() != 0).all()


def test_errors() -> None:
    with pytest.raises(ValueError, match=r"down: expects sides that are multiples of 2, got \(1, 1, 7, 8\)"):
        down(np.zeros((1, 1, 7, 8)))
    for size in (0, 5):
        with pytest.raises(ValueError, match=f"holes: expects a size from 1 to 4, got {size}"):
            holes(1, 4, 6, size)
