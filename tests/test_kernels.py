"""Kernels given as text: each computes what the formula beside it does, in one launch, and is CUDA C.

`CALLS` has the arguments of a call for every kernel in minigen; one that is not there fails.
"""

from __future__ import annotations

import ctypes
import importlib
import pkgutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from strict_cupy import count, cupy

import minigen
from minigen import ops, optim
from minigen.autograd import grad, tensor
from minigen.backend import Device, is_array, to_numpy
from minigen.kernels import kernel
from minigen.nn import Parameter


def kernels_of_minigen() -> dict[str, Callable[..., Any]]:
    """The functions that have a kernel, by name; some are the forward computation of an operation."""
    found = {}
    for module in pkgutil.walk_packages(minigen.__path__, "minigen."):
        for name, value in vars(importlib.import_module(module.name)).items():
            function = getattr(value, "forward", value)
            if hasattr(function, "compiled"):
                found[name] = function
    return found


KERNELS = kernels_of_minigen()


class Draw:
    """Arrays of one data type and memory layout."""

    def __init__(self, dtype: str, order: Any) -> None:
        self.dtype, self.order, self.random = dtype, order, np.random.default_rng(0)

    def __call__(self, *shape: int) -> np.ndarray:
        return self.random.normal(size=shape).astype(self.dtype, order=self.order)

    def positive(self, *shape: int) -> np.ndarray:
        return np.abs(self(*shape))

    def classes(self, *shape: int) -> np.ndarray:
        return self.random.integers(3, size=shape)


CALLS: dict[str, Callable[[Draw], list[Any]]] = {
    "sigmoid": lambda a: [5 * a(2, 3, 4)],
    "relu": lambda a: [a(2, 3, 4)],
    "softplus": lambda a: [20 * a(4, 5, 6) ** 3],
    "_relu_gradient": lambda a: [a(2, 3), a(2, 3)],
    "_leaky_relu": lambda a: [a(2, 3), 0.2],
    "_leaky_relu_gradient": lambda a: [a(2, 3), a(2, 3), 0.2],
    "_gate": lambda a: [a(2, 3, 4), a(2, 3, 4)],
    "_gate_gradients": lambda a: [a(2, 3, 4), a(2, 3, 4), a(2, 3, 4), a(2, 3, 4), a(2, 6, 4)],
    "_copy_taps": lambda a: [a(2, 4, 5, 3), 1, 3, 2, 4, 3, 2, 1, 1, 2, 1, 2, a(2, 3, 2, 4, 3)],
    "_add_taps": lambda a: [a(2, 3, 2, 4, 3), 1, 4, 5, 3, 2, 1, 1, 2, 1, 2, a(2, 4, 5, 3)],
    "_step": lambda a: [a(4, 2, 3, 5), a(2, 3, 5)],
    "_step_backward": lambda a: [a(2, 3, 5), a(2, 3, 5), a(2, 3, 5), a(4, 2, 3, 5), a(2, 3, 5)],
    "_advance": lambda a: [*(a(4, 2, 3, 5) for _ in range(3)), *(a(2, 3, 5) for _ in range(5))],
    "_go_back": lambda a: [a(*gates, 2, 3, 5) for gates in ((), (), (4,), (), (4,), (4,), (), ())],
    "_add_around": lambda a: [a(2, 3, 4, 3, 5), a(2, 3, 6, 5)],
    "_shares_along": lambda a: [x := np.round(a(2, 7, 3)), x.max(axis=1, keepdims=True), a(2, 1, 3), 1, 7, 3],
    "_under_taps": lambda a: [a(2, 4, 5, 3), a(12, 2), a(2), 1, 2, 3, a(2, 2)],
    "_draw": lambda a: [a(50, 4), a.random.uniform(size=50), np.zeros(50, "uint8")],
    "_std": lambda a: [a(5, 2, 3), a(2, 3)],
    "_average": lambda a: [a(3), a.positive(3), 0.1, 1.2, a(3), a.positive(3)],
    "_move": lambda a: [a(6), 0.1, a(6)],
    "_add_squares": lambda a: [*map(a, range(8)), 1, a(1).astype("float64")],
    "_softplus_gradient": lambda a: [a(2, 3), a(2, 3)],
    "_centred": lambda a: [a(2, 3, 4), a(1, 3, 1), 8],
    "_statistics": lambda a: [a(3), a.positive(3), 8, 1e-5],
    "_scaled": lambda a: [a(2, 3, 4), a(1, 3, 1), a(1, 3, 1), a(1, 3, 1)],
    "_batch_norm_gradient": lambda a: [a(2, 3, 4), a(2, 3, 4), a(1, 3, 1), a(1, 3, 1), a(1, 3, 1), 1 / 8],
    "_dropped": lambda a: [a(2, 3, 4), a.positive(2, 3, 4), 0.3],
    "_binary_cross_entropies": lambda a: [20 * a(4, 5, 6) ** 3, a.positive(4, 5, 6)],
    "_binary_cross_entropy_gradient": lambda a: [20 * a(2, 3), a.positive(2, 3), a(), 1 / 6],
    "_cross_entropies": lambda a: [1000 * a(2, 3, 4, 5), a.classes(2, 4, 5)],
    "_cross_entropy_gradient": lambda a: [a.positive(2, 3, 4, 5), a.classes(2, 4, 5), a(2, 4, 5), 1 / 40],
    "_penalized": lambda a: [a(6), a(6), 0.1],
    "_sgd": lambda a: [a(6), 0.1, a(6)],
    "_sgd_with_momentum": lambda a: [a(6), 0.1, 0.9, a(6), a(6)],
    "_adam": lambda a: [a(6), 0.01, 0.9, 0.999, 1e-8, a(6), a(6), a.positive(6)],
    "_rmsprop": lambda a: [a(6), 0.01, 0.99, 1e-8, a(6), a.positive(6)],
    "_fill": lambda a: [2**64 - 1, 3, 2, 1, 0, a(9)],
    "_box_muller": lambda a: [2**64 - 1, 3, 2, 1, 0, 9, a(9), a(9)],
}


def test_every_kernel_has_a_call() -> None:
    assert CALLS.keys() == KERNELS.keys()


def results_of(function: Callable[..., Any], args: list[Any]) -> list[np.ndarray]:
    """What the function returns, or what it has written into its arguments."""
    result = function(*args)
    results = [x for x in args if is_array(x)] if function.__annotations__["return"] == "None" else result
    return [to_numpy(x) for x in (results if isinstance(results, tuple | list) else [results])]


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 3e-6), ("float64", 1e-14)])
@pytest.mark.parametrize("name", CALLS)
def test_a_kernel_computes_what_its_formula_does(
    name: str, dtype: str, tolerance: float, order: Any, device: Device
) -> None:
    args = CALLS[name](Draw(dtype, order))
    on_device = [device.asarray(x.copy(order="K")) if is_array(x) else x for x in args]
    with count() as c:
        got = results_of(KERNELS[name], on_device)
    assert c.launches == (device.module is cupy)
    for x, expected in zip(got, results_of(KERNELS[name].__wrapped__, args), strict=True):  # type: ignore[attr-defined]
        assert x.dtype == expected.dtype and x.shape == expected.shape
        np.testing.assert_allclose(x, expected, rtol=tolerance, atol=tolerance)


def test_a_class_that_does_not_exist_costs_nan_on_a_gpu(gpu_standin: Device) -> None:
    """Nothing outside the arrays is read."""
    logits, target = gpu_standin.asarray(np.zeros((3, 2))), gpu_standin.asarray(np.array([1, 2, -1]))
    np.testing.assert_allclose(
        to_numpy(ops.cross_entropy(logits, target, reduction="none")), [np.log(2), np.nan, np.nan]
    )


# -- one kernel for a function -----------------------------------------------------------------------------------------


@kernel("T x, raw T table, int64 first", "T y, raw T z", "y = table[i + first] * x; z[i] = x")
def looked_up(x: Any, table: Any, first: int) -> str:
    return "the plain formula"


def test_the_plain_formula_computes_elsewhere(gpu_standin: Device) -> None:
    """On a CPU, on tensors, on integers and on numbers."""
    x, i = np.ones(2), gpu_standin.asarray(np.ones(2, "int64"))
    for args in ((x, x, 0), (tensor(x), x, 0), (i, i, 0), (1.0, 2.0, 0)):
        assert looked_up(*args) == "the plain formula"
    assert looked_up.__name__ == "looked_up"


def test_new_outputs_have_the_layout_of_the_first_input_of_their_kind(gpu_standin: Device) -> None:
    x, table = gpu_standin.asarray(np.ones((2, 3), "float32")).T, gpu_standin.asarray(np.arange(7, dtype="float32"))
    y, z = looked_up(x, table, 1)
    assert y.tolist() == [[1, 2], [3, 4], [5, 6]] and y.strides == x.strides and y.dtype == x.dtype
    assert z.shape == table.shape and z.tolist()[:6] == 6 * [1]


def test_outputs_may_be_given(gpu_standin: Device) -> None:
    x = gpu_standin.asarray(np.ones(2))
    y, z = gpu_standin.asarray(np.zeros(2)), gpu_standin.asarray(np.zeros(4))
    looked_up(x, gpu_standin.asarray(np.arange(9.0)), 7, y, z)
    assert (y.tolist(), z.tolist()) == ([7, 8], [1, 1, 0, 0])


# -- launches ----------------------------------------------------------------------------------------------------------

IMAGES = np.random.default_rng(0).normal(size=(2, 4, 3, 3)).astype("float32")
CLASSES = np.random.default_rng(1).integers(4, size=(2, 3, 3))
# Of the forward pass, where a mean is two launches, and of the backward pass, without the copy of what it starts with.
LAUNCHES = {
    "relu": (lambda x: ops.relu(x), 1, 1),
    "max": (lambda x: ops.max(x, axis=1), 1, 1),
    "conv2d": (lambda x: ops.conv2d(x, x.detach(), padding=1), 3, 3),  # one copies the weights, which are row-major
    "leaky_relu": (lambda x: ops.leaky_relu(x), 1, 1),
    "sigmoid": (lambda x: ops.sigmoid(x), 1, 3),
    "softplus": (lambda x: ops.softplus(x), 1, 1),
    "gated_activation": (lambda x: ops.gated_activation(x), 1, 1),
    "lstm_cell": (lambda x: ops.lstm_cell(x, x[:, :1])[0], 1, 5),  # and those of the slice; zeros for c'
    "batch_norm": (lambda x: ops.batch_norm(x)[0], 5, 4),
    "cross_entropy": (lambda x: ops.cross_entropy(x, x.device.asarray(CLASSES)), 3, 1),
    "binary_cross_entropy": (lambda x: ops.binary_cross_entropy_with_logits(x, x.detach()), 3, 1),
}


@pytest.mark.parametrize(("call", "forward", "backward"), LAUNCHES.values(), ids=LAUNCHES.keys())
def test_launches_of_an_operation(call: Any, forward: int, backward: int, gpu_standin: Device) -> None:
    with gpu_standin:
        x = tensor(IMAGES, requires_grad=True)
        with count() as c:
            out = call(x)
        assert c.launches == forward
        g = tensor(np.ones(out.shape, "float32"))
        with count() as c:
            grad(out, x, g)
        assert c.launches == 1 + backward


@pytest.mark.parametrize(
    ("kind", "settings", "launches"),
    [
        (optim.SGD, {"lr": 0.1}, 1),
        (optim.SGD, {"lr": 0.1, "momentum": 0.9}, 1),
        (optim.Adam, {}, 1),
        (optim.Adam, {"weight_decay": 0.1}, 2),
        (optim.AdamW, {}, 2),
        (optim.RMSprop, {}, 1),
    ],
)
def test_launches_of_an_optimizer_for_each_parameter(
    kind: Any, settings: dict[str, Any], launches: int, gpu_standin: Device
) -> None:
    with gpu_standin:
        parameters = [Parameter(tensor(IMAGES).data) for _ in range(3)]
        optimizer = kind(parameters, **settings)
        for p in parameters:
            p.grad = tensor(IMAGES)
        with count() as c:
            optimizer.step()
    assert c.launches == 3 * launches


# -- CUDA C ------------------------------------------------------------------------------------------------------------


def compiled_by_nvrtc(source: str) -> tuple[int, str]:
    """The status of NVIDIA's compiler of CUDA C, which needs no GPU, and what it says; 0 is success."""
    package = pytest.importorskip("nvidia.cuda_nvrtc", reason="nvidia-cuda-nvrtc-cu12 is not installed")
    nvrtc = ctypes.CDLL(f"{package.__path__[0]}/lib/libnvrtc.so.12")
    program, length = ctypes.c_void_p(), ctypes.c_size_t()
    nvrtc.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None)
    options = (ctypes.c_char_p * 2)(b"-arch=compute_75", b"-default-device")
    status = nvrtc.nvrtcCompileProgram(program, len(options), options)
    nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(length))
    log = ctypes.create_string_buffer(length.value)
    nvrtc.nvrtcGetProgramLog(program, log)
    return status, log.value.decode()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CALLS)
def test_a_kernel_is_cuda_c(name: str, dtype: str) -> None:
    text = KERNELS[name].compiled(cupy)  # type: ignore[attr-defined]
    letters = dict.fromkeys("ABCDEFGHTU", dtype) | {"S": "int64"}
    types = {p.type: letters.get(p.type, p.type) for p in text.inputs + text.outputs}
    status, log = compiled_by_nvrtc(text.source(types, functions=""))
    assert status == 0, log


def test_what_is_not_cuda_c_is_refused() -> None:
    text = cupy.ElementwiseKernel("T x", "T y", "y = logarithm(x)")
    status, log = compiled_by_nvrtc(text.source({"T": "float32"}, functions=""))
    assert status != 0 and "logarithm" in log
