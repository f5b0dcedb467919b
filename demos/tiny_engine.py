"""The engine on one screen: automatic differentiation, and a small network that it trains on two moons.

Calling a `primitive` gives a `Tensor`, whose `Node` records the call. `grad` follows the record back from the output
and applies the chain rule at each tensor. It computes with tensors itself, so that gradients are recorded as well and
can be differentiated again, to every order. minigen's tape.py and primitives.py do the same, and more, in more lines:
- they save only what the derivatives name, notice when it is changed in place, and free it behind the backward pass
- they compute only the gradients that are needed, on plain arrays unless `create_graph` asks for a record of them
- an operation may have options and several outputs, or be fused for speed beside the formula that defines it
- there are dtypes and devices, `backward`, `no_grad`, `detect_anomaly` to find the first NaN, and errors that explain
"""

import argparse
import inspect
import itertools
from collections import namedtuple
from pathlib import Path

import numpy as np

Node = namedtuple("Node", "derivatives arguments", defaults=({}, {}))  # a leaf, such as a parameter, has an empty one


def primitive(forward, **derivatives):
    """An operation on tensors, from one on arrays and the derivatives, one for each argument that may be a tensor."""

    def operation(*arguments):
        arrays = [x.data if isinstance(x, Tensor) else x for x in arguments]
        return Tensor(forward(*arrays), Node(derivatives, dict(zip(derivatives, arguments, strict=False))))

    return operation


# A derivative turns g, the gradient of the output, into that of an argument, with the help of the values that it names.
add = primitive(np.add, x=lambda g: g, y=lambda g: g)
multiply = primitive(np.multiply, x=lambda g, y: g * y, y=lambda g, x: g * x)
divide = primitive(np.divide, x=lambda g, y: g / y, y=lambda g, y, out: -g * out / y)
exp = primitive(np.exp, x=lambda g, out: g * out)
log = primitive(np.log, x=lambda g, x: g / x)
tanh = primitive(np.tanh, x=lambda g, out: g * (1 - out * out))
matmul = primitive(np.matmul, x=lambda g, y: g @ transpose(y), y=lambda g, x: transpose(x) @ g)  # of matrices
transpose = primitive(np.transpose, x=lambda g: transpose(g))
broadcast_to = primitive(np.broadcast_to, x=lambda g, x: sum_to(g, x.shape))
sum_to = primitive(  # over the axes, counted from the last one, along which an array of this shape was broadcast
    lambda x, shape: x.sum(tuple(i for i in range(-x.ndim, 0) if -i > len(shape) or shape[i] == 1)).reshape(shape),
    x=lambda g, x: broadcast_to(g, x.shape),
)


class Tensor:
    """An array that remembers how it was computed."""

    __array_ufunc__ = None  # so that NumPy leaves `array * tensor` to the tensor
    __add__, __radd__, __mul__, __rmul__, __truediv__, __matmul__ = add, add, multiply, multiply, divide, matmul
    __neg__, __sub__, __rsub__ = lambda x: x * -1, lambda x, y: x + -y, lambda y, x: x + -y
    __rtruediv__, __rmatmul__ = lambda y, x: divide(x, y), lambda y, x: matmul(x, y)
    count = itertools.count()

    def __init__(self, data, node=None):
        self.data, self.shape = np.asarray(data), np.shape(data)
        self.node, self.order = node or Node(), next(self.count)


def grad(output, inputs):
    """The gradients of the sum of `output` with respect to the inputs; None for one that it does not depend on."""
    arrived, complete = {output: Tensor(np.ones(output.shape))}, {}
    while arrived:
        tensor = max(arrived, key=lambda x: x.order)  # the latest: all that used it have sent their gradients
        g = complete[tensor] = arrived.pop(tensor)
        values = {**tensor.node.arguments, "g": g, "out": tensor}
        for argument, rule in tensor.node.derivatives.items():
            if isinstance(x := values[argument], Tensor):
                result = rule(*[values[name] for name in inspect.signature(rule).parameters])
                result = result if result.shape == x.shape else sum_to(result, x.shape)
                arrived[x] = arrived[x] + result if x in arrived else result
    return [complete.get(x) for x in inputs]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("runs/tiny_engine"), help="folder for the figure")
    out = parser.parse_args().out
    random = np.random.default_rng(0)
    angle, y = random.uniform(0, np.pi, 200), random.choice([-1, 1], (200, 1))  # the class, -1 or 1
    x = y * np.stack([np.cos(angle) - 0.5, np.sin(angle) - 0.25], axis=1) + random.normal(0, 0.1, (200, 2))
    w1, b1, w2, b2 = parameters = [Tensor(random.normal(size=shape)) for shape in [(2, 16), 16, (16, 1), 1]]
    network = lambda x: tanh(x @ w1 + b1) @ w2 + b2
    for step in range(501):
        loss = sum_to(log(1 + exp(-y * network(x))), ()) / len(x)  # the cross-entropy
        if step % 100 == 0:
            print(f"step {step:3}: loss {loss.data:.4f}, {np.mean(y * network(x).data > 0):6.1%} correct")
        for p, g in zip(parameters, grad(loss, parameters), strict=True):
            p.data = p.data - g.data
    from matplotlib.figure import Figure

    axes = Figure(layout="constrained").add_subplot(title="Two moons, and what the network makes of every point")
    grid = np.stack(np.meshgrid(np.linspace(-2.2, 2.2, 220), np.linspace(-1.4, 1.4, 140)), axis=-1)
    axes.contourf(*grid.T, np.tanh(network(grid).data[..., 0].T / 2), np.linspace(-1, 1, 21), cmap="RdBu", alpha=0.8)
    axes.scatter(*x.T, c=y, cmap="RdBu", edgecolors="white")
    out.mkdir(parents=True, exist_ok=True)
    axes.figure.savefig(out / "two_moons.png")
