"""Encoders: what the drawing one draws, and the three errors of an encoder learned after the generator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from minigen.autograd import Tensor, grad, tensor
from minigen.backend import Device
from minigen.models import DCGAN, GAN, Batch, MLPDiscriminator, MLPGenerator
from minigen.models.zoo.encoder import INVERSIONS, GaussianEncoder, Inversion
from minigen.models.zoo.heads import ConvTrunk, Heads, MLPTrunk
from minigen.nn import Linear
from minigen.optim import Adam, linear_decay
from minigen.random import manual_seed
from minigen.train import Game


def random(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32")


def test_the_drawing_encoder(device: Device) -> None:
    """Its mean and log variance are the halves of its network's output; the draw has derivatives by both."""
    e = GaussianEncoder(MLPTrunk((3,), (8,), batch_norm=True), 2)
    x = tensor(np.repeat(random(2, 3), 5000, axis=0))
    manual_seed(0)
    q, z, code = e.distribution(x), e(x), np.concatenate([head(e.features(x)).numpy() for head in e.heads], axis=1)
    assert z.shape == (10_000, 2)
    np.testing.assert_array_equal(q.mean.numpy(), code[:, :2])
    np.testing.assert_array_equal(q.log_var.numpy(), code[:, 2:])
    for half in (slice(5000), slice(5000, None)):
        np.testing.assert_allclose(z.numpy()[half].mean(axis=0), code[half][0, :2], atol=0.1)
        np.testing.assert_allclose(z.numpy()[half].std(axis=0), np.exp(code[half][0, 2:] / 2), rtol=0.06)
    for slope in grad(z.mean(), [head.weight for head in e.heads]):
        assert (abs(slope.numpy()).max(axis=1) > 0).all()


@pytest.mark.parametrize("error", INVERSIONS)
@pytest.mark.parametrize("classes", [None, 3])
def test_the_errors_of_an_encoder_learned_after_the_generator(error: str, classes: int | None, device: Device) -> None:
    """G is in evaluation mode for it, and nothing of it changes."""
    gan = DCGAN((1, 8, 8), 3, 2, classes=classes)
    x, y, z = device.asarray(random(4, 1, 8, 8)), device.asarray(np.array([0, 1, 2, 1])), gan.noise(4)
    model = Inversion(gan, Heads(ConvTrunk((1, 8, 8), 4), 3), error)
    found, _ = model.players()["encoder"].loss(Batch(x, z, y))
    assert gan.training and gan.generator.training
    labels = () if classes is None else (y,)
    gan.eval()
    source = Tensor(x) if error == "data" else gan(z, *labels)
    code = model.encoder(source)
    difference = z - code if error == "codes" else source - gan(code, *labels)
    assert found.item() == pytest.approx((difference.numpy() ** 2).mean(), rel=1e-4)


@pytest.mark.parametrize("error", INVERSIONS)
def test_they_move_the_encoder_only(error: str, check_players: Callable) -> None:
    gan = GAN(MLPGenerator((2, 2), 3, 4), MLPDiscriminator((2, 2), 4))
    check_players(Inversion(gan, Heads(MLPTrunk((2, 2), (4,)), 3), error), random(6, 2, 2))


def test_another_error_is_refused() -> None:
    gan = GAN(MLPGenerator((2, 2), 3, 4), MLPDiscriminator((2, 2), 4))
    with pytest.raises(ValueError, match=r"Inversion: expects error to be one of \('codes', .*\), got 'images'"):
        Inversion(gan, Heads(MLPTrunk((2, 2), (4,)), 3), "images")


@pytest.mark.parametrize("error", ["codes", "samples"])
def test_it_learns_the_inverse_of_a_linear_generator(error: str) -> None:
    """x = A z + b: the encoder comes to z = A^-1 (x - b), and a code leads back to where it came from."""
    manual_seed(0)
    generator = MLPGenerator((3,), 3, layers=0, tanh=False)
    generator.net[0].weight.data = np.array([[1.0, 0.5, 0], [0, 1, 0.5], [0.5, 0, 1]], "float32")
    model = Inversion(GAN(generator, Heads(MLPTrunk((3,), (4,)), 1)), Linear(3, 3), error)
    game = Game(model, {"encoder": Adam(model.encoder.parameters(), 0.05)}, schedule=linear_decay(300))
    for _ in range(300):
        game(random(32, 3))
    product = model.encoder.weight.numpy() @ generator.net[0].weight.numpy()
    np.testing.assert_allclose(product, np.eye(3), atol=0.01)
    z = model.noise(5)
    np.testing.assert_allclose(model.encoder(model.gan(z)).numpy(), z.numpy(), atol=0.03)
