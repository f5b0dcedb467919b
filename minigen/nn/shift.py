"""A shift of images by one row, which hides a pixel's own row from the layers that follow."""

from __future__ import annotations

from typing import Any

from minigen import ops
from minigen.nn.module import Module


class ShiftDown(Module):
    """Move every row to the place of the one below it; the first row becomes zero: (N, C, H, W) -> (N, C, H, W).

    What a later layer computes for row i from the rows up to i then depends only on the rows above i of the input.
    """

    def forward(self, x: Any) -> Any:
        return ops.pad(x, ((0, 0), (0, 0), (1, 0), (0, 0)))[:, :, :-1]
