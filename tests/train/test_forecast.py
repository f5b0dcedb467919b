"""How long a run will take, told from its first steps."""

from __future__ import annotations

import time

import pytest

from minigen.train.forecast import Forecast, duration


def test_ten_steps_are_timed_after_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first takes 5 seconds, every other one 0.5."""
    ends = iter([5 + 0.5 * i for i in range(30)])
    clock = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: clock)
    forecast, said = Forecast(), []
    for _ in range(30):
        clock = next(ends)
        said.append(forecast.after_step())
    assert said == [None] * 10 + [0.5] + [None] * 19


def test_durations_are_told_in_the_unit_that_reads_best() -> None:
    seconds = {0.2: "1 s", 41.3: "41 s", 89: "89 s", 100: "2 min", 200: "3 min", 5399: "90 min", 9000: "2.5 h"}
    assert {x: duration(x) for x in seconds} == seconds
