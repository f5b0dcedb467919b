"""Optimizers against their formulas applied number by number, and what they do to the parameters that they hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen import nn
from minigen.autograd import Tensor, tensor
from minigen.backend import Device, blocks, to_numpy
from minigen.nn import Parameter
from minigen.optim import SGD, Adam, AdamW, Optimizer, RMSprop
from minigen.testing.strategies import SEEDS

# -- the formulas, for one number and its gradients --------------------------------------------------------------------


def sgd(p: float, gradients: Iterable[float], lr: float, momentum: float = 0.0, weight_decay: float = 0.0) -> float:
    v = 0.0
    for g in gradients:
        v = momentum * v + g + weight_decay * p
        p = p - lr * v
    return p


def adam(
    p: float,
    gradients: Iterable[float],
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> float:
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        g = g + weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g**2
        m_hat, v_hat = m / (1 - betas[0] ** t), v / (1 - betas[1] ** t)
        p = p - lr * m_hat / (math.sqrt(v_hat) + eps)
    return p


def adamw(p: float, gradients: Iterable[float], lr: float = 1e-3, weight_decay: float = 1e-2, **others: Any) -> float:
    seen: list[float] = []
    for g in gradients:  # Adam's moments do not know the parameter, so its steps depend on the gradients alone
        step = adam(0.0, [*seen, g], lr, **others) - adam(0.0, seen, lr, **others)
        p, seen = p - lr * weight_decay * p + step, [*seen, g]
    return p


def rmsprop(
    p: float,
    gradients: Iterable[float],
    lr: float = 1e-2,
    alpha: float = 0.99,
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> float:
    v = 0.0
    for g in gradients:
        g = g + weight_decay * p
        v = alpha * v + (1 - alpha) * g**2
        p = p - lr * g / (math.sqrt(v) + eps)
    return p


ORACLES: dict[type[Optimizer], Callable[..., float]] = {SGD: sgd, Adam: adam, AdamW: adamw, RMSprop: rmsprop}
KINDS = list(ORACLES)
EXAMPLES: list[tuple[type[Optimizer], dict[str, Any]]] = [
    (SGD, {"lr": 0.1}),
    (SGD, {"lr": 0.1, "momentum": 0.9}),
    (SGD, {"lr": 0.05, "momentum": 0.5, "weight_decay": 0.1}),
    (Adam, {}),
    (Adam, {"lr": 0.01, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1}),
    (Adam, {"betas": (0.0, 0.0)}),
    (AdamW, {}),
    (AdamW, {"lr": 0.01, "betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.5}),
    (RMSprop, {}),
    (RMSprop, {"lr": 0.001, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.1}),
]
every_optimizer = pytest.mark.parametrize(
    ("kind", "settings"), EXAMPLES, ids=[f"{kind.__name__}{len(settings)}" for kind, settings in EXAMPLES]
)


@st.composite
def an_optimizer(draw: st.DrawFn) -> tuple[type[Optimizer], dict[str, Any]]:
    kind, below_1 = draw(st.sampled_from(KINDS)), st.just(0.0) | st.floats(0.1, 0.999)
    settings: dict[str, Any] = {
        "lr": draw(st.floats(1e-4, 0.3)),
        "weight_decay": draw(st.just(0.0) | st.floats(0, 0.5)),
    }
    if kind is SGD:
        return kind, settings | {"momentum": draw(st.just(0.0) | below_1)}
    settings["eps"] = draw(st.floats(1e-8, 0.1))
    return kind, settings | (
        {"betas": draw(st.tuples(below_1, below_1))} if issubclass(kind, Adam) else {"alpha": draw(below_1)}
    )


def random_arrays(shapes: Sequence[tuple[int, ...]], seed: int, dtype: str = "float64") -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.normal(size=shape).astype(dtype) for shape in shapes]


def parameters_of(arrays: Iterable[np.ndarray]) -> list[Parameter]:
    return [Parameter(tensor(x).data) for x in arrays]


def give(parameters: list[Parameter], gradients: list[np.ndarray]) -> None:
    for p, g in zip(parameters, gradients, strict=True):
        p.grad = tensor(g)


def as_bytes(arrays: Iterable[Any]) -> list[bytes]:
    return [to_numpy(x).tobytes() for x in arrays]


def check_twenty_steps(
    kind: type[Optimizer], settings: dict, seed: int, dtype: str, rtol: float, device: Device
) -> None:
    shapes = [(2, 3), (4,), ()]
    start = random_arrays(shapes, seed, dtype)
    gradients = [random_arrays(shapes, seed + step, dtype) for step in range(1, 21)]
    parameters = parameters_of(start)
    arrays = [p.data for p in parameters]
    optimizer = kind(parameters, **settings)
    for step in gradients:
        give(parameters, step)
        optimizer.step()
    assert optimizer.steps == 20
    for i, p in enumerate(parameters):
        expected = np.zeros(shapes[i])
        for index in np.ndindex(*shapes[i]):
            series = (float(g[i][index]) for g in gradients)
            expected[index] = ORACLES[kind](float(start[i][index]), series, **settings)
        np.testing.assert_allclose(p.numpy(), expected, rtol=rtol, atol=rtol * (1 + np.abs(expected).max()))
        assert p.dtype == dtype and p.data is arrays[i]  # in place
        assert p.device == device and p.requires_grad
        np.testing.assert_array_equal(p.grad.numpy(), gradients[-1][i])  # the gradient is only read
        for x in optimizer.state[i].values():
            assert x.dtype == dtype and x.shape == p.shape


@given(chosen=an_optimizer(), seed=SEEDS)
def test_twenty_steps(chosen: tuple[type[Optimizer], dict], seed: int, device: Device) -> None:
    check_twenty_steps(*chosen, seed, "float64", 1e-12, device)


@every_optimizer
def test_twenty_steps_in_float32(kind: type[Optimizer], settings: dict, device: Device) -> None:
    check_twenty_steps(kind, settings, 0, "float32", 1e-5, device)


@every_optimizer
def test_parameters_longer_than_a_block(kind: type[Optimizer], settings: dict, device: Device) -> None:
    """Two blocks and a piece on a CPU; the numbers at both sides of each border move by the formula."""
    block = next(blocks(np.zeros(1 << 20))).stop
    shape = (3, (2 * block + 1000) // 3 + 1)
    assert sum(1 for _ in blocks(np.zeros(shape))) == 3 and math.prod(shape) % block != 0
    (start,), gradients = random_arrays([shape], 0), [random_arrays([shape], step)[0] for step in (1, 2, 3)]
    (p,) = parameters_of([start])
    optimizer = kind([p], **settings)
    for g in gradients:
        give([p], [g])
        optimizer.step()
    for i in (0, 1, block - 1, block, block + 1, 2 * block - 1, 2 * block, p.size - 1):
        expected = ORACLES[kind](float(start.flat[i]), (float(g.flat[i]) for g in gradients), **settings)
        assert p.numpy().flat[i] == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert (p.numpy() != start).all()


@every_optimizer
def test_gradients_in_any_memory_order(kind: type[Optimizer], settings: dict, device: Device) -> None:
    start, gradient = random_arrays([(4, 3), (4, 3)], 0)
    xs = device.asarray
    layouts = [xs(gradient), xs(np.ascontiguousarray(gradient.T)).T, xs(np.repeat(gradient, 2, 1))[:, ::2]]
    layouts.append(xs(gradient[::-1].copy())[::-1])
    results = []
    for g in layouts:
        (p,) = parameters_of([start])
        optimizer = kind([p], **settings)
        for _ in range(3):
            p.grad = Tensor(g)
            optimizer.step()
        results.append(p.numpy().tobytes())
    assert len(set(results)) == 1


@every_optimizer
def test_parameters_in_any_memory_order(kind: type[Optimizer], settings: dict, device: Device) -> None:
    """A weight that someone replaced by a transposed array, before or during the run, moves as every other does."""
    start, gradient = random_arrays([(4, 3), (4, 3)], 0)
    plain, transposed, later = parameters_of([start, start, start])
    transposed.data = device.asarray(np.ascontiguousarray(start.T)).T
    assert not transposed.data.flags.c_contiguous
    optimizer = kind([plain, transposed, later], **settings)
    for _ in range(3):
        give([plain, transposed, later], [gradient, gradient, gradient])
        optimizer.step()
        later.data = later.data.T.copy().T
    np.testing.assert_array_equal(transposed.numpy(), plain.numpy())
    np.testing.assert_array_equal(later.numpy(), plain.numpy())
    assert (plain.numpy() != start).all()


@every_optimizer
def test_parameters_without_a_gradient_stay(kind: type[Optimizer], settings: dict, device: Device) -> None:
    """Also with weight decay, and so does their state."""
    parameters = parameters_of(random_arrays([(2,), (3,), (2, 2)], 0))
    before = as_bytes(p.data for p in parameters)
    optimizer = kind(iter(parameters), **settings)
    state = as_bytes(optimizer.state[1].values())
    for _ in range(2):
        parameters[0].grad, parameters[2].grad = tensor(np.ones(2)), tensor(np.ones((2, 2)))
        optimizer.step()
    after = as_bytes(p.data for p in parameters)
    assert after[1] == before[1] and as_bytes(optimizer.state[1].values()) == state
    assert after[0] != before[0] and after[2] != before[2]
    assert parameters[1].grad is None
    optimizer.zero_grad()
    assert all(p.grad is None for p in parameters)


@every_optimizer
def test_they_find_the_bottom_of_a_bowl(kind: type[Optimizer], settings: dict, device: Device) -> None:
    """f(p) = sum of d (p - a)^2 with curvatures from 0.5 to 2, through the tape, in float32."""
    d, a = tensor([0.5, 1.0, 2.0]), tensor([1.0, -2.0, 3.0])
    p = Parameter(tensor([0.0, 0.0, 0.0]).data)
    optimizer = kind([p], **{**settings, "lr": 0.05, "weight_decay": 0.0})
    for _ in range(300):
        optimizer.zero_grad()
        (d * (p - a).square()).sum().backward()
        optimizer.step()
    # the steps of Adam and RMSprop stay about as long as lr
    np.testing.assert_allclose(p.numpy(), a.numpy(), atol=1e-3 if kind is SGD else 0.06)
    assert p.dtype == np.float32


@every_optimizer
def test_the_tape_sees_the_step(kind: type[Optimizer], settings: dict, device: Device) -> None:
    """A backward pass that needs the parameter as it was says that it has changed."""
    p, x = Parameter(tensor([1.0, 2.0]).data), tensor([3.0, 4.0], requires_grad=True)
    loss = (p * x).sum()
    p.grad = tensor([1.0, 1.0])
    kind([p], **settings).step()
    with pytest.raises(RuntimeError, match="changed in place after the forward pass"):
        loss.backward()


# -- their state -------------------------------------------------------------------------------------------------------

SHAPES = [(2, 3), (3,)]


def train(optimizer: Optimizer, steps: Iterable[int]) -> None:
    for step in steps:
        give(optimizer.parameters, random_arrays(SHAPES, 100 + step, "float32"))
        optimizer.step()


@every_optimizer
def test_the_state_continues_bit_by_bit(kind: type[Optimizer], settings: dict, device: Device) -> None:
    first = kind(parameters_of(random_arrays(SHAPES, 0, "float32")), **settings)
    train(first, range(5))
    saved = {name: to_numpy(x).copy() for name, x in first.state_dict().items()}
    second = kind(parameters_of(p.numpy().copy() for p in first.parameters), **settings)
    second.load_state_dict(saved)
    assert second.steps == 5
    train(first, range(5, 10))
    train(second, range(5, 10))
    assert as_bytes(p.data for p in second.parameters) == as_bytes(p.data for p in first.parameters)
    assert as_bytes(second.state_dict().values()) == as_bytes(first.state_dict().values())
    assert second.steps == first.steps == 10


def test_names_of_the_state() -> None:
    parameters = parameters_of(random_arrays(SHAPES, 0))
    for optimizer, names in [
        (SGD(parameters, 0.1), []),
        (SGD(parameters, 0.1, momentum=0.9), ["0.momentum_buffer", "1.momentum_buffer"]),
        (Adam(parameters), ["0.exp_avg", "0.exp_avg_sq", "1.exp_avg", "1.exp_avg_sq"]),
        (RMSprop(parameters), ["0.square_avg", "1.square_avg"]),
    ]:
        state = optimizer.state_dict()
        assert list(state) == ["steps", *names]
        assert state["steps"] == 0
        assert all(state[name] is optimizer.state[int(name[0])][name[2:]] for name in names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("1.exp_avg"), "1.exp_avg is missing"),
        (lambda s: s.pop("steps"), "steps is missing"),
        (lambda s: s.update({"2.exp_avg": s["1.exp_avg"]}), "2.exp_avg is not known"),
        (
            lambda s: s.update({"0.exp_avg": s["0.exp_avg"][:1]}),
            r"0.exp_avg: expects \(2, 3\) float32, got \(1, 3\) float32",
        ),
        (
            lambda s: s.update({"1.exp_avg_sq": s["1.exp_avg_sq"].astype("int32")}),
            r"1.exp_avg_sq: expects .*, got \(3,\) int32",
        ),
        (lambda s: s.update({"steps": np.array(3.0)}), r"steps: expects \(\) int64, got \(\) float64"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(change: Callable[[dict], Any], message: str, device: Device) -> None:
    optimizer = Adam(parameters_of(random_arrays(SHAPES, 0, "float32")))
    train(optimizer, range(2))
    before = as_bytes(optimizer.state_dict().values())
    state = {name: to_numpy(x) + 1 for name, x in optimizer.state_dict().items()}
    change(state)
    with pytest.raises(ValueError, match=rf"^Adam: the state does not fit \(1 problems\).*: {message}"):
        optimizer.load_state_dict(state)
    assert as_bytes(optimizer.state_dict().values()) == before and optimizer.steps == 2


def test_the_state_of_another_optimizer(device: Device) -> None:
    parameters = parameters_of(random_arrays(SHAPES, 0))
    with pytest.raises(ValueError, match=r"^RMSprop: the state does not fit \(6 problems\)"):
        RMSprop(parameters).load_state_dict(Adam(parameters).state_dict())


# -- groups of parameters ----------------------------------------------------------------------------------------------


@every_optimizer
def test_groups_have_their_own_rate_and_decay(kind: type[Optimizer], settings: dict, device: Device) -> None:
    """Each parameter moves to the same bits as under an optimizer of its own with those settings."""
    settings = {"lr": 0.01, **settings}
    own: list[dict[str, float]] = [{}, {"lr": 0.3 * settings["lr"]}, {"weight_decay": 0.25}]
    arrays = random_arrays([(2, 3), (3,), ()], 0)
    together, alone = parameters_of(arrays), parameters_of(arrays)
    optimizer = kind([{"params": iter([p]), **group} for p, group in zip(together, own, strict=True)], **settings)
    others = [kind([p], **{**settings, **group}) for p, group in zip(alone, own, strict=True)]
    for step in range(1, 6):
        gradients = random_arrays([(2, 3), (3,), ()], step)
        give(together, gradients)
        give(alone, gradients)
        for x in (optimizer, *others):
            x.step()
    for p, q in zip(together, alone, strict=True):
        np.testing.assert_allclose(p.numpy(), q.numpy(), rtol=1e-12)


def test_the_learning_rates_of_groups_change_in_proportion(device: Device) -> None:
    """What a schedule does with `lr` reaches every group, also back from 0."""
    parameters = parameters_of([np.zeros(1), np.zeros(1)])
    optimizer = SGD([{"params": parameters[:1]}, {"params": parameters[1:], "lr": 0.5}], lr=0.125)
    for lr in (0.125, 0.0, 0.25):
        optimizer.lr = lr
        before = [p.item() for p in parameters]
        give(parameters, [np.ones(1), np.ones(1)])
        optimizer.step()
        assert [b - p.item() for p, b in zip(parameters, before, strict=True)] == [lr, 4 * lr]


def test_a_state_does_not_depend_on_how_parameters_are_grouped(device: Device) -> None:
    parameters = parameters_of(random_arrays(SHAPES, 0))
    first, second = Adam(parameters), Adam([{"params": [p], "lr": 0.1} for p in parameters])
    train(first, range(3))
    second.load_state_dict(first.state_dict())
    assert second.steps == 3 and as_bytes(second.state_dict().values()) == as_bytes(first.state_dict().values())


@pytest.mark.parametrize(
    ("groups", "error", "message"),
    [
        ([{"lr": 0.1}], ValueError, "expects groups with params and perhaps lr and weight_decay, got one with lr"),
        ([{"params": [], "betas": 1}], ValueError, "expects groups .*, got one with params, betas"),
        ([{"params": []}], ValueError, "got no parameters"),
        ([{"params": 2 * parameters_of([np.ones(2)])}], ValueError, "got the same parameter twice"),
        ([{"params": [np.ones(2)]}], TypeError, "expects parameters, such as"),
        ([{"params": nn.Linear(2, 3)}], TypeError, "expects parameters, such as"),
        ([{"params": parameters_of([np.ones(2)])}, *parameters_of([np.ones(2)])], TypeError, "expects parameters"),
        ([{"params": parameters_of([np.ones(2)]), "lr": 0}], ValueError, "expects lr > 0, got 0"),
        (
            [{"params": parameters_of([np.ones(2)]), "weight_decay": -1}],
            ValueError,
            "expects weight_decay >= 0, got -1",
        ),
    ],
)
def test_groups_that_are_refused(groups: list, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=f"^Adam: {message}"):
        Adam(groups)
    with pytest.raises(ValueError, match=r"^SGD: expects lr > 0, got 0$"):  # although no group would use it
        SGD([{"params": parameters_of([np.ones(2)]), "lr": 0.1}], lr=0)


def test_repr() -> None:
    (w, b) = parameters_of([np.ones((100, 20)), np.ones(20)])
    assert repr(Adam([w, b])) == "Adam(2020 parameters, lr=0.001, betas=(0.9, 0.999))"
    assert repr(SGD([w], 0.1)) == "SGD(2000 parameters, lr=0.1)"
    assert repr(SGD([w], 0.1, momentum=0.9)) == "SGD(2000 parameters, lr=0.1, momentum=0.9)"
    assert repr(RMSprop([w])) == "RMSprop(2000 parameters, lr=0.01, alpha=0.99)"
    groups = AdamW([{"params": [w]}, {"params": [b], "lr": 0.01, "weight_decay": 0.0}])
    groups.lr /= 2
    assert repr(groups) == (
        "AdamW(2000 parameters, lr=0.0005, weight_decay=0.01; 20 parameters, lr=0.005, betas=(0.9, 0.999))"
    )


# -- what they refuse --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (SGD, {"lr": 0.0}, "SGD: expects lr > 0, got 0.0"),
        (SGD, {"lr": -1.0}, "SGD: expects lr > 0, got -1.0"),
        (SGD, {"lr": math.nan}, "SGD: expects lr > 0 and finite, got nan"),
        (SGD, {"lr": math.inf}, "SGD: expects lr > 0 and finite, got inf"),
        (SGD, {"lr": 0.1, "momentum": 1.0}, r"SGD: expects momentum in \[0, 1\), got 1.0"),
        (SGD, {"lr": 0.1, "momentum": -0.1}, r"SGD: expects momentum in \[0, 1\), got -0.1"),
        (SGD, {"lr": 0.1, "weight_decay": -1.0}, "SGD: expects weight_decay >= 0, got -1.0"),
        (Adam, {"lr": 0.0}, "Adam: expects lr > 0, got 0.0"),
        (Adam, {"betas": (0.9, 1.0)}, r"Adam: expects betas to be two numbers in \[0, 1\), got \(0.9, 1.0\)"),
        (Adam, {"betas": (0.9,)}, r"Adam: expects betas to be two numbers in \[0, 1\), got \(0.9,\)"),
        (Adam, {"betas": (-0.1, 0.9)}, r"Adam: expects betas to be two numbers in \[0, 1\), got \(-0.1, 0.9\)"),
        (Adam, {"eps": 0.0}, "Adam: expects eps > 0, got 0.0"),
        (Adam, {"weight_decay": -1.0}, "Adam: expects weight_decay >= 0, got -1.0"),
        (RMSprop, {"lr": -1.0}, "RMSprop: expects lr > 0, got -1.0"),
        (RMSprop, {"alpha": 1.0}, r"RMSprop: expects alpha in \[0, 1\), got 1.0"),
        (RMSprop, {"alpha": -0.5}, r"RMSprop: expects alpha in \[0, 1\), got -0.5"),
        (RMSprop, {"eps": -1.0}, "RMSprop: expects eps > 0, got -1.0"),
    ],
)
def test_settings_out_of_range(kind: type[Optimizer], settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        kind(parameters_of([np.ones(2)]), **settings)


@pytest.mark.parametrize("kind", KINDS)
def test_no_parameters(kind: type[Optimizer]) -> None:
    with pytest.raises(ValueError, match=f"^{kind.__name__}: got no parameters$"):
        kind([], lr=0.1)
    with pytest.raises(NotImplementedError):
        optimizer = Optimizer(parameters_of([np.ones(2)]), lr=0.1)
        give(optimizer.parameters, [np.ones(2)])
        optimizer.step()


def test_only_parameters_and_each_once() -> None:
    layer = nn.Linear(2, 3)
    for wrong in (layer, layer.weight, layer.named_parameters(), [layer.weight, tensor([1.0])]):
        with pytest.raises(TypeError, match=r"^Adam: expects parameters, such as `model.parameters\(\)`$"):
            Adam(wrong)
    with pytest.raises(ValueError, match=r"^Adam: got the same parameter twice$"):
        Adam([layer.weight, layer.bias, layer.weight])
