"""What the tests of training share."""

from __future__ import annotations

from typing import Any

import pytest
from small_run import final_state, run


@pytest.fixture(scope="session")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("uninterrupted")
    run(out)
    return final_state(out)
