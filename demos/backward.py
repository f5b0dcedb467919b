"""A backward pass step by step, as on a blackboard: reverse-mode automatic differentiation of a small expression.

First the forward pass: each operation with its result. Then, from the last operation to the first, the gradient g of
its result and, for each argument, the derivative as it stands in minigen/ops, the saved values that it names, and what
it gives. At the end the gradient of each variable, a sum where several have arrived, beside a central difference. The
record and the derivatives are the engine's own.

    python demos/backward.py "log(sum(exp(w * a)))" --at a=0.5 w=1,-2,3
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Callable
from itertools import cycle
from typing import Any, NamedTuple

import numpy as np

import minigen
from common import flags
from common.expressions import TAKES, evaluate, names_in, parse, written
from minigen import Tensor
from minigen.autograd import Primitive
from minigen.autograd.tape import Node, unbroadcast

DEFAULTS = (0.5, 2.0, -0.8, 1.2)  # of the variables, in the order in which they come

Rows = list[tuple[str, ...]]


def run(args: argparse.Namespace) -> None:
    tree = parse(args.expression)
    variables = with_values(names_in(tree), dict(args.at or ()))
    record = Record(variables)
    with np.errstate(all="ignore"):
        output = checked(lambda: evaluate(tree, variables, record.add))
        print(f"{args.expression}   at {', '.join(f'{name} = {text(x.data)}' for name, x in variables.items())}")
        print("\nForward: the operations as they are recorded")
        print_aligned([(f"  {step.name} = {step.formula}", cell(step.value)) for step in record.steps])
        last = record.steps[-1].name
        print(f"\nBackward, from the last result to the first: g is the gradient of {last} with respect to it.")
        print("In a derivative, x and y are the arguments of the operation, and out is its result.")
        rows, arrived = backward(record)
        print_aligned(rows)
        print("\nThe gradients of the variables")
        rows = [("", "minigen.grad", "central difference")]
        for name, g in zip(variables, minigen.grad(output, list(variables.values())), strict=True):
            difference = central_difference(tree, variables, name)
            rows.append((f"  {sum_of(name, arrived[name])}", cell(g.data), cell(difference)))
        print_aligned(rows)


# -- the record and the backward pass ----------------------------------------------------------------------------------


class Step(NamedTuple):
    """An operation that was recorded."""

    name: str
    formula: str
    node: Node
    value: np.ndarray


class Record:
    """The recorded operations, and names for their results: v1, v2, ..."""

    def __init__(self, variables: dict[str, Tensor]) -> None:
        self.names = {id(leaf): name for name, leaf in variables.items()}  # of leaves and nodes
        self.steps: list[Step] = []

    def add(self, operation: str, arguments: list[Tensor], result: Tensor) -> None:
        """Add an operation; one on constants alone is not recorded."""
        if node := result._node:
            parts = [self.names.get(id(x._node or x)) or f"{x.item():.4g}" for x in arguments]
            name = self.names[id(node)] = f"v{len(self.steps) + 1}"
            self.steps.append(Step(name, written(operation, parts), node, result.data))


def backward(record: Record) -> tuple[Rows, dict[str, list[np.ndarray]]]:
    """What is to be printed, and the gradients that have arrived at each result and each variable."""
    rows: Rows = []
    arrived = defaultdict(list, {record.steps[-1].name: [np.ones(())]})
    for name, formula, node, _ in reversed(record.steps):
        rows.append((f"\n  {name} = {formula}   {sum_of('g', arrived[name])}",))
        g, operation = np.asarray(sum(arrived[name])), node.primitive
        for edge in node.edges:
            target, argument = record.names[id(edge.source)], operation.argument_at(edge.position)
            function, names, _ = operation.rules[argument]
            saved = {name: node.values()[name] for name in names}
            result = function(g, *saved.values())
            gradient = unbroadcast(result, edge, operation.name, argument)
            arrived[target].append(gradient)

            rule, helpers = source(operation, argument)
            values = ", ".join(f"{name} = {text(value)}" for name, value in saved.items() if value is not None)
            given = cell(result) if result.shape == gradient.shape else f"{text(result)}, with the sum {text(gradient)}"
            if len(rule) <= 45:
                rows.append((f"    for {target}", rule, values, given))
            else:
                rows += [(f"    for {target}  {rule}",), ("", "", values, given)]
            rows += [(f"        {line}",) for line in helpers]
    return rows, arrived


def source(operation: Primitive, argument: str) -> tuple[str, list[str]]:
    """The derivative for an argument as it stands in its file, and what its helper functions do."""
    code = inspect.getsource(sys.modules[operation.forward.__module__])
    tree = ast.parse(code)
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    given = [call.keywords for call in calls if ast.unparse(call.func) == f"{operation.forward.__name__}.derivatives"]
    (rule,) = [keyword for keywords in given for keyword in keywords if keyword.arg == argument]
    names = {node.id for node in ast.walk(rule) if isinstance(node, ast.Name)}
    functions = [f for f in tree.body if isinstance(f, ast.FunctionDef) and f.name in names]
    helpers = [f for f in functions if not any(ast.unparse(d).startswith("primitive") for d in f.decorator_list)]
    return " ".join((ast.get_source_segment(code, rule) or "").split()), [f"{f.name}: {in_short(f)}" for f in helpers]


def in_short(function: ast.FunctionDef) -> str:
    """The first line of its docstring, or what it returns."""
    docstring = ast.get_docstring(function)
    return docstring.splitlines()[0] if docstring else ast.unparse(function.body[-1]).removeprefix("return ")


def with_values(names: list[str], at: dict[str, np.ndarray]) -> dict[str, Tensor]:
    """Each variable with the value that is given for it, or one of `DEFAULTS`."""
    for name in names:
        if re.fullmatch(r"v\d+", name):
            raise ValueError(f"expects other names for variables than {name}: the results are called v1, v2, ...")
    for name in at.keys() - names:
        raise ValueError(f"--at expects a variable of the expression ({', '.join(names)}), got {name}")
    values = dict(zip(names, map(np.array, cycle(DEFAULTS)), strict=False)) | at
    return {name: Tensor(value, requires_grad=True) for name, value in values.items()}


def checked(compute: Callable[[], Tensor]) -> Tensor:
    """The value, which must be one number that depends on a variable; every mistake is a `ValueError`."""
    try:
        with minigen.detect_anomaly():
            output = compute()
    except (ArithmeticError, TypeError) as error:
        raise ValueError(str(error)) from error
    if output._node is None:
        raise ValueError("expects an expression with an operation on a variable")
    if output.shape:
        raise ValueError(f"expects an expression whose value is one number, got {text(output.data)}; its sum is one")
    return output


def central_difference(tree: ast.expr, variables: dict[str, Tensor], name: str, step: float = 1e-5) -> np.ndarray:
    """(f(x + h) - f(x - h)) / 2h for each entry of the variable x."""
    f = lambda x: evaluate(tree, variables | {name: Tensor(np.asarray(x))}, lambda *_: None).item()
    x = variables[name].data
    moves = step * np.eye(x.size).reshape(x.size, *x.shape)
    return np.array([(f(x + h) - f(x - h)) / (2 * step) for h in moves]).reshape(x.shape)


# -- text --------------------------------------------------------------------------------------------------------------


def text(x: Any) -> str:
    """A number with four digits after the point, or four that matter if it is large or small; several in brackets."""
    if isinstance(x, tuple | int):  # a shape, a count
        return str(x)
    if np.ndim(x):
        return f"[{', '.join(map(text, x))}]"
    return f"{x:.4f}" if x == 0 or 1e-3 <= abs(x) < 1e5 else f"{x:.3e}"


def cell(x: Any) -> str:
    """The same in a column of a table."""
    return text(x) if np.ndim(x) else f"{text(x):>8}"


def sum_of(name: str, parts: list[np.ndarray]) -> str:
    """`x = 0.1000 + 0.2000 = 0.3000`, or `x = 0.1000` for one part."""
    terms = " + ".join(map(text, parts)).replace("+ -", "- ")
    return f"{name} = {terms} = {text(sum(parts))}" if len(parts) > 1 else f"{name} = {terms}"


def print_aligned(rows: Rows) -> None:
    """Rows of one table; a row of one text stands for itself."""
    table = [row for row in rows if len(row) > 1]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for row in rows:
        print("  ".join(map(str.ljust, row, widths)).rstrip() if len(row) > 1 else row[0])


# -- the command line --------------------------------------------------------------------------------------------------


def assignment(given: str) -> tuple[str, np.ndarray]:
    """`x=0.5`, or `w=1,2,3` for several numbers."""
    name, _, value = given.partition("=")
    try:
        numbers = np.array([float(number) for number in value.split(",")])
    except ValueError:
        numbers = np.array([np.nan])
    if not name.isidentifier() or not np.isfinite(numbers).all():
        raise argparse.ArgumentTypeError(f"expects a variable and its value, such as x=0.5 or w=1,2,3, got {given}")
    return name, numbers if "," in value else numbers.reshape(())


def parser() -> flags.Parser:
    result = flags.Parser(__doc__, quick={})
    help = f"what is differentiated: {TAKES}; write -- before one that begins with a minus"
    result.add_argument("expression", nargs="?", default="tanh(w * a + b) * a", help=help)
    help = "values of variables, such as a=0.5 or w=1,2,3; the others have 0.5, 2, -0.8, 1.2"
    result.add_argument("--at", type=assignment, nargs="+", metavar="NAME=VALUE", help=help)
    return result


if __name__ == "__main__":
    flags.run(run, parser())
