"""The GAN zoo: GANs of the lecture's slide, one file a paper; `catalogue` says what became of all 48.

Each page has the idea of its paper, the equation, and what differs from a plain `GAN`. `demos/zoo.py` trains them.
"""

from minigen.models.zoo.adagan import AdaGAN, water_filling
from minigen.models.zoo.ali import ALI
from minigen.models.zoo.anogan import anomaly_error, edit_error
from minigen.models.zoo.autoencoder import AutoencoderDiscriminator
from minigen.models.zoo.bigan import BiGAN, PairDiscriminator
from minigen.models.zoo.bs_gan import BitGenerator, BoundarySeekingGAN
from minigen.models.zoo.catalogue import CATALOGUE
from minigen.models.zoo.cvae_gan import CVAEGAN
from minigen.models.zoo.encoder import GaussianEncoder, Inversion
from minigen.models.zoo.f_gan import DIVERGENCES, FGAN, f_divergence
from minigen.models.zoo.icgan import IcGAN
from minigen.models.zoo.improved_gan import MinibatchDiscrimination, MinibatchDiscriminator

__all__ = [
    "ALI",
    "CATALOGUE",
    "CVAEGAN",
    "DIVERGENCES",
    "FGAN",
    "AdaGAN",
    "AutoencoderDiscriminator",
    "BiGAN",
    "BitGenerator",
    "BoundarySeekingGAN",
    "GaussianEncoder",
    "IcGAN",
    "Inversion",
    "MinibatchDiscrimination",
    "MinibatchDiscriminator",
    "PairDiscriminator",
    "anomaly_error",
    "edit_error",
    "f_divergence",
    "water_filling",
]
