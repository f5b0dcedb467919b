"""Demos with --parallel, in processes that `mpiexec` starts."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import mpi_standin
import pytest

from common import flags
from minigen import train

DEMOS = Path(__file__).parents[2] / "demos"
MPIEXEC = shutil.which("mpiexec")
SMALL = ["--image-size", 8, "--hidden", 8, "--batch-size", 6, "--beside"]


@pytest.mark.skipif(MPIEXEC is None, reason='mpiexec is missing: pip install "minigen[parallel]"')
def test_two_processes_do_what_one_does_and_one_goes_on(
    photographs: Path, run_demo: Callable, capsys: pytest.CaptureFixture, tmp_path: Path
) -> None:
    """The same lines and files; the first process alone prints and writes."""
    pytest.importorskip("mpi4py")
    given = ["--dataset", photographs, *SMALL]
    one, two = tmp_path / "one" / "run", tmp_path / "two" / "run"
    run_demo("gan", *given, "--epochs", 2, "--out", one)
    lines = capsys.readouterr().out.splitlines()
    command = [MPIEXEC, "-n", 2, sys.executable, DEMOS / "gan.py", "--parallel", *given, "--epochs", 2, "--out", two]
    environment = os.environ | {"PYTHONPATH": str(DEMOS.parent), "OMP_NUM_THREADS": "1"}
    ended = subprocess.run([*map(str, command)], env=environment, capture_output=True, text=True, timeout=120)
    assert (ended.returncode, ended.stderr) == (0, "")
    first, *others = ended.stdout.splitlines()
    assert first.startswith("2 processes: process 0 (pid ") and len(others) == len(lines)
    files = lambda out: sorted(str(path.relative_to(out.parent)) for path in out.parent.rglob("*"))
    assert files(two) == files(one)
    losses = [[json.loads(line)["train"]["d_loss"] for line in (out / "log.jsonl").open()] for out in (one, two)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    run_demo("gan", *given, "--epochs", 3, "--out", two, "--resume")
    assert len((two / "log.jsonl").read_text().splitlines()) == 3


def test_each_process_takes_a_card_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """With --device gpu; a card that is named is taken."""

    def devices() -> list[str]:
        with train.parallel.together():
            return [flags.device_of(Namespace(device=name)) for name in ("gpu", "gpu:1", "cpu")]

    first, second = mpi_standin.run_together(2, devices, monkeypatch)
    assert (first, second) == (["gpu:0", "gpu:1", "cpu"], ["gpu:1", "gpu:1", "cpu"])
    assert flags.device_of(Namespace(device="gpu")) == "gpu:0"
