"""Limits of what a GPU is asked for. Lower them when the code gets better; do not raise them."""

from __future__ import annotations

import pytest
from strict_cupy import no_sync

from benchmarks import launches
from benchmarks.models import AUTOREGRESSIVE, example, training_step
from minigen.backend import Device

LAUNCHES = {"vae": 72, "gan": 174, "dcgan": 370, "pixelcnn": 315, "gated": 432, "row": 683, "diagonal": 1_603}
LAUNCHES_A_PIXEL = {"pixelcnn": 67, "gated": 67, "row": 39, "diagonal": 71}


@pytest.mark.parametrize("name", LAUNCHES)
def test_a_training_step_never_waits(name: str, gpu_standin: Device) -> None:
    with gpu_standin:
        step = training_step(*example(name, 16))
        step()
        with no_sync():
            step()


@pytest.mark.parametrize("name", LAUNCHES)
def test_a_training_step_launches_few_kernels(name: str) -> None:
    assert launches.a_step(name)["launches"] <= LAUNCHES[name]


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_a_pixel_launches_few_kernels(name: str) -> None:
    assert launches.a_pixel(name)["launches"] <= LAUNCHES_A_PIXEL[name]
