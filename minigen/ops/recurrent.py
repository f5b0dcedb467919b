"""Long short-term memory (Hochreiter and Schmidhuber 1997; with a forget gate, Gers et al. 2000).

`lstm_cell` is one step after its matrix products. `lstm` is all steps as one operation, with backpropagation through
time written by hand: the record has one node for it, in place of a dozen for each step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from minigen import backend
from minigen.autograd import primitive
from minigen.backend import Array, Shape, array_module
from minigen.kernels import kernel
from minigen.ops.elementwise import sigmoid, tanh
from minigen.ops.products import matmul
from minigen.ops.shaping import concat, expand_dims, split, swapaxes

__all__ = ["lstm_cell", "lstm"]

Steps = Sequence[tuple[slice, int]]

# -- one step ----------------------------------------------------------------------------------------------------------


def _reference_lstm_cell(gates: Any, c: Any) -> tuple[Any, Any]:
    """c' = f c + i g and h = o tanh(c'), where i, f, o are sigmoids and g is the tanh of one quarter of the gates."""
    i, f, g, o = split(gates, 4, axis=1)
    c_next = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c_next), c_next


@primitive(reference=_reference_lstm_cell, several=True, saves=("activated", "tanh_c"))
def lstm_cell(gates: Array, c: Array) -> Any:
    """One step of an LSTM after its matrix products: gates (N, 4H, ...) and cell state c (N, H, ...) -> the new (h, c).

    The gates are in the order i, f, g, o.
    """
    if gates.ndim != c.ndim or gates.shape != (c.shape[0], 4 * c.shape[1], *c.shape[2:]):
        raise ValueError(f"gates (N, 4H, ...) are {gates.shape} but c (N, H, ...) is {c.shape}")
    activated, tanh_c, h, c_next = _step(_by_gate(gates, 1), c)
    return (h, c_next), activated, tanh_c


def _by_gate(gates: Array, axis: int) -> Array:
    """The four gates, which stand one after the other along an axis, along a first axis of their own: a view."""
    shape = (*gates.shape[:axis], 4, gates.shape[axis] // 4, *gates.shape[axis + 1 :])
    return gates.reshape(shape).transpose(axis, *range(axis), *range(axis + 1, len(shape)))


_CELL = """
    const ptrdiff_t n = gates.size() / 4;  // element i of gate k is number i + k n
    const T in = activated[i] = sigmoid(gates[i]);
    const T forget = activated[i + n] = sigmoid(gates[i + n]);
    const T candidate = activated[i + 2 * n] = tanh(gates[i + 2 * n]);
    const T out = activated[i + 3 * n] = sigmoid(gates[i + 3 * n]);
"""


@kernel(
    "raw T gates, T c",
    "raw T activated, T tanh_c, T h, T c_next",
    _CELL + "c_next = forget * c + in * candidate; tanh_c = tanh(c_next); h = out * tanh_c",
)
def _step(gates: Array, c: Array) -> tuple[Array, Array, Array, Array]:
    """From gates (4, ...) and c (...): the sigmoids and tanhs of the gates, tanh(c'), h and c'."""
    activated = np.empty_like(gates)
    _activate(gates, activated)
    return activated, *_states(activated, c)


def _activate(gates: Array, out: Array) -> None:
    np.multiply(gates, 0.5, out=out)  # sigmoid(x) = (1 + tanh(x/2)) / 2, so that one tanh computes all four
    out[2] *= 2
    np.tanh(out, out=out)
    for sigmoids in (out[:2], out[3:]):
        sigmoids *= 0.5
        sigmoids += 0.5


def _states(activated: Array, c: Array) -> tuple[Array, Array, Array]:
    i, f, g, o = activated
    c_next = f * c
    c_next += i * g
    tanh_c = np.tanh(c_next)
    return tanh_c, o * tanh_c, c_next


@lstm_cell.derivatives_together("gates", "c")
def _(g: Any, gates_shape: Shape, c: Array, activated: Array, tanh_c: Array) -> dict[str, Array]:
    g_h, g_c = g
    of_gates, of_c = _step_backward(g_h, g_c, c, activated, tanh_c)
    return {"gates": of_gates.swapaxes(0, 1).reshape(gates_shape), "c": of_c}


_CELL_BACKWARD = """
    const ptrdiff_t n = gates.size() / 4;
    const T in = gates[i], forget = gates[i + n], candidate = gates[i + 2 * n], out = gates[i + 3 * n];
    const T g = g_c + g_h * out * (1 - tanh_c * tanh_c);
    of_gates[i] = in * (1 - in) * (g * candidate);
    of_gates[i + n] = forget * (1 - forget) * (g * c);
    of_gates[i + 2 * n] = g * in * (1 - candidate * candidate);
    of_gates[i + 3 * n] = out * (1 - out) * (g_h * tanh_c);
"""


@kernel("T g_h, T g_c, T c, raw T gates, T tanh_c", "raw T of_gates, T of_c", _CELL_BACKWARD + "of_c = g * forget")
def _step_backward(g_h: Array, g_c: Array, c: Array, activated: Array, tanh_c: Array) -> tuple[Array, Array]:
    """The gradients for the gates (4, ...) and for c (...)."""
    i, f, candidate, o = activated
    g_c = g_c + g_h * o * (1 - tanh_c * tanh_c)  # c' reaches the loss by itself and through h = o tanh(c')
    gates = activated * (1 - activated)  # the derivative of a sigmoid
    of_i, of_f, of_candidate, of_o = gates
    of_i *= g_c * candidate
    of_f *= g_c * c
    of_candidate[...] = g_c * i * (1 - candidate * candidate)
    of_o *= g_h * tanh_c
    return gates, g_c * f


# -- all steps ---------------------------------------------------------------------------------------------------------


def _reference_lstm(gates: Any, weight: Any, h: Any, c: Any, *, steps: Steps) -> tuple[Any, Any]:
    """In each step, the states h around each place add to its gates, and `lstm_cell` computes its new h and c."""
    matrix = expand_dims(swapaxes(weight, 1, 2), 1)  # (D, 1, k H, 4H)
    states = [h[:, :, :0]] * gates.shape[2]
    for which, here, taps, _ in _checked_spans(gates, weight, h, c, steps):
        sums = gates[:, :, which] + matmul(concat([h[:, :, tap] for tap in taps], axis=3), matrix)
        new = lstm_cell(swapaxes(sums, 1, 3), swapaxes(c[:, :, here], 1, 3))
        new_h, new_c = (swapaxes(x, 1, 3) for x in new)
        centre = taps[len(taps) // 2]
        h = concat([h[:, :, : centre.start], new_h, h[:, :, centre.stop :]], axis=2)
        c = concat([c[:, :, : here.start], new_c, c[:, :, here.stop :]], axis=2)
        states[which] = [new_h[:, :, i : i + 1] for i in range(new_h.shape[2])]
    return concat([h[:, :, :0], *states], axis=2), c


@primitive(reference=_reference_lstm, several=True, saves=("around", "cells"))
def lstm(gates: Array, weight: Array, h: Array, c: Array, *, steps: Steps) -> Any:
    """All steps of an LSTM whose states stand in a row of R places; one step computes new states for a part of the row.

    gates     (D, N, T, 4H): for each of D LSTMs side by side and N examples, what the input adds to the gates of the T
              states that the steps compute
    weight    (D, 4H, k H): the states h at k places, from k // 2 before a place on, times this are added to its gates
    h, c      (D, N, R + k - 1, H) and (D, N, R, H): the states at the start. h has k // 2 places more before the R, and
              the rest of the k - 1 behind them; these stay as they are.
    steps     a pair (which, first) for each step: the slice `which` of the T states is computed, for the places first,
              first + 1, ...; the other places keep their states

    Returns all T states h (D, N, T, H) and the last c (D, N, R, H). In a plain LSTM, D, R and k are 1, and step t is
    (slice(t, t + 1), 0). `ValueError` for shapes that do not fit, and unless each of the T states is computed once.
    """
    xp, spans = array_module(gates), _checked_spans(gates, weight, h, c, steps)
    (lstms, n, total, _), (places, hidden) = gates.shape, c.shape[2:]
    kernel = h.shape[2] - places + 1
    matrix = xp.ascontiguousarray(weight.swapaxes(1, 2))  # (D, k H, 4H)
    states = xp.empty((lstms, n, total, hidden), gates.dtype)
    around = xp.empty((lstms, n * total, kernel * hidden), gates.dtype)
    h, c, cells = h.copy(), c.copy(), []
    strides = (*h.strides[:3], *h.strides[2:])
    windows = xp.lib.stride_tricks.as_strided(h, (lstms, n, places, kernel, hidden), strides)  # a view
    for which, here, taps, rows in spans:
        seen, of_input, state = windows[:, :, here], gates[:, :, which], states[:, :, which]
        around[:, rows].reshape(seen.shape)[...] = seen
        sums = backend.matmul(around[:, rows], matrix).reshape(of_input.shape)
        activated = xp.empty((4, *state.shape), gates.dtype)
        before, tanh_c = xp.empty_like(activated[:2])
        new_h, new_c = h[:, :, taps[kernel // 2]], c[:, :, here]
        _advance(_by_gate(of_input, 3), _by_gate(sums, 3), activated, before, tanh_c, new_c, new_h, state)
        cells.append((before, activated, tanh_c))
    return (states, c), around, cells


@lstm.derivatives_together("gates", "weight", "h", "c")
def _(g: Any, weight: Array, h_shape: Shape, around: Array, cells: list[Any], steps: Steps) -> dict[str, Array]:
    """Backpropagation through time. The gradient of the weight is one product, over all steps."""
    g_states, g_c = g
    xp, g_c = array_module(g_c), g_c.copy()
    g_h = xp.zeros(h_shape, g_c.dtype)
    lstms, n, total, hidden = g_states.shape
    kernel = h_shape[2] - g_c.shape[2] + 1
    g_gates = xp.empty((lstms, n, total, 4 * hidden), g_c.dtype)
    g_rows = xp.empty((lstms, n * total, 4 * hidden), g_c.dtype)
    spans = _spans(steps, n, total, kernel)
    for (which, here, taps, rows), (before, activated, tanh_c) in zip(reversed(spans), reversed(cells), strict=True):
        of_gates, of_state = g_gates[:, :, which], g_states[:, :, which]
        by_gate, by_row = _by_gate(of_gates, 3), _by_gate(g_rows[:, rows].reshape(of_gates.shape), 3)
        of_h, of_c = g_h[:, :, taps[kernel // 2]], g_c[:, :, here]
        _go_back(of_state, before, activated, tanh_c, by_gate, by_row, of_h, of_c)
        g_around = backend.matmul(g_rows[:, rows], weight).reshape(*of_h.shape[:3], kernel, hidden)
        _add_around(g_around, g_h[:, :, taps[0].start : taps[-1].stop])
    return {"gates": g_gates, "weight": backend.matmul(g_rows.swapaxes(1, 2), around), "h": g_h, "c": g_c}


@kernel(
    "raw T of_input",
    "raw T gates, raw T activated, T before, T tanh_c, T c, T h, T state",
    "for (ptrdiff_t k = i; k < gates.size(); k += gates.size() / 4) gates[k] += of_input[k];"
    + _CELL
    + "before = c; c = forget * before + in * candidate; tanh_c = tanh(c); h = state = out * tanh_c",
)
def _advance(
    of_input: Array, gates: Array, activated: Array, before: Array, tanh_c: Array, c: Array, h: Array, state: Array
) -> None:
    """Add to the gates (4, D, N, places, H) what the input adds; then from c to the new c and h, written twice."""
    gates += of_input
    before[...] = c
    _activate(gates, activated)
    tanh_c[...], h[...], c[...] = _states(activated, before)
    state[...] = h


@kernel(
    "T g_state, T c, raw T gates, T tanh_c",
    "raw T of_gates, raw T of_rows, T g_h, T g_c",
    "g_h += g_state;"
    + _CELL_BACKWARD
    + "g_h = 0; g_c = g * forget; for (ptrdiff_t k = i; k < gates.size(); k += n) of_rows[k] = of_gates[k]",
)
def _go_back(
    g_state: Array, c: Array, activated: Array, tanh_c: Array, of_gates: Array, of_rows: Array, g_h: Array, g_c: Array
) -> None:
    """From the gradients of a step's h (in two parts) and c to those of its gates, written twice, and of c before."""
    of_rows[...], g_c[...] = _step_backward(g_state + g_h, g_c, c, activated, tanh_c)
    of_gates[...] = of_rows
    g_h[...] = 0


@kernel(
    "raw T g_around",
    "T g_h",
    """
    const ptrdiff_t count = g_around.shape()[2], taps = g_around.shape()[3], hidden = g_around.shape()[4];
    const ptrdiff_t places = count + taps - 1, example = i / hidden / places;
    for (ptrdiff_t tap = 0; tap < taps; ++tap) {
        const ptrdiff_t at = i / hidden % places - tap;  // what reads this place through the tap
        if (at >= 0 && at < count)
            g_h += g_around[((example * count + at) * taps + tap) * hidden + i % hidden];
    }
    """,
)
def _add_around(g_around: Array, g_h: Array) -> None:
    """Add the gradients (D, N, count, k, H) of what `count` places saw to those of h (D, N, count + k - 1, H)."""
    count, kernel = g_around.shape[2:4]
    for tap in range(kernel):
        g_h[:, :, tap : tap + count] += g_around[:, :, :, tap]


class Span(NamedTuple):
    """Where one step of `lstm` finds its numbers."""

    which: slice  # the states that it computes, among all T
    here: slice  # their places, among the R
    taps: list[slice]  # for each tap, the places whose h it reads, among the R + k - 1
    rows: slice  # its rows in an array that has a row for each state of each example, in the order of the steps


def _spans(steps: Steps, n: int, total: int, kernel: int) -> list[Span]:
    spans, row = [], 0
    for which, first in steps:
        count = len(range(total)[which])
        taps = [slice(first + tap, first + tap + count) for tap in range(kernel)]
        spans.append(Span(which, taps[0], taps, slice(row, row + n * count)))
        row += n * count
    return spans


def _checked_spans(gates: Any, weight: Any, h: Any, c: Any, steps: Steps) -> list[Span]:
    """`_spans`; `ValueError` for shapes or steps that do not fit."""
    expected = "gates (D, N, T, 4H), weight (D, 4H, k H), h (D, N, R + k - 1, H) and c (D, N, R, H)"
    if not gates.ndim == h.ndim == c.ndim == weight.ndim + 1 == 4:
        raise ValueError(f"expects {expected}")
    (lstms, n, total, _), (places, hidden) = gates.shape, c.shape[2:]
    kernel = h.shape[2] - places + 1
    found = gates.shape, weight.shape, h.shape[:2], h.shape[3], c.shape[:2]
    if kernel < 1 or found != (
        (lstms, n, total, 4 * hidden), (lstms, 4 * hidden, kernel * hidden), (lstms, n), hidden, (lstms, n)
    ):  # fmt: skip
        raise ValueError(f"expects {expected}")
    spans = _spans(steps, n, total, kernel)
    computed = [state for span in spans for state in range(total)[span.which]]
    if sorted(computed) != [*range(total)] or any(s.here.start < 0 or s.here.stop > places for s in spans):
        raise ValueError(f"expects steps that compute {total} states once each, at {places} places, got {steps}")
    return spans
