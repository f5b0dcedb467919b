"""The demo of the graph and the profile draws every model, and prints tables whose rows add up."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.parametrize("graphviz", [True, False])
def test_it_draws_and_prints(
    graphviz: bool, tmp_path: Path, run_demo: Callable, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not graphviz:
        monkeypatch.setattr(shutil, "which", lambda name: None)
    elif shutil.which("dot") is None:
        pytest.skip("Graphviz is not installed")
    models = ["vae", "pixelcnn", "row", "dcgan"]
    run_demo("graph", "--models", *models, "--batch-size", 2, "--repeat", 1, "--trace", "--out", tmp_path)
    drawings = {f"{name}.{'png' if graphviz else 'mmd'}" for name in (*models, "row_layer", "loop")}
    assert {path.name for path in tmp_path.iterdir()} == drawings | {f"{name}.json" for name in models}
    tables = capsys.readouterr().out.split("a training step of 2 images\n")[1:]
    for name, table in zip(models, tables, strict=True):
        rows = re.findall(r"^(\S.*?) {2,}.*?([\d.]+) +[\d.]+ %", table, re.MULTILINE)
        assert rows[-1][0] == "total" and {"optimizer", "outside of operations"} <= {name for name, _ in rows}
        milliseconds = [float(x) for _, x in rows]
        assert sum(milliseconds[:-1]) == pytest.approx(milliseconds[-1], abs=0.006 * len(rows))
        assert len(json.loads((tmp_path / f"{name}.json").read_text())["traceEvents"]) > 30
