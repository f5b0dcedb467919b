"""Long short-term memory (Hochreiter and Schmidhuber 1997; with a forget gate, Gers et al. 2000).

`lstm_cell` is the arithmetic of one step after its matrix products, `lstm` a whole recurrence as one operation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from minigen.autograd import primitive
from minigen.backend import Array, array_module
from minigen.ops.elementwise import sigmoid, tanh
from minigen.ops.products import matmul
from minigen.ops.shaping import concat, expand_dims, reshape, split, swapaxes

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
    """In each step, the states around a place add to its gates, and `lstm_cell` computes its next state."""
    matrix = expand_dims(swapaxes(weight, 1, 2), 1)  # (D, 1, k H, 4H)
    states = [h[:, :, :0]] * gates.shape[2]
    for which, taps in _checked_steps(gates, weight, h, c, steps):
        here, centre = taps[0], taps[len(taps) // 2]
        total = gates[:, :, which] + matmul(concat([h[:, :, tap] for tap in taps], axis=3), matrix)
        next_states = lstm_cell(swapaxes(total, 1, 3), swapaxes(c[:, :, here], 1, 3))
        h_next, c_next = (swapaxes(x, 1, 3) for x in next_states)
        h = concat([h[:, :, : centre.start], h_next, h[:, :, centre.stop :]], axis=2)
        c = concat([c[:, :, : here.start], c_next, c[:, :, here.stop :]], axis=2)
        states[which] = [h_next[:, :, i : i + 1] for i in range(h_next.shape[2])]
    return concat([h[:, :, :0], *states], axis=2), c


@primitive(reference=_reference_lstm, several=True, saves=("around", "cells"))
def lstm(gates: Array, weight: Array, h: Array, c: Array, *, steps: Steps) -> Any:
    """LSTMs whose states stand in a row of R places; a step computes the next states of places that are neighbours.

    gates     (D, N, T, 4H): for D LSTMs side by side, the input's part of the gates of all T states to compute
    weight    (D, 4H, k H): what the states h at k places, p - k // 2 and those after it, add to the gates of place p
    h, c      (D, N, R + k - 1, H) and (D, N, R, H): the first states. Before and after the R places, h has k - 1 more,
              which no step changes.
    steps     (which, first) for each step: the states of the places first, first + 1, ... are the entries `which`, a
              slice, of the T

    Returns the T states h (D, N, T, H), and the last c of every place (D, N, R, H). In a plain LSTM, R and k are 1 and
    step t is (slice(t, t + 1), 0). `ValueError` for shapes that do not fit, and for steps that leave a state out.
    """
    xp = array_module(gates)
    moves = _checked_steps(gates, weight, h, c, steps)
    lstms, n, total, hidden = (*gates.shape[:3], c.shape[3])
    kernel = len(moves[0][1])
    by_gate = weight.reshape(lstms, 4, hidden, kernel * hidden).transpose(1, 0, 3, 2)  # (4, D, k H, H)
    gates = gates.reshape(lstms, n, total, 4, hidden).transpose(3, 0, 1, 2, 4)  # (4, D, N, T, H)
    h, c, cells = h.copy(), c.copy(), []
    states = xp.empty((lstms, n, total, hidden), gates.dtype)
    around = xp.empty((lstms, n * total, kernel * hidden), gates.dtype)
    done = 0
    for which, taps in moves:
        here, centre = taps[0], taps[kernel // 2]
        before = c[:, :, here].copy()
        rows = slice(done, done + n * before.shape[2])
        near = around[:, rows].reshape(*before.shape[:3], kernel, hidden)
        for i, tap in enumerate(taps):
            near[:, :, :, i] = h[:, :, tap]
        sums = xp.matmul(around[:, rows], by_gate)
        sums = sums.reshape(4, *before.shape)
        sums += gates[:, :, :, which]
        (h_next, c_next), activated, tanh_c = lstm_cell.forward(_one_row(sums), _one_row(before))
        h[:, :, centre] = states[:, :, which] = h_next.reshape(before.shape)
        c[:, :, here] = c_next.reshape(before.shape)
        cells.append((_one_row(before), activated, tanh_c))
        done = rows.stop
    return (states, c), around, cells


@lstm.derivatives_together("gates", "weight", "h", "c")
def _(g: Any, weight: Array, h: Array, c: Array, around: Array, cells: list, steps: Steps) -> dict[str, Array]:
    """Backwards through the steps; the gradient of the weight is one product over all of them."""
    g_states, g_c = g
    xp = array_module(g_c)
    g_h, g_c = xp.zeros(h.shape, h.dtype), g_c.copy()
    lstms, n, total, hidden = g_states.shape
    kernel = h.shape[2] - c.shape[2] + 1
    g_gates = xp.empty((lstms, n, total, 4 * hidden), h.dtype)
    g_rows = xp.empty((lstms, n * total, 4 * hidden), h.dtype)
    by_tap = weight.reshape(lstms, 4 * hidden, kernel, hidden).transpose(2, 0, 1, 3)  # (k, D, 4H, H)
    done = n * total
    moves = _spans(steps, total, kernel)
    for (which, taps), (before, activated, tanh_c) in zip(reversed(moves), reversed(cells), strict=True):
        here, centre = taps[0], taps[kernel // 2]
        incoming = g_states[:, :, which] + g_h[:, :, centre]
        rows = slice(done - n * incoming.shape[2], done)
        of = _lstm_cell_gradients((_one_row(incoming), _one_row(g_c[:, :, here])), before, activated, tanh_c)
        g_c[:, :, here] = of["c"].reshape(incoming.shape)
        x = of["gates"].reshape(4, lstms, rows.stop-rows.start, hidden).transpose(1, 2, 0, 3)
        g_rows[:, rows].reshape(x.shape)[...] = x
        g_gates[:, :, which] = g_rows[:, rows].reshape(*incoming.shape[:3], 4 * hidden)
        g_near = xp.matmul(g_rows[:, rows], by_tap).reshape(kernel, *incoming.shape)
        g_h[:, :, centre] = 0
        for i, tap in enumerate(taps):
            g_h[:, :, tap] += g_near[i]
        done = rows.start
    return {"gates": g_gates, "weight": g_rows.swapaxes(1, 2) @ around, "h": g_h, "c": g_c}


def _one_row(x: Array) -> Array:
    """(..., H) as (1, ..., H), in which form `lstm_cell` takes gates that lie one after the other in memory."""
    return x.reshape(1, math.prod(x.shape[:-1]), x.shape[-1])


def _spans(steps: Steps, total: int, kernel: int) -> list[tuple[slice, list[slice]]]:
    """For each step, which states it computes, and the places that it reads, for each of the k taps."""
    spans = []
    for which, first in steps:
        count = len(range(total)[which])
        spans.append((which, [slice(first + tap, first + tap + count) for tap in range(kernel)]))
    return spans


def _checked_steps(gates: Any, weight: Any, h: Any, c: Any, steps: Steps) -> list[tuple[slice, list[slice]]]:
    """`_spans`; `ValueError` for shapes or steps that do not fit."""
    return _spans(steps, gates.shape[2], h.shape[2] - c.shape[2] + 1)
