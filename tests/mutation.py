"""Does the suite notice a fault? Plants small ones at random, one at a time, and runs the tests on each.

    python tests/mutation.py --seed 1 --mutants 200 [minigen/ops ...]

A mutant is a copy of the project with one change: an operator exchanged, a comparison shifted by one place, a condition
negated, a number changed, a statement left out. First the tests that mirror the changed file run, then, if these pass,
all others. A mutant that passes everything survives and is printed: either its change has no effect (an equivalent
mutant), or a test is missing. The same seed plants the same faults in the same source text.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
OPERATORS = {"+": "-", "-": "+", "*": "/", "/": "*", "//": "/", "%": "*", "@": "*", "**": "*", "|": "&", "&": "|"}
COMPARISONS = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==",
    "is": "is not", "is not": "is", "in": "not in", "not in": "in",
}  # fmt: skip


class Fault(NamedTuple):
    """The text between two places of a file, and what takes its place."""

    path: Path
    start: int
    end: int
    wrong: str


def faults(path: Path) -> Iterator[Fault]:
    """Every fault that can be planted in a file; none in error messages, annotations and what is printed."""
    text = path.read_text()
    starts = [0]
    for line in text.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    data = text.encode()

    def at(line: int, column: int) -> int:
        return len(data[: starts[line - 1] + column].decode())

    def span(node: ast.AST) -> tuple[int, int]:
        return at(node.lineno, node.col_offset), at(node.end_lineno, node.end_col_offset)  # type: ignore[attr-defined]

    def between(left: ast.AST, right: ast.AST, table: dict[str, str]) -> Iterator[Fault]:
        start, end = span(left)[1], span(right)[0]
        token = text[start:end].strip(" ()\n\\")
        if token in table:
            place = start + text[start:end].index(token)
            yield Fault(path, place, place + len(token), table[token])

    def visit(node: ast.AST) -> Iterator[Fault]:
        if isinstance(node, ast.Raise | ast.JoinedStr | ast.Import | ast.ImportFrom):
            return
        if isinstance(node, ast.FunctionDef) and node.name in ("__repr__", "extra_repr"):
            return
        if isinstance(node, ast.BinOp):
            yield from between(node.left, node.right, OPERATORS)
        elif isinstance(node, ast.Compare):
            for left, right in zip([node.left, *node.comparators], node.comparators, strict=False):
                yield from between(left, right, COMPARISONS)
        elif isinstance(node, ast.BoolOp):
            for left, right in zip(node.values, node.values[1:], strict=False):
                yield from between(left, right, {"and": "or", "or": "and"})
        elif isinstance(node, ast.If | ast.IfExp | ast.While):
            start, end = span(node.test)
            yield Fault(path, start, end, f"(not ({text[start:end]}))")
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float, bool):
            start, end = span(node)
            wrong = not node.value if isinstance(node.value, bool) else node.value + 1
            yield Fault(path, start, end, repr(wrong))
        elif isinstance(node, ast.AugAssign) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
            yield Fault(path, *span(node), "pass")
        for name, value in ast.iter_fields(node):
            if name not in ("annotation", "returns", "decorator_list"):
                for child in value if isinstance(value, list) else [value]:
                    if isinstance(child, ast.AST):
                        yield from visit(child)

    yield from visit(ast.parse(text))


def mirrored(path: Path) -> list[str]:
    """The test files that mirror a file of the package, or else its folder."""
    names = {f"test_{path.stem}.py", f"test_nn_{path.stem}.py", f"test_train_{path.stem}.py"}
    found = [str(p.relative_to(ROOT)) for p in (ROOT / "tests").rglob("test_*.py") if p.name in names]
    folder = Path("tests") / path.relative_to(ROOT / "minigen").parent
    return found + ([str(folder)] if folder != Path("tests") else [])


def passes(copy: Path, arguments: list[str]) -> bool:
    """Whether the tests pass on the copy; a run that hangs has noticed the fault, too."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *arguments]
    # the copy's package comes first; the same examples are drawn in every run
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "CI": "true"}
    try:
        return subprocess.run(command, cwd=copy, capture_output=True, timeout=600, env=environment).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", default=["minigen"], help="files or folders to change (default: minigen)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of faults")
    parser.add_argument("--mutants", type=int, default=20, help="how many faults are planted")
    args = parser.parse_args()
    files = [f for name in args.paths for f in ([ROOT / name] if name.endswith(".py") else (ROOT / name).rglob("*.py"))]
    every = [fault for path in sorted(files) for fault in faults(path)]
    chosen = random.Random(args.seed).sample(every, min(args.mutants, len(every)))
    print(f"{len(chosen)} of {len(every)} possible faults in {len(files)} files", flush=True)
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "project"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", "runs", "*.pyc", "__pycache__"))
        if not passes(copy, []):
            raise SystemExit("the tests fail without any fault: what would they notice?")
        for number, fault in enumerate(chosen, start=1):
            text, target = fault.path.read_text(), copy / fault.path.relative_to(ROOT)
            target.write_text(text[: fault.start] + fault.wrong + text[fault.end :])
            where = f"{fault.path.relative_to(ROOT)}:{text.count(chr(10), 0, fault.start) + 1}"
            survived = passes(copy, mirrored(fault.path)) and passes(copy, [])
            survivors += survived
            target.write_text(text)
            what = f"{text[fault.start : fault.end]!r} -> {fault.wrong!r}"
            print(f"{number:4d}  {'SURVIVED' if survived else 'noticed '}  {where}  {what}", flush=True)
    print(f"{survivors} of {len(chosen)} survived")


if __name__ == "__main__":
    main()
