"""What the training demos print: a heading, a row after an epoch, and the result."""

from __future__ import annotations

import argparse

import numpy as np

from minigen import data, evaluate
from minigen.models import GAN


class LikelihoodTable:
    """-log p(x) or a bound of it, in nats per image and in bits per dimension.

    `columns` names the training and the test column; `metric` is the name of the latter in the log.
    """

    def __init__(self, test: data.Loader, levels: int, columns: tuple[str, str], metric: str) -> None:
        self.test, self.columns, self.metric = test, columns, metric
        self.task = {
            "binary": "dynamic binarization for training, one fixed draw of the test images",
            "unit": "log density of real-valued pixels",
            "levels": f"{levels} levels",
        }[test.pixels]

    def print_heading(self, model: str, images: data.Dataset, dataset: str) -> None:
        """What is trained on what, and the names of the columns."""
        test_images = self.test.dataset
        print(f"{model} on {dataset}, {len(images)} training and {len(test_images)} test images; {self.task}")
        print("              train       test      test")
        print(f"epoch  {self.columns[0]:>12}  {self.columns[1]:>9}  bits/dim  seconds")

    def row(self, record: dict) -> str:
        """The line for one record of the log."""
        loss, nats = record["train"]["loss"], record["test"][self.metric]
        return f"{record['epoch']:5d}  {loss:12.2f}  {nats:9.2f}  {self.bits(nats):8.4f}  {record['seconds']:7.1f}"

    def print_result(self, results: dict[str, float]) -> None:
        """The final numbers on the test images, each in both units."""
        n = len(self.test.dataset)
        print(f"\nOn {n} test image{'s' * (n > 1)} ({self.task}):")
        for name, nats in results.items():
            print(f"  {name:36}  {nats:8.2f} nats per image  {self.bits(nats):.4f} bits per dimension")

    def panels(self) -> dict[str, list[str]]:
        """The metrics of the log that `plot.save_curves` is to draw."""
        return {"nats per image": ["loss", self.metric]}

    def bits(self, nats: float) -> float:
        """Bits per dimension."""
        return evaluate.bits_per_dim(nats, self.test.dataset.image_shape)


class GameTable:
    """Both players' losses, what the discriminator says of data and samples, and how diverse the samples are."""

    def __init__(self, gan: GAN) -> None:
        self.gan = gan
        self.verdicts = list(gan.objective.metrics(np.zeros(1), np.zeros(1)))  # their names
        self.columns = ["d_loss", "g_loss", *self.verdicts, "diversity"]

    def print_heading(self, model: str, images: data.Dataset, dataset: str) -> None:
        """What is trained on what, and the names of the columns."""
        gan = self.gan
        print(f"{model} on {dataset}, {len(images)} training images; {gan.objective_name}, k = {gan.k}")
        print("epoch  " + "  ".join(f"{name:>11}" for name in self.columns) + "  seconds")

    def row(self, record: dict) -> str:
        """The line for one record of the log."""
        metrics = "  ".join(f"{record['train'][name]:11.3f}" for name in self.columns)
        return f"{record['epoch']:5d}  {metrics}  {record['seconds']:7.1f}"

    def panels(self) -> dict[str, list[str]]:
        """The metrics of the log that `plot.save_curves` is to draw, by what they mean."""
        gradients = ["d_grad", "g_grad"]
        return {
            "loss": ["d_loss", "g_loss"],
            "norm of the gradient": gradients,
            "what the discriminator says": self.verdicts,
        }


def print_place(args: argparse.Namespace) -> None:
    """Where the files of the run are."""
    files = "Figures, log and weights" if args.weights is None else "The figures"
    print(f"{files} are in {args.out}/")
