"""AnoGAN's score and iGAN's edits: the errors by their formulas, in loops, and the search that minimises them."""

from __future__ import annotations

import numpy as np
import pytest

from minigen.autograd import Tensor, tensor
from minigen.backend import Device
from minigen.evaluate import evaluating, latent
from minigen.models import DCGAN, GAN, MLPGenerator
from minigen.models.zoo.anogan import anomaly_error, edit_error
from minigen.models.zoo.heads import ConvTrunk, Heads, MLPTrunk
from minigen.random import manual_seed


def x_of(n: int = 3, side: int = 8) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (n, 1, side, side)).astype("float32")


def gan_of() -> GAN:
    return GAN(MLPGenerator((1, 8, 8), 3, 6, 1), Heads(MLPTrunk((1, 8, 8), (5,), input_noise=0.5), 1))


def test_the_score_is_the_papers(device: Device) -> None:
    """Of each image by itself; not of means over the batch."""
    gan, x = gan_of().eval(), x_of()
    z = gan.noise(3)
    found = anomaly_error(gan, device.asarray(x))(z).numpy()
    y, f = gan(z).numpy(), lambda a: gan.discriminator.features(tensor(a)).numpy()
    for i in range(3):
        features = abs(f(x)[i] - f(y)[i]).sum()
        assert found[i] == pytest.approx(0.9 * abs(x[i] - y[i]).sum() + 0.1 * features, rel=1e-4)


def test_the_score_of_an_image_depends_on_no_other() -> None:
    """D's features of the image are those of the evaluation mode, also where the search is not in it yet."""
    gan = DCGAN((1, 16, 16), 3, 2)
    gan.discriminator = Heads(ConvTrunk((1, 16, 16), 2), 1)
    z = gan.noise(3).data
    alone, together = anomaly_error(gan, x_of(3, 16)[:1]), anomaly_error(gan, x_of(3, 16))
    assert gan.training
    with evaluating(gan):
        np.testing.assert_allclose(alone(Tensor(z[:1])).numpy(), together(Tensor(z)).numpy()[:1], rtol=1e-4)


def test_an_image_of_the_generator_is_no_anomaly() -> None:
    """The search finds its z, and the score falls; nothing of the GAN changes."""
    manual_seed(0)
    gan = gan_of().eval()
    before = {name: np.array(x) for name, x in gan.state_dict().items()}
    z = gan.noise(4)
    error = anomaly_error(gan, gan(z).data)
    start = z.data + 0.3
    _, found = latent.search(error, start, steps=300, lr=0.02)
    assert (found < 0.2 * error(Tensor(start)).numpy()).all()
    for name, x in gan.state_dict().items():
        np.testing.assert_array_equal(x, before[name])


def test_an_edit_by_its_formula(device: Device) -> None:
    gan, z0 = gan_of().eval(), gan_of().noise(2)
    z, mask = gan.noise(2), (np.random.default_rng(1).random((2, 1, 8, 8)) < 0.6).astype("float32")
    colour = x_of(2)
    found = edit_error(gan, device.asarray(mask), device.asarray(colour), z0)(z).numpy()
    d = mask * (gan(z).numpy() - colour)
    for i in range(2):
        edges, m, e = 0.0, mask[i, 0], d[i, 0]
        for r in range(8):
            for c in range(8):
                if c < 7 and m[r, c] and m[r, c + 1]:
                    edges += (e[r, c + 1] - e[r, c]) ** 2
                if r < 7 and m[r, c] and m[r + 1, c]:
                    edges += (e[r + 1, c] - e[r, c]) ** 2
        stay = ((z.numpy() - z0.numpy())[i] ** 2).sum()
        assert found[i] == pytest.approx((e**2).sum() + 0.2 * edges + 5 * stay, rel=1e-4)
