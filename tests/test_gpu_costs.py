"""Limits of what a GPU is asked for. Lower them when the code gets better; do not raise them."""

from __future__ import annotations

import pytest

from benchmarks import launches
from benchmarks.models import AUTOREGRESSIVE

LAUNCHES = {"vae": 71, "gan": 160, "dcgan": 349, "pixelcnn": 315, "gated": 432, "row": 683, "diagonal": 1_603}
KERNELS_A_ROW = {"pixelcnn": 215, "gated": 254, "row": 135, "diagonal": 219}  # of three pixels
LAUNCHES_A_ROW = 5


@pytest.mark.parametrize("name", LAUNCHES)
def test_a_training_step_never_waits_and_launches_few_kernels(name: str) -> None:
    costs = launches.a_step(name, n=2)  # of a larger batch they are the same
    assert costs["launches"] <= LAUNCHES[name]
    assert not any(costs[what] for what in ("synchronisations", "uploads", "downloads"))


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_a_row_of_sampling_has_few_kernels_and_launches(name: str) -> None:
    assert launches.a_row(name, number=1)["launches"] <= KERNELS_A_ROW[name]
    assert launches.a_row(name)["launches"] <= LAUNCHES_A_ROW
