"""The operation that connects several processes; `train.parallel` starts them."""

from __future__ import annotations

from minigen.autograd import primitive
from minigen.backend import Array
from minigen.processes import Group

__all__ = ["all_reduce"]


@primitive
def all_reduce(x: Array, *, group: Group) -> Array:
    """The sum of x over all processes of a group, in each of them; all have to call it. x has one shape everywhere.

    The loss is a sum over processes too, and each output depends on the x of every process, so the derivative sums the
    gradients of all outputs.
    """
    return group.sum(x)


all_reduce.derivatives(x=lambda g, group: all_reduce(g, group=group))
