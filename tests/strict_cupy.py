"""A strict stand-in for the CuPy module: NumPy underneath, CuPy's manners outside.

The idea: on a machine without a GPU, put `strict_cupy.cupy` into `sys.modules["cupy"]`, and code that would fail
under real CuPy fails here too. Its arrays refuse NumPy's functions and NumPy's arrays, reductions stay on the device
as 0-d arrays, elementwise results are C-ordered, integer-array indices out of bounds wrap around silently, and a name
or an argument that CuPy 14 does not have does not exist. Where CuPy would go on at a hidden cost (a list or a NumPy
array as an index, an array on another device than the current one), the stand-in refuses.

`with count() as c:` counts what is dear on a GPU: `c.launches`, the calls that compute (a view is none; one call may
be several kernels in CuPy), and `c.synchronisations`, the calls that wait for the device.

The tables hold CuPy's names and signatures; `_offer` turns a line of them into a function.
"""

from __future__ import annotations

import inspect
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import EllipsisType, ModuleType
from typing import Any, NamedTuple, NoReturn

import numpy as np

DEVICE_COUNT = 2


def _words(text: str) -> list[str]:
    return text.split()


# -- what CuPy has ---------------------------------------------------------------------------------------------

UFUNCS = _words("""
abs absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_or bitwise_xor cbrt ceil
conj conjugate copysign cos cosh divide equal exp exp2 expm1 fabs float_power floor floor_divide fmax fmin fmod
greater greater_equal heaviside hypot invert isfinite isinf isnan left_shift less less_equal log log10 log1p log2
logaddexp logaddexp2 logical_and logical_not logical_or logical_xor maximum minimum mod multiply negative nextafter
not_equal positive power reciprocal remainder right_shift rint sign signbit sin sinh sqrt square subtract tan tanh
true_divide trunc
""")

FUNCTIONS = """
all any max min amax amin (a, axis=None, out=None, keepdims=False)
allclose isclose (a, b, rtol=1e-05, atol=1e-08, equal_nan=False)
arange (start, stop=None, step=1, dtype=None)
argmax argmin (a, axis=None, *, out=None, keepdims=False)
argsort sort (a, axis=-1, kind=None)
argwhere flatnonzero ndim nonzero shape (a)
array_equal (a1, a2, equal_nan=False)
array_split split (ary, indices_or_sections, axis=0)
ascontiguousarray asfortranarray (a, dtype=None)
astype (x, dtype, /, *, copy=True)
bincount (x, weights=None, minlength=None)
broadcast_arrays (*args)
broadcast_to (array, shape)
can_cast (from_, to, casting='safe')
clip (a, a_min, a_max, out=None)
concat concatenate stack (tup, axis=0, out=None, *, dtype=None, casting='same_kind')
copy (a, order='K')
copyto (dst, src, casting='same_kind', where=None)
count_nonzero (a, axis=None)
cumprod cumsum (a, axis=None, dtype=None, out=None)
diag (v, k=0)
diagonal (a, offset=0, axis1=0, axis2=1)
dot outer (a, b, out=None)
einsum (*operands, dtype=None, optimize=False)
empty ones zeros (shape, dtype=float, order='C')
empty_like (prototype, dtype=None, order='K', subok=None, shape=None)
expand_dims (a, axis)
eye (N, M=None, k=0, dtype=float, order='C')
flip (a, axis=None)
full (shape, fill_value, dtype=None, order='C')
full_like (a, fill_value, dtype=None, order='K', subok=None, shape=None)
hstack vstack (tup, *, dtype=None, casting='same_kind')
inner vdot (a, b)
isscalar (element)
issubdtype (arg1, arg2)
linspace (start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0)
matmul (x1, x2, /, *, out=None, dtype=None, casting='same_kind')
may_share_memory shares_memory (a, b, max_work=None)
mean prod sum (a, axis=None, dtype=None, out=None, keepdims=False)
meshgrid (*xi, indexing='xy', sparse=False, copy=True)
moveaxis (a, source, destination)
nan_to_num (x, copy=True, nan=0.0, posinf=None, neginf=None)
ones_like zeros_like (a, dtype=None, order='K', subok=None, shape=None)
pad (array, pad_width, mode='constant', **kwargs)
permute_dims transpose (a, axes=None)
promote_types (type1, type2, /)
put_along_axis (arr, indices, values, axis)
ravel (a, order='C')
repeat (a, repeats, axis=None)
reshape (a, newshape, order='C', *, copy=None)
result_type (*arrays_and_dtypes)
roll (a, shift, axis=None)
round (a, decimals=0, out=None)
searchsorted (a, v, side='left', sorter=None)
size (a, axis=None)
squeeze (a, axis=None)
std var (a, axis=None, dtype=None, out=None, ddof=0, keepdims=False)
swapaxes (a, axis1, axis2)
take (a, indices, axis=None, out=None)
take_along_axis (a, indices, axis)
tensordot (a, b, axes=2)
tile (A, reps)
trace (a, offset=0, axis1=0, axis2=1, dtype=None, out=None)
tri (N, M=None, k=0, dtype=float)
tril triu (m, k=0)
unique (ar, return_index=False, return_inverse=False, return_counts=False, axis=None, *, equal_nan=True)
where (condition, x=None, y=None)
"""

# These methods are the functions of the same name; the others have a signature of their own.
SHARED_METHODS = _words("""
all any argsort conj cumprod cumsum diagonal dot max mean min nonzero prod ravel repeat round squeeze std sum swapaxes
take trace var
""")

METHODS = """
argmax argmin (self, axis=None, out=None, *, keepdims=False)
astype (self, dtype, order='K', *, copy=True)
clip (self, min=None, max=None, out=None)
copy flatten (self, order='C')
fill (self, value)
reshape (self, *shape, order='C', copy=None)
transpose (self, *axes)
view (self, dtype=None)
"""

OPERATORS = _words("""
add:add sub:subtract mul:multiply truediv:divide floordiv:floor_divide mod:remainder pow:power matmul:matmul
lshift:left_shift rshift:right_shift and:bitwise_and or:bitwise_or xor:bitwise_xor
""")
COMPARISONS = _words("lt:less le:less_equal gt:greater ge:greater_equal eq:equal ne:not_equal")

CONSTANTS = _words("""
bool_ complex64 complex128 dtype e finfo float16 float32 float64 iinfo inf int8 int16 int32 int64 intp nan newaxis pi
uint8 uint16 uint32 uint64
""")

# What an argument of such a name has to be; any other (an axis, a shape, a data type) goes to NumPy as it is.
_ARRAY = {*_words("A a a1 a2 ar arr array ary b condition dst m prototype self v weights")}
_ARRAY_OR_SCALAR = {*_words("a_max a_min fill_value max min src value values x x1 x2 y")}
_SEQUENCE_OF_ARRAYS = {"args", "tup", "xi"}
_ARRAY_ALLOWED = {*_words("arrays_and_dtypes element indices kwargs operands out repeats shift sorter where")}
_ARRAY_ALLOWED |= _ARRAY | _ARRAY_OR_SCALAR | _SEQUENCE_OF_ARRAYS
_SCALARS_TOO = {"allclose", "isclose", "ndim", "shape", "size"}

_HOST_RESULT = {*_words("can_cast isscalar issubdtype may_share_memory ndim promote_types result_type shape size")}
_HOST_RESULT.add("shares_memory")
_KEEPS_ORDER = {*_words("asfortranarray astype copy empty eye flatten full ones ravel reshape zeros")}
_KEEPS_ORDER |= {"empty_like", "full_like", "ones_like", "zeros_like"}
_NO_LAUNCH = {"empty", "empty_like"}
_SYNCHRONISES = {"argwhere", "bincount", "flatnonzero", "nonzero", "unique"}
_ATOMIC = {"int32", "uint32", "uint64", "float32", "float64"}  # the data types of CUDA's atomic operations
_SCATTERS = {"add": _ATOMIC | {"float16"}, "subtract": _ATOMIC | {"float16"}, "maximum": _ATOMIC, "minimum": _ATOMIC}

# -- counting, devices -----------------------------------------------------------------------------------------


@dataclass
class Counts:
    """What happened inside a `with count()` block."""

    launches: int = 0
    synchronisations: int = 0


_counts: list[Counts] = []


@contextmanager
def count() -> Iterator[Counts]:
    """Count the launches and synchronisations inside the block; blocks may be nested."""
    _counts.append(Counts())
    try:
        yield _counts[-1]
    finally:
        _counts.pop()


def _synchronise() -> None:
    for counts in _counts:
        counts.synchronisations += 1


def _launch(name: str, inputs: list[ndarray]) -> None:
    for x in inputs:
        if x._device_id != _current.device_id:
            raise ValueError(
                f"{name}: an array is on device {x._device_id}, but the current device is {_current.device_id}; "
                "enter cupy.cuda.Device of the arrays' device, or move them"
            )
    for counts in _counts:
        counts.launches += 1


class _Current(threading.local):
    device_id = 0


_current = _Current()


class Device:
    """`cupy.cuda.Device`: a context manager that makes a device the current one."""

    def __init__(self, device: Any = None) -> None:
        self.id = _current.device_id if device is None else int(device)
        self._previous: list[int] = []

    def use(self) -> None:
        if not 0 <= self.id < DEVICE_COUNT:
            raise RuntimeError(f"cudaErrorInvalidDevice: invalid device ordinal ({self.id} of {DEVICE_COUNT})")
        _current.device_id = self.id

    def synchronize(self) -> None:
        _synchronise()

    def __enter__(self) -> Device:
        self._previous.append(_current.device_id)
        self.use()
        return self

    def __exit__(self, *error: object) -> None:
        _current.device_id = self._previous.pop()

    def __int__(self) -> int:
        return self.id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and self.id == other.id

    __hash__ = None  # type: ignore[assignment]


# -- arrays ----------------------------------------------------------------------------------------------------


class Flags(NamedTuple):
    """`ndarray.flags`; CuPy's arrays have no `writeable`."""

    c_contiguous: bool
    f_contiguous: bool
    owndata: bool


class ndarray:
    """`cupy.ndarray` around a NumPy array. Most methods and all operators are set from the tables below."""

    __slots__ = ("__weakref__", "_array", "_device_id", "base")
    __array_priority__ = 100
    __array_ufunc__ = None  # NumPy's ufuncs refuse the array, and NumPy's operators leave the work to its own
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, array: np.ndarray, device_id: int, base: ndarray | None = None) -> None:
        if not isinstance(array, np.ndarray):
            raise TypeError("cupy.ndarray: the stand-in makes arrays with empty, zeros, asarray ...")
        if array.dtype.char not in "?bBhHiIlLqQefdFD":  # no strings, no objects, no long double
            raise ValueError(f"Unsupported dtype {array.dtype}")
        self._array, self._device_id, self.base = array, device_id, base

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"cupy.ndarray.{name} is not in the stand-in: see first whether CuPy has it")

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> NoReturn:
        raise TypeError(f"numpy.{function.__name__} got a cupy.ndarray; take the function from array_module(x)")

    # Memory and layout: no launch.
    device = property(lambda self: Device(self._device_id))
    flags = property(
        lambda self: Flags(self._array.flags.c_contiguous, self._array.flags.f_contiguous, self.base is None)
    )
    T = property(lambda self: self._view(self._array.T))
    mT = property(lambda self: self._view(self._array.swapaxes(-1, -2)))
    real = property(lambda self: self._view(self._array.real))

    def _view(self, array: np.ndarray) -> ndarray:
        return ndarray(array, self._device_id, self if self.base is None else self.base)

    def __len__(self) -> int:
        return len(self._array)

    def __iter__(self) -> Iterator[ndarray]:
        return (self[i] for i in range(len(self)))

    # To the host: each waits for the device.
    def get(self) -> np.ndarray:
        _synchronise()
        return self._array.copy()

    def item(self) -> Any:
        return self.get().item()

    def tolist(self) -> Any:
        return self.get().tolist()

    def __format__(self, spec: str) -> str:
        return format(self.get(), spec)

    def __deepcopy__(self, memo: Any) -> ndarray:
        return self.copy()

    # Indexing.
    def _index(self, key: Any) -> tuple[tuple[Any, ...], list[ndarray]]:
        """`key` for NumPy, the integer arrays in it wrapped around as CuPy's kernels do; and its arrays."""
        keys = key if isinstance(key, tuple) else (key,)
        arrays = [k for k in keys if isinstance(k, ndarray)]
        for k in keys:
            if isinstance(k, bool) or not isinstance(k, ndarray | slice | int | np.integer | EllipsisType | None):
                raise TypeError(f"cupy.ndarray: index with cupy.ndarray, slices and integers, not with {type(k)}")
        if not any(k is Ellipsis for k in keys):
            keys = (*keys, Ellipsis)  # with it, x[0, 0] is a 0-d array
        masks = [k for k in arrays if k.dtype == bool]
        if masks:
            _synchronise()  # only the device knows how many elements they choose
        axes = [k.ndim if any(k is m for m in masks) else int(k is not None) for k in keys if k is not Ellipsis]
        host, axis = [], 0
        for k in keys:
            if isinstance(k, ndarray):
                length = self.shape[axis] if axis < self.ndim else 0
                wraps = k.dtype.kind in "iu" and length > 0
                host.append(k._array % length if wraps else k._array)
                axis += k.ndim if k.dtype == bool else 1
            else:
                host.append(k)
                axis += self.ndim - sum(axes) if k is Ellipsis else int(k is not None)
        return tuple(host), arrays

    def __getitem__(self, key: Any) -> ndarray:
        host, arrays = self._index(key)
        if not arrays:
            return self._view(self._array[host])
        _launch("getitem", [self, *arrays])
        return ndarray(np.array(self._array[host], order="C"), self._device_id)

    def __setitem__(self, key: Any, value: Any) -> None:
        _check("setitem", "value", value)
        host, arrays = self._index(key)
        values = [value] if isinstance(value, ndarray) else []
        if not arrays and values and _same_memory(self._array[host], value._array):
            return  # the end of `x[i] += y`
        _launch("setitem", [self, *arrays, *values])
        self._array[host] = value._array if values else value


def _same_memory(a: np.ndarray, b: np.ndarray) -> bool:
    return (a.ctypes.data, a.shape, a.strides) == (b.ctypes.data, b.shape, b.strides)


for _convert in (bool, int, float, complex, repr, str):
    setattr(ndarray, f"__{_convert.__name__}__", lambda self, convert=_convert: convert(self.get()))
for _name in ("dtype", "itemsize", "nbytes", "ndim", "shape", "size", "strides"):
    setattr(ndarray, _name, property(lambda self, name=_name: getattr(self._array, name)))


# -- functions -------------------------------------------------------------------------------------------------


def _check(name: str, parameter: str, value: Any) -> None:
    """Refuse what CuPy's function `name` does not take as its argument `parameter`."""
    scalar = isinstance(value, bool | int | float | complex | np.generic)
    if (name in _SCALARS_TOO and scalar) or (name == "clip" and value is None):
        return
    if parameter in _SEQUENCE_OF_ARRAYS:
        for x in value:
            _check(name, "a", x)
    elif parameter in _ARRAY or (parameter in _ARRAY_OR_SCALAR and not scalar):
        if isinstance(value, ndarray):
            return
        raise TypeError(f"{name}: Unsupported type {type(value)} for {parameter}; CuPy takes its own arrays")


def _to_host(name: str, value: Any, inputs: list[ndarray]) -> Any:
    """The NumPy value under an argument; the arrays of the device are added to `inputs`."""
    if isinstance(value, ndarray):
        inputs.append(value)
        return value._array
    if isinstance(value, np.ndarray):
        raise TypeError(f"{name}: Unsupported type {type(value)}: move it to the device with asarray first")
    if isinstance(value, list | tuple):
        return type(value)(_to_host(name, v, inputs) for v in value)
    return value


def _to_device(name: str, result: Any, inputs: list[ndarray]) -> Any:
    """The result of a NumPy function as arrays of the device: one of `inputs`, a view of it or a new array."""
    if isinstance(result, list | tuple):
        return type(result)(_to_device(name, r, inputs) for r in result)
    if not isinstance(result, np.ndarray | np.generic | bool | int):
        return result
    for x in inputs:
        if result is x._array:
            return x
        if isinstance(result, np.ndarray) and np.may_share_memory(result, x._array):
            return x._view(result)
    array = np.asarray(result) if name in _KEEPS_ORDER else np.asarray(result, order="C")
    return ndarray(array, _current.device_id)


def _offer(name: str, parameters: str, compute: Callable[..., Any]) -> Callable[..., Any]:
    """CuPy's function `name(parameters)`, computed by the NumPy function `compute`."""
    signature = inspect.signature(eval(f"lambda {parameters}: None"))

    def offered(*args: Any, **kwargs: Any) -> Any:
        try:
            arguments = signature.bind(*args, **kwargs).arguments
        except TypeError as error:
            raise TypeError(f"{name}: {error}; CuPy has {name}{signature}") from None
        positional, keywords, inputs = [], {}, list[ndarray]()
        for key, value in arguments.items():
            parameter = signature.parameters[key]
            if value is not parameter.default:
                _check(name, key, value)
            before = len(inputs)
            host = _to_host(name, value, inputs)
            if len(inputs) > before and key not in _ARRAY_ALLOWED:
                raise TypeError(f"{name}: {key} takes no cupy.ndarray (such an array has no __index__)")
            if parameter.kind is parameter.VAR_POSITIONAL:
                positional.extend(host)
            elif parameter.kind is parameter.VAR_KEYWORD:
                keywords.update(host)
            elif parameter.default is parameter.empty:
                positional.append(host)
            else:
                keywords[key] = host
        with np.errstate(all="ignore"):  # a GPU does not warn
            result = compute(*positional, **keywords)
        if name in _HOST_RESULT:
            return result
        result = _to_device(name, result, inputs)
        if name in _SYNCHRONISES or (name == "where" and len(arguments) == 1):
            _synchronise()
        if name not in _NO_LAUNCH and (keywords.get("out") is not None or not _is_view(result, inputs)):
            _launch(name, inputs)
        return result

    offered.__name__ = offered.__qualname__ = name
    offered.__signature__ = signature  # type: ignore[attr-defined]
    return offered


def _is_view(result: Any, inputs: list[ndarray]) -> bool:
    """Whether nothing was computed: `result` is one of `inputs` or a view of it, or a list of these."""
    if isinstance(result, list | tuple):
        return all(_is_view(r, inputs) for r in result)
    return isinstance(result, ndarray) and (result.base is not None or any(result is x for x in inputs))


class ufunc:
    """`cupy.ufunc`. No `where=`, no `initial=`; `at` only where CUDA has an atomic operation for it."""

    def __init__(self, name: str) -> None:
        self.name, self.__name__, self._numpy = name, name, getattr(np, name)
        self.nin = self._numpy.nin
        operands = "x" if self.nin == 1 else "x1, x2"
        parameters = f"{operands}, /, out=None, *, dtype=None, casting='same_kind'"
        self._call = _offer(name, parameters, self._numpy)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<ufunc 'cupy_{self.name}'>"

    def at(self, a: ndarray, indices: Any, b: Any = None) -> None:
        """Unbuffered `a[indices] = self(a[indices], b)`: a repeated index counts each time."""
        if self.name not in _SCATTERS:
            raise NotImplementedError(f"`cupy_{self.name}.at` is not supported yet")
        _check(f"{self.name}.at", "a", a)
        _check(f"{self.name}.at", "value", b)
        host, arrays = a._index(indices)
        if [k for k in arrays if k.dtype != bool] and a.dtype.name not in _SCATTERS[self.name]:
            raise TypeError(f"{self.name}.at: takes {sorted(_SCATTERS[self.name])}, got {a.dtype}")
        values = [b] if isinstance(b, ndarray) else []
        _launch(f"{self.name}.at", [a, *arrays, *values])
        self._numpy.at(a._array, host, np.asarray(b._array if values else b).astype(a.dtype))

    def reduce(self, array: Any, axis: Any = 0, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        if self.name not in ("add", "multiply"):
            raise NotImplementedError(f"`cupy_{self.name}.reduce` is not supported yet")
        return getattr(cupy, "sum" if self.name == "add" else "prod")(array, axis, dtype, out, keepdims)


def array(obj: Any, dtype: Any = None, copy: bool = True, order: str = "K") -> ndarray:
    """From the host to the device; an array of the device is copied where `copy`, data type or device ask for it."""
    if isinstance(obj, list | tuple) and any(isinstance(x, ndarray) for x in obj):
        obj = cupy.stack(obj)
    if not isinstance(obj, ndarray):
        return ndarray(np.array(obj, dtype=dtype, order=order), _current.device_id)
    if obj._device_id != _current.device_id:
        if not (obj.flags.c_contiguous or obj.flags.f_contiguous):
            raise NotImplementedError("CuPy cannot copy non-contiguous array between devices.")
        obj = ndarray(np.array(obj._array), _current.device_id)
    return obj.astype(obj.dtype if dtype is None else dtype, order, copy=copy)


def asarray(a: Any, dtype: Any = None, order: str | None = None, *, copy: bool | None = None) -> ndarray:
    return array(a, dtype, bool(copy), order or "K")


def asnumpy(a: Any) -> np.ndarray:
    return a.get() if isinstance(a, ndarray) else np.asarray(a)


def get_array_module(*args: Any) -> ModuleType:
    return cupy if any(isinstance(x, ndarray) for x in args) else np


def _where(condition: Any, x: Any = None, y: Any = None) -> Any:
    return np.where(condition) if x is None and y is None else np.where(condition, x, y)


def _put_along_axis(array: Any, indices: Any, values: Any, axis: int) -> None:
    np.put_along_axis(array, indices % array.shape[axis], values, axis)


# Where NumPy's function of the same name would not do.
_COMPUTE: dict[str, Callable[..., Any]] = {
    "ascontiguousarray": lambda a, dtype=None: np.asarray(a, dtype=dtype, order="C"),
    "astype": lambda x, dtype, copy=True: x.astype(dtype, copy=copy),
    "put_along_axis": _put_along_axis,
    "take": lambda a, indices, **kwargs: np.take(a, indices, mode="wrap", **kwargs),
    "take_along_axis": lambda a, i, axis: np.take_along_axis(a, i % (a.size if axis is None else a.shape[axis]), axis),
    "where": _where,
}


# -- the module ------------------------------------------------------------------------------------------------


class _Module(ModuleType):
    def __init__(self, name: str, **members: Any) -> None:
        super().__init__(name)
        vars(self).update(members)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"{self.__name__}.{name} is not in the stand-in: see first whether CuPy has it")


def _table(table: str) -> Iterator[tuple[str, str]]:
    """The names and parameters in `FUNCTIONS` or `METHODS`."""
    for names, parameters in re.findall(r"^(.+?) \((.*)\)$", table, re.MULTILINE):
        for name in names.split():
            yield name, parameters


def _operator(function: Callable[..., Any]) -> Callable[[ndarray, Any], Any]:
    """`x + other`, left to `other` where it asks for that in the way that CuPy honours."""

    def operator(self: ndarray, other: Any) -> Any:
        priority = getattr(other, "__array_priority__", 0)
        defers = other.__array_ufunc__ is None if hasattr(other, "__array_ufunc__") else priority > 100
        return NotImplemented if defers and not isinstance(other, ndarray) else function(self, other)

    return operator


cupy = _Module("cupy", ndarray=ndarray, ufunc=ufunc)
for _name in CONSTANTS:
    setattr(cupy, _name, getattr(np, _name))
for _name in UFUNCS:
    setattr(cupy, _name, ufunc(_name))
for _name, _parameters in _table(FUNCTIONS):
    setattr(cupy, _name, _offer(_name, _parameters, _COMPUTE.get(_name) or getattr(np, _name)))
for _function in (array, asarray, asnumpy, get_array_module):
    setattr(cupy, _function.__name__, _function)

for _name in SHARED_METHODS:
    setattr(ndarray, _name, getattr(cupy, _name))
for _name, _parameters in _table(METHODS):
    setattr(ndarray, _name, _offer(_name, _parameters, getattr(np.ndarray, _name)))
for _name, _ufunc in (pair.split(":") for pair in _words("neg:negative pos:positive abs:abs invert:invert")):
    setattr(ndarray, f"__{_name}__", getattr(cupy, _ufunc)._call)
for _name, _ufunc in (pair.split(":") for pair in OPERATORS):
    _function = getattr(cupy, _ufunc)
    setattr(ndarray, f"__{_name}__", _operator(_function))
    setattr(ndarray, f"__r{_name}__", lambda self, other, function=_function: function(other, self))
    if _name != "matmul":
        setattr(ndarray, f"__i{_name}__", lambda self, other, function=_function: function(self, other, out=self))
for _name, _ufunc in (pair.split(":") for pair in COMPARISONS):
    setattr(ndarray, f"__{_name}__", _operator(getattr(cupy, _ufunc)))

_strides = np.lib.stride_tricks
cupy.linalg = _Module("cupy.linalg")
cupy.linalg.norm = _offer("norm", "x, ord=None, axis=None, keepdims=False", np.linalg.norm)
cupy.lib = _Module("cupy.lib", stride_tricks=_Module("cupy.lib.stride_tricks"))
cupy.lib.stride_tricks.as_strided = _offer("as_strided", "x, shape=None, strides=None", _strides.as_strided)
cupy.lib.stride_tricks.sliding_window_view = _offer(
    "sliding_window_view", "x, window_shape, axis=None", _strides.sliding_window_view
)
cupy.cuda = _Module("cupy.cuda", Device=Device, is_available=lambda: True, runtime=_Module("cupy.cuda.runtime"))
cupy.cuda.runtime.getDeviceCount = lambda: DEVICE_COUNT
cupy.cuda.runtime.deviceSynchronize = _synchronise
