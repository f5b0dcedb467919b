"""The array that most tests of the stand-in begin with."""

from __future__ import annotations

import pytest

from strict_cupy.array import ndarray
from strict_cupy.checks import on_gpu


@pytest.fixture
def x() -> ndarray:
    """[[1, 2, 3], [4, 5, 6]] in float32 on the device."""
    return on_gpu([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
