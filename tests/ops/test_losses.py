"""Losses: values against their definitions, extreme logits, and no silent broadcasting."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen import ops
from minigen.autograd import Tensor, grad, tensor
from minigen.backend import Device
from minigen.testing.checks import Case
from minigen.testing.strategies import SEEDS, Cases, shapes, uniform

REDUCTIONS = st.sampled_from(["mean", "sum", "none"])

# -- cases -------------------------------------------------------------------------------------------------------------


@st.composite
def squared_errors(draw: st.DrawFn) -> Case:
    shape, reduction = draw(shapes()), draw(REDUCTIONS)
    fn = lambda x, target: ops.mse_loss(x, target, reduction=reduction)
    return Case(fn, [draw(uniform(shape)), draw(uniform(shape))])


@st.composite
def binary_cross_entropies(draw: st.DrawFn) -> Case:
    shape, reduction = draw(shapes()), draw(REDUCTIONS)
    fn = lambda logits, target: ops.binary_cross_entropy_with_logits(logits, target, reduction=reduction)
    return Case(fn, [draw(uniform(shape, -4.0, 4.0)), draw(uniform(shape, 0.0, 1.0))])


@st.composite
def classification(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Logits (N, classes, ...) and targets (N, ...)."""
    n, classes = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    places = tuple(draw(st.lists(st.integers(1, 2), max_size=2)))
    dtype = draw(st.sampled_from(["int64", "int32", "uint8"]))
    target = np.random.default_rng(draw(SEEDS)).integers(classes, size=(n, *places)).astype(dtype)
    return draw(uniform((n, classes, *places))), target


@st.composite
def cross_entropies(draw: st.DrawFn) -> Case:
    reduction = draw(REDUCTIONS)
    fn = lambda logits, target: ops.cross_entropy(logits, target, reduction=reduction)
    return Case(fn, list(draw(classification())))


CASES: Cases = {
    "mse_loss": squared_errors(),
    "binary_cross_entropy_with_logits": binary_cross_entropies(),
    "cross_entropy": cross_entropies(),
}


# -- values ------------------------------------------------------------------------------------------------------------


def check_values(loss: Callable[..., Tensor], x: np.ndarray, target: np.ndarray, each: np.ndarray) -> None:
    """`each` is the loss at each place; the reductions follow from it."""
    for reduction, expected in [("none", each), ("sum", each.sum()), ("mean", each.sum() / each.size)]:
        result = loss(tensor(x), tensor(target), reduction=reduction)
        assert result.shape == np.shape(expected)
        np.testing.assert_allclose(result.numpy(), expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(loss(tensor(x), tensor(target)).numpy(), each.mean(), rtol=1e-12, atol=1e-14)


@given(data=st.data())
def test_mse_loss_is_the_squared_difference(data: st.DataObject) -> None:
    shape = data.draw(shapes())
    x, target = data.draw(uniform(shape)), data.draw(uniform(shape))
    each = np.zeros(shape)
    for i in np.ndindex(shape):
        each[i] = math.pow(x[i] - target[i], 2)
    check_values(ops.mse_loss, x, target, each)


@given(data=st.data())
def test_binary_cross_entropy_is_the_negative_log_likelihood_of_a_coin(data: st.DataObject) -> None:
    """-t log p - (1 - t) log(1 - p), with p = 1 / (1 + e^-l)"""
    shape = data.draw(shapes())
    logits, target = data.draw(uniform(shape, -4.0, 4.0)), data.draw(uniform(shape, 0.0, 1.0))
    each = np.zeros(shape)
    for i in np.ndindex(shape):
        p = 1 / (1 + math.exp(-logits[i]))
        each[i] = -target[i] * math.log(p) - (1 - target[i]) * math.log(1 - p)
    check_values(ops.binary_cross_entropy_with_logits, logits, target, each)


@given(data=st.data())
def test_cross_entropy_is_the_negative_log_likelihood_of_the_class(data: st.DataObject) -> None:
    """-log softmax(logits)[target]"""
    logits, target = data.draw(classification())
    each = np.zeros(target.shape)
    for n, *place in np.ndindex(target.shape):
        weights = [math.exp(logits[n, k, *place]) for k in range(logits.shape[1])]
        each[n, *place] = -math.log(weights[target[n, *place]] / math.fsum(weights))
    check_values(ops.cross_entropy, logits, target, each)


@given(data=st.data())
def test_two_classes_are_one_logit(data: st.DataObject) -> None:
    """softmax over (0, l) is (1 - sigmoid(l), sigmoid(l))."""
    shape = (2, *data.draw(shapes(max_dims=1)))
    logit = tensor(data.draw(uniform(shape)), requires_grad=True)
    target = np.random.default_rng(data.draw(SEEDS)).integers(2, size=shape)
    two = ops.cross_entropy(ops.stack([0.0 * logit, logit], axis=1), tensor(target))
    one = ops.binary_cross_entropy_with_logits(logit, tensor(target.astype(float)))
    np.testing.assert_allclose(two.numpy(), one.numpy(), rtol=1e-12)
    np.testing.assert_allclose(grad(two, logit)[0].numpy(), grad(one, logit)[0].numpy(), rtol=1e-10, atol=1e-14)


# -- extreme values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_binary_cross_entropy_does_not_overflow(dtype: str, device: Device) -> None:
    logits = tensor(np.array([1e4, 1e4, -1e4, -1e4, 0.0], dtype), requires_grad=True)
    target = tensor(np.array([1, 0, 1, 0, 1], dtype))
    with np.errstate(all="raise", under="ignore"):
        loss = ops.binary_cross_entropy_with_logits(logits, target, reduction="none")
        (g,) = grad(loss.sum(), logits)
    np.testing.assert_allclose(loss.numpy(), [0, 1e4, 1e4, 0, math.log(2)], rtol=1e-6)
    np.testing.assert_allclose(g.numpy(), [0, 1, -1, 0, -0.5])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cross_entropy_does_not_overflow(dtype: str, device: Device) -> None:
    logits = tensor(np.array([[1e4, -1e4], [1e4, -1e4], [-1e4, -1e4]], dtype), requires_grad=True)
    with np.errstate(all="raise", under="ignore"):
        loss = ops.cross_entropy(logits, tensor(np.array([0, 1, 1])), reduction="none")
        (g,) = grad(loss.sum(), logits)
    np.testing.assert_allclose(loss.numpy(), [0, 2e4, math.log(2)], rtol=1e-6)
    np.testing.assert_allclose(g.numpy(), [[0, 0], [1, -1], [0.5, -0.5]])


def test_cross_entropy_of_what_is_no_number_is_no_number(device: Device) -> None:
    logits = tensor([[math.nan, 0.0], [0.0, math.nan], [0.0, 0.0]])
    losses = ops.cross_entropy(logits, device.asarray([0, 0, 0]), reduction="none").numpy()
    assert np.isnan(losses).tolist() == [True, True, False]


def test_binary_cross_entropy_of_integer_targets_keeps_the_dtype(device: Device) -> None:
    logits = tensor([0.5, -0.5], requires_grad=True)
    loss = ops.binary_cross_entropy_with_logits(logits, tensor(np.array([1, 0], "uint8")))
    (g,) = grad(loss, logits, create_graph=True)
    assert loss.dtype == g.dtype == np.float32
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-0.5)))


@pytest.mark.parametrize("name", ["mse_loss", "binary_cross_entropy_with_logits", "cross_entropy"])
@pytest.mark.parametrize("kind", ["uint8", "int64"])
def test_a_loss_of_integers_is_computed_in_the_default_dtype(name: str, kind: str, device: Device) -> None:
    """uint8 would wrap around: 1 - 2 is 255 there."""
    x, target = np.array([[1, 0, 200], [2, 255, 0]], kind), np.array([[2, 1, 0], [0, 1, 0]], kind)
    target = target[:, 0] if name == "cross_entropy" else target
    result = getattr(ops, name)(tensor(x), tensor(target))
    labels = target if name == "cross_entropy" else target.astype("float32")
    assert result.dtype == np.float32
    assert result.item() == pytest.approx(getattr(ops, name)(tensor(x.astype("float32")), tensor(labels)).item())


# -- errors ------------------------------------------------------------------------------------------------------------


def zeros(*shape: int, dtype: str = "float32") -> Tensor:
    return tensor(np.zeros(shape, dtype))


@pytest.mark.parametrize("name", ["mse_loss", "binary_cross_entropy_with_logits"])
def test_a_loss_does_not_broadcast(name: str, device: Device) -> None:
    for x, target in [(zeros(3, 1), zeros(3)), (zeros(3), zeros(3, 1)), (zeros(2, 3), zeros())]:
        with pytest.raises(ValueError, match=f"{name}: .*does not broadcast") as caught:
            getattr(ops, name)(x, target)
        assert str(caught.value).startswith(f"{name}: ")
        assert str(x.shape) in str(caught.value)
        assert str(target.shape) in str(caught.value)


@pytest.mark.parametrize(
    ("logits", "target", "error", "words"),
    [
        (zeros(2, 3), zeros(2), TypeError, "expects integer classes as target, got float32"),
        (zeros(2, 3), zeros(2, dtype="bool"), TypeError, "expects integer classes as target, got bool"),
        (zeros(2, 3), zeros(2, 1, dtype="int64"), ValueError, "logits (N, classes, ...) are (2, 3) but target"),
        (zeros(2, 3, 4), zeros(2, 3, dtype="int64"), ValueError, "are (2, 3, 4) but target (N, ...) is (2, 3)"),
        (zeros(3), zeros(3, dtype="int64"), ValueError, "are (3,) but target (N, ...) is (3,)"),
    ],
)
def test_targets_that_do_not_fit_are_refused(
    logits: Tensor, target: Tensor, error: Any, words: str, device: Device
) -> None:
    with pytest.raises(error) as caught:
        ops.cross_entropy(logits.to(device), target.to(device))
    assert str(caught.value).startswith("cross_entropy: ")
    assert words in str(caught.value)


@pytest.mark.parametrize(("classes", "shown"), [([0, 3], "0 ... 3"), ([-1, 2], "-1 ... 2")])
def test_classes_out_of_range_are_refused(classes: list[int], shown: str) -> None:
    """On a CPU; a GPU would have to wait for the answer."""
    with pytest.raises(ValueError) as caught:
        ops.cross_entropy(zeros(2, 3), tensor(np.array(classes)))
    assert f"cross_entropy: target holds classes {shown} but logits have 3" in str(caught.value)


@pytest.mark.parametrize("name", ["mse_loss", "binary_cross_entropy_with_logits", "cross_entropy"])
def test_an_unknown_reduction_is_refused(name: str) -> None:
    target = tensor(np.array([0])) if name == "cross_entropy" else zeros(1, 2)
    with pytest.raises(ValueError, match=f'{name}: expects reduction "mean", "sum" or "none", got .average'):
        getattr(ops, name)(zeros(1, 2), target, reduction="average")


@pytest.mark.parametrize("name", ["mse_loss", "binary_cross_entropy_with_logits"])
def test_different_dtypes_and_devices_are_refused(name: str, gpu_standin: Device) -> None:
    loss = getattr(ops, name)
    for pair in [(zeros(2), zeros(2, dtype="float64")), (zeros(2, dtype="float64"), zeros(2))]:
        with pytest.raises(TypeError, match="dtypes do not agree"):
            loss(*pair)
    with pytest.raises(ValueError, match=r"cpu.*gpu:0"):
        loss(zeros(2), zeros(2).to(gpu_standin))


@pytest.mark.parametrize("name", ["mse_loss", "binary_cross_entropy_with_logits", "cross_entropy"])
def test_a_target_that_is_no_array_is_refused(name: str) -> None:
    with pytest.raises(TypeError, match=f"{name}: "):
        getattr(ops, name)(zeros(2, 2), 1.0)
