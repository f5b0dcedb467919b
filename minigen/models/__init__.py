"""The models, one file for each paper, and what their families share."""

from minigen.models.dcgan import DCGAN, DCGANDiscriminator, DCGANGenerator
from minigen.models.game import Batch, Player
from minigen.models.gan import GAN
from minigen.models.gated_pixelcnn import GatedPixelCNN
from minigen.models.likelihoods import (
    BernoulliLikelihood,
    DiscretizedLogisticLikelihood,
    GaussianLikelihood,
    Likelihood,
)
from minigen.models.mlp_gan import Maxout, MLPDiscriminator, MLPGenerator
from minigen.models.pixelcnn import PixelCNN
from minigen.models.pixelrnn import PixelRNN
from minigen.models.tricks import Tricks
from minigen.models.vae import VAE

__all__ = [
    "DCGAN",
    "GAN",
    "VAE",
    "Batch",
    "BernoulliLikelihood",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "DiscretizedLogisticLikelihood",
    "GatedPixelCNN",
    "GaussianLikelihood",
    "Likelihood",
    "MLPDiscriminator",
    "MLPGenerator",
    "Maxout",
    "PixelCNN",
    "PixelRNN",
    "Player",
    "Tricks",
]
