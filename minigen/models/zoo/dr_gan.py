r"""DR-GAN: disentangled representation learning GAN (Tran et al. 2017, arXiv 1705.11136).

Idea: draw the person of a given image in another pose. A code that has to serve for every pose holds no pose.

G is an encoder and a decoder: with the code f(x), a pose c and noise z it draws G(x, c, z) = decoder(f(x), z, c). D has
two heads, p(i | x) of K identities and one class more, the samples, and p(c | x) of the poses. With an image's identity
y and pose v, and a pose c at random:

    D minimises   -E log p(i = y | x) - E log p(c = v | x) - E log p(i = K + 1 | G(x, c, z))
    G minimises   -E log p(i = y | G(x, c, z)) - E log p(c | G(x, c, z))

Here the identity is a digit, and the pose is its colour.

What differs from AC-GAN: G sees an image, the class of samples is one of the identities' head, and there are
two labels.
"""

from __future__ import annotations

from typing import Any

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad, raw
from minigen.backend import Array
from minigen.models.game import Batch, Player
from minigen.models.zoo.heads import Heads
from minigen.nn.module import evaluating
from minigen.random import normal, random_generator


class DRGAN(nn.Module):
    """An encoder x -> f (N, code), a decoder (f with z, c) -> images, and D = `Heads(trunk, identities + 1, poses)`.

    The decoder is a generator whose `latent_dim` is the length of f and z together, and whose `classes` are the poses.
    A label of the data is identity * poses + pose.
    """

    def __init__(self, encoder: nn.Module, decoder: nn.Module, discriminator: Heads, noise_dim: int = 16) -> None:
        self.encoder, self.decoder, self.discriminator = encoder, decoder, discriminator
        self.noise_dim = noise_dim
        self.poses: int = decoder.classes  # type: ignore[attr-defined]

    def players(self) -> dict[str, Player]:
        """The discriminator, and then the generator: encoder and decoder."""
        generator = nn.ModuleList([self.encoder, self.decoder])
        return {
            "discriminator": Player(self.discriminator, self.discriminator_loss),
            "generator": Player(generator, self.generator_loss),
        }

    def noise(self, n: int) -> tuple[Tensor, Array]:
        """`n` draws of z (n, noise_dim) and of poses (n,)."""
        z = normal((n, self.noise_dim), dtype=next(self.parameters()).dtype, device=self.device)
        return Tensor(z), self.device.asarray(random_generator().integers(self.poses, size=n))

    def forward(self, x: Any, poses: Any, z: Any) -> Tensor:
        """The images x (N, C, H, W) in the poses (N,)."""
        return self.decoder(ops.concat([self.encoder(x), z], axis=1), poses)

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What D minimises."""
        x, (z, poses), labels = Tensor(raw(batch.data)), batch.noise, raw(batch.labels)
        with no_grad():
            samples = self(x, poses, z)
        (identity, pose), (of_samples, _) = self.discriminator(x), self.discriminator(samples)
        real = ops.cross_entropy(identity, labels // self.poses) + ops.cross_entropy(pose, labels % self.poses)
        none = labels * 0 + identity.shape[1] - 1
        return real + ops.cross_entropy(of_samples, none), {}

    def generator_loss(self, batch: Batch) -> tuple[Tensor, dict[str, Array]]:
        """What G minimises."""
        (z, poses), labels = batch.noise, raw(batch.labels)
        identity, pose = self.discriminator(self(Tensor(raw(batch.data)), poses, z))
        return ops.cross_entropy(identity, labels // self.poses) + ops.cross_entropy(pose, poses), {}

    def loss(self, images: Any, labels: Any) -> Tensor:
        """D's loss on images (N, C, H, W) and as many in new poses."""
        return self.discriminator_loss(Batch(images, self.noise(len(images)), labels))[0]

    @no_grad()
    def turned(self, x: Any, poses: Any) -> Tensor:
        """The images x in other poses, in evaluation mode."""
        z, _ = self.noise(len(x))
        with evaluating(self):
            return self(Tensor(raw(x)), poses, z)
