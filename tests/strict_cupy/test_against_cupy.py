"""Real CuPy has all that the stand-in has: names, signatures, defaults. Skipped where CuPy is not installed."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

from strict_cupy import cupy, tables
from strict_cupy.array import Flags, ndarray


def _real_cupy() -> Any:
    return pytest.importorskip("cupy", reason="CuPy is not installed: nothing to compare the stand-in with")


def _positional_and_keyword(signature: inspect.Signature) -> tuple[list[str], set[str]]:
    parameters = signature.parameters.values()
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    keyword = {p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD)}
    return positional, keyword


def _assert_narrower(ours: inspect.Signature, real: inspect.Signature, name: str) -> None:
    """Whatever may be passed to `ours`, by position or by name, may be passed to `real`."""
    positional, keyword = _positional_and_keyword(ours)
    real_positional, real_keyword = _positional_and_keyword(real)
    kinds = {p.kind for p in real.parameters.values()}
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        assert positional == real_positional[: len(positional)], f"{name}: {positional} but CuPy {real_positional}"
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        assert keyword <= real_keyword, f"{name}: {keyword} but CuPy {real_keyword}"
    for parameter in keyword & real_keyword:
        default, real_default = ours.parameters[parameter].default, real.parameters[parameter].default
        assert default == real_default or (name, parameter) == ("prod", "keepdims"), f"{name}: {parameter}"


def test_real_cupy_has_the_functions() -> None:
    names = [*tables.FUNCTIONS]
    names += ["array", "asarray", "asnumpy", "get_array_module", "linalg.norm"]
    names += ["lib.stride_tricks.as_strided", "lib.stride_tricks.sliding_window_view"]
    for name in names:
        ours, real = cupy, _real_cupy()
        for part in name.split("."):
            ours, real = getattr(ours, part), getattr(real, part)
        if name not in ("size", "promote_types"):  # compiled, without a signature
            _assert_narrower(inspect.signature(ours), inspect.signature(real), name)


def test_real_cupy_has_the_ufuncs() -> None:
    real = _real_cupy()
    for name in tables.UFUNCS:
        assert isinstance(getattr(real, name), real.ufunc), name
        assert getattr(real, name).nin == getattr(cupy, name).nin, name
        if name in tables.SCATTERS:
            assert getattr(real, name)._scatter_op is not None, name


def test_real_cupy_has_kernels_of_our_own() -> None:
    """Compiled at their first call, on a card."""
    _real_cupy().ElementwiseKernel("raw T x, int64 j", "T y", "y = x[j] + one()", "kernel", preamble="int one();")


def test_real_cupy_has_the_methods() -> None:
    for name in [*tables.SHARED_METHODS, *tables.METHODS]:
        # Compiled methods give their signature in the docstring's first line, some names with a C type before them.
        text = (getattr(_real_cupy().ndarray, name).__doc__ or "").strip().split("\n")[0]
        assert text.startswith("_ndarray_base.") or name == "view", name
        if name != "view":
            text = re.sub(r"\b(int|Py_ssize_t|_ndarray_base) (?=\w)", "", text[text.index("(") + 1 : text.rindex(")")])
            ours = inspect.signature(getattr(ndarray, name))
            ours = ours.replace(parameters=list(ours.parameters.values())[1:])
            _assert_narrower(ours, inspect.signature(eval(f"lambda {text.removeprefix('self').lstrip(', ')}: 0")), name)


def test_real_cupy_has_the_constants_and_attributes() -> None:
    real = _real_cupy()
    for name in tables.CONSTANTS:
        assert repr(getattr(real, name)).replace("cupy", "numpy") == repr(getattr(cupy, name)), name
    ours = set(dir(ndarray)) - {"__getattr__", "__weakref__"}
    assert {name for name in ours if not re.match("_[^_]", name)} <= set(dir(real.ndarray))
    assert real.ndarray.__weakrefoffset__ > 0
    assert real.ndarray.__dictoffset__ == 0  # no attributes of one's own on an array
    assert real.ndarray.__array_priority__ == ndarray.__array_priority__
    assert set(Flags._fields) <= set(dir(real._core.flags.Flags))
    assert {"id", "use", "synchronize", "__enter__", "__exit__", "__int__"} <= set(dir(real.cuda.Device))
    assert set(vars(cupy.cuda.runtime)) <= set(dir(real.cuda.runtime)) | {"__name__", "__doc__"}
