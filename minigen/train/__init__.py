"""Training: the loop that all models share, and the steps that it repeats."""

from minigen.train.adversarial import Adversarial, GANWarning
from minigen.train.classifier import trained_classifier
from minigen.train.loop import Diverged, Step, train
from minigen.train.maximum_likelihood import MaximumLikelihood

__all__ = ["Adversarial", "Diverged", "GANWarning", "MaximumLikelihood", "Step", "train", "trained_classifier"]
