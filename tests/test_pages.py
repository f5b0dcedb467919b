"""What the pages of the repository show in Python runs as it is printed there, each block in a program of its own.

Loops over epochs go through one epoch only.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCKS = [
    pytest.param(block, id=f"{page}-{number}")
    for page in ("README.md", "CONTRIBUTING.md")
    for number, block in enumerate(re.findall(r"^```python\n(.*?)^```$", (ROOT / page).read_text(), re.M | re.S), 1)
]


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_of_python_runs_or_stands_in_the_source(block: str, tmp_path: Path) -> None:
    if "import" not in block:
        assert block in (ROOT / "minigen/ops/elementwise.py").read_text()
        return
    code = re.sub(r"(for epoch in range\(|epochs=)\d+", r"\g<1>1", block)
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", code]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
