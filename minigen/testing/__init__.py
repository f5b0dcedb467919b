"""The kit for one's own operations, layers and models: the checks with which minigen's own tests are written.

>>> check_derivatives(softsign, [np.ones((2, 3))])             # first and second derivatives, float32, memory layouts
>>> check_module(nn.Linear(3, 2), np.ones((4, 3)))             # a layer: the same, by its parameters and its inputs
>>> check_same_on("gpu", softsign, [np.ones((2, 3))])          # the same numbers on another device
>>> check_mutants(lambda: check_derivatives(softsign, [x]), softsign)    # would the check notice a wrong derivative?

Each raises an `AssertionError` that says what is wrong. Which inputs to check is best left to a random search, here by
hypothesis (`pip install "minigen[testing]"`); the strategies draw what derivatives are sensitive to:

>>> @given(shapes().flatmap(uniform))
... def test_softsign(x):
...     check_derivatives(softsign, [x])

checks      what must hold for every operation and every layer
mutants     faults planted on purpose, to see that a check finds them
strategies  shapes, broadcasts, axes and values, drawn by hypothesis
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from minigen.testing.checks import Case, check_derivatives, check_module, check_same_on
from minigen.testing.mutants import changed_derivative, changed_reference, changed_source, check_mutants

if TYPE_CHECKING:
    from minigen.testing.strategies import (
        SEEDS,
        Cases,
        axes_of,
        axis_of,
        broadcastable_to,
        shapes,
        uniform,
        well_separated,
    )

__all__ = [
    "SEEDS",
    "Case",
    "Cases",
    "axes_of",
    "axis_of",
    "broadcastable_to",
    "changed_derivative",
    "changed_reference",
    "changed_source",
    "check_derivatives",
    "check_module",
    "check_mutants",
    "check_same_on",
    "shapes",
    "uniform",
    "well_separated",
]


def __getattr__(name: str) -> Any:
    """Import the strategies, which need hypothesis, when one is first used."""
    if name in __all__:
        return getattr(import_module("minigen.testing.strategies"), name)
    raise AttributeError(f"module 'minigen.testing' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
