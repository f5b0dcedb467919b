"""Logic, and that comparisons have no gradient; their values are tested with those of arithmetic."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from minigen import ops
from minigen.autograd import tensor
from minigen.backend import Device

LOGIC: dict[str, Callable[[bool, bool], bool]] = {
    "logical_and": lambda x, y: x and y,
    "logical_or": lambda x, y: x or y,
    "logical_not": lambda x, y: not x,
}


@pytest.mark.parametrize("name", LOGIC)
def test_logic_is_that_of_python(name: str, device: Device) -> None:
    x, y = tensor([False, False, True, True]), tensor([False, True, False, True])
    result = getattr(ops, name)(*((x,) if name == "logical_not" else (x, y)))
    assert result.dtype == bool
    assert result.tolist() == [LOGIC[name](a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True)]


def test_comparisons_have_no_gradient() -> None:
    x = tensor([1.0], requires_grad=True)
    for name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"):
        result = getattr(ops, name)(x, 0.5)
        assert result.dtype == bool
        assert not result.requires_grad
