"""A captured step does what the step does, to the bit, and what cannot be captured is refused without a trace.

On the stand-in for CuPy, a graph computes each recorded kernel once more; on a card, it is a CUDA graph.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import strict_cupy
from hypothesis import given
from hypothesis import strategies as st
from strict_cupy import count

from minigen import cublas, manual_seed, optim, train
from minigen.backend import Device, to_numpy
from minigen.capture import Captured, Graph, recomputed
from minigen.models import DCGAN, GAN, VAE, GatedPixelCNN, MLPDiscriminator, MLPGenerator, PixelCNN, PixelRNN, Tricks
from minigen.random import random_state
from minigen.testing.strategies import SEEDS

SHAPE = (1, 8, 8)
NOISE = Tricks(instance_noise=0.1, instance_noise_rounds=5)  # which is gone in the last of six steps
MODELS: dict[str, Callable[[], Any]] = {
    "vae": lambda: VAE(SHAPE, hidden=8, latent_dim=3),
    "vae-conv": lambda: VAE(SHAPE, architecture="conv", hidden=4, latent_dim=3),
    "pixelcnn": lambda: PixelCNN(SHAPE, hidden=4, blocks=2),
    "gated-classes": lambda: GatedPixelCNN(SHAPE, hidden=4, layers=2, classes=3),
    "row": lambda: PixelRNN(SHAPE, cell="row", hidden=4, layers=1),
    "diagonal": lambda: PixelRNN(SHAPE, cell="diagonal", hidden=4, layers=1),
    "gan-noise": lambda: GAN(MLPGenerator(SHAPE, 3, 8), MLPDiscriminator(SHAPE, 8), tricks=NOISE),
    "wgan": lambda: GAN(MLPGenerator(SHAPE, 3, 8), MLPDiscriminator(SHAPE, 8, dropout=0.0), "wasserstein"),
    "dcgan-classes": lambda: DCGAN(SHAPE, 3, 4, classes=3),
    "wgan-gp": lambda: DCGAN(SHAPE, 3, 4, "wasserstein-gp", k=2),
}


@pytest.fixture(params=["strict-cupy", pytest.param("gpu", marks=pytest.mark.gpu)])
def gpu(request: pytest.FixtureRequest) -> Any:
    """A card, or the stand-in with a cuBLAS of its own."""
    if request.param == "strict-cupy":
        device = request.getfixturevalue("gpu_standin")
    else:
        from minigen import device as find

        device = find("gpu")
    with device:
        yield device


def step_of(name: str, optimizer: Any = optim.Adam) -> tuple[Any, Any]:
    """A model, and a step that trains it with everything that changes from step to step."""
    manual_seed(0)
    model = MODELS[name]()
    schedule = optim.linear_decay(50)
    if not isinstance(model, GAN):
        return model, train.MaximumLikelihood(model, optimizer(model.parameters(), 1e-2), schedule=schedule)
    optimizers = {name: optimizer(player.module.parameters(), 1e-3) for name, player in model.players().items()}
    return model, train.Game(model, optimizers, average=optim.WeightEMA(model.generator), schedule=schedule)


def results_of(step: Any, model: Any, device: Device, steps: int = 6) -> dict[str, Any]:
    """All metrics, and the state afterwards."""
    random = np.random.default_rng(1)
    metrics: list[Any] = []
    for i in range(steps):
        n = 5 if i == 3 else 10  # one batch of another size
        levels = random.integers(0, 2, (n, *SHAPE)).astype("float32" if isinstance(model, GAN) else "uint8")
        labels = random.integers(0, 3, n) if getattr(model, "classes", None) else None
        metrics.append(step(*(x if x is None else device.asarray(x) for x in (levels, labels))))
    state = {f"{part}.{name}": x for part, owner in step.parts.items() for name, x in owner.state_dict().items()}
    numbers = {f"{name} of step {i}": x for i, step in enumerate(metrics) for name, x in step.items()}
    return {name: to_numpy(x) for name, x in (state | numbers).items()} | {"random": random_state()["draw"]}


@pytest.mark.parametrize("name", MODELS)
def test_a_captured_step_does_the_same(name: str, gpu: Device) -> None:
    model, step = step_of(name)
    expected = results_of(step, model, gpu)
    model, step = step_of(name)
    captured = Captured(step)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = results_of(captured, model, gpu)
    assert [*captured.calls.values()] == [3, 1] and len(captured.graphs) == 1  # steps 5 and 6 ran no Python
    assert found.keys() == expected.keys()
    for what, x in expected.items():
        np.testing.assert_allclose(found[what], x, rtol=1e-5, atol=1e-6, err_msg=what)


@pytest.mark.parametrize("optimizer", [optim.SGD, optim.AdamW, optim.RMSprop])
def test_every_optimizer_counts_on(optimizer: Any, gpu: Device) -> None:
    results = []
    for wrap in (lambda step: step, Captured):
        model, step = step_of("vae", lambda parameters, lr: optimizer(parameters, lr, weight_decay=0.1))
        results.append(results_of(wrap(step), model, gpu))
    for what, x in results[0].items():
        np.testing.assert_allclose(results[1][what], x, rtol=1e-5, atol=1e-6, err_msg=what)


def test_a_captured_step_is_one_launch(gpu_standin: Device) -> None:
    with gpu_standin:
        _, step = step_of("vae")
        captured, x = Captured(step), gpu_standin.asarray(np.ones((6, *SHAPE), "uint8"))
        for _ in range(4):
            captured(x, None)
        with count() as costs:
            captured(x, None)
    assert (costs.launches, costs.uploads, costs.synchronisations) == (4, 1, 0)  # images, numbers, graph, metrics


def look(model: Any, metrics: Any) -> None:
    float(next(iter(metrics.values())))


def move(model: Any, metrics: Any) -> None:
    for p in model.parameters():
        p.data = p.data.copy()


@pytest.mark.parametrize(
    ("name", "fault", "why"), [("gan-noise", look, "captur"), ("vae", move, "does not change its state in place")]
)
def test_a_step_that_cannot_be_captured_runs_kernel_by_kernel(name: str, fault: Any, why: str, gpu: Device) -> None:
    """One that looks at a value, or moves its state; and nothing tells that it was tried."""
    model, step = step_of(name)
    expected = results_of(step, model, gpu)
    model, step = step_of(name)

    def faulty(x: Any, labels: Any) -> Any:
        metrics = step(x, labels)
        fault(model, metrics)
        return metrics

    faulty.parts = step.parts  # type: ignore[attr-defined]
    with pytest.warns(UserWarning, match=f"^the step runs kernel by kernel, because it cannot be captured .*{why}"):
        found = results_of(Captured(faulty), model, gpu)
    for what, x in expected.items():
        np.testing.assert_allclose(found[what], x, rtol=1e-5, atol=1e-6, err_msg=what)


def test_weights_that_were_replaced_are_seen(gpu: Device) -> None:
    """The graph would train those that it knows; it is recorded again."""
    model, step = step_of("vae")
    captured, x = Captured(step), gpu.asarray(np.ones((6, *SHAPE), "uint8"))
    for _ in range(4):
        captured(x, None)
    first = next(iter(captured.graphs.values()))
    for p in model.parameters():
        p.data = p.data.copy()
    before = [p.numpy().copy() for p in model.parameters()]
    captured(x, None)
    assert next(iter(captured.graphs.values())) is not first
    assert any((p.numpy() != old).any() for p, old in zip(model.parameters(), before, strict=True))


def test_on_a_cpu_it_is_the_step_itself() -> None:
    _, step = step_of("vae")
    captured = Captured(step)
    metrics = captured(np.ones((6, *SHAPE), "uint8"), None)
    assert isinstance(metrics["loss"], float) and not captured.calls


def test_recomputed_outside_of_a_capture() -> None:
    assert recomputed(lambda: (1, 2.5), np.int64, np.float32) == (1, 2.5)


# -- products ----------------------------------------------------------------------------------------------------------


@st.composite
def factors(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Matrices, batches of them and vectors, also transposed, sliced and broadcast."""
    m, k, n = (draw(st.integers(0, 4)) for _ in range(3))
    leading = draw(st.sampled_from([(), (3,), (2, 3)]))
    random = np.random.default_rng(draw(SEEDS))
    dtype = draw(st.sampled_from(["float32", "float64"]))

    def factor(*shape: int) -> np.ndarray:
        kind = draw(
            st.sampled_from(["plain", "transposed", "sliced", "strided", "fewer axes", "one", "outermost last"])
        )
        axes = {"fewer axes": (), "one": (1,) * len(leading)}.get(kind, leading)
        full = (*axes, *shape)
        if kind == "transposed":
            return random.standard_normal((*axes, *shape[::-1])).astype(dtype).swapaxes(-1, -2)
        if kind == "sliced":
            return random.standard_normal((*axes, shape[0] + 1, shape[1] + 2)).astype(dtype)[..., 1:, 1:-1]
        if kind == "strided":
            return random.standard_normal((*axes, shape[0], 2 * shape[1])).astype(dtype)[..., ::2]
        if kind == "outermost last":
            return np.moveaxis(random.standard_normal((*full[1:], full[0])).astype(dtype), -1, 0)
        return random.standard_normal(full).astype(dtype)

    x, y = factor(m, k), factor(k, n)
    if draw(st.booleans()) and m:
        x = x[..., 0, :] if x.ndim == 2 else x
    return x, y


@given(factors())
def test_cublas_finds_the_matrices(pair: tuple[np.ndarray, np.ndarray]) -> None:
    """Against NumPy, for whatever memory the factors and the result lie in."""
    xp = strict_cupy.cupy
    with strict_cupy.installed():
        library = cublas.Cublas(xp, xp.cuda.Stream(non_blocking=True))
    x, y = pair
    expected = np.matmul(x, y)
    a, b = (xp.ndarray(v, 0) for v in pair)
    assert library.matmul(a, b).shape == expected.shape
    np.testing.assert_allclose(library.matmul(a, b).get(), expected, rtol=1e-5, atol=1e-5)
    if x.ndim > 1:
        for out in (np.full(expected.shape, 7.0, expected.dtype), np.full((*expected.shape, 2), 7.0, x.dtype)[..., 1]):
            result = xp.ndarray(out, 0)
            assert library.matmul(a, b, result) is result
            np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)


def test_a_product_of_integers_is_refused(gpu: Device) -> None:
    xp = gpu.module
    library = cublas.Cublas(xp, xp.cuda.Stream(non_blocking=True))
    with pytest.raises(NotImplementedError, match="a product of int64 cannot be captured"):
        library.matmul(xp.arange(4).reshape(2, 2), xp.arange(4).reshape(2, 2))


def test_the_graph_has_its_numbers_in_order(gpu: Device) -> None:
    """Two functions with state, called alternately: each launch calls both, in the order of recording."""
    calls: list[str] = []

    def number(name: str) -> Callable[[], tuple[int]]:
        def count() -> tuple[int]:
            calls.append(name)
            return (len(calls),)

        return count

    def step(x: Any) -> dict[str, Any]:
        (a,) = recomputed(number("a"), np.float32)
        (b,) = recomputed(number("b"), np.int64)
        return {"a": x.sum() + a, "b": b + 0, "constant": 3.0}

    step.parts = {}  # type: ignore[attr-defined]
    graph = Graph(step, (gpu.module.ones(3, np.float32),))
    assert calls == []
    for i in range(3):
        found = graph((gpu.module.full(3, i, np.float32),))
        assert {name: float(value) for name, value in found.items()} == {
            "a": 3 * i + 2 * i + 1,
            "b": 2 * i + 2,
            "constant": 3,
        }
    assert calls == ["a", "b"] * 3
