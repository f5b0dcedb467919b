"""Convolutional layers against the definition, and the masks of PixelCNN against masks drawn by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import strict_cupy
from hypothesis import given
from hypothesis import strategies as st

from minigen import nn, ops, optim
from minigen.autograd import grad, tensor
from minigen.backend import Device, default_dtype
from minigen.nn.convolution import causal_mask, colour_of
from minigen.ops.convolution import naive_conv2d
from minigen.ops.im2col import LiveTaps, weight_matrix
from minigen.testing.strategies import SEEDS

# -- plain and transposed ----------------------------------------------------------------------------------------------


@st.composite
def options(draw: st.DrawFn) -> dict[str, Any]:
    pair = lambda low, high: st.integers(low, high) | st.tuples(st.integers(low, high), st.integers(low, high))
    groups = draw(st.integers(1, 2))
    return {
        "in_channels": groups * draw(st.integers(1, 2)),
        "out_channels": groups * draw(st.integers(1, 2)),
        "kernel_size": draw(pair(1, 3)),
        "stride": draw(pair(1, 3)),
        "padding": draw(pair(0, 1)),
        "dilation": draw(pair(1, 2)),
        "groups": groups,
        "bias": draw(st.booleans()),
    }


def both(size: int | tuple[int, int]) -> np.ndarray:
    return np.broadcast_to(size, 2)


def expected_conv2d(layer: nn.Module, setting: dict[str, Any], x: np.ndarray, bias: Any = None) -> np.ndarray:
    """By the definition, which takes pairs."""
    stride, dilation = both(setting["stride"]), both(setting["dilation"])
    padding = tuple((int(p), int(p)) for p in both(setting["padding"]))
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": setting["groups"]}
    return naive_conv2d(x, layer.weight.numpy(), None if bias is None else bias.numpy(), **options)


@given(setting=options(), height=st.integers(5, 6), width=st.integers(5, 6), seed=SEEDS)
def test_conv2d(setting: dict[str, Any], height: int, width: int, seed: int, device: Device) -> None:
    with default_dtype("float64"):
        layer = nn.Conv2d(**setting)
    x = np.random.default_rng(seed).normal(size=(2, setting["in_channels"], height, width))
    expected = expected_conv2d(layer, setting, x, layer.bias)
    reach = both(setting["dilation"]) * (both(setting["kernel_size"]) - 1)
    size = ((height, width) + 2 * both(setting["padding"]) - reach - 1) // both(setting["stride"]) + 1
    y = layer(tensor(x))
    assert (layer.bias is not None) == setting["bias"]
    assert y.shape == expected.shape == (2, setting["out_channels"], *size) and y.device == device
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-12)


@given(setting=options(), height=st.integers(3, 4), width=st.integers(3, 4), extra=st.integers(0, 1), seed=SEEDS)
def test_conv_transpose2d(
    setting: dict[str, Any], height: int, width: int, extra: int, seed: int, device: Device
) -> None:
    """Adjoint to the convolution: each pixel of the output is the input times the convolution of that pixel alone."""
    most = np.maximum(both(setting["stride"]), both(setting["dilation"])) - 1
    setting["output_padding"] = output_padding = tuple(int(n) for n in np.minimum(extra, most))
    with default_dtype("float64"):
        layer = nn.ConvTranspose2d(**setting)
    x = np.random.default_rng(seed).normal(size=(2, setting["in_channels"], height, width))
    reach = both(setting["dilation"]) * (both(setting["kernel_size"]) - 1)
    size = (both((height, width)) - 1) * both(setting["stride"]) - 2 * both(setting["padding"]) + reach + 1
    shape = (setting["out_channels"], *(size + output_padding).tolist())
    pixels = np.eye(np.prod(shape)).reshape(-1, *shape)
    convolved = expected_conv2d(layer, setting, pixels)[:, :, :height, :width]
    expected = np.einsum("nohw,pohw->np", x, convolved).reshape(2, *shape)
    if setting["bias"]:
        expected += layer.bias.numpy()[:, None, None]
    y = layer(tensor(x))
    assert (layer.bias is not None) == setting["bias"]
    assert y.shape == expected.shape and y.device == device
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layer", [nn.Conv2d, nn.ConvTranspose2d, lambda *sizes: nn.MaskedConv2d(*sizes, "B")])
def test_float32_stays_in_both_modes(layer: Any, device: Device) -> None:
    module, x = layer(2, 3, 3), tensor(np.ones((2, 2, 4, 4), "float32"), requires_grad=True)
    for mode in (True, False):
        y = module.train(mode)(x)
        y.square().sum().backward()
        assert y.dtype == x.grad.dtype == module.weight.grad.dtype == module.bias.grad.dtype == np.float32


@pytest.mark.parametrize("layer", [nn.Conv2d, nn.ConvTranspose2d])
def test_groups_must_divide_the_channels(layer: type[nn.Conv2d]) -> None:
    name = layer.__name__
    with pytest.raises(ValueError, match=f"^{name}: groups=2 must divide 3 and 4 channels$"):
        layer(3, 4, 3, groups=2)
    with pytest.raises(ValueError, match=f"^{name}: groups=2 must divide 4 and 3 channels$"):
        layer(4, 3, 3, groups=2)


@pytest.mark.parametrize("layer", [nn.Conv2d, nn.ConvTranspose2d, lambda *sizes: nn.MaskedConv2d(*sizes, "A")])
@pytest.mark.parametrize("kernel_size", [0, (3, -1), 1.5, (1, 2, 3)])
def test_wrong_kernel_sizes(layer: Any, kernel_size: Any) -> None:
    with pytest.raises(ValueError, match=r"^\w+2d: expects kernel_size to be an int from 1 up, or a pair of them, got"):
        layer(1, 2, kernel_size)


def test_wrong_images(device: Device) -> None:
    images = tensor(np.ones((2, 3, 5, 5), "float32"))
    with pytest.raises(ValueError, match=r"^conv2d: x has 3 channels \(2, 3, 5, 5\) but weight takes 1 \(4, 1, 3, 3\)"):
        nn.Conv2d(1, 4, 3)(images)
    with pytest.raises(ValueError, match=r"^conv_transpose2d: x has 3 channels .* but weight takes 1 \(1, 4, 3, 3\)"):
        nn.ConvTranspose2d(1, 4, 3)(images)
    with pytest.raises(ValueError, match=r"^masked_conv2d: x has 3 channels .* but weight takes 1 \(4, 1, 3, 3\)"):
        nn.MaskedConv2d(1, 4, 3, "A")(images)


# -- the mask ----------------------------------------------------------------------------------------------------------


def mask_by_hand(shape: tuple[int, ...], kind: str, colours: int, splits: int) -> np.ndarray:
    """Entry by entry: may output feature `o` see input feature `i` through the tap (a, b)?"""
    out_channels, in_channels, height, width = shape

    def colour(feature: int, features: int) -> int:
        """Groups in order, the first `features % colours` of them one larger."""
        small, larger = divmod(features, colours)
        ends = [(c + 1) * small + min(c + 1, larger) for c in range(colours)]
        return next(c for c in range(colours) if feature < ends[c])

    mask, stack = np.zeros(shape), out_channels // splits
    for o, i, a, b in np.ndindex(*shape):
        mine, other = colour(o % stack, stack), colour(i, in_channels)
        before = (a, b) < (height // 2, width // 2)
        centre = (a, b) == (height // 2, width // 2)
        mask[o, i, a, b] = before or (centre and (other < mine or (other == mine and kind == "B")))
    return mask


KERNELS: list[Any] = [1, 3, 5, 7, (1, 1), (1, 3), (1, 5), (1, 7), (3, 1), (3, 5)]


@st.composite
def masked(draw: st.DrawFn) -> dict[str, Any]:
    colours, splits = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 4]))
    return {
        "in_channels": draw(st.integers(colours, colours + 3)),
        "out_channels": splits * draw(st.integers(colours, colours + 3)),
        "kernel_size": draw(st.sampled_from(KERNELS)),
        "mask": draw(st.sampled_from("AB")),
        "colours": colours,
        "splits": splits,
        "bias": draw(st.booleans()),
    }


@given(setting=masked(), seed=SEEDS)
def test_masked_conv2d_is_conv2d_with_masked_weights(setting: dict[str, Any], seed: int, device: Device) -> None:
    with default_dtype("float64"):
        layer = nn.MaskedConv2d(**setting)
    by_hand = mask_by_hand(layer.weight.shape, setting["mask"], setting["colours"], setting["splits"])
    np.testing.assert_array_equal(np.broadcast_to(layer.mask, by_hand.shape), by_hand)
    x = tensor(np.random.default_rng(seed).normal(size=(1, setting["in_channels"], 3, 4)), requires_grad=True)
    padding = tuple(int(n) // 2 for n in both(setting["kernel_size"]))
    y, expected = layer(x), ops.conv2d(x, layer.weight * tensor(by_hand), layer.bias, padding=padding)
    assert y.shape == (1, setting["out_channels"], 3, 4) and y.device == device
    np.testing.assert_allclose(y.numpy(), expected.numpy(), rtol=1e-12, atol=1e-12)
    g = tensor(np.random.default_rng(seed + 1).normal(size=y.shape))
    inputs = [x, *layer.parameters()]
    for actual, plain in zip(
        grad(y, inputs, g, allow_unused=True), grad(expected, inputs, g, allow_unused=True), strict=True
    ):
        np.testing.assert_allclose(actual.numpy(), plain.numpy(), rtol=1e-12, atol=1e-12)
    weight_gradient = grad(layer(x), [layer.weight], g)[0].numpy()
    assert (weight_gradient[by_hand == 0] == 0).all()


def test_masks_drawn() -> None:
    """One colour, as in the paper's figure 2."""
    for kernel, kind, drawn in [
        ((3, 3), "A", ["111", "100", "000"]),
        ((3, 3), "B", ["111", "110", "000"]),
        ((5, 5), "A", ["11111", "11111", "11000", "00000", "00000"]),
        ((5, 5), "B", ["11111", "11111", "11100", "00000", "00000"]),
        ((1, 5), "A", ["11000"]),
        ((1, 5), "B", ["11100"]),
        ((3, 1), "B", ["1", "1", "0"]),
        ((1, 1), "A", ["0"]),
        ((1, 1), "B", ["1"]),
    ]:
        expected = np.array([[float(c) for c in row] for row in drawn])
        np.testing.assert_array_equal(causal_mask((2, 3, *kernel), kind), np.broadcast_to(expected, (2, 3, *kernel)))


def test_colour_groups_drawn() -> None:
    """At the centre: rows are outputs, columns inputs; channels that three colours do not divide."""
    assert colour_of(3, 3).tolist() == [0, 1, 2]
    assert colour_of(4, 3).tolist() == [0, 0, 1, 2]
    assert colour_of(5, 3).tolist() == [0, 0, 1, 1, 2]
    assert colour_of(7, 3).tolist() == [0, 0, 0, 1, 1, 2, 2]
    for kind, drawn in [
        ("A", ["0000", "0000", "1100", "1100", "1110"]),  # outputs RRGGB, inputs RRGB
        ("B", ["1100", "1100", "1110", "1110", "1111"]),
    ]:
        centre = causal_mask((5, 4, 3, 3), kind, colours=3)[:, :, 1, 1]
        np.testing.assert_array_equal(centre, [[float(c) for c in row] for row in drawn])


def test_each_gate_is_masked_by_itself() -> None:
    """Four gates of four features, each RRGB; one mask over all 16 would give R the whole first gate."""
    gates = causal_mask((16, 3, 1, 3), "B", colours=3, splits=4)
    one = causal_mask((4, 3, 1, 3), "B", colours=3)
    np.testing.assert_array_equal(one[:, :, 0, 1], [[1, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]])
    np.testing.assert_array_equal(gates, np.concatenate([one] * 4))
    assert (gates != causal_mask((16, 3, 1, 3), "B", colours=3)).any()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("colours", [1, 3])
def test_number_of_live_taps(kernel: Any, colours: int) -> None:
    """Half of the kernel without its centre, and of the centre's pairs of colours those below (or on) the diagonal."""
    height, width = both(kernel)
    n = 2 * colours  # two features a colour: 4 weights for each pair of colours
    before = (height * width - 1) // 2 * n * n
    pairs_below = 4 * colours * (colours - 1) // 2
    for kind, pairs in (("A", pairs_below), ("B", pairs_below + 4 * colours)):
        layer = nn.MaskedConv2d(n, n, kernel, kind, colours)
        assert np.broadcast_to(layer.mask, layer.weight.shape).sum() == before + pairs


@pytest.mark.parametrize("splits", [1, 4])
@pytest.mark.parametrize("colours", [1, 3])
def test_causality(colours: int, splits: int, device: Device) -> None:
    """The gradient of each output by each input is exactly zero at and after its place, and nowhere else in reach.

    A first layer (A) and two more (B), with numbers of channels that three colours do not divide.
    """
    size, features = 3, 4 if colours == 3 else 2
    with default_dtype("float64"):
        first = nn.MaskedConv2d(colours, features, 3, "A", colours)
        middle = nn.MaskedConv2d(features, splits * (features + 1), (1, 3), "B", colours, splits)
        last = nn.MaskedConv2d(features + 1, colours, 3, "B", colours)
    x = tensor(np.random.default_rng(0).normal(size=(1, colours, size, size)), requires_grad=True)
    for split in range(splits):
        y = last(middle(first(x).tanh())[:, split * (features + 1) : (split + 1) * (features + 1)].tanh())
        assert y.shape == x.shape
        for colour, row, column in np.ndindex(*y.shape[1:]):
            g = np.zeros(y.shape)
            g[0, colour, row, column] = 1
            seen = grad(y, [x], tensor(g), create_graph=True)[0].numpy()[0] != 0
            for other, i, j in np.ndindex(*x.shape[1:]):
                before = (i, j, other) < (row, column, colour)
                in_reach = j - column <= row - i  # each row up, a 3x3 kernel takes one step to the right
                assert seen[other, i, j] == (before and in_reach), (colour, row, column, other, i, j)


def test_masked_weights_do_nothing(device: Device) -> None:
    layer = nn.MaskedConv2d(3, 6, 3, "A", colours=3, splits=2)
    x = tensor(np.random.default_rng(0).normal(size=(2, 3, 4, 4)).astype("float32"))
    y = layer(x).numpy()
    changed = np.where(layer.mask, layer.weight.numpy(), 1e9)
    layer.load_state_dict({"weight": changed, "bias": layer.bias})
    np.testing.assert_array_equal(layer(x).numpy(), y)


def test_the_mask_goes_to_a_gpu_once(gpu_standin: Device) -> None:
    with gpu_standin:
        layer, x = nn.MaskedConv2d(3, 6, 3, "A", colours=3), tensor(np.ones((2, 3, 4, 4), "float32"))
        layer(x)
        with strict_cupy.count() as counts, strict_cupy.no_sync():
            layer(x).sum().backward()
    assert counts.uploads == 0


def test_the_mask_is_not_saved_and_the_layer_moves(gpu_standin: Device) -> None:
    layer = nn.MaskedConv2d(1, 2, 3, "A")
    assert list(layer.state_dict()) == ["weight", "bias"]
    x = np.random.default_rng(0).normal(size=(1, 1, 4, 4)).astype("float32")
    here, there = layer(tensor(x)), layer.to(gpu_standin)(tensor(x, device=gpu_standin))
    assert there.device == gpu_standin
    np.testing.assert_allclose(there.numpy(), here.numpy(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((1, 2, 2, "A"), "expects an odd kernel_size, got 2"),
        ((1, 2, (3, 4), "A"), r"expects an odd kernel_size, got \(3, 4\)"),
        ((1, 2, (4, 3), "A"), r"expects an odd kernel_size, got \(4, 3\)"),
        ((1, 2, 3, "C"), 'expects mask "A" .* or "B", got .C'),
        ((1, 2, 3, "a"), "expects mask .* got 'a'"),
        ((2, 6, 3, "A", 3), "expects at least one channel .* and 1 equal splits .* got 2 -> 6 channels"),
        ((6, 2, 3, "A", 3), ".* got 6 -> 2 channels"),
        ((6, 8, 3, "A", 3, 4), ".* 4 equal splits .* got 6 -> 8 channels"),  # two channels a gate
        ((6, 9, 3, "A", 1, 2), ".* 2 equal splits .* got 6 -> 9 channels"),
    ],
)
def test_masked_conv2d_errors(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=f"^MaskedConv2d: {message}"):
        nn.MaskedConv2d(*arguments)


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 4, 5), nn.ConvTranspose2d(3, 4, 5), nn.MaskedConv2d(3, 4, 5, "A")])
def test_the_matrix_of_the_weights_is_a_view_of_them(layer: Any) -> None:
    """Nothing is copied in a training step, also after loading; what leaves the module is in row-major memory."""
    layer.load_state_dict({name: x + 1 for name, x in layer.state_dict().items()})
    live = LiveTaps(getattr(layer, "mask", np.ones((5, 5), bool)))
    assert np.shares_memory(weight_matrix(layer.weight.data, live), layer.weight.data)
    assert layer.state_dict()["weight"].flags.c_contiguous
    optimizer = optim.Adam(layer.parameters())
    layer(tensor(np.ones((2, 3, 9, 9), "float32"))).sum().backward()
    assert layer.weight.grad.data.strides == layer.weight.data.strides == optimizer.state[0]["exp_avg"].strides
    assert optimizer.state_dict()["0.exp_avg"].flags.c_contiguous
