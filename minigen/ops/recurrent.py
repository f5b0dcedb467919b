"""The arithmetic inside an LSTM cell (Hochreiter and Schmidhuber 1997; with a forget gate, Gers et al. 2000)."""

from __future__ import annotations

from typing import Any

from minigen.autograd import primitive
from minigen.backend import Array, array_module
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
def _(g: Any, c: Array, activated: Array, tanh_c: Array) -> dict[str, Array]:
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
