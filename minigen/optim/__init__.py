"""Optimizers, schedules of their learning rates, and averages of weights."""

from minigen.optim.average import WeightEMA
from minigen.optim.base import Optimizer
from minigen.optim.gradient_norm import clip_grad_norm, grad_norm
from minigen.optim.optimizers import SGD, Adam, AdamW, RMSprop
from minigen.optim.schedules import cosine_decay, linear_decay

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Optimizer",
    "RMSprop",
    "WeightEMA",
    "clip_grad_norm",
    "cosine_decay",
    "grad_norm",
    "linear_decay",
]
