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


CATALOGUE = tuple(
    Entry(*row)
    for row in (
        ("GAN", "1406.2661", "works", "gan.py"),
        ("3D-GAN", "1610.07584", "not yet", "Conv3d and ConvTranspose3d, data of shapes"),
        ("acGAN", "1702.01983", "option", "zoo.py icgan (z refined in a classifier's features)"),
        ("AC-GAN", "1610.09585", "works", "zoo.py ac_gan"),
        ("AdaGAN", "1701.02386", "works", "zoo.py adagan"),
        ("AEGAN", "1703.10094", "option", "zoo.py bigan (its encoder learned after the generator)"),
        ("AffGAN", "1610.04490", "works", "zoo.py aff_gan"),
        ("AL-CGAN", "1612.00215", "not yet", "layouts and attributes of outdoor scenes"),
        ("ALI", "1606.00704", "works", "zoo.py ali"),
        ("AM-GAN", "1703.02000", "option", "zoo.py improved_gan (its target for G)"),
        ("AnoGAN", "1703.05921", "works", "zoo.py anogan"),
        ("ArtGAN", "1702.03410", "option", "zoo.py ac_gan (a decoder of D's features)"),
        ("b-GAN", "1610.02920", "works", "zoo.py b_gan"),
        ("Bayesian GAN", "1702.08896", "works", "zoo.py bayesian_gan sghmc_gan"),
        ("BEGAN", "1703.10717", "works", "zoo.py began"),
        ("BiGAN", "1605.09782", "works", "zoo.py bigan"),
        ("BS-GAN", "1702.08431", "works", "zoo.py bs_gan (its discrete form)"),
        ("CGAN", "1411.1784", "option", "dcgan.py --classes, gan.py --classes"),
        ("CaloGAN", "1705.02355", "not yet", "locally connected layers, data of showers"),
        ("CCGAN", "1611.06430", "works", "zoo.py ccgan"),
        ("CatGAN", "1511.06390", "works", "zoo.py cat_gan"),
        ("CoGAN", "1606.07536", "works", "zoo.py cogan"),
        ("Context-RNN-GAN", "1609.09444", "not yet", "data of diagrams"),
        ("C-RNN-GAN", "1611.09904", "works", "zoo.py c_rnn_gan"),
        ("CS-GAN", "1703.04887", "not yet", "attention, policy gradients, parallel text"),
        ("CVAE-GAN", "1703.10155", "works", "zoo.py cvae_gan"),
        ("CycleGAN", "1703.10593", "works", "zoo.py cycle_gan"),
        ("DTN", "1611.02200", "works", "zoo.py dtn"),
        ("DCGAN", "1511.06434", "works", "dcgan.py"),
        ("DiscoGAN", "1703.05192", "option", "zoo.py cycle_gan (CycleGAN with other losses)"),
        ("DR-GAN", "1705.11136", "works", "zoo.py dr_gan"),
        ("DualGAN", "1704.02510", "option", "zoo.py cycle_gan (CycleGAN with Wasserstein critics)"),
        ("EBGAN", "1609.03126", "works", "zoo.py ebgan"),
        ("f-GAN", "1606.00709", "works", "zoo.py f_gan"),
        ("FF-GAN", "1704.06244", "not yet", "a 3-D model of faces"),
        ("GAWWN", "1610.02454", "not yet", "bilinear sampling, text, key points"),
        ("GeneGAN", "1705.04932", "works", "zoo.py gene_gan"),
        ("Geometric GAN", "1705.02894", "option", "dcgan.py --objective hinge"),
        ("GoGAN", "1704.04865", "works", "zoo.py gogan"),
        ("GP-GAN", "1703.07195", "not yet", "a Poisson solver, photographs"),
        ("IAN", "1609.07093", "option", "zoo.py cvae_gan (an encoder on D's features, three kinds)"),
        ("iGAN", "1609.03552", "option", "zoo.py anogan (a predicted z, then a search under an edit)"),
        ("IcGAN", "1611.06355", "works", "zoo.py icgan"),
        ("ID-CGAN", "1701.05957", "works", "zoo.py id_cgan"),
        ("Improved GAN", "1606.03498", "works", "zoo.py improved_gan (without virtual batch normalisation)"),
        ("InfoGAN", "1606.03657", "works", "zoo.py info_gan"),
        ("LAGAN", "1701.05927", "not yet", "locally connected layers, data of jets"),
        ("LAPGAN", "1506.05751", "works", "zoo.py lapgan"),
    )
)
