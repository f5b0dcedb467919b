"""The demos run: their figures, their flags, and what they say when something is wrong."""

from __future__ import annotations

import os
import re
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minigen
from minigen.models import VAE
from minigen.models.likelihoods import LIKELIHOODS
from minigen.optim import Adam

ROOT = Path(__file__).parents[1]
DEMOS = [path for path in sorted((ROOT / "demos").glob("*.py")) if "argument_parser(" in path.read_text()]
VAE_DEMO = ROOT / "demos" / "vae.py"
TINY = ["--epochs", "1", "--batch-size", "8", "--hidden", "8", "--importance-samples", "2"]

each_demo = pytest.mark.parametrize("demo", DEMOS, ids=lambda path: path.stem)


def run(demo: Path, *flags: object) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(demo), *map(str, flags)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def run_here(demo: Path, *flags: object) -> None:
    """In this process, which is faster."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(demo), *map(str, flags)])
        runpy.run_path(str(demo), run_name="__main__")


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a few small images in colour."""
    folder, random = tmp_path_factory.mktemp("data") / "photographs", np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 5)):
        (folder / split).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(random.integers(0, 256, (9, 9, 3), np.uint8)).save(folder / split / f"{i}.png")
    return folder


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return image.size


# -- the VAE -----------------------------------------------------------------------------------------------------------


def test_vae_from_the_command_line(photographs: Path, tmp_path: Path) -> None:
    """Trains, draws everything, saves, resumes; the numbers in its table agree with each other."""
    out = tmp_path / "vae"
    flags = [*TINY, "--dataset", photographs, "--latent-dim", 2, "--likelihood", "levels", "--out", out]
    done = run(VAE_DEMO, *flags)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert sorted(os.listdir(out)) == [
        *("checkpoint.safetensors", "curves.png", "log.jsonl", "manifold.png", "reconstructions.png", "samples.npy"),
        *("samples.png", "weights.safetensors"),
    ]
    assert size(out / "samples.png") == (2 * (10 * 34 + 2),) * 2
    assert size(out / "reconstructions.png") == (2 * (5 * 34 + 2), 2 * (2 * 34 + 2))
    with Image.open(out / "reconstructions.png") as image:  # the first image, at twice its size, beside a gap
        first = np.asarray(image.convert("RGB"))[4 : 4 + 64 : 2, 4 : 4 + 64 : 2]
    np.testing.assert_array_equal(first.transpose(2, 0, 1), minigen.data.load(photographs, "test").images[0])
    assert size(out / "manifold.png") == (20 * 34 + 2,) * 2
    assert size(out / "curves.png") == (600, 400)

    assert f"VAE on {photographs}, 20 training and 5 test images; 256 levels" in done.stdout
    (row,) = re.findall(r"^ +1 +(\S+) +(\S+) +(\S+) +\S+$", done.stdout, re.MULTILINE)
    nats, bits = float(row[1]), float(row[2])
    assert bits == pytest.approx(nats / (3 * 32 * 32) / np.log(2), abs=1e-4)
    assert f"-ELBO  {nats:.2f} nats per image  {bits:.4f} bits per dimension" in re.sub(r"  +", "  ", done.stdout)
    bound = float(re.search(r"importance-weighted bound, K = 2 +(\S+) nats per image", done.stdout)[1])  # type: ignore[index]
    assert bound < nats + 100

    vae = VAE((3, 32, 32), 2, 8, likelihood="levels")
    minigen.load(out / "weights.safetensors", into=vae)
    before = (out / "log.jsonl").read_text()
    again = run(VAE_DEMO, *flags, "--epochs", 2, "--resume")
    assert again.returncode == 0, again.stderr
    log = (out / "log.jsonl").read_text()
    assert log.startswith(before) and len(log.splitlines()) == 2


@pytest.mark.parametrize("architecture", ["conv", "mlp"])
def test_the_flags_reach_the_model(
    architecture: str, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list = []
    for cls in (VAE, Adam):
        init = cls.__init__
        monkeypatch.setattr(
            cls, "__init__", lambda self, *a, init=init, **k: (made.append(self), init(self, *a, **k))[1]
        )
    likelihood = "gaussian" if architecture == "conv" else "bernoulli"
    flags = ["--architecture", architecture, "--likelihood", likelihood, "--beta", 0.5, "--lr", 0.02, "--latent-dim", 3]
    run_here(VAE_DEMO, *TINY, *flags, "--dataset", photographs, "--out", tmp_path)
    vae, adam = made
    assert (vae.beta, vae.latent_dim, type(vae.likelihood), adam.lr) == (0.5, 3, LIKELIHOODS[likelihood], 0.02)
    assert len(vae.decoder) == (6 if architecture == "conv" else 3) and vae.image_shape == (3, 32, 32)
    assert architecture == "conv" or vae.encoder[1].weight.shape[0] == 8
    assert "manifold.png" not in os.listdir(tmp_path)
    task = (
        "log density of real-valued pixels"
        if architecture == "conv"
        else "dynamic binarization for training, one fixed"
    )
    assert capsys.readouterr().out.count(task) == 2


def test_vae_learns_the_digits(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Two small epochs on the data that come with minigen: well below the 206 nats of a model with one grey for all."""
    flags = [
        "--epochs",
        2,
        "--hidden",
        32,
        "--latent-dim",
        4,
        "--lr",
        0.005,
        "--importance-samples",
        1,
        "--out",
        tmp_path,
    ]
    run_here(VAE_DEMO, *flags)
    text = capsys.readouterr().out
    assert "VAE on digits, 8000 training and 2000 test images; dynamic binarization" in text
    rows = re.findall(r"^ +(\d) +(\S+) +(\S+) +(\S+) +\S+$", text, re.MULTILINE)
    assert [row[0] for row in rows] == ["1", "2"]
    assert 100 < float(rows[1][2]) < 180 and float(rows[1][2]) < float(rows[0][2])
    assert float(rows[1][3]) == pytest.approx(float(rows[1][2]) / 784 / np.log(2), abs=1e-4)


def test_vae_with_ctrl_c(
    photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """From the middle of an epoch to the end: the same weights as without a break."""
    flags = [*TINY, "--dataset", photographs]
    run_here(VAE_DEMO, *flags, "--out", tmp_path / "whole")
    loss, calls = VAE.loss, []

    def interrupt(vae: VAE, x: object, labels: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return loss(vae, x)

    monkeypatch.setattr(VAE, "loss", interrupt)
    with pytest.raises(SystemExit) as stopped:
        run_here(VAE_DEMO, *flags, "--out", tmp_path / "broken")
    assert stopped.value.code == 130 and not (tmp_path / "broken" / "weights.safetensors").exists()
    expected = f"Interrupted in epoch 1. All is saved in {tmp_path / 'broken'}; --resume goes on.\n"
    assert capsys.readouterr().err.endswith(expected)
    run_here(VAE_DEMO, *flags, "--out", tmp_path / "broken", "--resume")
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("whole", "broken")]
    assert weights[0] == weights[1] and len(calls) == 3


# -- what every demo does the same -------------------------------------------------------------------------------------


@each_demo
def test_help_names_every_flag(demo: Path, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit) as ended:
        run_here(demo, "--help")
    text = capsys.readouterr().out
    flags = {
        "--device",
        "--dataset",
        "--image-size",
        "--data-dir",
        "--epochs",
        "--batch-size",
        "--seed",
        "--out",
        "--resume",
    }
    flags |= set(re.findall(r'add_argument\(\s*"(--[\w-]+)"', demo.read_text()))
    assert ended.value.code == 0
    for flag in flags:
        entry = re.search(rf"^  {flag}\b.*\n(?:    .*\n)*", text, re.MULTILINE)
        assert entry, f"{flag} is not in the help"
        words = re.sub(rf"^  {flag}( [A-Z_]+| {{.*?}})?", "", entry[0])
        assert len(words.split()) >= 3, f"{flag} is not explained"
    assert demo.read_text().split('"""')[1].splitlines()[0] in text  # what it is about, with the paper


def in_one_line(demo: Path, *flags: object) -> str:
    """The message that the demo ends with."""
    with pytest.raises(SystemExit) as ended:
        run_here(demo, *flags)
    message = ended.value.code
    assert isinstance(message, str)  # Python prints it to stderr and ends with status 1
    assert message.startswith(f"{demo.name}: ") and "\n" not in message
    return message


@each_demo
def test_mistakes_are_told_in_one_line(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = ["--out", tmp_path / "run"]
    monkeypatch.setitem(sys.modules, "cupy", None)  # `import cupy` fails
    assert "a GPU needs CuPy, which is not installed" in in_one_line(demo, "--device", "gpu", *out)
    assert "device: got 'tpu'" in in_one_line(demo, "--device", "tpu", *out)
    assert "no data set 'nonsense'; there are digits," in in_one_line(demo, "--dataset", "nonsense", *out)
    assert "nowhere is not a folder" in in_one_line(demo, "--dataset", tmp_path / "nowhere", *out)
    assert "there is no run to resume" in in_one_line(demo, "--resume", *out)
    assert not (tmp_path / "run").exists()


def test_a_mistake_ends_the_program_with_a_status(tmp_path: Path) -> None:
    ended = run(VAE_DEMO, "--resume", "--out", tmp_path)
    assert ended.returncode == 1
    assert ended.stderr == f"vae.py: {tmp_path / 'checkpoint.safetensors'}: there is no run to resume\n"


@each_demo
@pytest.mark.parametrize("flag", ["--epochs", "--batch-size"])
def test_numbers_that_make_no_sense(demo: Path, flag: str, capsys: pytest.CaptureFixture) -> None:
    for value, message in (("0", "takes a number >= 1, got 0"), ("many", "invalid")):
        with pytest.raises(SystemExit) as ended:
            run_here(demo, flag, value)
        assert ended.value.code == 2
        assert f"argument {flag}: {message}" in capsys.readouterr().err


def test_resume_refuses_other_flags(photographs: Path, tmp_path: Path) -> None:
    flags = [*TINY, "--dataset", photographs, "--out", tmp_path / "vae"]
    run_here(VAE_DEMO, *flags)
    message = in_one_line(VAE_DEMO, *flags, "--latent-dim", 3, "--lr", 0.5, "--resume")
    assert "cannot resume with other settings (the run has latent_dim=20, now 3, lr=0.002, now 0.5)" in message
