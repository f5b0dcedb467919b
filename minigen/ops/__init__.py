"""Every operation: its forward computation on arrays, and right under it its derivatives.

The arguments are arrays of NumPy or CuPy, or tensors. With a tensor among them, an operation returns tensors and is
recorded. Each module lists its public operations in `__all__`.
"""

import typing

from minigen.autograd import operators
from minigen.ops import (
    comparisons,
    convolution,
    elementwise,
    gating,
    losses,
    normalization,
    parallel,
    pooling,
    products,
    recurrent,
    reductions,
    shaping,
)
from minigen.ops.comparisons import *
from minigen.ops.convolution import *
from minigen.ops.elementwise import *
from minigen.ops.gating import *
from minigen.ops.losses import *
from minigen.ops.normalization import *
from minigen.ops.parallel import *
from minigen.ops.pooling import *
from minigen.ops.products import *
from minigen.ops.recurrent import *
from minigen.ops.reductions import *
from minigen.ops.shaping import *

_MODULES = (
    elementwise, comparisons, reductions, shaping, products, convolution, pooling, normalization, recurrent, gating,
    losses, parallel,
)  # fmt: skip
__all__ = [name for module in _MODULES for name in module.__all__]

if not typing.TYPE_CHECKING:  # so that mypy finds misspelt names

    def __getattr__(name: str) -> typing.NoReturn:
        """An error that gives minigen's name for an operation of NumPy or PyTorch."""
        raise AttributeError(f"module 'minigen.ops' has no attribute {name!r}{operators.name_here(name)}", name=name)
