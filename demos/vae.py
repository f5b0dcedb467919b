"""A variational autoencoder learns images (Kingma and Welling 2014).

Trains on the 8,000 digits that come with minigen and, in the folder --out, draws samples, reconstructions beside the
originals, the learned manifold (with --latent-dim 2) and the curves, as it goes. Prints -ELBO on the test images in
nats per image and in bits per dimension, and at the end the tighter importance-weighted bound.
"""

from __future__ import annotations

import argparse

import numpy as np

import minigen
from minigen import command_line, data, evaluate, optim, plot, train
from minigen.autograd import Tensor, no_grad
from minigen.command_line.judge import save_samples
from minigen.models import VAE
from minigen.models.likelihoods import LIKELIHOODS
from minigen.models.vae import ARCHITECTURES

PIXELS = {"bernoulli": "binary", "gaussian": "unit", "levels": "levels"}


def main() -> None:
    parser = command_line.argument_parser(__doc__, out="runs/vae", epochs=40, batch_size=128)
    group = parser.add_argument_group("the model")
    group.add_argument(
        "--latent-dim", type=command_line.positive, default=20, help="length of the code z; 2 draws the manifold"
    )
    group.add_argument("--hidden", type=command_line.positive, default=400, help="units of the hidden layers (mlp)")
    group.add_argument("--architecture", choices=ARCHITECTURES, default="mlp", help="fully connected or convolutional")
    group.add_argument("--likelihood", choices=LIKELIHOODS, default="bernoulli", help="what a pixel is; see VAE")
    group.add_argument("--beta", type=float, default=1.0, help="weight of the KL term")
    group.add_argument("--lr", type=float, default=2e-3, help="Adam's learning rate")
    group.add_argument("--importance-samples", type=command_line.positive, default=100, help="K of the final bound")
    args = parser.parse_args()
    with command_line.errors_without_traceback(), minigen.device(args.device):
        run(args)


def run(args: argparse.Namespace) -> None:
    minigen.manual_seed(args.seed)
    digits, test_digits = command_line.datasets(args)
    pixels = PIXELS[args.likelihood]
    scale = 1 / 255 if pixels == "levels" else 1  # from the decoder's units to pixels in [0, 1]
    loader = data.Loader(digits, args.batch_size, pixels=pixels, seed=args.seed)
    test = data.Loader(test_digits, 500, pixels=pixels, shuffle=False, seed=args.seed, binarization="fixed")
    task = {
        "binary": "dynamic binarization for training, one fixed draw of the test images",
        "unit": "log density of real-valued pixels",
        "levels": "256 levels",
    }[pixels]

    vae = VAE(digits.image_shape, args.latent_dim, args.hidden, args.architecture, args.likelihood, beta=args.beta)
    step = train.MaximumLikelihood(vae, optim.Adam(vae.parameters(), args.lr))
    bits = lambda nats: evaluate.bits_per_dim(nats, digits.image_shape)
    elbo_of = lambda images, labels: vae.elbo(images)
    originals = next(test.epoch(0))[0][:48]

    def draw(epoch: int) -> None:
        plot.save_grid(vae.sample(100, mean=True).numpy() * scale, args.out / "samples.png")
        pairs = [x * scale for x in (minigen.backend.to_numpy(originals), vae.reconstruct(originals).numpy())]
        plot.save_pairs(*pairs, args.out / "reconstructions.png")
        if args.latent_dim == 2:
            plot.save_grid(manifold(vae) * scale, args.out / "manifold.png", columns=20, scale=1)
        plot.save_curves(args.out / "log.jsonl", args.out / "curves.png", {"nats per image": ["loss", "-elbo"]})

    def report(record: dict) -> str:
        loss, nats = record["train"]["loss"], record["test"]["-elbo"]
        return f"{record['epoch']:5d}  {loss:10.2f}  {nats:9.2f}  {bits(nats):8.4f}  {record['seconds']:7.1f}"

    print(f"VAE on {args.dataset}, {len(digits)} training and {len(test_digits)} test images; {task}")
    print("              train       test      test")
    print("epoch    loss, nats      -ELBO  bits/dim  seconds")
    train.train(
        step,
        loader,
        epochs=args.epochs,
        out=args.out,
        evaluate=lambda: {"-elbo": -evaluate.mean_over(test, elbo_of, vae)},
        draw=draw,
        report=report,
        resume=args.resume,
        settings=command_line.settings_of(args),
    )
    minigen.save(vae, args.out / "weights.safetensors")
    save_samples(vae.sample(1000, mean=True).numpy() * scale, args.out)

    k = args.importance_samples
    elbo = -evaluate.mean_over(test, elbo_of, vae)
    bound = -evaluate.mean_over(test, lambda x, labels: vae.log_prob(x, k), vae, progress=f"importance-weighted, K={k}")
    print(f"\nOn {len(test_digits)} test images ({task}):")
    print(f"  -ELBO                                 {elbo:8.2f} nats per image  {bits(elbo):.4f} bits per dimension")
    print(f"  importance-weighted bound, K = {k:<6d} {bound:8.2f} nats per image  {bits(bound):.4f} bits per dimension")
    print(f"Figures, log and weights are in {args.out}/")


@no_grad()
def manifold(vae: VAE, side: int = 20) -> np.ndarray:
    """Mean images for codes on a square grid of quantiles of the prior, so that equal steps are equally likely."""
    from statistics import NormalDist

    quantiles = [NormalDist().inv_cdf((i + 0.5) / side) for i in range(side)]
    z = np.array([(a, b) for b in reversed(quantiles) for a in quantiles], dtype=np.float32)
    return vae.decode(Tensor(vae.device.asarray(z))).mean.numpy()


if __name__ == "__main__":
    main()
