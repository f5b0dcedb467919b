"""Devices, transfers, data types and random numbers."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen import backend, ops
from minigen.backend import device, manual_seed, uniform
from minigen.models import VAE
from minigen.optim import Adam

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
            assert backend.uniform((2,)).device.id == 1
            with backend.device("cpu"):
                assert isinstance(backend.uniform((2,)), np.ndarray)
            assert backend.device() == second
        assert backend.device() == gpu_standin
        assert backend.uniform((2,)).device.id == 0
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


@pytest.mark.parametrize("name", ["relu", "leaky_relu"])
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
        assert backend.normal((2,)).dtype == backend.uniform((2,)).dtype == np.float64
        with backend.default_dtype(np.float16):
            assert backend.current_dtype() == np.float16
        assert backend.current_dtype() == np.float64
    with pytest.raises(KeyError), backend.default_dtype("float64"):
        raise KeyError
    assert backend.current_dtype() == np.float32
    assert backend.normal((2,)).dtype == np.float32


@pytest.mark.parametrize("dtype", ["int64", bool, "complex64"])
def test_default_dtype_refuses_what_is_not_floating_point(dtype: Any) -> None:
    with (
        pytest.raises(TypeError, match="default_dtype: expects a floating-point type, got"),
        backend.default_dtype(dtype),
    ):
        pass


# -- random numbers --------------------------------------------------------------------------------------------


def _draw() -> list[list[float]]:
    arrays = [backend.uniform((3,)), backend.normal((2,), 1.0, 2.0), backend.uniform((2,), -1.0, 1.0, dtype="float64")]
    return [backend.to_numpy(x).tolist() for x in arrays]


@given(seed=st.integers(0, 2**64))
def test_the_same_seed_gives_the_same_numbers(seed: int) -> None:
    backend.manual_seed(seed)
    first = _draw()
    assert _draw() != first
    backend.manual_seed(seed)
    assert _draw() == first


def test_the_same_seed_gives_the_same_numbers_on_both_devices(gpu_standin: backend.Device) -> None:
    backend.manual_seed(5)
    on_cpu = _draw()
    backend.manual_seed(5)
    with gpu_standin:
        assert _draw() == on_cpu
    backend.manual_seed(5)
    x = backend.uniform((3,), device="gpu:1")
    assert str(backend.device_of(x)) == "gpu:1"
    assert backend.to_numpy(x).tolist() == on_cpu[0]


def test_the_state_survives_json() -> None:
    backend.random_generator().integers(0, 9, 3, dtype="int32")  # leaves half a word in the generator
    text = json.dumps(backend.random_state())
    expected = _draw()
    backend.manual_seed(99)
    backend.set_random_state(json.loads(text))
    assert _draw() == expected


def test_a_state_is_a_snapshot() -> None:
    state = backend.random_state()
    text = json.dumps(state)
    _draw()
    assert json.dumps(state) == text


def test_the_generator_is_the_one_behind_it() -> None:
    backend.manual_seed(3)
    expected = np.random.default_rng(3)
    np.testing.assert_array_equal(backend.uniform((4,)), expected.random(4, dtype="float32"))
    np.testing.assert_array_equal(backend.random_generator().permutation(9), expected.permutation(9))


def test_uniform_and_normal_have_their_moments(device: backend.Device) -> None:
    n = 40_000
    u = backend.to_numpy(backend.uniform((n,), -1.0, 3.0))
    assert u.dtype == np.float32
    assert -1 <= u.min() < -0.99 and 2.99 < u.max() <= 3
    # Uniform on [a, b): mean (a + b) / 2 and variance (b - a)^2 / 12; five standard errors.
    assert abs(u.mean() - 1) < 5 * np.sqrt(16 / 12 / n)
    z = backend.to_numpy(backend.normal((n,), 2.0, 0.5))
    assert abs(z.mean() - 2) < 5 * 0.5 / np.sqrt(n)
    assert abs(z.std() - 0.5) < 5 * 0.5 / np.sqrt(2 * n)
    assert backend.normal((2, 0, 3)).shape == (2, 0, 3)
    assert backend.uniform(()).shape == ()


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
        x = backend.normal((3, 4))
        assert backend.device_of(x) == gpu
        y = backend.array_module(x).tanh(x)
    np.testing.assert_allclose(backend.to_numpy(y), np.tanh(backend.to_numpy(x)), rtol=1e-6)


# -- threads -----------------------------------------------------------------------------------------------------------


def trained(seed: int) -> bytes:
    """The weights of a small VAE after a few steps, with its own seed and on a device that is entered and left."""
    manual_seed(seed)
    with device("cpu"):
        vae = VAE((1, 4, 4), latent_dim=2, hidden=8)
    adam = Adam(vae.parameters(), 0.01)
    for _ in range(30):
        with device("cpu"):
            images = (uniform((8, 1, 4, 4)) < 0.5).astype("uint8")
            loss = vae.loss(images)
        adam.zero_grad()
        loss.backward()
        adam.step()
    return b"".join(x.tobytes() for x in vae.state_dict().values())


def test_two_threads_train_two_models_to_the_bits_of_one_after_the_other() -> None:
    one_after_the_other = [trained(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        side_by_side = list(pool.map(trained, range(4)))
    assert side_by_side == one_after_the_other
