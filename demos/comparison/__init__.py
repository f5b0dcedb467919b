"""How `compare.py` compares the models: what is measured of each, the lecture's claims about them, and the report.

A row is a dictionary of what was measured of one model with one seed, or of real images beside the samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median
from typing import Any

Row = dict[str, Any]


class NotMeasured(Exception):
    """What a claim or a cell needs was not measured; the message names it."""


class Results:
    """The rows of all models and seeds. `results("row", "nats")` is the median over seeds."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = rows

    def all(self, model: str, metric: str) -> list[Any]:
        """The values of a metric, one for each seed with which it was measured; `NotMeasured` if there are none."""
        rows = [row for row in self.rows if row["model"] == model]
        found = [row[metric] for row in rows if row.get(metric) is not None]
        if not found:
            raise NotMeasured(f"{metric} of {model}" if rows else f"a run of {model}")
        return found

    def __call__(self, model: str, metric: str) -> float:
        return median(self.all(model, metric))

    def models(self) -> list[str]:
        """The names of the models and of the real images, in the order of their first rows."""
        return list(dict.fromkeys(row["model"] for row in self.rows))

    def title(self, model: str) -> str:
        return str(self.all(model, "title")[0])
