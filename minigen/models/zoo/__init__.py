"""The GAN zoo: GANs of the lecture's slide, one file a paper; `catalogue` says what became of all 48.

Each page has the idea of its paper, the equation, and what differs from a plain `GAN`. `demos/zoo.py` trains them.
"""

from minigen.models.zoo.adagan import AdaGAN, water_filling
from minigen.models.zoo.autoencoder import AutoencoderDiscriminator, DecoderGenerator
from minigen.models.zoo.b_gan import BGAN
from minigen.models.zoo.bayesian_gan import BayesianGAN
from minigen.models.zoo.began import BEGAN
from minigen.models.zoo.bs_gan import BitGenerator, BoundarySeekingGAN, ContinuousBoundarySeekingGAN
from minigen.models.zoo.c_rnn_gan import CRNNGAN, RecurrentDiscriminator, RecurrentGenerator
from minigen.models.zoo.catalogue import CATALOGUE
from minigen.models.zoo.ebgan import EBGAN, pulling_away
from minigen.models.zoo.f_gan import DIVERGENCES, FGAN, f_divergence
from minigen.models.zoo.gogan import GoGAN
from minigen.models.zoo.improved_gan import MinibatchDiscrimination, MinibatchDiscriminator
from minigen.models.zoo.sghmc_gan import SGHMCGAN

__all__ = [
    "BEGAN",
    "BGAN",
    "CATALOGUE",
    "CRNNGAN",
    "DIVERGENCES",
    "EBGAN",
    "FGAN",
    "SGHMCGAN",
    "AdaGAN",
    "AutoencoderDiscriminator",
    "BayesianGAN",
    "BitGenerator",
    "BoundarySeekingGAN",
    "ContinuousBoundarySeekingGAN",
    "DecoderGenerator",
    "GoGAN",
    "MinibatchDiscrimination",
    "MinibatchDiscriminator",
    "RecurrentDiscriminator",
    "RecurrentGenerator",
    "f_divergence",
    "pulling_away",
    "water_filling",
]
