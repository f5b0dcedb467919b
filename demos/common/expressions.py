"""Expressions given as text, such as "tanh(w * a + b)", computed by the operations of minigen."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import numpy as np

from minigen import Tensor, ops

OPERATORS = {ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide", ast.Pow: "pow"}
SIGNS = {"add": "+", "subtract": "-", "multiply": "*", "divide": "/", "pow": "**"}
FUNCTIONS = (
    *("abs", "cos", "exp", "leaky_relu", "log", "log1p", "logsumexp", "matmul", "max", "maximum", "mean"),
    *("min", "minimum", "prod", "relu", "sigmoid", "sin", "softplus", "sqrt", "square", "sum", "tanh", "var"),
)
TAKES = f"numbers, variables, + - * / **, and the functions {', '.join(FUNCTIONS)}"


def parse(expression: str) -> ast.expr:
    """The syntax tree of an expression; `ValueError` if it is none."""
    try:
        return ast.parse(expression.strip(), mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"expects an expression, got {expression!r}: {error.msg}") from None


def names_in(tree: ast.expr) -> list[str]:
    """The names of the variables, in the order in which they come."""
    functions = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Name) and node not in functions]
    return list(dict.fromkeys(node.id for node in sorted(found, key=lambda node: (node.lineno, node.col_offset))))


def evaluate(tree: ast.expr, variables: dict[str, Tensor], seen: Callable[..., Any]) -> Tensor:
    """The value of an expression; `seen(operation, arguments, result)` is called after each operation."""

    def call(operation: str, *parts: ast.expr) -> Tensor:
        arguments = [evaluate(part, variables, seen) for part in parts]
        if len(arguments) != (expected := len(getattr(ops, operation).rules)):
            raise ValueError(f"{operation}: expects {expected} argument{'s' * (expected > 1)}, got {len(arguments)}")
        result = getattr(ops, operation)(*arguments)
        seen(operation, arguments, result)
        return result

    match tree:
        case ast.Constant(value=int() | float() as number):
            return Tensor(np.array(float(number)))
        case ast.Name(id=name):
            return variables[name]
        case ast.UnaryOp(op=ast.USub(), operand=part):
            return call("negative", part)
        case ast.BinOp(left=left, op=sign, right=right) if type(sign) in OPERATORS:
            return call(OPERATORS[type(sign)], left, right)
        case ast.Call(func=ast.Name(id=name), args=parts, keywords=[]) if name in FUNCTIONS:
            return call(name, *parts)
    raise ValueError(f"expects {TAKES}; got {ast.unparse(tree)}")


def written(operation: str, parts: list[str]) -> str:
    """An operation as it is written in an expression; `parts` are its arguments."""
    if operation == "negative":
        return f"-{parts[0]}"
    return f" {SIGNS[operation]} ".join(parts) if operation in SIGNS else f"{operation}({', '.join(parts)})"
