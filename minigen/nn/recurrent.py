"""Long short-term memory (Hochreiter and Schmidhuber 1997), with PyTorch's parameter names and gate order."""

from __future__ import annotations

from typing import Any

from minigen import ops
from minigen.autograd import Tensor, raw
from minigen.backend import Shape, array_module
from minigen.nn.init import check_sizes, fan_in_uniform
from minigen.nn.module import Module

State = tuple[Any, Any]


def _zeros(x: Any, n: int, hidden: int) -> Tensor:
    return Tensor(array_module(raw(x)).zeros((n, hidden), dtype=x.dtype))


class LSTMCell(Module):
    """One step: x (N, input_size) and the state (h, c), each (N, hidden_size), give the next (h, c)."""

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        check_sizes("LSTMCell", input_size=input_size, hidden_size=hidden_size)
        self.hidden_size = hidden_size
        self.weight_ih = fan_in_uniform((4 * hidden_size, input_size), hidden_size)
        self.weight_hh = fan_in_uniform((4 * hidden_size, hidden_size), hidden_size)
        self.bias_ih = fan_in_uniform((4 * hidden_size,), hidden_size) if bias else None
        self.bias_hh = fan_in_uniform((4 * hidden_size,), hidden_size) if bias else None

    def forward(self, x: Any, state: State | None = None) -> State:
        h, c = state if state is not None else (_zeros(x, x.shape[0], self.hidden_size),) * 2
        gates = ops.linear(x, self.weight_ih, self.bias_ih) + ops.linear(h, self.weight_hh, self.bias_hh)
        return ops.lstm_cell(gates, c)

    def extra_repr(self) -> str:
        return f"{self.weight_ih.shape[1]}, {self.hidden_size}"


class LSTM(Module):
    """A sequence through `num_layers` LSTMs: x (T, N, input_size) -> (outputs (T, N, hidden_size), (h, c)).

    The initial states (num_layers, N, hidden_size) are zero unless given. With `batch_first`, x and the outputs are
    (N, T, ...). The input's part of the gates is computed for the whole sequence in one matrix product.
    """

    def __init__(
        self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True, batch_first: bool = False
    ) -> None:
        check_sizes("LSTM", input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        self.hidden_size, self.num_layers, self.batch_first = hidden_size, num_layers, batch_first
        for layer in range(num_layers):
            size = input_size if layer == 0 else hidden_size
            shapes: dict[str, Shape] = {
                "weight_ih": (4 * hidden_size, size),
                "weight_hh": (4 * hidden_size, hidden_size),
            }
            if bias:
                shapes |= {"bias_ih": (4 * hidden_size,), "bias_hh": (4 * hidden_size,)}
            for name, shape in shapes.items():
                setattr(self, f"{name}_l{layer}", fan_in_uniform(shape, hidden_size))

    def forward(self, x: Any, state: State | None = None) -> tuple[Any, State]:
        if x.ndim != 3:
            raise ValueError(f"LSTM: expects a sequence with 3 axes, got {x.shape}")
        n, length = x.shape[:2] if self.batch_first else (x.shape[1], x.shape[0])
        zeros, steps = _zeros(x, n, self.hidden_size), [(slice(t, t + 1), 0) for t in range(length)]
        last = []
        for layer in range(self.num_layers):
            h, c = (zeros, zeros) if state is None else (state[0][layer], state[1][layer])
            weight_ih, weight_hh, bias_ih, bias_hh = self._parameters(layer)
            bias = None if bias_ih is None else bias_ih + bias_hh
            gates = self._batch_first(ops.linear(x, weight_ih, bias))
            outputs, c = ops.lstm(gates[None], weight_hh[None], h[None, :, None], c[None, :, None], steps=steps)
            x = self._batch_first(outputs[0])
            last.append((outputs[0, :, -1], c[0, :, 0]))
        return x, (ops.stack([h for h, _ in last]), ops.stack([c for _, c in last]))

    def _batch_first(self, x: Any) -> Any:
        """(T, N, ...) as (N, T, ...) and the other way round; with `batch_first`, x as it is."""
        return x if self.batch_first else ops.swapaxes(x, 0, 1)

    def _parameters(self, layer: int) -> list[Any]:
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        return [getattr(self, f"{name}_l{layer}", None) for name in names]

    def extra_repr(self) -> str:
        return f"{self._parameters(0)[0].shape[1]}, {self.hidden_size}, num_layers={self.num_layers}"
