"""Devices, transfers and data types."""

from __future__ import annotations

import subprocess
import sys
from contextvars import copy_context
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from minigen import backend, ops
from minigen.random import normal, uniform

# -- devices ---------------------------------------------------------------------------------------------------


def test_cpu_is_the_default() -> None:
    assert backend.device() is backend.device("cpu")
    assert str(backend.device()) == "cpu"
    assert repr(backend.device()) == "device('cpu')"
    assert backend.device(backend.device("cpu")) is backend.device("cpu")


@pytest.mark.parametrize("name", ["cuda", "gpu:", "gpu:-1", "gpu:x", " gpu", "GPU", "gpu:1 ", "", "cpu:0"])
def test_other_names_are_refused(name: str, gpu_standin: backend.Device) -> None:
    with pytest.raises(ValueError, match=r'device: expects "cpu", "gpu" or "gpu:N".*, got '):
        backend.device(name)


@pytest.mark.parametrize("name", [0, 1.5, b"gpu", ["gpu"]])
def test_what_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises(ValueError, match=r"device: expects .*got"):
        backend.device(name)


def test_without_cupy_the_error_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)  # importing it now raises ImportError
    with pytest.raises(
        RuntimeError, match=r'CuPy, which is not installed; install it with `pip install "minigen\[gpu\]"'
    ):
        backend.device("gpu")


def test_without_a_card_the_error_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_driver() -> int:
        raise RuntimeError("cudaErrorInsufficientDriver: no driver")

    for count, reason in ((no_driver, "cudaErrorInsufficientDriver: no driver"), (lambda: 0, "reports 0 devices")):
        runtime = SimpleNamespace(getDeviceCount=count)
        cuda = SimpleNamespace(is_available=lambda: False, runtime=runtime)
        monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=cuda, ndarray=type("ndarray", (), {})))
        assert backend.array_module(np.zeros(1)) is np  # no error until a GPU is asked for
        assert backend.device("cpu").asarray([1]).tolist() == [1]
        with pytest.raises(RuntimeError, match=f"finds no usable GPU .*{reason}.*NVIDIA card and a driver"):
            backend.device("gpu")


def test_a_card_without_cudas_libraries_says_how_to_get_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """CuPy is there, the driver is there, and the first product fails."""
    library = ImportError("libcublasLt.so.12: cannot open shared object file")

    class ndarray:
        def __matmul__(self, other: Any) -> Any:
            raise library

    cuda = SimpleNamespace(is_available=lambda: True, runtime=SimpleNamespace(getDeviceCount=lambda: 1))
    cupy = ModuleType("cupy")
    vars(cupy).update(cuda=cuda, ndarray=ndarray, ones=lambda *_, **__: ndarray())
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(RuntimeError, match=r"cannot compute on it \(libcublasLt.*install .*minigen\[gpu\]") as error:
        backend.device("gpu")
    assert error.value.__cause__ is library


def test_a_card_that_is_not_there_is_refused(gpu_standin: backend.Device) -> None:
    assert str(backend.device("gpu:1")) == "gpu:1"
    for name in ("gpu:2", "gpu:7"):
        with pytest.raises(RuntimeError, match=rf"'{name}' asked for, but this machine has 2 GPU\(s\)"):
            backend.device(name)


def test_names_compare_and_hash(gpu_standin: backend.Device) -> None:
    assert str(gpu_standin) == "gpu:0"
    assert backend.device("gpu") == backend.device("gpu:0") == gpu_standin
    assert len({backend.device("gpu"), backend.device("gpu:0"), backend.device("gpu:1"), backend.device("cpu")}) == 3
    assert backend.device("gpu:1") != gpu_standin
    assert gpu_standin != "gpu:0"
    assert backend.Device("gpu:0", ModuleType("cupy"), 0) != gpu_standin  # what is kept for one is not for the other


def test_with_device_nests_and_ends_after_errors(gpu_standin: backend.Device) -> None:
    second = backend.device("gpu:1")
    with gpu_standin as entered:
        assert entered is gpu_standin
        with second, second:  # one Device entered twice
            assert backend.device() == second
            assert uniform((2,)).device.id == 1
            with backend.device("cpu"):
                assert isinstance(uniform((2,)), np.ndarray)
            assert backend.device() == second
        assert backend.device() == gpu_standin
        assert uniform((2,)).device.id == 0
        with pytest.raises(KeyError), second:
            raise KeyError
        assert backend.device() == gpu_standin
        assert gpu_standin.module.zeros((1,)).device.id == 0
    assert str(backend.device()) == "cpu"


def test_the_default_device_stays_in_its_context(gpu_standin: backend.Device) -> None:
    outside = copy_context()
    with gpu_standin:
        assert str(outside.run(backend.device)) == "cpu"
        assert str(copy_context().run(backend.device)) == "gpu:0"


# -- transfers -------------------------------------------------------------------------------------------------


def test_arrays_go_there_and_come_back_the_same(device: backend.Device) -> None:
    host = np.arange(6, dtype="float32").reshape(2, 3)
    x = device.asarray(host)
    assert backend.array_module(x) is device.module
    assert backend.device_of(x) == device
    assert backend.is_array(x)
    assert device.asarray(x) is x  # copied only if it has to be
    assert device.asarray(x, dtype="float64").dtype == "float64"
    back = backend.to_numpy(x)
    assert type(back) is np.ndarray
    np.testing.assert_array_equal(back, host)


def test_arrays_go_from_one_device_to_another(gpu_standin: backend.Device) -> None:
    devices = [backend.device("cpu"), gpu_standin, backend.device("gpu:1")]
    for source in devices:
        for target in devices:
            x = source.asarray(np.arange(3.0))
            y = target.asarray(x)
            assert backend.device_of(y) == target
            assert backend.to_numpy(y).tolist() == [0, 1, 2]
            assert (y is x) == (source == target)


def test_arrays_of_any_layout_go_from_card_to_card(gpu_standin: backend.Device) -> None:
    """As a convolution's output does, whose channels are last in memory: CuPy copies only what is contiguous."""
    host = np.arange(48.0).reshape(2, 4, 3, 2).transpose(0, 3, 1, 2)[:, :, ::2]
    x = gpu_standin.asarray(np.ascontiguousarray(host)).transpose(0, 2, 3, 1)
    there = backend.device("gpu:1").asarray(x[:, ::2])
    assert backend.device_of(there) == backend.device("gpu:1")
    np.testing.assert_array_equal(backend.to_numpy(there), host.transpose(0, 2, 3, 1)[:, ::2])


# -- what NumPy and CuPy do differently ------------------------------------------------------------------------


INDICES: dict[str, Any] = {
    "rows": np.array([[2, 0, 2], [-1, 2, 1]]),
    "one row again and again": np.array([1] * 9),
    "no rows": np.zeros((0, 2), int),
    "rows and columns": (np.array([0, 2, 0, 0, -3]), np.array([1, 1, 1, 0, 1])),
    "columns": (slice(None), np.array([3, 3, 0])),
    "between slices": (slice(1, None), np.array([3, 3, 3]), slice(None, None, 2)),
    "beside a number": (1, Ellipsis, np.array([0, 1, 0])),
    "a mask and numbers": (np.array([True, False, True]), np.array([2, 2])),
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_add_at_adds_every_value(index: Any, device: backend.Device) -> None:
    """On a GPU, too, whose own `add.at` adds floats in an order left to chance (the stand-in refuses that)."""
    random = np.random.default_rng(0)
    expected = random.normal(size=(3, 4, 2))
    values = random.normal(size=expected[index].shape)
    out = device.asarray(expected.copy())
    np.add.at(expected, index, values)
    there = lambda i: device.asarray(i) if isinstance(i, np.ndarray) else i
    backend.add_at(out, tuple(map(there, index)) if isinstance(index, tuple) else there(index), device.asarray(values))
    np.testing.assert_allclose(backend.to_numpy(out), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "sigmoid"])
def test_an_activation_keeps_the_order_in_memory(name: str, device: backend.Device) -> None:
    """That of a convolution's output, channels last."""
    x = device.asarray(np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype("float32")).transpose(0, 3, 1, 2)
    y = getattr(ops, name)(x)
    assert y.strides == x.strides
    assert y.dtype == np.float32


def test_lists_and_scalars_become_arrays(device: backend.Device) -> None:
    assert backend.to_numpy(device.asarray([[1, 2]], dtype="int64")).tolist() == [[1, 2]]
    assert device.asarray(2.0).shape == ()
    for scalar in (1, 2.0, np.float32(3), [1.0], None):
        assert not backend.is_array(scalar)
        assert backend.array_module(scalar) is np


# -- data types ------------------------------------------------------------------------------------------------


def test_default_dtype_holds_inside_its_block() -> None:
    assert backend.current_dtype() == np.float32
    with backend.default_dtype("float64"):
        assert backend.current_dtype() == np.float64
        assert normal((2,)).dtype == uniform((2,)).dtype == np.float64
        with backend.default_dtype(np.float16):
            assert backend.current_dtype() == np.float16
        assert backend.current_dtype() == np.float64
    with pytest.raises(KeyError), backend.default_dtype("float64"):
        raise KeyError
    assert backend.current_dtype() == np.float32
    assert normal((2,)).dtype == np.float32


@pytest.mark.parametrize("dtype", ["int64", bool, "complex64"])
def test_default_dtype_refuses_what_is_not_floating_point(dtype: Any) -> None:
    with (
        pytest.raises(TypeError, match="default_dtype: expects a floating-point type, got"),
        backend.default_dtype(dtype),
    ):
        pass


# -- memory ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 1 << 16, (1 << 17) + 3])
def test_blocks_cover_every_entry_once(size: int, device: backend.Device) -> None:
    x = device.asarray(np.zeros(size, np.int8))
    for block in backend.blocks(x):
        x[block] += 1
    np.testing.assert_array_equal(backend.to_numpy(x), np.ones(size))


# -- imports ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", ["minigen.backend", "minigen"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    heavy = ["cupy", "matplotlib", "tqdm", "pooch", "safetensors", "PIL", "torch", "requests"]
    code = f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])"
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# -- a real card -----------------------------------------------------------------------------------------------


@pytest.mark.gpu
def test_a_real_card_computes_the_same() -> None:
    with backend.device("gpu") as gpu:
        x = normal((3, 4))
        assert backend.device_of(x) == gpu
        y = backend.array_module(x).tanh(x)
    np.testing.assert_allclose(backend.to_numpy(y), np.tanh(backend.to_numpy(x)), rtol=1e-6)
