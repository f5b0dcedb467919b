"""A graph as text, as a table, and in the languages of Mermaid and Graphviz."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from minigen.files import atomic_write
from minigen.graph.folding import Box

if TYPE_CHECKING:
    from minigen.graph.graph import Graph


def save(graph: Graph, path: Path) -> None:
    """Write a drawing in the format that the ending of `path` names."""
    kind = path.suffix[1:]
    languages = {"mmd": MERMAID, "dot": GRAPHVIZ}
    if kind in languages:
        data = drawn(graph, languages[kind]).encode()
    elif kind in ("svg", "png"):
        data = _graphviz(graph, kind)
    else:
        raise ValueError(f"graph.save: expects a name that ends in .mmd, .dot, .svg or .png, got {path}")
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def _graphviz(graph: Graph, kind: str) -> bytes:
    program = shutil.which("dot")
    if program is None:
        raise RuntimeError(
            "graph: an image needs Graphviz's program `dot`, which is not installed; install it with "
            "`apt install graphviz` or `brew install graphviz`, or save a .dot or .mmd file"
        )
    return subprocess.run([program, f"-T{kind}"], input=drawn(graph, GRAPHVIZ).encode(), check=True, stdout=-1).stdout


def mimebundle(graph: Graph) -> dict[str, str]:
    """For a notebook: text, a table, Mermaid, and with Graphviz an image."""
    bundle = {"text/plain": tree(graph), "text/html": table(graph), "text/vnd.mermaid": drawn(graph, MERMAID)}
    if shutil.which("dot"):
        bundle["image/svg+xml"] = _graphviz(graph, "svg").decode()
    return bundle


# -- words -------------------------------------------------------------------------------------------------------------


def _title(graph: Graph, path: tuple[str, ...]) -> str:
    """What a module is called, or a loop."""
    return f"{path[-1]}: {graph.modules[path]}" if path in graph.modules else path[-1]


def _name(graph: Graph, box: Box) -> str:
    if box.leaf:
        return box.leaf.name
    return _title(graph, box.module) if box.module else box.operations[0].name


def _result(box: Box) -> str:
    """The shape and dtype of what a box gives; of a module the number of operations."""
    if box.module:
        return f"{len(box.operations)} operations"
    if box.leaf:
        return f"{box.leaf.shape} {box.leaf.dtype}"
    (shape, dtype), n = box.operations[0].outputs[0], len(box.operations[0].outputs)
    varies = any(operation.outputs != box.operations[0].outputs for operation in box.operations)
    return (f"{n} x " if n > 1 else "") + f"{shape} {dtype}" + (" ..." if varies else "")


def _memory(box: Box) -> str:
    """What a box has saved; of a leaf the norm of the gradient."""
    if box.leaf:
        return "" if box.leaf.gradient is None else f"|gradient| {box.leaf.gradient:.3g}"
    if all(operation.saves is None for operation in box.operations):
        return "freed"
    if box.module:
        return f"saves {size_of(box.bytes)}"
    names = dict.fromkeys(name for operation in box.operations for name in operation.saves or ())
    return f"saves {', '.join(names)}" + (f": {size_of(box.bytes)}" if box.bytes else "") if names else ""


def size_of(n: int) -> str:
    """A number of bytes, such as "1.2 MB"."""
    for unit, one in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if n >= one:
            return f"{n / one:.1f} {unit}"
    return f"{n} bytes"


# -- a tree and a table ------------------------------------------------------------------------------------------------

Row = tuple[str, int, str, str, str]
"""The number, the level, the name, and two columns of facts."""


def _rows(graph: Graph) -> Iterator[Row]:
    """A row for each box but the leaves, under headings for modules and loops; then the leaves."""
    every = graph.boxes()
    boxes = [box for box in every if not box.leaf]
    name_of = {box: f"#{i}" for i, box in enumerate(boxes, 1)}
    name_of |= {x: x.leaf.name.removeprefix(".".join((*x.path, ""))) for x in every if x.leaf}  # without its module's
    path: tuple[str, ...] = ()
    for box in boxes:
        for level in range(len(box.path)):
            if path[: level + 1] != box.path[: level + 1]:
                yield "", level, _title(graph, box.path[: level + 1]), "", ""
        path = box.path
        sources = [f"{'previous ' if earlier else ''}{name_of[x]}" for x, earlier in box.sources.items()]
        name = f"{_name(graph, box)}({', '.join(sources)})"
        yield name_of[box], len(path), name, _result(box), _memory(box)
    yield "", 0, "leaves", "", ""
    for leaf in graph.leaves:
        box = Box((), leaf=leaf)
        yield "", 1, leaf.name, _result(box), _memory(box)


def tree(graph: Graph) -> str:
    """Indented lines."""
    rows = [(number, "   " * level + name, *facts) for number, level, name, *facts in _rows(graph)]
    first, second, third = (max(len(row[k]) for row in rows) + 2 for k in range(3))
    lines = [
        f"{number:{first}}{name:{second}}{result:{third}}{memory}".rstrip() for number, name, result, memory in rows
    ]
    return "\n".join([graph.summary, *lines])


def table(graph: Graph) -> str:
    """A table in HTML, which needs nothing else."""
    style = 'style="text-align: left; padding-left: {}em"'
    rows = [
        f"<tr><td>{number}</td><td {style.format(2 * level)}>{escape(name)}</td>"
        f"<td {style.format(1)}>{escape(result)}</td><td {style.format(1)}>{escape(memory)}</td></tr>"
        for number, level, name, result, memory in _rows(graph)
    ]
    return f"<table><caption>{graph.summary}</caption>{''.join(rows)}</table>"


# -- drawings ----------------------------------------------------------------------------------------------------------


class Language(NamedTuple):
    """How the parts of a drawing are written: boxes as {number} and {text}, arrows as two numbers."""

    begin: str
    end: str
    leaf: str
    operation: str
    module: str  # a folded one
    group: str  # the boxes of a module or loop, from here
    group_end: str
    arrow: str
    next_step: str  # an arrow from one step of a loop to the next
    new_line: str


MERMAID = Language(
    begin="flowchart TD",
    end="",
    leaf='n{}(["{}"])',
    operation='n{}["{}"]',
    module='n{}[["{}"]]',
    group='subgraph {}["{}"]',
    group_end="end",
    arrow="n{} --> n{}",
    next_step="n{} -.-> n{}",
    new_line="<br/>",
)

GRAPHVIZ = Language(
    begin="""digraph {
    node [shape=box, style="rounded,filled", fillcolor=white, fontname=Helvetica, fontsize=11]
    edge [color="#555555", fontname=Helvetica, fontsize=9]
    graph [style="rounded,filled", color="#b0b8c4", fillcolor="#8fa6c420", fontname=Helvetica,
           labeljust=l, fontsize=11]""",
    end="}\n",
    leaf='n{} [label="{}", shape=ellipse, fillcolor="#f5e6c8"]',
    operation='n{} [label="{}"]',
    module='n{} [label="{}", fillcolor="#dce8dc"]',
    group='subgraph cluster_{} {{ label="{}"',
    group_end="}",
    arrow="n{} -> n{}",
    next_step="n{} -> n{} [style=dashed, constraint=false]",
    new_line="\\n",
)


def drawn(graph: Graph, language: Language) -> str:
    """The boxes and arrows of a graph in a language for drawings."""
    boxes = graph.boxes()
    number = {box: i for i, box in enumerate(boxes)}

    def grouped(boxes: list[Box], level: int) -> Iterator[str]:
        inner: dict[str, list[Box]] = {}
        for box in boxes:
            if len(box.path) > level:
                inner.setdefault(box.path[level], []).append(box)
            else:
                form = language.leaf if box.leaf else language.module if box.module else language.operation
                facts = [text for text in (_name(graph, box), _result(box), _memory(box)) if text]
                yield "    " * (level + 1) + form.format(number[box], language.new_line.join(map(_quoted, facts)))
        for part in inner.values():
            title = _quoted(_title(graph, part[0].path[: level + 1]))
            yield "    " * (level + 1) + language.group.format(f"g{level}_{number[part[0]]}", title)
            yield from grouped(part, level + 1)
            yield "    " * (level + 1) + language.group_end

    arrows = [
        "    " + (language.next_step if earlier else language.arrow).format(number[source], number[box])
        for box in boxes
        for source, earlier in box.sources.items()
    ]
    return "\n".join([language.begin, *grouped(boxes, 0), *arrows, language.end])


def _quoted(text: str) -> str:
    """A text between quotation marks, in either language."""
    return text.replace("\\", "/").replace('"', "'")
