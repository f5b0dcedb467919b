"""What the tests of the stand-in share: arrays on the device, and the comparison with NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from strict_cupy import cupy

ARRAYS = hnp.arrays(np.float32, hnp.array_shapes(max_dims=3, max_side=4), elements=st.floats(-2, 2, width=16))


def on_gpu(values: Any, dtype: str = "float32") -> Any:
    """`values` as an array of the device."""
    return cupy.asarray(np.array(values, dtype=dtype))


def assert_same(got: Any, expected: Any) -> None:
    """`got` is an array of the device with NumPy's values, shape and data type."""
    assert isinstance(got, cupy.ndarray)
    expected = np.asarray(expected)
    assert got.dtype == expected.dtype
    assert got.shape == expected.shape
    np.testing.assert_array_equal(got.get(), expected)
