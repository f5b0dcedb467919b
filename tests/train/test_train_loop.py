"""The loop is the textbook's; a run that was stopped, by whatever, goes on to exactly the same bits."""

from __future__ import annotations

import gc
import json
import math
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import strict_cupy
from small_run import EPOCHS, STEPS, at, dataset, final_state, in_a_process, run

from minigen import backend, evaluate, nn, ops
from minigen.autograd import Tensor
from minigen.backend import Device
from minigen.checkpoint import load_progress
from minigen.data import Loader
from minigen.models import VAE
from minigen.optim import SGD, Adam
from minigen.random import manual_seed, normal
from minigen.train import Interrupted, MaximumLikelihood, train
from minigen.train.loop import _outlook
from minigen.train.run import Run, fetched

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
        return [np.array(fetched([metrics])[0]["loss"]), *(p.numpy() for p in vae.parameters())]

    there = after_a_step()
    with backend.device("cpu"):
        here = after_a_step()
    for a, b in zip(here, there, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5)


class NeverWaiting:
    """A step that raises where it would wait for a GPU."""

    def __init__(self, step: Any) -> None:
        self.step, self.parts, self.looked = step, step.parts, []

    def __call__(self, images: Any, labels: Any) -> dict[str, Any]:
        with strict_cupy.no_sync():
            return self.step(images, labels)

    def look(self, metrics: dict[str, float]) -> None:
        self.looked.append(metrics["loss"])


def test_a_run_on_a_gpu_gives_the_same_log_and_its_steps_never_wait(tmp_path: Path, gpu_standin: Device) -> None:
    """Also on another card than the current one."""

    def trained(device: str, out: Path) -> tuple[NeverWaiting, list[dict[str, Any]]]:
        manual_seed(0)
        with backend.device(device):
            vae = VAE((1, 4, 4), 2, 6)
        step = NeverWaiting(MaximumLikelihood(vae, Adam(vae.parameters(), 0.01)))
        return step, train(step, Loader(dataset(28), 8, seed=1, device=device), epochs=EPOCHS, out=out)

    _, here = trained("cpu", tmp_path / "here")
    step, there = trained("gpu:1", tmp_path / "there")
    for a, b in zip(here, there, strict=True):
        assert isinstance(b["train"]["loss"], float)
        assert b["train"]["loss"] == pytest.approx(a["train"]["loss"], rel=1e-5)
    assert np.mean(step.looked[-STEPS:]) == pytest.approx(there[-1]["train"]["loss"])
    assert len(step.looked) == EPOCHS * STEPS


def test_metrics_on_a_gpu_come_in_one_transfer(tmp_path: Path, gpu_standin: Device) -> None:
    run = Run(tmp_path, {}, {})
    with gpu_standin:
        for k in range(20):
            run.add({"loss": gpu_standin.asarray(np.float32(k)), "rate": 0.5})
        assert run.averages() == {}
        with strict_cupy.count() as counts:
            run.read()
            run.read()
    assert counts.downloads == counts.synchronisations == 1
    assert run.averages() == {"loss": 9.5, "rate": 0.5}


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
    lines = capsys.readouterr().out.splitlines()
    assert lines.pop(2).startswith("About ")  # in epoch 3, after the 11th step of 4 an epoch
    assert lines == [f"epoch {epoch}: 5.0" for epoch in drawn]
    drawn.clear()
    run(tmp_path / "short", epochs=3, **options)
    assert drawn == [1, 2, 3]


def test_the_outlook_counts_the_steps_that_are_left() -> None:
    """After 11 steps of a second, 4 an epoch: 85 are left of 24 epochs, 5 until the figures after epoch 4."""
    said = _outlook(1.0, SimpleNamespace(epoch=2, batch=3), batches=4, epochs=24, shown={2, 4, 24})  # type: ignore[arg-type]
    assert said == "About 85 s of training for 24 epochs; the next figures in about 5 s"


def test_evaluation_and_figures_leave_no_trace(tmp_path: Path, uninterrupted: dict) -> None:
    """The same run with and without them, though they draw random numbers and look at the model in another mode."""
    seen, test = [], Loader(dataset(10), 4, shuffle=False)

    def score(vae: VAE) -> dict[str, float]:
        seen.append(normal((3,)).tolist())
        return {"-elbo": -evaluate.mean_over(test, lambda x, labels: vae.elbo(x), vae)}

    run(tmp_path, observe=lambda vae: {"evaluate": lambda: score(vae), "draw": lambda epoch: vae.sample(4)})
    state = final_state(tmp_path)
    assert all(record["test"]["-elbo"] > 0 for record in state["log"])
    assert seen[0] == seen[1] == seen[2]  # epochs are compared with the same random numbers
    for record in state["log"]:
        record["test"] = {}
    assert state == uninterrupted


# -- stopping and going on ---------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("when", KILLED)
def test_a_killed_run_goes_on(when: str, tmp_path: Path, uninterrupted: dict) -> None:
    killed = in_a_process(KILLED[when], tmp_path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    run(tmp_path, resume=True)
    assert final_state(tmp_path) == uninterrupted


def test_a_finished_run_is_not_changed_and_can_go_on(tmp_path: Path) -> None:
    run(tmp_path / "six", epochs=6)
    run(tmp_path / "three")
    finished = final_state(tmp_path / "three")
    vae, losses, log = run(tmp_path / "three", resume=True)
    assert losses == [] and len(log) == 3 and final_state(tmp_path / "three") == finished
    np.testing.assert_array_equal(vae.encoder[1].weight.numpy().tobytes(), finished["arrays"]["model/encoder.1.weight"])
    run(tmp_path / "three", epochs=6, resume=True)
    assert final_state(tmp_path / "three") == final_state(tmp_path / "six")


def test_figures_in_which_a_run_was_killed_are_drawn_again(
    tmp_path: Path, uninterrupted: dict, capsys: pytest.CaptureFixture
) -> None:
    """Also the last ones, which no later epoch would replace; those of an epoch that is not over need no repetition."""
    killed = in_a_process("run(out, draw=lambda epoch: epoch == 3 and os.kill(os.getpid(), signal.SIGKILL))", tmp_path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    drawn: list[int] = []
    options = {"draw": drawn.append, "report": lambda record: f"epoch {record['epoch']}"}
    _, losses, _ = run(tmp_path, resume=True, **options)
    assert (drawn, losses, capsys.readouterr().out) == ([3], [], "epoch 3\n")
    assert final_state(tmp_path) == uninterrupted
    with pytest.raises(Interrupted):
        run(tmp_path / "broken", at(STEPS, signal.SIGINT))
    drawn.clear()
    run(tmp_path / "broken", resume=True, **options)
    assert drawn == [2, 3]


def test_a_closed_pipe_does_not_end_a_run(tmp_path: Path, uninterrupted: dict) -> None:
    """As in `python demos/vae.py | head -1`."""
    code = """
reading, writing = os.pipe()
os.close(reading)
os.dup2(writing, sys.stdout.fileno())
run(out, report=lambda record: "a line that nobody reads")
print("nor this one", flush=True)
"""
    ended = in_a_process(code, tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert final_state(tmp_path) == uninterrupted


def test_the_seconds_add_up(tmp_path: Path) -> None:
    with pytest.raises(Interrupted):
        run(tmp_path, at(5, signal.SIGINT))
    before = load_progress(tmp_path / "checkpoint.safetensors")["seconds"]
    _, _, log = run(tmp_path, resume=True)
    seconds = [record["seconds"] for record in log]
    assert seconds == sorted(seconds) and seconds[0] <= before + 1e-3 <= seconds[1] + 2e-3


def test_metrics_of_ones_own_may_be_tensors(tmp_path: Path, device: Device) -> None:
    class Own:
        def __init__(self) -> None:
            self.parts: dict[str, Any] = {}

        def __call__(self, images: Any, labels: Any) -> dict[str, Any]:
            return {"loss": Tensor(device.asarray(np.float32(len(images)))), "one": np.float32(1)}

    measured = lambda: {"nats": Tensor(device.asarray(np.float32(2.5))), "images": np.int64(3), "shares": [0.5]}
    (record,) = train(Own(), Loader(dataset(8), 4), epochs=1, out=tmp_path, evaluate=measured)
    assert record["train"] == {"loss": 4, "one": 1} and record["test"] == {"nats": 2.5, "images": 3, "shares": [0.5]}
    assert json.loads((tmp_path / "log.jsonl").read_text()) == record


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
