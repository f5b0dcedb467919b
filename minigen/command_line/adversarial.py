"""What the demos of GANs have in common: their flags, and training and showing one on images."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minigen import command_line, data, optim, plot, train
from minigen.backend import manual_seed, separate_random, to_numpy
from minigen.checkpoint import save
from minigen.command_line.judge import judge
from minigen.models import DCGAN, GAN, Tricks
from minigen.models.objectives import OBJECTIVES
from minigen.models.tricks import NOISES


def add_arguments(
    parser: argparse.ArgumentParser, objective: str, objectives: Iterable[str] = OBJECTIVES, judged: bool = True
) -> Any:
    """The flags of every such demo, and with `judged` those that `judge` needs; returns the networks' group."""
    game = parser.add_argument_group("the game")
    game.add_argument("--objective", choices=list(objectives), default=objective, help="what the players minimise")
    game.add_argument("--k", type=command_line.positive, help="discriminator steps for each of the generator's")
    game.add_argument("--penalty", type=float, help="weight of the gradient penalty (default: the objective's own)")
    game.add_argument("--lr", type=float, help="the discriminator's learning rate (default: the objective's own)")
    game.add_argument(
        "--generator-lr", type=float, help="the generator's (default: twice as much; with a critic as much)"
    )
    game.add_argument("--average", type=float, default=0.995, help="decay of the generator's weight average; 0: none")
    tips = parser.add_argument_group("folklore that sometimes helps, off by default")
    tips.add_argument("--noise", choices=NOISES, default="normal", help="distribution of z")
    tips.add_argument("--label-smoothing", type=float, default=0.0, help="the data's label is 1 minus this")
    tips.add_argument("--label-flips", type=float, default=0.0, help="share of labels that are wrong on purpose")
    tips.add_argument("--instance-noise", type=float, default=0.0, help="std of noise on D's input, which decays")
    tips.add_argument("--mixed-batch", action="store_true", help="data and samples in one batch through D, not apart")
    networks = parser.add_argument_group("the networks")
    networks.add_argument("--latent-dim", type=command_line.positive, default=64, help="length of z")
    if not judged:
        return networks
    networks.add_argument("--classes", action="store_true", help="learn p(image | class); a row for each class")
    parser.add_argument_group("at the end").add_argument(
        "--beside",
        nargs="*",
        type=Path,
        default=[Path("runs/gan"), Path("runs/vae")],
        help="folders of other runs whose samples the same classifier judges",
    )
    return networks


def options(args: argparse.Namespace, **changes: Any) -> dict[str, Any]:
    """The GAN's keyword arguments that are flags, with `changes`."""
    tricks = ("noise", "label_smoothing", "label_flips", "instance_noise", "mixed_batch")
    chosen = {name: getattr(args, name) for name in ("objective", "k", "penalty")}
    return chosen | {"tricks": Tricks(**{name: getattr(args, name) for name in tricks})} | changes


def adversarial_step(
    gan: GAN, iterations: int, lr: float | None, generator_lr: float | None, average: float
) -> train.Game:
    """With the optimizer that the objective's paper uses: RMSprop for a clipped critic, otherwise Adam.

    A generator stays behind its discriminator, so its rate is twice as large if not given; a critic is to be ahead.
    """
    clipped, critic = gan.objective.clip is not None, gan.objective.critic
    lr = lr or (5e-5 if clipped else 5e-4)
    rates = (lr, generator_lr or (lr if critic else 2 * lr))
    kind: Any = optim.RMSprop if clipped else partial(optim.Adam, betas=(0.5, 0.9) if critic else (0.5, 0.999))
    optimizers = {
        name: kind(player.module.parameters(), rate)
        for (name, player), rate in zip(gan.players().items(), rates, strict=True)
    }
    gan.tricks = replace(gan.tricks, instance_noise_rounds=max(iterations // 2, 1))
    return train.Game(
        gan,
        optimizers,
        average=optim.WeightEMA(gan.generator, average) if average else None,
        schedule=optim.linear_decay(iterations),
    )


def train_and_draw(gan: GAN, title: str, images: data.Dataset, args: argparse.Namespace) -> np.ndarray:
    """Train, print the table, and draw into --out: samples of the same z after every epoch, and the curves.

    Returns 1,000 samples (1000, C, H, W) with pixels in [0, 1].
    """
    loader = data.Loader(images, args.batch_size * gan.k, pixels="signed", seed=args.seed, drop_last=True)
    step = adversarial_step(gan, args.epochs * len(loader), args.lr, args.generator_lr, args.average)
    meaning, verdicts = "probability of data", ["D(x)", "D(G(z))"]
    if gan.objective_name in ("least-squares", "hinge"):
        meaning = "mean output of D"
    if gan.objective.critic:
        meaning, verdicts = "critic(x) - critic(G(z)), estimates W", ["wasserstein"]
    frames = args.out / "epochs"
    rows = 10 if gan.classes is None else gan.classes
    labels = None if gan.classes is None else np.arange(rows).repeat(10)
    with separate_random(args.seed):
        z = gan.noise(10 * rows)

    def after_epoch() -> dict[str, float]:
        frames.mkdir(exist_ok=True)
        with step.averaged():
            samples = shown(gan.sample(labels=labels, z=z).data)
        plot.save_grid(samples, frames / f"{step.rounds // len(loader):04d}.png", columns=10)
        return {}

    def draw(epoch: int) -> None:
        panels = {"loss": ["d_loss", "g_loss"], "norm of the gradient": ["d_grad", "g_grad"], meaning: verdicts}
        plot.save_curves(args.out / "log.jsonl", args.out / "curves.png", panels)

    names = ["d_loss", "g_loss", *verdicts, "diversity"]

    def report(record: dict) -> str:
        metrics = "  ".join(f"{record['train'][name]:11.3f}" for name in names)
        return f"{record['epoch']:5d}  {metrics}  {record['seconds']:7.1f}"

    print(f"{title} on {args.dataset}, {len(images)} training images; {gan.objective_name}, k = {gan.k}")
    print("epoch  " + "  ".join(f"{name:>11}" for name in names) + "  seconds")
    train.train(
        step,
        loader,
        epochs=args.epochs,
        out=args.out,
        evaluate=after_epoch,
        draw=draw,
        report=report,
        resume=args.resume,
        settings=command_line.settings_of(args),
    )
    save_history(sorted(frames.glob("*.png")), args.out)
    with step.averaged():
        save(gan, args.out / "weights.safetensors")
        of_each = None if gan.classes is None else np.arange(1000) * gan.classes // 1000
        return shown(gan.sample(1000, of_each).data)


def run_dcgan(title: str, args: argparse.Namespace) -> None:
    """Train a DCGAN, draw, and judge its samples."""
    manual_seed(args.seed)
    images, test_images = command_line.datasets(args)
    classes = len(images.classes) if args.classes else None
    gan = DCGAN(images.image_shape, args.latent_dim, args.features, classes=classes, **options(args))
    judge(train_and_draw(gan, title, images, args), images, test_images, args)


def shown(x: Any) -> np.ndarray:
    """Pixels from [-1, 1] to [0, 1]."""
    return (to_numpy(x) + 1) / 2


def save_history(frames: list[Path], out: Path) -> None:
    """The samples after every epoch as an animation, and the last ones as a picture."""
    from PIL import Image

    pictures = [np.asarray(Image.open(frame).convert("RGB")) for frame in frames]
    plot.save_animation(pictures, out / "samples.gif", milliseconds=200)
    (out / "samples.png").write_bytes(frames[-1].read_bytes())
