"""Four experiments on the theory of GANs, a file each; `gan_theory.py` runs them.

Each has `measure(steps, out)`, which trains for so many steps, draws into the folder `out` and returns its claims.
"""

from typing import NamedTuple


class Claim(NamedTuple):
    """A claim of the theory, what it expects, and what was measured."""

    text: str
    expected: str
    measured: str
    holds: bool | None = None  # None: nothing to compare with
