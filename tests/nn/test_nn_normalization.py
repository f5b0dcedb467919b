"""Normalising layers; of batch normalisation, which statistics it uses, and how the running ones move."""

from __future__ import annotations

import math

import numpy as np
import pytest
import strict_cupy
from hypothesis import given
from hypothesis import strategies as st

from minigen import nn
from minigen.autograd import no_grad, tensor
from minigen.backend import Device, default_dtype, to_numpy
from minigen.testing.strategies import SEEDS


def shapes_for(layer: type[nn.Module]) -> st.SearchStrategy[tuple[int, ...]]:
    sizes = st.integers(1, 4)
    if layer is nn.BatchNorm2d:
        return st.tuples(st.integers(2, 4), sizes, sizes, sizes)
    return st.tuples(st.integers(2, 6), sizes) | st.tuples(st.integers(2, 4), sizes, sizes)


def by_hand(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Each channel's mean and (biased) variance, summed number by number, and the number of values a channel."""
    channels = [[float(v) for v in np.moveaxis(x, 1, 0)[c].ravel()] for c in range(x.shape[1])]
    means = [math.fsum(values) / len(values) for values in channels]
    squares = [math.fsum((v - mean) ** 2 for v in values) for values, mean in zip(channels, means, strict=True)]
    return np.array(means), np.array(squares) / len(channels[0]), len(channels[0])


def normalised(x: np.ndarray, mean: np.ndarray, var: np.ndarray, layer: nn.Module) -> np.ndarray:
    column = lambda v: np.reshape(v, (1, -1) + (1,) * (x.ndim - 2))
    y = (x - column(mean)) / np.sqrt(column(var) + layer.eps)
    return y if layer.weight is None else y * column(layer.weight.numpy()) + column(layer.bias.numpy())


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.BatchNorm2d])
@given(data=st.data(), affine=st.booleans(), momentum=st.floats(0.01, 0.99), eps=st.floats(1e-6, 0.1), seed=SEEDS)
def test_training_uses_the_batch_and_evaluation_what_training_left(
    kind: type[nn.Module], data: st.DataObject, affine: bool, momentum: float, eps: float, seed: int, device: Device
) -> None:
    """Training: the batch's statistics; running = (1 - momentum) running + momentum batch, its variance unbiased."""
    shape, random = data.draw(shapes_for(kind)), np.random.default_rng(seed)
    with default_dtype("float64"):
        layer = kind(shape[1], eps=eps, momentum=momentum, affine=affine)
    if affine:
        for p in layer.parameters():
            p.data = device.asarray(random.normal(size=p.shape))
    running_mean, running_var = np.zeros(shape[1]), np.ones(shape[1])
    for step in range(3):
        assert layer.num_batches_tracked.item() == step
        x = random.normal(3, 2, size=shape)
        mean, var, n = by_hand(x)
        y = layer(tensor(x))
        np.testing.assert_allclose(y.numpy(), normalised(x, mean, var, layer), rtol=1e-9, atol=1e-9)
        running_mean = (1 - momentum) * running_mean + momentum * mean
        running_var = (1 - momentum) * running_var + momentum * var * n / (n - 1)
        np.testing.assert_allclose(layer.running_mean.numpy(), running_mean, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(layer.running_var.numpy(), running_var, rtol=1e-10)
    layer.eval()
    before = {name: to_numpy(b).tobytes() for name, b in layer.state_dict().items()}
    y = layer(tensor(x))
    np.testing.assert_allclose(y.numpy(), normalised(x, running_mean, running_var, layer), rtol=1e-9, atol=1e-9)
    assert y.device == device
    assert {name: to_numpy(b).tobytes() for name, b in layer.state_dict().items()} == before


def test_the_output_in_training_is_standard(device: Device) -> None:
    x = np.random.default_rng(0).normal(5, 3, size=(16, 3, 4, 4)).astype("float32")
    y = nn.BatchNorm2d(3)(tensor(x)).numpy()
    np.testing.assert_allclose(y.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(y.var((0, 2, 3)), 1, rtol=1e-4)


def test_evaluation_sees_one_example_at_a_time(device: Device) -> None:
    layer, x = nn.BatchNorm2d(2), np.random.default_rng(0).normal(size=(4, 2, 3, 3)).astype("float32")
    together = layer(tensor(x)).numpy()
    assert not np.allclose(layer(tensor(x[:2])).numpy(), together[:2], atol=1e-2)
    layer.eval()
    together = layer(tensor(x)).numpy()
    for i in range(4):  # also a batch of one
        np.testing.assert_array_equal(layer(tensor(x[i : i + 1])).numpy(), together[i : i + 1])


@pytest.mark.parametrize("mode", [True, False])
def test_float32_stays_and_buffers_get_no_gradient(mode: bool, device: Device) -> None:
    layer = nn.BatchNorm2d(2).train(mode)
    x = tensor(np.random.default_rng(0).normal(size=(4, 2, 3, 3)).astype("float32"), requires_grad=True)
    y = layer(x)
    y.square().sum().backward()
    results = [y, x.grad, layer.weight.grad, layer.bias.grad, layer.running_mean, layer.running_var]
    assert all(r.dtype == np.float32 for r in results)
    assert layer.num_batches_tracked.dtype == np.int64
    assert not layer.running_mean.requires_grad and layer.running_mean.grad is None


def test_statistics_move_in_place_and_under_no_grad(device: Device) -> None:
    """A state_dict taken before holds the live arrays; the mode decides, not the tape."""
    layer = nn.BatchNorm1d(2)
    state = layer.state_dict()
    with no_grad():
        layer(tensor(np.array([[1.0, 2.0], [3.0, 6.0]], "float32")))
    np.testing.assert_allclose(to_numpy(state["running_mean"]), [0.2, 0.4], rtol=1e-6)
    np.testing.assert_allclose(to_numpy(state["running_var"]), [0.9 + 0.1 * 2, 0.9 + 0.1 * 8], rtol=1e-6)
    assert to_numpy(state["num_batches_tracked"]) == 1


def test_without_momentum_the_statistics_are_the_mean_of_all_batches(device: Device) -> None:
    random = np.random.default_rng(0)
    with default_dtype("float64"):
        layer = nn.BatchNorm2d(2, momentum=None)
    batches = [random.normal(3, 2, size=(3, 2, 2, 2)) for _ in range(4)]
    for x in [tensor(batch) for batch in batches]:
        with strict_cupy.no_sync():
            layer(x)
    means, variances, counts = zip(*map(by_hand, batches), strict=True)
    np.testing.assert_allclose(layer.running_mean.numpy(), np.mean(means, axis=0), rtol=1e-12)
    unbiased = [v * n / (n - 1) for v, n in zip(variances, counts, strict=True)]
    np.testing.assert_allclose(layer.running_var.numpy(), np.mean(unbiased, axis=0), rtol=1e-12)


def test_without_running_statistics_evaluation_is_as_training(device: Device) -> None:
    layer, x = nn.BatchNorm1d(2, track_running_stats=False), tensor([[1.0, 2.0], [3.0, 8.0]])
    assert list(layer.state_dict()) == ["weight", "bias"]
    y = layer(x).numpy()
    np.testing.assert_allclose(y, [[-1, -1], [1, 1]], rtol=1e-4)
    np.testing.assert_array_equal(layer.eval()(x).numpy(), y)
    assert nn.BatchNorm1d(2, affine=False, track_running_stats=False).state_dict() == {}


@pytest.mark.parametrize(
    ("kind", "shape", "takes"),
    [
        (nn.BatchNorm1d, (4,), "2 or 3"),
        (nn.BatchNorm1d, (4, 3, 2, 2), "2 or 3"),
        (nn.BatchNorm2d, (4, 3), "4"),
        (nn.BatchNorm2d, (4, 3, 2), "4"),
        (nn.BatchNorm2d, (1, 4, 3, 2, 2), "4"),
    ],
)
@pytest.mark.parametrize("mode", [True, False])
def test_the_wrong_number_of_axes_is_refused(
    kind: type[nn.Module], shape: tuple, takes: str, mode: bool, device: Device
) -> None:
    got = str(shape).replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(ValueError, match=f"^{kind.__name__}: expects {takes} axes, got {got}$"):
        kind(3).train(mode)(tensor(np.ones(shape, "float32")))


@pytest.mark.parametrize("mode", [True, False])
def test_the_wrong_number_of_channels_is_refused(mode: bool, device: Device) -> None:
    for affine in (True, False):
        with pytest.raises(ValueError, match=r"^BatchNorm1d: expects 3 channels, got \(2, 4\)"):
            nn.BatchNorm1d(3, affine=affine).train(mode)(tensor(np.ones((2, 4), "float32")))


def test_training_needs_more_than_one_value(device: Device) -> None:
    with pytest.raises(ValueError, match=r"^batch_norm: expects more than one value a channel, x is \(1, 3\)"):
        nn.BatchNorm1d(3)(tensor(np.ones((1, 3), "float32")))
    nn.BatchNorm1d(3)(tensor(np.ones((1, 3, 2), "float32")))  # two values a channel


@pytest.mark.parametrize("shape", [(2, 4), (1, 3)], ids=["channels", "a single value"])
def test_a_refused_batch_changes_nothing(shape: tuple[int, int], device: Device) -> None:
    layer = nn.BatchNorm1d(3)
    before = {name: to_numpy(b).tobytes() for name, b in layer.state_dict().items()}
    with pytest.raises(ValueError, match=r"^(batch_norm|BatchNorm1d): "):
        layer(tensor(np.ones(shape, "float32")))
    assert {name: to_numpy(b).tobytes() for name, b in layer.state_dict().items()} == before


# -- layer and instance normalisation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [True, False])
def test_layer_norm_normalises_each_example(mode: bool, device: Device) -> None:
    random = np.random.default_rng(0)
    with default_dtype("float64"):
        layer, last = nn.LayerNorm((3, 4), eps=1e-3).train(mode), nn.LayerNorm(4, elementwise_affine=False)
    assert [(name, x.shape) for name, x in layer.state_dict().items()] == [("weight", (3, 4)), ("bias", (3, 4))]
    weight, bias = random.normal(size=(2, 3, 4))
    layer.load_state_dict({"weight": weight, "bias": bias})
    x = random.normal(5, 3, size=(2, 3, 4))
    y = layer(tensor(x)).numpy()
    for i in range(2):
        mean = math.fsum(x[i].ravel()) / 12
        variance = math.fsum((v - mean) ** 2 for v in x[i].ravel()) / 12
        np.testing.assert_allclose(y[i], (x[i] - mean) / math.sqrt(variance + 1e-3) * weight + bias, rtol=1e-9)
    rows = last(tensor(x)).numpy()
    np.testing.assert_allclose(rows.mean(-1), 0, atol=1e-12)
    np.testing.assert_allclose(rows.var(-1), 1, rtol=1e-4)
    assert list(last.state_dict()) == [] and list(nn.LayerNorm(4, bias=False).state_dict()) == ["weight"]


@pytest.mark.parametrize("mode", [True, False])
def test_instance_norm_normalises_each_channel_of_each_image(mode: bool, device: Device) -> None:
    random = np.random.default_rng(0)
    with default_dtype("float64"):
        plain, affine = nn.InstanceNorm2d(3).train(mode), nn.InstanceNorm2d(3, affine=True).train(mode)
    assert list(plain.state_dict()) == [] and list(affine.state_dict()) == ["weight", "bias"]
    affine.load_state_dict({"weight": np.array([1.0, 2.0, 3.0]), "bias": np.array([0.0, 1.0, -1.0])})
    x = random.normal(5, 3, size=(2, 3, 4, 5))
    y, z = plain(tensor(x)).numpy(), affine(tensor(x)).numpy()
    for n, c in np.ndindex(2, 3):
        mean = math.fsum(x[n, c].ravel()) / 20
        variance = math.fsum((v - mean) ** 2 for v in x[n, c].ravel()) / 20
        np.testing.assert_allclose(y[n, c], (x[n, c] - mean) / math.sqrt(variance + 1e-5), rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(z[n, c], y[n, c] * (c + 1) + (0.0, 1.0, -1.0)[c], rtol=1e-9, atol=1e-12)


def test_other_shapes_are_refused(device: Device) -> None:
    with pytest.raises(ValueError, match=r"^InstanceNorm2d: expects x \(N, 3, H, W\), got \(2, 4, 5, 5\)"):
        nn.InstanceNorm2d(3)(tensor(np.ones((2, 4, 5, 5), "float32")))
    with pytest.raises(
        ValueError, match=r"^layer_norm: expects x \(\.\.\., \*normalized_shape\) for \(3,\), got \(3, 2\)"
    ):
        nn.LayerNorm(3)(tensor(np.ones((3, 2), "float32")))
