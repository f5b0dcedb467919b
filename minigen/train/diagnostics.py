"""Warnings of the known ways in which the training of a GAN fails."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

from minigen.models.game import Player, prefix
from minigen.train.run import Metrics


class GANWarning(UserWarning):
    """A sign that the training of a GAN may be failing."""


class Diagnostics:
    """Warnings of known ways to fail, each given once, from running averages of a game's metrics.

    patience    the number of rounds that the averages cover, and of those before the first warning
    """

    def __init__(self, players: Mapping[str, Player], patience: int = 300) -> None:
        self.players, self.patience = players, patience
        self.averages: dict[str, float] = {}
        self.looked = 0
        self.told: set[str] = set()

    def look(self, metrics: Metrics) -> None:
        """Update the averages with the metrics of one round, and warn if necessary."""
        before = self.averages
        share = 1 / min(self.looked + 1, self.patience)
        self.averages = {name: before.get(name, 0.0) * (1 - share) + share * value for name, value in metrics.items()}
        self.looked += 1
        if self.looked < self.patience:
            return
        now = self.averages
        for name, player in self.players.items():
            loss, grad = f"{prefix(name)}_loss", f"{prefix(name)}_grad"
            if player.perfect is not None and now[loss] < player.perfect:
                self.tell(
                    f"the {name}'s loss is near zero ({now[loss]:.2g}): it separates samples from data almost "
                    "perfectly, and the generator learns little. Instance noise, label smoothing or a smaller rate may "
                    "help."
                )
            if metrics[grad] > 100 * before[grad]:
                self.tell(
                    f"the {name}'s gradient has exploded (norm {metrics[grad]:.2g}, before about {before[grad]:.2g}). "
                    "A smaller learning rate may help."
                )
        if now.get("diversity", 1.0) < 0.1:
            self.tell(
                f"the generator emits nearly one image (its samples vary {now['diversity']:.2g} times as much as the "
                "data): mode collapse. Another objective, a smaller rate or a longer average may help."
            )

    def tell(self, message: str) -> None:
        """Warn, once for each kind of message."""
        kind = message.partition("(")[0]
        if kind not in self.told:
            self.told.add(kind)
            warnings.warn(message, GANWarning, stacklevel=4)
