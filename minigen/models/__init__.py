"""The models: one file a paper."""

from minigen.models.dcgan import DCGAN
from minigen.models.gan import GAN
from minigen.models.gated_pixelcnn import GatedPixelCNN
from minigen.models.likelihoods import (
    BernoulliLikelihood,
    DiscretizedLogisticLikelihood,
    GaussianLikelihood,
    Likelihood,
)
from minigen.models.pixelcnn import PixelCNN
from minigen.models.pixelrnn import PixelRNN
from minigen.models.vae import VAE

__all__ = [
    "DCGAN",
    "GAN",
    "VAE",
    "BernoulliLikelihood",
    "DiscretizedLogisticLikelihood",
    "GatedPixelCNN",
    "GaussianLikelihood",
    "Likelihood",
    "PixelCNN",
    "PixelRNN",
]
