"""The GAN zoo: GANs of the lecture's slide, one file a paper; `catalogue` says what became of all 48.

Each page has the idea of its paper, the equation, and what differs from a plain `GAN`. `demos/zoo.py` trains them.
"""

from minigen.models.zoo.ac_gan import ACGAN
from minigen.models.zoo.adagan import AdaGAN, water_filling
from minigen.models.zoo.aff_gan import AffGAN
from minigen.models.zoo.ali import ALI
from minigen.models.zoo.anogan import anomaly_error, edit_error
from minigen.models.zoo.autoencoder import AutoencoderDiscriminator, DecoderGenerator
from minigen.models.zoo.b_gan import BGAN
from minigen.models.zoo.bayesian_gan import BayesianGAN
from minigen.models.zoo.began import BEGAN
from minigen.models.zoo.bigan import BiGAN, PairDiscriminator
from minigen.models.zoo.bs_gan import BitGenerator, BoundarySeekingGAN, ContinuousBoundarySeekingGAN
from minigen.models.zoo.c_rnn_gan import CRNNGAN, RecurrentDiscriminator, RecurrentGenerator
from minigen.models.zoo.cat_gan import CatGAN
from minigen.models.zoo.catalogue import CATALOGUE
from minigen.models.zoo.ccgan import CCGAN
from minigen.models.zoo.cogan import CoGAN
from minigen.models.zoo.cvae_gan import CVAEGAN
from minigen.models.zoo.cycle_gan import CycleGAN
from minigen.models.zoo.disco_gan import DiscoGAN
from minigen.models.zoo.dr_gan import DRGAN
from minigen.models.zoo.dtn import DTN
from minigen.models.zoo.dual_gan import DualGAN
from minigen.models.zoo.ebgan import EBGAN, pulling_away
from minigen.models.zoo.encoder import GaussianEncoder, Inversion
from minigen.models.zoo.f_gan import DIVERGENCES, FGAN, f_divergence
from minigen.models.zoo.gene_gan import GeneGAN
from minigen.models.zoo.gogan import GoGAN
from minigen.models.zoo.heads import ConvTrunk, Heads, Labelled, MLPTrunk
from minigen.models.zoo.icgan import IcGAN
from minigen.models.zoo.id_cgan import IDCGAN
from minigen.models.zoo.image_buffer import ImageBuffer
from minigen.models.zoo.improved_gan import ImprovedGAN, MinibatchDiscrimination, MinibatchDiscriminator
from minigen.models.zoo.info_gan import InfoGAN
from minigen.models.zoo.lapgan import LAPGAN, DetailGenerator, Level
from minigen.models.zoo.sghmc_gan import SGHMCGAN

__all__ = [
    "ACGAN",
    "ALI",
    "AdaGAN",
    "AffGAN",
    "AutoencoderDiscriminator",
    "BEGAN",
    "BGAN",
    "BayesianGAN",
    "BiGAN",
    "BitGenerator",
    "BoundarySeekingGAN",
    "CATALOGUE",
    "CCGAN",
    "CRNNGAN",
    "CVAEGAN",
    "CatGAN",
    "CoGAN",
    "ContinuousBoundarySeekingGAN",
    "ConvTrunk",
    "CycleGAN",
    "DIVERGENCES",
    "DRGAN",
    "DTN",
    "DecoderGenerator",
    "DetailGenerator",
    "DiscoGAN",
    "DualGAN",
    "EBGAN",
    "FGAN",
    "GaussianEncoder",
    "GeneGAN",
    "GoGAN",
    "Heads",
    "IDCGAN",
    "IcGAN",
    "ImageBuffer",
    "ImprovedGAN",
    "InfoGAN",
    "Inversion",
    "LAPGAN",
    "Labelled",
    "Level",
    "MLPTrunk",
    "MinibatchDiscrimination",
    "MinibatchDiscriminator",
    "PairDiscriminator",
    "RecurrentDiscriminator",
    "RecurrentGenerator",
    "SGHMCGAN",
    "anomaly_error",
    "edit_error",
    "f_divergence",
    "pulling_away",
    "water_filling",
]
