"""Training a GAN: what a step of each player changes and what not, the order of the steps, resuming, warnings."""

from __future__ import annotations

import math
import os
import signal
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from minigen import nn, ops
from minigen.autograd import Tensor, tensor
from minigen.backend import Device, default_dtype, manual_seed, to_numpy
from minigen.checkpoint import load_progress
from minigen.data import Dataset, Loader
from minigen.models import DCGAN, GAN
from minigen.models.gan import Discriminator, Generator
from minigen.models.objectives import OBJECTIVES
from minigen.optim import SGD, Adam, Optimizer, RMSprop
from minigen.train import Adversarial, Diverged, GANWarning, Interrupted, train
from minigen.train.adversarial import Diagnostics, update

MODELS: dict[str, Callable[..., GAN]] = {
    "MLP": lambda objective: GAN(Generator((1, 8, 8), 3, 4, 1), Discriminator((1, 8, 8), 4, 1, 2), objective),
    "DCGAN": lambda objective: DCGAN((1, 16, 16), 3, 2, objective),
}
every_objective = pytest.mark.parametrize("objective", OBJECTIVES)
every_model = pytest.mark.parametrize("model", MODELS)


def data_for(gan: GAN, n: int) -> np.ndarray:
    side = 16 if isinstance(gan, DCGAN) else 8
    return np.random.default_rng(0).uniform(-1, 1, (n, 1, side, side)).astype("float32")


def optimizers(gan: GAN, kind: Callable[..., Optimizer] = Adam, lr: float = 1e-3) -> tuple[Optimizer, Optimizer]:
    return kind(gan.discriminator.parameters(), lr), kind(gan.generator.parameters(), lr)


def as_bytes(arrays: dict[str, Any]) -> dict[str, bytes]:
    return {name: to_numpy(x).tobytes() for name, x in arrays.items()}


# -- one step of one player --------------------------------------------------------------------------------------------


def all_of(player: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    """Everything that belongs to a player: parameters, statistics and the count of batches, gradients, modes ..."""
    return {
        "tensors": as_bytes(player.state_dict()),
        "optimizer": as_bytes(optimizer.state_dict()),
        "gradients": [None if p.grad is None else p.grad.numpy().tobytes() for p in player.parameters()],
        "requires_grad": [p.requires_grad for p in player.parameters()],
        "modes": [(part.training, part.frozen) for part in player.modules()],
    }


@every_objective
@every_model
def test_a_step_leaves_no_trace_in_the_other_player(model: str, objective: str, device: Device) -> None:
    gan = MODELS[model](objective)
    x, (d_optimizer, g_optimizer) = device.asarray(data_for(gan, 4)), optimizers(gan)
    update(d_optimizer, gan.discriminator_loss(x, gan.noise(4))[0])  # so that there is something in the state
    update(g_optimizer, gan.generator_loss(gan.noise(4))[0])
    for player in (gan.generator, gan.discriminator):  # flags, modes and gradients that are not everywhere the same
        next(player.parameters()).requires_grad = False
        player.net[1].eval()
        for p in player.parameters():
            p.grad = tensor(np.full(p.shape, 0.5, "float32"))

    d_before, g_before = all_of(gan.discriminator, d_optimizer), all_of(gan.generator, g_optimizer)
    update(d_optimizer, gan.discriminator_loss(x, gan.noise(4))[0])
    d_after = all_of(gan.discriminator, d_optimizer)
    assert all_of(gan.generator, g_optimizer) == g_before
    update(g_optimizer, gan.generator_loss(gan.noise(4))[0])
    g_after = all_of(gan.generator, g_optimizer)
    assert all_of(gan.discriminator, d_optimizer) == d_after

    for before, after in ((d_before, d_after), (g_before, g_after)):  # the player itself has moved
        assert all(before[what] != after[what] for what in ("tensors", "optimizer", "gradients"))
        assert all(before[what] == after[what] for what in ("requires_grad", "modes"))
    if model == "DCGAN":
        moved = {name for name, x in g_after["tensors"].items() if x != g_before["tensors"][name]}
        assert {"net.4.running_mean", "net.4.num_batches_tracked"} <= moved


@every_objective
@every_model
@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_a_step_goes_down_its_own_loss(player: str, model: str, objective: str) -> None:
    """On the same batch, by lr |gradient|^2 to first order; and the norm that it returns is that of the gradient."""
    with default_dtype("float64"):
        gan = MODELS[model](objective)
    x, z, lr = data_for(gan, 4).astype("float64"), gan.noise(4), 1e-7

    def loss() -> Tensor:
        manual_seed(1)  # the same dropout, the same points between data and samples
        return gan.discriminator_loss(x, z)[0] if player == "discriminator" else gan.generator_loss(z)[0]

    before = loss()
    for p in getattr(gan, player).parameters():
        p.grad = Tensor(np.ones(p.shape))  # of an earlier step: forgotten
    norm = update(SGD(getattr(gan, player).parameters(), lr), before)
    assert before.item() - loss().item() == pytest.approx(lr * norm**2, rel=1e-2)
    assert norm > 0 and all(p.grad is None for p in gan.parameters())


# -- the algorithm -----------------------------------------------------------------------------------------------------


class Watched(GAN):
    """Remembers what its losses were given, and the discriminator's largest weight at that moment."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.calls: list[dict[str, Any]] = []

    def _note(self, player: str, z: Tensor, **given: Any) -> None:
        weights = np.concatenate([p.numpy().ravel() for p in self.discriminator.parameters()])
        self.calls.append({"player": player, "z": z.numpy().copy(), "weights": weights, **given})

    def discriminator_loss(self, x: Any, z: Any, labels: Any = None) -> Any:
        self._note("D", z, x=to_numpy(x).copy(), labels=labels, noise=self.instance_noise)
        return super().discriminator_loss(x, z, labels)

    def generator_loss(self, z: Any, labels: Any = None) -> Any:
        self._note("G", z, labels=labels, noise=self.instance_noise)
        return super().generator_loss(z, labels)


def watched(objective: str = "non-saturating", k: int | None = None, **options: Any) -> Watched:
    classes = options.pop("classes", None)
    generator = Generator((2,), 3, 4, 1, classes, tanh=False)
    return Watched(generator, Discriminator((2,), 4, 1, 2, classes=classes), objective, k, **options)


@pytest.mark.parametrize("k", [1, 3])
def test_k_steps_on_fresh_data_and_noise_and_then_one(k: int, device: Device) -> None:
    gan = watched(k=k, classes=3)
    step = Adversarial(gan, *optimizers(gan))
    images, labels = np.arange(2.0 * (4 * k + 1)).reshape(-1, 2).astype("float32"), np.arange(4 * k + 1) % 3
    for _ in range(2):
        step(device.asarray(images), device.asarray(labels))  # one image is left over where k > 1
    assert "".join(call["player"] for call in gan.calls) == 2 * ("D" * k + "G")
    m = len(images) // k
    for first in (0, k + 1):
        for i, call in enumerate(gan.calls[first : first + k]):
            np.testing.assert_array_equal(call["x"], images[i * m : (i + 1) * m])
            np.testing.assert_array_equal(to_numpy(call["labels"]), labels[i * m : (i + 1) * m])
    assert all(call["z"].shape == (m, 3) and len(call["labels"]) == m for call in gan.calls)
    noise = np.concatenate([call["z"] for call in gan.calls])
    assert len(np.unique(noise, axis=0)) == len(noise)  # never the same again
    weights = [call["weights"].tobytes() for call in gan.calls]  # D has moved after each D and not after G
    assert len(set(weights)) == 2 * k + 1
    assert all((a == b) == (call["player"] == "G") for call, a, b in zip(gan.calls, weights, weights[1:], strict=False))
    assert step.d_optimizer.steps == 2 * k and step.g_optimizer.steps == 2


def test_clipping_follows_the_critics_step(device: Device) -> None:
    """Whoever looks at the critic after a step, however large, finds every weight within the bound."""
    gan = watched("wasserstein", k=3)
    step = Adversarial(gan, *optimizers(gan, SGD, 1e6))
    step(device.asarray(np.random.default_rng(0).normal(3, 1, (12, 2)).astype("float32")))
    first, *others = gan.calls
    assert [call["player"] for call in gan.calls] == ["D", "D", "D", "G"] and np.abs(first["weights"]).max() > 0.01
    for call in others:
        assert np.abs(call["weights"]).max() <= np.float32(0.01)
        assert (np.abs(call["weights"]) == np.float32(0.01)).any()  # the step went far beyond


@every_objective
def test_only_the_clipped_critic_is_clipped(objective: str) -> None:
    gan = watched(objective, k=1)
    next(gan.discriminator.parameters()).data += 7.0
    Adversarial(gan, *optimizers(gan))(np.ones((4, 2), "float32"))
    assert (max(float(p.data.max()) for p in gan.discriminator.parameters()) > 1) == (objective != "wasserstein")


@every_objective
@every_model
def test_every_objective_trains(model: str, objective: str, device: Device) -> None:
    """Two iterations: both players and the average move, the figures are finite, no gradient stays behind."""
    gan = MODELS[model](objective)
    step = Adversarial(gan, *optimizers(gan, RMSprop, 1e-4), average=0.9)
    before = as_bytes(gan.state_dict()) | as_bytes(step.average.state_dict())
    images = device.asarray(data_for(gan, 3 * gan.k))
    step(images)
    figures = step(images, None)
    after = as_bytes(gan.state_dict()) | as_bytes(step.average.state_dict())
    same = {name for name in before if after[name] == before[name]}
    assert same <= {list(before)[len(gan.state_dict()) - 1]}, same  # a critic's last bias cancels out of its loss
    own = {"wasserstein"} if objective.startswith("wasserstein") else {"D(x)", "D(G(z))"}
    assert figures.keys() == {"d_loss", "g_loss", "d_grad", "g_grad", "diversity"} | own
    assert all(isinstance(value, float) and math.isfinite(value) for value in figures.values())
    assert all(p.grad is None and p.device == device and p.dtype == np.float32 for p in gan.parameters())
    own_weights = as_bytes(gan.generator.state_dict())
    with step.averaged():
        inside = as_bytes(gan.generator.state_dict())
    assert {n: x for n, x in inside.items() if "tracked" not in n} == as_bytes(step.average.average) != own_weights
    assert as_bytes(gan.generator.state_dict()) == own_weights


def test_without_an_average_nothing_is_averaged() -> None:
    gan = watched()
    step = Adversarial(gan, *optimizers(gan))
    before = as_bytes(gan.state_dict())
    with step.averaged():
        assert as_bytes(gan.state_dict()) == before
    assert list(step.parts) == ["gan", "discriminator_optimizer", "generator_optimizer"]


# -- figures -----------------------------------------------------------------------------------------------------------


class Constant(nn.Module):
    """A generator of one point (and a bit of z, so that something is derived)."""

    latent_dim, classes = 2, None

    def __init__(self, *at: float) -> None:
        self.at = nn.Parameter(tensor(list(at)).data)

    def forward(self, z: Any) -> Any:
        return self.at + 0.0 * z


class First(nn.Module):
    """The critic scale x0."""

    def __init__(self, scale: float) -> None:
        self.scale = nn.Parameter(tensor([scale]).data)

    def forward(self, x: Any) -> Any:
        return self.scale * x[:, 0]


def still(objective: str, scale: float, at: float) -> Adversarial:
    """An iteration that all but stands still."""
    gan = GAN(Constant(at, 0.0), First(scale), objective, k=1)
    return Adversarial(gan, *optimizers(gan, SGD, 1e-12))


@pytest.mark.parametrize("objective", ["wasserstein", "wasserstein-gp"])
def test_the_sign_of_the_wasserstein_figure(objective: str, device: Device) -> None:
    """mean critic(x) - mean critic(G(z)): positive where data score higher; minus the loss but for the penalty."""
    data = device.asarray(np.array([[1.0, 0], [2.0, 0], [3.0, 0], [2.0, 0]], "float32"))
    penalty = 10 * (0.01 - 1) ** 2 if objective == "wasserstein-gp" else 0.0
    for at, expected in ((-3.0, 0.05), (5.0, -0.03)):
        figures = still(objective, 0.01, at)(data)
        assert figures["wasserstein"] == pytest.approx(expected, rel=1e-4)
        assert figures["d_loss"] == pytest.approx(penalty - expected, rel=1e-4)
        assert figures["g_loss"] == pytest.approx(-0.01 * at, rel=1e-4)


def test_the_other_figures(device: Device) -> None:
    """D = sigmoid(2 x0), data at 1 and -1 with second coordinates 3 and -3, all samples at (0.5, 0)."""
    figures = still("minimax", 2.0, 0.5)(device.asarray(np.array([[1.0, 3.0], [-1.0, -3.0]], "float32")))
    sigmoid = lambda s: 1 / (1 + math.exp(-s))
    s, t = np.array([2.0, -2.0]), 1.0
    assert figures["D(x)"] == pytest.approx((sigmoid(2) + sigmoid(-2)) / 2, rel=1e-5)
    assert figures["D(G(z))"] == pytest.approx(sigmoid(1), rel=1e-5)
    assert figures["g_loss"] == pytest.approx(math.log(1 - sigmoid(1)), rel=1e-5)
    by_scale = np.mean([-(1 - sigmoid(v)) * v / 2 for v in s]) + sigmoid(t) * t / 2
    assert figures["d_grad"] == pytest.approx(abs(by_scale), rel=1e-4)
    assert figures["g_grad"] == pytest.approx(sigmoid(1) * 2, rel=1e-4)
    assert figures["diversity"] == 0.0  # the same point again and again
    gan = GAN(Generator((3,), 2, 4, 1), Discriminator((3,), 4, 1))
    gan.generator.forward = lambda z, labels=None: tensor([[0.0, 0, 0], [2.0, 4, 0]]) + 0.0 * gan.generator.net(z)
    x = np.array([[1.0, 0, 0], [-1.0, 0, 6.0]], "float32")  # standard deviations 1, 0, 3; the samples' 1, 2, 0
    assert Adversarial(gan, *optimizers(gan))(device.asarray(x))["diversity"] == pytest.approx(3 / 4, rel=1e-5)


# -- instance noise ----------------------------------------------------------------------------------------------------


def test_instance_noise_decays_in_a_straight_line_to_nothing() -> None:
    """With the generator's steps, of which a checkpoint keeps the number: at 3 of 5, two fifths are left."""
    x = np.zeros((4, 2), "float32")
    gan = watched(instance_noise=0.5, k=2)
    step = Adversarial(gan, *optimizers(gan), instance_noise_steps=5)
    for _ in range(8):
        step(x)
    noise = [call["noise"] for call in gan.calls]
    assert noise == pytest.approx(np.repeat([0.5, 0.4, 0.3, 0.2, 0.1, 0, 0, 0], 3)) and noise[15:] == [0.0] * 9
    later = watched(instance_noise=0.5)
    resumed = Adversarial(later, *optimizers(later), instance_noise_steps=5)
    resumed.g_optimizer.steps = 3
    resumed(x)
    assert later.calls[0]["noise"] == pytest.approx(0.2)


# -- errors ------------------------------------------------------------------------------------------------------------


def test_a_batch_that_is_too_small_and_noise_without_steps() -> None:
    gan = watched(k=3)
    with pytest.raises(ValueError, match=r"^Adversarial: takes at least k=3 images, one for each step, got 2$"):
        Adversarial(gan, *optimizers(gan))(np.zeros((2, 2), "float32"))
    with pytest.raises(ValueError, match=r"^Adversarial: takes instance_noise_steps >= 1, got 0$"):
        Adversarial(gan, *optimizers(gan), instance_noise_steps=0)


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_a_loss_that_is_not_finite_changes_nothing(player: str) -> None:
    gan = watched()
    step, x = Adversarial(gan, *optimizers(gan)), np.ones((4, 2), "float32")
    if player == "discriminator":
        x[1, 1] = np.nan
    else:
        gan.generator_loss = lambda z, labels=None: (ops.mean(gan.generator(z)) * np.inf, gan.generator(z))
    before = as_bytes(gan.generator.state_dict())
    with pytest.raises(Diverged, match=r"^the loss is (nan|-?inf)"), np.errstate(all="ignore"):
        step(x)
    assert as_bytes(gan.generator.state_dict()) == before and step.g_optimizer.steps == 0


# -- resuming ----------------------------------------------------------------------------------------------------------

IMAGES = Dataset(
    np.random.default_rng(3).integers(0, 256, (24, 1, 16, 16), np.uint8), np.zeros(24, np.int64), ("",), "", ""
)


class Killed(Exception):
    pass


def run(out: Path, before: Callable[[int], Any] = lambda step: None, **options: Any) -> None:
    """Two epochs of four steps (of two of the critic's), with all that a checkpoint has to keep."""
    manual_seed(0)
    gan = DCGAN((1, 16, 16), 3, 2, "wasserstein", k=2, instance_noise=0.3)
    step = Adversarial(gan, *optimizers(gan, RMSprop, 1e-3), average=0.8, instance_noise_steps=6)
    made: list[int] = []

    class Interrupted:
        parts = step.parts

        def __call__(self, images: Any, labels: Any) -> dict[str, float]:
            before(len(made))
            made.append(1)
            return step(images, labels)

    train(Interrupted(), Loader(IMAGES, 6, pixels="signed", seed=1), epochs=2, out=out, **options)


def outcome(out: Path) -> tuple[dict[str, bytes], Any, str]:
    progress = load_progress(out / "checkpoint.safetensors")
    log = [line.partition(', "seconds"')[0] for line in (out / "log.jsonl").read_text().splitlines()]
    return as_bytes(load_file(out / "checkpoint.safetensors")), progress["random"], "\n".join(log)


def killed(step: int) -> None:
    if step == 5:
        raise Killed


def interrupted(step: int) -> None:
    if step == 2:
        os.kill(os.getpid(), signal.SIGINT)


def test_a_run_that_was_stopped_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    run(tmp_path / "whole")
    arrays, *_ = whole = outcome(tmp_path / "whole")
    assert {"gan/generator.net.1.running_var", "average/net.1.running_var"} < arrays.keys()
    with pytest.raises(Killed):  # in the second epoch, saved in the step before
        run(tmp_path / "killed", killed, checkpoint_seconds=0)
    with pytest.raises(Interrupted):
        run(tmp_path / "interrupted", interrupted)
    for name in ("killed", "interrupted"):
        run(tmp_path / name, resume=True)
        assert outcome(tmp_path / name) == whole, name


def test_a_diverging_run_says_where(tmp_path: Path) -> None:
    gan = DCGAN((1, 16, 16), 3, 2)
    step = Adversarial(gan, *optimizers(gan))
    gan.generator.net[0].weight.data[0, 0, 0, 0] = np.nan
    with pytest.raises(Diverged, match=r"^epoch 1, step 1: the loss is nan; there is no checkpoint yet$"):
        train(step, Loader(IMAGES, 6, pixels="signed"), epochs=1, out=tmp_path)


# -- diagnostics -----------------------------------------------------------------------------------------------------

HEALTHY = {"d_loss": 0.7, "g_loss": 1.0, "d_grad": 1.0, "g_grad": 1.0, "diversity": 0.8}


def warned(objective: str, *figures: dict[str, float], healthy: int = 5, patience: int = 5) -> list[str]:
    """What is said while healthy figures are followed by these."""
    diagnostics = Diagnostics(OBJECTIVES[objective], patience)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for change in (*[{}] * healthy, *figures):
            diagnostics.look(HEALTHY | change)
    assert all(w.category is GANWarning for w in caught)
    return [str(w.message) for w in caught]


@every_objective
def test_healthy_figures_raise_no_suspicion(objective: str) -> None:
    random = np.random.default_rng(0)
    noisy = [{name: value * random.uniform(0.3, 3) for name, value in HEALTHY.items()} for _ in range(50)]
    assert warned(objective, *noisy) == []


@every_objective
def test_a_discriminators_loss_near_zero(objective: str) -> None:
    """Not that of a critic, which has no such bound: its loss is minus a distance."""
    critic = objective.startswith("wasserstein")
    for loss, suspicious in ((0.015, True), (0.025, False), (-3.0, True)):
        told = warned(objective, *[{"d_loss": loss}] * 40)
        assert len(told) == (suspicious and not critic), (loss, told)
        assert all(text.startswith("the discriminator's loss is near zero (") for text in told)
    assert warned(objective, {"d_loss": 0.0}) == []  # a single batch is nothing


@pytest.mark.parametrize(("figure", "owner"), [("d_grad", "discriminator"), ("g_grad", "generator")])
def test_a_gradient_that_explodes(figure: str, owner: str) -> None:
    (told,) = warned("minimax", {figure: 101.0}, {}, {figure: 1e9})  # once
    assert told.startswith(f"the {owner}'s gradient has exploded (norm 1e+02, before about 1)")
    assert warned("minimax", {figure: 99.0}) == []
    assert warned("minimax", *({figure: 2.0**i} for i in range(20))) == []  # growing bit by bit


def test_a_generator_that_emits_one_image() -> None:
    (told,) = warned("hinge", *[{"diversity": 0.08}] * 40)
    assert told.startswith("the generator emits nearly one image (its samples vary 0.0") and "mode collapse" in told
    assert warned("hinge", *[{"diversity": 0.12}] * 40) == []
    assert warned("hinge", {"diversity": 0.0}) == []


def test_nothing_is_said_before_there_is_an_average() -> None:
    bad = {"d_loss": 0.0, "diversity": 0.0}
    assert warned("minimax", *[bad] * 4, healthy=0) == []
    assert len(warned("minimax", *[bad] * 6, healthy=0)) == 2
    assert len(warned("minimax", *[bad | {"g_grad": 1e3, "d_grad": 1e3}], *[bad] * 40)) == 4  # each kind, once


def test_an_iteration_warns() -> None:
    """Where it is called from."""
    step = still("minimax", 2.0, 0.5)
    step.diagnostics = Diagnostics(step.gan.objective, patience=2)
    x = np.array([[1.0, 3.0], [-1.0, -3.0]], "float32")
    step(x)
    with pytest.warns(GANWarning, match=r"^the generator emits nearly one image") as caught:
        step(x)
    assert [w.filename for w in caught] == [__file__]
