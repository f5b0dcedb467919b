"""Gated PixelCNN: what it computes, what it sees, and classes. `test_autoregressive.py` has what all such models share.

Each mistake that one could make in it is planted in its source, and the check that finds it is named beside it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from models.test_autoregressive import (
    all_images,
    build,
    check_causality_by_gradient,
    check_causality_by_perturbation,
    dependence,
    images,
    raster,
)

from minigen import backend
from minigen.autograd import no_grad
from minigen.backend import Device
from minigen.models import GatedPixelCNN, PixelCNN, gated_pixelcnn
from minigen.optim import Adam
from minigen.random import manual_seed
from minigen.train import Diverged, MaximumLikelihood

Shape = tuple[int, int, int]
TINY: dict[str, Any] = {"hidden": 6, "layers": 3, "kernel_size": 3, "head": 6}


def labels_for(x: np.ndarray, classes: int) -> np.ndarray:
    return np.arange(len(x)) % classes


# -- what it computes --------------------------------------------------------------------------------------------------


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def naive_logits(model: GatedPixelCNN, x: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """The paper's equations, pixel by pixel and tap by tap; channels must divide evenly among the colours."""
    w = {name: p.numpy() for name, p in model.named_parameters()}
    colours, height, width = model.image_shape
    n = len(x)

    def colour(channels: int) -> np.ndarray:
        return np.arange(channels) * colours // channels

    def masked(name: str, mask: str, halves: int = 1) -> np.ndarray:
        """The weights of the centre tap, (out, in)."""
        weight = w[f"{name}.weight"]
        out = np.tile(colour(weight.shape[0] // halves), halves)[:, None]
        into = colour(weight.shape[1])[None]
        return weight[:, :, 0, weight.shape[3] // 2] * (into < out if mask == "A" else into <= out)

    def pointwise(features: np.ndarray, name: str) -> np.ndarray:
        return np.einsum("nchw,oc->nohw", features, masked(name, "B")) + w[f"{name}.bias"][:, None, None]

    def gated(features: np.ndarray, name: str) -> np.ndarray:
        if labels is not None:
            features = features + w[f"{name}.of_class.weight"][labels][:, :, None, None]
        half = features.shape[1] // 2
        return np.tanh(features[:, :half]) * sigmoid(features[:, half:])

    v = h = x * (2 / (model.levels - 1)) - 1
    for layer in range(len(model.layers)):
        name, mask = f"layers.{layer}", "B" if layer else "A"
        down, across = w[f"{name}.vertical.weight"], w[f"{name}.horizontal.weight"]
        reach = across.shape[3] // 2
        below = np.zeros((n, len(down), height, width)) + w[f"{name}.vertical.bias"][:, None, None]
        beside = np.zeros((n, len(across), height, width)) + w[f"{name}.horizontal.bias"][:, None, None]
        for i, j in np.ndindex(height, width):
            for a in range(reach + 1):
                for b in range(-reach, reach + 1):  # the first layer looks at the image, above the row
                    row, column = i - a - (layer == 0), j + b
                    if row >= 0 and 0 <= column < width:
                        below[:, :, i, j] += v[:, :, row, column] @ down[:, :, reach - a, reach + b].T
            for b in range(-reach, 0):
                if j + b >= 0:
                    beside[:, :, i, j] += h[:, :, i, j + b] @ across[:, :, 0, reach + b].T
            beside[:, :, i, j] += h[:, :, i, j] @ masked(f"{name}.horizontal", mask, halves=2).T
        link = np.einsum("nchw,oc->nohw", below, w[f"{name}.link.weight"][:, :, 0, 0])
        link += w[f"{name}.link.bias"][:, None, None]
        y = pointwise(gated(beside + link, name), f"{name}.out")
        v, h = gated(below, name), h + y if layer else y
    h = pointwise(np.maximum(pointwise(np.maximum(h, 0), "head"), 0), "last")
    return h.reshape(n, colours, -1, height, width).swapaxes(1, 2)


def check_against_the_equations(make: Callable[..., GatedPixelCNN]) -> None:
    for shape, levels, classes in (((1, 4, 5), 2, None), ((3, 3, 4), 3, None), ((3, 3, 3), 2, 4)):
        model = build(make, shape, levels, scale=2.0, classes=classes, **TINY | {"kernel_size": 5})
        x = images(shape, levels, n=5)
        labels = None if classes is None else labels_for(x, classes)
        expected = naive_logits(model, x, labels)
        np.testing.assert_allclose(model.logits(x, labels).numpy(), expected, rtol=1e-9, atol=1e-9)


def test_the_logits_are_the_papers_equations() -> None:
    check_against_the_equations(GatedPixelCNN)


# -- what it sees ------------------------------------------------------------------------------------------------------


def check_causality(make: Callable[..., GatedPixelCNN]) -> None:
    for colours in (1, 3):
        model = build(make, (colours, 3, 3), 2, scale=2.0, **TINY | {"hidden": 7})
        check_causality_by_perturbation(model)
        check_causality_by_gradient(model)


def test_nothing_sees_itself_or_a_later_value() -> None:
    check_causality(GatedPixelCNN)


@settings(max_examples=10)
@given(
    colours=st.sampled_from([1, 3]),
    hidden=st.integers(3, 5),
    layers=st.integers(1, 3),
    kernel_size=st.sampled_from([3, 5, 7]),
    head=st.integers(3, 7),
)
def test_any_size_is_causal(colours: int, hidden: int, layers: int, kernel_size: int, head: int) -> None:
    """Also where the features do not divide evenly among the colours."""
    options = {"hidden": hidden, "layers": layers, "kernel_size": kernel_size, "head": head}
    check_causality_by_perturbation(build(GatedPixelCNN, (colours, 3, 4), 2, 0, 2.0, **options))


def sees(height: int, width: int, at: tuple[int, int], layers: int, kernel_size: int) -> np.ndarray:
    """The pixels that `at` should see: along its row and, from each layer of that path, up the vertical stack."""
    reach = [kernel_size // 2] + [1] * (layers - 1)
    seen = np.zeros((height, width), dtype=bool)

    def left(i: int, j: int, layer: int) -> None:
        if layer < 0:
            seen[i, j] = True
            return
        far = sum(reach[: layer + 1])
        seen[max(i - 1 - far, 0) : i, max(j - far, 0) : j + far + 1] = True
        for b in range(1 if layer == 0 else 0, reach[layer] + 1):
            if j - b >= 0:
                left(i, j - b, layer - 1)

    left(*at, layers - 1)
    return seen


def check_coverage(make: Callable[..., GatedPixelCNN]) -> None:
    for layers, kernel_size in ((1, 3), (2, 5), (3, 3)):
        model = build(make, (1, 5, 6), 2, scale=1.5, layers=layers, kernel_size=kernel_size, hidden=6, head=12)
        for at in np.ndindex(5, 6):
            promised = sees(5, 6, at, layers, kernel_size)
            np.testing.assert_array_equal(dependence(model, (0, *at))[0], promised, err_msg=f"seen from {at}")


def test_every_layer_sees_exactly_its_part() -> None:
    check_coverage(GatedPixelCNN)


@pytest.mark.parametrize("shape", [(1, 5, 6), (1, 1, 5), (1, 5, 1), (3, 3, 3)])
def test_deep_enough_everything_before_is_seen_and_nothing_else(shape: Shape) -> None:
    """The last colour of a pixel before counts as much as its first: there is no blind spot."""
    model = build(GatedPixelCNN, shape, 2, scale=1.5, hidden=24, layers=5, kernel_size=3, head=48)
    order = raster(shape)
    for at in np.ndindex(shape):
        np.testing.assert_array_equal(dependence(model, at), order < order[at], err_msg=f"seen from {at}")


def test_no_blind_spot_where_pixelcnn_has_one() -> None:
    """At the centre of 28 x 28, a 7x7 and fifteen 3x3 layers see all 406 pixels; PixelCNN's do not see 55."""
    model = build(GatedPixelCNN, (1, 28, 28), 2, scale=1.5, hidden=6, layers=16, kernel_size=7, head=12)
    order = raster((1, 28, 28))
    np.testing.assert_array_equal(dependence(model, (0, 14, 14)), order < order[0, 14, 14])


# -- classes -----------------------------------------------------------------------------------------------------------


def conditional(shape: Shape = (1, 2, 2), levels: int = 2, classes: int = 3, **options: Any) -> GatedPixelCNN:
    return build(GatedPixelCNN, shape, levels, scale=1.5, classes=classes, **TINY | {"layers": 2} | options)


@pytest.mark.parametrize(("shape", "levels"), [((1, 2, 2), 3), ((3, 1, 2), 2)])
def test_the_likelihood_sums_to_one_for_every_label_and_differs(shape: Shape, levels: int) -> None:
    model, every = conditional(shape, levels), all_images(shape, levels)
    with no_grad():
        p = np.exp([model.log_prob(every, np.full(len(every), label)).numpy() for label in range(3)])
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-10)
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert abs(p[one] - p[other]).sum() > 0.01
    x, labels = every[:5], np.array([2, 0, 1, 1, 0])  # each image gets its own label
    np.testing.assert_allclose(model.log_prob(x, labels).numpy(), np.log(p[labels, np.arange(5)]))
    assert model.loss(x, labels).item() == pytest.approx(-np.log(p[labels, np.arange(5)]).mean())
    bits = -np.log2(p[labels, np.arange(5)]).mean() / np.prod(shape)
    assert model.bits_per_dim(x, labels) == pytest.approx(bits)


def test_samples_follow_the_likelihood_of_their_label() -> None:
    model, every = conditional(classes=2), all_images((1, 2, 2), 2)
    labels = np.arange(20_000) % 2
    numbers = model.sample(20_000, labels).numpy().reshape(20_000, -1) @ [8, 4, 2, 1]
    for label in range(2):
        with no_grad():
            expected = 10_000 * np.exp(model.log_prob(every, np.full(16, label)).numpy())
        observed = np.bincount(numbers[labels == label], minlength=16)
        assert (expected > 3).all() and np.ptp(expected) > 100
        assert ((observed - expected) ** 2 / expected).sum() < 15 + 4 * np.sqrt(30)


def check_cache(make: Callable[..., GatedPixelCNN]) -> None:
    for shape, levels in (((1, 5, 4), 2), ((3, 3, 4), 3)):
        model = build(make, shape, levels, scale=2.0, classes=3, **TINY | {"kernel_size": 5})
        drawn = []
        for cached in (True, False):
            manual_seed(1)
            drawn.append(model.sample(6, labels=np.arange(6) % 3, cached=cached).numpy())
        np.testing.assert_array_equal(*drawn)


def test_the_cache_changes_nothing_with_labels() -> None:
    check_cache(GatedPixelCNN)


def test_wrong_labels_are_refused() -> None:
    model, x = conditional(), images((1, 2, 2), 2, n=2)
    expected = r"GatedPixelCNN: expects labels \(2,\), integers 0 \.\.\. 2, got "
    for call in (model.logits, model.log_prob, model.loss, lambda _, labels=None: model.sample(2, labels)):
        with pytest.raises(ValueError, match=expected + "none"):
            call(x)
        with pytest.raises(ValueError, match=expected + r"0 \.\.\. 3"):
            call(x, np.array([0, 3]))
        with pytest.raises(ValueError, match=expected + r"-1 \.\.\. 0"):
            call(x, np.array([-1, 0]))
        with pytest.raises(ValueError, match=expected + r"\(3,\)"):
            call(x, np.array([0, 1, 2]))
        with pytest.raises(TypeError, match=expected + "float64"):
            call(x, np.array([0.0, 1.0]))
    for plain in (build(GatedPixelCNN, (1, 2, 2), 2), build(PixelCNN, (1, 2, 2), 2)):
        for call in (plain.logits, plain.log_prob, lambda _, labels, m=plain: m.sample(2, labels)):
            with pytest.raises(ValueError, match="PixelCNN: expects no labels, it has no classes"):
                call(x, np.array([0, 1]))
        assert plain.loss(x, np.array([0, 1])).item() == plain.loss(x).item()  # a training step need not ask


@pytest.mark.parametrize("options", [{"layers": 0}, {"kernel_size": 4}, {"kernel_size": 1}, {"classes": 0}])
def test_wrong_sizes_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(
        ValueError, match=r"GatedPixelCNN: expects one or more layers, an odd kernel_size .*, got layers="
    ):
        GatedPixelCNN((1, 4, 4), **options)


def loss_gradients_samples(device: Device) -> tuple[float, list[np.ndarray], np.ndarray]:
    manual_seed(2)
    with device:
        model = GatedPixelCNN((3, 3, 2), 4, classes=3, **TINY)
        x = images((3, 3, 2), 4, n=4)
        loss = model.loss(device.asarray(x), device.asarray(labels_for(x, 3)))
        loss.backward()
        gradients = [p.grad for p in model.parameters()]
        assert all(g is not None and g.dtype == np.float32 and g.device == device for g in gradients)
        samples = model.sample(4, device.asarray(labels_for(x, 3))).numpy()
        return loss.item(), [g.numpy() for g in gradients if g is not None], samples


def test_classes_on_each_device(device: Device) -> None:
    here, there = loss_gradients_samples(backend.device("cpu")), loss_gradients_samples(device)
    assert there[0] == pytest.approx(here[0], rel=1e-5)
    for a, b in zip(there[1], here[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)
    np.testing.assert_array_equal(there[2], here[2])


# -- training ----------------------------------------------------------------------------------------------------------


def test_a_training_step_gives_the_labels() -> None:
    """Where the label says all, four bits an image become almost none; the other label's images almost impossible."""
    model = GatedPixelCNN((1, 2, 2), classes=2, hidden=8, layers=2, kernel_size=3, head=8)
    labels = np.array([0, 1] * 4)
    x = np.broadcast_to(labels[:, None, None, None], (8, 1, 2, 2)).astype(np.uint8)
    step = MaximumLikelihood(model, Adam(model.parameters(), 0.02))
    first, *_, last = [step(x, labels)["loss"] for _ in range(60)]
    assert first > 2 and last < 0.1
    with no_grad():
        assert (model.log_prob(x, 1 - labels).numpy() < -3).all()
    np.testing.assert_array_equal(model.sample(8, labels, temperature=0.01).numpy(), x)


def test_a_loss_that_is_not_finite_is_named_with_labels() -> None:
    model = GatedPixelCNN((1, 2, 2), classes=2, **TINY)
    model.last.weight.data[...], model.last.bias.data[...] = np.float32(3e38), np.float32(3e38)
    step = MaximumLikelihood(model, Adam(model.parameters(), 0.02))
    with pytest.raises(Diverged, match="the loss is"), np.errstate(all="ignore"):
        step(images((1, 2, 2), 2, n=4), np.array([0, 1, 0, 1]))


# -- mistakes ----------------------------------------------------------------------------------------------------------


def mutant(right: str, wrong: str) -> type[GatedPixelCNN]:
    """GatedPixelCNN with one piece of its source changed."""
    source = inspect.getsource(gated_pixelcnn)
    assert source.count(right) == 1
    changed = ModuleType("gated_pixelcnn_mutant")
    exec(source.replace(right, wrong), vars(changed))
    return changed.GatedPixelCNN


CAUSALITY, COVERAGE, EQUATIONS, CACHE = check_causality, check_coverage, check_against_the_equations, check_cache
SHIFT, ROW_MASK = "v = self.shift_down(x)", "(1, kernel_size), mask, "
OUT = 'self.out = nn.MaskedConv2d(features, features, 1, "B", colours)'
MISTAKES: dict[str, tuple[str, str, Callable]] = {
    # seen by what the logits depend on
    "the vertical stack not shifted": (SHIFT, "v = x", CAUSALITY),
    "the vertical stack shifted up": (SHIFT, "v = ops.pad(x, ((0, 0), (0, 0), (0, 1), (0, 0)))[:, :, 1:]", CAUSALITY),
    "the vertical stack shifted twice": (SHIFT, "v = self.shift_down(self.shift_down(x))", COVERAGE),
    "the vertical kernel looking down": ("((above, 0), ", "((0, above), ", CAUSALITY),
    "mask B in the first layer": (ROW_MASK, '(1, kernel_size), "B", ', CAUSALITY),
    "a residual in the first layer": ("h + y if self.residual else y", "h + y", CAUSALITY),
    "one mask over both halves of the gate": (", splits=2)", ")", CAUSALITY),
    "the output's colours not masked": (OUT, "self.out = nn.Conv2d(features, features, 1)", CAUSALITY),
    "no link": ("self.horizontal(h) + link", "self.horizontal(h)", COVERAGE),
    # all before is still seen and nothing else: only the numbers are wrong
    "mask A in every layer": (ROW_MASK, '(1, kernel_size), "A", ', EQUATIONS),
    "the link after the gate": ("self.link(v)", "self.link(ops.concat([gate(v), gate(v)], axis=1))", EQUATIONS),
    "no residual": ("h + y if self.residual else y", "y", EQUATIONS),
    "a residual in the vertical stack": ("return gate(v, of_class),", "return gate(v, of_class) + gate(v),", EQUATIONS),
    "the halves of the gate swapped": ("ops.gated_activation(x)", "ops.gated_activation(ops.flip(x, 1))", EQUATIONS),
    "a vertical stack without its class": ("return gate(v, of_class),", "return gate(v),", EQUATIONS),
    "a horizontal stack without its class": ("+ link, of_class))", "+ link))", EQUATIONS),
    # the one-pixel form is not the layer
    "a vertical stack that runs once an image": ("if cursor.begins_row:", "if of_row is None:", CACHE),
    "the link of the next pixel": ("cursor.column : cursor.column + 1]", "cursor.column - 1 :][:, :, :, :1]", CACHE),
}


@pytest.mark.parametrize(("right", "wrong", "check"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_found(right: str, wrong: str, check: Callable) -> None:
    said = {CAUSALITY: "is seen at or before it", COVERAGE: "seen from", EQUATIONS: "rtol=1e-09", CACHE: "not equal"}
    with pytest.raises(AssertionError, match=said[check]):
        check(mutant(right, wrong))
