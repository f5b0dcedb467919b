"""What a training step, and a row of cached sampling, ask of a GPU: kernels, waits of the host, transfers.

Counted on the stand-in for CuPy with which the tests run, so that no card is needed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import minigen
from benchmarks import Table
from benchmarks.models import AUTOREGRESSIVE, example, training_step

TESTS = Path(__file__).parents[2] / "tests"


def measure(args: argparse.Namespace, table: Table) -> None:
    for name in args.models:
        table.add(model=name, work="training step", **a_step(name, args.size))
    for name in (name for name in args.models if name in AUTOREGRESSIVE):
        table.add(model=name, work="row of cached sampling", **a_row(name))


def a_step(name: str, side: int | None = None, n: int | None = None) -> dict[str, Any]:
    """The counts of the second training step: the first fills caches."""
    with standin() as count:
        step = training_step(*example(name, side, n))
        step()
        return counts_of(count, step)


def a_row(name: str, number: int = 3, width: int = 3, n: int = 4) -> dict[str, Any]:
    """The counts of a row of n samples: rows 0 and 1 are launched kernel by kernel, row 2 is captured."""
    with standin() as count:
        without, with_it = (
            counts_of(count, partial(of_height(name, rows, width).sample, n)) for rows in (number, number + 1)
        )
    return {what: with_it[what] - without[what] for what in with_it}


def of_height(name: str, height: int, width: int) -> Any:
    """The model for images of this height, which has the weights of any other."""
    model, _ = example(name, width, 1)
    model.image_shape = (model.image_shape[0], height, width)
    return model


def counts_of(count: Callable[[], Any], work: Callable[[], Any]) -> dict[str, Any]:
    """What is counted while `work` runs, by name."""
    with count() as counts:
        work()
    return dict(vars(counts))


@contextmanager
def standin() -> Iterator[Callable[[], Any]]:
    """Inside the block, the current device is the stand-in for a card; gives its counting context manager."""
    if not TESTS.exists():
        raise RuntimeError(f"launches are counted by the tests' stand-in for CuPy: expects the folder {TESTS}")
    with patch.object(sys, "path", [*sys.path, str(TESTS)]):
        import strict_cupy
    with strict_cupy.installed(), minigen.device("gpu"):
        yield strict_cupy.count
