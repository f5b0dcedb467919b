"""Diagnostics: each kind of warning at its bound, once, and none without a reason."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from minigen.models import GAN, MLPDiscriminator, MLPGenerator, Player
from minigen.models.objectives import OBJECTIVES
from minigen.optim import SGD
from minigen.train import Game, GANWarning
from minigen.train.diagnostics import Diagnostics

every_objective = pytest.mark.parametrize("objective", OBJECTIVES)
HEALTHY = {"d_loss": 0.7, "g_loss": 1.0, "d_grad": 1.0, "g_grad": 1.0, "diversity": 0.8}


def gan(objective: str) -> GAN:
    return GAN(MLPGenerator((2,), 3, 4, 1), MLPDiscriminator((2,), 4, 1), objective, k=1)


def warned(
    objective: str, *metrics: dict[str, float], healthy: int = 5, patience: int = 5, players: Any = None
) -> list[str]:
    """What is said while healthy metrics are followed by these."""
    diagnostics = Diagnostics(players or gan(objective).players(), patience)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for change in (*[{}] * healthy, *metrics):
            diagnostics.look(HEALTHY | change)
    assert all(w.category is GANWarning for w in caught)
    return [str(w.message) for w in caught]


@every_objective
def test_healthy_metrics_raise_no_warning(objective: str) -> None:
    random = np.random.default_rng(0)
    noisy = [{name: value * random.uniform(0.3, 3) for name, value in HEALTHY.items()} for _ in range(50)]
    assert warned(objective, *noisy) == []


@every_objective
def test_a_discriminators_loss_near_zero(objective: str) -> None:
    """Not that of a critic, which has no such bound: its loss is minus a distance."""
    critic = objective.startswith("wasserstein")
    for loss, warns in ((0.015, True), (0.025, False), (-3.0, True)):
        told = warned(objective, *[{"d_loss": loss}] * 40)
        assert len(told) == (warns and not critic), (loss, told)
        assert all(text.startswith("the discriminator's loss is near zero (") for text in told)
    assert warned(objective, {"d_loss": 0.0}) == []  # a single batch is nothing


@pytest.mark.parametrize(("metric", "owner"), [("d_grad", "discriminator"), ("g_grad", "generator")])
def test_a_gradient_that_explodes(metric: str, owner: str) -> None:
    (told,) = warned("minimax", {metric: 101.0}, {}, {metric: 1e9})  # once
    assert told.startswith(f"the {owner}'s gradient has exploded (norm 1e+02, before about 1)")
    assert warned("minimax", {metric: 99.0}) == []
    assert warned("minimax", *({metric: 2.0**i} for i in range(20))) == []  # growing bit by bit


def test_a_generator_that_emits_one_image() -> None:
    (told,) = warned("hinge", *[{"diversity": 0.08}] * 40)
    assert told.startswith("the generator emits nearly one image (its samples vary 0.0") and "mode collapse" in told
    assert warned("hinge", *[{"diversity": 0.12}] * 40) == []
    assert warned("hinge", {"diversity": 0.0}) == []


def test_nothing_is_said_before_there_is_an_average() -> None:
    bad = {"d_loss": 0.0, "diversity": 0.0}
    assert warned("minimax", *[bad] * 4, healthy=0) == []
    assert len(warned("minimax", *[bad] * 6, healthy=0)) == 2
    assert len(warned("minimax", *[bad | {"g_grad": 1e3, "d_grad": 1e3}], *[bad] * 40)) == 4  # each kind, once


def test_other_players_and_other_bounds() -> None:
    """A bound belongs to a player; and without samples in the game nothing is said of their diversity."""
    loss: Any = lambda batch: None
    net = MLPGenerator((2,), 3)
    players = {"discriminator_b": Player(net, loss, perfect=-5.0), "encoder": Player(net, loss)}
    usual = {"d_b_loss": 0.0, "d_b_grad": 1.0, "e_loss": 0.0, "e_grad": 1.0}
    diagnostics = Diagnostics(players, patience=5)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for change in (*[{}] * 5, {"e_grad": 101.0}, *[{"d_b_loss": -6.0}] * 40):
            diagnostics.look(usual | change)
    said = [str(w.message).partition(" (")[0] for w in caught]
    assert said == ["the encoder's gradient has exploded", "the discriminator_b's loss is near zero"]


def test_a_round_warns() -> None:
    """Where it is called from."""
    model = gan("minimax")
    model.generator.net[2].weight.data[...] = 0.0  # the same point for every z
    step = Game(model, {name: SGD(player.module.parameters(), 1e-12) for name, player in model.players().items()})
    step.diagnostics = Diagnostics(step.players, patience=2)
    x = np.array([[1.0, 3.0], [-1.0, -3.0]], "float32")
    step(x)
    with pytest.warns(GANWarning, match=r"^the generator emits nearly one image") as caught:
        step(x)
    assert [w.filename for w in caught] == [__file__]
