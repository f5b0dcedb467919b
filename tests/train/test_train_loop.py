"""Training: a run that was stopped, by whatever, goes on to exactly the same bits; what goes wrong is named."""

from __future__ import annotations

import gc
import json
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from minigen import backend, evaluate, nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.backend import Device, manual_seed
from minigen.checkpoint import load_progress
from minigen.data import Dataset, Loader
from minigen.models import VAE
from minigen.optim import SGD, Adam
from minigen.train import Diverged, Interrupted, MaximumLikelihood, train

ROOT = Path(__file__).parents[2]


def dataset(n: int, size: int = 4) -> Dataset:
    images = np.random.default_rng(7).integers(0, 256, (n, 1, size, size), np.uint8)
    return Dataset(images, np.zeros(n, np.int64), ("image",), "random", "train")


class Watched:
    """A step that calls `before(number)` first, and remembers its losses."""

    def __init__(self, step: MaximumLikelihood, before: Callable[[int], Any] | None = None) -> None:
        self.step, self.parts, self.before = step, step.parts, before
        self.losses: list[float] = []

    def __call__(self, images: Any, labels: Any) -> dict[str, float]:
        if self.before:
            self.before(len(self.losses))
        metrics = self.step(images, labels)
        self.losses.append(metrics["loss"])
        return metrics


EPOCHS, STEPS = 3, 4  # 28 images in batches of 8, the last of 4


def run(
    out: Path | str,
    before: Callable[[int], Any] | None = None,
    *,
    epochs: int = EPOCHS,
    vae: VAE | None = None,
    observe: Callable[[VAE], dict] = lambda vae: {},
    **options: Any,
) -> tuple[VAE, list[float], list[dict]]:
    """Train a small VAE; returns it, the losses of the steps that were made, and the log."""
    manual_seed(0)
    vae = vae or VAE((1, 4, 4), 2, 6)
    step = Watched(MaximumLikelihood(vae, Adam(vae.parameters(), 0.01), max_norm=50.0), before)
    options = {"settings": {"lr": 0.01}} | options | observe(vae)
    log = train(step, Loader(dataset(28), 8, seed=1), epochs=epochs, out=out, **options)
    return vae, step.losses, log


def at(number: int, *signals: signal.Signals) -> Callable[[int], None]:
    """Send these signals to this process in that step."""

    def before(step: int) -> None:
        if step == number:
            for s in signals:
                os.kill(os.getpid(), s)

    return before


def final_state(out: Path) -> dict[str, Any]:
    """All that a run leaves behind, without its times: arrays bit for bit, progress with the random state, log."""
    arrays = {name: x.tobytes() for name, x in load_file(out / "checkpoint.safetensors").items()}
    progress = load_progress(out / "checkpoint.safetensors")
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert progress.pop("log") == log
    for record in (progress, *log):
        assert record.pop("seconds") >= 0
    return {"arrays": arrays, "progress": progress, "log": log}


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    out = tmp_path_factory.mktemp("uninterrupted")
    run(out)
    return final_state(out)


# -- the loop ----------------------------------------------------------------------------------------------------------


def test_the_loop_is_the_textbooks(tmp_path: Path) -> None:
    """Epochs of the loader's batches, a gradient step each: the same bits as five lines of Python."""
    vae, losses, log = run(tmp_path)
    manual_seed(0)
    plain = VAE((1, 4, 4), 2, 6)
    adam, expected = Adam(plain.parameters(), 0.01), []
    loader = Loader(dataset(28), 8, seed=1)
    for epoch in range(EPOCHS):
        for images, _ in loader.epoch(epoch):
            loss = plain.loss(images)
            adam.zero_grad()
            loss.backward()
            adam.step()
            expected.append(loss.item())
    assert losses == expected
    for name, x in plain.state_dict().items():
        np.testing.assert_array_equal(vae.state_dict()[name], x)
    assert [record["epoch"] for record in log] == [1, 2, 3]
    for record, start in zip(log, range(0, 12, STEPS), strict=True):
        assert record["train"]["loss"] == pytest.approx(np.mean(expected[start : start + STEPS]))
        assert record["test"] == {} and record["seconds"] >= 0
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.safetensors", "log.jsonl"]
    assert [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()] == log


def test_one_step_is_the_same_on_every_device(device: Device) -> None:
    def after_a_step() -> list[np.ndarray]:
        manual_seed(0)
        vae = VAE((1, 4, 4), 2, 6)
        step = MaximumLikelihood(vae, Adam(vae.parameters(), 0.01), max_norm=1.0)
        images, labels = next(Loader(dataset(8), 8, seed=1).epoch(0))
        metrics = step(images, labels)
        return [np.array(metrics["loss"]), *(p.numpy() for p in vae.parameters())]

    there = after_a_step()
    with backend.device("cpu"):
        here = after_a_step()
    for a, b in zip(here, there, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5)


def test_the_gradient_is_clipped() -> None:
    """With plain gradient descent at lr 1 the parameters move by `max_norm`."""
    images = dataset(8).images // 128
    moved = []
    for max_norm in (0.25, 1e6, None):
        manual_seed(0)
        vae = VAE((1, 4, 4), 2, 6)
        before = {name: x.copy() for name, x in vae.state_dict().items()}
        MaximumLikelihood(vae, SGD(vae.parameters(), 1.0), max_norm)(images, None)
        moved.append(math.sqrt(sum(((x - before[name]) ** 2).sum() for name, x in vae.state_dict().items())))
    assert moved[0] == pytest.approx(0.25, rel=1e-4) and moved[1] == moved[2] > 1


def test_a_schedule_gives_the_factor_of_the_rate() -> None:
    """With plain gradient descent the parameters move by rate x factor x gradient; it is asked for by steps made."""
    images = dataset(8).images // 128
    moved, seen = [], []
    schedule = lambda factor: lambda steps: (seen.append(steps), factor)[1]
    for factor in (1.0, 0.25):
        manual_seed(0)
        vae = VAE((1, 4, 4), 2, 6)
        before = {name: x.copy() for name, x in vae.state_dict().items()}
        step = MaximumLikelihood(vae, SGD(vae.parameters(), 0.1), schedule=schedule(factor))
        step(images, None)
        moved.append({name: x - before[name] for name, x in vae.state_dict().items()})
        step(images, None)  # factors do not pile up
        assert step.optimizer.lr == pytest.approx(0.1 * factor)
    assert seen == [0, 1, 0, 1]
    for name, x in moved[0].items():
        np.testing.assert_allclose(moved[1][name], 0.25 * x, rtol=1e-3, atol=1e-7)


def test_figures_and_lines_come_about_twelve_times(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    drawn: list[int] = []
    report = lambda record: f"epoch {record['epoch']}: {record['test']['score']}"
    options = {"evaluate": lambda: {"score": 5.0}, "draw": drawn.append, "report": report}
    _, _, log = run(tmp_path, epochs=24, **options)
    assert drawn == [1, *range(2, 25, 2)] and len(log) == 24
    assert capsys.readouterr().out.splitlines() == [f"epoch {epoch}: 5.0" for epoch in drawn]
    drawn.clear()
    run(tmp_path / "short", epochs=3, **options)
    assert drawn == [1, 2, 3]


def test_evaluation_and_figures_leave_no_trace(tmp_path: Path, uninterrupted: dict) -> None:
    """The same run with and without them, though they draw random numbers and look at the model in another mode."""
    seen, test = [], Loader(dataset(10), 4, shuffle=False)

    def score(vae: VAE) -> dict[str, float]:
        seen.append(backend.normal((3,)).tolist())
        return {"-elbo": -evaluate.mean_over(test, lambda x, labels: vae.elbo(x), vae)}

    run(tmp_path, observe=lambda vae: {"evaluate": lambda: score(vae), "draw": lambda epoch: vae.sample(4)})
    state = final_state(tmp_path)
    assert all(record["test"]["-elbo"] > 0 for record in state["log"])
    assert seen[0] == seen[1] == seen[2]  # epochs are compared with the same random numbers
    for record in state["log"]:
        record["test"] = {}
    assert state == uninterrupted


# -- stopping and going on ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", range(EPOCHS * STEPS))
def test_ctrl_c_saves_and_resume_goes_on(
    step: int, tmp_path: Path, uninterrupted: dict, capsys: pytest.CaptureFixture
) -> None:
    number = signal.SIGTERM if step % 2 else signal.SIGINT
    handler = lambda number, frame: pytest.fail("the signal came through")
    usual = signal.signal(number, handler)
    try:
        with pytest.raises(Interrupted) as stopped:
            run(tmp_path, at(step, number))
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, usual)
    expected = f"Interrupted in epoch {step // STEPS + 1}. All is saved in {tmp_path}; --resume goes on."
    assert str(stopped.value) == expected and capsys.readouterr() == ("", "")
    progress = load_progress(tmp_path / "checkpoint.safetensors")
    assert (progress["epoch"], progress["batch"]) == (step // STEPS, step % STEPS + 1)

    manual_seed(99)  # the run's own random numbers come from the checkpoint
    _, losses, _ = run(tmp_path, resume=True)
    assert len(losses) == EPOCHS * STEPS - step - 1
    assert final_state(tmp_path) == uninterrupted


def test_stopped_again_and_again(tmp_path: Path, uninterrupted: dict) -> None:
    for stop in range(EPOCHS * STEPS - 1):
        with pytest.raises(Interrupted):
            run(tmp_path, at(0, signal.SIGINT), resume=stop > 0)
    run(tmp_path, resume=True)
    assert final_state(tmp_path) == uninterrupted


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path, uninterrupted: dict) -> None:
    """What was saved before is still there."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)  # programs in the background ignore it
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, at(STEPS + 1, signal.SIGINT, signal.SIGINT))
    assert signal.signal(signal.SIGINT, usual) is signal.default_int_handler
    progress = load_progress(tmp_path / "checkpoint.safetensors")
    assert (progress["epoch"], progress["batch"]) == (1, 0)
    run(tmp_path, resume=True)
    assert final_state(tmp_path) == uninterrupted


KILLED = {
    "in a step, saved in the one before": "run(out, at(6, signal.SIGKILL), checkpoint_seconds=0)",
    "in a step, saved an epoch ago": "run(out, at(6, signal.SIGKILL))",
    "while a checkpoint replaces the last": """
replace, calls = os.replace, []
def kill(source, target):
    calls.append(target)
    if len(calls) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = kill
run(out, checkpoint_seconds=0)
""",
    "between the log and the checkpoint": """
replace, calls = os.replace, []
def kill(source, target):
    replace(source, target)
    calls.append(target.name)
    if calls.count("log.jsonl") == 2:
        os.kill(os.getpid(), signal.SIGKILL)
os.replace = kill
run(out)
""",
}


def in_a_process(code: str, out: Path) -> subprocess.CompletedProcess:
    code = f"import os, signal, sys\nfrom test_train_loop import *\nout = Path(sys.argv[1])\n{code}"
    paths = [ROOT, ROOT / "tests", Path(__file__).parent]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    command = [sys.executable, "-c", code, str(out)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("when", KILLED)
def test_a_killed_run_goes_on(when: str, tmp_path: Path, uninterrupted: dict) -> None:
    killed = in_a_process(KILLED[when], tmp_path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    run(tmp_path, resume=True)
    assert final_state(tmp_path) == uninterrupted


def test_a_program_that_ctrl_c_ended_says_where_all_is(tmp_path: Path) -> None:
    ended = in_a_process("run(out, at(5, signal.SIGINT))", tmp_path)
    assert ended.returncode != 0
    assert ended.stderr.endswith(f"Interrupted in epoch 2. All is saved in {tmp_path}; --resume goes on.\n")


def test_a_finished_run_is_not_changed_and_can_go_on(tmp_path: Path) -> None:
    run(tmp_path / "six", epochs=6)
    run(tmp_path / "three")
    finished = final_state(tmp_path / "three")
    vae, losses, log = run(tmp_path / "three", resume=True)
    assert losses == [] and len(log) == 3 and final_state(tmp_path / "three") == finished
    np.testing.assert_array_equal(vae.encoder[1].weight.numpy().tobytes(), finished["arrays"]["model/encoder.1.weight"])
    run(tmp_path / "three", epochs=6, resume=True)
    assert final_state(tmp_path / "three") == final_state(tmp_path / "six")


def test_the_seconds_add_up(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path, at(5, signal.SIGINT))
    before = load_progress(tmp_path / "checkpoint.safetensors")["seconds"]
    _, _, log = run(tmp_path, resume=True)
    seconds = [record["seconds"] for record in log]
    assert seconds == sorted(seconds) and seconds[0] <= before + 1e-3 <= seconds[1] + 2e-3


def test_resume_refuses_other_settings(tmp_path: Path) -> None:
    settings = {"lr": 0.01, "betas": (0.9, 0.999), "dataset": "digits"}
    run(tmp_path, epochs=1, settings=settings)
    run(tmp_path, epochs=1, settings=settings, resume=True)  # a tuple is still the same when it comes from a file
    for other, text in (
        ({**settings, "lr": 0.02}, r"lr=0\.01, now 0\.02\)"),
        ({**settings, "beta": 4.0}, r"beta=None, now 4\.0\)"),
        ({"lr": 0.01}, r"betas=\[0\.9, 0\.999\], now None, dataset=digits, now None\)"),
    ):
        before = (tmp_path / "checkpoint.safetensors").read_bytes()
        with pytest.raises(
            ValueError, match=rf"{re.escape(str(tmp_path))}: cannot resume with other settings .*{text}"
        ):
            run(tmp_path, epochs=2, settings=other, resume=True)
        assert (tmp_path / "checkpoint.safetensors").read_bytes() == before


def test_resume_refuses_another_model_and_damaged_files(tmp_path: Path) -> None:
    run(tmp_path, epochs=1)
    checkpoint, log = tmp_path / "checkpoint.safetensors", tmp_path / "log.jsonl"

    def refused(latent_dim: int, message: str) -> None:
        vae = VAE((1, 4, 4), latent_dim, 6)
        before = {name: x.copy() for name, x in vae.state_dict().items()}
        with pytest.raises(ValueError, match=re.escape(str(tmp_path)) + message):
            run(tmp_path, vae=vae, resume=True)
        for name, x in vae.state_dict().items():
            np.testing.assert_array_equal(x, before[name])

    refused(3, r"/checkpoint\.safetensors: VAE: the state does not fit")
    whole = log.read_text()
    log.write_text(whole + whole[:20])
    refused(2, r"/log\.jsonl: line 2 is damaged")
    log.write_text(whole)
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    refused(2, r"/checkpoint\.safetensors: not a safetensors file, or a damaged one")


def test_resume_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none/checkpoint\.safetensors: there is no run to resume"):
        run(tmp_path / "none", resume=True)
    assert not (tmp_path / "none").exists()


def test_a_new_run_loses_nothing_of_the_earlier_ones(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out, contents = tmp_path / "vae", []
    for i in range(3):
        run(out, epochs=1)
        (out / "samples.png").write_text(f"figure {i}")
        contents.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert sorted(os.listdir(tmp_path)) == ["vae", "vae.1", "vae.2"]
    for folder, expected in zip(["vae.1", "vae.2", "vae"], contents, strict=True):
        assert {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} == expected
    assert f"The earlier run in {out} is now in {out}.1." in capsys.readouterr().out


def test_a_folder_without_a_run_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    run(tmp_path, epochs=1)
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.safetensors", "log.jsonl", "notes.txt"]


# -- losses that are not finite ----------------------------------------------------------------------------------------


def quiet() -> np.errstate:
    return np.errstate(all="ignore")


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
    with pytest.raises(Diverged) as error, quiet():
        run(tmp_path, poison(vae, STEPS + 2, value), vae=vae)
    text = str(error.value)
    assert text.startswith("epoch 2, step 3: the loss is nan; model: encoder.1.weight has values that are NaN")
    assert text.endswith(f"the last good checkpoint is {tmp_path / 'checkpoint.safetensors'} (epoch 2, step 0)")


def test_without_a_checkpoint_the_message_says_so(tmp_path: Path) -> None:
    vae = VAE((1, 4, 4), 2, 6)
    with pytest.raises(Diverged, match=r"^epoch 1, step 2: the loss is nan; .*; there is no checkpoint yet$"), quiet():
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
    with quiet():
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


# -- memory ------------------------------------------------------------------------------------------------------------


class Line(nn.Module):
    """The least model with a loss: x is predicted from nothing."""

    def __init__(self) -> None:
        self.mean = nn.init.constant((1, 1, 2, 2), 0.0)

    def loss(self, images: Any, labels: Any = None) -> Tensor:
        return ops.mean(ops.square(Tensor(images).astype("float32") - self.mean))


@pytest.mark.parametrize(("make", "steps"), [(Line, 10_000), (lambda: VAE((1, 2, 2), 1, 2), 1_000)])
def test_memory_stays_constant_without_the_garbage_collector(
    make: Callable[[], Any], steps: int, tmp_path: Path
) -> None:
    """An epoch leaves no cycles for the collector to find, and no more blocks of memory than the one before."""
    model, epochs = make(), 4
    unreachable: list[int] = []
    blocks: list[int] = []

    def note() -> dict[str, float]:
        unreachable.append(gc.collect())  # this also empties the interpreter's own store of tuples
        blocks.append(sys.getallocatedblocks())
        return {}

    gc.disable()
    try:
        step = MaximumLikelihood(model, SGD(model.parameters(), 1e-3))
        loader = Loader(dataset(steps // epochs, size=2), 1, pixels="levels", levels=2)
        train(step, loader, epochs=epochs, out=tmp_path, evaluate=note)
    finally:
        gc.enable()
    assert unreachable[1:] == [0, 0, 0]
    assert abs(blocks[3] - blocks[1]) < 250, blocks  # half of the steps; the log takes some
