"""What the benchmark claims: PyTorch's twins compute the same, cached images are the naive ones, exponents are right.

Times are never compared: where a table of times is checked, the clock is the test's own.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import Ratio, Times, growth, launches, parallel, torch_twins
from benchmarks.convolutions import CONVOLUTIONS, Convolution, our_convolution, their_convolution
from benchmarks.models import AUTOREGRESSIVE, MODELS, example
from minigen.autograd import Tensor
from minigen.models.autoregressive import Autoregressive
from minigen.random import manual_seed, normal

SMALL = ["--repeat", 1, "--size", 8, "--sizes", 8, 12, "--batch-sizes", 1, 3, "--naive-seconds", 0]
QUICKLY_MADE = [name for name in MODELS if name != "dcgan-64"]


@pytest.mark.parametrize("alone", [True, False], ids=["without PyTorch", "with it where it is installed"])
def test_every_model_is_in_every_table(
    alone: bool, run_demo: Callable, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if alone:
        monkeypatch.setattr(torch_twins, "torch", None)
    compared = torch_twins.torch is not None
    tables = ("steps", "sampling", "growth", "engine", "launches")
    run_demo("benchmark", *SMALL, "--only", *tables, "--models", *QUICKLY_MADE, "--out", tmp_path)
    head = capsys.readouterr().out.partition("\n")[0]
    assert (" threads; " in head) and ("PyTorch is not installed: minigen alone" in head) == (not compared)
    found = json.loads((tmp_path / "benchmark.json").read_text())
    assert found["machine"] == head and [*found["tables"]] == [*tables]
    for name, models in {"steps": QUICKLY_MADE, "growth": QUICKLY_MADE, "sampling": AUTOREGRESSIVE}.items():
        assert {row["model"] for row in found["tables"][name]} == {*models}
    assert all(("ratio" in row) == compared for row in found["tables"]["steps"])
    assert (tmp_path / "ratios.png").exists() == compared
    text = (tmp_path / "benchmark.md").read_text()
    assert all(f"| {name} | " in text for name in QUICKLY_MADE) and text.count("## ") == len(tables)
    assert [row["the_same_images"] for row in found["tables"]["sampling"]] == ["1 of 1", "3 of 3"] * 4


def test_memory_is_measured_in_processes_of_their_own(run_demo: Callable, tmp_path: Path) -> None:
    run_demo("benchmark", "--only", "memory", "--models", "vae", "--size", 8, "--out", tmp_path)
    (row,) = json.loads((tmp_path / "benchmark.json").read_text())["tables"]["memory"]
    assert 1 <= row["minigen"] < 1000


def test_launches_are_those_of_the_second_step() -> None:
    first, second = launches.a_step("vae", 8, 2), launches.a_step("vae", 8, 2)
    assert first == second and first["launches"] > 50


@pytest.mark.skipif(not shutil.which("mpiexec"), reason='mpiexec is missing: pip install "minigen[parallel]"')
def test_processes_are_timed(run_demo: Callable, tmp_path: Path) -> None:
    run_demo("benchmark", "--only", "parallel", "--models", "gan", "--size", 8, "--repeat", 2, "--out", tmp_path)
    (row,) = json.loads((tmp_path / "benchmark.json").read_text())["tables"]["parallel"]
    assert [len(row[name]) for name in ("one_thread", "two_threads", "two_processes")] == [2, 2, 2]
    assert (tmp_path / "parallel.png").exists()


def test_the_time_of_a_step_of_n_processes() -> None:
    """2 s that every process takes, 8 s for the images, 1000 bytes at 500 bytes/s, 3 messages of 0.1 s."""
    step = parallel.StepTime(10.0, 6.0, {"bytes": 1000, "messages": 3, "sum_ms": 2100.0, "latency_ms": 100.0})
    assert [*step.parts(1).values()] == pytest.approx([2, 8, 0, 0])
    assert [*step.parts(4).values()] == pytest.approx([2, 2, 1.5 * 1000 / 500, 3 * 2 * 0.1])
    assert step.speedup(4, (1e9, 0.0)) == pytest.approx(10 / 4)
    assert "limited by the bytes of the gradient; " in step.limit()
    assert step.limit().endswith("limited by what every process does for any number of images")


# -- PyTorch's twins ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", [case for case in CONVOLUTIONS if case.kernel < 7 and case.side > 7])
def test_both_libraries_compute_the_same_convolution(case: Convolution) -> None:
    """A small one of each kind, and both gradients."""
    pytest.importorskip("torch")
    case = case._replace(images=2, inputs=3, side=7, outputs=2)
    arrays = case.arrays()
    pairs = zip(our_convolution(case, *arrays), their_convolution(case, *arrays), strict=True)
    for part, (ours, theirs) in enumerate(pairs):
        a, b = (f()[0] if part else f() for f in (ours, theirs))
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["vae", "vae-conv", *AUTOREGRESSIVE, "pixelcnn-rgb"])
def test_a_twin_has_the_loss_and_the_gradients(name: str) -> None:
    torch = pytest.importorskip("torch")
    model, x = example(name, 8, 5)
    twin, images = torch_twins.Twin(model), torch.from_numpy(x)
    manual_seed(1)
    loss = model.loss(x)  # type: ignore[attr-defined]
    if name.startswith("vae"):
        manual_seed(1)
        noise = torch.from_numpy(normal((5, model.latent_dim)))  # type: ignore[attr-defined]
        value = torch_twins.vae_loss(twin, model, images.float(), noise)  # type: ignore[arg-type]
    else:
        value = torch_twins.autoregressive_loss(twin, model, images)  # type: ignore[arg-type]
    loss.backward()
    value.backward()
    assert value.item() == pytest.approx(loss.item(), rel=1e-4)
    for p, theirs in zip(model.parameters(), twin.parameters(model), strict=True):
        ours = p.grad.numpy()  # type: ignore[union-attr]
        np.testing.assert_allclose(theirs.grad.numpy(), ours, rtol=1e-3, atol=1e-4 * np.abs(ours).max())


@pytest.mark.parametrize("name", ["gan", "dcgan"])
def test_the_twins_of_the_players_compute_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr("torch.nn.functional.dropout", lambda x, p: x)
    monkeypatch.setattr("minigen.ops.dropout", lambda x, p, training: x)
    gan: Any
    gan, x = example(name, 8, 5)
    twin, flat = torch_twins.Twin(gan), name == "gan"
    z = gan.noise(5)
    noise = torch.from_numpy(z.numpy()).reshape(5, -1, *(() if flat else (1, 1)))
    np.testing.assert_allclose(twin(gan.generator.net, noise).detach(), gan.generator(z).numpy(), atol=1e-5)
    logits = twin(gan.discriminator.net, torch.from_numpy(x.reshape(5, -1) if flat else x).float())
    ours = gan.discriminator(Tensor(x.astype(np.float32))).numpy()
    np.testing.assert_allclose(logits.detach().reshape(-1), ours, atol=1e-4)


# -- numbers -----------------------------------------------------------------------------------------------------------


def test_exponents_and_ratios() -> None:
    assert growth.exponent([2, 3, 7], [5 * n**1.5 for n in (2, 3, 7)]) == pytest.approx(1.5)
    ours, theirs = Times([2.0, 6.0, 3.0]), Times([4.0, 5.0, 6.0])
    assert [str(x) for x in (ours, theirs, Ratio(ours, theirs))] == ["2.0 / 3.0", "4.0 / 5.0", "0.50 / 0.60"]


@pytest.mark.parametrize(("limit", "rows", "about"), [(["--full"], 5, ""), (["--naive-seconds", 1.5], 2, "~")])
def test_naive_times_are_extrapolated_and_marked(
    limit: list, rows: int, about: str, run_demo: Any, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that goes on by a second when it is looked at, once a row: all rows take a second."""
    seconds = iter(range(1000))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(seconds)))
    run_demo("benchmark", "--only", "sampling", "--models", "pixelcnn", "--size", 5, "--batch-sizes", 1, 3, *limit)
    row = lambda n, each: ["pixelcnn", n, str(rows), "of", "5", f"{about}5.00", "5.00", f"{about}1.0", each, n, "of", n]
    found = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("pixelcnn")]
    assert found == [row("1", "5000.0"), row("3", "1666.7")]


def test_other_images_with_the_cache_are_found(error_of: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = Autoregressive.sample

    def wrong(model: Any, n: int, *, cached: bool, watch: Any) -> Any:
        return sample(model, n, cached=cached, watch=lambda row, x: watch(row, 1 - x if cached else x))

    monkeypatch.setattr(Autoregressive, "sample", wrong)
    message = error_of("benchmark", *SMALL, "--only", "sampling", "--models", "pixelcnn")
    assert "pixelcnn: with the cache, 1 of 1 images are others than without" in message
