"""The recurrent layers of PixelRNN against their recurrences, written out for one pixel at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad, tensor
from minigen.backend import Device, default_dtype
from minigen.nn import pixel_recurrent
from minigen.ops import recurrent
from minigen.random import manual_seed
from minigen.testing.strategies import SEEDS

Layer = nn.RowLSTM | nn.DiagonalBiLSTM
LAYERS: dict[str, Callable[..., Any]] = {"row": nn.RowLSTM, "diagonal": nn.DiagonalBiLSTM}
each_layer = pytest.mark.parametrize("kind", LAYERS)


def build(kind: str, hidden: int, colours: int = 1, seed: int = 0, **options: int) -> Any:
    """In double precision; no parameter is zero."""
    manual_seed(seed)
    with default_dtype("float64"):
        layer = LAYERS[kind](hidden, colours=colours, **options)
    random = np.random.default_rng(seed)
    for p in layer.parameters():
        p.data[...] = random.uniform(-1.0, 1.0, p.shape)
    return layer


# -- the recurrences ---------------------------------------------------------------------------------------------------


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def lstm_step(gates: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    i, f, g, o = gates.reshape(4, -1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def masked(conv: nn.MaskedConv2d) -> np.ndarray:
    return conv.weight.numpy() * conv.mask


def row_states(layer: nn.RowLSTM, x: np.ndarray) -> np.ndarray:
    """The states (h, H, W) for one image x (2h, H, W)."""
    _, height, width = x.shape
    radius = layer.kernel_size // 2
    from_input, from_state = masked(layer.input_to_state), layer.state_to_state.numpy()
    h, c = np.zeros((2, layer.hidden, height, width))
    for i in range(height):
        for j in range(width):
            gates = layer.input_to_state.bias.numpy().copy()
            for tap in range(-radius, radius + 1):
                if 0 <= j + tap < width:
                    above = h[:, i - 1, j + tap] if i > 0 else layer.h0.numpy()
                    gates += from_input[:, :, 0, tap + radius] @ x[:, i, j + tap]
                    gates += from_state[:, :, 0, tap + radius] @ above
            h[:, i, j], c[:, i, j] = lstm_step(gates, c[:, i - 1, j] if i > 0 else layer.c0.numpy())
    return h


def diagonal_states(lstm: pixel_recurrent.DiagonalLSTM, x: np.ndarray, direction: int) -> np.ndarray:
    """The states (h, H, W) of the LSTM that comes from the left (direction 1) or from the right (-1)."""
    _, height, width = x.shape
    from_input, from_state = masked(lstm.input_to_state)[:, :, 0, 0], lstm.state_to_state.numpy()
    h0, c0 = lstm.h0.numpy(), lstm.c0.numpy()
    h, c = np.zeros((2, lstm.hidden, height, width))
    for i in range(height):
        for j in list(range(width))[::direction]:
            first = j == (0 if direction == 1 else width - 1)
            above = h0 if i == 0 else h[:, i - 1, j]
            beside, c_beside = (h0, c0) if first else (h[:, i, j - direction], c[:, i, j - direction])
            gates = from_input @ x[:, i, j] + lstm.input_to_state.bias.numpy()
            gates = gates + from_state[:, :, 0, 0] @ above + from_state[:, :, 1, 0] @ beside
            h[:, i, j], c[:, i, j] = lstm_step(gates, c_beside)
    return h


def expected(layer: Layer, x: np.ndarray) -> np.ndarray:
    """The layer's output (2h, H, W)."""
    if isinstance(layer, nn.RowLSTM):
        h = row_states(layer, x)
    else:
        h = diagonal_states(layer.left_to_right, x, 1)
        h[:, 1:] += diagonal_states(layer.right_to_left, x, -1)[:, :-1]
    expand = masked(layer.expand).reshape(2 * layer.hidden, layer.hidden)
    return x + np.einsum("oi,ihw->ohw", expand, h) + layer.expand.bias.numpy()[:, None, None]


def check_against_the_recurrence(layer: Layer, x: np.ndarray) -> None:
    with no_grad():
        out = layer(Tensor(x)).numpy()
    for image, result in zip(x, out, strict=True):
        np.testing.assert_allclose(result, expected(layer, image), rtol=1e-10, atol=1e-12)


@each_layer
@settings(max_examples=25)
@given(
    colours=st.sampled_from([1, 3]),
    more=st.integers(0, 2),
    n=st.integers(1, 3),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    kernel_size=st.sampled_from([1, 3, 5]),
    seed=SEEDS,
)
def test_against_the_recurrence(
    kind: str, colours: int, more: int, n: int, height: int, width: int, kernel_size: int, seed: int
) -> None:
    options = {"kernel_size": kernel_size} if kind == "row" else {}
    layer = build(kind, colours + more, colours, seed, **options)
    x = np.random.default_rng(seed).standard_normal((n, 2 * layer.hidden, height, width))
    check_against_the_recurrence(layer, x)


@each_layer
def test_a_float32_map_in_any_memory_layout(kind: str, device: Device) -> None:
    manual_seed(0)
    with device:
        layer = LAYERS[kind](3)
        x = device.asarray(np.random.default_rng(0).standard_normal((2, 4, 5, 6)), "float32")
        last = Tensor(x.transpose(0, 3, 1, 2))  # (2, 6, 4, 5), channels last in memory
        first = Tensor(x.transpose(0, 3, 1, 2).copy())
        assert layer(last).dtype == np.float32
        np.testing.assert_allclose(layer(last).numpy(), layer(first).numpy(), rtol=1e-5, atol=1e-6)


@each_layer
def test_the_initial_states_are_learned(kind: str) -> None:
    """They begin at zero and get gradients, all of them."""
    layer = LAYERS[kind](3)
    layer(tensor(np.random.default_rng(0).standard_normal((2, 6, 3, 4)).astype("float32"))).sum().backward()
    starts = {name: p for name, p in layer.named_parameters() if name[-2:] in ("h0", "c0")}
    assert len(starts) == (2 if kind == "row" else 4)
    for name, p in layer.named_parameters():
        assert p.grad is not None and (p.grad.numpy() != 0).any(), name
    for name, p in starts.items():
        assert (p.numpy() == 0).all() and (p.grad.numpy() != 0).all(), name


@each_layer
def test_without_weights_the_input_passes_unchanged(kind: str) -> None:
    """The residual stream is added once."""
    layer, x = build(kind, 2), Tensor(np.random.default_rng(0).standard_normal((2, 4, 3, 5)))
    for p in layer.parameters():
        p.data *= 0
    np.testing.assert_array_equal(layer(x).numpy(), x.numpy())


@each_layer
@pytest.mark.parametrize("size", [(1, 1), (3, 4), (4, 2)])
def test_names_and_shapes(kind: str, size: tuple[int, int]) -> None:
    layer = LAYERS[kind](5)
    assert layer(tensor(np.zeros((2, 10, *size), "float32"))).shape == (2, 10, *size)
    taps = {"row": (1, 3), "diagonal": (2, 1)}[kind]
    one = {
        "input_to_state.weight": (20, 10, 1, taps[1]),
        "input_to_state.bias": (20,),
        "state_to_state": (20, 5, *taps),
        "h0": (5,),
        "c0": (5,),
    }
    expand = {"expand.weight": (10, 5, 1, 1), "expand.bias": (10,)}
    if kind == "diagonal":
        one = {f"{way}.{name}": shape for way in ("left_to_right", "right_to_left") for name, shape in one.items()}
    found = {name: p.shape for name, p in layer.named_parameters()}
    assert found == one | expand


def test_errors() -> None:
    with pytest.raises(ValueError, match="expects at least one channel for each of 3 colours"):
        nn.RowLSTM(2, colours=3)
    with pytest.raises(ValueError, match="expects an odd kernel_size"):
        nn.RowLSTM(2, kernel_size=2)
    for layer in (nn.RowLSTM(2), nn.DiagonalBiLSTM(2)):
        with pytest.raises(ValueError, match=r"expects x \(N, C, H, W\), got \(4, 3, 3\)"):
            layer(np.zeros((4, 3, 3), np.float32))
    with pytest.raises(ValueError, match="weight takes 4"):
        nn.DiagonalBiLSTM(2)(tensor(np.zeros((1, 3, 2, 2), "float32")))


# -- the steps of a diagonal BiLSTM ------------------------------------------------------------------------------------


@given(height=st.integers(1, 5), width=st.integers(1, 5))
def test_a_step_computes_the_pixels_of_a_diagonal(height: int, width: int) -> None:
    """From the top down, whose states stand in the places of their rows."""
    steps = pixel_recurrent.diagonals(height, width)
    assert len(steps) == height + width - 1
    for s, (which, first) in enumerate(steps):
        pixels = [divmod(pixel, width) for pixel in range(height * width)[which]]
        assert pixels == [(row, s - row) for row in range(height) if 0 <= s - row < width]
        assert first == pixels[0][0]


# -- mistakes that public implementations make -------------------------------------------------------------------------


def reads_other_places(patch: pytest.MonkeyPatch, taps: tuple[int, int], places: tuple[int, int]) -> None:
    """More taps before and after, with the weight 0, and more places, with the state 0."""
    right = ops.lstm

    def wrong(gates: Any, weight: Any, h: Any, c: Any, *, steps: Any) -> Any:
        before, after = (tap * c.shape[3] for tap in taps)
        weight = ops.pad(weight, ((0, 0), (0, 0), (before, after)))
        return right(gates, weight, ops.pad(h, ((0, 0), (0, 0), places, (0, 0))), c, steps=steps)

    patch.setattr(ops, "lstm", wrong)


def next_row_in_the_two_taps(patch: pytest.MonkeyPatch) -> None:
    """Rows r and r + 1 in place of r - 1 and r."""
    reads_other_places(patch, taps=(1, 0), places=(0, 1))


def neighbours_off_by_one(patch: pytest.MonkeyPatch) -> None:
    """The state-to-state convolution reads columns j - 2 ... j in place of j - 1 ... j + 1."""
    reads_other_places(patch, taps=(0, 2), places=(1, 1))


def first_row_zeroed_without_a_shift(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(nn.ShiftDown, "forward", lambda self, x: ops.pad(x[:, :, 1:], ((0, 0), (0, 0), (1, 0), (0, 0))))


def last_row_zeroed_in_place_of_a_shift(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(nn.ShiftDown, "forward", lambda self, x: ops.pad(x[:, :, :-1], ((0, 0), (0, 0), (0, 1), (0, 0))))


def candidate_through_a_sigmoid(patch: pytest.MonkeyPatch) -> None:
    def wrong(gates: Any, c: Any) -> Any:
        i, f, g, o = (ops.sigmoid(part) for part in ops.split(gates, 4, axis=1))
        c = f * c + i * g
        return o * ops.tanh(c), c

    patch.setattr(recurrent, "lstm_cell", wrong)
    patch.setattr(ops, "lstm", recurrent.lstm.reference)


def the_image_turned_in_place_of_mirrored(patch: pytest.MonkeyPatch) -> None:
    """From the right: the rows are mirrored, and their order too."""
    flip = ops.flip
    patch.setattr(ops, "flip", lambda x, axis: flip(x, (2, 3)))


def residual_added_twice(patch: pytest.MonkeyPatch) -> None:
    for layer in LAYERS.values():
        forward = layer.forward  # type: ignore[attr-defined]
        patch.setattr(layer, "forward", lambda self, x, forward=forward: x + forward(self, x))


@pytest.mark.parametrize(
    ("kind", "mistake"),
    [
        ("diagonal", next_row_in_the_two_taps),
        ("diagonal", first_row_zeroed_without_a_shift),
        ("diagonal", last_row_zeroed_in_place_of_a_shift),
        ("diagonal", candidate_through_a_sigmoid),
        ("diagonal", the_image_turned_in_place_of_mirrored),
        ("diagonal", residual_added_twice),
        ("row", candidate_through_a_sigmoid),
        ("row", residual_added_twice),
        ("row", neighbours_off_by_one),
    ],
)
def test_a_mistake_is_found(kind: str, mistake: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    layer, x = build(kind, 2), np.random.default_rng(0).standard_normal((2, 4, 4, 3))
    check_against_the_recurrence(layer, x)
    mistake(monkeypatch)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check_against_the_recurrence(layer, x)
