"""DTN: its losses by the paper, and that the fixed function does not move but lets derivatives through."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from minigen import nn
from minigen.autograd import Tensor
from minigen.backend import Device, to_numpy
from minigen.evaluate import Classifier
from minigen.models import Batch, MLPGenerator
from minigen.models.zoo.dtn import DTN
from minigen.models.zoo.heads import Heads, MLPTrunk
from minigen.nn.module import frozen
from minigen.random import manual_seed

SHAPE = (1, 8, 8)


def small(**weights: float) -> DTN:
    generator = MLPGenerator(SHAPE, 6, 8)
    return DTN(Classifier(SHAPE, width=2, features=6), generator, Heads(MLPTrunk(SHAPE, (8,)), 3), **weights)


def pairs(n: int = 5) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (n, 2, *SHAPE)).astype("float32")


def test_the_losses_are_the_papers(device: Device) -> None:
    model, data = small(constancy=5.0, identity=3.0), device.asarray(pairs())
    x, y = data[:, 0], data[:, 1]

    def minus_log(images: Tensor, kind: int) -> float:
        v = model.discriminator(images).numpy().astype(float)
        return float((np.log(np.exp(v).sum(axis=1)) - v[:, kind - 1]).mean())

    model.classifier.eval()
    f = model.classifier.features
    gx, gy = model.generator(f(x)), model.generator(f(y))
    model.train()
    d = minus_log(gx, 1) + minus_log(gy, 2) + minus_log(Tensor(y), 3)
    assert model.discriminator_loss(Batch(data, None))[0].item() == pytest.approx(d, rel=1e-5)
    model.classifier.eval()
    constancy = ((f(x).numpy() - f(gx).numpy()) ** 2).mean()
    identity = ((to_numpy(y) - gy.numpy()) ** 2).mean()
    model.train()
    loss, metrics = model.generator_loss(Batch(data, None))
    assert loss.item() == pytest.approx(minus_log(gx, 3) + minus_log(gy, 3) + 5 * constancy + 3 * identity, rel=1e-5)
    assert float(metrics["constancy"]) == pytest.approx(constancy, rel=1e-4) and constancy > 0


def test_each_player_moves_its_own(check_players: Callable) -> None:
    """Neither moves the classifier, nor its running statistics."""
    check_players(small(), pairs())


@pytest.mark.parametrize("term", ["constancy", "identity"])
def test_each_term_moves_the_generator(term: str) -> None:
    """f-constancy moves G through f, not f."""
    gradients = []
    for weight in (0.0, 1e6):
        manual_seed(0)
        model = small(**{"constancy": 0.0, "identity": 0.0, term: weight})
        with frozen(nn.ModuleList([model.classifier, model.discriminator])):
            model.generator_loss(Batch(pairs(), None))[0].backward()
        assert all(p.grad is None for p in model.classifier.parameters())
        gradients.append(model.generator.net[0].weight.grad.numpy())
    assert abs(gradients[1] - gradients[0]).max() > 1e-3


def test_a_translation_is_the_generator_of_the_features() -> None:
    """In evaluation mode of f, whatever the mode of the model; which keeps its own."""
    model, x = small(), pairs()[:, 0]
    one, many = model(x[:1]).numpy(), model(x).numpy()
    assert one.shape == (1, *SHAPE) and model.classifier.training
    np.testing.assert_allclose(one, many[:1], atol=1e-5)
