"""The models: one file a paper."""

from minigen.models.pixelcnn import PixelCNN
from minigen.models.vae import VAE

__all__ = ["VAE", "PixelCNN"]
