"""How large the models are by default: the numbers of parameters, counted by hand from the papers' layers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from minigen import nn
from minigen.evaluate import Classifier
from minigen.models import DCGAN, VAE, MLPDiscriminator, MLPGenerator


def linear(inputs: int, outputs: int) -> int:
    return inputs * outputs + outputs


def conv(inputs: int, outputs: int, kernel: int, bias: bool = False) -> int:
    return inputs * outputs * kernel**2 + bias * outputs


def batch_norm(*channels: int) -> int:
    return 2 * sum(channels)


DIGITS = (1, 28, 28)
SIZES: dict[str, tuple[Callable[[], nn.Module], int]] = {
    # 784-400-20-400-784
    "VAE": (VAE, linear(784, 400) + linear(400, 40) + linear(20, 400) + linear(400, 784)),
    "convolutional VAE": (
        lambda: VAE(architecture="conv"),
        conv(1, 32, 4, True) + conv(32, 64, 4, True) + linear(64 * 49, 40)
        + linear(20, 64 * 49) + 64 * 32 * 16 + 32 + 32 * 16 + 1,
    ),
    "MLPGenerator": (lambda: MLPGenerator(DIGITS), linear(100, 256) + linear(256, 256) + linear(256, 784)),
    "MLPDiscriminator": (
        lambda: MLPDiscriminator(DIGITS),  # maxout of 5 pieces
        linear(784, 5 * 240) + linear(240, 5 * 240) + linear(240, 1),
    ),
    # maps of 4 x 4, 7 x 7, 14 x 14 and 28 x 28 with 128, 64 and 32 channels; kernels of 4, and of 3 between 4 and 7
    "generator of DCGAN": (
        lambda: DCGAN().generator,
        conv(100, 128, 4) + conv(128, 64, 3) + conv(64, 32, 4) + conv(32, 1, 4, True) + batch_norm(128, 64, 32),
    ),
    "discriminator of DCGAN": (
        lambda: DCGAN().discriminator,
        conv(1, 32, 4, True) + conv(32, 64, 4) + conv(64, 128, 3) + conv(128, 1, 4, True) + batch_norm(64, 128),
    ),
    "Classifier": (
        Classifier,
        conv(1, 16, 5, True) + conv(16, 32, 5, True) + conv(32, 64, 5, True) + batch_norm(16, 32, 64)
        + linear(64 * 16, 64) + linear(64, 10),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_a_model_has_the_parameters_of_its_paper(name: str) -> None:
    make, parameters = SIZES[name]
    assert sum(p.size for p in make().parameters()) == parameters
