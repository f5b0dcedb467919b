"""The operation that sums over processes, here over a process and its twin, which computes the same.

What processes with different rows compute together is tested in tests/train/test_parallel.py.
"""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from minigen import ops
from minigen.autograd import tensor
from minigen.backend import Array
from minigen.testing.checks import Case
from minigen.testing.strategies import Cases, shapes, uniform


class Twins:
    """Two processes with the same x."""

    rank, size = 0, 2

    def sum(self, x: Array) -> Array:
        return 2 * x


@st.composite
def sums_of_twins(draw: st.DrawFn) -> Case:
    return Case(lambda x: ops.all_reduce(x, group=Twins()), [draw(uniform(draw(shapes())))])


CASES: Cases = {"all_reduce": sums_of_twins()}


def test_the_gradient_is_summed_too() -> None:
    """The loss of two processes is the sum of both."""
    x = tensor([3.0, 4.0], requires_grad=True)
    y = ops.all_reduce(x, group=Twins())
    y.backward(np.array([1.0, 0.5], np.float32))
    np.testing.assert_array_equal(y.numpy(), [6, 8])
    np.testing.assert_array_equal(x.grad.numpy(), [2, 1])
