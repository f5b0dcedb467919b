"""The objectives against their textbook formulas, far out too, and the gradient penalty against closed forms."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigen import ops
from minigen.autograd import Tensor, tensor
from minigen.gradcheck import gradcheck
from minigen.models.objectives import OBJECTIVES, gradient_penalty
from minigen.random import manual_seed
from minigen.testing.strategies import SEEDS

every_objective = pytest.mark.parametrize("name", OBJECTIVES)
FEWER = settings(max_examples=settings().max_examples // 2)

# -- the formulas of the papers, with D itself: safe in float64 as long as the logits are small ------------------------


def sigmoid(s: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-s))


def likelihood(s: np.ndarray, t: np.ndarray, real: float = 1.0) -> float:
    on_data = real * np.log(sigmoid(s)) + (1 - real) * np.log(1 - sigmoid(s))
    return -np.mean(on_data) - np.mean(np.log(1 - sigmoid(t)))


def squares(s: np.ndarray, t: np.ndarray, real: float = 1.0) -> float:
    return np.mean((s - real) ** 2) / 2 + np.mean(t**2) / 2


def critic(s: np.ndarray, t: np.ndarray) -> float:
    return np.mean(t) - np.mean(s)


NAIVE: dict[str, tuple[Callable[..., float], Callable[[np.ndarray], float]]] = {
    "minimax": (likelihood, lambda t: np.mean(np.log(1 - sigmoid(t)))),
    "non-saturating": (likelihood, lambda t: -np.mean(np.log(sigmoid(t)))),
    "least-squares": (squares, lambda t: np.mean((t - 1) ** 2) / 2),
    "hinge": (lambda s, t: np.mean(np.maximum(0, 1 - s)) + np.mean(np.maximum(0, 1 + t)), lambda t: -np.mean(t)),
    "wasserstein": (critic, lambda t: -np.mean(t)),
    "wasserstein-gp": (critic, lambda t: -np.mean(t)),
}


@every_objective
@FEWER
@given(n=st.integers(1, 5), real=st.sampled_from([1.0, 0.9, 0.5]), seed=SEEDS)
def test_both_losses_are_the_formulas(name: str, n: int, real: float, seed: int) -> None:
    objective, (s, t) = OBJECTIVES[name], np.random.default_rng(seed).uniform(-8, 8, (2, n))
    label = {"real": real} if objective.labelled else {}
    for_discriminator, for_generator = NAIVE[name]
    loss = objective.discriminator(tensor(s), tensor(t), **label)
    assert loss.shape == () and loss.item() == pytest.approx(for_discriminator(s, t, **label), rel=1e-9, abs=1e-12)
    assert objective.generator(tensor(t)).item() == pytest.approx(for_generator(t), rel=1e-9, abs=1e-12)


@every_objective
@pytest.mark.parametrize("sure", [1.0, 50.0])
def test_what_the_log_shows_of_the_outputs(name: str, sure: float) -> None:
    """Probabilities only where the output is a logit; of a critic the difference, positive where data score higher."""
    s, t = np.array([sure, 2.0]), np.array([-sure, 0.0])
    metrics = OBJECTIVES[name].metrics(s, t)
    if OBJECTIVES[name].critic:
        assert metrics == pytest.approx({"wasserstein": sure + 1})
    elif name in ("minimax", "non-saturating"):
        expected = {"D(x)": (sigmoid(sure) + sigmoid(2.0)) / 2, "D(G(z))": (sigmoid(-sure) + 0.5) / 2}
        assert metrics == pytest.approx(expected)
    else:
        assert metrics == pytest.approx({"D(x)": (sure + 2) / 2, "D(G(z))": -sure / 2})
    assert all(np.ndim(value) == 0 for value in metrics.values())


@every_objective
def test_the_loss_of_a_perfect_discriminator(name: str) -> None:
    """Near its targets it is below `perfect`, a little off them above; that of a critic has no bound."""
    objective = OBJECTIVES[name]
    if objective.critic:
        assert objective.perfect is None
        return
    perfect, doubtful = {"least-squares": ((1, 0), (0.7, 0.3)), "hinge": ((1, -1), (0.9, -0.9))}.get(
        name, ((6, -6), (3, -3))
    )
    loss = lambda outputs: objective.discriminator(*(tensor([float(s)]) for s in outputs)).item()
    assert loss(perfect) < objective.perfect < loss(doubtful)


def test_what_belongs_to_the_critics() -> None:
    """Clipping at 0.01 or a penalty of weight 10, and 5 steps for each of the generator's: the papers' values."""
    assert {name: (o.k, o.clip, o.penalty) for name, o in OBJECTIVES.items() if o.critic} == {
        "wasserstein": (5, 0.01, 0.0),
        "wasserstein-gp": (5, None, 10.0),
    }
    assert all((o.k, o.clip, o.penalty) == (1, None, 0.0) for o in OBJECTIVES.values() if not o.critic)


# -- far out, where a sigmoid is rounded to 0 or 1 and its logarithm is lost -------------------------------------------
# There softplus(s) is max(s, 0). Of each loss: its value, and its slopes by s and t.

FAR: dict[str, tuple[Callable[..., tuple], Callable[..., tuple]]] = {
    "minimax": (
        lambda s, t: (max(-s, 0) + max(t, 0), -(s < 0), t > 0),
        lambda t: (-max(t, 0), -(t > 0)),  # no slope where the discriminator is sure: it saturates
    ),
    "non-saturating": (lambda s, t: (max(-s, 0) + max(t, 0), -(s < 0), t > 0), lambda t: (max(-t, 0), -(t < 0))),
    "least-squares": (lambda s, t: ((s - 1) ** 2 / 2 + t**2 / 2, s - 1, t), lambda t: ((t - 1) ** 2 / 2, t - 1)),
    "hinge": (lambda s, t: (max(1 - s, 0) + max(1 + t, 0), -(s < 1), t > -1), lambda t: (-t, -1)),
    "wasserstein": (lambda s, t: (t - s, -1, 1), lambda t: (-t, -1)),
    "wasserstein-gp": (lambda s, t: (t - s, -1, 1), lambda t: (-t, -1)),
}


@every_objective
@pytest.mark.parametrize("s", [-1e4, -100.0, 100.0, 1e4])
@pytest.mark.parametrize("t", [-1e4, -100.0, 100.0, 1e4])
def test_far_logits_keep_losses_and_gradients(name: str, s: float, t: float) -> None:
    """In float32, where 1 - sigmoid(17) is 0 already."""
    for_discriminator, for_generator = FAR[name]
    data, samples, again = (tensor([logit], "float32", requires_grad=True) for logit in (s, t, t))
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        losses = OBJECTIVES[name].discriminator(data, samples), OBJECTIVES[name].generator(again)
        for loss in losses:
            loss.backward()
    actual = [losses[0].item(), data.grad.item(), samples.grad.item(), losses[1].item(), again.grad.item()]
    np.testing.assert_allclose(actual, [*for_discriminator(s, t), *for_generator(t)], rtol=1e-6, atol=1e-30)


@every_objective
def test_derivatives_by_the_logits(name: str) -> None:
    s, t = (tensor(np.array(values), requires_grad=True) for values in ([-2.3, 0.4, 3.1], [1.7, -0.6, -4.2]))
    gradcheck(OBJECTIVES[name].discriminator, [s, t], order=2)
    gradcheck(OBJECTIVES[name].generator, t, order=2)
    if OBJECTIVES[name].labelled:
        gradcheck(lambda s, t: OBJECTIVES[name].discriminator(s, t, real=0.9), [s, t], order=2)


# -- the gradient penalty ----------------------------------------------------------------------------------------------


def images(seed: int, n: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(2, n, 1, 2, 3))


def linear(w: Tensor) -> Callable[[Any], Tensor]:
    return lambda x: ops.sum(ops.reshape(x, (len(x), -1)) * w, axis=1)


@FEWER
@given(seed=SEEDS, scale=st.floats(0.05, 5))
def test_the_penalty_of_a_linear_critic(seed: int, scale: float) -> None:
    """w.x has the gradient w everywhere: the penalty is (|w| - 1)^2, and its own gradient 2 (|w| - 1) w / |w|."""
    w = tensor(scale * np.random.default_rng(seed).normal(size=6), requires_grad=True)
    penalty, norm = gradient_penalty(linear(w), *images(seed)), np.linalg.norm(w.data)
    assert penalty.shape == () and penalty.item() == pytest.approx((norm - 1) ** 2, rel=1e-5, abs=1e-9)
    penalty.backward()
    np.testing.assert_allclose(w.grad.numpy(), 2 * (norm - 1) * w.data / norm, rtol=1e-5, atol=1e-8)


@given(seed=SEEDS)
def test_the_penalty_is_at_points_between(seed: int) -> None:
    """One random mix for each image, new every time; |x|^2 / 2 has the gradient x there."""
    data, samples = images(seed)
    seen: list[np.ndarray] = []

    def critic(x: Tensor) -> Tensor:
        seen.append(x.numpy())
        return 0.5 * ops.sum(ops.square(x), axis=(1, 2, 3))

    for _ in range(2):
        penalty = gradient_penalty(critic, Tensor(data), Tensor(samples))
        norms = np.sqrt((seen[-1] ** 2).sum(axis=(1, 2, 3)))
        assert penalty.item() == pytest.approx(((norms - 1) ** 2).mean(), rel=1e-5)
    mixes = [((x - samples) / (data - samples)).reshape(len(data), -1) for x in seen]
    for mix in mixes:
        np.testing.assert_allclose(mix, np.repeat(mix[:, :1], 6, axis=1), atol=1e-6)
        assert mix.min() > -1e-6 and mix.max() < 1 + 1e-6
    drawn = np.concatenate(mixes)[:, 0]
    assert len(np.unique(drawn.round(12))) == len(drawn)


def test_the_mixes_are_uniform() -> None:
    """Between 0 (a sample) and 1 (data): each decile has a tenth of them."""
    seen: list[np.ndarray] = []
    gradient_penalty(lambda x: seen.append(x.numpy()) or ops.sum(x, axis=1), np.ones((5000, 1)), np.zeros((5000, 1)))
    np.testing.assert_allclose(np.histogram(seen[0], bins=10, range=(0, 1))[0], 500, atol=100)


def test_derivatives_of_the_penalty() -> None:
    """They are second derivatives of the critic; and order 2 of them the third."""
    random = np.random.default_rng(0)
    w, b, v = (tensor(random.normal(size=shape), requires_grad=True) for shape in ((6, 3), (3,), (3, 1)))

    def penalty(w: Tensor, b: Tensor, v: Tensor) -> Tensor:
        manual_seed(0)
        hidden = lambda x: ops.tanh(ops.matmul(ops.reshape(x, (len(x), -1)), w) + b)
        return gradient_penalty(lambda x: ops.sum(ops.matmul(hidden(x), v), axis=1), *images(1))

    gradcheck(penalty, [w, b, v], order=2)


def test_a_critic_without_slope() -> None:
    """The norm has no derivative at 0; the penalty's gradient is finite there all the same."""
    w = tensor(np.zeros(6), requires_grad=True)
    penalty = gradient_penalty(linear(w), *images(0))
    penalty.backward()
    assert penalty.item() == pytest.approx(1, abs=1e-5) and np.isfinite(w.grad.numpy()).all()


def test_objectives_are_pickled_and_copied() -> None:
    for objective in OBJECTIVES.values():
        assert pickle.loads(pickle.dumps(objective)) == copy.deepcopy(objective) == objective
