"""CoGAN: which layers are tied, its losses by the paper, pairs from one z."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import minigen
from minigen.backend import Device
from minigen.models import DCGAN, GAN, Batch, MLPDiscriminator, MLPGenerator
from minigen.models.zoo.cogan import CoGAN


def mlp() -> GAN:
    return GAN(MLPGenerator((1, 2, 2), 3, 8), MLPDiscriminator((1, 2, 2), 8, 2, 2, dropout=0.0))


def pairs(n: int = 6) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (n, 2, 1, 2, 2)).astype("float32")


@pytest.mark.parametrize("new", [mlp, lambda: DCGAN((1, 16, 16), 4, 2)], ids=["MLPs", "DCGAN"])
def test_what_is_tied(new: Callable[[], GAN]) -> None:
    """The generators share all weights but their last layer's, the discriminators all but their first layer's."""
    model = CoGAN(new(), new())
    for network, own in (("generator", -1), ("discriminator", 0)):
        one, two = (
            [layer for layer in getattr(gan, network).net if list(layer.parameters())]
            for gan in (model.first, model.second)
        )
        shared = [a is b for a, b in zip(one, two, strict=True)]
        assert not shared.pop(own) and all(shared) and len(shared) >= 2
    untied = CoGAN(new(), new(), tied=False)
    assert len(list(untied.parameters())) == 2 * len(list(new().parameters())) > len(list(model.parameters()))


def test_the_losses_are_the_papers(device: Device) -> None:
    model = CoGAN(mlp(), mlp())
    x, z = device.asarray(pairs()), model.noise(6)
    softplus, d, g = lambda v: np.log1p(np.exp(v)), 0.0, 0.0
    for i, gan in enumerate((model.first, model.second)):
        s = gan.discriminator(x[:, i]).numpy().astype(float)
        t = gan.discriminator(gan(z)).numpy().astype(float)
        d += softplus(-s).mean() + softplus(t).mean()  # -log D(x) - log(1 - D(G(z)))
        g += softplus(-t).mean()
    loss, metrics = model.discriminator_loss(Batch(x, z))
    assert loss.item() == pytest.approx(d, rel=1e-5) and set(metrics) == {"D(x)", "D(G(z))"}
    assert model.generator_loss(Batch(x, z))[0].item() == pytest.approx(g, rel=1e-5)


@pytest.mark.parametrize("tied", [True, False])
def test_each_player_moves_its_own(check_players: Callable, tied: bool) -> None:
    check_players(CoGAN(mlp(), mlp(), tied=tied), pairs())


def test_a_pair_comes_from_one_z() -> None:
    model = CoGAN(mlp(), mlp())
    model.second.generator.net[4].load_state_dict(model.first.generator.net[4].state_dict())  # their own layers
    x = model.sample(5).numpy()
    assert x.shape == (5, 2, 1, 2, 2) and x[0, 0].tolist() != x[1, 0].tolist()
    np.testing.assert_array_equal(x[:, 0], x[:, 1])


def test_it_is_still_tied_when_it_is_loaded(tmp_path: Path) -> None:
    model = CoGAN(mlp(), mlp())
    minigen.save(model, tmp_path / "weights.safetensors")
    again = CoGAN(mlp(), mlp())
    minigen.load(tmp_path / "weights.safetensors", into=again)
    assert len(list(again.parameters())) == len(list(model.parameters()))
    for (name, p), (_, q) in zip(model.named_tensors(), again.named_tensors(), strict=True):
        np.testing.assert_array_equal(p.numpy(), q.numpy(), err_msg=name)
