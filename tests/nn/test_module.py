"""Modules: what they consist of, how they are saved and loaded, and the derivatives of every layer.

`data/torch_sequential.safetensors` holds what PyTorch 2.13 computes, so that the tests need no PyTorch. Made by:

    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    sequential = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3, stride=2, padding=1), torch.nn.BatchNorm2d(4), torch.nn.ReLU(),
        torch.nn.ConvTranspose2d(4, 2, (3, 4), stride=2, padding=1, output_padding=(1, 0)),
        torch.nn.Flatten(), torch.nn.Linear(2 * 6 * 6, 5),
    )
    torch.nn.init.normal_(sequential[1].weight)
    torch.nn.init.normal_(sequential[1].bias)
    lstm = torch.nn.LSTM(3, 4, num_layers=2)
    images, sequence, h0, c0 = torch.randn(3, 2, 6, 6), torch.randn(5, 2, 3), torch.randn(2, 2, 4), torch.randn(2, 2, 4)
    file = {"images": images, "sequence": sequence, "h0": h0, "c0": c0, "train.output": sequential(images)}
    file |= {f"sequential.{name}": x for name, x in sequential.state_dict().items()}
    file["eval.output"] = sequential.eval()(images)
    file |= {f"lstm.{name}": x for name, x in lstm.state_dict().items()}
    file["output"], (file["h"], file["c"]) = lstm(sequence, (h0, c0))
    save_file({name: x.detach().clone() for name, x in file.items()}, "torch_sequential.safetensors")
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from minigen import nn, ops
from minigen.autograd import Tensor, tensor
from minigen.backend import Device, default_dtype, device_of, to_numpy
from minigen.gradcheck import gradcheck
from minigen.nn.module import frozen
from minigen.optim import SGD, Adam, RMSprop
from minigen.testing import Case, check_module, check_same_on
from minigen.testing.strategies import SEEDS, shapes, uniform, well_separated

# -- every layer: its derivatives by its parameters and its inputs -----------------------------------------------------

Make = Callable[[], nn.Module]
FEWER = settings(max_examples=settings().max_examples // 2)  # the operations have had theirs


class WithState(nn.Module):
    """A recurrent layer with the parts of its state among the inputs, if it is given any."""

    def __init__(self, layer: nn.Module) -> None:
        self.layer = layer

    def forward(self, x: Tensor, *state: Tensor) -> Any:
        return self.layer(x, state or None)


def sizes(most: int) -> st.SearchStrategy[int]:
    return st.integers(1, most)


@st.composite
def elementwise(draw: st.DrawFn, make: Make) -> Case:
    return Case(make(), draw(well_separated(draw(shapes(min_dims=1)))))


@st.composite
def dropout(draw: st.DrawFn) -> Case:
    return Case(nn.Dropout(draw(st.floats(0, 0.9))), [draw(uniform(draw(shapes())))])


@st.composite
def unflatten(draw: st.DrawFn) -> Case:
    shape = draw(shapes())
    return Case(nn.Unflatten(shape), [draw(uniform((draw(sizes(2)), int(np.prod(shape)))))])


@st.composite
def linear(draw: st.DrawFn) -> Case:
    n, m, bias = draw(sizes(3)), draw(sizes(3)), draw(st.booleans())
    return Case(nn.Linear(n, m, bias), [draw(uniform((*draw(shapes(max_dims=2, max_size=4)), n)))])


@st.composite
def embedding(draw: st.DrawFn) -> Case:
    n, m, shape = draw(sizes(3)), draw(sizes(3)), draw(shapes(max_dims=2, max_size=4))
    return Case(nn.Embedding(n, m), [np.random.default_rng(draw(SEEDS)).integers(0, n, shape)])


@st.composite
def convolution(draw: st.DrawFn, layer: Callable[..., nn.Module]) -> Case:
    """Sizes, options and an image for `Conv2d` or `ConvTranspose2d`."""
    pair = lambda low, high: draw(st.tuples(st.integers(low, high), st.integers(low, high)))
    groups = draw(sizes(2))
    channels, features = groups * draw(sizes(2)), groups * draw(sizes(2))
    kernel, stride, dilation = pair(1, 2), pair(1, 2), pair(1, 2)
    options: dict[str, Any] = {"stride": stride, "dilation": dilation, "groups": groups, "bias": draw(st.booleans())}
    options["padding"] = draw(st.sampled_from([0, (0, 1), ((0, 1), (1, 0))]))
    size = [1 + dilation[i] * (kernel[i] - 1) + n for i, n in enumerate(pair(0, 1))]
    if layer is nn.ConvTranspose2d:
        size = list(pair(1, 3))
        options["padding"] = options["padding"] if min(size) == 3 else 0  # so that something is left
        options["output_padding"] = tuple(min(n, max(stride[i], dilation[i]) - 1) for i, n in enumerate(pair(0, 1)))
    image = draw(uniform((draw(sizes(2)), channels, *size)))
    return Case(layer(channels, features, kernel, **options), [image])


@st.composite
def masked_convolution(draw: st.DrawFn) -> Case:
    colours, splits, mask = draw(sizes(2)), draw(sizes(2)), draw(st.sampled_from("AB"))
    channels, features = colours + draw(st.integers(0, 1)), splits * colours
    kernel, bias = draw(st.sampled_from([1, 3, (1, 3)])), draw(st.booleans())
    image = draw(uniform((1, channels, draw(sizes(2)), draw(sizes(2)))))
    return Case(nn.MaskedConv2d(channels, features, kernel, mask, colours, splits, bias), [image])


@st.composite
def batch_norm(draw: st.DrawFn, layer: Callable[..., nn.Module], *lengths: int) -> Case:
    channels, affine, eps = draw(sizes(2)), draw(st.booleans()), draw(st.floats(1e-5, 0.1))
    random = np.random.default_rng(draw(SEEDS))
    norm = layer(channels, eps=eps, affine=affine)
    norm.running_mean.data += random.normal(size=channels).astype("float32")
    norm.running_var.data *= random.uniform(0.5, 2, channels).astype("float32")
    for p in norm.parameters():
        p.data = random.normal(size=channels).astype("float32")
    shape = (draw(st.integers(4 if lengths[0] == 1 else 2, 5)), channels, *lengths[1:])
    return Case(norm, draw(well_separated(shape)))


@st.composite
def layer_norm(draw: st.DrawFn) -> Case:
    shape = draw(shapes(min_dims=1))
    normalized = shape[draw(st.integers(0, len(shape) - 1)) :]
    affine, bias = draw(st.booleans()), draw(st.booleans())
    return Case(nn.LayerNorm(normalized, 0.01, affine, bias), draw(well_separated(shape)))


@st.composite
def images(draw: st.DrawFn, make: Make, least: int = 1) -> Case:
    """Images with 2 channels, of a size from `least` up."""
    sides = st.integers(least, 3)
    return Case(make(), draw(well_separated((draw(sizes(2)), 2, draw(sides), draw(sides)))))


@st.composite
def lstm_cell(draw: st.DrawFn) -> Case:
    n, inputs, hidden = draw(st.permutations([1, 1, 2]))
    bias = draw(st.booleans())
    x, *state = [draw(uniform(shape)) for shape in ((n, inputs), (n, hidden), (n, hidden))]
    return Case(WithState(nn.LSTMCell(inputs, hidden, bias)), [x, *state] if draw(st.booleans()) else [x])


@st.composite
def lstm(draw: st.DrawFn) -> Case:
    n, inputs, hidden, layers = draw(st.permutations([1, 1, 1, 2]))
    steps, bias, batch_first = draw(sizes(2)), draw(st.booleans()), draw(st.booleans())
    x = draw(uniform((n, steps, inputs) if batch_first else (steps, n, inputs)))
    state = [draw(uniform((layers, n, hidden))) for _ in range(2)] if draw(st.booleans()) else []
    return Case(WithState(nn.LSTM(inputs, hidden, layers, bias, batch_first)), [x, *state])


@st.composite
def pixel_recurrent(draw: st.DrawFn, layer: Callable[..., nn.Module]) -> Case:
    hidden, size = draw(sizes(2)), draw(st.sampled_from([(1, 2), (2, 1), (2, 2)]))
    made = layer(hidden)
    for name, p in made.named_parameters():
        p.data += np.float32(0.3 * (name[-2:] in ("h0", "c0")))  # which begin at zero
    return Case(made, [draw(uniform((1, 2 * hidden, *size)))])


@st.composite
def shift_down(draw: st.DrawFn) -> Case:
    return Case(nn.ShiftDown(), [draw(uniform(tuple(draw(sizes(3)) for _ in range(4))))])


@st.composite
def sequential(draw: st.DrawFn) -> Case:
    n = draw(sizes(2))
    return Case(nn.Sequential(nn.Linear(n, 2), nn.Sequential(nn.Tanh(), nn.Linear(2, 1))), [draw(uniform((2, n)))])


CASES: dict[str, st.SearchStrategy[Case]] = {
    "AvgPool2d": images(lambda: nn.AvgPool2d(2, 1), 2) | images(lambda: nn.AvgPool2d(2, padding=1)),
    "MaxPool2d": images(lambda: nn.MaxPool2d(2, 1), 2) | images(lambda: nn.MaxPool2d(2, padding=1)),
    "Upsample": sizes(3).flatmap(lambda s: images(lambda: nn.Upsample(scale_factor=s))),
    "InstanceNorm2d": st.booleans().flatmap(lambda affine: images(lambda: nn.InstanceNorm2d(2, 0.01, affine=affine))),
    "LayerNorm": layer_norm(),
    "ELU": st.floats(0.1, 2).flatmap(lambda alpha: elementwise(lambda: nn.ELU(alpha))),
    "Identity": elementwise(nn.Identity),
    "SiLU": elementwise(nn.SiLU),
    "Softmax": elementwise(nn.Softmax),
    "Softplus": st.floats(0.5, 2).flatmap(lambda beta: elementwise(lambda: nn.Softplus(beta))),
    "BatchNorm1d": batch_norm(nn.BatchNorm1d, 1) | batch_norm(nn.BatchNorm1d, 2, 2),
    "BatchNorm2d": batch_norm(nn.BatchNorm2d, 2, 1, 2),
    "Conv2d": convolution(nn.Conv2d),
    "ConvTranspose2d": convolution(nn.ConvTranspose2d),
    "DiagonalBiLSTM": pixel_recurrent(nn.DiagonalBiLSTM),
    "Dropout": dropout(),
    "Embedding": embedding(),
    "Flatten": elementwise(nn.Flatten),
    "LSTM": lstm(),
    "LSTMCell": lstm_cell(),
    "LeakyReLU": st.floats(0, 0.9).flatmap(lambda slope: elementwise(lambda: nn.LeakyReLU(slope))),
    "Linear": linear(),
    "MaskedConv2d": masked_convolution(),
    "ReLU": elementwise(nn.ReLU),
    "RowLSTM": pixel_recurrent(nn.RowLSTM),
    "Sequential": sequential(),
    "ShiftDown": shift_down(),
    "Sigmoid": elementwise(nn.Sigmoid),
    "Tanh": elementwise(nn.Tanh),
    "Unflatten": unflatten(),
}


@pytest.mark.parametrize("name", CASES)
@FEWER
@given(data=st.data())
def test_derivatives(name: str, data: st.DataObject) -> None:
    layer, inputs = data.draw(CASES[name])
    check_module(layer, *inputs)


@pytest.mark.parametrize("name", CASES)
@FEWER
@given(data=st.data())
def test_same_on_the_gpu(name: str, data: st.DataObject, gpu_standin: Device) -> None:
    check_same_on(gpu_standin, *data.draw(CASES[name]))


def test_every_layer_is_in_the_table() -> None:
    public = {name: getattr(nn, name) for name in nn.__all__}
    layers = {name for name, x in public.items() if isinstance(x, type) and issubclass(x, nn.Module)}
    assert layers - {"Module", "ModuleList"} == CASES.keys()  # a new layer needs its strategy in CASES


# -- names -------------------------------------------------------------------------------------------------------------


def small_model() -> nn.Sequential:
    """The equivalent of the `torch.nn.Sequential` above."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 2, (3, 4), stride=2, padding=1, output_padding=(1, 0)),
        nn.Flatten(),
        nn.Linear(2 * 6 * 6, 5),
    )


def test_names_order_and_shapes_are_pytorchs(device: Device) -> None:
    model = small_model()
    assert [(name, p.shape) for name, p in model.named_parameters()] == [
        ("0.weight", (4, 2, 3, 3)),
        ("0.bias", (4,)),
        ("1.weight", (4,)),
        ("1.bias", (4,)),
        ("3.weight", (4, 2, 3, 4)),
        ("3.bias", (2,)),
        ("5.weight", (5, 72)),
        ("5.bias", (5,)),
    ]
    assert [(name, x.shape, str(x.dtype)) for name, x in model.state_dict().items()] == [
        ("0.weight", (4, 2, 3, 3), "float32"),
        ("0.bias", (4,), "float32"),
        ("1.weight", (4,), "float32"),
        ("1.bias", (4,), "float32"),
        ("1.running_mean", (4,), "float32"),
        ("1.running_var", (4,), "float32"),
        ("1.num_batches_tracked", (), "int64"),
        ("3.weight", (4, 2, 3, 4), "float32"),
        ("3.bias", (2,), "float32"),
        ("5.weight", (5, 72), "float32"),
        ("5.bias", (5,), "float32"),
    ]
    assert [id(p) for p in model.parameters()] == [id(p) for _, p in model.named_parameters()]


@pytest.mark.parametrize(
    ("layer", "names"),
    [
        (nn.Linear(2, 3, bias=False), ["weight"]),
        (nn.Conv2d(2, 3, 1, bias=False), ["weight"]),
        (nn.BatchNorm1d(2, affine=False), ["running_mean", "running_var", "num_batches_tracked"]),
        (nn.BatchNorm1d(2, track_running_stats=False), ["weight", "bias"]),
        (nn.LayerNorm(3), ["weight", "bias"]),
        (nn.InstanceNorm2d(3), []),
        (nn.InstanceNorm2d(3, affine=True), ["weight", "bias"]),
        (nn.Embedding(2, 3), ["weight"]),
        (nn.MaskedConv2d(2, 3, 1, "B"), ["weight", "bias"]),
        (nn.LSTMCell(2, 3), ["weight_ih", "weight_hh", "bias_ih", "bias_hh"]),
        (nn.LSTMCell(2, 3, bias=False), ["weight_ih", "weight_hh"]),
        (
            nn.LSTM(2, 3, num_layers=2),
            [f"{name}_l{layer}" for layer in (0, 1) for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")],
        ),
        (nn.LSTM(2, 3, bias=False), ["weight_ih_l0", "weight_hh_l0"]),
        (nn.Dropout(), []),
        (nn.Sequential(nn.Tanh(), nn.Sequential(nn.Linear(1, 1, bias=False))), ["1.0.weight"]),
        (nn.ModuleList([nn.Linear(1, 1), nn.Linear(1, 1, bias=False)]), ["0.weight", "0.bias", "1.weight"]),
    ],
    ids=lambda x: type(x).__name__,
)
def test_names_of_every_layer_are_pytorchs(layer: nn.Module, names: list[str]) -> None:
    assert list(layer.state_dict()) == names


# -- what a module consists of -----------------------------------------------------------------------------------------


class Scaled(nn.Module):
    """A parameter, a buffer, a submodule, and an attribute that is none of these."""

    def __init__(self) -> None:
        self.scale = nn.Parameter(tensor([2.0]).data)
        self.inner = nn.Linear(2, 2)
        self.offset = tensor([1.0])
        self.note = "a note"

    def forward(self, x: Any) -> Any:
        return self.inner(x) * self.scale + self.offset


def test_parameters_buffers_and_the_rest(device: Device) -> None:
    module = Scaled()
    assert [name for name, _ in module.named_parameters()] == ["scale", "inner.weight", "inner.bias"]
    assert list(module.state_dict()) == ["scale", "inner.weight", "inner.bias", "offset"]
    assert [name for name, _ in module.children()] == ["inner"]
    assert list(module.modules()) == [module, module.inner]
    module(tensor(np.ones((3, 2), "float32"))).sum().backward()
    assert all(p.grad is not None for p in module.parameters())
    assert module.offset.grad is None
    module.zero_grad()
    assert all(p.grad is None for p in module.parameters())


def test_a_registered_buffer_is_an_attribute(device: Device) -> None:
    module, buffer = Scaled(), tensor([3.0])
    module.register_buffer("shift", buffer)
    assert module.shift is buffer
    assert "shift" in module.state_dict() and "shift" not in dict(module.named_parameters())
    for wrong in (module.scale, np.ones(2), None):
        with pytest.raises(TypeError, match="register_buffer: expects a tensor that is not a parameter, got"):
            module.register_buffer("other", wrong)  # type: ignore[arg-type]
    for taken in ("shift", "inner", "forward"):
        with pytest.raises(ValueError, match=f"register_buffer: Scaled has an attribute '{taken}' already"):
            module.register_buffer(taken, buffer)


def test_a_module_remembers_its_arguments() -> None:
    layer = nn.MaskedConv2d(2, 4, kernel_size=3, mask="A")
    assert layer.arguments() == {
        "in_channels": 2,
        "out_channels": 4,
        "kernel_size": 3,
        "mask": "A",
        "colours": 1,
        "splits": 1,
        "bias": True,  # the defaults
    }
    assert nn.Tanh().arguments() == Scaled().arguments() == {}
    net = nn.Sequential(layer, ops.relu)
    assert net.arguments() == {"layers": (layer, ops.relu)}
    assert list(net.modules()) == [net, layer, net[1]] and list(net.state_dict()) == ["0.weight", "0.bias"]
    with pytest.raises(TypeError):
        nn.Tanh(3)  # type: ignore[call-arg]


def everything() -> nn.Module:
    """Every kind of module: with lists, with functions, with options, trained and not."""
    model = nn.ModuleList([nn.Sequential(make(), ops.relu) for make in (Scaled, small_model, lambda: nn.LSTM(2, 3))])
    model.append(nn.Sequential(nn.MaskedConv2d(2, 2, 3, "A"), nn.Embedding(2, 3), nn.Dropout(0.2)))
    for p in model[0].parameters():
        p.grad = tensor(np.ones(p.shape, "float32"))
    return model


@pytest.mark.parametrize("way", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))])
def test_copies_and_pickles(way: Callable[[nn.Module], nn.Module], device: Device) -> None:
    """The twin has the same values, modes and gradients, and no memory in common."""
    model = everything()
    model[1].eval()
    model[2].requires_grad_(False)
    twin = way(model)
    assert repr(twin) == repr(model) and as_bytes(twin) == as_bytes(model)
    assert [m.training for m in twin.modules()] == [m.training for m in model.modules()]
    for (_, p), (_, q) in zip(twin.named_tensors(), model.named_tensors(), strict=True):
        assert p is not q and type(p) is type(q) and (p.grad is None) == (q.grad is None)
        assert p.requires_grad == q.requires_grad and p.device == device
        p.data += 1
    assert as_bytes(way(model)) == as_bytes(model) != as_bytes(twin)


def test_a_copy_shares_within_what_was_shared() -> None:
    layer = nn.Linear(2, 2)
    twin = copy.deepcopy(nn.Sequential(layer, nn.Tanh(), layer))
    assert twin[0] is twin[2] is not layer and len(list(twin.parameters())) == 2


def test_state_dict_is_the_arrays_themselves(device: Device) -> None:
    module = Scaled()
    state = module.state_dict()
    assert state["inner.weight"] is module.inner.weight.data and state["offset"] is module.offset.data


def test_requires_grad(device: Device) -> None:
    module, x = Scaled(), tensor(np.ones((3, 2), "float32"))
    assert module.requires_grad_(False) is module
    assert not module(x).requires_grad
    module.requires_grad_()
    assert module(x).requires_grad and not module.offset.requires_grad


def test_train_and_eval_reach_every_module() -> None:
    module = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout(), nn.ModuleList([nn.BatchNorm1d(2)])))
    assert all(m.training for m in module.modules())
    assert module.eval() is module
    assert [m.training for m in module.modules()] == [False] * 6
    assert module.train() is module
    assert [m.training for m in module.modules()] == [True] * 6
    assert nn.Dropout().training  # the mode belongs to the object, not to the class


def test_apply_goes_from_the_inside_out() -> None:
    inner, outer = nn.Linear(1, 1), nn.Tanh()
    module = nn.Sequential(nn.Sequential(inner), outer)
    seen: list[nn.Module] = []
    assert module.apply(seen.append) is module
    assert seen == [inner, module[0], outer, module]


def test_named_tensors_are_parameters_and_buffers_each_once(device: Device) -> None:
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.BatchNorm1d(2), nn.Linear(2, 2, bias=False))
    setattr(model, "2", model[0])  # shared: two names, one tensor
    names = ["0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked"]
    assert [name for name, _ in model.named_tensors()] == names
    assert all(x.data is model.state_dict()[name] for name, x in model.named_tensors())
    assert list(model.state_dict()) == [*names, "2.weight"]


@pytest.mark.parametrize("fails", [False, True])
def test_frozen(fails: bool, device: Device) -> None:
    """Inside, the results and the gradient of the input are as ever, but nothing in the module changes."""
    model = nn.Sequential(nn.Linear(2, 3), nn.Sequential(nn.BatchNorm1d(3), nn.Tanh()), nn.BatchNorm1d(3).eval())
    model[0].bias.requires_grad = False
    values, x = as_bytes(model), np.random.default_rng(0).normal(size=(4, 2)).astype("float32")
    inputs = [tensor(x, requires_grad=True) for _ in range(2)]
    try:
        with frozen(model), frozen(model[1]):  # also one within the other
            y = model(inputs[0])
            assert not any(p.requires_grad for p in model.parameters())
            assert all(part.frozen for part in model.modules()) and model[1].training and not model[2].training
            if fails:
                raise KeyError("inside the block")
    except KeyError:
        assert fails
    y.square().sum().backward()
    assert all(p.grad is None for p in model.parameters()) and as_bytes(model) == values
    assert [p.requires_grad for p in model.parameters()] == [True, False, True, True, True, True]
    assert not any(part.frozen for part in model.modules())
    z = model(inputs[1])  # and now everything does
    z.square().sum().backward()
    np.testing.assert_array_equal(z.numpy(), y.numpy())
    np.testing.assert_allclose(inputs[1].grad.numpy(), inputs[0].grad.numpy(), rtol=1e-6)
    assert [p.grad is None for p in model.parameters()] == [False, True, False, False, False, False]
    changed = {name for name, x in as_bytes(model).items() if x != values[name]}
    assert changed == {f"1.0.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")}


def test_frozen_within_frozen_stays_until_the_outer_ends() -> None:
    model = nn.Sequential(nn.Linear(1, 1))
    with frozen(model):
        with frozen(model[0]):
            pass
        assert model[0].frozen and not model[0].weight.requires_grad
    assert not model[0].frozen and model[0].weight.requires_grad


def test_parameters_are_in_memory_without_gaps(device: Device) -> None:
    """In any order of the axes; others are copied."""
    transposed = device.asarray(np.arange(12.0).reshape(2, 6)).T
    every_other = transposed[::2]
    assert nn.Parameter(transposed).data is transposed
    p = nn.Parameter(every_other)
    assert p.data.T.flags.c_contiguous and p.requires_grad
    np.testing.assert_array_equal(p.numpy(), to_numpy(every_other))


def test_sequential_applies_in_order_and_is_a_list() -> None:
    first, second = nn.LeakyReLU(0.5), nn.Tanh()
    model = nn.Sequential(first, second)
    assert model(tensor([-2.0])).item() == pytest.approx(np.tanh(-1.0))
    assert len(model) == 2 and list(model) == [first, second] and model[0] is first and model[-1] is second
    x = tensor([1.0])
    assert nn.Sequential()(x) is x
    twelve = nn.Sequential(*(nn.LeakyReLU(i) for i in range(12)))  # "10" comes after "9", not after "1"
    assert [m.negative_slope for m in twelve] == list(range(12))


def test_sequential_takes_functions_without_changing_the_names() -> None:
    linear = nn.Linear(2, 2)
    model = nn.Sequential(linear, ops.tanh, lambda x: x * 2.0, nn.Linear(2, 1))
    x = tensor([[0.5, -1.0]])
    expected = model[3](ops.tanh(linear(x)) * 2.0)
    np.testing.assert_array_equal(model(x).numpy(), expected.numpy())
    assert list(model.state_dict()) == ["0.weight", "0.bias", "3.weight", "3.bias"] and len(model) == 4
    assert "(1): Lambda(tanh)" in repr(model)


@pytest.mark.parametrize("wrong", [None, 3, "relu", nn.ReLU, tensor([1.0])], ids=lambda wrong: type(wrong).__name__)
@pytest.mark.parametrize(
    "make", [nn.Sequential, lambda *layers: nn.ModuleList(layers)], ids=["Sequential", "ModuleList"]
)
def test_what_is_no_layer_is_refused(make: Callable[..., Any], wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"^\w+: expects modules and functions, .*; got .* as layer 1$"):
        make(nn.Linear(1, 1), wrong, nn.Linear(1, 1))


class Listed(nn.Module):
    """Layers in lists, one of them nested, beside a list of numbers."""

    def __init__(self, wrap: Callable[[list], Any]) -> None:
        self.sizes = [2, 3]
        self.layers = wrap([nn.Linear(2, 3), nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(3))])
        self.branches = wrap([wrap([nn.Linear(3, 1)]), wrap([])])


@pytest.mark.parametrize("wrap", [list, tuple])
def test_lists_of_modules_are_walked(wrap: Callable[[list], Any], gpu_standin: Device) -> None:
    """They have the names of a `ModuleList`, and whatever is done to a module reaches them."""
    module = Listed(wrap)
    names = ["layers.0.weight", "layers.0.bias", "layers.1.1.weight", "layers.1.1.bias"]
    buffers = ["layers.1.1.running_mean", "layers.1.1.running_var", "layers.1.1.num_batches_tracked"]
    last = ["branches.0.0.weight", "branches.0.0.bias"]
    assert [name for name, _ in module.named_parameters()] == [*names, *last]
    assert set(module.state_dict()) == {*names, *buffers, *last}
    assert not any(part.training for part in module.eval().modules()) and len(list(module.modules())) == 6
    assert "(layers.1): Sequential(" in repr(module) and "(branches.0.0): Linear(3, 1)" in repr(module)

    other = Listed(wrap)
    other.load_state_dict(module.state_dict())
    for name, x in module.state_dict().items():
        np.testing.assert_array_equal(other.state_dict()[name], x)
    module.to(gpu_standin)
    assert all(p.device == gpu_standin for p in module.parameters())
    with frozen(module):
        assert not any(p.requires_grad for p in module.parameters())


def test_module_list() -> None:
    layers = nn.ModuleList(nn.Linear(1, n) for n in (1, 2))
    assert layers.append(nn.Linear(1, 3)) is layers
    assert [layer.weight.shape[0] for layer in layers] == [1, 2, 3] and len(layers) == 3
    assert layers[2].weight.shape == (3, 1) and list(layers.state_dict())[-1] == "2.bias"
    with pytest.raises(NotImplementedError, match="Sequential applies its modules in order"):
        layers(tensor([1.0]))
    with pytest.raises(NotImplementedError, match="Scale has no forward"):
        type("Scale", (nn.Module,), {})()(1)


def test_wrong_sizes_name_the_operation_and_the_shapes(device: Device) -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(5, 2))
    with pytest.raises(ValueError, match=r"^linear: x has \(4,\) features \(2, 4\) but weight .* is \(2, 5\)"):
        model(tensor(np.ones((2, 3), "float32")))
    images = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(3, 4, 3))
    with pytest.raises(ValueError, match=r"^conv2d: x has 4 channels \(2, 4, 6, 6\) but weight takes 3 \(4, 3, 3, 3\)"):
        images(tensor(np.ones((2, 1, 8, 8), "float32")))


def test_repr() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.Sequential(nn.BatchNorm2d(4), nn.LeakyReLU(0.2)),
        nn.ConvTranspose2d(4, 2, 4, stride=2, bias=False),
        nn.MaskedConv2d(2, 3, 1, "A"),
        nn.Dropout(0.3),
        nn.Linear(8, 2),
        nn.Linear(2, 2, bias=False),
        nn.LSTM(3, 4, num_layers=2),
        nn.LSTMCell(3, 4),
        nn.Embedding(5, 6),
    )
    assert (
        repr(model)
        == """Sequential(
  (0): Conv2d(weight=(4, 1, 3, 3), padding=1)
  (1): Sequential(
    (0): BatchNorm2d(4)
    (1): LeakyReLU(0.2)
  )
  (2): ConvTranspose2d(weight=(4, 2, 4, 4), stride=2, bias=False)
  (3): MaskedConv2d(mask A, weight=(3, 2, 1, 1), padding=(0, 0))
  (4): Dropout(p=0.3)
  (5): Linear(8, 2)
  (6): Linear(2, 2, bias=False)
  (7): LSTM(3, 4, num_layers=2)
  (8): LSTMCell(3, 4)
  (9): Embedding(5, 6)
)"""
    )


# -- devices and dtypes ------------------------------------------------------------------------------------------------


def test_to_moves_everything_there_and_back(gpu_standin: Device) -> None:
    module = Scaled()
    module.inner.weight.requires_grad = False
    before = {name: x.copy() for name, x in module.state_dict().items()}
    assert str(module.device) == "cpu"
    assert module.to(gpu_standin) is module and module.device == gpu_standin
    for x in (module.scale, module.inner.weight, module.inner.bias, module.offset):
        assert device_of(x.data) == gpu_standin
    assert isinstance(module.scale, nn.Parameter) and not isinstance(module.offset, nn.Parameter)
    assert [p.requires_grad for p in module.parameters()] == [True, False, True]
    y = module(tensor(np.ones((3, 2), "float32"), device=gpu_standin))
    assert y.device == gpu_standin
    module.to("cpu")
    assert module.offset.device == module.device != gpu_standin
    for name, x in module.state_dict().items():
        np.testing.assert_array_equal(x, before[name])
    weight = module.inner.weight
    assert module.to("cpu").inner.weight is weight  # nothing to do


def test_new_layers_are_on_the_current_device(device: Device) -> None:
    layers = [small_model(), nn.MaskedConv2d(2, 2, 3, "A"), nn.LSTM(2, 3), nn.LSTMCell(2, 3), nn.Embedding(2, 3)]
    for layer in layers:
        assert layer.device == device
        assert all(device_of(x) == device for x in layer.state_dict().values())
    assert nn.Tanh().device == device  # no parameters: the current one


def test_astype_converts_every_float_and_no_integer(device: Device) -> None:
    model = small_model()
    before, parameters = model.state_dict(), list(model.parameters())
    parameters[0].grad = tensor(np.ones(parameters[0].shape, "float32"))
    assert model.astype("float64") is model
    for name, x in model.state_dict().items():
        assert x.dtype == ("int64" if name.endswith("num_batches_tracked") else "float64") and device_of(x) == device
        np.testing.assert_array_equal(to_numpy(x), to_numpy(before[name]))
    assert all(p is q and p.grad is None for p, q in zip(model.parameters(), parameters, strict=True))
    for wrong in ("int32", bool):
        with pytest.raises(TypeError, match=r"^Sequential.astype: expects a floating-point dtype, got (int32|bool)$"):
            model.astype(wrong)


def test_astype_makes_a_layer_ready_for_gradcheck() -> None:
    layer = nn.Linear(3, 2).astype(np.float64)
    assert gradcheck(layer, np.random.default_rng(0).normal(size=(4, 3)))
    assert gradcheck(lambda weight: ops.linear(np.ones((4, 3)), weight, layer.bias), layer.weight)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_dtype_stays(dtype: str, device: Device) -> None:
    """Training steps with every kind of layer: values, gradients, parameters, buffers and optimizer state."""
    with default_dtype(dtype):
        embed, lstm, cell = nn.Embedding(5, 2), nn.LSTM(2, 2, num_layers=2), nn.LSTMCell(2, 4)
        masked = nn.Sequential(nn.MaskedConv2d(1, 2, 3, "A"), nn.BatchNorm2d(2), nn.Sigmoid(), nn.Dropout(0.2))
        dense = nn.Sequential(nn.Unflatten((2, 2, 2)), *list(small_model())[:4], nn.LeakyReLU(), nn.Flatten())
        head = nn.Sequential(nn.Linear(8, 2), nn.BatchNorm1d(2), nn.Tanh())
    model = nn.ModuleList([embed, lstm, cell, masked, dense, head])
    optimizers = [
        SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=0.1),
        Adam(model.parameters(), weight_decay=0.1),
        RMSprop(model.parameters(), weight_decay=0.1),
    ]
    index = device.asarray(np.arange(6).reshape(2, 3) % 5)
    for optimizer in optimizers:
        model.zero_grad()
        outputs, (_, c) = lstm(embed(index))  # (2, 3, 2)
        h, _ = cell(outputs[-1], (tensor(np.zeros((3, 4)), dtype), c.permute_dims(1, 0, 2).reshape(3, 4)))
        y = masked(h.reshape(3, 1, 2, 2))  # (3, 2, 2, 2)
        loss = head(dense(y.reshape(3, 8))).square().sum()
        loss.backward()
        assert loss.dtype == y.dtype == h.dtype == dtype
        assert all(p.grad is not None and p.grad.dtype == dtype for p in model.parameters())
        optimizer.step()
    for name, x in model.state_dict().items():
        assert x.dtype == ("int64" if name.endswith("num_batches_tracked") else dtype), name
    assert all(x.dtype == dtype for o in optimizers for slots in o.state for x in slots.values())


# -- saving and loading ------------------------------------------------------------------------------------------------


def as_bytes(module: nn.Module) -> dict[str, bytes]:
    return {name: to_numpy(x).tobytes() for name, x in module.state_dict().items()}


def test_load_copies_the_values(device: Device) -> None:
    source, target = small_model(), small_model()
    source[1].running_mean[...] = 3.0
    arrays = {name: x.data for name, x in target.named_tensors()}
    state = dict(reversed(source.state_dict().items()))  # the order does not matter
    target.load_state_dict(state)
    assert as_bytes(target) == as_bytes(source)
    assert all(x.data is arrays[name] for name, x in target.named_tensors())  # in place
    source[0].bias.data += 1
    assert as_bytes(target)["0.bias"] != as_bytes(source)["0.bias"]  # and a copy


def test_load_takes_other_devices_floats_and_tensors(gpu_standin: Device) -> None:
    source = small_model()
    expected = as_bytes(source)
    with gpu_standin:
        target = small_model()
    target.load_state_dict(source.state_dict())
    assert as_bytes(target) == expected and target.device == gpu_standin
    source.load_state_dict({name: Tensor(x) for name, x in target.state_dict().items()})
    assert as_bytes(source) == expected
    wider = {name: x.astype("float64") if x.dtype.kind == "f" else x for name, x in source.state_dict().items()}
    source.load_state_dict(wider)
    assert as_bytes(source) == expected and source[0].weight.dtype == np.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("3.bias"), "3.bias is missing"),
        (lambda s: s.update({"6.weight": s["5.weight"]}), "6.weight is not known"),
        (lambda s: s.update({"5.bias": s["5.bias"][:4]}), r"5.bias: expects \(5,\) float32, got \(4,\) float32"),
        (lambda s: s.update({"5.bias": s["5.bias"][None]}), r"5.bias: expects \(5,\) float32, got \(1, 5\) float32"),
        (lambda s: s.update({"5.bias": s["5.bias"].astype("int64")}), r"5.bias: expects .*, got \(5,\) int64"),
        (
            lambda s: s.update({"1.num_batches_tracked": s["5.bias"][0]}),
            r"1.num_batches_tracked: expects \(\) int64, got \(\) float32",
        ),
        (lambda s: s.update({"5.bias": None}), r"5.bias: expects .*, got \(\) object"),
    ],
    ids=["missing", "unknown", "shape", "broadcastable", "kind", "kind of a buffer", "no array"],
)
def test_load_refuses_what_does_not_fit(change: Callable[[dict], Any], message: str, device: Device) -> None:
    model = small_model()
    before, state = as_bytes(model), {name: x + 1 for name, x in small_model().state_dict().items()}
    change(state)
    with pytest.raises(ValueError, match=rf"^Sequential: the state does not fit \(1 problems\).*: {message}"):
        model.load_state_dict(state)
    assert as_bytes(model) == before


def test_load_into_memory_that_cannot_be_written_changes_nothing() -> None:
    model = small_model()
    model[5].bias.data.flags.writeable = False
    before, state = as_bytes(model), {name: x + 1 for name, x in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"^Sequential: .*, nothing was changed: 5\.bias is in memory that cannot be"):
        model.load_state_dict(state)
    assert as_bytes(model) == before


def test_load_that_runs_out_of_memory_changes_nothing(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is converted to the module's device and dtypes before the first value is written."""
    model = small_model()
    before, state = as_bytes(model), {name: x + 1 for name, x in model.state_dict().items()}
    asarray, calls = Device.asarray, []

    def full(self: Device, *args: Any, **options: Any) -> Any:
        calls.append(args)
        if len(calls) == len(state):
            raise MemoryError
        return asarray(self, *args, **options)

    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr(Device, "asarray", full)
        model.load_state_dict(state)
    assert as_bytes(model) == before


def test_load_names_all_problems_at_once() -> None:
    state = {name: x + 1 for name, x in small_model().state_dict().items()}
    state["extra"] = state.pop("0.bias")
    state["5.bias"] = state["5.bias"][:2]
    with pytest.raises(ValueError, match=r"\(3 problems\).*0.bias is missing; 5.bias: expects .*; extra is not known$"):
        small_model().load_state_dict(state)
    with pytest.raises(ValueError, match=r"\(11 problems\).*; \.\.\.$"):
        small_model().load_state_dict({})


def test_load_is_seen_by_the_tape(device: Device) -> None:
    layer = nn.Linear(2, 1)
    y = layer(tensor(np.ones((1, 2), "float32"), requires_grad=True))
    layer.load_state_dict(layer.state_dict())
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


# -- the same file as PyTorch ------------------------------------------------------------------------------------------


@pytest.fixture
def torch_file() -> dict[str, np.ndarray]:
    return load_file(Path(__file__).parent / "data" / "torch_sequential.safetensors")


def part(file: dict[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): x for name, x in file.items() if name.startswith(prefix)}


def assert_close(actual: Tensor, expected: np.ndarray) -> None:
    np.testing.assert_allclose(actual.numpy(), expected, rtol=1e-5, atol=1e-5)
    assert actual.dtype == expected.dtype


def test_a_sequential_of_pytorch(torch_file: dict[str, np.ndarray], device: Device) -> None:
    model, saved = small_model(), part(torch_file, "sequential.")
    own = {name: (x.shape, x.dtype) for name, x in model.state_dict().items()}
    assert {name: (x.shape, x.dtype) for name, x in saved.items()} == own
    images = tensor(torch_file["images"])
    model.load_state_dict(saved)
    assert_close(model.eval()(images), torch_file["eval.output"])
    # one step of training from the beginning gives the statistics that were saved
    start = {"1.running_mean": np.zeros(4), "1.running_var": np.ones(4), "1.num_batches_tracked": 0}
    model.load_state_dict(saved | start)
    assert_close(model.train()(images), torch_file["train.output"])
    for name in start:
        np.testing.assert_allclose(to_numpy(model.state_dict()[name]), saved[name], rtol=1e-5)


def test_an_lstm_of_pytorch(torch_file: dict[str, np.ndarray], device: Device) -> None:
    lstm, saved = nn.LSTM(3, 4, num_layers=2), part(torch_file, "lstm.")
    assert {name: x.shape for name, x in saved.items()} == {name: x.shape for name, x in lstm.state_dict().items()}
    lstm.load_state_dict(saved)
    outputs, (h, c) = lstm(tensor(torch_file["sequence"]), (tensor(torch_file["h0"]), tensor(torch_file["c0"])))
    assert_close(outputs, torch_file["output"])
    assert_close(h, torch_file["h"])
    assert_close(c, torch_file["c"])


def test_pytorch_takes_our_files(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed; here it would read a file written by minigen")
    from safetensors.torch import load_file as load_into_torch

    model, images = small_model(), np.random.default_rng(0).normal(size=(3, 2, 6, 6)).astype("float32")
    model(tensor(images))  # the running statistics move
    save_file(model.state_dict(), tmp_path / "model.safetensors")
    theirs = torch.nn.Sequential(
        torch.nn.Conv2d(2, 4, 3, stride=2, padding=1),
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.ConvTranspose2d(4, 2, (3, 4), stride=2, padding=1, output_padding=(1, 0)),
        torch.nn.Flatten(),
        torch.nn.Linear(2 * 6 * 6, 5),
    )
    theirs.load_state_dict(load_into_torch(tmp_path / "model.safetensors"), strict=True)
    assert list(theirs.state_dict()) == list(model.state_dict())
    assert_close(model.eval()(tensor(images)), theirs.eval()(torch.from_numpy(images)).detach().numpy())


def test_a_shared_parameter_is_one_parameter(gpu_standin: Device) -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    module[1].weight = module[0].weight
    assert [name for name, _ in module.named_parameters()] == ["0.weight", "0.bias", "1.bias"]
    assert list(module.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    module.to(gpu_standin)
    assert module[1].weight is module[0].weight and module[0].weight.device == gpu_standin
