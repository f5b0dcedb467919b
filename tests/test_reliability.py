"""The short form of reliability.py, which by hand kills a run hundreds of times."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_disturbed_run_loses_nothing() -> None:
    """Ten kills at random moments, and each other disturbance once."""
    command = [sys.executable, TESTS / "reliability.py", "--kills", "10", "--others", "1"]
    environment = {**os.environ, "PYTHONPATH": str(TESTS.parent)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("all finished with the same bits") == 6
