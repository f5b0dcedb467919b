"""CycleGAN, DiscoGAN and DualGAN: the losses by the papers, no pairs, the buffers, the clipped critics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minigen import optim, train
from minigen.autograd import Tensor
from minigen.backend import Device, to_numpy
from minigen.models import Batch
from minigen.models.zoo.cycle_gan import CycleGAN
from minigen.models.zoo.disco_gan import DiscoGAN
from minigen.models.zoo.dual_gan import DualGAN

SHAPE = (1, 8, 8)
every = pytest.mark.parametrize("kind", [CycleGAN, DiscoGAN, DualGAN])


def pairs(n: int = 4) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (n, 2, *SHAPE)).astype("float32")


def outputs(model: CycleGAN, data: Any) -> dict[str, Any]:
    """All images, D's outputs and features that the losses are made of, in float64."""
    x, y = data[:, 0], data[:, 1]
    f, g, (dx, dy) = model.forth, model.back, model.judges
    of = {"x": Tensor(x), "y": Tensor(y), "F(x)": f(x), "G(y)": g(y), "GF(x)": g(f(x)), "FG(y)": f(g(y))}
    of |= {"F(y)": f(y), "G(x)": g(x), "Dx(x)": dx(x), "Dy(y)": dy(y), "Dx(G(y))": dx(g(y)), "Dy(F(x))": dy(f(x))}
    of |= {"fx(x)": dx.features(x), "fx(G(y))": dx.features(g(y))}
    of |= {"fy(y)": dy.features(y), "fy(F(x))": dy.features(f(x))}
    return {name: value.numpy().astype(float) for name, value in of.items()}


def softplus(v: np.ndarray) -> np.ndarray:
    return np.log1p(np.exp(v))


def test_cycle_gan_is_the_papers(device: Device) -> None:
    model = CycleGAN(SHAPE, 2, cycle=7.0, identity=3.0).eval()  # in which buffers return what they are given
    batch = Batch(device.asarray(pairs()), None)
    o = outputs(model, batch.data)
    d = 0.5 * (((o["Dx(x)"] - 1) ** 2).mean() + (o["Dx(G(y))"] ** 2).mean())
    d += 0.5 * (((o["Dy(y)"] - 1) ** 2).mean() + (o["Dy(F(x))"] ** 2).mean())
    assert model.discriminator_loss(batch)[0].item() == pytest.approx(d, rel=1e-4)
    l1 = lambda a, b: abs(o[a] - o[b]).mean()
    g = ((o["Dx(G(y))"] - 1) ** 2).mean() + ((o["Dy(F(x))"] - 1) ** 2).mean()
    cycle = l1("GF(x)", "x") + l1("FG(y)", "y")
    loss, metrics = model.generator_loss(batch)
    assert loss.item() == pytest.approx(g + 7 * cycle + 3 * (l1("F(y)", "y") + l1("G(x)", "x")), rel=1e-4)
    assert float(metrics["cycle"]) == pytest.approx(cycle, rel=1e-4)


def test_disco_gan_is_the_papers(device: Device) -> None:
    model, data = DiscoGAN(SHAPE, 2, early=5).eval(), device.asarray(pairs())
    o = outputs(model, data)
    d = sum(softplus(-o[s]).mean() + softplus(o[t]).mean() for s, t in (("Dx(x)", "Dx(G(y))"), ("Dy(y)", "Dy(F(x))")))
    assert model.discriminator_loss(Batch(data, None))[0].item() == pytest.approx(d, rel=1e-4)
    matching = lambda a, b: ((o[a].mean(axis=0) - o[b].mean(axis=0)) ** 2).mean()
    deceit = 0.1 * (softplus(-o["Dx(G(y))"]).mean() + softplus(-o["Dy(F(x))"]).mean())
    deceit += 0.9 * (matching("fx(x)", "fx(G(y))") + matching("fy(y)", "fy(F(x))"))
    cycle = ((o["GF(x)"] - o["x"]) ** 2).mean() + ((o["FG(y)"] - o["y"]) ** 2).mean()
    for round, r in ((4, 0.01), (5, 0.5)):
        loss, _ = model.generator_loss(Batch(data, None, None, round))
        assert loss.item() == pytest.approx((1 - r) * deceit + r * cycle, rel=1e-4)
    assert [player.steps for player in model.players().values()] == [1, 2]


def test_dual_gan_is_the_papers(device: Device) -> None:
    model, data = DualGAN(SHAPE, 2).eval(), device.asarray(pairs())
    o = outputs(model, data)
    d = o["Dx(G(y))"].mean() - o["Dx(x)"].mean() + o["Dy(F(x))"].mean() - o["Dy(y)"].mean()
    assert model.discriminator_loss(Batch(data, None))[0].item() == pytest.approx(d, rel=1e-3, abs=1e-5)
    cycle = abs(o["GF(x)"] - o["x"]).mean() + abs(o["FG(y)"] - o["y"]).mean()
    g = -o["Dx(G(y))"].mean() - o["Dy(F(x))"].mean() + 500 * cycle
    assert model.generator_loss(Batch(data, None))[0].item() == pytest.approx(g, rel=1e-4)


@every
def test_nothing_depends_on_pairs(kind: type[CycleGAN]) -> None:
    """The second domain in another order: the losses are the same."""
    model, x = kind(SHAPE, 2).eval(), pairs()
    other = x.copy()
    other[:, 1] = x[::-1, 1]
    for loss in (model.discriminator_loss, model.generator_loss):
        assert loss(Batch(x, None))[0].item() == pytest.approx(loss(Batch(other, None))[0].item(), rel=1e-5)


@pytest.mark.parametrize("kind", [CycleGAN, DiscoGAN])  # the last bias of a critic has no derivative
def test_each_player_moves_its_own(kind: type[CycleGAN], check_players: Callable) -> None:
    check_players(kind(SHAPE, 2).eval(), pairs())


def test_the_discriminators_get_older_translations(device: Device) -> None:
    """From the buffers, which fill up and then exchange; the generators' loss does not touch them."""
    model = CycleGAN(SHAPE, 2, capacity=4)
    x = device.asarray(pairs())
    model.generator_loss(Batch(x, None))
    assert not any(to_numpy(buffer.images.data).any() for buffer in model.buffers)
    model.discriminator_loss(Batch(x, None))
    for buffer, translation, real in zip(model.buffers, (model.back, model.forth), (x[:, 1], x[:, 0]), strict=True):
        np.testing.assert_allclose(to_numpy(buffer.images.data), translation(real).numpy(), atol=1e-6)
        buffer.images.data[...] = 0.5
    model.discriminator_loss(Batch(x, None, None, 9))
    for buffer in model.buffers:
        old = (to_numpy(buffer.images.data) == 0.5).all(axis=(1, 2, 3)).sum()
        assert 0 < old < 4


@every
def test_a_few_rounds(kind: type[CycleGAN]) -> None:
    """Every parameter moves, the buffers fill, critics stay clipped."""
    model = kind(SHAPE, 2)
    before = {name: p.numpy().copy() for name, p in model.named_parameters()}
    players = model.players()
    game = train.Game(model, {name: optim.Adam(player.module.parameters(), 0.01) for name, player in players.items()})
    for _ in range(2):
        game(pairs(20))
    for name, p in model.named_parameters():
        assert (p.numpy() != before[name]).any(), name
    assert all(to_numpy(buffer.images.data).any() for buffer in model.buffers)
    if kind is DualGAN:
        assert max(abs(p.numpy()).max() for judge in model.judges for p in judge.parameters()) <= 0.01 + 1e-9
