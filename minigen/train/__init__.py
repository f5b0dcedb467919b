"""Training: the loop that all models share, and the steps that it repeats."""

from minigen.train.adversarial import Adversarial, GANWarning
from minigen.train.loop import Interrupted, Step, train
from minigen.train.maximum_likelihood import MaximumLikelihood
from minigen.train.run import Diverged

__all__ = ["Adversarial", "Diverged", "GANWarning", "Interrupted", "MaximumLikelihood", "Step", "train"]
