"""The GAN zoo: GANs of the lecture's slide, one file a paper; `catalogue` says what became of all 48.

Each page has the idea of its paper, the equation, and what differs from a plain `GAN`. `demos/zoo.py` trains them.
"""

from minigen.models.zoo.ac_gan import ACGAN
from minigen.models.zoo.adagan import AdaGAN, water_filling
from minigen.models.zoo.aff_gan import AffGAN
from minigen.models.zoo.autoencoder import AutoencoderDiscriminator
from minigen.models.zoo.bs_gan import BitGenerator, BoundarySeekingGAN
from minigen.models.zoo.cat_gan import CatGAN
from minigen.models.zoo.catalogue import CATALOGUE
from minigen.models.zoo.ccgan import CCGAN
from minigen.models.zoo.dr_gan import DRGAN
from minigen.models.zoo.f_gan import DIVERGENCES, FGAN, f_divergence
from minigen.models.zoo.heads import ConvTrunk, Heads, Labelled, MLPTrunk
from minigen.models.zoo.id_cgan import IDCGAN
from minigen.models.zoo.improved_gan import ImprovedGAN, MinibatchDiscrimination, MinibatchDiscriminator
from minigen.models.zoo.info_gan import InfoGAN
from minigen.models.zoo.lapgan import LAPGAN, DetailGenerator, Level

__all__ = [
    "ACGAN",
    "CATALOGUE",
    "CCGAN",
    "DIVERGENCES",
    "DRGAN",
    "FGAN",
    "IDCGAN",
    "LAPGAN",
    "AdaGAN",
    "AffGAN",
    "AutoencoderDiscriminator",
    "BitGenerator",
    "BoundarySeekingGAN",
    "CatGAN",
    "ConvTrunk",
    "DetailGenerator",
    "Heads",
    "ImprovedGAN",
    "InfoGAN",
    "Labelled",
    "Level",
    "MLPTrunk",
    "MinibatchDiscrimination",
    "MinibatchDiscriminator",
    "f_divergence",
    "water_filling",
]
