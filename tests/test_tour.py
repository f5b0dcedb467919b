"""Every block of Python in tests/README.md runs, after the first, which has the imports; every link leads somewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

PAGE = Path(__file__).parent / "README.md"
IMPORTS, *BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_runs(block: str) -> None:
    names: dict[str, Any] = {"__name__": "tour"}
    exec(IMPORTS, names)
    exec(compile(block, "tests/README.md", "exec"), names)


def test_every_link_leads_to_a_file() -> None:
    links = re.findall(r"\]\(([^)]+)\)", PAGE.read_text())
    assert links and not [link for link in links if not (PAGE.parent / link).exists()]
