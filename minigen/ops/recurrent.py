"""Long short-term memory (Hochreiter and Schmidhuber 1997; with a forget gate, Gers et al. 2000).

`lstm_cell` is one step after its matrix products. `lstm` is all steps as one operation, with backpropagation through
time written by hand: the record has one node for it, in place of a dozen for each step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

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
    activated, tanh_c, h, c_next = _step(gates, c)
    return (h, c_next), activated, tanh_c


# In a kernel, element i of the gate i is number `at` of the gates, and that of the next gate is a `quarter` further.
_PLACES = "const ptrdiff_t quarter = gates.size() / gates.shape()[0] / 4, at = i + i / quarter * 3 * quarter;"


@kernel(
    "raw T gates, T c",
    "raw T activated, T tanh_c, T h, T c_next",
    _PLACES
    + """
    const T in = activated[at] = sigmoid(gates[at]);
    const T forget = activated[at + quarter] = sigmoid(gates[at + quarter]);
    const T candidate = activated[at + 2 * quarter] = tanh(gates[at + 2 * quarter]);
    const T out = activated[at + 3 * quarter] = sigmoid(gates[at + 3 * quarter]);
    c_next = forget * c + in * candidate;
    tanh_c = tanh(c_next);
    h = out * tanh_c;
    """,
)
def _step(gates: Array, c: Array) -> tuple[Array, Array, Array, Array]:
    """The sigmoids and tanhs of the gates, tanh(c'), h and c'."""
    hidden = c.shape[1]
    activated = 0.5 * gates  # sigmoid(x) = (1 + tanh(x/2)) / 2, so that one tanh computes all four
    activated[:, 2 * hidden : 3 * hidden] *= 2
    array_module(gates).tanh(activated, out=activated)
    for sigmoids in (activated[:, : 2 * hidden], activated[:, 3 * hidden :]):
        sigmoids *= 0.5
        sigmoids += 0.5
    i, f, g, o = _quarters(activated)
    c_next = f * c
    c_next += i * g
    tanh_c = tanh(c_next)
    return activated, tanh_c, o * tanh_c, c_next


def _quarters(gates: Array) -> list[Array]:
    hidden = gates.shape[1] // 4
    return [gates[:, k * hidden : (k + 1) * hidden] for k in range(4)]


@lstm_cell.derivatives_together("gates", "c")
def _(g: Any, c: Array, activated: Array, tanh_c: Array) -> dict[str, Array]:
    g_h, g_c = g
    gates, of_c = _step_backward(g_h, g_c, c, activated, tanh_c)
    return {"gates": gates, "c": of_c}


@kernel(
    "T g_h, T g_c, T c, raw T gates, T tanh_c",
    "raw T of_gates, T of_c",
    _PLACES
    + """
    const T in = gates[at], forget = gates[at + quarter];
    const T candidate = gates[at + 2 * quarter], out = gates[at + 3 * quarter];
    const T g = g_c + g_h * out * (1 - tanh_c * tanh_c);
    of_gates[at] = in * (1 - in) * (g * candidate);
    of_gates[at + quarter] = forget * (1 - forget) * (g * c);
    of_gates[at + 2 * quarter] = g * in * (1 - candidate * candidate);
    of_gates[at + 3 * quarter] = out * (1 - out) * (g_h * tanh_c);
    of_c = g * forget;
    """,
)
def _step_backward(g_h: Array, g_c: Array, c: Array, activated: Array, tanh_c: Array) -> tuple[Array, Array]:
    """The gradients for the gates and for c."""
    i, f, candidate, o = _quarters(activated)
    g_c = g_c + g_h * o * (1 - tanh_c * tanh_c)  # c' reaches the loss by itself and through h = o tanh(c')
    gates = activated * (1 - activated)  # the derivative of a sigmoid
    of_i, of_f, of_candidate, of_o = _quarters(gates)
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
        before, seen = c[:, :, here].copy(), windows[:, :, here]
        around[:, rows].reshape(seen.shape)[...] = seen
        sums = xp.matmul(around[:, rows], matrix).reshape(*before.shape[:3], 4 * hidden)
        sums += gates[:, :, which]
        activated, tanh_c, new_h, new_c = _step(_gates_first(sums), before[None])
        h[:, :, taps[kernel // 2]] = states[:, :, which] = new_h[0]
        c[:, :, here] = new_c[0]
        cells.append((before[None], activated, tanh_c))
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
        centre = taps[kernel // 2]
        g_new = g_states[:, :, which] + g_h[:, :, centre]
        of_gates, of_c = _step_backward(g_new[None], g_c[None, :, :, here], before, activated, tanh_c)
        g_c[:, :, here] = of_c[0]
        g_rows[:, rows].reshape(*g_new.shape[:3], 4, hidden)[...] = _gates_last(of_gates)
        g_gates[:, :, which] = g_rows[:, rows].reshape(*g_new.shape[:3], 4 * hidden)
        g_around = xp.matmul(g_rows[:, rows], weight).reshape(*g_new.shape[:3], kernel, hidden)
        g_h[:, :, centre] = 0
        for i, tap in enumerate(taps):
            g_h[:, :, tap] += g_around[:, :, :, i]
    return {"gates": g_gates, "weight": g_rows.swapaxes(1, 2) @ around, "h": g_h, "c": g_c}


def _gates_first(gates: Array) -> Array:
    """(D, N, places, 4H) -> (1, 4 D, N, places, H): on a CPU, `_step` is fast if each gate lies in memory by itself."""
    lstms, n, places, width = gates.shape
    first = gates.reshape(lstms, n, places, 4, width // 4).transpose(3, 0, 1, 2, 4)
    return array_module(gates).ascontiguousarray(first).reshape(1, 4 * lstms, n, places, width // 4)


def _gates_last(gates: Array) -> Array:
    """(1, 4 D, N, places, H) -> (D, N, places, 4, H)"""
    return gates.reshape(4, gates.shape[1] // 4, *gates.shape[2:]).transpose(1, 2, 3, 0, 4)


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
