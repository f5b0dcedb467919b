"""Numbers that are not finite: named at the step where they come up, and never saved."""

from __future__ import annotations

import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file
from small_run import EPOCHS, STEPS, Watched, dataset, run

from minigen import nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.backend import Device
from minigen.data import Loader
from minigen.models import VAE
from minigen.optim import SGD, Adam, Optimizer, RMSprop
from minigen.train import Diverged, MaximumLikelihood, train


def poison(vae: VAE, step: int, value: float = math.nan) -> Callable[[int], None]:
    """Write a bad value into a parameter before that step."""

    def before(number: int) -> None:
        if number == step:
            with no_grad():
                vae.encoder[1].weight[0, 0] = value

    return before


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_bad_parameter_is_named(value: float, tmp_path: Path) -> None:
    vae = VAE((1, 4, 4), 2, 6)
    with pytest.raises(Diverged) as error:
        run(tmp_path, poison(vae, STEPS + 2, value), vae=vae)
    text = str(error.value)
    assert text.startswith("epoch 2, step 3: the loss is nan; model: encoder.1.weight has values that are NaN")
    assert text.endswith(f"the last good checkpoint is {tmp_path / 'checkpoint.safetensors'} (epoch 2, step 0)")


def test_without_a_checkpoint_the_message_says_so(tmp_path: Path) -> None:
    vae = VAE((1, 4, 4), 2, 6)
    with pytest.raises(Diverged, match=r"^epoch 1, step 2: the loss is nan; .*; there is no checkpoint yet$"):
        run(tmp_path, poison(vae, 1), vae=vae)


class Fragile(nn.Module):
    """A loss with a logarithm in it, and a gradient of NaN where `hidden` is 0 (sqrt at 0 times 0)."""

    def __init__(self) -> None:
        self.scale = nn.init.constant((), 1.0)
        self.hidden = nn.init.constant((), 1.0)

    def loss(self, images: Any, labels: Any = None) -> Tensor:
        return ops.log(self.scale) + ops.sqrt(self.hidden * self.hidden) + Tensor(images).astype("float32").mean()


def fragile(out: Path, before: Callable[[int, Fragile], Any], **options: Any) -> None:
    model = Fragile()
    step = Watched(MaximumLikelihood(model, SGD(model.parameters(), 1e-3)), lambda number: before(number, model))
    train(step, Loader(dataset(28), 8), epochs=EPOCHS, out=out, **options)


def write(parameter: Tensor, value: float) -> None:
    with no_grad():
        parameter[...] = value


def test_the_operation_that_made_it_is_named(tmp_path: Path) -> None:
    """Every parameter is finite, the logarithm of one is not."""
    with pytest.raises(
        Diverged, match=r"^epoch 1, step 3: the loss is nan; log: its output .*; there is no checkpoint"
    ):
        fragile(tmp_path, lambda number, model: write(model.scale, -1.0) if number == 2 else None)


NaN_IN_THE_LAST_STEP: dict[str, dict[str, Any]] = {
    "at the end of the epoch": {},
    "at a checkpoint": {"checkpoint_seconds": 0},
    "at Ctrl-C": {"interrupt": True},
}


@pytest.mark.parametrize("when", NaN_IN_THE_LAST_STEP)
def test_a_bad_parameter_is_never_saved(when: str, tmp_path: Path) -> None:
    """The loss of the last step of epoch 2 is finite, its gradient is not: checkpoint and log stay as they are."""
    options = dict(NaN_IN_THE_LAST_STEP[when])
    interrupt, last, evaluated = options.pop("interrupt", False), 2 * STEPS - 1, []

    def before(number: int, model: Fragile) -> None:
        if number == last:
            write(model.hidden, 0.0)
            if interrupt:
                os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Diverged) as error:
        fragile(tmp_path, before, evaluate=lambda: evaluated.append(1) or {}, **options)
    text = str(error.value)
    assert text.startswith(
        "epoch 2, step 4: model: the gradient of hidden is NaN or infinite, or so large that its squ"
    )
    good = "epoch 2, step 3" if when == "at a checkpoint" else "epoch 2, step 0"
    assert text.endswith(f"the last good checkpoint is {tmp_path / 'checkpoint.safetensors'} ({good})")
    assert all(np.isfinite(x).all() for x in load_file(tmp_path / "checkpoint.safetensors").values())
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == len(evaluated) == 1


@pytest.mark.parametrize("seconds", [0.0, 1e6])
def test_a_loss_on_a_gpu_is_looked_at_before_it_is_saved(seconds: float, tmp_path: Path, gpu_standin: Device) -> None:
    """No step waits for its loss; the step of the first bad one is named, and the checkpoint is the one before."""
    with gpu_standin, pytest.raises(Diverged) as error:
        bad = lambda number, model: write(model.scale, -1.0) if number == STEPS + 1 else None
        fragile(tmp_path, bad, checkpoint_seconds=seconds)
    good = "epoch 2, step 1" if seconds == 0 else "epoch 2, step 0"
    file = tmp_path / "checkpoint.safetensors"
    assert str(error.value) == f"epoch 2, step 2: the loss is nan; the last good checkpoint is {file} ({good})"
    assert all(np.isfinite(x).all() for x in load_file(file).values())


def test_a_bad_gradient_on_a_gpu_is_never_saved(tmp_path: Path, gpu_standin: Device) -> None:
    """In the last step of epoch 2, whose loss is finite."""
    with gpu_standin, pytest.raises(Diverged, match=r"^epoch 2, step 4: model: hidden has values that are NaN"):
        fragile(tmp_path, lambda number, model: write(model.hidden, 0.0) if number == 2 * STEPS - 1 else None)
    assert all(np.isfinite(x).all() for x in load_file(tmp_path / "checkpoint.safetensors").values())


class Steep(nn.Module):
    """A loss that stays small whose gradient is `slope`, and a running variance of `scale` squared."""

    def __init__(self) -> None:
        self.weight = nn.init.constant((3,), 0.0)
        self.norm = nn.BatchNorm1d(3)
        self.slope = self.scale = 1.0

    def loss(self, images: Any, labels: Any = None) -> Tensor:
        x = self.norm(Tensor(np.eye(3, dtype="float32")) * self.scale)
        return ops.sum(self.weight * self.slope) - ops.sum(self.weight.detach() * self.slope) + ops.mean(x)


OVERFLOWS: dict[str, tuple[dict[str, float], type[Optimizer], str]] = {
    "squares of the gradient, Adam": ({"slope": 2e19}, Adam, "the gradient of weight"),
    "squares of the gradient, RMSprop": ({"slope": -2e19}, RMSprop, "the gradient of weight"),
    "the gradient, descended as it is": ({"slope": 1e30}, SGD, "the gradient of weight"),
    "a running variance": ({"scale": 1e20}, Adam, "the buffer norm.running_var"),
}


@pytest.mark.parametrize("what", OVERFLOWS)
def test_an_overflow_is_named_at_its_step(what: str, tmp_path: Path) -> None:
    """The loss is finite, but an optimizer with infinite squares would never move again: they do not reach it."""
    change, kind, name = OVERFLOWS[what]
    model = Steep()
    step = MaximumLikelihood(model, kind(model.parameters(), 1e-3))

    def before(number: int) -> None:
        for attribute, value in change.items():
            setattr(model, attribute, value if number == STEPS + 1 else 1.0)

    with pytest.raises(Diverged) as error:
        train(Watched(step, before), Loader(dataset(28), 8), epochs=EPOCHS, out=tmp_path)
    assert str(error.value).startswith(
        f"epoch 2, step 2: model: {name} is NaN or infinite, or so large that its squares"
    )
    assert str(error.value).endswith("checkpoint.safetensors (epoch 2, step 0)")
    assert step.optimizer.steps == STEPS + 1
    assert all(np.isfinite(x).all() for x in step.optimizer.state_dict().values())
    assert all(np.isfinite(x).all() for x in load_file(tmp_path / "checkpoint.safetensors").values())


def test_a_gradient_that_is_clipped_may_have_been_large(tmp_path: Path) -> None:
    model = Steep()
    model.slope = 1e30
    step = MaximumLikelihood(model, Adam(model.parameters(), 1e-3), max_norm=1.0)
    train(step, Loader(dataset(28), 8), epochs=1, out=tmp_path)
    assert (model.weight.numpy() < -3e-3).all()


@pytest.mark.parametrize("seconds", [0.0, 1e6])
def test_whatever_a_checkpoint_holds_is_looked_at(seconds: float, tmp_path: Path) -> None:
    """Not only the parameters: also the optimizer's averages, by whatever way they became infinite."""
    model = Steep()
    step = MaximumLikelihood(model, Adam(model.parameters(), 1e-3))

    def before(number: int) -> None:
        if number == STEPS + 1:
            step.optimizer.state[0]["exp_avg_sq"][1] = np.inf

    with pytest.raises(
        Diverged, match=r"^epoch 2, step [24]: optimizer: 0\.exp_avg_sq has values that are NaN or infinite"
    ):
        train(Watched(step, before), Loader(dataset(28), 8), epochs=EPOCHS, out=tmp_path, checkpoint_seconds=seconds)
    assert all(np.isfinite(x).all() for x in load_file(tmp_path / "checkpoint.safetensors").values())
