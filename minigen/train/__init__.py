"""Training: the loop that all models share, and the steps that it repeats."""

from minigen.train.classifier import trained_classifier
from minigen.train.diagnostics import GANWarning
from minigen.train.game import Game
from minigen.train.loop import Diverged, Step, train
from minigen.train.maximum_likelihood import MaximumLikelihood

__all__ = ["Diverged", "GANWarning", "Game", "MaximumLikelihood", "Step", "train", "trained_classifier"]
