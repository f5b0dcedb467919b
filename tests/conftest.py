"""Devices, random numbers and property-test settings for every test.

The fixture `device` runs a test on the CPU, on a strict stand-in for CuPy (see `strict_cupy`), which fails where code
would fail on a GPU, and on a real card where there is one. Tests that need a card carry `@pytest.mark.gpu`.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
import strict_cupy
from hypothesis import HealthCheck, settings

from minigen import backend
from minigen.autograd import PRIMITIVES
from minigen.random import manual_seed

os.environ["MPLBACKEND"] = "Agg"  # figures without a screen


def _card() -> str:
    """Why there is no GPU to test on; empty if there is one."""
    try:
        backend.device("gpu")
    except RuntimeError as error:
        return str(error).removeprefix("device: ")
    return ""


NO_CARD = _card()

# HYPOTHESIS_PROFILE=thorough draws more examples; on CI (CI=true) the examples are the same at every run. On a machine
# with a card there are few by default: CuPy compiles a kernel for each new data type, number of axes and layout.
for _profile, _examples in {"card": 5, "quick": 25, "thorough": 300}.items():
    settings.register_profile(
        _profile,
        max_examples=_examples,
        deadline=None,
        derandomize=os.environ.get("CI") == "true",
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick" if NO_CARD else "card"))


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Every test draws the same random numbers, whichever tests ran before it."""
    manual_seed(0)


@pytest.fixture(autouse=True)
def _registry() -> Iterator[None]:
    """An operation that a test defines leaves the registry when the test ends."""
    before = dict(PRIMITIVES)
    yield
    PRIMITIVES.clear()
    PRIMITIVES.update(before)


@pytest.fixture
def no_garbage_collector() -> Iterator[None]:
    """Reference counting alone frees memory in the test: the garbage collector is off."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def gpu_standin() -> Iterator[backend.Device]:
    """`device("gpu")` on the strict stand-in for CuPy, which has two cards; not entered."""
    with strict_cupy.installed():
        yield backend.device("gpu")


DEVICES = {"cpu": "cpu", "strict-cupy": "gpu-standin"} | ({} if NO_CARD else {"gpu": "gpu"})


@pytest.fixture(params=DEVICES.values(), ids=DEVICES.keys())
def device(request: pytest.FixtureRequest) -> Iterator[backend.Device]:
    """The device under test, and the current one for as long as the test runs."""
    name = request.getfixturevalue("gpu_standin") if request.param == "gpu-standin" else request.param
    with backend.device(name) as entered:
        yield entered


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip the tests marked `gpu` where there is no card, and say what is missing."""
    for item in items:
        if NO_CARD and item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason=f"no CUDA device: {NO_CARD}"))
