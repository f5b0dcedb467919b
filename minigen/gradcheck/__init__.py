"""Gradient checking: compare derivatives with central differences, along random directions of the output.

For a function f with Jacobian J and a random cotangent v, the number L(x) = <f(x), v> has the gradient J(x)^T v, which
the backward pass computes. Its entries are approximately the central differences (L(x + h e_i) - L(x - h e_i)) / 2h,
which need the forward pass only. The direction must be random: summing the output (v = 1) hides every error in a
function whose outputs sum to a constant, such as softmax or batch normalisation.

check       the inputs, the comparison to first or second order, and the error
projection  L, its gradient by the backward pass, and its central differences
hints       what the error adds: a kink, where a NaN began, a derivative that cannot be differentiated again
"""

from minigen.gradcheck.check import GradcheckError, as_leaves, gradcheck

__all__ = ["GradcheckError", "as_leaves", "gradcheck"]
