"""What CuPy 14 has: the names of its functions and methods, their signatures, and what each argument has to be.

The stand-in offers what is in these tables and nothing else; the functions made from them are in `functions`. Where
CuPy is installed, `test_against_cupy` compares every line with it.
"""

from __future__ import annotations

import re


def words(text: str) -> list[str]:
    return text.split()


def signatures(table: str) -> dict[str, str]:
    """The parameters of each function in a table with lines `name name (parameters)`."""
    lines = re.findall(r"^(.+?) \((.*)\)$", table, re.MULTILINE)
    return {name: parameters for names, parameters in lines for name in names.split()}


def pairs(text: str) -> dict[str, str]:
    """`"a:b c:d"` as a dictionary."""
    return dict(pair.split(":") for pair in words(text))


# -- names and signatures ----------------------------------------------------------------------------------------------

UFUNCS = words("""
abs absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_or bitwise_xor cbrt ceil
conj conjugate copysign cos cosh divide equal exp exp2 expm1 fabs float_power floor floor_divide fmax fmin fmod
greater greater_equal heaviside hypot invert isfinite isinf isnan left_shift less less_equal log log10 log1p log2
logaddexp logaddexp2 logical_and logical_not logical_or logical_xor maximum minimum mod multiply negative nextafter
not_equal positive power reciprocal remainder right_shift rint sign signbit sin sinh sqrt square subtract tan tanh
true_divide trunc
""")

FUNCTIONS = signatures("""
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
""")

# Methods that are the functions of the same name; those in METHODS have a signature of their own.
SHARED_METHODS = words("""
all any argsort conj cumprod cumsum diagonal dot max mean min nonzero prod ravel repeat round squeeze std sum swapaxes
take trace var
""")

METHODS = signatures("""
argmax argmin (self, axis=None, out=None, *, keepdims=False)
astype (self, dtype, order='K', *, copy=True)
clip (self, min=None, max=None, out=None)
copy flatten (self, order='C')
fill (self, value)
reshape (self, *shape, order='C', copy=None)
transpose (self, *axes)
view (self, dtype=None)
""")

# The special methods of the operators, without their underscores, and the functions that compute them.
UNARY_OPERATORS = pairs("neg:negative pos:positive abs:abs invert:invert")
OPERATORS = pairs("""
add:add sub:subtract mul:multiply truediv:divide floordiv:floor_divide mod:remainder pow:power matmul:matmul
lshift:left_shift rshift:right_shift and:bitwise_and or:bitwise_or xor:bitwise_xor
""")
COMPARISONS = pairs("lt:less le:less_equal gt:greater ge:greater_equal eq:equal ne:not_equal")

CONSTANTS = words("""
bool_ complex64 complex128 dtype e finfo float16 float32 float64 iinfo inf int8 int16 int32 int64 intp nan newaxis pi
uint8 uint16 uint32 uint64
""")

# -- arguments: what a parameter of such a name takes ------------------------------------------------------------------

ARRAY = set(words("A a a1 a2 ar arr array ary b condition dst m prototype self v weights"))
ARRAY_OR_SCALAR = set(words("a_max a_min fill_value max min src value values x x1 x2 y"))
SEQUENCE_OF_ARRAYS = {"args", "tup", "xi"}
# Any other (an axis, a shape, a data type) goes to NumPy as it is, and only these may hold an array.
MAY_BE_AN_ARRAY = set(words("arrays_and_dtypes element indices kwargs operands out repeats shift sorter where"))
MAY_BE_AN_ARRAY |= ARRAY | ARRAY_OR_SCALAR | SEQUENCE_OF_ARRAYS
# Functions that take a Python or NumPy scalar wherever they take an array.
SCALARS_TOO = {"allclose", "isclose", "ndim", "shape", "size"}

# -- results: what a function returns, launches and waits for ----------------------------------------------------------

HOST_RESULT = set(words("can_cast isscalar issubdtype may_share_memory ndim promote_types result_type shape size"))
HOST_RESULT.add("shares_memory")
KEEPS_ORDER = set(words("asfortranarray astype copy empty eye flatten full ones ravel reshape zeros"))
KEEPS_ORDER |= {"empty_like", "full_like", "ones_like", "zeros_like"}  # every other result is C-ordered
NO_LAUNCH = {"empty", "empty_like"}
REDUCTIONS = set(words("all any amax amin argmax argmin cumprod cumsum max mean min prod std sum var"))
CUBLAS = set(words("dot einsum inner matmul tensordot vdot"))  # calls of cuBLAS, which CuPy refuses in a capture
SYNCHRONISES = {"argwhere", "bincount", "flatnonzero", "nonzero", "unique"}

# `ufunc.at` needs an atomic operation of CUDA: the ufuncs that have one, and its data types.
ATOMIC = {"int32", "uint32", "uint64", "float32", "float64"}
SCATTERS = {"add": ATOMIC | {"float16"}, "subtract": ATOMIC | {"float16"}, "maximum": ATOMIC, "minimum": ATOMIC}
