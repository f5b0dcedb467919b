"""Training: the loop that all models share, and the steps that it repeats."""

from minigen.train import parallel
from minigen.train.diagnostics import GANWarning
from minigen.train.divergence import Diverged
from minigen.train.game import Game
from minigen.train.interruption import Interrupted
from minigen.train.loop import Step, train
from minigen.train.maximum_likelihood import MaximumLikelihood

__all__ = ["Diverged", "GANWarning", "Game", "Interrupted", "MaximumLikelihood", "Step", "parallel", "train"]
