"""Single convolutions: the forward pass and both gradients, in turns with PyTorch."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import minigen
from benchmarks import Table, compared, in_turns, torch_twins
from minigen import grad, ops

PARTS = ("forward", "gradient of the input", "gradient of the weight")


class Convolution(NamedTuple):
    operation: str
    images: int
    inputs: int
    side: int
    outputs: int
    kernel: int
    padding: int = 0
    stride: int = 1
    live: int | None = None  # the first so many taps of a masked kernel see

    def arrays(self) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
        """x, the weight, and the mask if there is one."""
        random, k = np.random.default_rng(0), self.kernel
        channels = (self.inputs, self.outputs) if "transpose" in self.operation else (self.outputs, self.inputs)
        x = random.standard_normal((self.images, self.inputs, self.side, self.side), dtype=np.float32)
        weight = random.standard_normal((*channels, k, k), dtype=np.float32)
        mask = {} if self.live is None else {"mask": (np.arange(k * k) < self.live).reshape(k, k).astype(np.float32)}
        return x, weight, mask


CONVOLUTIONS = [
    Convolution("conv2d", 64, 64, 28, 64, 3, padding=1),
    Convolution("conv2d", 64, 128, 14, 128, 3, padding=1),
    Convolution("conv2d", 16, 128, 32, 128, 3, padding=1),
    Convolution("conv2d", 64, 64, 28, 64, 7, padding=3),
    Convolution("masked_conv2d", 64, 1, 28, 64, 7, padding=3, live=24),
    Convolution("masked_conv2d", 64, 64, 28, 64, 3, padding=1, live=5),
    Convolution("masked_conv2d", 64, 16, 28, 16, 3, padding=1, live=5),
    Convolution("conv2d", 64, 32, 28, 16, 1),
    Convolution("conv2d", 128, 1, 28, 64, 4, padding=1, stride=2),
    Convolution("conv2d", 128, 64, 14, 128, 4, padding=1, stride=2),
    Convolution("conv_transpose2d", 128, 100, 1, 256, 7),
    Convolution("conv_transpose2d", 128, 128, 7, 64, 4, padding=1, stride=2),
    Convolution("conv_transpose2d", 128, 64, 14, 1, 4, padding=1, stride=2),
]


def measure(args: argparse.Namespace, table: Table) -> None:
    libraries = [our_convolution, their_convolution] if torch_twins.usable(args.device) else [our_convolution]
    for case in CONVOLUTIONS:
        work = [library(case, *case.arrays()) for library in libraries]
        for part, functions in zip(PARTS, zip(*work, strict=True), strict=True):
            table.add(convolution=f"{case}, {part}", **compared(in_turns(list(functions), args.repeat)))


def our_convolution(case: Convolution, x: Any, weight: Any, mask: dict[str, Any]) -> list[Callable[[], Any]]:
    """The forward pass and the two gradients. x lies channels last in memory, as our convolutions leave results."""
    x = np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    x, weight = (minigen.Tensor(minigen.device().asarray(v), requires_grad=True) for v in (x, weight))
    operation = getattr(ops, case.operation)
    forward = lambda: operation(x, weight, stride=case.stride, padding=case.padding, **mask)
    out = forward()
    gradient = lambda wanted: grad(out, [wanted], out.data, create_graph=True)  # create_graph: it can be repeated
    return [forward, lambda: gradient(x), lambda: gradient(weight)]


def their_convolution(case: Convolution, x: Any, weight: Any, mask: dict[str, Any]) -> list[Callable[[], Any]]:
    """The same; PyTorch computes a masked convolution in full."""
    x, weight = (torch_twins.torch.as_tensor(v).requires_grad_() for v in (x, weight))
    factor = torch_twins.torch.as_tensor(mask["mask"]) if mask else 1.0
    operation = getattr(torch_twins.torch.nn.functional, case.operation.removeprefix("masked_"))
    forward = lambda: operation(x, weight * factor, stride=case.stride, padding=case.padding)
    out = forward()
    gradient = lambda wanted: torch_twins.torch.autograd.grad(out, [wanted], out.detach(), retain_graph=True)
    return [forward, lambda: gradient(x), lambda: gradient(weight)]
