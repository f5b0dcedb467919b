"""Every demo runs, continues an interrupted run to the same bits, explains its flags and refuses nonsense."""

from __future__ import annotations

import contextlib
import errno
import functools
import importlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from common import flags as common_flags
from minigen import plot, train
from minigen.checkpoint import read

DEMOS = Path(__file__).parents[2] / "demos"
NAMES = sorted(path.stem for path in DEMOS.glob("*.py"))
INSTANT = ["backward", "gallery", "pretrained", "tiny_engine"]  # they take no time, and have no --quick

# demos that train on images, with flags that make them small, and the files that they leave beside log and checkpoint
PIXELS = ["--hidden", 1, "--head", 1, "--levels", 4]
LIKELIHOOD = ["curves.png", "samples.png", "weights.safetensors"]
GAMES = [*LIKELIHOOD, "epochs/0001.png", "epochs/0002.png", "nearest.png", "samples.gif", "samples.npy", "walk.gif"]
TRAINING: dict[str, tuple[str, list, list[str]]] = {
    "vae": (
        "vae",
        ["--hidden", 8, "--latent-dim", 2, "--likelihood", "levels", "--importance-samples", 2],
        [*LIKELIHOOD, "manifold.png", "reconstructions.png", "samples.npy", "walk.gif"],
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


@pytest.fixture(scope="module")
def finished(photographs: Path, run_demo: Callable, tmp_path_factory: pytest.TempPathFactory) -> Callable:
    """The folder of a finished run of each, and what it printed."""

    @functools.cache
    def run(name: str) -> tuple[Path, str]:
        demo, flags = small(name, photographs)
        out = tmp_path_factory.mktemp("finished") / "run"
        with contextlib.redirect_stdout(io.StringIO()) as text:
            run_demo(demo, *flags, "--out", out)
        return out, text.getvalue()

    return run


def files_in(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@each_training
def test_it_trains_prints_a_table_and_draws(name: str, photographs: Path, finished: Callable) -> None:
    out, text = finished(name)
    found = files_in(out)
    assert found.keys() == {*TRAINING[name][2], "checkpoint.safetensors", "log.jsonl"}
    assert not [file for file in found if file.endswith(("png", "gif")) and is_blank(out / file)]
    assert f" on {photographs}, 22 training " in text
    log = [json.loads(line) for line in found["log.jsonl"].splitlines()]
    rows = [line.split() for line in re.findall(r"^ +[12]  .*$", text, re.MULTILINE)]
    assert [row[0] for row in rows] == ["1", "2"] == [str(record["epoch"]) for record in log]
    for row, record in zip(rows, log, strict=True):
        assert any(float(row[1]) == pytest.approx(value, abs=0.006) for value in record["train"].values())
    assert log[0]["train"] != log[1]["train"]  # it learns


@each_training
def test_every_file_is_written_into_a_folder_that_is_locked(
    name: str,
    photographs: Path,
    tmp_path: Path,
    finished: Callable,
    run_demo: Callable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also after the training: another run, started by then in the same folder, would have moved this one aside."""
    demo, flags = small(name, photographs)
    out, unlocked, replace = tmp_path / "run", [], os.replace
    shutil.copytree(finished(name)[0], out)

    def watched(source: Any, target: Any) -> None:
        if not list(out.glob(".minigen-*-run.lock")):
            unlocked.append(target)
        replace(source, target)

    monkeypatch.setattr(os, "replace", watched)
    run_demo(demo, *flags, "--out", out, "--resume")
    assert not unlocked


@each_training
def test_a_finished_run_draws_what_is_missing(
    name: str, photographs: Path, tmp_path: Path, finished: Callable, run_demo: Callable
) -> None:
    """As after a kill while the last figures are drawn."""
    demo, flags = small(name, photographs)
    shutil.copytree(finished(name)[0], out := tmp_path / "run")
    before = files_in(out)
    for file in before:
        if not file.startswith(("checkpoint", "log", "epochs")):
            (out / file).unlink()
    run_demo(demo, *flags, "--out", out, "--resume")
    assert files_in(out) == before


@each_training
def test_weights_are_used_without_training(
    name: str,
    photographs: Path,
    tmp_path: Path,
    finished: Callable,
    run_demo: Callable,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Into a folder of its own, by default; the images need not fill a batch."""
    out, text = finished(name)
    demo, flags = small(name, photographs)
    monkeypatch.setattr(train, "train", lambda *arguments, **options: pytest.fail("trained"))
    monkeypatch.chdir(tmp_path)
    run_demo(demo, *flags, "--batch-size", 99, "--weights", out / "weights.safetensors")
    drawn = files_in(tmp_path / "runs" / f"{demo}-weights")
    trained_only = {"weights.safetensors", "curves.png"}
    if "epochs/0001.png" in TRAINING[name][2]:
        trained_only |= {"epochs/0001.png", "epochs/0002.png", "samples.gif"}
    calculated = {"classifier.safetensors"} if name in ("vae", "wgan") else set()
    assert drawn.keys() - {"analogies.png"} == {*TRAINING[name][2]} - trained_only | calculated
    if name != "vae":  # whose bound is drawn anew
        line = re.compile(r"^  -log p.*$", re.MULTILINE)
        assert line.findall(capsys.readouterr().out) == line.findall(text)
    if "epochs/0001.png" in trained_only:
        assert drawn["samples.png"] == (out / "samples.png").read_bytes()  # of the same z


@pytest.mark.parametrize("name", ["vae", "gated pixelcnn"])
def test_a_training_begins_with_given_weights(
    name: str, photographs: Path, tmp_path: Path, finished: Callable, run_demo: Callable
) -> None:
    """With a rate of almost nothing they stay what they are."""
    weights, out = finished(name)[0] / "weights.safetensors", tmp_path / "run"
    demo, flags = small(name, photographs)
    run_demo(demo, *flags, "--start", weights, "--lr", 1e-12, "--seed", 1, "--out", out)
    after = read(out / "weights.safetensors")[0]
    for parameter, x in read(weights)[0].items():
        np.testing.assert_allclose(after[parameter], x, atol=1e-6, err_msg=parameter)


def test_weights_that_do_not_fit(finished: Callable, error_of: Callable, tmp_path: Path) -> None:
    weights = finished("gated pixelcnn")[0] / "weights.safetensors"
    error = lambda name, file=weights: error_of(name, "--weights", file, "--out", tmp_path / "out")
    assert f"{weights}: expects weights of VAE, got those of GatedPixelCNN" in error("vae")
    assert f"{weights}: expects images (3, 8, 8), those of digits are (1, 28, 28)" in error("pixelcnn")
    assert "no such file" in error("gan", tmp_path / "none")
    assert "expects weights, got a checkpoint" in error("vae", weights.with_name("checkpoint.safetensors"))
    begun = error_of("vae", "--start", weights, "--out", tmp_path / "out")
    assert f"{weights}: VAE: the state does not fit" in begun
    assert not (tmp_path / "out").exists()


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


@pytest.mark.filterwarnings("error:the step runs kernel by kernel")
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
        assert (flag != "--seed" or "(default: 0)" in entry) and "(default: [" not in entry
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
    assert not (tmp_path / "run").exists()


WRONG = [  # demos, a flag, a value, and what the flag expects
    (["vae", "gan", "dcgan", "latent", "pixelcnn", "pixelrnn"], "--epochs", "0", "a whole number >= 1"),
    (["vae", "gan", "dcgan", "latent", "pixelcnn", "pixelrnn"], "--epochs", "abc", "a whole number >= 1"),
    (["vae", "gan", "dcgan", "latent", "pixelcnn", "mode_collapse"], "--lr", "0", "a number > 0"),
    (["vae", "gan_theory", "receptive_field", "mode_collapse"], "--seed", "-1", "a whole number from 0 to 2**64 - 1"),
    (["vae"], "--seed", str(2**64), "a whole number from 0 to 2**64 - 1"),
    (["gan", "dcgan", "mode_collapse"], "--generator-lr", "inf", "a number > 0"),
    (["gan", "dcgan", "latent", "mode_collapse"], "--average", "1", "a number >= 0 and < 1"),
    (["dcgan", "mode_collapse"], "--penalty", "-3", "a number > 0"),
    (["gan", "mode_collapse"], "--label-flips", "1.5", "a number from 0 to 1"),
    (["gan", "mode_collapse"], "--instance-noise", "nan", "a number >= 0"),
    (["vae"], "--beta", "-1", "a number >= 0"),
    (["pixelcnn", "pixelrnn"], "--temperature", "0", "a number > 0"),
    (["pixelcnn", "pixelrnn"], "--levels", "257", "a whole number from 2 to 256"),
    (["receptive_field"], "--size", "2.5", "a whole number >= 1"),
    (["benchmark"], "--naive-seconds", "-1", "a number >= 0"),
]


@pytest.mark.parametrize(("demos", "flag", "value", "expects"), WRONG)
def test_numbers_that_make_no_sense(
    demos: list, flag: str, value: str, expects: str, tmp_path: Path, run_demo: Callable, capsys: pytest.CaptureFixture
) -> None:
    """They are refused in one line, before anything starts."""
    for name in demos:
        with pytest.raises(SystemExit, match=r"^2$"):
            run_demo(name, flag, value)
        line = f"{name}.py: argument {flag}: expects {expects}, got {value} (--help explains the flags)\n"
        assert capsys.readouterr() == ("", line)


def test_flags_that_a_demo_does_not_have(run_demo: Callable, capsys: pytest.CaptureFixture) -> None:
    for name, flag in (("mode_collapse", "--classes"), ("vae", "--layers"), ("benchmark", "--epochs=3")):
        with pytest.raises(SystemExit, match=r"^2$"):
            run_demo(name, flag)
        assert f"{name}.py: unrecognized arguments: {flag}" in capsys.readouterr().err
    with pytest.raises(SystemExit, match=r"^2$"):
        run_demo("gan", "--weights", "x.safetensors", "--resume")
    assert "argument --resume: not allowed with argument --weights" in capsys.readouterr().err


def test_resume_refuses_other_flags(photographs: Path, tmp_path: Path, run_demo: Callable, error_of: Callable) -> None:
    demo, flags = small("vae", photographs)
    run_demo(demo, *flags, "--out", tmp_path)
    message = error_of(demo, *flags, "--latent-dim", 3, "--lr", 0.5, "--resume", "--out", tmp_path)
    assert "cannot resume with other settings (the run has latent_dim=2, now 3, lr=0.003, now 0.5)" in message


def test_only_what_affects_training_is_a_setting(photographs: Path, tmp_path: Path, run_demo: Callable) -> None:
    demo, flags = small("vae", photographs)
    run_demo(demo, *flags, "--out", tmp_path / "vae")
    run_demo(demo, *flags, "--out", tmp_path / "vae", "--resume", "--importance-samples", 3)
    demo, flags = small("pixelcnn", photographs)
    run_demo(demo, *flags, "--out", tmp_path / "pixelcnn")
    run_demo(demo, *flags, "--out", tmp_path / "pixelcnn", "--resume", "--temperature", 0.5)


@pytest.mark.parametrize("name", sorted({*NAMES} - {*INSTANT}))
def test_a_quick_run_changes_the_defaults_and_says_so(
    name: str, run_demo: Callable, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = importlib.import_module(name)
    usual, quick = (vars(module.parser().parse_args(given)) for given in ([], ["--quick"]))
    changed = {key for key in usual if usual[key] != quick[key]}
    assert changed == {"quick", *module.parser().quick}
    flag = sorted(changed - {"quick", "only"})[0]  # what is given counts
    given = vars(module.parser().parse_args(["--quick", f"--{flag}", "7"]))
    assert given == {**quick, flag: 7}
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--quick"])
    seen: list[Any] = []
    common_flags.run(seen.append, parser := module.parser())
    assert seen[0].quick and capsys.readouterr().out == f"A quick run, for a first look: {parser.quick_values}\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device", "/x/log.jsonl"),
            "/x/log.jsonl: No space left on device; make room there, or choose --out on another disk",
        ),
        (
            FileExistsError(errno.EEXIST, "File exists", "runs"),
            "runs: File exists; something else has that name: choose another --out",
        ),
        (FileNotFoundError("x.png: no such file"), "x.png: no such file"),
        (MemoryError("Unable to allocate 2 TiB"), "out of memory (Unable to allocate 2 TiB); a smaller --batch-size"),
        (MemoryError(), "out of memory (no details); a smaller --batch-size"),
    ],
)
def test_errors_say_what_to_do(error: Exception, line: str) -> None:
    with pytest.raises(SystemExit) as ended, common_flags.errors_without_traceback():
        raise error
    assert str(ended.value).startswith(f"{Path(sys.argv[0]).name}: {line}")
    if isinstance(error, OSError) and error.errno:  # `atomic_write` names the file in an error of its own
        with pytest.raises(SystemExit, match=re.escape(line.split("; ")[1])), common_flags.errors_without_traceback():
            raise OSError("out.png: cannot be written") from error


def test_a_closed_pipe_ends_a_demo_quietly(tmp_path: Path) -> None:
    """As after `| head`: what is left to print cannot be printed."""
    command = [sys.executable, DEMOS / "receptive_field.py", "--size", "5", "--layers", "1", "--out", tmp_path]
    environment = {**os.environ, "PYTHONPATH": str(DEMOS.parent)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()  # type: ignore[union-attr]
        assert process.stderr.read() == b"" and process.wait() == 1  # type: ignore[union-attr]
