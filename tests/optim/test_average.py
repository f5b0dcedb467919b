"""The moving average of weights, in closed form, and what it does to the module."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen import nn
from minigen.autograd import tensor
from minigen.backend import Device, blocks, to_numpy
from minigen.optim import WeightEMA
from minigen.testing.strategies import SEEDS


def as_bytes(arrays: Iterable[Any]) -> list[bytes]:
    return [to_numpy(x).tobytes() for x in arrays]


@given(decay=st.floats(0, 0.999), steps=st.integers(0, 6), seed=SEEDS)
def test_ema_in_closed_form(decay: float, steps: int, seed: int, device: Device) -> None:
    """Each update, with d_n = min(decay, (1 + n) / (10 + n)), gives p_n the weight 1 - d_n and scales the others."""
    values = np.random.default_rng(seed).normal(size=(steps + 1, 2, 3)).astype("float32")
    layer = nn.Linear(3, 2, bias=False)
    layer.load_state_dict({"weight": values[0]})
    ema = WeightEMA(layer, decay)
    for value in values[1:]:
        layer.load_state_dict({"weight": value})
        ema.update()
    decays = [min(decay, (1 + n) / (10 + n)) for n in range(1, steps + 1)]
    weights = [(1 - d) * math.prod(decays[n:]) for n, d in enumerate([0, *decays])]
    expected = np.tensordot(weights, values.astype("float64"), 1)
    average = ema.state_dict()["weight"]
    np.testing.assert_allclose(to_numpy(average), expected, rtol=1e-5, atol=1e-6)
    assert average.dtype == np.float32
    np.testing.assert_array_equal(layer.weight.numpy(), values[-1])


def test_ema_of_parameters_longer_than_a_block(device: Device) -> None:
    n = next(blocks(np.zeros(1 << 20))).stop
    layer = nn.Linear(2 * n + 7, 1)
    ema = WeightEMA(layer, 0.125)
    before = layer.weight.numpy().copy()
    layer.weight.data = layer.weight.data + 1
    ema.update()
    np.testing.assert_allclose(to_numpy(ema.average["weight"]), before + 0.875, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("fails", [False, True])
def test_ema_applied(fails: bool, device: Device) -> None:
    """Inside, the averaged weights; afterwards the module's own, bit by bit, also where the block fails."""
    layer = nn.Linear(3, 2)
    arrays, ema = [p.data for p in layer.parameters()], WeightEMA(layer, 0.9)
    for p in layer.parameters():
        p.data += 1
    ema.update()
    own, average = as_bytes(p.data for p in layer.parameters()), as_bytes(ema.average.values())
    assert own != average
    try:
        with ema.applied():
            assert as_bytes(p.data for p in layer.parameters()) == average
            if fails:
                raise KeyError("inside the block")
    except KeyError:
        assert fails
    assert as_bytes(p.data for p in layer.parameters()) == own
    assert as_bytes(ema.average.values()) == average
    assert all(p.data is x for p, x in zip(layer.parameters(), arrays, strict=True))  # what an optimizer holds


def test_ema_is_seen_by_the_tape(device: Device) -> None:
    layer, x = nn.Linear(2, 1), tensor([[1.0, 2.0]], requires_grad=True)
    ema, y = WeightEMA(layer), layer(x)
    with ema.applied():
        pass
    with pytest.raises(RuntimeError, match="changed in place after the forward pass"):
        y.sum().backward()


def test_ema_of_running_statistics(device: Device) -> None:
    """They are averaged with the parameters, the count of batches is not: it stays the module's own."""
    layer, random = nn.BatchNorm1d(2), np.random.default_rng(0)
    ema = WeightEMA(layer, 0.125)
    assert list(ema.average) == ["weight", "bias", "running_mean", "running_var"]
    mean, var = np.zeros(2), np.ones(2)
    for _ in range(3):
        layer(tensor(random.normal(3, 2, size=(4, 2)).astype("float32")))
        ema.update()
        mean = 0.125 * mean + 0.875 * layer.running_mean.numpy()
        var = 0.125 * var + 0.875 * layer.running_var.numpy()
    np.testing.assert_allclose(to_numpy(ema.average["running_mean"]), mean, rtol=1e-5)
    np.testing.assert_allclose(to_numpy(ema.average["running_var"]), var, rtol=1e-5)
    own, x = as_bytes(layer.state_dict().values()), random.normal(size=(5, 2)).astype("float32")
    layer.eval()
    with ema.applied():
        np.testing.assert_allclose(layer(tensor(x)).numpy(), (x - mean) / np.sqrt(var + 1e-5), rtol=1e-4, atol=1e-5)
        assert layer.num_batches_tracked.item() == 3
    assert as_bytes(layer.state_dict().values()) == own


def test_the_average_of_a_short_run_is_not_one_of_initial_weights(device: Device) -> None:
    """They are forgotten after some tens of updates, where 0.999^30 of them, 97 %, would be left."""
    layer = nn.Linear(1, 1, bias=False)
    layer.load_state_dict({"weight": np.full((1, 1), 1e3, "float32")})
    ema = WeightEMA(layer, 0.999)
    layer.load_state_dict({"weight": np.ones((1, 1), "float32")})
    for _ in range(30):
        ema.update()
    assert float(ema.average["weight"].item()) == pytest.approx(1.0, abs=1e-3)


def test_an_average_of_before_there_was_a_warm_up_is_warm(device: Device) -> None:
    layer = nn.Linear(1, 1, bias=False)
    ema = WeightEMA(layer, 0.75)
    ema.load_state_dict({"weight": np.zeros((1, 1), "float32")})
    layer.load_state_dict({"weight": np.ones((1, 1), "float32")})
    ema.update()
    assert ema.average["weight"].item() == 0.25


def test_ema_state(device: Device) -> None:
    layer = nn.Linear(3, 2)
    ema = WeightEMA(layer, 0.9)
    for _ in range(5):  # the warm-up goes on
        layer.weight.data += 1
        ema.update()
    other = WeightEMA(nn.Linear(3, 2), 0.9)
    other.load_state_dict({name: to_numpy(x).copy() for name, x in ema.state_dict().items()})
    other.module.load_state_dict(layer.state_dict())
    for average in (ema, other):
        average.update()
    assert as_bytes(other.state_dict().values()) == as_bytes(ema.state_dict().values())


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"weight": np.ones((2, 3), "float32")}, "bias is missing"),
        (
            {"weight": np.ones((3, 2), "float32"), "bias": np.ones(2, "float32")},
            r"weight: expects .*, got \(3, 2\) float32",
        ),
        (
            {"weight": np.ones((2, 3), "int64"), "bias": np.ones(2, "float32")},
            r"weight: expects .*, got \(2, 3\) int64",
        ),
    ],
)
def test_ema_state_that_does_not_fit(state: dict, message: str, device: Device) -> None:
    ema = WeightEMA(nn.Linear(3, 2))
    before = as_bytes(ema.state_dict().values())
    with pytest.raises(ValueError, match=f"^WeightEMA: the state does not fit .*{message}"):
        ema.load_state_dict(state)
    assert as_bytes(ema.state_dict().values()) == before


@pytest.mark.parametrize("decay", [-0.1, 1.0, 2.0, math.nan])
def test_ema_decay(decay: float) -> None:
    with pytest.raises(ValueError, match=rf"^WeightEMA: expects decay in \[0, 1\), got {decay}$"):
        WeightEMA(nn.Linear(1, 1), decay)
