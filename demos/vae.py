"""A variational autoencoder learns images (Kingma and Welling 2014).

Trains on the 8,000 digits that come with minigen and, in the folder --out, draws samples, reconstructions beside the
originals, the learned manifold (with --latent-dim 2) and the curves, as it goes. Prints -ELBO on the test images in
nats per image and in bits per dimension, and at the end the tighter importance-weighted bound.

With --weights a trained model draws in seconds, and calculates in its latent space as `latent.py` does (thin 3 - thin 7
+ bold 7 = bold 3); with --image 5, or a file, it reconstructs that image, bounds its nats, and walks through the latent
space from its code.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import NormalDist

import numpy as np

import minigen
from common import analogies, figures, flags, judge, tables, training
from minigen import data, evaluate, no_grad, optim, plot, train
from minigen.backend import Array, to_numpy
from minigen.models import VAE
from minigen.models.likelihoods import LIKELIHOODS
from minigen.models.vae import ARCHITECTURES
from minigen.random import separate_random


def run(args: argparse.Namespace) -> None:
    minigen.manual_seed(args.seed)
    images, test_images = flags.datasets(args)

    vae = flags.new_or_loaded(args, images, VAE, lambda: new_vae(args, images))
    elbo = lambda x, labels: vae.elbo(x)
    bound = lambda x, labels: vae.log_prob(x, args.importance_samples)

    pixels = vae.likelihood.pixels
    loader = data.Loader(images, args.batch_size, pixels=pixels, seed=args.seed)
    test = data.Loader(test_images, 500, pixels=pixels, shuffle=False, seed=args.seed, binarization="fixed")
    table = tables.LikelihoodTable(test, levels=256, columns=("loss, nats", "-ELBO"), metric="-elbo")
    scale = 1 / 255 if pixels == "levels" else 1  # from the decoder's units to pixels in [0, 1]

    draw = lambda: draw_samples(vae, test, scale, args.out)
    if args.weights is None:
        schedule = optim.linear_decay(args.epochs * len(loader))
        step = train.MaximumLikelihood(vae, optim.Adam(vae.parameters(), args.lr), schedule=schedule)
        evaluation = lambda: {"-elbo": -evaluate.mean_over(test, elbo, vae)}
        training.learn("VAE", step, loader, table, args, evaluate=evaluation, draw=draw)
    k = args.importance_samples
    results = {
        "-ELBO": -evaluate.mean_over(test, elbo, vae),
        f"importance-weighted bound, K = {k}": -evaluate.mean_over(test, bound, vae, progress=f"bound, K={k}"),
    }
    with flags.own_folder(args.out):
        if args.weights is not None:
            draw()
            if args.image is None:
                draw_signed = lambda z: vae.device.asarray(2 * mean_images(vae, z, scale) - 1)
                noise = lambda n: minigen.randn(n, vae.latent_dim).data
                analogies.calculate(draw_signed, noise, images, test_images, args.out)
        draw_walk(vae, test, scale, args.out)
        judge.save_samples(vae.sample(1000, mean=True).numpy() * scale, args.out)
    table.print_result(results)
    tables.print_place(args)


def new_vae(args: argparse.Namespace, images: data.Dataset) -> VAE:
    """The VAE that the flags describe."""
    sizes = args.latent_dim, args.hidden
    return VAE(images.image_shape, *sizes, args.architecture, args.likelihood, beta=args.beta, draws=args.draws)


@no_grad()
def draw_samples(vae: VAE, test: data.Loader, scale: float, out: Path) -> None:
    """Samples; test images and their reconstructions; of a code of two numbers, the images of all codes."""
    plot.save_grid(vae.sample(100, mean=True).numpy() * scale, out / "samples.png")
    originals = next(test.epoch(0))[0][:48]
    pairs = to_numpy(originals) * scale, vae.reconstruct(originals).numpy() * scale
    plot.save_pairs(*pairs, out / "reconstructions.png", names=("original", "reconstruction"))
    if vae.latent_dim == 2:  # codes at quantiles of the prior, so that equal steps are equally likely
        quantiles = [NormalDist().inv_cdf((i + 0.5) / 20) for i in range(20)]
        z = np.array([(a, b) for b in reversed(quantiles) for a in quantiles], dtype=np.float32)
        figures.save_manifold(mean_images(vae, z, scale), quantiles, out / "manifold.png")


@no_grad()
def draw_walk(vae: VAE, test: data.Loader, scale: float, out: Path) -> None:
    """A round trip from the code of the first test image along five draws from the prior."""
    first, _ = next(test.epoch(0))
    with separate_random(test.seed):
        draws = minigen.randn(5, vae.latent_dim)
    stops = np.concatenate([vae.encode(first[:1]).mean.numpy(), draws.numpy()])
    figures.save_walk(lambda z: mean_images(vae, z, scale), stops, out / "walk.gif")


@no_grad()
def mean_images(vae: VAE, z: Array, scale: float) -> np.ndarray:
    """The mean images (N, C, H, W) of codes z (N, latent_dim), pixels in [0, 1]."""
    return vae.decode(minigen.Tensor(vae.device.asarray(z))).mean.numpy() * scale


def parser() -> flags.Parser:
    result = flags.training_parser(__doc__, out="runs/vae", epochs=40, batch_size=128, quick={"epochs": 8})
    group = result.add_argument_group("the model")
    group.add_argument("--latent-dim", type=flags.positive, default=20, help="length of the code z; 2 draws a manifold")
    group.add_argument("--hidden", type=flags.positive, default=400, help="units of the hidden layers (mlp)")
    group.add_argument("--architecture", choices=ARCHITECTURES, default="mlp", help="fully connected or convolutional")
    group.add_argument("--likelihood", choices=LIKELIHOODS, default="bernoulli", help="what a pixel is; see VAE")
    group.add_argument("--beta", type=flags.at_least_zero, default=1.0, help="weight of the KL term")
    group.add_argument(
        "--draws", type=flags.positive, default=1, help="of z for an image in training; several: an IWAE (Burda et al.)"
    )
    group.add_argument(
        "--lr", type=flags.above_zero, default=3e-3, help="Adam's rate, which falls to 0 in the second half"
    )
    group.add_argument("--importance-samples", type=flags.positive, default=100, help="K of the final bound")
    flags.add_image(result)
    return result


if __name__ == "__main__":
    flags.run(run, parser())
