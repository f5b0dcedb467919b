"""What one can write with a tensor: `x * y`, `x[0]`, `x.mean(axis=1)`.

Every operator and method here calls the operation of the same name, found in the registry `PRIMITIVES` that
`minigen.ops` fills. So the tape, which needs tensors, knows operations by name only and imports none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minigen.autograd import Primitive, Tensor

PRIMITIVES: dict[str, Primitive] = {}
"""Every operation of the engine by its name."""


def _operator(name: str, reflected: bool = False) -> Any:
    def method(self: Any, other: Any) -> Any:
        return PRIMITIVES[name](other, self) if reflected else PRIMITIVES[name](self, other)

    method.__doc__ = f"`minigen.ops.{name}`."
    return method


def _method(name: str) -> Any:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return PRIMITIVES[name](self, *args, **kwargs)

    method.__doc__ = f"`minigen.ops.{name}` of this tensor."
    return method


class Operators:
    """The operators and methods of `Tensor`."""

    __slots__ = ()
    __array_ufunc__ = None  # so that `numpy_array * tensor` comes to __rmul__
    __hash__ = object.__hash__

    __add__, __radd__ = _operator("add"), _operator("add", reflected=True)
    __sub__, __rsub__ = _operator("subtract"), _operator("subtract", reflected=True)
    __mul__, __rmul__ = _operator("multiply"), _operator("multiply", reflected=True)
    __truediv__, __rtruediv__ = _operator("divide"), _operator("divide", reflected=True)
    __pow__, __rpow__ = _operator("pow"), _operator("pow", reflected=True)
    __matmul__, __rmatmul__ = _operator("matmul"), _operator("matmul", reflected=True)
    __getitem__ = _operator("getitem")

    __lt__, __le__ = _operator("less"), _operator("less_equal")
    __gt__, __ge__ = _operator("greater"), _operator("greater_equal")
    __eq__, __ne__ = _operator("equal"), _operator("not_equal")

    __neg__ = _method("negative")
    __abs__ = _method("abs")

    abs, exp, log, log1p, sqrt, square = map(_method, ("abs", "exp", "log", "log1p", "sqrt", "square"))
    tanh, sigmoid, relu, softplus = map(_method, ("tanh", "sigmoid", "relu", "softplus"))
    clip, astype, matmul = map(_method, ("clip", "astype", "matmul"))
    sum, mean, max, min, var = map(_method, ("sum", "mean", "max", "min", "var"))
    logsumexp, softmax, log_softmax = map(_method, ("logsumexp", "softmax", "log_softmax"))
    squeeze, expand_dims, broadcast_to, flip = map(_method, ("squeeze", "expand_dims", "broadcast_to", "flip"))

    def reshape(self, *shape: Any) -> Tensor:
        """`minigen.ops.reshape`: `x.reshape(2, 3)` or `x.reshape((2, 3))`."""
        return PRIMITIVES["reshape"](self, _unpack(shape))

    def permute_dims(self, *axes: Any) -> Tensor:
        """`minigen.ops.permute_dims`: `x.permute_dims(0, 2, 1)` or `x.permute_dims((0, 2, 1))`."""
        return PRIMITIVES["permute_dims"](self, _unpack(axes))

    @property
    def T(self) -> Tensor:
        """The tensor with its axes in the opposite order."""
        return PRIMITIVES["permute_dims"](self, None)


def _unpack(arguments: tuple[Any, ...]) -> Any:
    return arguments[0] if len(arguments) == 1 and isinstance(arguments[0], tuple | list) else arguments
