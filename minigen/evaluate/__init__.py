"""Figures that say how good a model is."""

from minigen.distributions import bits_per_dim
from minigen.evaluate.likelihood import mean_over
from minigen.nn.module import evaluating

__all__ = ["bits_per_dim", "evaluating", "mean_over"]
