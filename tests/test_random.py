"""Random numbers: the formula, the same on every device; their distributions; states and streams."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen import random
from minigen.backend import Device, default_dtype, device, device_of, to_numpy
from minigen.models import VAE
from minigen.optim import Adam
from minigen.random import (
    STREAMS,
    manual_seed,
    normal,
    random_generator,
    random_state,
    separate_random,
    set_random_state,
    uniform,
)

WORDS = st.integers(0, 2**64 - 1)
DTYPES = st.sampled_from(["float32", "float64"])

# -- the formula -------------------------------------------------------------------------------------------------------


def philox(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x64-10 as Salmon et al. (2011) define it, in whole numbers: four random words."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        high0, low0 = divmod(0xD2E7470EE14C6C93 * c0, 2**64)
        high1, low1 = divmod(0xCA5A826395121157 * c2, 2**64)
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) % 2**64, (k1 + 0xBB67AE8584CAA73B) % 2**64
    return [c0, c1, c2, c3]


def formula(seed: int, stream: str, a: int, b: int, draw: int, count: int, dtype: str) -> list[float]:
    """Uniform numbers: the upper 53 bits of a word, or the upper 24 bits of each half of it, the lower half first."""
    blocks = [philox([1 + block, a, b, draw], [seed, STREAMS.index(stream)]) for block in range(-(-count // 4))]
    words = [word for block in blocks for word in block]
    if dtype == "float64":
        return [(word >> 11) / 2**53 for word in words][:count]
    return [(half >> 8) / 2**24 for word in words for half in (word % 2**32, word >> 32)][:count]


def test_the_formula_is_philox() -> None:
    """The known answers that come with the authors' own program, Random123."""
    ones, pi = 2**64 - 1, [0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89]
    key = [0x452821E638D01377, 0xBE5466CF34E90C6C]
    assert philox([0] * 4, [0] * 2)[0] == 0x16554D9ECA36314C
    assert philox([ones] * 4, [ones] * 2)[0] == 0x87B092C3013FE90B
    assert philox(pi, key)[0] == 0xA528F45403E61D95


@given(WORDS, st.sampled_from(STREAMS), st.integers(0, 5), WORDS, WORDS, st.integers(0, 20), DTYPES)
def test_uniform_numbers_are_the_formula_on_every_device(
    device: Device, seed: int, stream: str, draw: int, a: int, b: int, count: int, dtype: str
) -> None:
    with separate_random(seed, stream, a, b):
        for _ in range(draw):
            uniform((3,))
        x = uniform((count,), dtype=dtype)
    assert x.dtype == dtype and device_of(x) == device
    assert to_numpy(x).tolist() == formula(seed, stream, a, b, draw, count, dtype)


@given(WORDS, st.integers(0, 20), DTYPES)
def test_normal_numbers_are_box_and_mullers_on_every_device(device: Device, seed: int, count: int, dtype: str) -> None:
    """With r = sqrt(-2 log(1 - u)) of the first half of the uniform numbers: r cos(2 pi v), then r sin(2 pi v)."""
    manual_seed(seed)
    x = normal((count,), dtype=dtype)
    half = (count + 1) // 2
    u, v = np.array(formula(seed, "model", 0, 0, 0, 2 * half, dtype)).reshape(2, half)
    radius, angle = np.sqrt(-2 * np.log(1 - u)), 2 * math.pi * v
    expected = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]
    # The rounded angle is up to 2 pi eps / 2 from the true one, which moves its sine by as much; r is below 9.
    np.testing.assert_allclose(to_numpy(x), expected, rtol=4 * np.finfo(dtype).eps, atol=30 * np.finfo(dtype).eps)


@given(WORDS, st.integers(1, 2000), DTYPES)
def test_devices_agree_on_normal_numbers(gpu_standin: Device, seed: int, count: int, dtype: str) -> None:
    on_cpu, on_gpu = (
        (manual_seed(seed), to_numpy(normal((count,), 1.0, 2.0, dtype=dtype, device=place)))[1]
        for place in ("cpu", gpu_standin)
    )
    np.testing.assert_allclose(on_cpu, on_gpu, rtol=4 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps)


def test_numpys_generator_is_at_the_same_counter() -> None:
    """It is the taker's own: draws in between do not move it."""
    manual_seed(3)
    x = uniform((10,), dtype="float64").tolist()
    manual_seed(3)
    generator = random_generator()
    first = generator.random(5).tolist()
    assert random_generator().random(5).tolist() != first == x[:5]
    uniform((3,))
    assert generator.random(5).tolist() == x[5:]


# -- shapes, types and devices -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (1,), (2, 0, 3), (3, 5), (2, 3, 4)])
@pytest.mark.parametrize("draw", [uniform, normal])
def test_shapes_and_types(draw: Any, shape: tuple[int, ...], device: Device) -> None:
    x = draw(shape)
    assert x.shape == shape and x.dtype == np.float32 and x.flags.c_contiguous and device_of(x) == device
    with default_dtype("float64"):
        assert draw(shape, -1.0, 2.0).dtype == np.float64
    assert draw(shape, -1.0, 2.0, dtype="float32", device="cpu").dtype == np.float32


@pytest.mark.parametrize("dtype", ["float16", "int64"])
@pytest.mark.parametrize("draw", [uniform, normal])
def test_other_types_are_refused(draw: Any, dtype: str, device: Device) -> None:
    with pytest.raises(TypeError, match=f"random numbers: expects float32 or float64, got {dtype}"):
        draw((2,), dtype=dtype)


@pytest.mark.parametrize("sample", [uniform, normal, lambda shape: VAE((1, 2, 2), 2, 3).sample(*shape)])
def test_negative_sizes_are_refused(sample: Any) -> None:
    assert len(sample((0,))) == 0
    with pytest.raises(ValueError, match=r"^random numbers: expects a shape of sizes from 0 up, got \(-1,"):
        sample((-1,))


def test_the_device_that_is_named(gpu_standin: Device) -> None:
    assert str(device_of(uniform((3,), device="gpu:1"))) == str(device_of(normal((3,), device="gpu:1"))) == "gpu:1"


# -- distributions -----------------------------------------------------------------------------------------------------

N = 1_000_000


def kolmogorov_smirnov(x: np.ndarray, cdf: np.ndarray) -> float:
    """sqrt(n) times the largest distance between the distribution of x (n,) and the one with `cdf` at the sorted x.

    For the right distribution it is above 2.2 in one of 8000 samples.
    """
    ranks = np.arange(len(x) + 1) / len(x)
    return math.sqrt(len(x)) * max(np.abs(ranks[1:] - cdf).max(), np.abs(ranks[:-1] - cdf).max())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_numbers_are_uniform(dtype: str) -> None:
    u = np.sort(uniform((N,), dtype=dtype).astype("float64"))
    assert 0 <= u[0] < 1e-5 and 1 - 1e-5 < u[-1] < 1
    assert kolmogorov_smirnov(u, u) < 2.2
    assert np.unique(u).size > (0.96 if dtype == "float32" else 0.999999) * N  # of the 2**24 or 2**53 that there are


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_normal_numbers_are_normal(dtype: str) -> None:
    z = np.sort(normal((N,), dtype=dtype).astype("float64"))
    for power, moment in enumerate((0, 1, 0, 3, 0, 15), start=1):
        variance = math.prod(range(2 * power - 1, 0, -2)) - moment**2  # E z^2k = (2k - 1)!!
        assert abs((z**power).mean() - moment) < 5 * math.sqrt(variance / N), f"moment {power}"
    cdf = np.array([math.erfc(-x / math.sqrt(2)) / 2 for x in z[::10]])
    assert kolmogorov_smirnov(z[::10], cdf) < 2.2


def test_normal_numbers_have_their_tails() -> None:
    """As many beyond 1, 2, ... 5 standard deviations, on either side, as there should be."""
    z = np.concatenate([normal((N,)) for _ in range(40)])
    for threshold in (1, 2, 3, 4, 4.5, 5):
        expected = len(z) * math.erfc(threshold / math.sqrt(2)) / 2
        for side in (-1, 1):
            assert abs((side * z > threshold).sum() - expected) < 5 * math.sqrt(expected), (side, threshold)
    assert np.abs(z).max() < 6


def test_the_two_halves_of_normal_numbers_are_independent() -> None:
    """The cosines and the sines share their radius: neither they nor their squares are correlated."""
    x, y = normal((2, N)).astype("float64")
    assert abs((x * y).mean()) < 5 / math.sqrt(N)
    assert abs(((x**2 - 1) * (y**2 - 1)).mean()) < 5 * 2 / math.sqrt(N)


def test_low_high_mean_and_std(device: Device) -> None:
    manual_seed(1)
    u, z = to_numpy(uniform((1000,), -1.0, 3.0)), to_numpy(normal((1000,), 2.0, 0.5))
    manual_seed(1)
    np.testing.assert_allclose(u, 4 * to_numpy(uniform((1000,))) - 1, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(z, 0.5 * to_numpy(normal((1000,))) + 2, rtol=1e-6, atol=1e-6)


# -- seeds, states and streams -----------------------------------------------------------------------------------------


def draws() -> list[list[float]]:
    arrays = [uniform((3,)), normal((2,), 1.0, 2.0), uniform((2,), -1.0, 1.0, dtype="float64"), uniform((2, 0))]
    return [*(to_numpy(x).tolist() for x in arrays), random_generator().permutation(9).tolist()]


@given(WORDS)
def test_the_same_seed_gives_the_same_numbers(seed: int) -> None:
    manual_seed(seed)
    first = draws()
    assert draws() != first
    manual_seed(np.uint64(seed))  # type: ignore[arg-type]
    assert draws() == first


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_seeds_have_their_range(seed: int) -> None:
    before = random_state()
    for call in (manual_seed, lambda seed: separate_random(seed).__enter__()):
        with pytest.raises(ValueError, match=rf"expects a seed, a, b and draw from 0 to 2\*\*64 - 1.* got .*{seed}"):
            call(seed)
    with pytest.raises(TypeError, match="float"):
        manual_seed(1.5)  # type: ignore[arg-type]
    assert random_state() == before


def test_without_a_seed_every_thread_draws_other_numbers() -> None:
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: uniform((4,)).tolist(), range(2), chunksize=1)
    manual_seed(0)
    assert first != second and uniform((4,)).tolist() not in (first, second)


def test_the_state_survives_json() -> None:
    random_generator().integers(0, 9, 3, dtype="int32")
    normal((3,))
    text = json.dumps(random_state())
    expected = draws()
    manual_seed(99)
    set_random_state(json.loads(text))
    assert draws() == expected
    assert json.dumps(random_state()) != text  # a state is a snapshot


@pytest.mark.parametrize(
    "state",
    [
        None,
        3,
        np.random.default_rng(0).bit_generator.state,
        {"seed": 0, "stream": "model", "draws": 3},
        {"seed": 0, "stream": "noise"},
        {"seed": 0, "draw": -1},
        {"seed": 0, "draw": 1.0},
        {"seed": "0"},
    ],
)
def test_what_is_no_state_is_refused(state: Any) -> None:
    before = random_state()
    with pytest.raises(ValueError, match=r"random numbers: expects .* got"):
        set_random_state(state)
    assert random_state() == before


def test_no_two_draws_have_a_counter_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever their sizes: key and counter of their first block differ by more than in the number of the block."""
    taken: list[tuple] = []
    take = random._take
    monkeypatch.setattr(random, "_take", lambda: taken.append(words := take()) or words)
    for seed in (0, 1):
        manual_seed(seed)
        draws(), draws()
        for stream in STREAMS:
            for a, b in ((0, 0), (0, 1), (1, 0)):
                if (stream, a, b) != ("model", 0, 0):
                    with separate_random(seed, stream, a, b):
                        draws()
    assert len(taken) == len(set(taken)) == 2 * 5 * (2 + 14)


def test_streams_differ_in_their_numbers() -> None:
    seen = []
    for stream, a, b in [(stream, a, b) for stream in STREAMS for a in (0, 1) for b in (0, 1)]:
        with separate_random(4, stream, a, b):
            seen.append(uniform((1000,), dtype="float64"))
    assert np.unique(seen).size == 20 * 1000
    correlations = np.corrcoef(seen) - np.eye(20)
    assert np.abs(correlations).max() < 5 / math.sqrt(1000)


def test_separate_random_numbers_leave_no_trace() -> None:
    manual_seed(3)
    uniform((2,))
    before = random_state()
    with separate_random(3):
        first = uniform((4,)).tolist()
        with separate_random(3):
            assert uniform((4,)).tolist() == first
        second = uniform((4,)).tolist()
    with pytest.raises(KeyError), separate_random(3):
        assert (uniform((4,)).tolist(), uniform((4,)).tolist()) == (first, second)
        raise KeyError
    assert random_state() == before
    manual_seed(3)
    assert uniform((4,)).tolist() != first  # the model's stream is another


# -- threads -----------------------------------------------------------------------------------------------------------


def trained(seed: int) -> bytes:
    """The weights of a small VAE after a few steps, with its own seed and on a device that is entered and left."""
    manual_seed(seed)
    with device("cpu"):
        vae = VAE((1, 4, 4), latent_dim=2, hidden=8)
    adam = Adam(vae.parameters(), 0.01)
    for _ in range(30):
        with device("cpu"):
            images = (uniform((8, 1, 4, 4)) < 0.5).astype("uint8")
            loss = vae.loss(images)
        adam.zero_grad()
        loss.backward()
        adam.step()
    return b"".join(x.tobytes() for x in vae.state_dict().values())


def test_two_threads_train_two_models_to_the_bits_of_one_after_the_other() -> None:
    one_after_the_other = [trained(seed) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        side_by_side = list(pool.map(trained, range(4)))
    assert side_by_side == one_after_the_other
