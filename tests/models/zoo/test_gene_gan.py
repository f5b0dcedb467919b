"""GeneGAN: who the parents of each image are, the losses by the paper, the scales of the authors' code."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from minigen import ops, optim, train
from minigen.autograd import Tensor
from minigen.backend import Device
from minigen.models import Batch
from minigen.models.zoo.gene_gan import GeneGAN

SHAPE = (1, 8, 8)


def pairs(n: int = 4) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (n, 2, *SHAPE)).astype("float32")


def new(**options: str) -> GeneGAN:
    """With larger weights, so that the images of different codes differ."""
    model = GeneGAN(SHAPE, 4, **options)
    for p in model.generator.parameters():
        if p.ndim == 4:
            p.data = 20 * p.data
    return model


def genes(model: GeneGAN, data: object) -> tuple[Tensor, ...]:
    """A, x, B and e in evaluation mode."""
    (a, x), (b, e) = (model.encode(Tensor(data[:, i])) for i in (0, 1))  # type: ignore[index]
    return a, x, b, e


def test_a_quarter_of_the_code_is_the_object() -> None:
    a, x, b, e = genes(new().eval(), pairs(3))
    assert a.shape == b.shape == (3, 6, 2, 2) and x.shape == e.shape == (3, 2, 2, 2)


def test_the_family(device: Device) -> None:
    model, data = new().eval(), device.asarray(pairs())
    a, x, b, e = genes(model, data)
    zero = Tensor(0 * e.data)
    images, found = model.family(data[:, 0], data[:, 1])
    expected = [model.decode(*codes) for codes in ((a, x), (b, zero), (b, x), (a, zero))]
    for image, other in zip([*images, found], [*expected, e], strict=True):
        np.testing.assert_allclose(image.numpy(), other.numpy(), atol=1e-5)
    np.testing.assert_allclose(model.removed(data[:, 0]).numpy(), expected[3].numpy(), atol=1e-5)
    np.testing.assert_allclose(model.moved(data[:, 0], data[:, 1]).numpy(), expected[2].numpy(), atol=1e-5)


@pytest.mark.parametrize("objective", ["wasserstein", "non-saturating"])
def test_the_losses_are_the_papers(objective: str, device: Device) -> None:
    """Reconstructions of pixels in [0, 1], and the parallelogram's 0.01 of pixels in [0, 255]."""
    model, data = new(objective=objective).eval(), device.asarray(pairs())
    a, x, b, e = genes(model, data)
    same_ax, same_be, bx, a0 = (model.decode(*codes) for codes in ((a, x), (b, 0.0 * e), (b, x), (a, 0.0 * e)))
    judged = [
        [judge(image).numpy().astype(float) for image in images]
        for judge, images in zip(model.judges, ((Tensor(data[:, 0]), bx), (Tensor(data[:, 1]), a0)), strict=True)
    ]
    softplus = lambda v: np.log1p(np.exp(v))
    if objective == "wasserstein":
        d, g = (sum(f(s, t) for s, t in judged) for f in (lambda s, t: t.mean() - s.mean(), lambda s, t: -t.mean()))
    else:
        d = sum(softplus(-s).mean() + softplus(t).mean() for s, t in judged)
        g = sum(softplus(-t).mean() for _, t in judged)
    assert model.discriminator_loss(Batch(data, None))[0].item() == pytest.approx(d, rel=1e-4, abs=1e-5)
    unit = lambda image: (image.numpy().astype(float) + 1) / 2
    ax, be = unit(Tensor(data[:, 0])), unit(Tensor(data[:, 1]))
    g += abs(unit(same_ax) - ax).mean() + abs(unit(same_be) - be).mean() + abs(e.numpy()).mean()
    g += 0.01 * abs(255 * (ax + be - unit(bx) - unit(a0))).mean()
    assert model.generator_loss(Batch(data, None))[0].item() == pytest.approx(g, rel=1e-4)


def test_each_player_moves_its_own(check_players: Callable) -> None:
    check_players(new(objective="non-saturating").eval(), pairs())


def test_batch_normalisation_does_not_see_which_images_have_the_object() -> None:
    """In training, both kinds are normalised together: e may become 0 while x does not."""
    model, data = new(), pairs()
    (_, e), both = model.family(data[:, 0], data[:, 1]), model.encoder(ops.concat([data[:, 0], data[:, 1]]))
    np.testing.assert_allclose(e.numpy(), both[4:, 6:].numpy(), atol=1e-5)


def test_critics_are_clipped() -> None:
    model = new()
    players = model.players()
    game = train.Game(model, {name: optim.Adam(player.module.parameters(), 0.01) for name, player in players.items()})
    game(pairs(10))
    assert max(abs(p.numpy()).max() for judge in model.judges for p in judge.parameters()) <= 0.01 + 1e-9
