"""The record of a computation as something to look at: `minigen.graph(loss, model)`.

`record.py` reads the tape, `memory.py` counts what it saved, `folding.py` makes boxes, few enough to be looked at, and
`drawing.py` writes these as text, as a table, and in the languages of Mermaid and Graphviz.
"""

from minigen.graph.graph import Graph, graph
from minigen.graph.record import Leaf, Operation

__all__ = ["Graph", "Leaf", "Operation", "graph"]
