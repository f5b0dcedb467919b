"""Are the derivatives right? Compare them with central differences, along random directions of the output.

For a function f and a random cotangent v, the number L(x) = <f(x), v> has the gradient J(x)^T v that the backward
pass computes, and the partial derivatives (L(x + h e_i) - L(x - h e_i)) / 2h that need nothing but the forward pass.
The direction must be random: summing the output (v = 1) hides every error in a function whose outputs sum to a
constant, such as softmax or batch normalisation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigen.autograd import Tensor, grad
from minigen.backend import device_of, to_numpy


class GradcheckError(AssertionError):
    """A derivative and its central difference do not agree."""


def gradcheck(
    fn: Callable[..., Any],
    inputs: Tensor | Sequence[Tensor],
    *,
    order: int = 1,
    step: float = 1e-5,
    rtol: float = 1e-5,
    atol: float = 1e-7,
    seed: int = 0,
) -> bool:
    """Check the derivatives of `fn(*inputs)` with respect to every float64 input that requires gradients.

    `fn` returns a tensor or a tuple of them, and gives the same values every time that it is called with the same
    inputs. `order=2` checks the first derivatives and then the derivatives of those. An entry passes if the two
    values differ by at most `atol + rtol * s`, with `s` the largest entry of that gradient.

    Returns True. Raises `GradcheckError` with the worst entry, its index, both values and the inputs; `TypeError`
    for an input that is not float64; `ValueError` if no input requires gradients or two calls of `fn` disagree.
    """
    inputs = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    for i, x in enumerate(inputs):
        if x.requires_grad and x.dtype != np.float64:
            raise TypeError(f"gradcheck: input {i} is {x.dtype}; central differences need float64")
    if not any(x.requires_grad for x in inputs):
        raise ValueError("gradcheck: no input requires gradients")
    random = np.random.default_rng(seed)

    def outputs_of(*arguments: Tensor) -> tuple[Tensor, ...]:
        result = fn(*arguments)
        return result if isinstance(result, tuple) else (result,)

    leaves = [Tensor(x.data.copy(), x.requires_grad) for x in inputs]
    cotangents = [_random_like(o, random) for o in outputs_of(*leaves)]
    _compare(outputs_of, leaves, cotangents, step, rtol, atol)
    if order > 1:
        _compare(outputs_of, leaves, cotangents, step, rtol, atol, create_graph=True)
        wanted = [i for i, x in enumerate(leaves) if x.requires_grad]
        seeds = [Tensor(v.data, requires_grad=True) for v in cotangents]

        def first_derivatives(*arguments: Tensor) -> tuple[Tensor, ...]:
            xs, vs = arguments[: len(leaves)], arguments[len(leaves) :]
            targets = [xs[i] for i in wanted]
            results = grad(outputs_of(*xs), targets, vs, create_graph=True, allow_unused=True)
            return tuple(g for g in results if g is not None)

        if first_derivatives(*leaves, *seeds):
            try:
                gradcheck(
                    first_derivatives,
                    [*leaves, *seeds],
                    order=order - 1,
                    step=step,
                    rtol=rtol,
                    atol=atol,
                    seed=seed + 1,
                )
            except GradcheckError as error:
                raise GradcheckError(f"in the derivative of the derivative: {error}") from None
    return True


def _random_like(x: Tensor, random: np.random.Generator) -> Tensor:
    return Tensor(device_of(x.data).asarray(random.standard_normal(x.shape)))


def _compare(
    fn: Callable[..., tuple[Tensor, ...]],
    leaves: list[Tensor],
    cotangents: list[Tensor],
    step: float,
    rtol: float,
    atol: float,
    create_graph: bool = False,
) -> None:
    """Raise `GradcheckError` where the backward pass and the central differences of `fn` differ most.

    Under `create_graph` the backward pass goes through other code: fused operations take their reference formulas.
    """

    def value() -> float:
        return sum(float((o.data * v.data).sum()) for o, v in zip(fn(*leaves), cotangents, strict=True))

    if value() != value():
        raise ValueError("gradcheck: two calls of the function with the same inputs disagree; fix its random numbers")
    wanted = [i for i, x in enumerate(leaves) if x.requires_grad]
    tracked = [(o, v) for o, v in zip(fn(*leaves), cotangents, strict=True) if o.requires_grad]
    gradients: Sequence[Tensor | None] = [None] * len(wanted)
    if tracked:
        targets = [leaves[i] for i in wanted]
        gradients = grad(
            [o for o, _ in tracked], targets, [v for _, v in tracked], create_graph=create_graph, allow_unused=True
        )
    for i, g in zip(wanted, gradients, strict=True):
        data = leaves[i].data
        analytic = np.zeros(data.shape) if g is None else to_numpy(g.data)
        numeric = _central_differences(value, data, step)
        error = np.abs(analytic - numeric)
        finite = np.isfinite(error)
        largest = max(np.abs(analytic[finite]).max(initial=0.0), np.abs(numeric[finite]).max(initial=0.0))
        allowed = atol + rtol * largest
        wrong = ~finite | (error > allowed)
        if wrong.any():
            worst = np.unravel_index(np.argmax(np.where(finite, error, np.inf)), error.shape)
            index_text = "[" + ", ".join(str(int(k)) for k in worst) + "]"
            shown = "\n".join(f"  input {k} = {to_numpy(x.data)!r}" for k, x in enumerate(leaves))
            raise GradcheckError(
                f"the gradient of input {i} is wrong, most at {index_text}: the backward pass gives "
                f"{analytic[worst]:.10g}, central differences give {numeric[worst]:.10g} "
                f"({int(wrong.sum())} of {error.size} entries are off by more than {allowed:.3g})\n{shown}"
            )


def _central_differences(value: Callable[[], float], data: Any, step: float) -> np.ndarray:
    """The derivative of `value()` with respect to each entry of `data`, which `value` reads."""
    result = np.zeros(data.shape)
    for index in np.ndindex(data.shape):
        original = float(data[index])
        data[index] = original + step
        above = value()
        data[index] = original - step
        below = value()
        data[index] = original
        result[index] = (above - below) / (2 * step)
    return result
