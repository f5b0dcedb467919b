"""Several processes compute what one would, and end together: real ones over MPI, and threads with a stand-in."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import mpi_standin
import numpy as np
import pytest
from small_run import STEPS, dataset, final_state, run
from together import CASES, RESULTS, weights_after

from minigen import nn, train
from minigen.backend import Device, to_numpy
from minigen.checkpoint import load_progress
from minigen.data import Loader
from minigen.files import _is_running, _owner
from minigen.models import VAE
from minigen.optim import Adam
from minigen.processes import Alone, Part, group, own_part
from minigen.random import manual_seed, normal, random_state, uniform
from minigen.train import parallel

TESTS = Path(__file__).parents[1]
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
MISSING = [name for name, found in (("mpi4py", importlib.util.find_spec("mpi4py")), ("mpiexec", MPIEXEC)) if not found]
needs_mpi = pytest.mark.skipif(
    bool(MISSING), reason=f'{" and ".join(MISSING)} missing: pip install "minigen[parallel]"'
)


def start(n: int, *command: object) -> subprocess.CompletedProcess:
    """Run a Python program in n processes, where what lies in tests/ can be imported."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)]), "OMP_NUM_THREADS": "1"}
    arguments = [str(MPIEXEC), "-n", str(n), sys.executable, *map(str, command)]
    return subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120)


def start_run(
    n: int, out: Path, before: str = "None", options: str = "", patience: float = 1000.0
) -> subprocess.CompletedProcess:
    """The run of `small_run` in n processes; `before` is called with the number of each step."""
    code = f"""
import os, signal, sys, time, resource
from small_run import *
from minigen import train
with train.parallel.together({patience}) as group:
    run({str(out)!r}, {before}, {options})
"""
    return start(n, "-c", code)


def in_step(number: int, what: str, *ranks: int) -> str:
    """What these processes do at the beginning of a step."""
    return f"lambda step: ({what}) if step == {number} and group.rank in {ranks} else None"


def wait_for_the_end_of(out: Path) -> None:
    """`mpiexec` may end a moment before the processes that it has killed."""
    locks, until = [*out.glob(".minigen-*-run.lock")], time.monotonic() + 30
    while any(_is_running(int(_owner(path)[1])) for path in locks) and time.monotonic() < until:
        time.sleep(0.02)


# -- what one process would --------------------------------------------------------------------------------------------


@cache
def of_one() -> dict[str, dict[str, Any]]:
    return {name: result() for name, result in RESULTS.items()}


def check_equal(name: str, found: Any, expected: dict[str, Any]) -> None:
    assert {*found} == {*expected}
    for key, x in expected.items():
        np.testing.assert_allclose(found[key], x, rtol=0, atol=1e-10, err_msg=f"{name}: {key}")


@needs_mpi
@pytest.mark.parametrize("n", [2, 3])
def test_processes_compute_what_one_would(n: int, tmp_path: Path) -> None:
    """50 steps of every kind of model, batch norm to second order, and an evaluation."""
    ended = start(n, TESTS / "together.py", tmp_path)
    assert ended.returncode == 0, ended.stderr
    for name, expected in of_one().items():
        check_equal(name, np.load(tmp_path / f"{name}.npz"), expected)


def together(size: int, work: Callable[[], Any], patch: pytest.MonkeyPatch, **options: Any) -> list[Any]:
    """What `work()` returns in processes that are threads."""

    def process() -> Any:
        with parallel.together(**options):
            return work()

    return mpi_standin.run_together(size, process, patch)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
@pytest.mark.parametrize("name", ["batch norm", "evaluation", "vae with batch norm", "dcgan"])
def test_threads_compute_what_one_process_would(name: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here also where 5 processes share batches of 2 images and of 1."""
    result = partial(weights_after, name, steps=4) if name in CASES else RESULTS[name]
    expected = result()
    for found in together(size, result, monkeypatch):
        check_equal(name, found, expected)


@pytest.mark.parametrize("total", [1, 2, 7, 8])
@pytest.mark.parametrize("draw", [uniform, normal])
def test_each_process_draws_its_rows_of_what_one_would_draw(
    draw: Callable[..., Any], total: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn() -> tuple[Part, list[np.ndarray]]:
        manual_seed(4)
        with own_part(total) as part:
            n = part.stop - part.start
            return part, [draw((n, 3)), draw((2 * n,)), draw(())]

    _, (plain, twice, number) = drawn()
    for part, (own, own_twice, own_number) in together(3, drawn, monkeypatch):
        np.testing.assert_array_equal(own, plain[part.start : part.stop])
        np.testing.assert_array_equal(own_twice, twice.reshape(2, -1)[:, part.start : part.stop].reshape(-1))
        assert own_number == number


def test_a_draw_that_is_not_for_rows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong() -> None:
        with own_part(8):
            uniform((3, 4))

    with pytest.raises(ValueError, match=r"takes 4 of 8 rows expects to draw .* first axis; got the shape \(3, 4\)"):
        together(2, wrong, monkeypatch)


@pytest.mark.parametrize("name", ["vae", "dcgan", "wgan-gp"])
def test_on_cards_gradients_are_summed_by_nccl(name: str, gpu_standin: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """With stand-ins for CuPy, MPI and NCCL."""

    def on_card() -> dict[str, Any]:
        with gpu_standin:
            return {key: to_numpy(x) for key, x in weights_after(name, steps=3).items()}

    expected = on_card()
    for found in together(2, on_card, monkeypatch):
        check_equal(name, found, expected)
    assert max(mpi_standin.NCCLBackend.made) > 100  # the gradients


def test_arrays_with_gaps_are_summed_on_cards(gpu_standin: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    def summed() -> np.ndarray:
        with gpu_standin:
            x = gpu_standin.asarray(np.arange(12.0).reshape(3, 4))
            return to_numpy(group().sum(x[:, ::2].T))

    for found in together(2, summed, monkeypatch):
        np.testing.assert_array_equal(found, 2 * np.arange(12.0).reshape(3, 4)[:, ::2].T)


# -- the loop ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def of_two(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The final state of the run of two processes."""
    out = tmp_path_factory.mktemp("two")
    ended = start_run(2, out)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    return final_state(out)


def check_close(out: Path, expected: dict[str, Any]) -> None:
    """The same run, but for rounding in float32."""
    found = final_state(out)
    assert {name: found["progress"][name] for name in ("epoch", "batch", "random")} == {
        name: expected["progress"][name] for name in ("epoch", "batch", "random")
    }
    for a, b in zip(found["log"], expected["log"], strict=True):
        assert a["train"]["loss"] == pytest.approx(b["train"]["loss"], rel=1e-5)


@needs_mpi
def test_two_processes_train_as_one(of_two: dict[str, Any], uninterrupted: dict[str, Any], tmp_path: Path) -> None:
    run(tmp_path)
    check_close(tmp_path, of_two)


@needs_mpi
def test_a_signal_to_one_process_ends_all_and_any_number_goes_on(of_two: dict[str, Any], tmp_path: Path) -> None:
    ended = start_run(2, tmp_path, in_step(5, "os.kill(os.getpid(), signal.SIGTERM)", 1))
    assert ended.returncode != 0
    assert ended.stderr.count(f"Interrupted in epoch 2. All is saved in {tmp_path}; --resume goes on.") == 1
    progress = load_progress(tmp_path / "checkpoint.safetensors")
    assert (progress["epoch"], progress["batch"]) == (1, 2)
    for n in (1, 2, 3):
        resumed = tmp_path.with_name(f"resumed-by-{n}")
        shutil.copytree(tmp_path, resumed)
        if n == 1:
            run(resumed, resume=True)
        else:
            assert (ended := start_run(n, resumed, options="resume=True")).returncode == 0, ended.stderr
        check_close(resumed, of_two)
    assert final_state(tmp_path.with_name("resumed-by-2")) == of_two


@needs_mpi
@pytest.mark.parametrize(
    ("what", "ranks", "message"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", (1,), "PID "),
        ("os.kill(os.getppid(), signal.SIGKILL), os.kill(os.getpid(), signal.SIGKILL)", (0, 1), ""),
        ("1 / 0", (1,), "process 1 (pid "),
        ("time.sleep(60)", (1,), "parallel: process 1 (pid "),
        ("resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))", (0,), "process 0 (pid "),  # as if the disk were full
    ],
    ids=["killed", "all killed", "an error", "hangs", "a full disk"],
)
def test_a_process_that_fails_ends_the_others_and_the_run_goes_on(
    what: str, ranks: tuple[int, ...], message: str, of_two: dict[str, Any], tmp_path: Path
) -> None:
    """From the checkpoint after the first epoch, to the same bits."""
    ended = start_run(2, tmp_path, in_step(STEPS + 1, what, *ranks), patience=2.0 if "sleep" in what else 1000.0)
    assert ended.returncode != 0 and message in ended.stdout + ended.stderr
    progress = load_progress(tmp_path / "checkpoint.safetensors")
    assert (progress["epoch"], progress["batch"]) == (1, 0)
    wait_for_the_end_of(tmp_path)
    assert (ended := start_run(2, tmp_path, options="resume=True")).returncode == 0, ended.stderr
    assert final_state(tmp_path) == of_two


def test_the_process_that_does_not_come_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Process 1 hangs, and process 2 comes late: it is not named by process 0, which has waited for longer."""

    def hanging() -> str:
        try:
            time.sleep((0.0, 2.0, 0.4)[group().rank])
            group().sum(np.ones(1))
            return ""
        except RuntimeError as error:
            return str(error)

    first, *_ = together(3, hanging, monkeypatch, patience=1.0)
    assert re.fullmatch(r"parallel: process 1 \(pid \d+ on \S+\) has not come for 1 s", first)


def test_all_start_with_the_parameters_and_random_numbers_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained() -> tuple[bytes, dict[str, Any]]:
        manual_seed(group().rank)
        vae = VAE((1, 4, 4), 2, 6)
        step = train.MaximumLikelihood(vae, Adam(vae.parameters(), 0.01))
        train.train(step, Loader(dataset(28), 8), epochs=1, out=tmp_path / f"{group().rank}")
        return b"".join(x.tobytes() for x in vae.state_dict().values()), random_state()

    assert len({repr(x) for x in together(2, trained, monkeypatch)}) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0"]  # only the first process writes


def test_processes_that_differ_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def differing() -> None:
        manual_seed(0)
        layer = nn.Linear(1, 1)
        layer.bias.data += 1e-7 * (group().rank == 2)
        parallel.check_equal({"model": layer}, 7, group())

    with pytest.raises(RuntimeError, match=r"^parallel: after step 7 process 2 has other weights"):
        together(3, differing, monkeypatch)


def test_the_loop_looks_for_differences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []
    monkeypatch.setattr("minigen.train.loop.check_equal", lambda parts, step, group: looked.append(step))
    run(tmp_path, epochs=26)
    assert looked == [100]


def test_the_processes_of_a_machine_share_its_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minigen.train.mpi._cores", lambda: 6)
    for size, threads in {1: 6, 2: 3, 4: 1, 7: 1}.items():
        assert together(size, lambda: group().threads, monkeypatch) == [threads] * size  # type: ignore[attr-defined]


@needs_mpi
@pytest.mark.parametrize(("chosen", "cores"), [(None, 2), ("1", 8)])
def test_matrix_products_get_their_share_of_the_cores(chosen: str | None, cores: int) -> None:
    """One thread of two cores; of eight it would be four, but OMP_NUM_THREADS chooses one."""
    code = f"""
import os
del os.environ["OMP_NUM_THREADS"]
os.environ.update({{"OMP_NUM_THREADS": "{chosen}"}} if {chosen} else {{}})
import numpy, threadpoolctl
from minigen import train
from minigen.train import mpi
mpi._cores = lambda: {cores}
with train.parallel.together() as group:
    if group.rank == 0:
        print(*(pool["num_threads"] for pool in threadpoolctl.threadpool_info()))
"""
    ended = start(2, "-c", code)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert {*ended.stdout.split()} == {"1"}


def test_one_process_without_mpi_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mpi4py", None)
    with pytest.raises(RuntimeError, match=r'^parallel: needs mpi4py .*pip install "minigen\[parallel\]"'):
        parallel.together().__enter__()
    assert isinstance(group(), Alone)
