"""The 48 GANs of the lecture's slide, "The GAN Zoo", in its order, and the state of each here.

works    a page of `minigen.models.zoo`, or a model of `minigen.models`; `where` says how to train it
option   an option of another model; `where` says which
not yet  what it needs
"""

from __future__ import annotations

from typing import NamedTuple


class Entry(NamedTuple):
    name: str
    paper: str
    """its number on arXiv"""
    state: str
    where: str


_HEADS = "a discriminator with a trunk and heads"
_ENCODER = "an encoder as a player"
_TRANSLATION = "two domains from disjoint halves, two GANs in one game"

CATALOGUE = tuple(
    Entry(*row)
    for row in (
        ("GAN", "1406.2661", "works", "gan.py"),
        ("3D-GAN", "1610.07584", "not yet", "Conv3d and ConvTranspose3d, data of shapes"),
        ("acGAN", "1702.01983", "not yet", "IcGAN; z refined in a classifier's features"),
        ("AC-GAN", "1610.09585", "works", "zoo.py ac_gan"),
        ("AdaGAN", "1701.02386", "works", "zoo.py adagan"),
        ("AEGAN", "1703.10094", "not yet", "BiGAN; its encoder trained after the generator"),
        ("AffGAN", "1610.04490", "works", "zoo.py aff_gan"),
        ("AL-CGAN", "1612.00215", "not yet", "layouts and attributes of outdoor scenes"),
        ("ALI", "1606.00704", "not yet", _ENCODER),
        ("AM-GAN", "1703.02000", "option", "zoo.py improved_gan (its target for G)"),
        ("AnoGAN", "1703.05921", "not yet", "a held-out digit, a search for z in D's features"),
        ("ArtGAN", "1702.03410", "option", "zoo.py ac_gan (a decoder of D's features)"),
        ("b-GAN", "1610.02920", "not yet", "a Bregman divergence in f-GAN's place"),
        ("Bayesian GAN", "1702.08896", "not yet", "an estimated log ratio r(x, z), a toy with a known posterior"),
        ("BEGAN", "1703.10717", "not yet", "a discriminator that is an autoencoder"),
        ("BiGAN", "1605.09782", "not yet", _ENCODER),
        ("BS-GAN", "1702.08431", "works", "zoo.py bs_gan (its discrete form)"),
        ("CGAN", "1411.1784", "option", "dcgan.py --classes, gan.py --classes"),
        ("CaloGAN", "1705.02355", "not yet", "locally connected layers, data of showers"),
        ("CCGAN", "1611.06430", "works", "zoo.py ccgan"),
        ("CatGAN", "1511.06390", "works", "zoo.py cat_gan"),
        ("CoGAN", "1606.07536", "not yet", "two domains, networks that share layers"),
        ("Context-RNN-GAN", "1609.09444", "not yet", "data of diagrams"),
        ("C-RNN-GAN", "1611.09904", "not yet", "an LSTM generator, a bidirectional LSTM discriminator"),
        ("CS-GAN", "1703.04887", "not yet", "attention, policy gradients, parallel text"),
        ("CVAE-GAN", "1703.10155", "not yet", f"{_ENCODER}, features of a classifier"),
        ("CycleGAN", "1703.10593", "not yet", _TRANSLATION),
        ("DTN", "1611.02200", "not yet", "two domains, a fixed classifier inside the generator"),
        ("DCGAN", "1511.06434", "works", "dcgan.py"),
        ("DiscoGAN", "1703.05192", "not yet", "CycleGAN with other losses"),
        ("DR-GAN", "1705.11136", "works", "zoo.py dr_gan"),
        ("DualGAN", "1704.02510", "not yet", "CycleGAN with Wasserstein critics"),
        ("EBGAN", "1609.03126", "not yet", "a discriminator that is an autoencoder"),
        ("f-GAN", "1606.00709", "works", "zoo.py f_gan"),
        ("FF-GAN", "1704.06244", "not yet", "a 3-D model of faces"),
        ("GAWWN", "1610.02454", "not yet", "bilinear sampling, text, key points"),
        ("GeneGAN", "1705.04932", "not yet", "an encoder with split codes, pasted bars"),
        ("Geometric GAN", "1705.02894", "option", "dcgan.py --objective hinge"),
        ("GoGAN", "1704.04865", "not yet", "a margin for WGAN, stages that outrank earlier ones"),
        ("GP-GAN", "1703.07195", "not yet", "a Poisson solver, photographs"),
        ("IAN", "1609.07093", "not yet", "an encoder on D's features, a discriminator of three classes"),
        ("iGAN", "1609.03552", "not yet", "a predicted z, then a search under edits"),
        ("IcGAN", "1611.06355", "not yet", "two encoders of a CGAN"),
        ("ID-CGAN", "1701.05957", "works", "zoo.py id_cgan"),
        ("Improved GAN", "1606.03498", "works", "zoo.py improved_gan (without virtual batch normalisation)"),
        ("InfoGAN", "1606.03657", "works", "zoo.py info_gan"),
        ("LAGAN", "1701.05927", "not yet", "locally connected layers, data of jets"),
        ("LAPGAN", "1506.05751", "works", "zoo.py lapgan"),
    )
)
