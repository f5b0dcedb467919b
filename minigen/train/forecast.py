"""How long a run will take on this machine, told from its first steps."""

from __future__ import annotations

import time

STEPS = 10  # that are timed


class Forecast:
    """Times ten steps after the first one, which is slower than the others."""

    def __init__(self) -> None:
        self.steps, self.since = 0, 0.0

    def after_step(self) -> float | None:
        """The mean seconds of a step, when ten have been timed; after every other step None."""
        self.steps += 1
        if self.steps == 1:
            self.since = time.monotonic()
        return (time.monotonic() - self.since) / STEPS if self.steps == STEPS + 1 else None


def duration(seconds: float) -> str:
    """Seconds in the unit that reads best.

    >>> duration(41.3), duration(200), duration(9000)
    ('41 s', '3 min', '2.5 h')
    """
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
