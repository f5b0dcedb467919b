"""The operators and methods of a tensor: `x * y`, `x[0]`, `x.mean(axis=1)`.

Each of them calls the operation of the same name. It looks the operation up in the registry `PRIMITIVES`, which
`minigen.ops` fills: tensors cannot import the operations, because the operations import tensors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from minigen.backend import Shape

if TYPE_CHECKING:
    from minigen.autograd import Primitive, Tensor

PRIMITIVES: dict[str, Primitive[..., Any]] = {}
"""Every operation of the engine by its name."""

Axis = int | tuple[int, ...] | None


OTHER_NAMES = {
    "power": "pow", "absolute": "abs", "concatenate": "concat", "dot": "matmul", "transpose": "permute_dims",
    "bitwise_and": "logical_and", "bitwise_or": "logical_or", "invert": "logical_not", "amax": "max", "amin": "min",
    "cat": "concat", "view": "reshape", "ravel": "flatten", "permute": "permute_dims", "unsqueeze": "expand_dims",
    "clamp": "clip", "expand": "broadcast_to", "gather": "take_along_axis", "repeat_interleave": "repeat",
    "chunk": "split", "mm": "matmul", "bmm": "matmul", "masked_fill": "where", "clone": "copy",
}  # fmt: skip
"""Names of operations in NumPy and PyTorch, each with its name in minigen."""


def name_here(name: str) -> str:
    """A hint for an error about an unknown name: the operation's name in minigen, if it has one."""
    return f"; in minigen: `{OTHER_NAMES[name]}`" if name in OTHER_NAMES else ""


def _operator(name: str, reflected: bool = False) -> Callable[[Any, Any], Tensor]:
    def method(self: Any, other: Any) -> Tensor:
        if isinstance(other, list | tuple):
            raise TypeError(f"{name}: expects a tensor, an array or a number, got a {type(other).__name__}")
        return PRIMITIVES[name](other, self) if reflected else PRIMITIVES[name](self, other)

    method.__doc__ = f"`minigen.ops.{name}`."
    return method


def _in_place(name: str, sign: str) -> Callable[[Any, Any], Tensor]:
    def method(self: Any, other: Any) -> Tensor:
        return self._write_result(name, sign, other)

    method.__doc__ = f"`minigen.ops.{name}` in place; for tensors that do not require gradients, or under `no_grad()`."
    return method


class _Ufuncs:
    """NumPy's protocol `__array_ufunc__`: `numpy_array * tensor` and `np.tanh(tensor)` call minigen's operations.

    NumPy looks the attribute up on the class and calls it. CuPy looks it up on the tensor, finds None, and so leaves
    `cupy_array * tensor` to the tensor's own operator.
    """

    def __get__(self, tensor: Any, owner: type) -> _Ufuncs | None:
        return self if tensor is None else None

    def __call__(self, tensor: Tensor, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Tensor:
        name = OTHER_NAMES.get(ufunc.__name__, ufunc.__name__)
        if name not in PRIMITIVES or method != "__call__" or kwargs:
            raise TypeError(f"np.{ufunc.__name__}: cannot be recorded; use `minigen.ops`, or `x.detach().numpy()`")
        return PRIMITIVES[name](*inputs)


class Operators:
    """The operators and methods of `Tensor`."""

    if not TYPE_CHECKING:  # so that mypy finds misspelt names

        def __getattr__(self, name: str) -> NoReturn:
            """An error that gives minigen's name for an operation of NumPy or PyTorch."""
            raise AttributeError(f"a tensor has no attribute {name!r}{name_here(name)}", name=name, obj=self)

    __slots__ = ()
    __array_ufunc__ = _Ufuncs()
    __hash__ = object.__hash__

    __add__, __radd__ = _operator("add"), _operator("add", reflected=True)
    __sub__, __rsub__ = _operator("subtract"), _operator("subtract", reflected=True)
    __mul__, __rmul__ = _operator("multiply"), _operator("multiply", reflected=True)
    __truediv__, __rtruediv__ = _operator("divide"), _operator("divide", reflected=True)
    __pow__, __rpow__ = _operator("pow"), _operator("pow", reflected=True)
    __matmul__, __rmatmul__ = _operator("matmul"), _operator("matmul", reflected=True)

    __iadd__, __isub__ = _in_place("add", "+"), _in_place("subtract", "-")
    __imul__, __itruediv__ = _in_place("multiply", "*"), _in_place("divide", "/")
    __ipow__ = _in_place("pow", "**")

    __lt__, __le__ = _operator("less"), _operator("less_equal")
    __gt__, __ge__ = _operator("greater"), _operator("greater_equal")
    __eq__, __ne__ = _operator("equal"), _operator("not_equal")  # type: ignore[assignment]  # arrays of booleans

    def __getitem__(self, index: Any) -> Tensor:
        return PRIMITIVES["getitem"](self, index)

    __and__, __rand__ = _operator("logical_and"), _operator("logical_and", reflected=True)
    __or__, __ror__ = _operator("logical_or"), _operator("logical_or", reflected=True)

    def __invert__(self) -> Tensor:
        return PRIMITIVES["logical_not"](self)

    def __neg__(self) -> Tensor:
        return PRIMITIVES["negative"](self)

    def __abs__(self) -> Tensor:
        return PRIMITIVES["abs"](self)

    def abs(self) -> Tensor:
        """|x|, element by element."""
        return PRIMITIVES["abs"](self)

    def exp(self) -> Tensor:
        """e^x, element by element."""
        return PRIMITIVES["exp"](self)

    def log(self) -> Tensor:
        """The natural logarithm, element by element."""
        return PRIMITIVES["log"](self)

    def log1p(self) -> Tensor:
        """log(1 + x), exact for small x."""
        return PRIMITIVES["log1p"](self)

    def sqrt(self) -> Tensor:
        """The square root, element by element."""
        return PRIMITIVES["sqrt"](self)

    def square(self) -> Tensor:
        """x^2, element by element."""
        return PRIMITIVES["square"](self)

    def sin(self) -> Tensor:
        """The sine, element by element."""
        return PRIMITIVES["sin"](self)

    def cos(self) -> Tensor:
        """The cosine, element by element."""
        return PRIMITIVES["cos"](self)

    def floor(self) -> Tensor:
        """The largest whole number not above x, element by element."""
        return PRIMITIVES["floor"](self)

    def round(self) -> Tensor:
        """The nearest whole number, element by element."""
        return PRIMITIVES["round"](self)

    def tanh(self) -> Tensor:
        """Hyperbolic tangent, element by element."""
        return PRIMITIVES["tanh"](self)

    def sigmoid(self) -> Tensor:
        """1 / (1 + e^-x), element by element."""
        return PRIMITIVES["sigmoid"](self)

    def relu(self) -> Tensor:
        """max(x, 0), element by element."""
        return PRIMITIVES["relu"](self)

    def softplus(self) -> Tensor:
        """log(1 + e^x), element by element, without overflow."""
        return PRIMITIVES["softplus"](self)

    def clip(self, min: float | None = None, max: float | None = None) -> Tensor:
        """The values limited to min <= x <= max."""
        return PRIMITIVES["clip"](self, min, max)

    def astype(self, dtype: Any) -> Tensor:
        """The values in another data type."""
        return PRIMITIVES["astype"](self, dtype)

    def copy(self) -> Tensor:
        """A recorded copy in memory of its own."""
        return PRIMITIVES["copy"](self)

    def matmul(self, y: Any) -> Tensor:
        """The matrix product with y."""
        return PRIMITIVES["matmul"](self, y)

    def sum(self, axis: Axis = None, keepdims: bool = False, **unknown: Any) -> Tensor:
        """The sum over the axes, by default all."""
        return PRIMITIVES["sum"](self, axis, keepdims, **unknown)

    def mean(self, axis: Axis = None, keepdims: bool = False, **unknown: Any) -> Tensor:
        """The arithmetic mean over the axes, by default all."""
        return PRIMITIVES["mean"](self, axis, keepdims, **unknown)

    def max(self, axis: Axis = None, keepdims: bool = False, **unknown: Any) -> Tensor:
        """The largest value along the axes, by default all."""
        return PRIMITIVES["max"](self, axis, keepdims, **unknown)

    def min(self, axis: Axis = None, keepdims: bool = False, **unknown: Any) -> Tensor:
        """The smallest value along the axes, by default all."""
        return PRIMITIVES["min"](self, axis, keepdims, **unknown)

    def var(self, axis: Axis = None, keepdims: bool = False, *, correction: int = 0, **unknown: Any) -> Tensor:
        """The variance over n - correction values."""
        return PRIMITIVES["var"](self, axis, keepdims, correction=correction, **unknown)

    def std(self, axis: Axis = None, keepdims: bool = False, *, correction: int = 0, **unknown: Any) -> Tensor:
        """The standard deviation over n - correction values."""
        return PRIMITIVES["std"](self, axis, keepdims, correction=correction, **unknown)

    def prod(self, axis: Axis = None, keepdims: bool = False, **unknown: Any) -> Tensor:
        """The product over the axes, by default all."""
        return PRIMITIVES["prod"](self, axis, keepdims, **unknown)

    def argmax(self, axis: int | None = None, keepdims: bool = False, **unknown: Any) -> Tensor:
        """The index of the largest value along one axis, or in all values flattened."""
        return PRIMITIVES["argmax"](self, axis, keepdims, **unknown)

    def argmin(self, axis: int | None = None, keepdims: bool = False, **unknown: Any) -> Tensor:
        """The index of the smallest value along one axis, or in all values flattened."""
        return PRIMITIVES["argmin"](self, axis, keepdims, **unknown)

    def all(self, axis: Axis = None, keepdims: bool = False, **unknown: Any) -> Tensor:
        """Whether all values along the axes are true, by default all."""
        return PRIMITIVES["all"](self, axis, keepdims, **unknown)

    def any(self, axis: Axis = None, keepdims: bool = False, **unknown: Any) -> Tensor:
        """Whether some value along the axes is true, by default all."""
        return PRIMITIVES["any"](self, axis, keepdims, **unknown)

    def cumsum(self, axis: int, **unknown: Any) -> Tensor:
        """The sums of the values up to and including each one along an axis."""
        return PRIMITIVES["cumsum"](self, axis, **unknown)

    def logsumexp(self, axis: Axis = None, keepdims: bool = False, **unknown: Any) -> Tensor:
        """log sum exp(x), without overflow."""
        return PRIMITIVES["logsumexp"](self, axis, keepdims, **unknown)

    def softmax(self, axis: int = -1, **unknown: Any) -> Tensor:
        """exp(x) / sum exp(x) along one axis."""
        return PRIMITIVES["softmax"](self, axis, **unknown)

    def log_softmax(self, axis: int = -1, **unknown: Any) -> Tensor:
        """The logarithm of the softmax along one axis."""
        return PRIMITIVES["log_softmax"](self, axis, **unknown)

    def squeeze(self, axis: Axis = None) -> Tensor:
        """The tensor without these axes, which must have length 1; by default without all axes of length 1."""
        return PRIMITIVES["squeeze"](self, axis)

    def expand_dims(self, axis: int | tuple[int, ...]) -> Tensor:
        """The tensor with new axes of length 1 at these positions."""
        return PRIMITIVES["expand_dims"](self, axis)

    def broadcast_to(self, shape: Shape) -> Tensor:
        """The tensor repeated along axes of length 1 and new leading axes, to this shape."""
        return PRIMITIVES["broadcast_to"](self, shape)

    def repeat(self, repeats: int, axis: int | None = None) -> Tensor:
        """Each value `repeats` times in a row along an axis, or in all values flattened."""
        return PRIMITIVES["repeat"](self, repeats, axis)

    def take_along_axis(self, indices: Any, axis: int = -1) -> Tensor:
        """The entries that integer indices choose along an axis."""
        return PRIMITIVES["take_along_axis"](self, indices, axis)

    def flip(self, axis: Axis = None) -> Tensor:
        """The values in the opposite order along these axes, by default all."""
        return PRIMITIVES["flip"](self, axis)

    def reshape(self, *shape: Any) -> Tensor:
        """The same values in another shape: `x.reshape(2, 3)` or `x.reshape((2, 3))`."""
        return PRIMITIVES["reshape"](self, _unpack(shape))

    def flatten(self) -> Tensor:
        """The values in row-major order along a single axis."""
        return PRIMITIVES["flatten"](self)

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        """The tensor with two axes exchanged."""
        return PRIMITIVES["swapaxes"](self, axis1, axis2)

    def permute_dims(self, *axes: Any) -> Tensor:
        """The axes in another order: `x.permute_dims(0, 2, 1)` or `x.permute_dims((0, 2, 1))`."""
        return PRIMITIVES["permute_dims"](self, _unpack(axes))

    @property
    def T(self) -> Tensor:
        """The tensor with its axes in the opposite order."""
        return PRIMITIVES["permute_dims"](self, None)


def _unpack(arguments: tuple[Any, ...]) -> Any:
    return arguments[0] if len(arguments) == 1 and isinstance(arguments[0], tuple | list) else arguments
