"""GAN: the derivatives of both losses, what the discriminator sees, the options by closed forms, samples, errors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad, tensor
from minigen.backend import Device, default_dtype, device_of, manual_seed, to_numpy
from minigen.gradcheck import gradcheck
from minigen.models.gan import GAN, NOISES, Discriminator, Generator, Maxout, one_hot
from minigen.models.objectives import OBJECTIVES

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
    return GAN(Generator((2,), 3, 4, 1, tanh=False), Watched(batch_norm), objective, **options)


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
        return gan.discriminator_loss(x, z)[0] if player == "discriminator" else gan.generator_loss(Tensor(z))[0]

    gradcheck(loss, [tensor(p, requires_grad=True) for p in getattr(gan, player).parameters()], order=2)


@every_objective
def test_the_losses_are_the_objectives(objective: str, device: Device) -> None:
    """Of the logits of the data and of G(z), the penalty apart; the generator's is of what D says of its samples."""
    gan = watched(objective)
    x, z = tensor(points(6)), gan.noise(6)
    loss, on_data, on_samples = gan.discriminator_loss(x, z)
    with no_grad():
        samples = gan.generator(z)
        expected = gan.objective.discriminator(gan.discriminator(x), gan.discriminator(samples))
        for_generator = gan.objective.generator(gan.discriminator(samples)).item()
        for logits, of in ((on_data, x), (on_samples, samples)):
            np.testing.assert_allclose(logits.numpy(), of.numpy() @ [1, 2], rtol=1e-5, atol=1e-6)
    penalty = gan.objective.penalty * (np.sqrt(5) - 1) ** 2  # that of x0 + 2 x1
    assert loss.item() == pytest.approx(expected.item() + penalty, rel=1e-5, abs=1e-6)
    loss, drawn = gan.generator_loss(z)
    assert loss.item() == pytest.approx(for_generator, rel=1e-5, abs=1e-6)
    np.testing.assert_array_equal(drawn.numpy(), samples.numpy())
    assert loss.device == drawn.device == device


# -- what the discriminator sees ---------------------------------------------------------------------------------------


def standardised(x: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """x, with the mean and the variance of all of `beside`."""
    return (x - beside.mean(axis=0)) / np.sqrt(beside.var(axis=0) + 1e-5)


@pytest.mark.parametrize("mixed", [False, True])
def test_data_and_samples_have_their_own_statistics(mixed: bool, device: Device) -> None:
    """Apart each has mean 0 after batch normalisation; in one batch they have not."""
    gan = watched(batch_norm=True, **({"mixed_batch": True} if mixed else {}))  # apart by default
    x, z = 5 + points(8), gan.noise(8)
    _, on_data, on_samples = gan.discriminator_loss(device.asarray(x), z)
    samples = gan.generator(z).numpy()
    both = np.concatenate([x, samples])
    for logits, of in ((on_data, x), (on_samples, samples)):
        expected = standardised(of, both if mixed else of) @ [1, 2]
        np.testing.assert_allclose(logits.numpy(), expected, rtol=1e-3, atol=1e-3)
    assert (abs(on_data.numpy().mean()) > 0.5) == mixed


def test_in_one_batch_the_labels_go_with_the_images(device: Device) -> None:
    losses = []
    for mixed in (False, True):
        manual_seed(0)
        gan = GAN(
            Generator((2,), 3, 4, 1, classes=3), Discriminator((2,), 4, 1, 2, dropout=0.0, classes=3), mixed_batch=mixed
        )
        loss, *_ = gan.discriminator_loss(device.asarray(points(6)), gan.noise(6), np.arange(6) % 3)
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_instance_noise_is_on_all_that_the_discriminator_sees(device: Device) -> None:
    gan = watched(instance_noise=0.5)
    x, z = device.asarray(points(2000)), gan.noise(2000)
    gan.discriminator_loss(x, z)
    _, samples = gan.generator_loss(z)
    blurred = gan.discriminator.seen
    for seen, of in zip(blurred, (to_numpy(x), samples.numpy(), samples.numpy()), strict=True):
        assert (seen - of).std() == pytest.approx(0.5, rel=0.05) and abs((seen - of).mean()) < 0.05
    assert len({seen[0].tobytes() for seen in blurred}) == 3  # each time another
    gan.instance_noise = 0.0
    gan.discriminator_loss(x, z)
    np.testing.assert_array_equal(gan.discriminator.seen[-2], to_numpy(x))


# -- labels: smoothed and flipped --------------------------------------------------------------------------------------


def log_sigmoid(s: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0, -s.astype("float64"))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_label_smoothing_is_one_sided(smoothing: float, device: Device) -> None:
    """Data are called "data" with 1 - smoothing; samples stay samples, and the generator's loss as it is."""
    x = device.asarray(points(6))
    likelihood, squares = (watched(name, label_smoothing=smoothing) for name in ("minimax", "least-squares"))
    loss, on_data, on_samples = likelihood.discriminator_loss(x, likelihood.noise(6))
    s, t = on_data.numpy(), on_samples.numpy()
    on_data_only = (1 - smoothing) * log_sigmoid(s) + smoothing * log_sigmoid(-s)
    assert loss.item() == pytest.approx(-on_data_only.mean() - log_sigmoid(-t).mean(), rel=1e-5)
    loss, on_data, on_samples = squares.discriminator_loss(x, squares.noise(6))
    s, t = on_data.numpy(), on_samples.numpy()
    assert loss.item() == pytest.approx(((s - (1 - smoothing)) ** 2).mean() / 2 + (t**2).mean() / 2, rel=1e-5)
    z = squares.noise(6)
    t = squares.generator(z).numpy() @ [1, 2]
    assert squares.generator_loss(z)[0].item() == pytest.approx(((t - 1) ** 2).mean() / 2, rel=1e-5)


@pytest.mark.parametrize("flips", [0.0, 0.3, 1.0])
def test_label_flips_exchange_data_and_samples(flips: float, device: Device) -> None:
    """As often as asked: nothing at 0; at 1 (which is no option, but a closed form) everything."""
    gan = watched()
    judged: list[Tensor] = []
    spy = lambda s, t, **label: judged.extend([s, t]) or OBJECTIVES["minimax"].discriminator(s, t)
    gan.label_flips, gan.objective = flips, replace(gan.objective, discriminator=spy)
    loss, on_data, on_samples = gan.discriminator_loss(device.asarray(points(2000)), gan.noise(2000))
    (s, t), (as_data, as_samples) = (on_data.numpy(), on_samples.numpy()), (x.numpy() for x in judged)
    exchanged = as_data != s
    np.testing.assert_array_equal(as_data, np.where(exchanged, t, s))
    np.testing.assert_array_equal(as_samples, np.where(exchanged, s, t))
    assert exchanged.mean() == pytest.approx(flips, abs=0.04 if 0 < flips < 1 else 0)
    assert loss.item() == pytest.approx(-log_sigmoid(as_data).mean() - log_sigmoid(-as_samples).mean(), rel=1e-5)


# -- noise and samples -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NOISES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_noise(kind: str, dtype: str, device: Device) -> None:
    with default_dtype(dtype):
        gan = GAN(Generator((2,), 16, 4, 1), Discriminator((2,), 4, 1), noise=kind)
    z = gan.noise(3000)
    assert z.shape == (3000, 16) and z.dtype == dtype and z.device == device and not z.requires_grad
    values = z.numpy()
    assert abs(values.mean()) < 0.02
    assert values.std() == pytest.approx(1 / np.sqrt(3) if kind == "uniform" else 1, rel=0.02)
    norms = np.linalg.norm(values, axis=1)
    if kind == "sphere":
        np.testing.assert_allclose(norms, 4, rtol=1e-5)  # sqrt(latent_dim)
    else:
        assert norms.std() > 0.1
    if kind == "uniform":
        assert -1 <= values.min() < -0.99 and 0.99 < values.max() <= 1


def test_samples_are_drawn_without_a_record(device: Device) -> None:
    gan = watched()
    z = gan.noise(4)
    x = gan.sample(z=z)
    assert x.shape == (4, 2) and not x.requires_grad and x.device == device
    np.testing.assert_array_equal(x.numpy(), gan.generator(z).numpy())
    assert gan.sample(3).shape == (3, 2) and not np.array_equal(gan.sample(3).numpy(), gan.sample(3).numpy())


# -- the networks ------------------------------------------------------------------------------------------------------


def test_maxout_is_the_largest_piece() -> None:
    layer, x = Maxout(3, 2, pieces=4), points(3).reshape(2, 3)
    weight, bias = layer.linear.weight.numpy(), layer.linear.bias.numpy()
    expected = [
        [max(weight[2 * k + j] @ row + bias[2 * k + j] for k in range(4)) for j in range(2)] for row in x
    ]  # fmt: skip
    np.testing.assert_allclose(layer(tensor(x)).numpy(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(2,), (1, 4, 4), (3, 2, 5)])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("classes", [None, 3])
def test_shapes_and_ranges(layers: int, shape: tuple[int, ...], classes: int | None) -> None:
    """Images end in a tanh, points need not; the discriminator gives one logit an image, of any size."""
    condition = () if classes is None else (np.array([0, 2, 1, 0]),)
    generator = Generator(shape, 3, 4, layers, classes)
    discriminator = Discriminator(shape, 4, layers, classes=classes)
    samples = generator(tensor(100 * points(6).reshape(4, 3)), *condition)
    assert samples.shape == (4, *shape) and (np.abs(samples.numpy()) <= 1).all()
    assert discriminator(samples, *condition).shape == (4,)
    for network in (generator, discriminator):
        assert sum(isinstance(part, nn.Linear) for part in network.modules()) == layers + 1
    points_of = Generator(shape, 3, 4, layers, classes, tanh=False)
    assert (np.abs(points_of(tensor(1000 * points(6).reshape(4, 3)), *condition).numpy()) > 1).any()


def test_labels_are_one_hot_vectors_beside_the_input(device: Device) -> None:
    gan = GAN(Generator((2,), 3, 4, 1, classes=3), Discriminator((2,), 4, 1, 2, dropout=0.0, classes=3))
    x, z, labels = points(4), gan.noise(4), np.array([2, 0, 2, 1])
    hot = np.array([[0, 0, 1], [1, 0, 0], [0, 0, 1], [0, 1, 0]], "float32")
    on = lambda *parts: tensor(np.concatenate(parts, axis=1))
    samples = gan.sample(z=z, labels=labels)
    np.testing.assert_allclose(samples.numpy(), gan.generator.net(on(z.numpy(), hot)).numpy(), rtol=1e-6)
    judged = gan.discriminator(tensor(x), device.asarray(labels))
    np.testing.assert_allclose(judged.numpy(), gan.discriminator.net(on(x, hot)).numpy()[:, 0], rtol=1e-6)
    assert not np.allclose(gan.sample(z=z, labels=(labels + 1) % 3).numpy(), samples.numpy())
    np.testing.assert_array_equal(one_hot(device.asarray(labels), 3).numpy(), hot)


# -- errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "wgan"}, r"got objective='wgan', noise='normal'; takes one of \('minimax', .* and one of"),
        ({"noise": "gaussian"}, r"got objective='non-saturating', noise='gaussian'; takes one of"),
        ({"k": 0}, r"got k=0, .*; takes k >= 1"),
        ({"label_smoothing": 1.0}, r"label_smoothing=1.0, .*fractions in \[0, 1\)"),
        ({"label_flips": -0.1}, r"label_flips=-0.1, .*fractions in \[0, 1\)"),
        ({"instance_noise": -1.0}, r"instance_noise=-1.0; .*a standard deviation >= 0"),
        ({"objective": "hinge", "label_smoothing": 0.1}, r"objective='hinge' has no labels that could be smoothed"),
        ({"objective": "wasserstein", "label_smoothing": 0.1}, r"objective='wasserstein' has no labels"),
    ],
)
def test_options_that_it_does_not_take(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^GAN: .*{message}"):
        watched(**options)


def test_two_players_of_different_classes() -> None:
    with pytest.raises(ValueError, match=r"^GAN: the generator has classes=3, the discriminator classes=None"):
        GAN(Generator((2,), 3, 4, 1, classes=3), Discriminator((2,), 4, 1))
    with pytest.raises(ValueError, match=r"^GAN: the generator has classes=None, the discriminator classes=3"):
        GAN(Generator((2,), 3, 4, 1), Discriminator((2,), 4, 1, classes=3))


def test_labels_where_there_are_none_and_none_where_there_are() -> None:
    plain = watched()
    conditional = GAN(Generator((2,), 3, 4, 1, classes=3), Discriminator((2,), 4, 1, classes=3))
    labels = np.zeros(2, np.int64)
    for call in (
        lambda gan, labels: gan.sample(2, labels),
        lambda gan, labels: gan.discriminator_loss(points(2), gan.noise(2), labels),
        lambda gan, labels: gan.generator_loss(gan.noise(2), labels),
    ):
        with pytest.raises(ValueError, match=r"^GAN: takes no labels, it has no classes$"):
            call(plain, labels)
        with pytest.raises(ValueError, match=r"^GAN: takes labels$"):
            call(conditional, None)
    for wrong in (np.array([0, 3]), np.array([-1, 0]), np.array([0.0, 1.0]), np.array([[0, 1]])):
        with pytest.raises(ValueError, match=r"^one_hot: takes integers \(N,\) in 0 ... 2, got "):
            conditional.sample(2, wrong)


def test_a_number_or_noise() -> None:
    gan = watched()
    with pytest.raises(ValueError, match=r"^sample: takes n or z, got n=None and no z$"):
        gan.sample()
    with pytest.raises(ValueError, match=r"^sample: takes n or z, got n=2 and a z$"):
        gan.sample(2, z=gan.noise(2))
