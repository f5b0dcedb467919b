"""The short form of `damaged_files.py`, in a process of its own: no damaged file is accepted, crashes or hangs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).with_name("damaged_files.py")


def test_200_damaged_files() -> None:
    command = [sys.executable, str(SCRIPT), "--files", "200"]
    process = subprocess.run(command, capture_output=True, text=True, cwd=SCRIPT.parents[1])
    assert process.returncode == 0, process.stdout + process.stderr
