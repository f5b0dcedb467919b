"""The tape: the record that operations leave, and the chain rule run over it from the end to the beginning."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigen.autograd.modes import MODE, changed_mode
from minigen.autograd.operators import PRIMITIVES
from minigen.autograd.tensors import Tensor
from minigen.backend import Array, Shape, array_module, device_of, is_array

if TYPE_CHECKING:
    from minigen.autograd.primitives import Primitive


class Edge(NamedTuple):
    """Where the gradient for one argument goes: to the node that made the argument, or to a leaf tensor."""

    position: int
    source: Node | Tensor
    output: int
    shape: Shape
    dtype: np.dtype


_counter = itertools.count()


class Node:
    """One recorded operation. It holds no tensors but leaves, so no node is part of a reference cycle."""

    __slots__ = ("edges", "order", "outputs", "primitive", "saved", "watched", "where")

    def __init__(self, primitive: Primitive, edges: list[Edge], saved: dict, watched: list, outputs: list) -> None:
        self.primitive, self.edges, self.outputs = primitive, edges, outputs
        self.saved: dict[str, Any] | None = saved
        self.watched = watched  # (version counter, its value when recorded, name) of each saved tensor
        self.order = next(_counter)  # arguments are made before results, so this is a topological order
        self.where = ""

    def backward(self, output: Tensor, g: Any, retain_graph: bool) -> None:
        """See `Tensor.backward`."""
        seed = _seed(output, g, "backward", create_graph=False)
        _backpropagate([(output, seed)], None, create_graph=False, retain_graph=retain_graph)

    def values(self) -> dict[str, Any]:
        """The saved values, after checking that they are still there and still what they were."""
        if self.saved is None:
            raise RuntimeError(
                f"{self.primitive.name}: backward a second time, but the first freed what it had saved; "
                "give the first retain_graph=True"
            )
        for version, recorded, name in self.watched:
            if version[0] != recorded:
                raise RuntimeError(
                    f"{self.primitive.name}: {name} was changed in place after the forward pass, and the backward "
                    f"pass needs it as it was (version {recorded}, now {version[0]})"
                )
        return self.saved

    def as_tensors(self) -> dict[str, Any]:
        """The saved values as tensors that are still attached to the record, so that they can be derived again."""
        values = dict(self.values())
        attached = {self.primitive.argument_at(edge.position): edge for edge in self.edges}
        for name in self.primitive.arguments:
            if name in values and name in attached:
                values[name] = _attached(values[name], attached[name].source, attached[name].output)
        if "out" in values:
            outs = values["out"] if isinstance(values["out"], tuple) else (values["out"],)
            tensors = tuple(_attached(o, self, i) for i, o in enumerate(outs))
            values["out"] = tensors if len(tensors) > 1 else tensors[0]
        return {name: Tensor(v) if is_array(v) and v.dtype.kind == "f" else v for name, v in values.items()}


def _attached(data: Array, source: Node | Tensor, output: int) -> Tensor:
    """A tensor at a known place of the record."""
    if isinstance(source, Tensor):
        return source
    result = Tensor(data)
    result._node, result._output, result._requires_grad = source, output, True
    return result


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    *,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of `outputs`, weighted with `grad_outputs`, with respect to `inputs`: a tuple, one each.

    Only what leads to `inputs` is computed, and nobody's `.grad` changes. Under `create_graph` the gradients are
    themselves recorded, so that they can be part of a loss. An input that the outputs do not depend on is an
    error, or None under `allow_unused`. The graph is freed unless `create_graph`.
    """
    outputs = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    seeds = [None] * len(outputs) if grad_outputs is None else grad_outputs
    if is_array(seeds) or isinstance(seeds, Tensor):
        seeds = [seeds]
    if len(seeds) != len(outputs):
        raise ValueError(f"grad: got {len(outputs)} outputs but {len(seeds)} grad_outputs")
    for i, x in enumerate(inputs):
        if not x.requires_grad:
            raise ValueError(f"grad: input {i} {x.shape} does not require gradients")
    roots = [(o, _seed(o, g, "grad", create_graph)) for o, g in zip(outputs, seeds, strict=True)]
    targets = {_place(x) for x in inputs}
    oldest = min((-1 if x._node is None else x._node.order for x in inputs), default=-1)
    found = _backpropagate(roots, targets, create_graph, retain_graph=create_graph, oldest=oldest)
    results = []
    for i, x in enumerate(inputs):
        g = found.get(_place(x))
        if g is None and not allow_unused:
            raise ValueError(f"grad: the outputs do not depend on input {i} {x.shape}; allow_unused=True gives None")
        results.append(g if g is None or isinstance(g, Tensor) else Tensor(g))
    return tuple(results)


def _seed(output: Tensor, g: Any, caller: str, create_graph: bool) -> Any:
    """The gradient to start from, checked: an array, or under create_graph a tensor."""
    if not output.requires_grad:
        raise RuntimeError(f"{caller}: the output was not computed from anything that requires gradients")
    if g is None:
        if output.size != 1:
            raise ValueError(f"{caller}: the output has shape {output.shape}; only a single number needs no `grad`")
        g = array_module(output.data).ones(output.shape, dtype=output.dtype)
    data = g.data if isinstance(g, Tensor) else g
    if not is_array(data) or data.shape != output.shape:
        got = data.shape if is_array(data) else type(data).__name__
        raise ValueError(f"{caller}: the gradient of an output {output.shape} takes that shape, got {got}")
    if device_of(data) != output.device:
        raise ValueError(f"{caller}: the output is on {output.device}, its gradient on {device_of(data)}")
    if create_graph:
        g = g if isinstance(g, Tensor) else Tensor(data)
        return g if g.dtype == output.dtype else g.astype(output.dtype)
    return data.astype(output.dtype)  # a copy: a derivative may keep it, and the caller may change theirs


def _place(x: Tensor) -> tuple[int, int]:
    """The place of a tensor in the record, as a key."""
    return (id(x), 0) if x._node is None else (id(x._node), x._output)


class _Gradients:
    """The gradients on their way, summed where several meet.

    A gradient that a derivative has just made is ours, and later ones are added into it. One that may be known
    under another name (a derivative returned `g` itself, or a view) is not, and is never written to.
    """

    def __init__(self, create_graph: bool) -> None:
        self.sums: dict[tuple[int, int], Any] = {}
        self.create_graph = create_graph
        self.ours: set[tuple[int, int]] = set()

    def add(self, place: tuple[int, int], g: Any, fresh: bool) -> None:
        if place not in self.sums:
            self.sums[place] = g
            if not fresh or self.create_graph:
                return
        elif place in self.ours:
            self.sums[place] += g
        else:
            total = self.sums[place] + g
            self.sums[place] = np.asarray(total) if isinstance(total, np.generic) else total
        if not self.create_graph:
            self.ours.add(place)

    def copied(self, place: tuple[int, int]) -> Any:
        return self.sums[place] if self.create_graph else self.sums[place].copy()

    def taken(self, place: tuple[int, int]) -> Any:
        """The sum, as an array that is nobody else's."""
        return self.sums.pop(place) if place in self.ours else self.copied(place)


def _backpropagate(
    roots: Iterable[tuple[Tensor, Any]],
    targets: set[tuple[int, int]] | None,
    create_graph: bool,
    retain_graph: bool,
    oldest: int = -1,
) -> dict[tuple[int, int], Any]:
    """The chain rule from the roots down: into every leaf's `.grad`, or to the targets alone and returned.

    `oldest`: no target was made before the node of this order.
    """
    gradients = _Gradients(create_graph)
    waiting: list[tuple[int, Node]] = []  # a heap: the node made last comes first
    seen: set[int] = set()
    found: dict[tuple[int, int], Any] = {}
    leaves: dict[int, Tensor] = {}

    def send(source: Node | Tensor, output: int, g: Any, fresh: bool) -> None:
        gradients.add((id(source), output), g, fresh)
        if isinstance(source, Tensor):
            leaves[id(source)] = source
        elif source.order not in seen:
            seen.add(source.order)
            heapq.heappush(waiting, (-source.order, source))

    for tensor, g in roots:
        send(tensor if tensor._node is None else tensor._node, tensor._output, g, fresh=False)
    useful = _leading_to(targets, [node for _, node in waiting], oldest) if targets else set()
    with changed_mode(recording=create_graph):
        while waiting:
            _, node = heapq.heappop(waiting)
            edges = node.edges
            if targets is not None:
                places = [(id(node), i) for i in range(len(node.outputs))]
                found |= {p: gradients.copied(p) for p in places if p in targets and p in gradients.sums}
                edges = [e for e in edges if (id(e.source), e.output) in targets or id(e.source) in useful]
            gs = [gradients.sums.pop((id(node), i), None) for i in range(len(node.outputs))]
            if edges:
                for edge, g in _derivatives(node, gs, edges, create_graph):
                    fresh = not create_graph and g.base is None and all(g is not other for other in gs)
                    send(edge.source, edge.output, g, fresh)
            if not retain_graph:
                node.saved = None
            gs = g = None  # type: ignore[assignment]  # not alive while the next node works
    for key, leaf in leaves.items():
        if targets is not None:
            if (key, 0) in targets:
                found[key, 0] = gradients.taken((key, 0))
        elif leaf.grad is not None:
            leaf.grad.data += gradients.sums.pop((key, 0))
        else:
            leaf.grad = Tensor(gradients.taken((key, 0)))
    return found


def _leading_to(targets: set[tuple[int, int]], nodes: list[Node], oldest: int) -> set[int]:
    """The nodes, among `nodes` and all before them, through which a gradient reaches a target."""
    every = {node.order: node for node in nodes}
    pending = list(nodes)
    while pending:
        for edge in pending.pop().edges:
            source = edge.source
            if isinstance(source, Node) and source.order > oldest and source.order not in every:
                every[source.order] = source
                pending.append(source)
    useful: set[int] = set()
    for _, node in sorted(every.items()):
        if any((id(e.source), e.output) in targets or id(e.source) in useful for e in node.edges):
            useful.add(id(node))
    return useful


def _derivatives(node: Node, gs: list, edges: list[Edge], create_graph: bool) -> Iterator[tuple[Edge, Any]]:
    """The gradients for the arguments at `edges`, given those of the outputs."""
    operation = node.primitive
    if len(gs) > 1:  # an output that nothing used has gradient zero
        like = next(g for g in gs if g is not None)
        like = like.data if isinstance(like, Tensor) else like
        xp = array_module(like)
        for i, (shape, dtype) in enumerate(node.outputs):
            if gs[i] is None:
                zeros = xp.zeros(shape, dtype=dtype)
                gs[i] = Tensor(zeros) if create_graph else zeros
    g = gs[0] if len(gs) == 1 else tuple(gs)
    if create_graph and operation.reference is not None:
        yield from _through_reference(node, g, edges)
        return
    values = node.as_tensors() if create_graph else node.values()
    detecting = MODE.get().detecting
    for edge in edges:
        argument = operation.argument_at(edge.position)
        rule = operation.rules[argument]
        if "position" in rule.names:
            values = {**values, "position": edge.position - len(operation.arguments)}
        result = rule.function(g, *[values[name] for name in rule.names])
        result = unbroadcast(result, edge, operation.name, argument)
        if detecting:
            data = result.data if isinstance(result, Tensor) else result
            check_finite((data,), f"backward of {operation.name}: the gradient for {argument}", node.where)
        yield edge, result


def _through_reference(node: Node, g: Any, edges: list[Edge]) -> Iterator[tuple[Edge, Any]]:
    """The same gradients by recording the reference formula and differentiating that, for higher derivatives."""
    arrays, kwargs = node.values()["reference"]
    arguments = [Tensor(a) if is_array(a) else a for a in arrays]
    for edge in edges:  # through `identity`, so that one argument's gradient does not run on into another's
        arguments[edge.position] = PRIMITIVES["identity"](_attached(arrays[edge.position], edge.source, edge.output))
    outputs = node.primitive.reference(*arguments, **kwargs)  # type: ignore[misc]
    inputs = [arguments[edge.position] for edge in edges]
    results = grad(outputs, inputs, g, create_graph=True, allow_unused=True)
    yield from ((edge, result) for edge, result in zip(edges, results, strict=True) if result is not None)


def unbroadcast(g: Any, edge: Edge, operation: str, argument: str) -> Any:
    """A rule's result in the argument's shape and dtype: sums over the axes along which it was broadcast."""
    if g.shape != edge.shape:
        extra = g.ndim - len(edge.shape)
        kept = g.shape[extra:] if extra >= 0 else ()
        if len(kept) != len(edge.shape) or any(n not in (1, m) for n, m in zip(edge.shape, kept, strict=True)):
            raise RuntimeError(
                f"{operation}: the derivative for {argument} has shape {g.shape}, but {argument} has {edge.shape}"
            )
        stretched = [extra + i for i, n in enumerate(edge.shape) if n == 1 and kept[i] != 1]
        g = g.sum(axis=(*range(extra), *stretched)).reshape(edge.shape)
    if isinstance(g, np.generic):  # what NumPy makes of arrays without axes
        g = np.asarray(g)
    return g if g.dtype == edge.dtype else g.astype(edge.dtype)


def check_finite(arrays: tuple, what: str, where: str = "") -> None:
    """Raise `FloatingPointError` if a NaN or an infinity is among the values."""
    for x in arrays:
        if x.dtype.kind == "f" and not bool(array_module(x).isfinite(x).all()):
            bad = x.size - int(array_module(x).isfinite(x).sum())
            called = f"; the operation was called at {where}" if where else ""
            raise FloatingPointError(f"{what} has {bad} of {x.size} values that are NaN or infinite{called}")
