"""Schedules: their factors, step by step."""

from __future__ import annotations

import math

import numpy as np
import pytest

from minigen.optim import cosine_decay, linear_decay


def test_linear_decay() -> None:
    schedule = linear_decay(8)
    assert [schedule(step) for step in (0, 3, 4, 5, 6, 7, 8, 9)] == [1, 1, 1, 0.75, 0.5, 0.25, 0, 0]
    with pytest.raises(ValueError, match="expects steps >= 1, got 0"):
        linear_decay(0)


def test_cosine_decay() -> None:
    schedule = cosine_decay(8)
    expected = [0.5 * (1 + math.cos(math.pi * step / 8)) for step in range(9)]
    np.testing.assert_allclose([schedule(step) for step in range(9)], expected, rtol=1e-12, atol=1e-15)
    assert (schedule(0), schedule(9), schedule(100)) == (1, 0, 0)


def test_cosine_decay_warms_up_first() -> None:
    schedule, short = cosine_decay(11, warmup=3), cosine_decay(8)
    assert [schedule(step) for step in range(3)] == [0.25, 0.5, 0.75]
    assert [schedule(step) for step in range(3, 13)] == [short(step) for step in range(10)]
    for steps, warmup in ((0, 0), (5, 5), (5, -1)):
        with pytest.raises(ValueError, match=f"expects 0 <= warmup < steps, got warmup={warmup}, steps={steps}"):
            cosine_decay(steps, warmup)
