"""The kit for one's own operations, layers and models: the checks with which minigen's own tests are written.

>>> check_derivatives(softsign, [np.ones((2, 3))])             # first and second derivatives, float32, memory layouts
>>> check_module(nn.Linear(3, 2), np.ones((4, 3)))             # a layer: the same, by its parameters and its inputs
>>> check_same_on("gpu", softsign, [np.ones((2, 3))])          # the same numbers on another device
>>> check_mutants(lambda: check_derivatives(softsign, [x]), softsign)    # would the check notice a wrong derivative?

Each raises an `AssertionError` that says what is wrong. Which inputs to check is best left to a random search, here by
hypothesis (`pip install "minigen[testing]"`); the strategies draw what derivatives are sensitive to:

>>> from minigen.testing.strategies import shapes, uniform
>>> @given(shapes().flatmap(uniform))
... def test_softsign(x):
...     check_derivatives(softsign, [x])

checks      what must hold for every operation and every layer
mutants     faults planted on purpose, to see that a check finds them
strategies  shapes, broadcasts, axes and values, drawn by hypothesis
"""

from minigen.testing.checks import Case, check_derivatives, check_module, check_same_on
from minigen.testing.mutants import changed_derivative, check_mutants

__all__ = ["Case", "changed_derivative", "check_derivatives", "check_module", "check_mutants", "check_same_on"]
