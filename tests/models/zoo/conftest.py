"""What the tests of every page of the zoo share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minigen.backend import to_numpy
from minigen.models import Batch
from minigen.train.game import frozen_but


@pytest.fixture
def check_players() -> Callable[..., None]:
    """`check_players(model, x, labels)`: each loss has derivatives by its player's parameters alone."""

    def check(model: Any, x: Any, labels: Any = None) -> None:
        state = lambda: {name: to_numpy(value).copy() for name, value in model.state_dict().items()}
        before = state()
        for name, player in model.players().items():
            with frozen_but(player.module, model):
                player.loss(Batch(x, model.noise(len(x)), labels))[0].backward()
            own = {id(p) for p in player.module.parameters()}
            for parameter_name, p in model.named_parameters():
                moved = p.grad is not None and bool(abs(to_numpy(p.grad.data)).max() > 0)
                assert moved == (id(p) in own), f"the loss of {name} and {parameter_name}"
                p.grad = None
        for name, value in state().items():
            np.testing.assert_array_equal(value, before[name], err_msg=name)

    return check
