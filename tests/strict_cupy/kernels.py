"""`cupy.ElementwiseKernel` without a GPU: the kernel's own text, compiled by the system's C++ compiler, is executed.

CUDA C is C++ with functions of its own. The text of a kernel is put into a loop over its elements, behind a prelude
that defines those functions, and the arrays as CuPy gives them to a kernel. The loop runs over NumPy's memory. So the
tests see what the text computes, that it names what exists, and that a `raw` array is indexed within its bounds.

As in CuPy, arguments are references to memory: an output that is also an input changes for what comes after.
Without a compiler, a test that needs a kernel is skipped.
"""

from __future__ import annotations

import ctypes
import hashlib
import shutil
import subprocess
import tempfile
import unittest
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from strict_cupy.array import ndarray
from strict_cupy.counting import current, launch, recorded

MAX_NDIM = 16
C_TYPES = {
    "bool": "bool", "int8": "signed char", "int16": "short", "int32": "int", "int64": "long long",
    "uint8": "unsigned char", "uint16": "unsigned short", "uint32": "unsigned int", "uint64": "unsigned long long",
    "float32": "float", "float64": "double",
}  # fmt: skip

# -- the C++ around a kernel -------------------------------------------------------------------------------------------

ARRAYS = f"""
#define ptrdiff_t long long
struct Array {{ char* data; ptrdiff_t ndim, size, shape[{MAX_NDIM}], strides[{MAX_NDIM}]; }};
static ptrdiff_t* fault;  // of the first index out of bounds: the array's number, the index

static char* place(const Array& a, ptrdiff_t i) {{  // of element i in C order
    char* at = a.data;
    for (ptrdiff_t d = a.ndim; d-- > 0; i /= a.shape[d]) at += i % a.shape[d] * a.strides[d];
    return at;
}}
template <class T> struct Raw {{
    const Array& a; ptrdiff_t number;
    ptrdiff_t size() const {{ return a.size; }}
    const ptrdiff_t* shape() const {{ return a.shape; }}
    T& operator[](ptrdiff_t i) const {{
        if (i >= 0 && i < a.size) return *(T*)place(a, i);
        if (fault[0] < 0) fault[0] = number, fault[1] = i;
        static char nowhere[8];
        return *(T*)nowhere;
    }}
}};
"""

# What CUDA has and C++ does not, or only in headers, which would take most of the time of the compilation.
_MATHEMATICS = ["exp", "expm1", "log", "log1p", "sqrt", "tanh", "sin", "cos", "fabs", "floor", "ceil", "rint"]
FUNCTIONS = f"""
#define __global__
#define __device__ static inline
extern "C" {{ {" ".join(f"double {f}(double); float {f}f(float);" for f in _MATHEMATICS)}
    double pow(double, double); float powf(float, float); }}
{" ".join(f"__device__ float {f}(float x) {{ return {f}f(x); }}" for f in _MATHEMATICS)}
__device__ float pow(float x, float y) {{ return powf(x, y); }}
__device__ float abs(float x) {{ return fabsf(x); }}
__device__ double abs(double x) {{ return fabs(x); }}
template <class T> __device__ T max(T x, T y) {{ return x > y || y != y ? x : y; }}  // of NaN and a number, the number
template <class T> __device__ T min(T x, T y) {{ return x < y || y != y ? x : y; }}
template <class T> __device__ T atomicAdd(T* x, T y) {{ T before = *x; *x += y; return before; }}
__device__ unsigned long long __umul64hi(unsigned long long x, unsigned long long y) {{
    return (unsigned __int128)x * y >> 64;
}}
"""


class _Array(ctypes.Structure):
    """The struct `Array` of C++."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("ndim", ctypes.c_longlong),
        ("size", ctypes.c_longlong),
        ("shape", ctypes.c_longlong * MAX_NDIM),
        ("strides", ctypes.c_longlong * MAX_NDIM),
    )


def _described(array: np.ndarray) -> _Array:
    lengths = ctypes.c_longlong * MAX_NDIM
    return _Array(array.ctypes.data, array.ndim, array.size, lengths(*array.shape), lengths(*array.strides))


class Parameter(NamedTuple):
    """`raw T x`: its type, of NumPy or a letter; its name; whether the kernel gets the array instead of an element."""

    type: str
    name: str
    raw: bool


def _parameters(text: str) -> list[Parameter]:
    parameters = []
    for declaration in text.split(","):
        *keywords, kind, name = declaration.split()
        if keywords not in ([], ["raw"]) or (len(kind) > 1 and kind not in C_TYPES):
            raise ValueError(f"Syntax error: {declaration}")
        parameters.append(Parameter(kind, name, bool(keywords)))
    return parameters


@cache
def _folder() -> tempfile.TemporaryDirectory:
    """Where compiled kernels are until the tests end."""
    return tempfile.TemporaryDirectory(prefix="strict_cupy_")


@cache
def _compiled(source: str) -> Any:
    compiler = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        raise unittest.SkipTest("no C++ compiler, with which the stand-in for CuPy executes kernels")
    library = Path(_folder().name) / f"{hashlib.sha256(source.encode()).hexdigest()}.so"
    command = [compiler, "-O1", "-w", "-ffp-contract=off", "-shared", "-fPIC", "-x", "c++", "-", "-o", str(library)]
    result = subprocess.run(command, input=source, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"CompileException: {result.stderr}\n{source}")
    return ctypes.CDLL(str(library)).run


# -- the kernel --------------------------------------------------------------------------------------------------------


class ElementwiseKernel:
    """`cupy.ElementwiseKernel`; of its options the name, which a profiler shows, and definitions before the kernel."""

    def __init__(
        self, in_params: str, out_params: str, operation: str, name: str = "kernel", *, preamble: str = ""
    ) -> None:
        self.inputs, self.outputs = _parameters(in_params), _parameters(out_params)
        self.operation, self.name, self.preamble = operation, name, preamble
        names = [p.name for p in self._parameters]
        if not name.isidentifier() or "i" in names or len({*names}) < len(names):
            raise ValueError(f"Invalid kernel name {name!r} or parameter names {names}")

    @property
    def _parameters(self) -> list[Parameter]:
        return self.inputs + self.outputs

    def __call__(self, *args: Any, size: int | None = None) -> Any:
        if len(args) not in (len(self.inputs), len(self._parameters)):
            raise TypeError(f"Wrong number of arguments for {self.name!r}: {len(args)}")
        for x in args:
            if not isinstance(x, ndarray | bool | int | float | np.generic):
                raise TypeError(f"Unsupported type {type(x)}")
        shape = self._shape(args, size)
        types = self._types(args)
        outputs = list(args[len(self.inputs) :]) or self._new(shape, types)
        for p, x in zip(self.outputs, outputs, strict=True):
            if not isinstance(x, ndarray):
                raise TypeError("Output arguments type must be cupy.ndarray")
            if not p.raw and x.shape != shape:
                raise ValueError(f"Out shape is mismatched: {p.name} {x.shape} in a loop over {shape}")
        if 0 not in shape:
            arrays = [*args[: len(self.inputs)], *outputs]
            launch(self.name, [x for x in arrays if isinstance(x, ndarray)])
            recorded(lambda: self._run(arrays, types, shape), [x._array for x in outputs])
        return outputs[0] if len(outputs) == 1 else tuple(outputs)

    def _shape(self, args: tuple[Any, ...], size: int | None) -> tuple[int, ...]:
        """What the loop is over: the arrays that are not raw, broadcast, or `size` if all are raw."""
        arguments = zip(self._parameters, args, strict=False)
        shapes = [x.shape for p, x in arguments if isinstance(x, ndarray) and not p.raw]
        if bool(shapes) == (size is not None):
            raise ValueError("Loop size is undecided, or 'size' given though not all arrays are raw.")
        return (size,) if size is not None else np.broadcast_shapes(*shapes)

    def _types(self, args: tuple[Any, ...]) -> dict[str, str]:
        """The data type for each parameter's type; a scalar takes that of its parameter."""
        types: dict[str, str] = {}
        for p, x in zip(self._parameters, args, strict=False):
            if isinstance(x, ndarray):
                expected = types.setdefault(p.type, x.dtype.name) if len(p.type) == 1 else p.type
                if x.dtype.name != expected:
                    raise TypeError(f"Type is mismatched. {p.name} {x.dtype} {expected}")
        for p in self._parameters:
            types.setdefault(p.type, p.type)
            if types[p.type] not in C_TYPES:
                raise TypeError(f"{p.name}: the type {p.type} is not decided, or not in the stand-in")
        return types

    def _new(self, shape: tuple[int, ...], types: dict[str, str]) -> list[ndarray]:
        if any(p.raw for p in self.outputs):
            raise ValueError("Output array size is Undecided")
        return [ndarray(np.empty(shape, types[p.type]), current.device_id) for p in self.outputs]

    def _run(self, args: list[Any], types: dict[str, str], shape: tuple[int, ...]) -> None:
        arrays = []
        for p, x in zip(self._parameters, args, strict=True):
            array = x._array if isinstance(x, ndarray) else np.array(x).astype(types[p.type])
            arrays.append(array if p.raw else np.broadcast_to(array, shape))
        fault = (ctypes.c_longlong * 2)(-1, 0)
        size = ctypes.c_longlong(int(np.prod(shape)))
        _compiled(self.source(types))((_Array * len(arrays))(*map(_described, arrays)), size, fault)
        if fault[0] >= 0:
            p, array = self._parameters[fault[0]], arrays[fault[0]]
            raise IndexError(f"{self.name}: {p.name}[{fault[1]}], but {p.name} has {array.size} elements")

    def source(self, types: dict[str, str], functions: str = FUNCTIONS) -> str:
        """The kernel in its loop, `run`, with these types; without `functions`, in CUDA C."""
        outside, inside = [], []
        for number, p in enumerate(self._parameters):
            kind = ("const " if number < len(self.inputs) else "") + C_TYPES[types[p.type]]
            if p.raw:
                outside.append(f"Raw<{kind}> {p.name} = {{arrays[{number}], {number}}};")
            else:
                inside.append(f"{kind}& {p.name} = *({kind}*)place(arrays[{number}], i);")
        return "\n".join([
            ARRAYS,
            functions,
            *(f"typedef {C_TYPES[t]} {letter};" for letter, t in types.items() if len(letter) == 1),
            self.preamble,
            'extern "C" __global__ void run(const Array* arrays, ptrdiff_t loop_size, ptrdiff_t* first_fault) {',
            "fault = first_fault;",
            *outside,
            "for (ptrdiff_t i = 0; i < loop_size; ++i) {",
            *inside,
            f"{self.operation};",
            "}}",
        ])  # fmt: skip
