"""A game: what a step of each player changes and what not, the order of the steps, any number of players, resuming."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import minigen
from minigen import backend, nn, ops
from minigen.autograd import Tensor, tensor
from minigen.backend import Device, default_dtype, to_numpy
from minigen.checkpoint import load_progress
from minigen.data import Dataset, Loader
from minigen.models import DCGAN, GAN, Batch, MLPDiscriminator, MLPGenerator, Player, Tricks
from minigen.models.objectives import OBJECTIVES
from minigen.optim import SGD, Adam, Optimizer, RMSprop, WeightEMA
from minigen.random import manual_seed
from minigen.train import Diverged, Game, Interrupted, train
from minigen.train.run import Metrics, fetched

MODELS: dict[str, Callable[..., GAN]] = {
    "MLP": lambda objective: GAN(MLPGenerator((1, 8, 8), 3, 4, 1), MLPDiscriminator((1, 8, 8), 4, 1, 2), objective),
    "DCGAN": lambda objective: DCGAN((1, 16, 16), 3, 2, objective),
}
every_objective = pytest.mark.parametrize("objective", OBJECTIVES)
every_model = pytest.mark.parametrize("model", MODELS)


def data_for(gan: GAN, n: int) -> np.ndarray:
    side = 16 if isinstance(gan, DCGAN) else 8
    return np.random.default_rng(0).uniform(-1, 1, (n, 1, side, side)).astype("float32")


def optimizers(model: Any, kind: Callable[..., Optimizer] = Adam, lr: float = 1e-3) -> dict[str, Optimizer]:
    return {name: kind(player.module.parameters(), lr) for name, player in model.players().items()}


def game(model: Any, kind: Callable[..., Optimizer] = Adam, lr: float = 1e-3, **options: Any) -> Game:
    return Game(model, optimizers(model, kind, lr), **options)


def alone(gan: GAN, name: str, kind: Callable[..., Optimizer] = Adam, lr: float = 1e-3) -> Game:
    """The game without the other player: a round is one step."""
    player = replace(gan.players()[name], steps=1)
    gan.players = lambda: {name: player}  # type: ignore[method-assign]
    step = game(gan, kind, lr)
    del gan.players
    return step


def as_bytes(arrays: Mapping[str, Any]) -> dict[str, bytes]:
    return {name: to_numpy(x).tobytes() for name, x in arrays.items()}


def numbers(metrics: Metrics) -> Metrics:
    """The metrics of a step; those of a GPU are read."""
    return fetched([metrics])[0]


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
    x, players = device.asarray(data_for(gan, 4)), {"discriminator": gan.discriminator, "generator": gan.generator}
    steps = {name: alone(gan, name) for name in players}
    for step in steps.values():  # so that there is something in the state
        step(x)
    for player in players.values():  # flags, modes and gradients that are not everywhere the same
        next(player.parameters()).requires_grad = False
        player.net[1].eval()
        player.net[2].frozen = True
        for p in player.parameters():
            p.grad = tensor(np.full(p.shape, 0.5, "float32"))

    state = lambda name: all_of(players[name], steps[name].optimizers[name])
    before = {name: state(name) for name in players}
    for name, other in (("discriminator", "generator"), ("generator", "discriminator")):
        others = state(other)
        steps[name](x)
        assert state(other) == others
    for name in players:  # the player itself has moved
        after = state(name)
        assert all(before[name][what] != after[what] for what in ("tensors", "optimizer", "gradients"))
        assert all(before[name][what] == after[what] for what in ("requires_grad", "modes"))
    if model == "DCGAN":  # `after` is the generator's
        moved = {name for name, x in after["tensors"].items() if x != before["generator"]["tensors"][name]}
        assert {"net.4.running_mean", "net.4.num_batches_tracked"} <= moved


@every_objective
@every_model
@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_a_step_goes_down_its_own_loss(player: str, model: str, objective: str) -> None:
    """On the same batch, by lr |gradient|^2 to first order; and the norm in the log is that of the gradient."""
    with default_dtype("float64"):
        gan = MODELS[model](objective)
    gan.objective = replace(gan.objective, clip=None)  # clipping is no step down
    x, lr = data_for(gan, 4).astype("float64"), 1e-7
    step = alone(gan, player, SGD, lr)
    for p in step.players[player].module.parameters():
        p.grad = Tensor(np.ones(p.shape))  # of an earlier step: forgotten

    def play() -> tuple[float, float]:
        manual_seed(1)  # the same noise, the same dropout, the same points between data and samples
        metrics = step(x)
        return metrics[f"{player[0]}_loss"], metrics[f"{player[0]}_grad"]

    (before, norm), (after, _) = play(), play()
    assert before - after == pytest.approx(lr * norm**2, rel=1e-2)
    assert norm > 0 and all(p.grad is None for p in gan.parameters())


# -- the lecture's algorithm -------------------------------------------------------------------------------------------


class Watched(GAN):
    """Remembers what its losses were given, and the discriminator's weights at that moment."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.calls: list[dict[str, Any]] = []

    def _note(self, player: str, batch: Batch) -> None:
        weights = np.concatenate([p.numpy().ravel() for p in self.discriminator.parameters()])
        x, z = to_numpy(batch.data).copy(), batch.noise.numpy().copy()
        self.calls.append({"player": player, "weights": weights, **batch._asdict(), "data": x, "noise": z})

    def discriminator_loss(self, batch: Batch) -> Any:
        self._note("D", batch)
        return super().discriminator_loss(batch)

    def generator_loss(self, batch: Batch) -> Any:
        self._note("G", batch)
        return super().generator_loss(batch)


def watched(objective: str = "non-saturating", k: int | None = None, **options: Any) -> Watched:
    classes = options.pop("classes", None)
    generator = MLPGenerator((2,), 3, 4, 1, classes, tanh=False)
    return Watched(generator, MLPDiscriminator((2,), 4, 1, 2, classes=classes), objective, k, **options)


@pytest.mark.parametrize("k", [1, 3])
def test_k_steps_on_fresh_data_and_noise_and_then_one(k: int, device: Device) -> None:
    gan = watched(k=k, classes=3)
    step = game(gan)
    images, labels = np.arange(2.0 * (4 * k + 1)).reshape(-1, 2).astype("float32"), np.arange(4 * k + 1) % 3
    for _ in range(2):
        step(device.asarray(images), device.asarray(labels))  # one image is left over where k > 1
    assert "".join(call["player"] for call in gan.calls) == 2 * ("D" * k + "G")
    m = len(images) // k
    for first in (0, k + 1):
        for i, call in zip((*range(k), k - 1), gan.calls[first : first + k + 1], strict=True):  # G: as D's last
            np.testing.assert_array_equal(call["data"], images[i * m : (i + 1) * m])
            np.testing.assert_array_equal(to_numpy(call["labels"]), labels[i * m : (i + 1) * m])
    assert all(call["noise"].shape == (m, 3) and len(call["labels"]) == m for call in gan.calls)
    noise = np.concatenate([call["noise"] for call in gan.calls])
    assert len(np.unique(noise, axis=0)) == len(noise)  # never the same again
    weights = [call["weights"].tobytes() for call in gan.calls]  # D has moved after each D and not after G
    assert len(set(weights)) == 2 * k + 1
    assert all((a == b) == (call["player"] == "G") for call, a, b in zip(gan.calls, weights, weights[1:], strict=False))
    assert {name: o.steps for name, o in step.optimizers.items()} == {"discriminator": 2 * k, "generator": 2}


def test_rounds_are_counted_also_after_a_break() -> None:
    """By the steps in the checkpoint; the schedule scales each optimizer's own rate for their number."""
    x = np.zeros((4, 2), "float32")
    for resumed in (0, 3):
        gan, used = watched(k=2), []
        step = game(gan, schedule=lambda rounds: 1 / (1 + rounds))
        step.rates["generator"] = 2e-3
        for name, optimizer in step.optimizers.items():
            optimizer.steps = resumed * step.players[name].steps
        for _ in range(3):
            step(x)
            used.append([optimizer.lr for optimizer in step.optimizers.values()])
        rounds = np.arange(resumed, resumed + 3)
        assert [call["round"] for call in gan.calls] == rounds.repeat(3).tolist()
        np.testing.assert_allclose(used, np.outer(1 / (1 + rounds), [1e-3, 2e-3]))
        assert step.rounds == resumed + 3


def test_clipping_follows_the_critics_step(device: Device) -> None:
    """Whoever looks at the critic after a step, however large, finds every weight within the bound."""
    gan = watched("wasserstein", k=3)
    game(gan, SGD, 1e6)(device.asarray(np.random.default_rng(0).normal(3, 1, (12, 2)).astype("float32")))
    first, *others = gan.calls
    assert [call["player"] for call in gan.calls] == ["D", "D", "D", "G"] and np.abs(first["weights"]).max() > 0.01
    for call in others:
        assert np.abs(call["weights"]).max() <= np.float32(0.01)
        assert (np.abs(call["weights"]) == np.float32(0.01)).any()  # the step went far beyond


@every_objective
def test_only_the_clipped_critic_is_clipped(objective: str) -> None:
    gan = watched(objective, k=1)
    next(gan.discriminator.parameters()).data += 7.0
    game(gan)(np.ones((4, 2), "float32"))
    assert (max(float(p.data.max()) for p in gan.discriminator.parameters()) > 1) == (objective != "wasserstein")


@every_objective
@every_model
def test_every_objective_trains(model: str, objective: str, device: Device) -> None:
    """Two rounds: both players and the average move, the metrics are finite, no gradient stays behind."""
    gan = MODELS[model](objective)
    average = WeightEMA(gan.generator, 0.9)
    step = game(gan, RMSprop, 1e-4, average=average)
    before = as_bytes(gan.state_dict()) | as_bytes(average.state_dict())
    images = device.asarray(data_for(gan, 3 * gan.k))
    step(images)
    metrics = numbers(step(images, None))
    after = as_bytes(gan.state_dict()) | as_bytes(average.state_dict())
    same = {name for name in before if after[name] == before[name]}
    assert same <= {list(before)[len(gan.state_dict()) - 1]}, same  # a critic's last bias cancels out of its loss
    own = ["wasserstein"] if objective.startswith("wasserstein") else ["D(x)", "D(G(z))"]
    assert list(metrics) == ["d_loss", "g_loss", "d_grad", "g_grad", *own, "diversity"]
    assert all(isinstance(value, float) and math.isfinite(value) for value in metrics.values())
    assert all(p.grad is None and p.device == device and p.dtype == np.float32 for p in gan.parameters())
    own_weights = as_bytes(gan.generator.state_dict())
    with step.averaged():
        inside = as_bytes(gan.generator.state_dict())
    assert {n: x for n, x in inside.items() if "tracked" not in n} == as_bytes(average.average) != own_weights
    assert as_bytes(gan.generator.state_dict()) == own_weights


def test_without_an_average_nothing_is_averaged() -> None:
    gan = watched()
    step = game(gan)
    before = as_bytes(gan.state_dict())
    with step.averaged():
        assert as_bytes(gan.state_dict()) == before
    assert list(step.parts) == ["gan", "discriminator_optimizer", "generator_optimizer"]
    assert list(game(gan, average=WeightEMA(gan.generator)).parts) == [*step.parts, "average"]


# -- games of other players --------------------------------------------------------------------------------------------


class Playground(nn.Module):
    """Networks of two units, and players, each with some of them; every player's loss goes through all networks."""

    def __init__(self, **players: tuple[str, int]) -> None:
        self.sides = {name: (networks.split(), steps) for name, (networks, steps) in players.items()}
        self.networks = sorted({name for networks, _ in self.sides.values() for name in networks})
        for name in self.networks:
            setattr(self, name, nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Tanh()))
        self.calls: list[dict[str, Any]] = []

    def players(self) -> dict[str, Player]:
        return {
            name: Player(nn.ModuleList([getattr(self, n) for n in networks]), partial(self.loss_of, name), steps)
            for name, (networks, steps) in self.sides.items()
        }

    def noise(self, n: int) -> Tensor:
        return tensor(np.random.default_rng(len(self.calls)).normal(size=(n, 2)).astype("float32"))

    def loss_of(self, player: str, batch: Batch) -> tuple[Tensor, dict[str, Any]]:
        self.calls.append({"player": player, "state": self.state(), **batch._asdict()})
        outputs = [getattr(self, name)(x) for name in self.networks for x in (batch.noise, tensor(batch.data))]
        loss = ops.mean(ops.square(ops.concat(outputs) - 0.5))
        return loss, {f"of {player}": loss.data, "steps": np.array(len(self.calls))}

    def state(self) -> dict[str, dict[str, bytes]]:
        return {name: as_bytes(getattr(self, name).state_dict()) for name in self.networks}


GAMES: dict[str, dict[str, tuple[str, int]]] = {
    "an encoder beside the generator (BiGAN)": {"discriminator": ("D", 1), "generator": ("G E", 1)},
    "two of each (CycleGAN)": {
        "discriminator_a": ("Da", 1), "discriminator_b": ("Db", 1),
        "generator_ab": ("Gab", 1), "generator_ba": ("Gba", 1),
    },
    "more steps of the generator": {"discriminator": ("D", 1), "generator": ("G", 3)},
    "steps of all kinds": {"discriminator_a": ("Da", 2), "discriminator_b": ("Db", 3), "generator": ("G", 1)},
    "a trunk that two share": {"discriminator": ("trunk D", 1), "classifier": ("trunk C", 2), "generator": ("G", 1)},
    "the generator first": {"generator": ("G", 1), "discriminator": ("D", 2)},
    "one player": {"generator": ("G", 2)},
}  # fmt: skip


@pytest.mark.parametrize("players", GAMES.values(), ids=GAMES.keys())
def test_each_player_moves_its_own_networks_in_its_turn(players: dict[str, tuple[str, int]]) -> None:
    model = Playground(**players)
    step = game(model)
    k = max(steps for _, steps in players.values())
    images, labels = np.random.default_rng(0).normal(size=(3 * k, 2)).astype("float32"), np.arange(3 * k)
    for rounds in range(2):
        metrics = step(images, labels)
        assert step.rounds == rounds + 1
    order = [name for name, (_, steps) in players.items() for _ in range(steps)]
    assert [call["player"] for call in model.calls] == 2 * order
    parts = [i for _, steps in players.values() for i in range(k - steps, k)]  # fewer steps: the last parts
    for i, call in zip(2 * parts, model.calls, strict=True):
        np.testing.assert_array_equal(call["data"], images[3 * i : 3 * (i + 1)])
        np.testing.assert_array_equal(call["labels"], labels[3 * i : 3 * (i + 1)])
    states = [*(call["state"] for call in model.calls), model.state()]
    for call, before, after in zip(model.calls, states, states[1:], strict=False):
        moved = {name for name in model.networks if before[name] != after[name]}
        assert moved == set(players[call["player"]][0].split()), call["player"]
    assert all(p.grad is None for p in model.parameters())
    prefixes = [
        name.replace("discriminator", "d").replace("generator", "g").replace("classifier", "c") for name in players
    ]
    others = {"of " + name for name in players} | {"steps"}
    assert metrics.keys() == {f"{p}_{what}" for p in prefixes for what in ("loss", "grad")} | others
    last = {call["player"]: number for number, call in enumerate(model.calls, start=1)}
    assert metrics["steps"] == last[next(reversed(players))]
    assert all(metrics[f"{p}_loss"] == metrics[f"of {name}"] for p, name in zip(prefixes, players, strict=True))


def test_a_loss_may_do_without_data_and_labels() -> None:
    """The generator learns to draw points near (1, 1), whatever the images are."""
    model = Playground(generator=("G", 1))
    model.loss_of = lambda player, batch: (ops.mean(ops.square(model.G[0](batch.noise) - 1.0)), {})  # type: ignore
    step = game(model, SGD, 0.1)
    losses = [step([None] * 8)["g_loss"] for _ in range(50)]
    assert losses[-1] < 0.05 < losses[0]


def test_what_follows_a_step_sees_its_metrics() -> None:
    """After each of the player's own steps: so BEGAN's balance, say, can be adapted."""
    model, seen = Playground(discriminator=("D", 2), generator=("G", 1)), []
    players = model.players()
    players["discriminator"] = replace(players["discriminator"], after=lambda metrics: seen.append(dict(metrics)))
    model.players = lambda: players  # type: ignore[method-assign]
    step = game(model)
    step(np.ones((4, 2), "float32"))
    step(np.ones((4, 2), "float32"))
    assert [metrics["steps"] for metrics in seen] == [1, 2, 4, 5] and seen[0].keys() == {"of discriminator", "steps"}


def test_a_part_that_is_fixed_stays_fixed() -> None:
    """A network that no player has, and one of a player's own that was frozen before."""
    model = Playground(discriminator=("D", 1), generator=("G fixed", 1))
    model.sides["generator"] = (["G"], 1)
    model.G[1].frozen = True
    model.G[0].weight.requires_grad = False
    before = model.state()
    game(model)(np.ones((4, 2), "float32"))
    after = model.state()
    assert after["fixed"] == before["fixed"]
    assert {name for name in after["G"] if after["G"][name] != before["G"][name]} == {"0.bias", "1.weight", "1.bias"}
    assert model.G[1].frozen and not model.G[0].frozen and not model.G[0].weight.requires_grad


# -- metrics -----------------------------------------------------------------------------------------------------------


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


def still(objective: str, scale: float, at: float) -> Game:
    """A round that all but stands still."""
    return game(GAN(Constant(at, 0.0), First(scale), objective, k=1), SGD, 1e-12)


@pytest.mark.parametrize("objective", ["wasserstein", "wasserstein-gp"])
def test_the_sign_of_the_wasserstein_estimate(objective: str, device: Device) -> None:
    """mean critic(x) - mean critic(G(z)): positive where data score higher; minus the loss but for the penalty."""
    data = device.asarray(np.array([[1.0, 0], [2.0, 0], [3.0, 0], [2.0, 0]], "float32"))
    penalty = 10 * (0.01 - 1) ** 2 if objective == "wasserstein-gp" else 0.0
    for at, expected in ((-3.0, 0.05), (5.0, -0.03)):
        metrics = numbers(still(objective, 0.01, at)(data))
        assert metrics["wasserstein"] == pytest.approx(expected, rel=1e-4)
        assert metrics["d_loss"] == pytest.approx(penalty - expected, rel=1e-4)
        assert metrics["g_loss"] == pytest.approx(-0.01 * at, rel=1e-4)


def test_the_other_metrics(device: Device) -> None:
    """D = sigmoid(2 x0), data at 1 and -1 with second coordinates 3 and -3, all samples at (0.5, 0)."""
    x = device.asarray(np.array([[1.0, 3.0], [-1.0, -3.0]], "float32"))
    metrics = numbers(still("minimax", 2.0, 0.5)(x))
    sigmoid = lambda s: 1 / (1 + math.exp(-s))
    s, t = np.array([2.0, -2.0]), 1.0
    assert metrics["D(x)"] == pytest.approx((sigmoid(2) + sigmoid(-2)) / 2, rel=1e-5)
    assert metrics["D(G(z))"] == pytest.approx(sigmoid(1), rel=1e-5)
    assert metrics["g_loss"] == pytest.approx(math.log(1 - sigmoid(1)), rel=1e-5)
    by_scale = np.mean([-(1 - sigmoid(v)) * v / 2 for v in s]) + sigmoid(t) * t / 2
    assert metrics["d_grad"] == pytest.approx(abs(by_scale), rel=1e-4)
    assert metrics["g_grad"] == pytest.approx(sigmoid(1) * 2, rel=1e-4)
    assert metrics["diversity"] == 0.0  # the same point again and again
    gan = GAN(MLPGenerator((3,), 2, 4, 1), MLPDiscriminator((3,), 4, 1))
    gan.generator.forward = lambda z, labels=None: tensor([[0.0, 0, 0], [2.0, 4, 0]]) + 0.0 * gan.generator.net(z)
    x = np.array([[1.0, 0, 0], [-1.0, 0, 6.0]], "float32")  # standard deviations 1, 0, 3; the samples' 1, 2, 0
    assert numbers(game(gan)(device.asarray(x)))["diversity"] == pytest.approx(3 / 4, rel=1e-5)


def test_signs_of_failure_on_a_gpu_are_looked_for(tmp_path: Path, gpu_standin: Device) -> None:
    """When the metrics have been read, once for each round; also on another card than the current one."""
    images = Dataset.from_arrays(np.zeros((12, 1, 16, 16), np.uint8))
    with backend.device("gpu:1") as second:
        gan = MODELS["DCGAN"]("non-saturating")
    step = game(gan, average=WeightEMA(gan.generator))
    log = train(step, Loader(images, 3, pixels="signed", device=second), epochs=2, out=tmp_path)
    assert gan.sample(2).device == second
    minigen.save(gan, tmp_path / "weights.safetensors")
    assert step.diagnostics.looked == 8
    assert all(isinstance(value, float) for value in log[0]["train"].values())


# -- errors ------------------------------------------------------------------------------------------------------------


def test_a_batch_that_is_too_small() -> None:
    with pytest.raises(ValueError, match=r"^Game: expects at least 3 images, one for each step of a round, got 2$"):
        game(watched(k=3))(np.zeros((2, 2), "float32"))


def test_optimizers_and_players_that_do_not_belong_together() -> None:
    gan = watched()
    both = optimizers(gan)
    discriminator, generator = both.values()
    expected = r"^Game: expects an optimizer for each of \['discriminator', 'generator'\], got "
    with pytest.raises(ValueError, match=expected + r"\['generator'\]$"):
        Game(gan, {"generator": generator})
    with pytest.raises(ValueError, match=expected + r"\['discriminator', 'generator', 'encoder'\]$"):
        Game(gan, both | {"encoder": generator})
    with pytest.raises(
        ValueError, match=r"^Game: expects the optimizer of 'discriminator' to update its parameters, got"
    ):
        Game(gan, {"discriminator": generator, "generator": discriminator})
    with pytest.raises(
        ValueError, match=r"^Game: expects players with different names in the log, got \['generator', "
    ):
        game(Playground(generator=("G", 1), guide=("H", 1)))
    with pytest.raises(ValueError, match=r"^Player: expects steps >= 1, got 0$"):
        Playground(generator=("G", 0)).players()


@pytest.mark.parametrize("player", ["discriminator", "generator"])
def test_a_loss_that_is_not_finite_changes_nothing(player: str) -> None:
    gan = watched()
    if player == "generator":
        gan.generator_loss = lambda batch: (ops.mean(gan(batch.noise)) * np.inf, {})  # type: ignore[method-assign]
    step, x = game(gan), np.ones((4, 2), "float32")
    if player == "discriminator":
        x[1, 1] = np.nan
    before = as_bytes(getattr(gan, player).state_dict())
    with pytest.raises(Diverged, match=r"^the loss is (nan|-?inf)"), np.errstate(all="ignore"):
        step(x)
    assert as_bytes(getattr(gan, player).state_dict()) == before and step.optimizers[player].steps == 0
    assert step.rounds == 0


def test_a_gradient_that_overflowed_changes_nothing() -> None:
    """The loss is finite; the gradient's squares, which the optimizer averages, are not."""
    gan = watched()
    loss = gan.generator_loss

    def steep(batch: Any) -> Any:
        value, metrics = loss(batch)
        return value * 1e30 - (value * 1e30).detach(), metrics

    gan.generator_loss = steep  # type: ignore[method-assign]
    step, before = game(gan), as_bytes(gan.generator.state_dict())
    with pytest.raises(Diverged, match=r"^gan: the gradient of generator\..* is NaN or infinite, or so large"):
        step(np.ones((4, 2), "float32"))
    assert as_bytes(gan.generator.state_dict()) == before and step.optimizers["generator"].steps == 0


# -- resuming ----------------------------------------------------------------------------------------------------------

IMAGES = Dataset(
    np.random.default_rng(3).integers(0, 256, (24, 1, 16, 16), np.uint8), np.zeros(24, np.int64), ("",), "", ""
)


class Killed(Exception):
    pass


def run(out: Path, before: Callable[[int], Any] = lambda step: None, **options: Any) -> None:
    """Two epochs of four steps (of two of the critic's), with all that a checkpoint has to keep."""
    manual_seed(0)
    tricks = Tricks(instance_noise=0.3, instance_noise_rounds=6)
    gan = DCGAN((1, 16, 16), 3, 2, "wasserstein", k=2, tricks=tricks)
    step = game(gan, RMSprop, average=WeightEMA(gan.generator, 0.8), schedule=lambda rounds: 1 - rounds / 8)
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
    step = game(gan)
    gan.generator.net[0].weight.data[0, 0, 0, 0] = np.nan
    with pytest.raises(Diverged, match=r"^epoch 1, step 1: the loss is nan; there is no checkpoint yet$"):
        train(step, Loader(IMAGES, 6, pixels="signed"), epochs=1, out=tmp_path)
