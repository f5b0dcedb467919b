"""The same models in PyTorch, where it is installed: `benchmark.py` compares with their training steps.

A twin runs the layers of a model with PyTorch's functions, on copies of the same weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.models import LR
from minigen import nn
from minigen.models import DCGAN, GAN, VAE, GatedPixelCNN, Maxout, PixelCNN, PixelRNN

try:
    import torch
    from torch.nn import functional
except ImportError:
    torch = None  # type: ignore[assignment]


def usable(device: str) -> bool:
    """Whether PyTorch is there to be compared with on a device."""
    return torch is not None and (device == "cpu" or torch.cuda.is_available())


def version() -> str:
    """PyTorch's name and version; empty if it is not installed."""
    return f"PyTorch {torch.__version__}" if torch else ""


def prepare(device: str, threads: int) -> None:
    """Let PyTorch use the device and so many threads, and compute in float32 on a GPU, too (not in TF32)."""
    if usable(device):
        torch.set_num_threads(threads)
        torch.set_default_device(device.replace("gpu", "cuda"))
        torch.backends.cudnn.allow_tf32 = False


def training_step(model: Any, x: np.ndarray) -> Callable[[], float]:
    """A training step on the images x, which returns its loss."""
    twin, images = Twin(model), torch.as_tensor(x)
    if isinstance(model, GAN):
        return game_round(twin, model, images.float())
    if isinstance(model, VAE):
        draw = lambda: torch.randn(len(x), model.latent_dim)
        return minimise(twin.parameters(model), lambda: vae_loss(twin, model, images.float(), draw()))
    return minimise(twin.parameters(model), lambda: autoregressive_loss(twin, model, images))


class Twin:
    """The layers of a model, run by PyTorch in training mode: `twin(layer, x)`."""

    def __init__(self, model: nn.Module) -> None:
        self.tensors = {id(p): torch.tensor(p.numpy(), requires_grad=True) for p in model.parameters()}

    def parameters(self, part: nn.Module) -> list[Any]:
        """PyTorch's copies of the parameters of a part of the model."""
        return [self.tensors[id(p)] for p in part.parameters()]

    def __call__(self, layer: Any, x: Any) -> Any:
        weight, bias = (self.tensors.get(id(getattr(layer, name, None))) for name in ("weight", "bias"))
        match layer:
            case nn.Sequential():
                for part in layer:
                    x = self(part, x)
                return x
            case nn.Linear():
                return functional.linear(x, weight, bias)
            case nn.MaskedConv2d():
                return functional.conv2d(x, weight * torch.as_tensor(layer.mask), bias, **layer.options)
            case nn.Conv2d():
                (top, bottom), (left, right) = sides_of(layer.options["padding"])
                if top == bottom and left == right:
                    return functional.conv2d(x, weight, bias, **layer.options | {"padding": (top, left)})
                x = functional.pad(x, (left, right, top, bottom))
                return functional.conv2d(x, weight, bias, **layer.options | {"padding": 0})
            case nn.ConvTranspose2d():
                return functional.conv_transpose2d(x, weight, bias, **layer.options)
            case nn.BatchNorm2d():
                return functional.batch_norm(x, None, None, weight, bias, training=True)
            case Maxout():
                return self(layer.linear, x).reshape(len(x), layer.pieces, -1).amax(dim=1)
            case nn.LeakyReLU():
                return functional.leaky_relu(x, layer.negative_slope)
            case nn.Dropout():
                return functional.dropout(x, layer.p)
            case nn.Unflatten():
                return x.reshape(len(x), *layer.shape)
        return {"ReLU": torch.relu, "Tanh": torch.tanh, "Flatten": torch.nn.Flatten()}[type(layer).__name__](x)


def sides_of(padding: Any) -> Any:
    """A padding as ((top, bottom), (left, right))."""
    pair = (padding, padding) if isinstance(padding, int) else padding
    return [(side, side) if isinstance(side, int) else side for side in pair]


def vae_loss(twin: Twin, vae: VAE, x: Any, noise: Any) -> Any:
    """KL - log p(x | z) with z = mean + std noise."""
    mean, log_var = twin(vae.encoder, x).chunk(2, dim=1)
    logits = twin(vae.decoder, mean + torch.exp(0.5 * log_var) * noise).reshape(x.shape)
    kl = 0.5 * torch.sum(mean.square() + log_var.exp() - 1.0 - log_var)
    return (functional.binary_cross_entropy_with_logits(logits, x, reduction="sum") + kl) / len(x)


# -- autoregressive models ---------------------------------------------------------------------------------------------


def autoregressive_loss(twin: Twin, model: Any, x: Any) -> Any:
    """-log p(x) of integer images x."""
    levels, (colours, height, width) = model.levels, model.image_shape
    features = NETWORKS[type(model)](twin, model, x.float() * (2 / (levels - 1)) - 1)
    maps = twin(model.last, torch.relu(twin(model.head, torch.relu(features))))
    if levels == 2 and model.outputs == 1:
        return functional.binary_cross_entropy_with_logits(maps, x.float(), reduction="sum") / len(x)
    logits = maps.reshape(len(x), colours, model.outputs, height, width).transpose(1, 2)
    return functional.cross_entropy(logits, x.long(), reduction="sum") / len(x)


def pixelcnn(twin: Twin, model: PixelCNN, x: Any) -> Any:
    h = twin(model.first, x)
    for block in list[Any](model.blocks):
        y = twin(block.conv, torch.relu(twin(block.reduce, torch.relu(h))))
        h = h + twin(block.expand, torch.relu(y))
    return h


def gated_pixelcnn(twin: Twin, model: GatedPixelCNN, x: Any) -> Any:
    def gate(y: Any) -> Any:
        f, g = y.chunk(2, dim=1)
        return torch.tanh(f) * torch.sigmoid(g)

    v, h = shifted_down(x), x
    for layer in list[Any](model.layers):
        v = twin(layer.vertical, v)
        y = twin(layer.out, gate(twin(layer.horizontal, h) + twin(layer.link, v)))
        v, h = gate(v), h + y if layer.residual else y
    return h


def pixelrnn(twin: Twin, model: PixelRNN, x: Any) -> Any:
    h = twin(model.first, x)
    for layer in list[Any](model.layers):
        if isinstance(layer, nn.RowLSTM):
            states = row_lstm(twin, layer, h)
        else:
            states = diagonal_lstm(twin, layer.left_to_right, h)
            states = states + shifted_down(diagonal_lstm(twin, layer.right_to_left, h.flip(3)).flip(3))
        h = h + twin(layer.expand, states)
    return h


NETWORKS: dict[type, Callable[..., Any]] = {PixelCNN: pixelcnn, GatedPixelCNN: gated_pixelcnn, PixelRNN: pixelrnn}


def row_lstm(twin: Twin, layer: Any, x: Any) -> Any:
    """The hidden states (N, h, H, W): a convolution of a row for each row."""
    weight, h0, c0 = (twin.tensors[id(p)] for p in (layer.state_to_state, layer.h0, layer.c0))
    gates, states = twin(layer.input_to_state, x), []
    n, _, _, width = gates.shape
    h, c = (start[None, :, None].expand(n, -1, width) for start in (h0, c0))
    for of_row in gates.unbind(2):
        h, c = lstm_cell(of_row + functional.conv1d(h, weight[:, :, 0], padding=layer.kernel_size // 2), c)
        states.append(h)
    return torch.stack(states, dim=2)


def diagonal_lstm(twin: Twin, layer: Any, x: Any) -> Any:
    """The hidden states (N, h, H, W): the map is skewed, and a column of it convolved in each step."""
    weight, h0, c0 = (twin.tensors[id(p)] for p in (layer.state_to_state, layer.h0, layer.c0))
    gates = twin(layer.input_to_state, x)
    n, _, height, width = gates.shape
    steps = width + height - 1
    row, step = torch.arange(height)[:, None], torch.arange(steps)
    live = (step >= row) & (step < row + width)  # (H, steps): where the skewed map has a pixel
    gates = gates[:, :, row, (step - row).clamp(0, width - 1)]
    h0, c0 = (start[None, :, None].expand(n, -1, height) for start in (h0, c0))
    h, c, states = h0, c0, []
    for s in range(steps):
        above = torch.cat([h0[:, :, :1], h], dim=2)
        h, c = lstm_cell(gates[..., s] + functional.conv1d(above, weight[..., 0]), c)
        h, c = torch.where(live[:, s], h, h0), torch.where(live[:, s], c, c0)
        states.append(h)
    return torch.stack(states, dim=3)[:, :, row, row + torch.arange(width)]


def lstm_cell(gates: Any, c: Any) -> tuple[Any, Any]:
    i, f, g, o = gates.chunk(4, dim=1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def shifted_down(x: Any) -> Any:
    return functional.pad(x, (0, 0, 1, 0))[:, :, :-1]


# -- games -------------------------------------------------------------------------------------------------------------


def game_round(twin: Twin, gan: Any, x: Any) -> Callable[[], float]:
    """A step of each player under the non-saturating objective; returns the discriminator's loss."""
    convolutional, softplus = isinstance(gan, DCGAN), functional.softplus
    noise = lambda: torch.randn(len(x), gan.latent_dim, *((1, 1) if convolutional else ()))
    judge = lambda images: twin(gan.discriminator.net, images if convolutional else images.flatten(1))

    def discriminator_loss() -> Any:
        with torch.no_grad():
            samples = twin(gan.generator.net, noise())
        return softplus(-judge(x)).mean() + softplus(judge(samples)).mean()

    players = twin.parameters(gan.discriminator), twin.parameters(gan.generator)
    update_discriminator = minimise(players[0], discriminator_loss)
    update_generator = minimise(players[1], lambda: softplus(-judge(twin(gan.generator.net, noise()))).mean())

    def step() -> float:
        loss = update_discriminator()
        for p in players[0]:
            p.requires_grad_(False)
        update_generator()
        for p in players[0]:
            p.requires_grad_(True)
        return loss

    return step


def minimise(parameters: list[Any], loss: Callable[[], Any]) -> Callable[[], float]:
    """A step of Adam, which returns the loss."""
    adam = torch.optim.Adam(parameters, LR)

    def step() -> float:
        value = loss()
        adam.zero_grad()
        value.backward()
        adam.step()
        return value.item()

    return step
