"""What the benchmark claims: PyTorch's twins compute the same, cached images are the naive ones, exponents are right.

Times are never compared: where a table of times is checked, the clock is the test's own.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import benchmark
from common import torch_twins
from minigen import backend, ops, train
from minigen.autograd import Tensor
from minigen.models.autoregressive import Autoregressive


class Clock:
    """Takes the place of `time.perf_counter`: goes on by `tick` seconds whenever it is looked at."""

    def __init__(self, tick: float = 0.0) -> None:
        self.now, self.tick = 0.0, tick

    def __call__(self) -> float:
        self.now += self.tick
        return self.now


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PyTorch."""
    monkeypatch.setattr(torch_twins, "torch", None)


SMALL = ["--repeat", 1, "--size", 8, "--sizes", 8, 10, "--batch-sizes", 1, 3, "--naive-seconds", 0]


def test_every_model_in_every_table(run_demo: Callable, capsys: pytest.CaptureFixture, alone: None) -> None:
    sections = ["steps", "sampling", "growth"]
    run_demo("benchmark", *SMALL, "--only", *sections)
    text = capsys.readouterr().out
    assert "PyTorch is not installed: minigen alone" in text and " threads; " in text
    tables = dict(zip(sections, re.split(rf"^(?:{'|'.join(sections)})$", text, flags=re.MULTILINE)[1:], strict=True))
    for section, models in zip(sections, (benchmark.MODELS, benchmark.AUTOREGRESSIVE, benchmark.MODELS), strict=True):
        found = re.findall(r"^([a-z]+) ", tables[section], re.MULTILINE)
        assert sorted(set(found) - {"model"}) == sorted(models)
    assert len(re.findall(r"1 of 8 .* (\d) of \1$", tables["sampling"], re.MULTILINE)) == 8


def test_convolutions_are_timed(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    case = benchmark.Convolution("conv2d", 1, 2, 5, 3, 3, padding=1)
    monkeypatch.setattr(benchmark, "CONVOLUTIONS", [case])
    benchmark.convolutions(benchmark.parser().parse_args(["--repeat", "1"]))
    assert capsys.readouterr().out.count("conv2d") == 1


@pytest.mark.parametrize("case", [case for case in benchmark.CONVOLUTIONS if case.kernel < 7 and case.side > 7])
def test_both_libraries_compute_the_same_convolution(case: Any) -> None:
    """A small one of each kind, and both gradients."""
    pytest.importorskip("torch")
    case = case._replace(images=2, inputs=3, side=7, outputs=2)
    arrays = case.arrays()
    pairs = zip(benchmark.our_convolution(case, *arrays), benchmark.their_convolution(case, *arrays), strict=True)
    for part, (ours, theirs) in enumerate(pairs):
        a, b = (f()[0] if part else f() for f in (ours, theirs))
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=1e-3, atol=1e-3)


# -- PyTorch's twins ---------------------------------------------------------------------------------------------------


def same_gradients(model: Any, loss: Tensor, twin: Any, value: Any) -> None:
    """Of all parameters, and the losses themselves."""
    loss.backward()
    value.backward()
    assert value.item() == pytest.approx(loss.item(), rel=1e-4)
    for name, p in model.named_parameters():
        theirs = twin.tensors[id(p)].grad.numpy()
        np.testing.assert_allclose(theirs, p.grad.numpy(), rtol=1e-3, atol=1e-4 * np.abs(theirs).max(), err_msg=name)


def test_the_twin_of_the_vae_has_its_loss() -> None:
    torch = pytest.importorskip("torch")
    vae, x = benchmark.example("vae", 8, 5)
    backend.manual_seed(1)
    loss = vae.loss(x)
    backend.manual_seed(1)
    noise = torch.from_numpy(backend.normal((5, vae.latent_dim)))
    twin = torch_twins.Twin(vae)
    same_gradients(vae, loss, twin, torch_twins.vae_loss(twin, vae, torch.from_numpy(x).float(), noise))


def test_the_twin_of_the_pixelcnn_has_its_loss() -> None:
    torch = pytest.importorskip("torch")
    model, x = benchmark.example("pixelcnn", 8, 5)
    twin = torch_twins.Twin(model)
    same_gradients(model, model.loss(x), twin, torch_twins.pixelcnn_loss(twin, model, torch.from_numpy(x).float()))


@pytest.mark.parametrize("name", ["gan", "dcgan"])
def test_the_twins_of_the_players_compute_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their networks, and the gradient of the discriminator's loss on data."""
    torch = pytest.importorskip("torch")
    gan, x = benchmark.example(name, 8, 5)
    if name == "gan":
        monkeypatch.setattr("torch.nn.functional.dropout", lambda x, p: x)
        for layer in gan.discriminator.net:  # type: ignore[attr-defined]
            if hasattr(layer, "p"):
                layer.p = 0.0
    z = gan.noise(5)  # type: ignore[attr-defined]
    twin = torch_twins.Twin(gan)
    noise = torch.from_numpy(z.numpy().copy()).reshape(5, -1, *((1, 1) if name == "dcgan" else ()))
    samples = twin(gan.generator.net, noise).detach().numpy()  # type: ignore[attr-defined]
    np.testing.assert_allclose(samples, gan.generator(z).numpy(), atol=1e-5)  # type: ignore[attr-defined]
    images = torch.from_numpy(x).float()
    value = torch.nn.functional.softplus(
        -twin(gan.discriminator.net, images if name == "dcgan" else images.flatten(1))  # type: ignore[attr-defined]
    ).mean()
    loss = ops.mean(ops.softplus(-gan.discriminator(x.astype(np.float32))))  # type: ignore[attr-defined]
    same_gradients(gan.discriminator, loss, twin, value)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", benchmark.MODELS)
def test_a_twin_takes_steps(name: str) -> None:
    pytest.importorskip("torch")
    model, x = benchmark.example(name, 8, 4)
    step = torch_twins.training_step(model, x)
    assert (step is None) == (name in ("gated", "row", "diagonal"))
    if step is not None:
        losses = [step() for _ in range(8)]
        assert np.isfinite(losses).all() and (losses[-1] < losses[0] or name in ("gan", "dcgan"))


# -- times -------------------------------------------------------------------------------------------------------------


def test_functions_are_timed_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, order = Clock(), []

    def work(name: str, seconds: float) -> Callable[[], None]:
        return lambda: (order.append(name), setattr(clock, "now", clock.now + seconds))[0]  # type: ignore[func-returns-value]

    monkeypatch.setattr(time, "perf_counter", clock)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    assert np.allclose(benchmark.in_turns([work("ours", 0.002), work("theirs", 0.004)], 2), [[2, 2], [4, 4]])
    assert order == ["ours", "ours", "theirs", "theirs"] * 2
    columns = benchmark.columns([[2.0, 6.0, 3.0], [4.0, 5.0, 6.0]])
    assert " ".join(columns.split()) == "2.0 / 3.0 4.0 / 5.0 0.50 / 0.60"


@pytest.mark.parametrize(
    ("limit", "rows", "about"), [(["--full", "--naive-seconds", 0], 5, ""), (["--naive-seconds", 1.5], 2, "~")]
)
def test_naive_times_are_extrapolated_and_marked(
    limit: list,
    rows: int,
    about: str,
    run_demo: Callable,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By a clock that is looked at once a row, all rows take a second."""
    monkeypatch.setattr(time, "perf_counter", Clock(1.0))
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


def test_growth_prints_the_exponent(
    run_demo: Callable, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that goes on by a millisecond a pixel in every step."""
    clock, step = Clock(), train.MaximumLikelihood.__call__

    def slow(self: Any, images: Any, labels: Any) -> Any:
        clock.now += images.size * 1e-3
        return step(self, images, labels)

    monkeypatch.setattr(time, "perf_counter", clock)
    monkeypatch.setattr(train.MaximumLikelihood, "__call__", slow)
    flags = ["--models", "pixelcnn", "--sizes", 3, 5, "--batch-sizes", 1, 3, "--size", 4, "--repeat", 1]
    run_demo("benchmark", "--only", "growth", *flags)
    text = capsys.readouterr().out
    rows = re.findall(r"^ +(\d) x \1 +(\d+) +(\S+) +(\d+)$", text, re.MULTILINE)
    cases = [(3, 16), (5, 16), (4, 1), (4, 3)]
    assert rows == [(str(n), str(k), f"{n * n * k}.0", "1000000") for n, k in cases]
    assert re.findall(r"seconds ~ (\w+)\^(\S+)$", text, re.MULTILINE) == [("pixels", "1.00"), ("images", "1.00")]
    assert benchmark.exponent([2, 3, 7], [5 * n**1.5 for n in (2, 3, 7)]) == pytest.approx(1.5)


def test_a_gpu_is_timed_too(run_demo: Callable, capsys: pytest.CaptureFixture, gpu_standin: Any) -> None:
    flags = ["--models", "pixelcnn", "dcgan", "--only", "steps", "sampling", "--device", "gpu"]
    run_demo("benchmark", *SMALL, *flags)
    assert ", gpu, " in capsys.readouterr().out
