"""Operations that move numbers and compute nothing: where each number ends up, indexing, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minigen import ops
from minigen.autograd import Tensor, grad, tensor
from minigen.backend import Device
from minigen.ops.shaping import scatter_add
from minigen.testing.checks import Case
from minigen.testing.strategies import SEEDS, Cases, axes_of, axis_of, broadcastable_to, shapes, uniform

# -- cases -------------------------------------------------------------------------------------------------------------


@st.composite
def reshaped(draw: st.DrawFn) -> Case:
    shape = draw(shapes())
    x = draw(uniform(shape))
    target = list(draw(st.permutations([*shape, 1])))
    if draw(st.booleans()):
        target[draw(st.integers(0, len(target) - 1))] = -1
    return Case(lambda x: ops.reshape(x, tuple(target)), [x])


@st.composite
def permuted(draw: st.DrawFn) -> Case:
    shape = draw(
        shapes() | shapes(min_dims=3, max_dims=4, max_size=12)
    )  # from three axes on, some are not own inverses
    random = np.random.default_rng(draw(SEEDS))
    order = tuple(int(i) - len(shape) * int(random.integers(2)) for i in random.permutation(len(shape)))
    axes = draw(st.sampled_from([order, order, None]))
    return Case(lambda x: ops.permute_dims(x, axes), [draw(uniform(shape))])


@st.composite
def squeezed(draw: st.DrawFn) -> Case:
    shape = draw(shapes(min_dims=1))
    ones = [i - len(shape) if draw(st.booleans()) else i for i, n in enumerate(shape) if n == 1]
    choices = [None, tuple(ones), *ones[:1]]
    axis = draw(st.sampled_from(choices))
    return Case(lambda x: ops.squeeze(x, axis), [draw(uniform(shape))])


@st.composite
def expanded(draw: st.DrawFn) -> Case:
    shape = draw(shapes(max_dims=2))
    axis = draw(axis_of(len(shape) + 1) | st.sampled_from([(0, 1), (0, -1), (-1, -2)]))
    return Case(lambda x: ops.expand_dims(x, axis), [draw(uniform(shape))])


@st.composite
def repeated(draw: st.DrawFn) -> Case:
    shape = draw(shapes())
    return Case(lambda x: ops.broadcast_to(x, shape), [draw(uniform(draw(broadcastable_to(shape))))])


@st.composite
def flipped(draw: st.DrawFn) -> Case:
    shape = draw(shapes())
    axis = draw(axes_of(len(shape)))
    return Case(lambda x: ops.flip(x, axis), [draw(uniform(shape))])


@st.composite
def joined(draw: st.DrawFn) -> Case:
    shape = draw(shapes(min_dims=1, max_size=4))
    axis = draw(axis_of(len(shape)))
    lengths = draw(st.lists(st.integers(0, 2), min_size=1, max_size=3))
    assume(sum(lengths) > 0)
    position = axis % len(shape)
    inputs = [draw(uniform((*shape[:position], n, *shape[position + 1 :]))) for n in lengths]
    return Case(lambda *xs: ops.concat(xs, axis=axis), inputs)


@st.composite
def stacked(draw: st.DrawFn) -> Case:
    shape = draw(shapes(max_size=4))
    axis = draw(axis_of(len(shape) + 1))
    inputs = [draw(uniform(shape)) for _ in range(draw(st.integers(1, 3)))]
    return Case(lambda *xs: ops.stack(xs, axis=axis), inputs)


@st.composite
def cut(draw: st.DrawFn) -> Case:
    shape = draw(shapes(min_dims=1))
    axis = draw(axis_of(len(shape)))
    length = shape[axis]
    sections = st.sampled_from([n for n in (1, 2, 3) if length % n == 0])
    places = st.lists(st.integers(0, length), max_size=2).map(sorted)
    where = draw(sections | places)
    used = draw(st.booleans())  # all the parts, or the last one alone
    fn = lambda x: ops.split(x, where, axis) if used else ops.split(x, where, axis=axis)[-1] * 1.0
    return Case(fn, [draw(uniform(shape))])


@st.composite
def padded(draw: st.DrawFn) -> Case:
    shape = draw(shapes(min_dims=1, max_dims=2, max_size=6))
    width = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in shape)
    value = draw(st.sampled_from([0.0, -1.5, np.float64(2.0)]))
    return Case(lambda x: ops.pad(x, width, value), [draw(uniform(shape))])


@st.composite
def an_index(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[Callable[..., Any], list[np.ndarray]]:
    """An index for an array of `shape`: a function that takes the arrays in it, and those arrays."""
    kind = draw(st.sampled_from(["basic", "integers", "integers of every axis", "mixed", "booleans", "list"]))
    random = np.random.default_rng(draw(SEEDS))
    integers = lambda n: random.integers(-n, n, size=draw(st.sampled_from([(), (1,), (4,), (2, 2)])))
    if kind == "basic" or 0 in (len(shape), *shape):
        index = draw(hnp.basic_indices(shape, allow_newaxis=True, max_dims=4))
        return (lambda: index), []
    if kind == "integers":
        return (lambda i: i), [integers(shape[0])]
    if kind == "integers of every axis":
        return (lambda *i: i), list(draw(hnp.integer_array_indices(shape)))
    if kind == "mixed":
        return (lambda i: (i, Ellipsis, slice(None, None, 2), None) if len(shape) > 1 else (i, None)), [
            integers(shape[0])
        ]
    if kind == "booleans":
        return (lambda mask: mask), [random.random(shape[: draw(st.integers(1, len(shape)))]) < 0.5]
    chosen = draw(st.lists(st.integers(-shape[0], shape[0] - 1), min_size=1, max_size=4))
    return (lambda: chosen), []


@st.composite
def indexed(draw: st.DrawFn) -> Case:
    shape = draw(shapes())
    index, arrays = draw(an_index(shape))
    return Case(lambda x, *arrays: x[index(*arrays)], [draw(uniform(shape)), *arrays])


@st.composite
def scattered(draw: st.DrawFn) -> Case:
    shape = draw(shapes())
    index, arrays = draw(an_index(shape))
    values = np.zeros(shape)[index(*arrays)]
    return Case(lambda g, *arrays: scatter_add(g, index(*arrays), shape), [draw(uniform(values.shape)), *arrays])


@st.composite
def flattened(draw: st.DrawFn) -> Case:
    return Case(ops.flatten, [draw(uniform(draw(shapes())))])


@st.composite
def swapped(draw: st.DrawFn) -> Case:
    shape = draw(shapes(min_dims=1))
    axis1, axis2 = draw(axis_of(len(shape))), draw(axis_of(len(shape)))
    return Case(lambda x: ops.swapaxes(x, axis1, axis2), [draw(uniform(shape))])


@st.composite
def repeated_values(draw: st.DrawFn) -> Case:
    shape = draw(shapes())
    axis, repeats = draw(st.none() | axis_of(len(shape)) if shape else st.none()), draw(st.integers(1, 3))
    return Case(lambda x: ops.repeat(x, repeats, axis), [draw(uniform(shape))])


@st.composite
def choices_along_an_axis(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[np.ndarray, int]:
    """Indices for an array of `shape`, some more than once, some counted from the end; and the axis."""
    axis = draw(axis_of(len(shape)))
    position, length = axis % len(shape), draw(st.integers(1, 4))
    lengths = [n if draw(st.booleans()) else 1 for n in shape]
    lengths[position] = length if shape[position] else 0
    random = np.random.default_rng(draw(SEEDS))
    return random.integers(-shape[position], max(shape[position], 1), lengths), axis


@st.composite
def taken_along_an_axis(draw: st.DrawFn) -> Case:
    shape = draw(shapes(min_dims=1))
    indices, axis = draw(choices_along_an_axis(shape))
    return Case(lambda x, i: ops.take_along_axis(x, i, axis), [draw(uniform(shape)), indices])


@st.composite
def triangles(draw: st.DrawFn) -> Case:
    shape, k = draw(shapes(min_dims=2, max_size=9)), draw(st.integers(-2, 2))
    return Case(lambda x: ops.tril(x, k), [draw(uniform(shape))])


CASES: Cases = {
    "reshape": reshaped(),
    "flatten": flattened(),
    "swapaxes": swapped(),
    "repeat": repeated_values(),
    "take_along_axis": taken_along_an_axis(),
    "tril": triangles(),
    "permute_dims": permuted(),
    "squeeze": squeezed(),
    "expand_dims": expanded(),
    "broadcast_to": repeated(),
    "flip": flipped(),
    "concat": joined(),
    "stack": stacked(),
    "split": cut(),
    "pad": padded(),
    "getitem": indexed(),
    "scatter_add": scattered(),
}


# -- values: where does each number end up? ----------------------------------------------------------------------------


@given(data=st.data())
def test_reshape_keeps_the_order(data: st.DataObject) -> None:
    x = data.draw(uniform(data.draw(shapes())))
    for y in (ops.reshape(tensor(x), (1, -1)), tensor(x).reshape(1, -1), tensor(x).reshape((1, x.size))):
        assert y.shape == (1, x.size)
        assert y.numpy()[0].tolist() == [float(x[index]) for index in np.ndindex(x.shape)]


@given(data=st.data())
def test_permute_dims_moves_the_axes(data: st.DataObject) -> None:
    x = data.draw(uniform(data.draw(shapes())))
    axes = tuple(data.draw(st.permutations(range(x.ndim))))
    y = ops.permute_dims(tensor(x), axes)
    assert y.shape == tuple(x.shape[a] for a in axes)
    for index in np.ndindex(y.shape):
        source = dict(zip(axes, index, strict=True))
        assert y.numpy()[index] == x[tuple(source[i] for i in range(x.ndim))]
    if axes:
        np.testing.assert_array_equal(tensor(x).permute_dims(*axes).numpy(), y.numpy())


@given(data=st.data())
def test_flatten_and_swapaxes_are_special_cases(data: st.DataObject) -> None:
    x = data.draw(uniform(data.draw(shapes(min_dims=1))))
    np.testing.assert_array_equal(ops.flatten(tensor(x)).numpy(), [x[index] for index in np.ndindex(x.shape)])
    axis1, axis2 = data.draw(axis_of(x.ndim)), data.draw(axis_of(x.ndim))
    order = list(range(x.ndim))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    np.testing.assert_array_equal(ops.swapaxes(tensor(x), axis1, axis2).numpy(), x.transpose(order))


def test_repeat_says_each_value_several_times(device: Device) -> None:
    x = tensor([[1.0, 2.0], [3.0, 4.0]])
    assert ops.repeat(x, 2).tolist() == [1, 1, 2, 2, 3, 3, 4, 4]
    assert ops.repeat(x, 2, 0).tolist() == [[1, 2], [1, 2], [3, 4], [3, 4]]
    assert ops.repeat(x, 3, -1).tolist() == [[1, 1, 1, 2, 2, 2], [3, 3, 3, 4, 4, 4]]


@given(data=st.data())
def test_take_along_axis_takes_for_each_place_what_its_index_says(data: st.DataObject) -> None:
    x = data.draw(uniform(data.draw(shapes(min_dims=1))))
    indices, axis = data.draw(choices_along_an_axis(x.shape))
    shape = list(x.shape)
    shape[axis] = indices.shape[axis]
    y = ops.take_along_axis(tensor(x), tensor(indices), axis).numpy()
    assert y.shape == tuple(shape)
    for place, number in np.ndenumerate(np.broadcast_to(indices, shape)):
        source = list(place)
        source[axis] = number
        assert y[place] == x[tuple(source)]


@given(data=st.data())
def test_tril_is_zero_above_a_diagonal(data: st.DataObject) -> None:
    x, k = data.draw(uniform(data.draw(shapes(min_dims=2)))), data.draw(st.integers(-2, 2))
    y = ops.tril(tensor(x), k).numpy()
    for *place, i, j in np.ndindex(x.shape):
        assert y[*place, i, j] == (x[*place, i, j] if j - i <= k else 0.0)


@given(data=st.data())
def test_flip_turns_an_axis_round(data: st.DataObject) -> None:
    x = data.draw(uniform(data.draw(shapes(min_dims=1))))
    axis = data.draw(axis_of(x.ndim))
    y = ops.flip(tensor(x), axis).numpy()
    for index in np.ndindex(x.shape):
        mirrored = list(index)
        mirrored[axis] = x.shape[axis] - 1 - index[axis]
        assert y[tuple(mirrored)] == x[index]


@given(data=st.data())
def test_broadcast_to_repeats(data: st.DataObject) -> None:
    shape = data.draw(shapes())
    x = data.draw(uniform(data.draw(broadcastable_to(shape))))
    y = ops.broadcast_to(tensor(x), shape).numpy()
    assert y.shape == shape
    for index in np.ndindex(shape):
        own = index[len(shape) - x.ndim :]
        assert y[index] == x[tuple(0 if n == 1 else k for k, n in zip(own, x.shape, strict=True))]


@given(data=st.data())
def test_pad_surrounds_with_a_value(data: st.DataObject) -> None:
    x = data.draw(uniform(data.draw(shapes(min_dims=1))))
    width = tuple((data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))) for _ in x.shape)
    y = ops.pad(tensor(x), width, value=7.0).numpy()
    assert y.shape == tuple(before + n + after for n, (before, after) in zip(x.shape, width, strict=True))
    for index in np.ndindex(y.shape):
        source = tuple(k - before for k, (before, _) in zip(index, width, strict=True))
        inside = all(0 <= k < n for k, n in zip(source, x.shape, strict=True))
        assert y[index] == (x[source] if inside else 7.0)


@pytest.mark.parametrize(
    ("call", "shape"),
    [
        (lambda x: ops.squeeze(x), (2, 3)),
        (lambda x: ops.squeeze(x, 0), (2, 1, 3, 1)),
        (lambda x: ops.squeeze(x, (0, -1)), (2, 1, 3)),
        (lambda x: ops.expand_dims(x, 0), (1, 1, 2, 1, 3, 1)),
        (lambda x: ops.expand_dims(x, -1), (1, 2, 1, 3, 1, 1)),
        (lambda x: ops.expand_dims(x, (0, 2)), (1, 1, 1, 2, 1, 3, 1)),
        (lambda x: x.T, (1, 3, 1, 2, 1)),
        (lambda x: ops.permute_dims(x), (1, 3, 1, 2, 1)),
    ],
)
def test_axes_of_length_one_come_and_go(
    call: Callable[[Tensor], Tensor], shape: tuple[int, ...], device: Device
) -> None:
    y = call(tensor(np.arange(6.0).reshape(1, 2, 1, 3, 1)))
    assert y.shape == shape
    assert sorted(y.numpy().ravel()) == list(range(6))


@given(data=st.data())
def test_split_undoes_concat(data: st.DataObject) -> None:
    shape = data.draw(shapes(min_dims=1))
    axis = data.draw(axis_of(len(shape)))
    position = axis % len(shape)
    lengths = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
    parts = [data.draw(uniform((*shape[:position], n, *shape[position + 1 :]))) for n in lengths]
    whole = ops.concat([tensor(part) for part in parts], axis=axis)
    assert whole.shape[axis] == sum(lengths)
    places = np.cumsum(lengths)[:-1].tolist()
    for part, back in zip(parts, ops.split(whole, places, axis), strict=True):
        np.testing.assert_array_equal(back.numpy(), part)


@given(data=st.data())
def test_stack_is_undone_by_indexing(data: st.DataObject) -> None:
    shape = data.draw(shapes())
    axis = data.draw(axis_of(len(shape) + 1))
    parts = [data.draw(uniform(shape)) for _ in range(3)]
    whole = ops.stack([tensor(part) for part in parts], axis=axis)
    for k, part in enumerate(parts):
        index = [slice(None)] * whole.ndim
        index[axis] = k  # type: ignore[call-overload]
        np.testing.assert_array_equal(whole[tuple(index)].numpy(), part)


def test_concat_and_stack_take_a_list_or_arguments() -> None:
    x, y = tensor([1.0]), tensor([2.0])
    assert ops.concat([x, y]).numpy().tolist() == ops.concat(x, y).numpy().tolist() == [1, 2]
    assert ops.stack((x, y), axis=1).numpy().tolist() == ops.stack(x, y, axis=1).numpy().tolist() == [[1, 2]]


# -- indexing ----------------------------------------------------------------------------------------------------------


@given(data=st.data())
def test_scatter_add_is_the_adjoint_of_getitem(data: st.DataObject) -> None:
    """<x[index], g> = <x, scatter_add(g, index)>, and by hand: each value of g is added where it came from."""
    shape = data.draw(shapes())
    make_index, arrays = data.draw(an_index(shape))
    index = make_index(*(tensor(a) for a in arrays))
    x = data.draw(uniform(shape))
    taken = tensor(x)[index]
    g = data.draw(uniform(taken.shape))
    scattered = scatter_add(tensor(g), index, shape)
    np.testing.assert_allclose((taken.numpy() * g).sum(), (x * scattered.numpy()).sum(), atol=1e-12)
    numbers = np.arange(x.size).reshape(shape)[make_index(*arrays)]  # which element each one is
    expected = np.zeros(x.size)
    for number, value in zip(np.ravel(numbers), np.ravel(g), strict=True):
        expected[number] += value
    np.testing.assert_allclose(scattered.numpy(), expected.reshape(shape), atol=1e-14)
    np.testing.assert_array_equal(taken.numpy(), np.ravel(x)[numbers])


def test_a_repeated_index_collects_every_gradient(device: Device) -> None:
    x = tensor([1.0, 2.0, 3.0], requires_grad=True)
    index = tensor(np.array([0, 2, 0, -1]))
    (g,) = grad(x[index], x, tensor([1.0, 2.0, 4.0, 8.0]))
    np.testing.assert_array_equal(g.numpy(), [5, 0, 10])
    assert x[[]].shape == (0, *x.shape[1:])
    (g,) = grad(x[[0, 0]], x, tensor([1.0, 2.0]))
    np.testing.assert_array_equal(g.numpy(), [3, 0, 0])


def test_tensors_are_iterated_over_and_indexed_by_numpy_numbers() -> None:
    x = tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert [row.numpy().tolist() for row in x] == [[1, 2], [3, 4]]
    (g,) = grad(x[np.int64(1)].sum() + x[1, np.int64(0)], x)
    np.testing.assert_array_equal(g.numpy(), [[0, 0], [2, 1]])


# -- data types --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["int64", "uint8", "bool", "float32"])
def test_rearranging_keeps_the_dtype(dtype: str, device: Device) -> None:
    x = tensor(np.array([[1, 0, 1], [0, 1, 1]], dtype))
    results = [x.reshape(-1), x.T, x[None].squeeze(0), ops.flip(x), x.broadcast_to((2, 2, 3)), ops.concat([x, x])]
    results += [x.flatten(), x.swapaxes(0, 1), x.repeat(2), x.take_along_axis(tensor([[0]]), 1), ops.tril(x), x.copy()]
    results += [ops.stack([x, x]), *ops.split(x, 3, 1), ops.pad(x, ((0, 1), (1, 0))), x[0], x[0, 1], x[x > 0]]
    for result in results:
        assert result.dtype == dtype


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda x: ops.reshape(x, (4, 2)), ["reshape: ", "(2, 3)"]),
        (lambda x: ops.permute_dims(x, (0, 0)), ["permute_dims: ", "(2, 3)"]),
        (lambda x: ops.permute_dims(x, (0,)), ["permute_dims: ", "(2, 3)"]),
        (lambda x: ops.squeeze(x, 0), ["squeeze: ", "(2, 3)"]),
        (lambda x: ops.expand_dims(x, 5), ["expand_dims: ", "(2, 3)"]),
        (lambda x: ops.broadcast_to(x, (3, 3)), ["broadcast_to: ", "(2, 3)"]),
        (lambda x: ops.flip(x, 2), ["flip: ", "(2, 3)"]),
        (lambda x: ops.concat([x, x.T], axis=0), ["concat: ", "(2, 3)", "(3, 2)"]),
        (lambda x: ops.concat([x, x], axis=2), ["concat: ", "(2, 3)"]),
        (lambda x: ops.stack([x, x.T]), ["stack: ", "(2, 3)", "(3, 2)"]),
        (lambda x: ops.split(x, 2, axis=1), ["split: ", "(2, 3)"]),
        (lambda x: ops.pad(x, ((0, 0), (-1, 0))), ["pad: expects a pair", "-1"]),
        (lambda x: ops.pad(x, ((1, 1),)), ["pad: expects a pair", "for each of 2 axes"]),
        (lambda x: ops.swapaxes(x, 0, 2), ["swapaxes: ", "(2, 3)"]),
        (lambda x: ops.repeat(x, 0), ["repeat: expects a number of repeats from 1 up, got 0"]),
        (lambda x: ops.repeat(x, 2, 2), ["repeat: ", "(2, 3)"]),
        (lambda x: ops.tril(x[0]), ["tril: expects x with 2 axes or more, got (3,)"]),
        (lambda x: ops.take_along_axis(x, x), ["take_along_axis: expects integer indices with 2 axes, got float32"]),
        (lambda x: ops.take_along_axis(x, tensor([0, 1])), ["take_along_axis: expects integer indices", "int64 (2,)"]),
        (lambda x: x[2], ["getitem: ", "(2, 3)"]),
        (lambda x: x[0, 0, 0], ["getitem: ", "(2, 3)"]),
    ],
)
def test_errors_name_the_operation_and_the_shapes(
    call: Callable[[Tensor], Any], words: list[str], device: Device
) -> None:
    with pytest.raises((ValueError, TypeError, IndexError)) as caught:
        call(tensor(np.zeros((2, 3), "float32")))
    text = str(caught.value)
    assert text.startswith(words[0])
    for word in words:
        assert word in text


@pytest.mark.parametrize("operation", [ops.concat, ops.stack])
def test_joining_refuses_different_dtypes_and_devices(operation: Callable[..., Any], gpu_standin: Device) -> None:
    x = tensor([1.0])
    y = tensor(np.array([1.0]))
    for pair in ([x, y], [y, x]):
        with pytest.raises(TypeError, match=f"{operation.__name__}: .*(float32.*float64|float64.*float32)"):
            operation(pair)
    with pytest.raises(ValueError, match=f"{operation.__name__}: .*cpu.*gpu:0"):
        operation([x, x.to(gpu_standin)])


@pytest.mark.parametrize("operation", [ops.concat, ops.stack])
def test_joining_nothing_is_refused(operation: Callable[..., Any]) -> None:
    with pytest.raises((ValueError, IndexError), match=f"{operation.__name__}: .*got no arrays"):
        operation([])
