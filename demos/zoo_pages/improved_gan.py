"""Improved GAN: digits from 100 labels, on convolutional networks; and minibatch discrimination on a ring of Gaussians.

100 images have labels, 10 of each class, and 8,000 have none. Beside the two targets of G stands the same network
trained on the 100 alone; of others, softmax regression on the pixels gets 71 % of the test digits, and 1-NN 67 %. The
aim of 95 % is the paper's setting, with 60,000 images and a hundred times as many rounds.

On the ring, a mode is covered if it is the nearest of at least 50 of 4,000 samples that lie within three standard
deviations. Minibatch discrimination does not help minimax there: one look at a batch tells samples from data, D's loss
stays near 0, and against such a D the minimax loss has no slope (`theory/generator_losses.py`). A plain D leaves G a
gradient.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

import minigen
from common import figures
from minigen.data import toy
from minigen.models import GAN, MLPDiscriminator, MLPGenerator
from minigen.models.zoo.improved_gan import MinibatchDiscriminator
from zoo_pages import Claim, Samples, covered, play, seeds, spread
