"""The shift by one row."""

from __future__ import annotations

import numpy as np

from minigen import nn


def test_rows_move_down_and_the_first_becomes_zero() -> None:
    x = np.arange(1, 25).reshape(2, 2, 3, 2).astype("float32")
    shifted = nn.ShiftDown()(x)
    np.testing.assert_array_equal(shifted[:, :, 0], 0)
    np.testing.assert_array_equal(shifted[:, :, 1:], x[:, :, :2])
