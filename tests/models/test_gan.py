"""GAN: the derivatives of both losses, what the discriminator sees, the tricks by closed forms, samples, errors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad, tensor
from minigen.backend import Device, default_dtype, device_of, to_numpy
from minigen.gradcheck import gradcheck
from minigen.models import GAN, Batch, MLPDiscriminator, MLPGenerator, Tricks
from minigen.models.objectives import OBJECTIVES
from minigen.random import manual_seed

every_objective = pytest.mark.parametrize("objective", OBJECTIVES)


class Watched(nn.Module):
    """A discriminator of points (N, 2) that remembers what it has seen: batch normalisation, then x0 + 2 x1."""

    def __init__(self, batch_norm: bool = False) -> None:
        self.norm = nn.BatchNorm1d(2, affine=False) if batch_norm else nn.Sequential()
        self.linear = nn.Linear(2, 1, bias=False)
        self.linear.weight.data[...] = device_of(self.linear.weight.data).asarray([[1.0, 2.0]])
        self.seen: list[np.ndarray] = []

    def forward(self, x: Any) -> Any:
        self.seen.append(to_numpy(x.data).copy())
        return ops.reshape(self.linear(self.norm(x)), (-1,))


def points(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 2)).astype("float32")


def watched(objective: str = "non-saturating", batch_norm: bool = False, **options: Any) -> GAN:
    return GAN(MLPGenerator((2,), 3, 4, 1, tanh=False), Watched(batch_norm), objective, **options)


def conditional(**options: Any) -> GAN:
    discriminator = MLPDiscriminator((2,), 4, 1, 2, dropout=0.0, classes=3)
    return GAN(MLPGenerator((2,), 3, 4, 1, classes=3), discriminator, **options)


def judged(gan: GAN, x: Any, z: Any, labels: Any = None) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """The discriminator's loss, and its outputs (N,) on the data and on the samples, which the metrics are given."""
    gan.objective = replace(gan.objective, metrics=lambda s, t: {"data": s, "samples": t})
    loss, outputs = gan.discriminator_loss(Batch(x, z, labels))
    return loss, to_numpy(outputs["data"]), to_numpy(outputs["samples"])


# -- derivatives -------------------------------------------------------------------------------------------------------


class Smooth(nn.Sequential):
    """Three inputs, three tanh, then one or two outputs."""

    latent_dim = 3

    def __init__(self, *outputs: int) -> None:
        n = int(np.prod(outputs))
        super().__init__(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, n), nn.Unflatten(outputs))


@every_objective
@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_derivatives_by_the_parameters(player: str, objective: str) -> None:
    """Those of the critic with a penalty are second derivatives already."""
    with default_dtype("float64"):
        gan = GAN(Smooth(3), Smooth(), objective)
        x, z = np.random.default_rng(0).normal(size=(2, 4, 3))
    names = [name for name, _ in getattr(gan, player).named_parameters()]

    def loss(*values: Tensor) -> Tensor:
        for name, value in zip(names, values, strict=True):
            layer, attribute = name.split(".")
            setattr(getattr(gan, player)[int(layer)], attribute, value)
        manual_seed(1)  # the same points between data and samples in every call
        return gan.players()[player].loss(Batch(x, Tensor(z)))[0]

    gradcheck(loss, [tensor(p, requires_grad=True) for p in getattr(gan, player).parameters()], order=2)


@every_objective
def test_the_losses_are_the_objectives(objective: str, device: Device) -> None:
    """Of the logits of the data and of G(z), the penalty apart; the generator's is of what D says of its samples."""
    gan = watched(objective)
    x, z = tensor(points(6)), gan.noise(6)
    loss, *outputs = judged(gan, x, z)
    with no_grad():
        samples = gan.generator(z)
        expected = gan.objective.discriminator(gan.discriminator(x), gan.discriminator(samples))
        for_generator = gan.objective.generator(gan.discriminator(samples)).item()
        for output, of in zip(outputs, (x, samples), strict=True):
            np.testing.assert_allclose(output, of.numpy() @ [1, 2], rtol=1e-5, atol=1e-6)
    penalty = gan.objective.penalty * (np.sqrt(5) - 1) ** 2  # that of x0 + 2 x1
    assert loss.item() == pytest.approx(expected.item() + penalty, rel=1e-5, abs=1e-6)
    loss, _ = gan.generator_loss(Batch(x, z))
    assert loss.item() == pytest.approx(for_generator, rel=1e-5, abs=1e-6) and loss.device == device


@every_objective
def test_its_loss_is_the_discriminators_with_fresh_noise(objective: str, device: Device) -> None:
    """Without derivatives for the generator; an unconditional GAN ignores labels, as every model's loss does."""
    gan, x = watched(objective), tensor(points(6))
    manual_seed(2)
    loss = gan.loss(x, np.zeros(6, np.int64))
    manual_seed(2)
    expected, _ = gan.discriminator_loss(Batch(x, gan.noise(6)))
    assert loss.item() == expected.item() and loss.device == device and gan.loss(x).item() != expected.item()
    loss.backward()
    assert all(p.grad is None for p in gan.generator.parameters()) and gan.discriminator.linear.weight.grad is not None


# -- what the discriminator sees ---------------------------------------------------------------------------------------


def standardised(x: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """x, with the mean and the variance of all of `beside`."""
    return (x - beside.mean(axis=0)) / np.sqrt(beside.var(axis=0) + 1e-5)


@pytest.mark.parametrize("mixed", [False, True])
def test_data_and_samples_have_their_own_statistics(mixed: bool, device: Device) -> None:
    """Apart each has mean 0 after batch normalisation; in one batch they have not."""
    gan = watched(batch_norm=True, tricks=Tricks(mixed_batch=True) if mixed else None)  # apart by default
    x, z = 5 + points(8), gan.noise(8)
    _, on_data, on_samples = judged(gan, device.asarray(x), z)
    samples = gan.generator(z).numpy()
    both = np.concatenate([x, samples])
    for output, of in ((on_data, x), (on_samples, samples)):
        expected = standardised(of, both if mixed else of) @ [1, 2]
        np.testing.assert_allclose(output, expected, rtol=1e-3, atol=1e-3)
    assert (abs(on_data.mean()) > 0.5) == mixed


def test_in_one_batch_the_labels_go_with_the_images(device: Device) -> None:
    losses = []
    for mixed in (False, True):
        manual_seed(0)
        gan = conditional(tricks=Tricks(mixed_batch=mixed))
        losses.append(gan.loss(device.asarray(points(6)), np.arange(6) % 3).item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_instance_noise_is_on_all_that_the_discriminator_sees(device: Device) -> None:
    """And decays with the rounds: half of it is left after 3 of 6, nothing after 6."""
    gan = watched(tricks=Tricks(instance_noise=0.5, instance_noise_rounds=6))
    x, z, seen = device.asarray(points(2000)), gan.noise(2000), gan.discriminator.seen
    samples = gan.sample(z=z).numpy()
    for rounds, std in ((0, 0.5), (3, 0.25)):
        seen.clear()
        gan.discriminator_loss(Batch(x, z, round=rounds))
        gan.generator_loss(Batch(x, z, round=rounds))
        noise = [of_player - of for of_player, of in zip(seen, (to_numpy(x), samples, samples), strict=True)]
        assert [n.std() for n in noise] == pytest.approx([std] * 3, rel=0.05)
        assert all(abs(n.mean()) < 0.05 for n in noise)
        assert len({n[0].tobytes() for n in noise}) == 3  # each time another
    for rounds in (6, 7):
        gan.discriminator_loss(Batch(x, z, round=rounds))
        np.testing.assert_array_equal(seen[-2], to_numpy(x))


# -- labels: smoothed and flipped --------------------------------------------------------------------------------------


def log_sigmoid(s: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0, -s.astype("float64"))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_label_smoothing_is_one_sided(smoothing: float, device: Device) -> None:
    """Data are called "data" with 1 - smoothing; samples stay samples, and the generator's loss as it is."""
    x = device.asarray(points(6))
    likelihood, squares = (
        watched(name, tricks=Tricks(label_smoothing=smoothing)) for name in ("minimax", "least-squares")
    )
    loss, s, t = judged(likelihood, x, likelihood.noise(6))
    on_data_only = (1 - smoothing) * log_sigmoid(s) + smoothing * log_sigmoid(-s)
    assert loss.item() == pytest.approx(-on_data_only.mean() - log_sigmoid(-t).mean(), rel=1e-5)
    loss, s, t = judged(squares, x, squares.noise(6))
    assert loss.item() == pytest.approx(((s - (1 - smoothing)) ** 2).mean() / 2 + (t**2).mean() / 2, rel=1e-5)
    z = squares.noise(6)
    t = squares.generator(z).numpy() @ [1, 2]
    assert squares.generator_loss(Batch(x, z))[0].item() == pytest.approx(((t - 1) ** 2).mean() / 2, rel=1e-5)


@pytest.mark.parametrize("flips", [0.0, 0.3, 1.0])
def test_label_flips_exchange_data_and_samples(flips: float, device: Device) -> None:
    """As often as asked: nothing at 0, everything at 1."""
    gan = watched(tricks=Tricks(label_flips=flips))
    called: list[Tensor] = []
    spy = lambda s, t, **label: called.extend([s, t]) or OBJECTIVES["minimax"].discriminator(s, t)
    gan.objective = replace(gan.objective, discriminator=spy)
    loss, s, t = judged(gan, device.asarray(points(2000)), gan.noise(2000))
    as_data, as_samples = (x.numpy() for x in called)
    exchanged = as_data != s
    np.testing.assert_array_equal(as_data, np.where(exchanged, t, s))
    np.testing.assert_array_equal(as_samples, np.where(exchanged, s, t))
    assert exchanged.mean() == pytest.approx(flips, abs=0.04 if 0 < flips < 1 else 0)
    assert loss.item() == pytest.approx(-log_sigmoid(as_data).mean() - log_sigmoid(-as_samples).mean(), rel=1e-5)


# -- noise and samples -------------------------------------------------------------------------------------------------


def test_samples_are_drawn_without_a_record(device: Device) -> None:
    gan = watched()
    z = gan.noise(4)
    x = gan.sample(z=z)
    assert x.shape == (4, 2) and not x.requires_grad and x.device == device
    np.testing.assert_array_equal(x.numpy(), gan.generator(z).numpy())
    assert gan(z).requires_grad and np.array_equal(gan(z).numpy(), x.numpy())
    assert gan.sample(3).shape == (3, 2) and not np.array_equal(gan.sample(3).numpy(), gan.sample(3).numpy())


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "wgan"}, r"expects objective to be one of \('minimax', .*\), got 'wgan'$"),
        ({"k": 0}, r"expects k >= 1, got 0$"),
        ({"penalty": 3.0}, r"expects penalty > 0, with a gradient penalty, got 3.0 with 'non-saturating'$"),
        ({"objective": "wasserstein-gp", "penalty": 0.0}, r"expects penalty > 0, .*, got 0.0 with 'wasserstein-gp'$"),
        ({"objective": "hinge", "tricks": Tricks(label_smoothing=0.1)}, r"objective='hinge' has no labels that could"),
        ({"objective": "wasserstein", "tricks": Tricks(label_smoothing=0.1)}, r"objective='wasserstein' has no labels"),
        ({"tricks": Tricks("mixture")}, r'noise="mixture" expects latent_dim > 10, got 3$'),
    ],
)
def test_options_that_it_does_not_take(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^GAN: .*{message}"):
        watched(**options)


def test_two_players_of_different_classes() -> None:
    generator, discriminator = MLPGenerator((2,), 3, 4, 1), MLPDiscriminator((2,), 4, 1)
    with pytest.raises(ValueError, match=r"^GAN: the generator has classes=3, the discriminator classes=None"):
        GAN(conditional().generator, discriminator)
    with pytest.raises(ValueError, match=r"^GAN: the generator has classes=None, the discriminator classes=3"):
        GAN(generator, conditional().discriminator)


def test_labels_where_there_are_none_and_none_where_there_are() -> None:
    gan, labels = watched(), np.zeros(2, np.int64)
    for call in (lambda: gan.sample(2, labels), lambda: gan(gan.noise(2), labels)):
        with pytest.raises(ValueError, match=r"^GAN: expects no labels, it has no classes$"):
            call()
    of_classes = conditional()
    z = of_classes.noise(2)
    for call in (
        lambda: of_classes.sample(2),
        lambda: of_classes(z),
        lambda: of_classes.loss(points(2)),
        lambda: of_classes.generator_loss(Batch(points(2), z)),
    ):
        with pytest.raises(ValueError, match=r"^GAN: expects labels, got none$"):
            call()
    for wrong in (np.array([0, 3]), np.array([-1, 0]), np.array([0.0, 1.0]), np.array([[0, 1]])):
        with pytest.raises(ValueError, match=r"^GAN: expects integers \(N,\) in 0 ... 2, got "):
            of_classes.sample(2, wrong)


def test_a_number_or_noise() -> None:
    gan = watched()
    with pytest.raises(ValueError, match=r"^sample: expects n or z, got n=None and no z$"):
        gan.sample()
    with pytest.raises(ValueError, match=r"^sample: expects n or z, got n=2 and a z$"):
        gan.sample(2, z=gan.noise(2))
