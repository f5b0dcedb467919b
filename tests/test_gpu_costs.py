"""Limits of what a GPU is asked for. Lower them when the code gets better; do not raise them."""

from __future__ import annotations

import pytest
from gpu_costs import AUTOREGRESSIVE, MODELS, costs_of_a_step, launches_a_pixel, training_step
from strict_cupy import no_sync

from minigen.backend import Device

LAUNCHES = {
    "vae": 180,
    "gan": 420,
    "dcgan": 1_510,
    "wgan-gp": 5_230,
    "pixelcnn": 1_150,
    "gated": 1_790,
    "row": 4_890,
    "diagonal": 18_500,
}
LAUNCHES_A_PIXEL = {"pixelcnn": 116, "gated": 135, "row": 92, "diagonal": 145}


@pytest.mark.parametrize("name", MODELS)
def test_a_training_step_never_waits(name: str, gpu_standin: Device) -> None:
    with gpu_standin:
        step = training_step(name, side=16)
        with no_sync():
            step()


@pytest.mark.parametrize("name", MODELS)
def test_a_training_step_launches_few_kernels(name: str, gpu_standin: Device) -> None:
    assert costs_of_a_step(name).launches <= LAUNCHES[name]


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_a_pixel_launches_few_kernels(name: str, gpu_standin: Device) -> None:
    assert launches_a_pixel(name) <= LAUNCHES_A_PIXEL[name]
