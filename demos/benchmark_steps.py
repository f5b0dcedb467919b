"""Whole training steps (forward, backward, Adam) beside PyTorch's, in turn in one process.

    pip install -e ".[bench]" && python demos/benchmark_steps.py

Both use float32 and the same number of threads, and start from the same weights. Shared machines are noisy: look at the
ratios, and at the minimum as well as the median. Without PyTorch only minigen is timed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable

THREADS = int(os.environ.setdefault("OMP_NUM_THREADS", str(len(os.sched_getaffinity(0)))))

import numpy as np  # noqa: E402  (after the number of threads is set)

import minigen  # noqa: E402
from minigen import nn, ops, optim  # noqa: E402

try:
    import torch
except ImportError:
    torch = None


def vae_layers(library) -> list:
    """The encoder and the decoder of a VAE 784-400-20-400-784."""
    return [library.Linear(784, 400), library.Linear(400, 40), library.Linear(20, 400), library.Linear(400, 784)]


def vae() -> tuple[Callable, Callable | None]:
    """A step of the VAE at batch 128."""
    x = (np.random.default_rng(0).random((128, 784)) < 0.2).astype(np.float32)
    noise = np.random.default_rng(1).standard_normal((128, 20)).astype(np.float32)

    net = nn.Sequential(*vae_layers(nn))
    adam = optim.Adam(net.parameters(), 1e-3)

    def ours() -> float:
        a, b, c, d = net
        mean, log_var = ops.split(b(ops.relu(a(minigen.Tensor(x)))), 2, axis=1)
        z = mean + ops.exp(0.5 * log_var) * noise
        logits = d(ops.relu(c(z)))
        kl = 0.5 * ops.sum(ops.square(mean) + ops.exp(log_var) - 1.0 - log_var)
        loss = (ops.binary_cross_entropy_with_logits(logits, minigen.Tensor(x), reduction="sum") + kl) * (1 / 128)
        adam.zero_grad()
        loss.backward()
        adam.step()
        return loss.item()

    if torch is None:
        return ours, None
    tnet = torch.nn.Sequential(*vae_layers(torch.nn))
    copy_weights(net, tnet)
    tadam = torch.optim.Adam(tnet.parameters(), 1e-3)
    tx, tnoise = torch.from_numpy(x), torch.from_numpy(noise)

    def theirs() -> float:
        a, b, c, d = tnet
        mean, log_var = b(torch.relu(a(tx))).chunk(2, dim=1)
        z = mean + torch.exp(0.5 * log_var) * tnoise
        logits = d(torch.relu(c(z)))
        kl = 0.5 * torch.sum(mean.square() + log_var.exp() - 1.0 - log_var)
        bce = torch.nn.functional.binary_cross_entropy_with_logits(logits, tx, reduction="sum")
        loss = (bce + kl) / 128
        tadam.zero_grad()
        loss.backward()
        tadam.step()
        return loss.item()

    return ours, theirs


def discriminator_layers(library) -> list:
    """DCGAN's discriminator for 28 x 28: 1 -> 64 -> 128 channels."""
    return [
        library.Conv2d(1, 64, 4, stride=2, padding=1),
        library.LeakyReLU(0.2),
        library.Conv2d(64, 128, 4, stride=2, padding=1, bias=False),
        library.BatchNorm2d(128),
        library.LeakyReLU(0.2),
        library.Flatten(),
        library.Linear(128 * 49, 1),
    ]


def generator_layers(library) -> list:
    """DCGAN's generator for 28 x 28: 100 -> 128 -> 64 -> 1 channels."""
    return [
        library.ConvTranspose2d(100, 128, 7, bias=False),
        library.BatchNorm2d(128),
        library.ReLU(),
        library.ConvTranspose2d(128, 64, 4, stride=2, padding=1, bias=False),
        library.BatchNorm2d(64),
        library.ReLU(),
        library.ConvTranspose2d(64, 1, 4, stride=2, padding=1),
        library.Tanh(),
    ]


def network(layers: Callable, shape: tuple[int, ...]) -> tuple[Callable, Callable | None]:
    """A step of a network on the mean square of its output."""
    x = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    net = nn.Sequential(*layers(nn))
    adam = optim.Adam(net.parameters(), 2e-4)

    def ours() -> float:
        loss = ops.mean(ops.square(net(minigen.Tensor(x))))
        adam.zero_grad()
        loss.backward()
        adam.step()
        return loss.item()

    if torch is None:
        return ours, None
    tnet = torch.nn.Sequential(*layers(torch.nn))
    copy_weights(net, tnet)
    tadam = torch.optim.Adam(tnet.parameters(), 2e-4)
    tx = torch.from_numpy(x)

    def theirs() -> float:
        loss = tnet(tx).square().mean()
        tadam.zero_grad()
        loss.backward()
        tadam.step()
        return loss.item()

    return ours, theirs


def copy_weights(net: nn.Module, tnet) -> None:
    tnet.load_state_dict({name: torch.from_numpy(x.copy()) for name, x in net.state_dict().items()})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=30, help="timed steps of each")
    repeat = parser.parse_args().repeat
    if torch is not None:
        torch.set_num_threads(THREADS)
    cases = {
        "VAE 784-400-20, batch 128": vae(),
        "DCGAN discriminator, batch 128": network(discriminator_layers, (128, 1, 28, 28)),
        "DCGAN generator, batch 128": network(generator_layers, (128, 100, 1, 1)),
    }
    print(f"{THREADS} threads; milliseconds a step, minimum / median of {repeat}")
    print(f"{'':32s}{'minigen':>16s}{'PyTorch':>16s}{'ratio':>14s}   loss after the last step")
    for name, (ours, theirs) in cases.items():
        both = [ours] if theirs is None else [ours, theirs]
        times: list[list[float]] = [[] for _ in both]
        losses = [0.0 for _ in both]
        for i in range(repeat + 3):
            for k, step in enumerate(both):
                start = time.perf_counter()
                losses[k] = step()
                if i >= 3:  # the first ones warm up
                    times[k].append((time.perf_counter() - start) * 1e3)
        least, middle = [min(t) for t in times], [statistics.median(t) for t in times]
        columns = [f"{a:7.1f} /{b:6.1f}" for a, b in zip(least, middle, strict=True)]
        ratio = f"{least[0] / least[1]:.2f} / {middle[0] / middle[1]:.2f}" if theirs else ""
        print(f"{name:32s}{columns[0]:>16s}{columns[1] if theirs else '':>16s}{ratio:>14s}   {losses}")


if __name__ == "__main__":
    main()
