"""Every demo runs, continues an interrupted run to the same bits, explains its flags and refuses nonsense."""

from __future__ import annotations

import json
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
from PIL import Image

from minigen import plot, train

DEMOS = Path(__file__).parents[2] / "demos"
NAMES = sorted(path.stem for path in DEMOS.glob("*.py"))

# demos that train on images, with flags that make them small, and the files that they leave beside log and checkpoint
PIXELS = ["--hidden", 1, "--head", 1, "--levels", 4]
LIKELIHOOD = ["curves.png", "samples.png", "weights.safetensors"]
GAMES = [*LIKELIHOOD, "epochs/0001.png", "epochs/0002.png", "nearest.png", "samples.gif", "samples.npy"]
TRAINING: dict[str, tuple[str, list, list[str]]] = {
    "vae": (
        "vae",
        ["--hidden", 8, "--latent-dim", 2, "--likelihood", "levels", "--importance-samples", 2],
        [*LIKELIHOOD, "manifold.png", "reconstructions.png", "samples.npy"],
    ),
    "pixelcnn": ("pixelcnn", [*PIXELS, "--blocks", 1], [*LIKELIHOOD, "completions.png", "samples.gif"]),
    "gated pixelcnn": (
        "pixelcnn",
        [*PIXELS, "--gated", "--classes", "--layers", 1],
        [*LIKELIHOOD, "completions.png", "samples.gif"],
    ),
    "pixelrnn": (
        "pixelrnn",
        [*PIXELS, "--cell", "diagonal", "--layers", 1],
        [*LIKELIHOOD, "completions.png", "samples.gif"],
    ),
    "gan": ("gan", ["--latent-dim", 3, "--hidden", 4, "--beside"], GAMES),
    "dcgan": ("dcgan", ["--latent-dim", 3, "--features", 2, "--classes", "--instance-noise", 0.1, "--beside"], GAMES),
    "wgan": ("dcgan", ["--objective", "wasserstein-gp", "--latent-dim", 3, "--features", 2, "--beside"], GAMES),
}
each_training = pytest.mark.parametrize("name", TRAINING)


def small(name: str, photographs: Path) -> tuple[str, list]:
    """The demo and its flags: two epochs on the photographs."""
    demo, flags, _ = TRAINING[name]
    batch = 2 if name == "wgan" else 4  # a critic takes five batches in a round
    return demo, [*flags, "--dataset", photographs, "--image-size", 8, "--batch-size", batch, "--epochs", 2]


def is_blank(path: Path) -> bool:
    with Image.open(path) as image:
        return len(np.unique(np.asarray(image.convert("L")))) < 2


@each_training
def test_it_trains_prints_a_table_and_draws(
    name: str, photographs: Path, tmp_path: Path, run_demo: Callable, capsys: pytest.CaptureFixture
) -> None:
    demo, flags = small(name, photographs)
    run_demo(demo, *flags, "--out", tmp_path / "run")
    text = capsys.readouterr().out
    found = {path.relative_to(tmp_path / "run").as_posix() for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert found == {*TRAINING[name][2], "checkpoint.safetensors", "log.jsonl"}
    assert not [file for file in found if file.endswith(("png", "gif")) and is_blank(tmp_path / "run" / file)]
    assert f" on {photographs}, 22 training " in text
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    rows = [line.split() for line in re.findall(r"^ +[12]  .*$", text, re.MULTILINE)]
    assert [row[0] for row in rows] == ["1", "2"] == [str(record["epoch"]) for record in log]
    for row, record in zip(rows, log, strict=True):
        assert any(float(row[1]) == pytest.approx(value, abs=0.006) for value in record["train"].values())
    assert log[0]["train"] != log[1]["train"]  # it learns


@each_training
def test_an_interrupted_run_continues_to_the_same_bits(
    name: str, photographs: Path, tmp_path: Path, run_demo: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    demo, flags = small(name, photographs)
    monkeypatch.setattr(plot, "save_curves", lambda *arguments: None)  # slow, and shows only the log
    steps: list[Any] = []
    interrupt_at = 0

    def counted(call: Callable) -> Callable:
        def step(self: Any, *batch: Any) -> Any:
            steps.append(batch)
            if len(steps) == interrupt_at:
                os.kill(os.getpid(), signal.SIGINT)
            return call(self, *batch)

        return step

    for cls in (train.MaximumLikelihood, train.Game):
        monkeypatch.setattr(cls, "__call__", counted(cls.__call__))
    run_demo(demo, *flags, "--out", tmp_path / "whole")
    number, interrupt_at = len(steps), len(steps) + 4  # in the last epoch of a critic, the first of the others
    with pytest.raises(SystemExit, match="130"):
        run_demo(demo, *flags, "--out", tmp_path / "broken")
    assert len(steps) == interrupt_at and not (tmp_path / "broken" / "weights.safetensors").exists()
    run_demo(demo, *flags, "--out", tmp_path / "broken", "--resume")
    assert len(steps) == 2 * number  # none was made twice
    files = {path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*.*")}
    for file in files - {Path("log.jsonl"), Path("checkpoint.safetensors")}:  # which hold seconds
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "broken" / file).read_bytes(), file


@pytest.mark.parametrize("name", ["vae", "gated pixelcnn", "dcgan"])
def test_it_runs_on_a_gpu(
    name: str, photographs: Path, tmp_path: Path, run_demo: Callable, gpu_standin: Any, capsys: pytest.CaptureFixture
) -> None:
    demo, flags = small(name, photographs)
    run_demo(demo, *flags, "--epochs", 1, "--device", "gpu", "--out", tmp_path / "run")
    assert "Figures, log and weights are in" in capsys.readouterr().out


def test_from_the_command_line_in_any_folder(photographs: Path, tmp_path: Path) -> None:
    """The tests above run in one process; here, a demo finds `common` by itself, and its errors end in a status."""
    environment = {**os.environ, "PYTHONPATH": str(DEMOS.parent), "OMP_NUM_THREADS": "1"}
    shell = lambda *flags: subprocess.run(
        [sys.executable, str(DEMOS / "vae.py"), *map(str, flags)],
        env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    _, flags = small("vae", photographs)
    done = shell(*flags, "--out", "run")
    assert (done.returncode, done.stderr) == (0, "") and (tmp_path / "run" / "samples.png").exists()
    ended = shell("--resume", "--out", "nothing")
    assert ended.returncode == 1
    assert ended.stderr == "vae.py: nothing/checkpoint.safetensors: there is no run to resume\n"


# -- flags and mistakes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_help_explains_every_flag(name: str, run_demo: Callable, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match=r"^0$"):
        run_demo(name, "--help")
    text = capsys.readouterr().out
    source = (DEMOS / f"{name}.py").read_text()
    flags = re.findall(r"^  (--[\w-]+)", text, re.MULTILINE)
    assert set(re.findall(r'add_argument\(\s*"(--[\w-]+)"', source)) <= set(flags)
    for flag in flags:
        entry = re.search(rf"^  {flag}\b.*\n(?:    .*\n)*", text, re.MULTILINE)[0]  # type: ignore[index]
        words = re.sub(rf"^  {flag}( [A-Z_]+| {{.*?}}| \[.*?\])*", "", entry)
        assert len(words.split()) >= 3, f"{flag} is not explained"
    assert source.split('"""')[1].splitlines()[0] in text  # what it is about, with the paper


@pytest.mark.parametrize("name", sorted({demo for demo, _, _ in TRAINING.values()} | {"latent"}))
def test_mistakes_are_told_in_one_line(
    name: str, tmp_path: Path, error_of: Callable, run_demo: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = ["--out", tmp_path / "run"]
    monkeypatch.setitem(sys.modules, "cupy", None)  # `import cupy` fails
    assert "a GPU needs CuPy, which is not installed" in error_of(name, "--device", "gpu", *out)
    assert "no data set 'nonsense'; there are digits," in error_of(name, "--dataset", "nonsense", *out)
    assert "nowhere is not a folder" in error_of(name, "--dataset", tmp_path / "nowhere", *out)
    assert "there is no run to resume" in error_of(name, "--resume", *out)
    assert re.search(r"expects lr > 0, got 0", error_of(name, "--lr", 0, *out))  # and not the default
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", NAMES)
def test_numbers_that_make_no_sense(name: str, run_demo: Callable, capsys: pytest.CaptureFixture) -> None:
    """Of the flags that count something; the library refuses the others."""
    flag = {"receptive_field": "--size", "gan_theory": "--steps", "benchmark": "--repeat", "mode_collapse": "--seeds"}
    for value, message in (("0", "expects a number >= 1, got 0"), ("many", "invalid")):
        with pytest.raises(SystemExit, match=r"^2$"):
            run_demo(name, flag.get(name, "--epochs"), value)
        assert f"argument {flag.get(name, '--epochs')}: {message}" in capsys.readouterr().err


def test_resume_refuses_other_flags(photographs: Path, tmp_path: Path, run_demo: Callable, error_of: Callable) -> None:
    demo, flags = small("vae", photographs)
    run_demo(demo, *flags, "--out", tmp_path)
    message = error_of(demo, *flags, "--latent-dim", 3, "--lr", 0.5, "--resume", "--out", tmp_path)
    assert "cannot resume with other settings (the run has latent_dim=2, now 3, lr=0.002, now 0.5)" in message
