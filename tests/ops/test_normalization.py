"""Normalisation and dropout: values against their definitions, edge cases, errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from minigen import ops
from minigen.autograd import Tensor, grad, tensor
from minigen.backend import Device
from minigen.processes import Part
from minigen.random import manual_seed, random_state, set_random_state
from minigen.testing.checks import Case
from minigen.testing.strategies import Cases, shapes, uniform, well_separated

# -- cases -------------------------------------------------------------------------------------------------------------


@st.composite
def batches(draw: st.DrawFn) -> list[np.ndarray]:
    """x (N, C, ...) with two values or more a channel, and perhaps a weight and a bias (C,)."""
    shape = draw(shapes(min_dims=2, max_dims=4))
    assume(math.prod(shape) > shape[1])
    (x,) = draw(well_separated(shape))
    count = draw(st.integers(0, 2))
    return [x, *(draw(uniform((shape[1],), 0.5, 2.0)) for _ in range(count))]


class Twins:
    """Two processes whose rows are the same."""

    rank, size = 0, 2

    def sum(self, x: Any) -> Any:
        return 2 * x


@st.composite
def batch_norms(draw: st.DrawFn) -> Case:
    inputs = draw(batches())
    bias_only, eps = draw(st.booleans()), draw(st.sampled_from([1e-5, 0.1]))
    n = len(inputs[0])
    part = draw(st.none() | st.just(Part(Twins(), 0, n, 2 * n)))

    def fn(x: Tensor, weight: Any = None, bias: Any = None) -> Tensor:
        if bias_only:
            weight, bias = bias, weight
        return ops.batch_norm(x, weight, bias, eps=eps, part=part)[0]

    return Case(fn, inputs)


@st.composite
def batch_norms_in_evaluation(draw: st.DrawFn) -> Case:
    inputs = draw(batches())
    channels = inputs[0].shape[1]
    running_mean, running_var = draw(uniform((channels,))), draw(uniform((channels,), 0.5, 2.0))

    def fn(x: Tensor, weight: Any = None, bias: Any = None) -> Tensor:
        statistics = [tensor(s.astype(x.dtype), device=x.device) for s in (running_mean, running_var)]
        return ops.normalize(x, *statistics, weight, bias)

    return Case(fn, inputs)


@st.composite
def dropouts(draw: st.DrawFn) -> Case:
    p, seed = draw(st.sampled_from([0.1, 0.5, np.float64(0.8)])), draw(st.integers(0, 1000))

    def fn(x: Tensor) -> Tensor:
        manual_seed(seed)  # every call drops the same values
        return ops.dropout(x, p)

    return Case(fn, [draw(uniform(draw(shapes())))])


@st.composite
def sums_per_channel(draw: st.DrawFn) -> Case:
    """Also with the channels last in memory, where another way is taken."""
    x = draw(batches())[0]
    if draw(st.booleans()):
        return Case(ops.reductions.sum_per_channel, [x])
    order = (0, x.ndim - 1, *range(1, x.ndim - 1))
    return Case(lambda x: ops.reductions.sum_per_channel(ops.permute_dims(x, order)), [x])


@st.composite
def layer_norms(draw: st.DrawFn) -> Case:
    shape = draw(shapes(min_dims=1, max_size=8))
    normalized = shape[draw(st.integers(0, len(shape) - 1)) :]
    count, eps = draw(st.integers(0, 2)), draw(st.sampled_from([1e-2, 0.1]))
    inputs = [*draw(well_separated(shape)), *(draw(uniform(normalized)) for _ in range(count))]
    return Case(lambda x, *parameters: ops.layer_norm(x, normalized, *parameters, eps=eps), inputs)


@st.composite
def instance_norms(draw: st.DrawFn) -> Case:
    shape = draw(shapes(min_dims=3, max_dims=4, max_size=12))
    count, eps = draw(st.integers(0, 2)), draw(st.sampled_from([1e-2, 0.1]))
    inputs = [*draw(well_separated(shape)), *(draw(uniform((shape[1],))) for _ in range(count))]
    return Case(lambda x, *parameters: ops.instance_norm(x, *parameters, eps=eps), inputs)


CASES: Cases = {
    "layer_norm": layer_norms(),  # compositions
    "instance_norm": instance_norms(),
    "batch_norm": batch_norms(),
    "normalize": batch_norms_in_evaluation(),  # no operation of its own
    "dropout": dropouts(),
    "sum_per_channel": sums_per_channel(),
}


# -- batch normalisation -----------------------------------------------------------------------------------------------


@given(data=st.data())
def test_in_training_batch_norm_takes_the_statistics_of_the_batch(data: st.DataObject) -> None:
    """Channel by channel, and the batch's mean and (biased) variance."""
    x = data.draw(batches())[0]
    channels, eps = x.shape[1], 1e-5
    weight, bias = data.draw(uniform((channels,))), data.draw(uniform((channels,)))
    y, batch_mean, batch_var = (t.numpy() for t in ops.batch_norm(tensor(x), tensor(weight), tensor(bias), eps=eps))
    for c in range(channels):
        values = [float(v) for v in np.ravel(x[:, c])]
        n = len(values)
        mean = math.fsum(values) / n
        squares = math.fsum((v - mean) ** 2 for v in values)
        expected = [weight[c] * (v - mean) / math.sqrt(squares / n + eps) + bias[c] for v in values]
        np.testing.assert_allclose(np.ravel(y[:, c]), expected, rtol=1e-9, atol=1e-9)
        assert batch_mean[c] == pytest.approx(mean)
        assert batch_var[c] == pytest.approx(squares / n)


@given(data=st.data())
def test_normalised_values_have_mean_0_and_variance_1(data: st.DataObject) -> None:
    x = data.draw(batches())[0]
    y = ops.batch_norm(tensor(x), eps=0.0)[0].numpy()
    axes = (0, *range(2, x.ndim))
    np.testing.assert_allclose(y.mean(axis=axes), 0, atol=1e-9)
    np.testing.assert_allclose(y.var(axis=axes), 1, rtol=1e-9)


@given(data=st.data())
def test_in_evaluation_batch_norm_takes_the_running_statistics(data: st.DataObject) -> None:
    x = data.draw(batches())[0]
    channels = x.shape[1]
    mean, var = data.draw(uniform((channels,))), data.draw(uniform((channels,), 0.5, 2.0))
    weight, bias = data.draw(uniform((channels,))), data.draw(uniform((channels,)))
    statistics = tensor(mean), tensor(var)
    for w, b in [(weight, bias), (None, bias), (weight, None), (None, None)]:
        parameters = [None if p is None else tensor(p) for p in (w, b)]
        y = ops.normalize(tensor(x), *statistics, *parameters, eps=1e-3).numpy()
        for index in np.ndindex(x.shape):
            c = index[1]
            scale, shift = 1.0 if w is None else w[c], 0.0 if b is None else b[c]
            assert y[index] == pytest.approx(scale * (x[index] - mean[c]) / math.sqrt(var[c] + 1e-3) + shift)
    np.testing.assert_array_equal(statistics[0].numpy(), mean)
    np.testing.assert_array_equal(statistics[1].numpy(), var)


def test_batch_norm_keeps_the_digits_of_a_channel_far_from_zero() -> None:
    """The variance is taken of the centred values: E[x^2] - E[x]^2 would be lost in float32."""
    x = tensor(np.array([[1e4], [1e4 + 1]], "float32"))
    y, _, _ = ops.batch_norm(x)
    np.testing.assert_allclose(y.numpy(), [[-1], [1]], rtol=1e-4)


def test_a_constant_channel_stays_finite(device: Device) -> None:
    x = tensor(np.full((4, 2), 3.0, "float32"), requires_grad=True)
    y, _, _ = ops.batch_norm(x)
    (g,) = grad(y, x, tensor(np.arange(8, dtype="float32").reshape(4, 2)))
    np.testing.assert_array_equal(y.numpy(), np.zeros((4, 2)))
    assert np.isfinite(g.numpy()).all()


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_stays_float32_with_numpy_numbers(training: bool, device: Device) -> None:
    x = tensor(np.arange(6, dtype="float32").reshape(3, 2), requires_grad=True)
    weight, bias, mean, var = (tensor(np.ones(2, "float32"), requires_grad=i < 2) for i in range(4))
    eps: Any = np.float64(1e-5)
    if training:
        y, mean, var = ops.batch_norm(x, weight, bias, eps=eps)
    else:
        y = ops.normalize(x, mean, var, weight, bias, eps=eps)
    for result in (y, mean, var, *grad(y.sum(), [x, weight, bias])):
        assert result.dtype == np.float32


def channels(n: int) -> Tensor:
    return tensor(np.ones(n, "float32"))


@pytest.mark.parametrize("wrong", ["mean", "var", "weight", "bias"])
def test_the_wrong_number_of_channels_is_refused(wrong: str, device: Device) -> None:
    x = tensor(np.zeros((2, 3, 4, 4), "float32"))
    arguments = {name: channels(1 if name == wrong else 3) for name in ("mean", "var", "weight", "bias")}
    message = rf"batch_norm: x has 3 channels \(2, 3, 4, 4\) but {wrong} is \(1,\)"
    with pytest.raises(ValueError, match=message):
        ops.normalize(x, **arguments)
    if wrong in ("weight", "bias"):
        with pytest.raises(ValueError, match=message):
            ops.batch_norm(x, arguments["weight"], arguments["bias"])


@pytest.mark.parametrize("shape", [(1, 3), (1, 3, 1, 1), (0, 3), (2, 3, 0)])
def test_training_on_one_value_a_channel_is_refused(shape: tuple[int, ...]) -> None:
    x = tensor(np.zeros(shape, "float32"))
    with pytest.raises(ValueError) as caught:
        ops.batch_norm(x)
    assert str(caught.value).startswith(f"batch_norm: expects more than one value a channel, x is {shape}")
    assert ops.normalize(x, channels(3), channels(3)).shape == shape


def test_batch_norm_says_what_it_needs() -> None:
    for call in (lambda x: ops.batch_norm(x), lambda x: ops.normalize(x, x, x)):
        with pytest.raises(ValueError, match=r"batch_norm: expects x \(N, C, \.\.\.\), got \(3,\)"):
            call(channels(3))


def test_batch_norm_refuses_different_devices(gpu_standin: Device) -> None:
    x = tensor(np.zeros((2, 3), "float32"))
    with pytest.raises(ValueError, match=r"batch_norm.*x is on cpu.*weight is on gpu:0"):
        ops.batch_norm(x, channels(3).to(gpu_standin))


# -- layer and instance normalisation ----------------------------------------------------------------------------------


def standardized(values: np.ndarray, eps: float) -> list[float]:
    """Each number less their mean, over the root of their variance."""
    numbers = [float(v) for v in np.ravel(values)]
    mean = math.fsum(numbers) / len(numbers)
    variance = math.fsum((v - mean) ** 2 for v in numbers) / len(numbers)
    return [(v - mean) / math.sqrt(variance + eps) for v in numbers]


@given(data=st.data())
def test_layer_norm_takes_the_statistics_of_each_example(data: st.DataObject) -> None:
    shape = data.draw(shapes(min_dims=1, max_size=12))
    normalized = shape[data.draw(st.integers(0, len(shape) - 1)) :]
    x, weight, bias = (data.draw(uniform(s)) for s in (shape, normalized, normalized))
    y = ops.layer_norm(tensor(x), normalized, tensor(weight), tensor(bias), 1e-3).numpy()
    for place in np.ndindex(shape[: len(shape) - len(normalized)]):
        expected = np.reshape(standardized(x[place], 1e-3), normalized) * weight + bias
        np.testing.assert_allclose(y[place], expected, rtol=1e-9, atol=1e-12)


@given(data=st.data())
def test_instance_norm_takes_the_statistics_of_each_channel_of_each_image(data: st.DataObject) -> None:
    x = data.draw(uniform(data.draw(shapes(min_dims=3, max_dims=4, max_size=12))))
    weight, bias = (data.draw(uniform((x.shape[1],))) for _ in range(2))
    y = ops.instance_norm(tensor(x), tensor(weight), tensor(bias), eps=1e-3).numpy()
    for n, c in np.ndindex(x.shape[:2]):
        expected = np.reshape(standardized(x[n, c], 1e-3), x.shape[2:]) * weight[c] + bias[c]
        np.testing.assert_allclose(y[n, c], expected, rtol=1e-9, atol=1e-12)


def test_what_does_not_fit_a_layer_norm_is_refused(device: Device) -> None:
    x = tensor(np.zeros((2, 3, 4), "float32"))
    for shape in [(4, 3), (3,), (), (1, 2, 3, 4)]:
        with pytest.raises(ValueError, match=r"^layer_norm: expects x \(\.\.\., \*normalized_shape\) for "):
            ops.layer_norm(x, shape)
    with pytest.raises(ValueError, match=r"^layer_norm: expects a bias \(4,\), as normalized_shape, got \(3,\)"):
        ops.layer_norm(x, (4,), channels(4), channels(3))


def test_what_does_not_fit_an_instance_norm_is_refused(device: Device) -> None:
    with pytest.raises(ValueError, match=r"^instance_norm: expects x \(N, C, \.\.\.\), got \(2, 3\)"):
        ops.instance_norm(tensor(np.zeros((2, 3), "float32")))
    with pytest.raises(ValueError, match=r"^instance_norm: x has 3 channels \(2, 3, 4\) but weight is \(2,\)"):
        ops.instance_norm(tensor(np.zeros((2, 3, 4), "float32")), channels(2))


# -- dropout -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_expectation(p: float, device: Device) -> None:
    x = tensor(np.full(20_000, 3.0, "float32"), requires_grad=True)
    y = ops.dropout(x, p)
    values = y.numpy()
    kept = values != 0
    np.testing.assert_allclose(values[kept], 3 / (1 - p), rtol=1e-6)
    spread = math.sqrt(p * (1 - p) / x.size)
    assert abs(kept.mean() - (1 - p)) < 5 * spread
    (g,) = grad(y.sum(), x)
    np.testing.assert_allclose(g.numpy(), values / 3, rtol=1e-6)
    assert y.dtype == g.dtype == np.float32


def test_dropout_that_drops_nothing_returns_its_input() -> None:
    x = tensor([1.0, 2.0])
    assert ops.dropout(x, 0.0) is x
    assert ops.dropout(x, 0.9, training=False) is x


def test_dropout_takes_its_numbers_from_the_seed() -> None:
    x = tensor(np.ones(50, "float32"))
    before = random_state()
    first, second = ops.dropout(x).numpy(), ops.dropout(x).numpy()
    set_random_state(before)
    np.testing.assert_array_equal(ops.dropout(x).numpy(), first)
    assert (first != second).any()


@pytest.mark.parametrize("p", [1, 1.5, -0.1, math.nan])
def test_dropout_refuses_what_is_no_probability(p: float) -> None:
    with pytest.raises(ValueError, match=rf"dropout: expects a probability 0 <= p < 1, got {p}"):
        ops.dropout(tensor([1.0]), p)


@given(x=batches())
def test_sum_per_channel_is_the_sum_in_either_memory_order(x: list[np.ndarray]) -> None:
    first = x[0]
    last = np.ascontiguousarray(np.moveaxis(first, 1, -1))
    for there in (first, np.moveaxis(last, -1, 1)):
        expected = [there[:, c].sum() for c in range(there.shape[1])]
        np.testing.assert_allclose(ops.reductions.sum_per_channel(there), expected, rtol=1e-12, atol=1e-12)
