"""How parameters begin: bounds, means and variances, and the same numbers on every device."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from minigen import nn
from minigen.backend import Device, default_dtype, to_numpy
from minigen.nn import init
from minigen.random import manual_seed


def assert_uniform(x: np.ndarray, bound: float) -> None:
    """Uniform in +-bound: the limits, the mean and the variance, and a histogram, each to five standard deviations."""
    n, x = x.size, x.reshape(-1).astype("float64") / bound
    assert 1 - 20 / n < np.abs(x).max() <= 1 + 1e-6
    assert abs(x.mean()) < 5 * math.sqrt(1 / 3 / n)
    assert abs((x**2).mean() - 1 / 3) < 5 * math.sqrt(4 / 45 / n)  # the variance of x^2 is 1/5 - 1/9
    assert_evenly_spread((x + 1) / 2)


def assert_normal(x: np.ndarray, mean: float, std: float) -> None:
    n, x = x.size, (x.reshape(-1).astype("float64") - mean) / std
    assert abs(x.mean()) < 5 / math.sqrt(n)
    assert abs((x**2).mean() - 1) < 5 * math.sqrt(2 / n)
    assert_evenly_spread(np.array([(1 + math.erf(v / math.sqrt(2))) / 2 for v in x]))


def assert_evenly_spread(u: np.ndarray) -> None:
    """The chi-squared test for numbers uniform in [0, 1], in ten bins: 9 degrees of freedom, variance 18."""
    observed, expected = np.histogram(u, bins=10, range=(0, 1))[0], u.size / 10
    assert ((observed - expected) ** 2 / expected).sum() < 9 + 6 * math.sqrt(18)


def test_fan_in_uniform_is_uniform_in_its_bound(device: Device) -> None:
    p = init.fan_in_uniform((200, 50), 50)
    assert isinstance(p, nn.Parameter) and p.requires_grad and p.device == device and p.shape == (200, 50)
    assert_uniform(p.numpy(), 1 / math.sqrt(50))
    assert_uniform(init.fan_in_uniform((3000,), 16).numpy(), 0.25)


def test_constant_fills_with_one_value(device: Device) -> None:
    p = init.constant((2, 3), 1.5)
    np.testing.assert_array_equal(p.numpy(), np.full((2, 3), 1.5, "float32"))
    assert isinstance(p, nn.Parameter) and p.requires_grad and p.device == device and p.dtype == np.float32


@pytest.mark.parametrize(
    ("layer", "fan_in"),
    [
        (lambda: nn.Linear(50, 400), 50),
        (lambda: nn.Conv2d(6, 400, (3, 5)), 6 * 3 * 5),
        (lambda: nn.Conv2d(6, 400, (3, 5), groups=2), 3 * 3 * 5),
        # as in PyTorch, the second axis of the weight: that of a transposed convolution is its output's
        (lambda: nn.ConvTranspose2d(20, 400, (3, 5)), 400 * 3 * 5),
        (lambda: nn.ConvTranspose2d(20, 400, (3, 5), groups=2), 200 * 3 * 5),
        (lambda: nn.MaskedConv2d(6, 400, 5, "A", colours=3), 6 * 5 * 5),
        (lambda: nn.LSTM(20, 100, num_layers=2), 100),
        (lambda: nn.LSTMCell(20, 100), 100),
    ],
    ids=[
        "Linear",
        "Conv2d",
        "Conv2d groups",
        "ConvTranspose2d",
        "ConvTranspose2d groups",
        "MaskedConv2d",
        "LSTM",
        "Cell",
    ],
)
def test_bounds_of_the_layers_are_pytorchs(layer: type[nn.Module], fan_in: int, device: Device) -> None:
    """Weights and biases uniform in +-1/sqrt(fan_in); LSTMs in +-1/sqrt(hidden_size)."""
    parameters = list(layer().parameters())
    assert len(parameters) in (2, 4, 8)
    for p in parameters:
        assert_uniform(p.numpy(), 1 / math.sqrt(fan_in))


def test_embeddings_are_normal_and_batch_norms_are_the_identity(device: Device) -> None:
    assert_normal(nn.Embedding(200, 50).weight.numpy(), 0, 1)
    state = {name: to_numpy(x).tolist() for name, x in nn.BatchNorm2d(2).state_dict().items()}
    assert state == {
        "weight": [1, 1],
        "bias": [0, 0],
        "running_mean": [0, 0],
        "running_var": [1, 1],
        "num_batches_tracked": 0,
    }


def test_dcgan_draws_convolutions_and_batch_norms_and_leaves_the_rest(device: Device) -> None:
    model = nn.Sequential(
        nn.ConvTranspose2d(40, 60, 4),
        nn.BatchNorm2d(3000),
        nn.ReLU(),
        nn.Conv2d(60, 20, 4, bias=False),
        nn.BatchNorm2d(20, affine=False),
        nn.MaskedConv2d(20, 20, 3, "B"),
        nn.Linear(20, 30),
    )
    linear = {name: to_numpy(x).copy() for name, x in model[6].state_dict().items()}
    arrays = {name: x.data for name, x in model.named_tensors()}
    assert model.apply(init.dcgan) is model
    assert all(x.data is arrays[name] for name, x in model.named_tensors())
    assert all(p.requires_grad for p in model.parameters())
    for layer in (model[0], model[3], model[5]):
        assert_normal(layer.weight.numpy(), 0, 0.02)
    assert_normal(model[1].weight.numpy(), 1, 0.02)
    for layer in (model[0], model[1], model[5]):
        np.testing.assert_array_equal(layer.bias.numpy(), 0)
    for name, x in linear.items():
        np.testing.assert_array_equal(to_numpy(model[6].state_dict()[name]), x)  # the paper has none


def test_dcgan_leaves_a_module_on_its_device(gpu_standin: Device) -> None:
    model = nn.Sequential(nn.Conv2d(2, 30, 4), nn.BatchNorm2d(30)).to(gpu_standin).apply(init.dcgan)
    assert {p.device for p in model.parameters()} == {gpu_standin}
    assert_normal(model[0].weight.numpy(), 0, 0.02)


def every_kind_of_layer() -> nn.Module:
    return nn.ModuleList(
        [
            nn.Linear(2, 3),
            nn.Conv2d(2, 3, 3),
            nn.ConvTranspose2d(2, 3, 3),
            nn.MaskedConv2d(2, 3, 3, "A"),
            nn.BatchNorm2d(3),
            nn.LSTM(2, 3),
            nn.LSTMCell(2, 3),
            nn.Embedding(2, 3),
        ]
    )


def weights(seed: int, of_dcgan: bool = False) -> dict[str, np.ndarray]:
    manual_seed(seed)
    layers = every_kind_of_layer()
    return {name: to_numpy(x) for name, x in (layers.apply(init.dcgan) if of_dcgan else layers).state_dict().items()}


@pytest.mark.parametrize("of_dcgan", [False, True])
def test_same_seed_same_weights_on_every_device(gpu_standin: Device, of_dcgan: bool) -> None:
    """To the bit; but normal weights, those of `dcgan` and of an embedding, to the last places of a logarithm."""
    here = weights(1, of_dcgan)
    with gpu_standin:
        there = weights(1, of_dcgan)
    for name, x in here.items():
        if (of_dcgan and x.ndim == 4) or name in ("4.weight", "7.weight"):  # of batch normalization, of an embedding
            np.testing.assert_allclose(there[name], x, rtol=1e-6, atol=1e-8)
        else:
            np.testing.assert_array_equal(there[name], x)
    assert (here["0.weight"] != weights(2)["0.weight"]).all()


def test_layers_do_not_begin_alike() -> None:
    np.testing.assert_raises(
        AssertionError, np.testing.assert_array_equal, *(nn.Linear(2, 2).weight.numpy() for _ in "ab")
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_parameters_have_the_default_dtype(dtype: str, device: Device) -> None:
    with default_dtype(dtype):
        layers = every_kind_of_layer()
    assert {p.dtype for p in layers.apply(init.dcgan).parameters()} == {np.dtype(dtype)}


# -- sizes -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Linear(0, 3), "Linear: expects in_features to be an integer from 1 up, got 0"),
        (lambda: nn.Linear(3, -1), "Linear: expects out_features to be an integer from 1 up, got -1"),
        (lambda: nn.Linear(3, 2.0), "Linear: expects out_features to be an integer from 1 up, got 2.0"),
        (lambda: nn.Embedding(0, 3), "Embedding: expects num_embeddings to be"),
        (lambda: nn.Embedding(3, 0), "Embedding: expects embedding_dim to be"),
        (lambda: nn.Conv2d(0, 4, 3), "Conv2d: expects in_channels to be"),
        (lambda: nn.Conv2d(2, 4, 3, groups=0), "Conv2d: expects groups to be"),
        (lambda: nn.ConvTranspose2d(2, 0, 3), "ConvTranspose2d: expects out_channels to be"),
        (lambda: nn.ConvTranspose2d(2, 4, 3, groups=0), "ConvTranspose2d: expects groups to be"),
        (lambda: nn.MaskedConv2d(2, 4, 3, "A", colours=0), "MaskedConv2d: expects colours to be"),
        (lambda: nn.MaskedConv2d(2, 4, 3, "A", splits=0), "MaskedConv2d: expects splits to be"),
        (lambda: nn.LSTM(0, 3), "LSTM: expects input_size to be"),
        (lambda: nn.LSTM(3, 3, num_layers=0), "LSTM: expects num_layers to be"),
        (lambda: nn.LSTMCell(3, 0), "LSTMCell: expects hidden_size to be"),
        (lambda: nn.BatchNorm1d(0), "BatchNorm1d: expects num_features to be"),
        (lambda: nn.InstanceNorm2d(0), "InstanceNorm2d: expects num_features to be"),
        (lambda: nn.LayerNorm((3, 0)), "LayerNorm: expects normalized_shape to be"),
        (lambda: nn.MaxPool2d(0), "MaxPool2d: expects kernel_size to be an int from 1 up"),
        (lambda: nn.Upsample(scale_factor=0), "Upsample: expects scale_factor to be an int from 1 up"),
        (lambda: nn.Upsample(scale_factor=1.5), "Upsample: expects scale_factor to be an int from 1 up"),
    ],
)
def test_a_layer_without_size_is_refused(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        make()
