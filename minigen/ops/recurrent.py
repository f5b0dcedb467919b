"""The arithmetic inside an LSTM cell (Hochreiter and Schmidhuber 1997; with a forget gate, Gers et al. 2000)."""

from __future__ import annotations

from typing import Any

from minigen.autograd import primitive
from minigen.backend import Array, array_module
from minigen.kernels import kernel
from minigen.ops.elementwise import sigmoid, tanh
from minigen.ops.shaping import split

__all__ = ["lstm_cell"]


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
def _lstm_cell_gradients(g: Any, c: Array, activated: Array, tanh_c: Array) -> dict[str, Array]:
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
