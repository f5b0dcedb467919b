"""The tape: the record of the operations, and the backward pass, which applies the chain rule to it in reverse.

Each operation leaves a `Node`. Its edges lead to the nodes that made its arguments, or to leaves: tensors that no
operation made, such as parameters. A backward pass starts with the gradient of the final output and visits the nodes
from the latest to the earliest. When it comes to a node, every operation that used the node's output has already sent
its gradient, so the sum is complete. The node's derivatives turn this sum into a gradient for each argument, which is
sent along the edge.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from minigen.autograd.modes import MODE, MODULE, changed_mode, check_finite
from minigen.autograd.operators import PRIMITIVES
from minigen.autograd.tensors import Tensor
from minigen.backend import Array, Shape, array_module, arrays_among, as_array, device_of, is_array

if TYPE_CHECKING:
    from minigen.autograd.primitives import Primitive

Place = tuple[int, int]
"""Where a gradient belongs in the record: the id of a node and which of its outputs, or that of a leaf and 0."""


Watched = tuple[list[int], int, str]
"""A saved tensor that must not be changed in place: its version counter, the version when it was saved, its name."""


# -- the record --------------------------------------------------------------------------------------------------------


class Edge(NamedTuple):
    """Where the gradient for one argument goes: to the node that made the argument, or to a leaf."""

    position: int
    source: Node | Tensor
    output: int
    shape: Shape
    dtype: np.dtype

    @property
    def place(self) -> Place:
        return id(self.source), self.output


_counter = itertools.count()


class Node:
    """One recorded operation. The only tensors it refers to are leaves, so no node is part of a reference cycle."""

    __slots__ = ("edges", "module", "order", "outputs", "primitive", "saved", "watched", "where")

    def __init__(
        self,
        primitive: Primitive[..., Any],
        edges: list[Edge],
        saved: dict[str, Any],
        watched: list[Watched],
        outputs: tuple[Array, ...],
    ) -> None:
        self.primitive, self.edges = primitive, edges
        self.outputs = [(x.shape, x.dtype) for x in outputs]
        self.saved: dict[str, Any] | None = saved  # None once a backward pass has freed it
        self.watched = watched
        self.order = next(_counter)  # arguments are made before results, so this is a topological order
        self.module = MODULE.get()
        self.where = ""

    def backward(self, output: Tensor, gradient: Any, retain_graph: bool) -> None:
        """Add the gradients of `output`, which this node made, to the `grad` of every leaf; see `Tensor.backward`."""
        seed = _seed(output, gradient, "backward", create_graph=False)
        gradients, leaves = _backpropagate([(output, seed)], create_graph=False, retain_graph=retain_graph)
        for place, leaf in leaves.items():
            if leaf.grad is None:
                leaf.grad = Tensor(gradients[place])
            else:
                leaf.grad.data += gradients[place]

    def values(self) -> dict[str, Any]:
        """The saved values; `RuntimeError` if they were freed, or changed in place."""
        if self.saved is None:
            raise RuntimeError(
                f"{self.primitive.name}: backward a second time, but the first backward pass freed the saved values; "
                "call the first one with retain_graph=True"
            )
        for version, recorded, name in self.watched:
            if version[0] != recorded:
                raise RuntimeError(
                    f"{self.primitive.name}: {name} was changed in place after the forward pass, and the backward "
                    f"pass needs it as it was (version {recorded}, now {version[0]})"
                )
        return self.saved

    def as_tensors(self) -> dict[str, Any]:
        """The saved values as tensors that are still attached to the record, so that they can be differentiated."""
        values = dict(self.values())
        edges = {self.primitive.argument_at(edge.position): edge for edge in self.edges}
        for name in values.keys() & edges.keys():
            values[name] = _attached(values[name], edges[name].source, edges[name].output)
        if "out" in values:
            out = values["out"]
            several = isinstance(out, tuple)
            tensors = tuple(_attached(x, self, i) for i, x in enumerate(out if several else (out,)))
            values["out"] = tensors if several else tensors[0]
        return {name: Tensor(x) if is_array(x) and x.dtype.kind == "f" else x for name, x in values.items()}


def nodes_behind(tensors: Iterable[Tensor]) -> list[Node]:
    """Every node of the record from which these tensors were computed, in the order in which they were made."""
    found: dict[int, Node] = {}
    pending: list[Any] = [x._node for x in tensors]
    while pending:
        node = pending.pop()
        if isinstance(node, Node) and node.order not in found:
            found[node.order] = node
            pending += [edge.source for edge in node.edges]
    return [found[order] for order in sorted(found)]


def _attached(data: Array, source: Node | Tensor, output: int) -> Tensor:
    """The leaf `source`, or a tensor for an output of the node `source`."""
    if isinstance(source, Tensor):
        return source
    result = Tensor(data)
    result._node, result._output, result._requires_grad = source, output, True
    return result


def _place(x: Tensor) -> Place:
    return (id(x), 0) if x._node is None else (id(x._node), x._output)


# -- asking for gradients ----------------------------------------------------------------------------------------------


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    *,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of `outputs` with respect to `inputs`: a tuple with one gradient, of its shape, for each input.

    grad_outputs    the gradient with respect to each output, of its shape; not needed for outputs of a single number
    create_graph    record the gradients themselves, so that they can be part of a loss; the graph is then not freed
    allow_unused    give None for an input that the outputs do not depend on, which is otherwise a `ValueError`

    Only the derivatives that lead to `inputs` are computed, and no tensor's `.grad` changes.
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
    gradients, _ = _backpropagate(roots, create_graph, create_graph, targets, oldest)
    results = []
    for i, x in enumerate(inputs):
        g = gradients.get(_place(x))
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
        one = array_module(output.data).ones(output.shape, dtype=output.dtype)
        return Tensor(one) if create_graph else one
    data = g.data if isinstance(g, Tensor) else g
    if not is_array(data) or data.shape != output.shape:
        got = data.shape if is_array(data) else type(data).__name__
        raise ValueError(f"{caller}: expects a gradient of the output's shape {output.shape}, got {got}")
    if device_of(data) != output.device:
        raise ValueError(f"{caller}: the output is on {output.device}, its gradient on {device_of(data)}")
    if create_graph:
        g = g if isinstance(g, Tensor) else Tensor(data)
        return g if g.dtype == output.dtype else g.astype(output.dtype)
    return data.astype(output.dtype)  # a copy: it may become a leaf's gradient, and the caller may change the original


# -- the backward pass -------------------------------------------------------------------------------------------------


def _backpropagate(
    roots: Iterable[tuple[Tensor, Any]],
    create_graph: bool,
    retain_graph: bool,
    targets: set[Place] | None = None,
    oldest: int = -1,
) -> tuple[dict[Place, Any], dict[Place, Tensor]]:
    """Apply the chain rule from the roots: the gradients of the targets (without targets, of all leaves); the leaves.

    Both are dictionaries by place. No target was made before the node whose order is `oldest`.
    """
    sums: dict[Place, Any] = {}  # the gradients that have arrived at each place so far
    leaves: dict[Place, Tensor] = {}
    waiting: list[tuple[int, Node]] = []  # a heap: the node made last comes first
    queued: set[int] = set()
    found: dict[Place, Any] = {}

    def send(source: Node | Tensor, output: int, g: Any) -> None:
        place = id(source), output
        if isinstance(source, Tensor):
            leaves[place] = source
        elif source.order not in queued:
            queued.add(source.order)
            heapq.heappush(waiting, (-source.order, source))
        if place not in sums:
            sums[place] = g
        elif place in leaves and not create_graph:
            # In place, since the tape owns this array: for a Row LSTM, whose weights are used in every row, this saves
            # 1 to 3 % of a step's time against a new array for each sum, and one array at the peak of memory.
            sums[place] += g
        else:
            sums[place] = as_array(sums[place] + g)

    for tensor, g in roots:
        send(tensor if tensor._node is None else tensor._node, tensor._output, g)
    useful = _leading_to(targets, [node for _, node in waiting], oldest) if targets else set()
    profile = MODE.get().profile
    with changed_mode(recording=create_graph):
        while waiting:
            _, node = heapq.heappop(waiting)
            gs = [sums.pop((id(node), i), None) for i in range(len(node.outputs))]
            edges = node.edges
            if targets is not None:
                for i, g in enumerate(gs):
                    if g is not None and (id(node), i) in targets:
                        found[id(node), i] = g if create_graph else g.copy()
                edges = [edge for edge in edges if edge.place in targets or id(edge.source) in useful]
            results = _argument_gradients(node, gs, edges, create_graph)
            for edge, g in results if profile is None else profile.backward(node, results):
                send(edge.source, edge.output, g)
            if not retain_graph:
                node.saved = None
            gs = g = None  # type: ignore[assignment]  # free these arrays before the next node runs
    return found | sums, leaves  # only the sums of the leaves are left


def _leading_to(targets: set[Place], nodes: list[Node], oldest: int) -> set[int]:
    """The ids of the nodes, among `nodes` and all before them, through which a gradient reaches a target."""
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
        if any(edge.place in targets or id(edge.source) in useful for edge in node.edges):
            useful.add(id(node))
    return useful


def _argument_gradients(node: Node, gs: list[Any], edges: list[Edge], create_graph: bool) -> Iterator[tuple[Edge, Any]]:
    """The gradients for the arguments at `edges`, given those of the outputs."""
    if not edges:
        return
    g = _filled(node, gs, create_graph)
    if create_graph and node.primitive.reference is not None:
        yield from _through_reference(node, g, edges)
        return
    detecting = MODE.get().detecting
    for edge, result in _apply_rules(node, g, edges, create_graph):
        operation, argument = node.primitive.name, node.primitive.argument_at(edge.position)
        result = unbroadcast(result, edge, operation, argument)
        if detecting:
            data = result.data if isinstance(result, Tensor) else result
            check_finite((data,), f"backward of {operation}: the gradient for {argument}", node.where)
        if isinstance(edge.source, Tensor) and not create_graph and not _is_own(result, [*gs, *node.values().values()]):
            result = result.copy(order="K")  # a leaf's gradient is an array of its own
        yield edge, result


def _apply_rules(node: Node, g: Any, edges: list[Edge], create_graph: bool) -> Iterator[tuple[Edge, Any]]:
    """What the derivatives give for the arguments at `edges`; each function runs once."""
    operation = node.primitive
    values = node.as_tensors() if create_graph else node.values()
    results: dict[Callable[..., Any], Any] = {}
    for edge in edges:
        argument = operation.argument_at(edge.position)
        function, names, together = operation.rules[argument]
        if function not in results:
            results[function] = function(g, *[values[name] for name in names])
        result = results[function]
        if together:
            result = result[argument]
        elif argument == operation.variadic:
            result = result[edge.position - len(operation.arguments)]
        yield edge, result


def _is_own(result: Array, values: list[Any]) -> bool:
    """Whether `result` has memory for each of its numbers, which is not that of the values it comes from."""
    if result.base is None:
        return not any(result is x for x in values)
    if 0 in result.strides or not getattr(result.flags, "writeable", True):  # broadcast; CuPy has no such flag
        return False
    may_share_memory = array_module(result).may_share_memory
    return not any(may_share_memory(result, x) for x in arrays_among(values))


def _filled(node: Node, gs: list[Any], create_graph: bool) -> Any:
    """The gradient of the output; of several outputs a tuple, with zeros for one that nothing used."""
    if not node.primitive.several or node.primitive.byproducts:
        return gs[0]
    like = next(g for g in gs if g is not None)
    xp = array_module(like.data if isinstance(like, Tensor) else like)
    for i, (shape, dtype) in enumerate(node.outputs):
        if gs[i] is None:
            zeros = xp.zeros(shape, dtype=dtype)
            gs[i] = Tensor(zeros) if create_graph else zeros
    return tuple(gs)


def _through_reference(node: Node, g: Any, edges: list[Edge]) -> Iterator[tuple[Edge, Any]]:
    """The same gradients for `create_graph`: record the reference formula, and differentiate that."""
    operation = node.primitive
    arrays, options = node.values()["reference"]
    arguments = [Tensor(x) if is_array(x) else x for x in arrays]
    for edge in edges:  # `identity` makes each a node of its own, at which its gradient ends
        arguments[edge.position] = PRIMITIVES["identity"](_attached(arrays[edge.position], edge.source, edge.output))
    outputs = operation.reference(*arguments, **options)  # type: ignore[misc]
    inputs = [arguments[edge.position] for edge in edges]
    results = grad(outputs, inputs, g, create_graph=True, allow_unused=True)
    yield from ((edge, result) for edge, result in zip(edges, results, strict=True) if result is not None)


def unbroadcast(g: Any, edge: Edge, operation: str, argument: str) -> Any:
    """A gradient in the argument's shape and dtype: summed over the axes along which the argument was broadcast."""
    if g.shape != edge.shape:
        extra = g.ndim - len(edge.shape)
        kept = g.shape[extra:] if extra >= 0 else ()
        if len(kept) != len(edge.shape) or any(n not in (1, m) for n, m in zip(edge.shape, kept, strict=True)):
            raise RuntimeError(
                f"{operation}: the derivative for {argument} has shape {g.shape}, but {argument} has {edge.shape}"
            )
        stretched = [extra + i for i, n in enumerate(edge.shape) if n == 1 and kept[i] != 1]
        g = g.sum(axis=(*range(extra), *stretched)).reshape(edge.shape)
    g = as_array(g)
    return g if g.dtype == edge.dtype else g.astype(edge.dtype)
