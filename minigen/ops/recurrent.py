"""Long short-term memory (Hochreiter and Schmidhuber 1997; with a forget gate, Gers et al. 2000).

`lstm_cell` is the arithmetic of one step after its matrix products, `lstm` a whole recurrence as one operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from minigen.autograd import primitive
from minigen.backend import Array, Shape, array_module
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

    The gates are in the order i, f, g, o. Their sigmoids and tanhs are computed by one tanh over the whole array.
    """
    if gates.ndim != c.ndim or gates.shape != (c.shape[0], 4 * c.shape[1], *c.shape[2:]):
        raise ValueError(f"gates (N, 4H, ...) are {gates.shape} but c (N, H, ...) is {c.shape}")
    hidden = c.shape[1]
    activated = 0.5 * gates  # sigmoid(x) = (1 + tanh(x/2)) / 2
    activated[:, 2 * hidden : 3 * hidden] *= 2
    array_module(gates).tanh(activated, out=activated)
    for sigmoids in (activated[:, : 2 * hidden], activated[:, 3 * hidden :]):
        sigmoids *= 0.5
        sigmoids += 0.5
    i, f, g, o = _quarters(activated)
    c_next = f * c
    c_next += i * g
    tanh_c = tanh(c_next)
    return (o * tanh_c, c_next), activated, tanh_c


def _quarters(gates: Array) -> list[Array]:
    hidden = gates.shape[1] // 4
    return [gates[:, k * hidden : (k + 1) * hidden] for k in range(4)]


@lstm_cell.derivatives_together("gates", "c")
def _lstm_cell_gradients(g: Any, c: Array, activated: Array, tanh_c: Array) -> dict[str, Array]:
    g_h, g_c = g
    i, f, candidate, o = _quarters(activated)
    g_c = g_c + g_h * o * (1 - tanh_c * tanh_c)  # c' reaches the loss by itself and through h = o tanh(c')
    gates = activated * (1 - activated)  # the derivative of a sigmoid
    of_i, of_f, of_candidate, of_o = _quarters(gates)
    of_i *= g_c * candidate
    of_f *= g_c * c
    of_candidate[...] = g_c * i * (1 - candidate * candidate)
    of_o *= g_h * tanh_c
    return {"gates": gates, "c": g_c * f}


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
    by_gate = weight.reshape(lstms, 4, hidden, kernel * hidden).transpose(1, 0, 3, 2)  # (4, D, k H, H)
    gates = gates.reshape(lstms, n, total, 4, hidden).transpose(3, 0, 1, 2, 4)  # (4, D, N, T, H)
    states = xp.empty((lstms, n, total, hidden), gates.dtype)
    around = xp.empty((lstms, n * total, kernel * hidden), gates.dtype)
    h, c, cells = h.copy(), c.copy(), []
    for which, here, taps, rows in spans:
        before = c[:, :, here].copy()
        for i, tap in enumerate(taps):
            around[:, rows].reshape(*before.shape[:3], kernel, hidden)[:, :, :, i] = h[:, :, tap]
        sums = xp.matmul(around[:, rows], by_gate).reshape(4, *before.shape)
        sums += gates[:, :, :, which]
        sums = sums.reshape(1, 4 * lstms, *before.shape[1:])  # as `lstm_cell` takes them: each gate in one piece
        (new_h, new_c), activated, tanh_c = lstm_cell.forward(sums, before[None])
        h[:, :, taps[kernel // 2]] = states[:, :, which] = new_h[0]
        c[:, :, here] = new_c[0]
        cells.append((before[None], activated, tanh_c))
    return (states, c), around, cells


@lstm.derivatives_together("gates", "weight", "h", "c")
def _(g: Any, weight: Array, h_shape: Shape, around: Array, cells: list[Any], steps: Steps) -> dict[str, Array]:
    """Back through the steps; the gradient of the weight is one product over all of them."""
    g_states, g_c = g
    xp, g_c = array_module(g_c), g_c.copy()
    g_h = xp.zeros(h_shape, g_c.dtype)
    lstms, n, total, hidden = g_states.shape
    kernel = h_shape[2] - g_c.shape[2] + 1
    by_tap = weight.reshape(lstms, 4 * hidden, kernel, hidden).transpose(2, 0, 1, 3)  # (k, D, 4H, H)
    g_gates = xp.empty((lstms, n, total, 4 * hidden), g_c.dtype)
    g_rows = xp.empty((lstms, n * total, 4 * hidden), g_c.dtype)
    spans = _spans(steps, n, total, kernel)
    for (which, here, taps, rows), (before, activated, tanh_c) in zip(reversed(spans), reversed(cells), strict=True):
        centre = taps[kernel // 2]
        g_new = g_states[:, :, which] + g_h[:, :, centre]
        of = _lstm_cell_gradients((g_new[None], g_c[None, :, :, here]), before, activated, tanh_c)
        g_c[:, :, here] = of["c"][0]
        gates_last = of["gates"].reshape(4, *g_new.shape).transpose(1, 2, 3, 0, 4)  # (D, N, places, 4, H)
        g_rows[:, rows].reshape(gates_last.shape)[...] = gates_last
        g_gates[:, :, which] = g_rows[:, rows].reshape(*g_new.shape[:3], 4 * hidden)
        g_around = xp.matmul(g_rows[:, rows], by_tap).reshape(kernel, *g_new.shape)
        g_h[:, :, centre] = 0
        for tap, of_tap in zip(taps, g_around, strict=True):
            g_h[:, :, tap] += of_tap
    return {"gates": g_gates, "weight": g_rows.swapaxes(1, 2) @ around, "h": g_h, "c": g_c}


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
