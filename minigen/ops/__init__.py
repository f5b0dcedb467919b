"""Every operation: its forward computation on arrays, and right under it its derivatives.

Each takes arrays of NumPy or CuPy, or tensors; with a tensor among its arguments it returns tensors and is recorded. A
module's `__all__` names what is public in it: an operation that enters there is in `minigen.ops`.
"""

from minigen.ops import convolution, elementwise, losses, normalization, products, recurrent, reductions, shaping
from minigen.ops.convolution import *
from minigen.ops.elementwise import *
from minigen.ops.losses import *
from minigen.ops.normalization import *
from minigen.ops.products import *
from minigen.ops.recurrent import *
from minigen.ops.reductions import *
from minigen.ops.shaping import *

_MODULES = (elementwise, reductions, shaping, products, convolution, normalization, recurrent, losses)
__all__ = [name for module in _MODULES for name in module.__all__]
