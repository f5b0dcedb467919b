"""Layers that are matrix products: the fully connected layer, and the embedding of integers."""

from __future__ import annotations

from typing import Any

from minigen import ops
from minigen.autograd import Tensor, raw
from minigen.backend import is_array, on_host
from minigen.nn.init import check_sizes, fan_in_uniform
from minigen.nn.module import Module, Parameter
from minigen.random import normal


class Linear(Module):
    """y = x W^T + b, x (..., in_features) -> (..., out_features)."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        check_sizes("Linear", in_features=in_features, out_features=out_features)
        self.weight = fan_in_uniform((out_features, in_features), in_features)
        self.bias = fan_in_uniform((out_features,), in_features) if bias else None

    def forward(self, x: Any) -> Any:
        return ops.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        out_features, in_features = self.weight.shape
        return f"{in_features}, {out_features}" + ("" if self.bias is not None else ", bias=False")


class Embedding(Module):
    """A learned vector for each of `num_embeddings` integers: x (...) -> (..., embedding_dim)."""

    def __init__(self, num_embeddings: int, embedding_dim: int) -> None:
        check_sizes("Embedding", num_embeddings=num_embeddings, embedding_dim=embedding_dim)
        self.weight = Parameter(normal((num_embeddings, embedding_dim)))

    def forward(self, x: Any) -> Tensor:
        index = raw(x)
        if not is_array(index) or index.dtype.kind not in "iu":
            raise TypeError(
                f"Embedding: expects an array of integers, got {getattr(index, 'dtype', type(index).__name__)}"
            )
        if on_host(index) and index.size and index.min() < 0:
            raise IndexError(f"Embedding: expects integers 0 ... {len(self.weight) - 1}, got {index.min()}")
        return self.weight[index]

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}"
