"""The graph of a computation: exactly what ran, with what each operation saved, and drawings that lose nothing."""

from __future__ import annotations

import shutil
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigen
from minigen import Tensor, backend, models, nn, ops
from minigen.autograd import Primitive
from minigen.autograd.modes import MODULE
from minigen.autograd.tape import nodes_behind
from minigen.graph import Graph, Leaf, Operation
from minigen.graph.folding import ENOUGH


def pixels(*shape: int) -> Tensor:
    return Tensor(np.random.default_rng(0).integers(0, 2, shape))


def layer_loss(layer: Any, *shape: int) -> tuple[Tensor, Any]:
    return ops.sum(ops.square(layer(minigen.randn(*shape)))), layer


def model_loss(model: Any, images: Any) -> tuple[Tensor, Any]:
    return model.loss(images), model


class Reader(nn.Module):
    """An LSTM cell that reads a sequence (T, N, 3)."""

    def __init__(self) -> None:
        self.cell = nn.LSTMCell(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        state = None
        for row in x:
            state = self.cell(row, state)
        return state[0]  # type: ignore[index]


SIZE = (1, 12, 12)
LOSSES: dict[str, Callable[[], tuple[Tensor, Any]]] = {
    "mlp": lambda: layer_loss(nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)), 5, 3),
    "vae": lambda: model_loss(models.VAE(SIZE, 2, 5), pixels(3, *SIZE)),
    "dcgan": lambda: model_loss(models.DCGAN((1, 8, 8), 3, 2), minigen.rand(4, 1, 8, 8)),
    "pixelcnn": lambda: model_loss(models.PixelCNN(SIZE, hidden=2, blocks=9), pixels(2, *SIZE)),
    "loop": lambda: layer_loss(Reader(), 28, 4, 3),
    "row lstm": lambda: layer_loss(nn.RowLSTM(2), 3, 4, 12, 12),
    "diagonal": lambda: model_loss(models.PixelRNN(SIZE, cell="diagonal", hidden=2, layers=1), pixels(2, *SIZE)),
}
each_loss = pytest.mark.parametrize("name", LOSSES)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the operations that are recorded, as they run."""
    names, record = [], Primitive._record

    def counted(self: Any, *args: Any) -> Any:
        result = record(self, *args)
        names.extend([self.name] if result[0]._node is not None else [])
        return result

    monkeypatch.setattr(Primitive, "_record", counted)
    return names


# -- what is in it -----------------------------------------------------------------------------------------------------


@each_loss
def test_it_has_exactly_the_operations_that_ran(name: str, recorded: list[str]) -> None:
    loss, module = LOSSES[name]()
    assert [operation.name for operation in minigen.graph(loss, module).operations] == recorded


def test_only_what_leads_to_the_output() -> None:
    x = minigen.tensor([1.0, 2.0], requires_grad=True)
    y, z = ops.tanh(x), ops.exp(x)
    constant = ops.exp(minigen.tensor([1.0, 2.0]))
    assert [o.name for o in minigen.graph(y * constant).operations] == ["tanh", "multiply"]
    assert [o.name for o in minigen.graph([y, z]).operations] == ["tanh", "exp"]


@each_loss
def test_sources_are_the_edges_of_the_record(name: str) -> None:
    loss, module = LOSSES[name]()
    graph = minigen.graph(loss, module)
    for operation, node in zip(graph.operations, nodes_behind([loss]), strict=True):
        names = [s.name if isinstance(s, Operation) else s.shape for s in operation.sources]
        sources = [edge.source for edge in node.edges]
        assert names == [s.shape if isinstance(s, Tensor) else s.primitive.name for s in sources]
        assert operation.outputs == node.outputs


def test_saved_memory_by_hand() -> None:
    x = minigen.tensor(np.ones((3, 4)), dtype="float32", requires_grad=True)
    y = ops.tanh(x)  # saves its output
    z = y * y  # saves that twice more
    loss = ops.sum(ops.exp(z))  # exp saves its output, sum no array
    operations = minigen.graph(loss).operations
    assert [o.saves for o in operations] == [["out"], ["y", "x"], ["out"], []]
    assert [o.bytes for o in operations] == [48, 0, 48, 0]


def test_leaves_are_no_saved_memory_and_views_keep_all_of_it() -> None:
    weight = minigen.tensor(np.ones((4, 5)), dtype="float32", requires_grad=True)
    data = Tensor(np.ones((100, 4), np.float32))
    graph = minigen.graph(data[:3] @ weight)  # saves weight only for data, which needs no gradient
    assert [o.bytes for o in graph.operations] == [data.data.nbytes]
    shown = minigen.graph(ops.tanh(weight.T) * 2.0 @ ops.permute_dims(weight.T, (1, 0)))
    assert shown.bytes == 3 * weight.data.nbytes - weight.data.nbytes  # out of tanh and the product, not the views


@each_loss
def test_saved_memory_of_everything(name: str) -> None:
    loss, module = LOSSES[name]()
    saved, leaves = {}, set()

    def owner(x: Any) -> Any:
        while isinstance(x.base, np.ndarray):
            x = x.base
        return x

    def enter(value: Any) -> None:
        if isinstance(value, np.ndarray):
            saved[id(owner(value))] = owner(value)
        elif isinstance(value, tuple | list):
            for part in value:
                enter(part)

    for node in nodes_behind([loss]):
        for value in node.saved.values():
            enter(value)
        leaves |= {id(owner(edge.source.data)) for edge in node.edges if isinstance(edge.source, Tensor)}
    graph = minigen.graph(loss, module)
    assert graph.bytes == sum(x.nbytes for key, x in saved.items() if key not in leaves) > 0


def test_after_a_backward_pass() -> None:
    x = minigen.tensor([3.0, 4.0], requires_grad=True)
    loss = ops.sum(ops.square(x))
    assert minigen.graph(loss).leaves[0].gradient is None
    loss.backward(retain_graph=True)
    graph = minigen.graph(loss, x=x)
    assert (graph.leaves[0].name, graph.leaves[0].gradient) == ("x", pytest.approx(10))  # of (6, 8)
    assert "|gradient| 10" in str(graph)
    assert [o.saves for o in graph.operations] == [["x"], []]
    loss.backward()
    freed = minigen.graph(loss)
    assert [o.saves for o in freed.operations] == [None, None] and freed.bytes == 0
    assert str(freed).count("freed") == 2


def test_on_every_device(device: backend.Device) -> None:
    layer = nn.Linear(3, 2)
    loss = ops.sum(ops.tanh(layer(minigen.randn(4, 3))))
    graph = minigen.graph(loss, layer)
    assert graph.bytes == 4 * (4 * 3 + 4 * 2)
    loss.backward()
    assert all(leaf.gradient is not None and leaf.gradient > 0 for leaf in minigen.graph(loss, layer).leaves)


# -- names -------------------------------------------------------------------------------------------------------------


@each_loss
def test_parameters_have_their_names(name: str) -> None:
    loss, module = LOSSES[name]()
    shapes = {name: parameter.shape for name, parameter in module.named_parameters()}
    if name == "dcgan":  # whose loss is that of the discriminator
        shapes = {name: shape for name, shape in shapes.items() if name.startswith("discriminator")}
    assert {leaf.name: leaf.shape for leaf in minigen.graph(loss, module).leaves} == shapes


def test_operations_know_their_modules() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 4), ops.tanh), nn.Dropout())
    y = ops.exp(net(minigen.randn(2, 3)))
    operations = minigen.graph(y, net).operations
    assert [(o.name, o.module) for o in operations] == [
        ("linear", ("0",)),
        ("linear", ("1", "0")),
        ("tanh", ("1", "1")),
        ("dropout", ("2",)),
        ("exp", ()),
    ]


def test_without_the_module_what_was_called_is_numbered() -> None:
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    graph = minigen.graph(second(first(first(minigen.randn(2, 3)))))
    assert [o.module for o in graph.operations] == [("Linear 1",), ("Linear 1",), ("Linear 2",)]
    assert [leaf.name for leaf in graph.leaves] == [f"Linear {k}.{name}" for k in (1, 2) for name in ("weight", "bias")]
    known = minigen.graph(second(first(minigen.randn(2, 3))), second)
    assert [o.module for o in known.operations] == [("Linear 1",), ()]


def test_a_shared_parameter_has_one_name() -> None:
    encoder, decoder = nn.Linear(3, 3, bias=False), nn.Linear(3, 3, bias=False)
    decoder.weight = encoder.weight
    net = nn.Sequential(encoder, decoder)
    graph = minigen.graph(net(minigen.randn(2, 3)), net)
    assert [leaf.name for leaf in graph.leaves] == ["0.weight"]


def test_the_calling_module_is_each_threads_own_and_left_by_exceptions() -> None:
    class Waiting(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            inside.set()
            left.wait(10)
            return ops.exp(x)

    class Failing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise ValueError

    x, waiting = minigen.tensor([1.0], requires_grad=True), Waiting()
    inside, left, results = threading.Event(), threading.Event(), {}
    thread = threading.Thread(target=lambda: results.update(y=waiting(x)))
    thread.start()
    assert inside.wait(10)
    assert minigen.graph(ops.exp(x), waiting).modules and ops.exp(x)._node.module() is None  # type: ignore[union-attr]
    left.set()
    thread.join()
    assert results["y"]._node.module() is waiting
    with pytest.raises(ValueError):
        Failing()(x)
    assert MODULE.get()() is None


# -- folding -----------------------------------------------------------------------------------------------------------


@each_loss
@pytest.mark.parametrize("depth", [None, 1, 2, 3, 9])
def test_folding_loses_nothing(name: str, depth: int | None) -> None:
    loss, module = LOSSES[name]()
    graph = minigen.graph(loss, module, depth=depth)
    boxes = graph.boxes()
    box_of = {operation: box for box in boxes for operation in box.operations}
    assert sum(len(box.operations) for box in boxes) == len(graph.operations) == len(box_of)
    assert sum(box.bytes for box in boxes) == graph.bytes
    leaf_of = {box.leaf: box for box in boxes if box.leaf}
    for operation in graph.operations:
        for source in operation.sources:
            start, end = leaf_of.get(source) if isinstance(source, Leaf) else box_of[source], box_of[operation]
            if start is None:
                assert end.module is not None  # it is inside of the box
            elif start is not end:
                assert start in end.sources
    if depth is None:
        assert len(boxes) <= ENOUGH


def test_small_graphs_are_not_folded() -> None:
    x = minigen.tensor([1.0], requires_grad=True)
    y = x
    for _ in range(20):
        y = ops.tanh(y)
    assert [len(box.operations) for box in minigen.graph(y).boxes()] == [0] + 20 * [1]  # the leaf, and those


def test_the_steps_of_a_loop_are_one() -> None:
    loss, reader = LOSSES["loop"]()
    boxes = minigen.graph(loss, reader).boxes()
    loop = [box for box in boxes if box.path == ("cell", "loop 1: 28 times")]
    assert [len(box.operations) for box in loop] == 4 * [28]
    of_x, of_h, gates, cell = loop
    assert [box.operations[0].name for box in loop] == ["linear", "linear", "add", "lstm_cell"]
    states = {box: earlier for box, earlier in of_h.sources.items() if box.operations}
    assert states == {cell: True} and cell.sources == {gates: False, cell: True}
    assert gates.sources == {of_x: False, of_h: False}


def test_an_arrow_within_a_step_and_from_the_one_before() -> None:
    x = before = minigen.tensor([1.0], requires_grad=True)
    for _ in range(30):
        now = ops.tanh(x)
        x, before = now * before, now
    tanh, multiply = (box for box in minigen.graph(x).boxes() if len(box.operations) > 20)
    assert (tanh.sources[multiply], multiply.sources[tanh]) == (True, False)


def test_shapes_that_change_from_step_to_step() -> None:
    x = minigen.tensor(np.ones((60, 2)), requires_grad=True)
    for _ in range(50):
        x = ops.tanh(x[1:])
    text = str(minigen.graph(x))
    assert "loop 1: 49 times" in text and "(58, 2) float64 ..." in text


@pytest.mark.parametrize(("depth", "titles"), [(1, ["0", "1"]), (2, ["0", "1"])])
def test_depth_is_where_modules_are_boxes(depth: int, titles: list[str]) -> None:
    net = nn.Sequential(nn.Sequential(nn.Linear(3, 3)), nn.Sequential(nn.Linear(3, 3)))
    graph = minigen.graph(net(minigen.randn(2, 3)), net, depth=depth)
    boxes = [box for box in graph.boxes() if box.operations]
    assert [box.module for box in boxes] == [(title, *"0" * (depth - 1)) for title in titles]
    assert [box.path for box in boxes] == [(title,) * (depth > 1) for title in titles]


def test_loops_have_numbers() -> None:
    net, x = nn.ModuleList([Reader(), Reader()]), minigen.randn(15, 1, 3)
    boxes = minigen.graph([reader(x) for reader in net], net).boxes()
    assert {box.path[-1] for box in boxes if box.operations} == {"loop 1: 15 times", "loop 2: 15 times"}


# -- what it shows -----------------------------------------------------------------------------------------------------


def example() -> Graph:
    """tanh(x w) through one layer."""
    layer = nn.Linear(3, 2)
    x = minigen.tensor(np.ones((4, 3)), dtype="float32", requires_grad=True)
    return minigen.graph(ops.tanh(layer(x)), nn.Sequential(layer), x=x)


def test_the_tree() -> None:
    assert str(example()).splitlines() == [
        "2 operations, which keep 32 bytes, and 3 leaves",
        "    0: Linear",
        "#1     linear(x, weight, bias)  (4, 2) float32  saves weight, x",
        "#2  tanh(#1)                    (4, 2) float32  saves out: 32 bytes",
        "    leaves",
        "       x                        (4, 3) float32",
        "       0.weight                 (2, 3) float32",
        "       0.bias                   (2,) float32",
    ]


def test_mermaid_and_graphviz(tmp_path: Path) -> None:
    graph = example()
    mermaid = graph.mermaid().split("\n")
    assert mermaid[0] == "flowchart TD" and '    subgraph g0_0["0: Linear"]' in mermaid
    assert '        n3["linear<br/>(4, 2) float32<br/>saves weight, x"]' in mermaid
    assert '        n0(["x<br/>(4, 3) float32"])' in mermaid
    arrows = {("n0", "n3"), ("n1", "n3"), ("n2", "n3"), ("n3", "n4")}
    assert {tuple(line.split(" --> ")) for line in map(str.strip, mermaid) if "-->" in line} == arrows
    dot = graph.dot()
    assert {tuple(line.split(" -> ")) for line in map(str.strip, dot.split("\n")) if "->" in line} == arrows
    assert r'n3 [label="linear\n(4, 2) float32\nsaves weight, x"]' in dot and dot.count("{") == dot.count("}")
    graph.save(tmp_path / "x.mmd")
    graph.save(str(tmp_path / "x.dot"))
    assert (tmp_path / "x.mmd").read_text() == graph.mermaid() and (tmp_path / "x.dot").read_text() == dot


def test_the_arrows_of_a_loop_are_dashed() -> None:
    graph = minigen.graph(*LOSSES["loop"]())
    carried = sum(earlier for box in graph.boxes() for earlier in box.sources.values())
    assert graph.mermaid().count("-.->") == graph.dot().count("dashed") == carried == 2  # h and c


def test_names_cannot_break_a_drawing() -> None:
    x = minigen.tensor([1.0], requires_grad=True)
    graph = minigen.graph(ops.exp(x), **{'a<b>"c\\': x})
    assert "\"a<b>'c/" in graph.mermaid() and "\"a<b>'c/" in graph.dot()
    assert "a&lt;b&gt;&quot;c" in graph._repr_mimebundle_()["text/html"]


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_images(tmp_path: Path) -> None:
    graph = example()
    for kind, first in (("svg", b"<?xml"), ("png", b"\x89PNG")):
        graph.save(tmp_path / f"x.{kind}")
        assert (tmp_path / f"x.{kind}").read_bytes().startswith(first)
    assert "</svg>" in graph._repr_mimebundle_()["image/svg+xml"]


def test_without_graphviz(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    graph = example()
    with pytest.raises(RuntimeError, match=r"Graphviz's program `dot`, which is not installed; install it with `apt"):
        graph.save(tmp_path / "x.svg")
    bundle = graph._repr_mimebundle_(include=None, exclude=None)
    assert bundle.keys() == {"text/plain", "text/html", "text/vnd.mermaid"} and bundle["text/plain"] == str(graph)
    assert bundle["text/html"].count("<tr>") == len(str(graph).splitlines()) - 1
    with pytest.raises(ValueError, match=r"expects a name that ends in \.mmd, \.dot, \.svg or \.png, got .*x\.gif"):
        graph.save(tmp_path / "x.gif")
    assert not list(tmp_path.iterdir())


# -- errors, and what it leaves behind ---------------------------------------------------------------------------------


def test_errors() -> None:
    x = minigen.tensor([1.0], requires_grad=True)
    with pytest.raises(ValueError, match=r"graph: output 0 \(1,\) was not computed from anything that requires grad"):
        minigen.graph(x)
    with minigen.no_grad():
        unrecorded = ops.exp(x)
    with pytest.raises(ValueError, match="graph: output 1"):
        minigen.graph([ops.exp(x), unrecorded])
    with pytest.raises(TypeError, match="graph: expects tensors, got ndarray as output 0"):
        minigen.graph([x.data])  # type: ignore[list-item]
    with pytest.raises(ValueError, match="a depth >= 1, got 1 outputs and depth=0"):
        minigen.graph(ops.exp(x), depth=0)
    with pytest.raises(ValueError, match="expects an output"):
        minigen.graph([])


def test_it_keeps_nothing_alive(no_garbage_collector: None) -> None:
    loss, module = LOSSES["mlp"]()
    saved = nodes_behind([loss])[1].saved["out"]
    refs = [weakref.ref(saved), weakref.ref(loss), weakref.ref(module)]
    graph = minigen.graph(loss, module)
    del saved, loss, module
    assert [ref() for ref in refs] == [None, None, None]
    assert len(graph.operations) == 5


def test_a_record_keeps_no_module_alive_nor_a_module_itself(no_garbage_collector: None) -> None:
    class Remembering(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            self.last = ops.exp(x)
            return self.last

    module = Remembering()
    y = module(minigen.tensor([1.0], requires_grad=True))
    ref = weakref.ref(module)
    del module
    assert ref() is None  # although its output, which it refers to, is still there
    assert [o.module for o in minigen.graph(y).operations] == [()]
