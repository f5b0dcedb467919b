"""Random numbers: a formula of a seed and a counter, which gives the same numbers on every device.

Philox4x64-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011) scrambles a counter of four words of
64 bits, with a key of two words, into four random words. The counter of every number is known beforehand, so that each
thread of a GPU computes its own. On a CPU the same formula is NumPy's `np.random.Philox`.

    key      (seed, stream)
    counter  (block, a, b, draw)

A stream is one use of random numbers (see `STREAMS`). a and b number its parts, such as epoch and batch; a draw is one
call, such as `normal(shape)`, and a block is four words of the array that it gives. So no two draws have a counter in
common, whatever their sizes are, and the state of a thread is what comes next: (seed, stream, a, b, draw).

Where several processes divide a batch (`processes.own_part`), a draw is that of the whole batch, and each process gets
its own rows of it.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from threading import get_ident
from typing import Any, NamedTuple

import numpy as np

from minigen.backend import Array, Shape, current_dtype
from minigen.backend import device as find_device
from minigen.capture import recomputed
from minigen.kernels import kernel
from minigen.processes import of_whole_batch, own_rows

Words = tuple[int, int, int, int, int]

STREAMS = ("model", "evaluation", "binarization", "order", "batch")
"""What random numbers are drawn for: a model and its training (`manual_seed`); its evaluation; and, by a `Loader`, the
pixels that are binarized once, the order of each epoch, and the rest of each batch."""

# -- the state ---------------------------------------------------------------------------------------------------------


class State(NamedTuple):
    """The next draw: number `draw` of the part (a, b) of a stream."""

    seed: int
    stream: str = "model"
    a: int = 0
    b: int = 0
    draw: int = 0


def _checked(state: State) -> State:
    words = (state.seed, state.a, state.b, state.draw)
    if state.stream not in STREAMS or not all(isinstance(word, int) and 0 <= word < 1 << 64 for word in words):
        raise ValueError(
            "random numbers: expects a seed, a, b and draw from 0 to 2**64 - 1, and a stream among "
            f"{', '.join(STREAMS)}; got {state._asdict()}"
        )
    return state


# A context variable: each thread has its own, so that two threads may train two models.
_next: ContextVar[State | None] = ContextVar("the next draw", default=None)


def _state() -> State:
    state = _next.get()
    if state is None:
        state = State(int.from_bytes(os.urandom(8)))
        _next.set(state)
    return state


def manual_seed(seed: int) -> None:
    """Seed the random numbers of this thread: a seed, 0 to 2**64 - 1, gives the same numbers on every device."""
    _next.set(_checked(State(operator.index(seed))))


@contextmanager
def separate_random(seed: int, stream: str = "evaluation", a: int = 0, b: int = 0) -> Iterator[None]:
    """Draw the random numbers of this part of a stream inside the block; the sequence outside is not disturbed."""
    token = _next.set(_checked(State(operator.index(seed), stream, operator.index(a), operator.index(b))))
    try:
        yield
    finally:
        _next.reset(token)


def random_state() -> dict[str, Any]:
    """The state of this thread's random numbers, of JSON's types, to be restored by `set_random_state`."""
    return _state()._asdict()


def set_random_state(state: dict[str, Any]) -> None:
    """Restore a state that `random_state` gave; `ValueError` for anything else."""
    try:
        _next.set(_checked(State(**state)))
    except TypeError:
        fields = ", ".join(State._fields)
        raise ValueError(
            f"random numbers: expects a state of {fields}, as this version saves it, got {state}"
        ) from None


# -- drawing -----------------------------------------------------------------------------------------------------------


def uniform(shape: Shape, low: float = 0.0, high: float = 1.0, *, dtype: Any = None, device: Any = None) -> Array:
    """Uniform numbers in [low, high), as an array of `shape` on `device` (default: the current one).

    Every device gives the same bits. `TypeError` for types other than float32 and float64.
    """
    with find_device(device):
        x = _empty(_checked_shape(shape), dtype)
        _fill(*_words(), x)
        return own_rows(_scaled(x, high - low, low))


def normal(shape: Shape, mean: float = 0.0, std: float = 1.0, *, dtype: Any = None, device: Any = None) -> Array:
    """Normal numbers, as an array of `shape` on `device` (default: the current one).

    Devices agree to a few units in the last place, as their logarithm, sine and cosine do. `TypeError` for types other
    than float32 and float64.
    """
    shape = _checked_shape(shape)
    count = math.prod(shape)
    with find_device(device):
        half = (count + 1) // 2
        z = _empty((2, half), dtype)
        _box_muller(*_words(), half, *z)
        return own_rows(_scaled(z.reshape(-1)[:count].reshape(shape), std, mean))


def random_generator() -> np.random.Generator:
    """NumPy's generator for the next draw, on the CPU: for integers, permutations and choices."""
    return _at(_take(), np.random.Generator(np.random.Philox()))


def _take() -> Words:
    """The words (seed, stream, a, b, draw) of the next draw, which is then the past one."""
    seed, stream, a, b, draw = _state()
    _next.set(State(seed, stream, a, b, draw + 1))
    return seed, STREAMS.index(stream), a, b, draw


def _words() -> Words:
    """The words of the next draw; in a captured step, arrays of these numbers."""
    return recomputed(_take, *[np.uint64] * 5)


def _checked_shape(shape: Shape) -> Shape:
    if min(shape, default=0) < 0:
        raise ValueError(f"random numbers: expects a shape of sizes from 0 up, got {shape}")
    return of_whole_batch(shape)


def _empty(shape: Shape, dtype: Any) -> Array:
    """An array for random numbers, on the current device."""
    dtype = np.dtype(dtype or current_dtype())
    if dtype not in (np.float32, np.float64):
        raise TypeError(f"random numbers: expects float32 or float64, got {dtype}")
    return find_device().module.empty(shape, dtype)


def _scaled(x: Array, factor: float, shift: float) -> Array:
    if (factor, shift) != (1.0, 0.0):
        x *= factor
        x += shift
    return x


# -- the formulas ------------------------------------------------------------------------------------------------------

PHILOX = """
typedef unsigned long long Word;

template <class T> __device__ T uniform(Word seed, Word stream, Word a, Word b, Word draw, Word i) {
    const int numbers = 8 / sizeof(T);  // in a word: two of float32, or one of float64
    Word c[4] = {1ull + i / numbers / 4, a, b, draw}, key[2] = {seed, stream};
    for (int round = 0; round < 10; ++round) {
        Word low0 = 0xD2E7470EE14C6C93 * c[0], high0 = __umul64hi(0xD2E7470EE14C6C93, c[0]);
        Word low1 = 0xCA5A826395121157 * c[2], high1 = __umul64hi(0xCA5A826395121157, c[2]);
        c[0] = high1 ^ c[1] ^ key[0], c[1] = low1, c[2] = high0 ^ c[3] ^ key[1], c[3] = low0;
        key[0] += 0x9E3779B97F4A7C15, key[1] += 0xBB67AE8584CAA73B;
    }
    const Word word = c[i / numbers % 4];
    return numbers == 1 ? T(word >> 11) / T(1ull << 53) : T(unsigned(word >> i % 2 * 32) >> 8) / T(1 << 24);
}
"""

BOX_MULLER = """
    const T u = uniform<T>(seed, stream, a, b, draw, i), v = uniform<T>(seed, stream, a, b, draw, i + half);
    const T radius = sqrt(-2 * log(1 - u)), angle = T(6.283185307179586) * v;
    x = radius * cos(angle), y = radius * sin(angle)
"""


WORDS = "uint64 seed, uint64 stream, uint64 a, uint64 b, uint64 draw"


@kernel(WORDS, "T x", "x = uniform<T>(seed, stream, a, b, draw, i)", PHILOX)
def _fill(seed: int, stream: int, a: int, b: int, draw: int, x: Array) -> None:
    """Fill x with the uniform numbers of a draw: the upper 24 or 53 bits of each half of a word, or of a word."""
    _at((seed, stream, a, b, draw), _philox(get_ident())).random(out=x, dtype=x.dtype)


@cache
def _philox(thread: int) -> np.random.Generator:
    """A generator for each thread. It is made once, which takes longer than a small draw: NumPy seeds it meanwhile."""
    return np.random.Generator(np.random.Philox())


def _at(words: Words, generator: np.random.Generator) -> np.random.Generator:
    """The generator, moved to the draw of these words."""
    key, counter = np.array(words[:2], np.uint64), np.array((0, *words[2:]), np.uint64)
    generator.bit_generator.state = {
        "bit_generator": "Philox",
        "state": {"key": key, "counter": counter},
        "buffer": counter,  # of which nothing is left
        "buffer_pos": 4,
        "has_uint32": 0,
        "uinteger": 0,
    }
    return generator


@kernel(f"{WORDS}, uint64 half", "T x, T y", BOX_MULLER, PHILOX)
def _box_muller(seed: int, stream: int, a: int, b: int, draw: int, half: int, x: Array, y: Array) -> None:
    """Fill x and y with independent normal numbers, made of the uniform ones of a draw (Box and Muller 1958)."""
    pairs = np.empty((2, half), x.dtype)
    _fill(seed, stream, a, b, draw, pairs)
    radius, angle = np.sqrt(-2 * np.log(1 - pairs[0])), math.tau * pairs[1]
    np.multiply(radius, np.cos(angle), out=x)
    np.multiply(radius, np.sin(angle), out=y)
