"""The models: one file a paper."""

from minigen.models.gated_pixelcnn import GatedPixelCNN
from minigen.models.pixelcnn import PixelCNN
from minigen.models.pixelrnn import PixelRNN
from minigen.models.vae import VAE

__all__ = ["VAE", "GatedPixelCNN", "PixelCNN", "PixelRNN"]
