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
from minigen.models.zoo.cogan import CoGAN
from minigen.models.zoo.cycle_gan import CycleGAN
from minigen.models.zoo.disco_gan import DiscoGAN
from minigen.models.zoo.dr_gan import DRGAN
from minigen.models.zoo.dtn import DTN
from minigen.models.zoo.dual_gan import DualGAN
from minigen.models.zoo.f_gan import DIVERGENCES, FGAN, f_divergence
from minigen.models.zoo.gene_gan import GeneGAN
from minigen.models.zoo.heads import ConvTrunk, Heads, Labelled, MLPTrunk
from minigen.models.zoo.id_cgan import IDCGAN
from minigen.models.zoo.image_buffer import ImageBuffer
from minigen.models.zoo.improved_gan import ImprovedGAN, MinibatchDiscrimination, MinibatchDiscriminator
from minigen.models.zoo.info_gan import InfoGAN
from minigen.models.zoo.lapgan import LAPGAN, DetailGenerator, Level

__all__ = [
    "ACGAN",
    "CATALOGUE",
    "CCGAN",
    "DIVERGENCES",
    "DRGAN",
    "DTN",
    "FGAN",
    "IDCGAN",
    "LAPGAN",
    "AdaGAN",
    "AffGAN",
    "AutoencoderDiscriminator",
    "BitGenerator",
    "BoundarySeekingGAN",
    "CatGAN",
    "CoGAN",
    "ConvTrunk",
    "CycleGAN",
    "DetailGenerator",
    "DiscoGAN",
    "DualGAN",
    "GeneGAN",
    "Heads",
    "ImageBuffer",
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
