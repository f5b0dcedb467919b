"""The demos of GANs: what they draw and print, what their flags reach, and that they go on where they stopped."""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import minigen
from minigen import command_line, nn, plot, train
from minigen.autograd import Tensor
from minigen.backend import Device, normal, to_numpy
from minigen.command_line import adversarial
from minigen.command_line import judge as judging
from minigen.data import Dataset, toy
from minigen.evaluate import latent
from minigen.models import DCGAN, GAN
from minigen.models.objectives import OBJECTIVES
from minigen.optim import Adam, RMSprop
from minigen.train import Game

ROOT = Path(__file__).parents[1]
GAN_DEMO, DCGAN_DEMO, WGAN_DEMO, LATENT_DEMO = (
    ROOT / "demos" / f"{name}.py" for name in ("gan", "dcgan", "wgan", "latent")
)
TINY = ["--image-size", 8, "--batch-size", 4, "--latent-dim", 3, "--epochs", 2, "--beside"]
SMALL: dict[Path, list] = {GAN_DEMO: ["--hidden", 4], DCGAN_DEMO: ["--features", 2], WGAN_DEMO: ["--features", 2]}


def run(demo: Path, *flags: object) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(demo), *map(str, flags)])
        runpy.run_path(str(demo), run_name="__main__")


def write(folder: Path, images: np.ndarray) -> None:
    folder.mkdir(parents=True)
    for i, image in enumerate(images):
        Image.fromarray(image.transpose(1, 2, 0)).save(folder / f"{i:02d}.png")


def photographs_of(n: int, low: int, high: int) -> np.ndarray:
    return np.random.default_rng(low + n).integers(low, high, (n, 3, 8, 8), np.uint8)


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with bright and dark images."""
    folder = tmp_path_factory.mktemp("data") / "photographs"
    for split, n in (("train", 11), ("test", 4)):
        write(folder / split / "bright", photographs_of(n, 156, 256))
        write(folder / split / "dark", photographs_of(n, 0, 100))
    return folder


def read(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


# -- trained on images -------------------------------------------------------------------------------------------------


@pytest.fixture
def sampled(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every call of `GAN.sample`: the generator, the labels, z, and what came of it."""
    calls: list[dict[str, Any]] = []
    sample = GAN.sample

    def spy(gan: GAN, n: int | None = None, labels: Any = None, *, z: Any = None) -> Tensor:
        x = sample(gan, n, labels, z=z)
        calls.append(
            {"labels": labels, "z": None if z is None else z.numpy().copy(), "x": x.numpy().copy(), "gan": gan}
        )
        return x

    monkeypatch.setattr(GAN, "sample", spy)
    return calls


@pytest.mark.parametrize(
    ("demo", "classes"),
    [(GAN_DEMO, False), (DCGAN_DEMO, True), (WGAN_DEMO, False)],
    ids=["gan", "dcgan with classes", "wgan"],
)
def test_figures_table_and_weights(
    demo: Path,
    classes: bool,
    photographs: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    sampled: list,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    judged: list = []
    monkeypatch.setattr(judging, "compare", lambda folders, *arguments: judged.append(folders))
    out = tmp_path / "run"
    run(demo, *TINY, *SMALL[demo], "--dataset", photographs, "--out", out, *(["--classes"] if classes else []))
    text = capsys.readouterr().out
    epochs = [f"{i:04d}.png" for i in (1, 2)]
    assert sorted(os.listdir(out / "epochs")) == epochs
    assert sorted(os.listdir(out)) == [
        *("checkpoint.safetensors", "curves.png", "epochs", "log.jsonl", "nearest.png", "samples.gif", "samples.npy"),
        *("samples.png", "weights.safetensors"),
    ]

    # the pictures: of the same z after every epoch, ten in a row, with a row for each class
    *drawn, last = sampled
    wanted = np.repeat([0, 1], 10) if classes else None
    assert len(drawn) == 2 and last["z"] is None
    for call, file in zip(drawn, epochs, strict=True):
        np.testing.assert_array_equal(call["z"], drawn[0]["z"])
        np.testing.assert_array_equal(call["labels"], wanted)
        np.testing.assert_array_equal(read(out / "epochs" / file), plot.mosaic((call["x"] + 1) / 2, columns=10))
    assert len(np.unique(drawn[0]["z"], axis=0)) == len(drawn[0]["z"]) == (20 if classes else 100)
    assert len({call["x"].tobytes() for call in drawn}) == 2  # it learns
    assert (out / "samples.png").read_bytes() == (out / "epochs" / "0002.png").read_bytes()
    assert read(out / "samples.png").shape == ((2 if classes else 10) * 20 + 4, 204, 3)
    with Image.open(out / "samples.gif") as animation:
        assert (animation.n_frames, animation.size) == (2, (204, 44 if classes else 204))
    assert read(out / "curves.png").shape == (400, 1800, 3)

    # the weights are those of the last picture: averaged
    gan = last["gan"]
    trained = {name: to_numpy(x).copy() for name, x in gan.state_dict().items()}
    minigen.load(out / "weights.safetensors", into=gan)
    labels = None if wanted is None else np.array([0] * 10 + [1] * 10)
    np.testing.assert_array_equal(gan.sample(labels=labels, z=Tensor(drawn[0]["z"])).numpy(), drawn[1]["x"])
    assert any((to_numpy(x) != trained[name]).any() for name, x in gan.state_dict().items())
    np.testing.assert_array_equal(last["labels"], np.repeat([0, 1], 500) if classes else None)
    samples = np.load(out / "samples.npy")
    assert samples.shape == (1000, 3, 8, 8) and samples.dtype == np.uint8
    assert np.abs(samples - (last["x"] + 1) * 127.5).max() <= 0.501
    assert judged == [[out]]

    # the table
    objective, k = ("wasserstein-gp", 5) if demo == WGAN_DEMO else ("non-saturating", 1)
    assert f" on {photographs}, 22 training images; {objective}, k = {k}\n" in text
    names = ["d_loss", "g_loss", *(["wasserstein"] if k == 5 else ["D(x)", "D(G(z))"]), "diversity"]
    assert re.search(r"^epoch +(.*?) +seconds$", text, re.MULTILINE)[1].split() == names  # type: ignore[index]
    rows = [line.split() for line in re.findall(r"^ +\d  .*$", text, re.MULTILINE)]
    log = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    assert [row[:-1] for row in rows] == [
        [str(record["epoch"]), *(f"{record['train'][name]:.3f}" for name in names)] for record in log
    ]
    assert len(rows) == 2


def test_dcgan_from_the_command_line(photographs: Path, tmp_path: Path) -> None:
    """With a real classifier, and with the defaults of --beside."""
    flags = [*TINY[:-1], *SMALL[DCGAN_DEMO], "--epochs", 1, "--dataset", photographs, "--out", "runs/dcgan"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(DCGAN_DEMO), *map(str, flags)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    file = "runs/classifier/photographs.safetensors"
    assert f"Classifier of photographs, trained and saved in {file}: " in done.stdout
    assert (tmp_path / file).exists()
    assert re.search(r"^runs/dcgan +\d+\.\d\d +\S+% +\S+%  \d+ \d+$", done.stdout, re.MULTILINE)
    for other in ("runs/gan", "runs/vae"):
        assert re.search(rf"^{other} +no samples.npy there: run its demo to compare$", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("demo", [DCGAN_DEMO, WGAN_DEMO], ids=["dcgan", "wgan"])
def test_interrupted_and_resumed(
    demo: Path, photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the same bits of weights, samples and figures as without a break."""
    step, calls = Game.__call__, []
    monkeypatch.setattr(judging, "compare", lambda *arguments: None)
    monkeypatch.setattr(plot, "save_curves", lambda *arguments: None)  # takes long and shows only the log
    flags = [*TINY, *SMALL[demo], "--dataset", photographs, "--instance-noise", 0.1, "--out"]
    stop_at = 2 if demo == WGAN_DEMO else 8  # in the second epoch, of 1 or of 5 steps

    def interrupt(adversary: Game, *batch: Any) -> Any:
        calls.append(1)
        if len(calls) == stop_at:
            os.kill(os.getpid(), signal.SIGINT)
        return step(adversary, *batch)

    run(demo, *flags, tmp_path / "whole")
    whole = capsys.readouterr().out
    monkeypatch.setattr(Game, "__call__", interrupt)
    with pytest.raises(SystemExit) as stopped:
        run(demo, *flags, tmp_path / "broken")
    assert stopped.value.code == 130 and not (tmp_path / "broken" / "samples.npy").exists()
    assert os.listdir(tmp_path / "broken" / "epochs") == ["0001.png"]
    capsys.readouterr()
    run(demo, *flags, tmp_path / "broken", "--resume")
    resumed = capsys.readouterr().out
    files = [path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*") if path.is_file()]
    assert len(files) == 9
    for name in files:
        if name.name not in ("log.jsonl", "checkpoint.safetensors"):  # which hold the seconds
            assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "broken" / name).read_bytes(), name
    logs = [
        [json.loads(x) for x in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("whole", "broken")
    ]
    assert [record["train"] for record in logs[0]] == [record["train"] for record in logs[1]]
    parzen = [re.search(r"^Parzen.*$", text, re.MULTILINE)[0] for text in (whole, resumed)]  # type: ignore[index]
    assert parzen[0] == parzen[1]


def test_a_single_iteration_is_enough(photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    flags = [*TINY, *SMALL[GAN_DEMO], "--epochs", 1, "--batch-size", 9, "--dataset", photographs / "train" / "dark"]
    run(GAN_DEMO, *flags, "--out", tmp_path)
    assert "Too few test images to judge by: 1" in capsys.readouterr().out  # every tenth of eleven
    assert (tmp_path / "nearest.png").exists()


def test_the_demos_of_gans_run_on_a_gpu(
    photographs: Path, tmp_path: Path, capsys: pytest.CaptureFixture, gpu_standin: Device
) -> None:
    for demo in (GAN_DEMO, DCGAN_DEMO):
        flags = [*TINY, *SMALL[demo], "--epochs", 1, "--k", 1, "--classes", "--dataset", photographs, "--device", "gpu"]
        run(demo, *flags, "--out", tmp_path / demo.stem)
    assert capsys.readouterr().out.count("real test images") == 2


# -- what the flags reach ----------------------------------------------------------------------------------------------


class Stopped(Exception):
    """In place of training."""


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Game, Any, dict]]:
    """Runs a demo up to its training, and returns the step, the batches and what else `train.train` is given."""

    def stopped(step: Game, loader: Any, **options: Any) -> None:
        raise Stopped(step, loader, options)

    def up_to_training(demo: Path, *flags: object) -> tuple[Game, Any, dict]:
        with pytest.raises(Stopped) as caught:
            run(demo, *flags)
        return caught.value.args  # type: ignore[return-value]

    monkeypatch.setattr(train, "train", stopped)
    return up_to_training


TIPS: list[tuple[list, str, Any]] = [
    ([], "objective_name", "non-saturating"),
    (["--objective", "hinge"], "objective_name", "hinge"),
    (["--k", 3], "k", 3),
    (["--objective", "wasserstein"], "k", 5),
    (["--noise", "sphere"], "noise", "sphere"),
    (["--label-smoothing", 0.1], "label_smoothing", 0.1),
    (["--label-flips", 0.2], "label_flips", 0.2),
    (["--instance-noise", 0.3], "instance_noise", 0.3),
    (["--mixed-batch"], "mixed_batch", True),
    (["--latent-dim", 7], "latent_dim", 7),
    (["--classes"], "classes", 2),
]
setting = lambda gan, name: getattr(gan.tricks if hasattr(gan.tricks, name) else gan, name)
OFF = {
    "noise": "normal", "label_smoothing": 0.0, "label_flips": 0.0, "instance_noise": 0.0, "mixed_batch": False,
    "classes": None, "k": 1,
}  # fmt: skip


def test_the_penalty(photographs: Path, tmp_path: Path, untrained: Callable) -> None:
    flags = [*TINY, "--dataset", photographs, "--out", tmp_path / "run"]
    for penalty, expected in (([], 10.0), (["--penalty", 3], 3.0)):
        step, _, _ = untrained(WGAN_DEMO, *flags, *SMALL[WGAN_DEMO], *penalty)
        assert step.model.objective.penalty == expected
    with pytest.raises(SystemExit, match=r"^dcgan\.py: GAN: penalty=3\.0 with 'non-saturating'; takes one > 0"):
        run(DCGAN_DEMO, *flags, "--penalty", 3)


def test_every_flag_reaches_the_gan(photographs: Path, tmp_path: Path, untrained: Callable) -> None:
    """And no other: the rest is off."""
    for demo in (GAN_DEMO, DCGAN_DEMO):
        for flags, name, value in TIPS:
            step, loader, options = untrained(
                demo, *TINY, *SMALL[demo], *flags, "--dataset", photographs, "--out", tmp_path
            )
            assert setting(step.model, name) == value, flags
            if name != "objective_name" and "--objective" not in flags:
                others = {other: setting(step.model, other) for other in OFF if other != name}
                assert others == {other: OFF[other] for other in others}, flags
            assert (loader.batch_size, loader.drop_last, loader.pixels) == (4 * step.model.k, True, "signed")
            assert options["epochs"] == 2 and options["out"] == tmp_path and options["resume"] is False
    assert step.model.discriminator.net[0].weight.shape[:2] == (2, 3 + 2)  # features, colours + classes


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_optimizer_is_that_of_the_objective(
    objective: str, photographs: Path, tmp_path: Path, untrained: Callable
) -> None:
    demo = WGAN_DEMO if objective.startswith("wasserstein") else DCGAN_DEMO
    flags = [*TINY, *SMALL[demo], "--dataset", photographs, "--out", tmp_path, "--objective", objective, "--epochs", 40]
    step, loader, _ = untrained(demo, *flags)
    for name, optimizer in step.optimizers.items():
        player = getattr(step.model, name)
        assert [id(p) for p in optimizer.parameters] == [id(p) for p in player.parameters()]
        if objective == "wasserstein":
            assert isinstance(optimizer, RMSprop) and optimizer.lr == 5e-5
        else:
            ahead = player is step.model.generator and objective != "wasserstein-gp"
            assert isinstance(optimizer, Adam) and optimizer.lr == (1e-3 if ahead else 5e-4)
            assert optimizer.betas == ((0.5, 0.9) if objective == "wasserstein-gp" else (0.5, 0.999))
    steps = 40 * (22 // (4 * step.model.k))
    assert (
        steps == 40 * len(loader)
        and step.average.decay == 0.995
        and step.model.tricks.instance_noise_rounds == steps // 2
    )
    schedule = [step.schedule(n) for n in (0, steps // 2, 3 * steps // 4, steps)]  # full, full, half and nothing
    assert schedule == pytest.approx([1, 1, 0.5, 0])

    step, _, _ = untrained(demo, *flags, "--lr", 0.01, "--average", 0)
    rates = (0.01, 0.01 if step.model.objective.critic else 0.02)
    assert (step.optimizers["discriminator"].lr, step.optimizers["generator"].lr) == rates and step.average is None


def test_wgan_takes_only_critics(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="2"):
        run(WGAN_DEMO, "--objective", "minimax")
    assert "invalid choice: 'minimax' (choose from 'wasserstein', 'wasserstein-gp')" in capsys.readouterr().err


def test_the_shared_flags_are_explained(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="0"):
        run(GAN_DEMO, "--help")
    text = capsys.readouterr().out
    flags = re.findall(r'add_argument\(\s*"(--[\w-]+)"', Path(adversarial.__file__).read_text())
    assert len(flags) >= 12
    for flag in flags:
        entry = re.search(rf"^  {flag}\b.*\n(?:    .*\n)*", text, re.MULTILINE)
        assert entry and len(re.sub(rf"^  {flag}( [A-Z_]+| {{.*?}}| \[.*?\])*", "", entry[0]).split()) >= 3, flag


# -- the judgement -----------------------------------------------------------------------------------------------------


class Reads(nn.Module):
    """A classifier whose features and logits are known functions of NumPy arrays."""

    def __init__(
        self, features: Callable[[np.ndarray], np.ndarray], logits: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        self.functions = features, logits

    def features(self, x: Any) -> Tensor:
        return Tensor(self.device.asarray(self.functions[0](to_numpy(x))))

    def head(self, features: Tensor) -> Tensor:
        return Tensor(self.device.asarray(self.functions[1](to_numpy(features.data))))


def by_brightness(*arguments: Any) -> Reads:
    """Bright images are of the first class, dark ones of the second, and surely so if they are brighter than +-0.1."""
    mean = lambda x: x.mean(axis=(1, 2, 3)).reshape(-1, 1).astype(np.float64)
    return Reads(mean, lambda f: np.concatenate([f, -f], axis=1) * (math.log(9) / 0.2))


def dataset_of(images: np.ndarray, split: str = "train", classes: tuple[str, ...] = ("bright", "dark")) -> Dataset:
    return Dataset(images, np.arange(len(images)) % len(classes), classes, "photographs", split)


def judge(samples: np.ndarray, images: Dataset, test_images: Dataset, out: Path, beside: tuple[Path, ...] = ()) -> None:
    out.mkdir(exist_ok=True)
    judging.judge(samples, images, test_images, argparse.Namespace(out=out, beside=list(beside)))


def in_one_dimension(a: np.ndarray, b: np.ndarray) -> float:
    """The Frechet distance of two Gaussians on a line."""
    return (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2


def test_what_the_classifier_says(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list = []
    monkeypatch.setattr(judging, "trained_classifier", lambda *arguments: (asked.append(arguments), by_brightness())[1])
    random = np.random.default_rng(0)
    grey = lambda values: np.broadcast_to(np.reshape(values, (-1, 1, 1, 1)), (len(values), 3, 8, 8))
    # mean pixels in [-1, 1]: three surely bright, one hardly, six surely dark
    means = np.array([0.9, 0.8, 0.7, 0.02, -0.2, -0.3, -0.5, -0.7, -0.8, -0.9])
    samples = (grey(means) + 1) / 2
    test = dataset_of(grey((random.integers(0, 156, 16) + 100 * (np.arange(16) % 2)).astype(np.uint8)), "test")
    images = dataset_of(photographs_of(30, 0, 256))
    for name, other in (
        ("half", grey(np.array([200, 30] * 4, np.uint8))),
        ("digits", np.zeros((9, 1, 28, 28), np.uint8)),
    ):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "samples.npy", other)
    out = tmp_path / "run"
    judge(samples, images, test, out, (tmp_path / "half", out, tmp_path / "nothing", tmp_path / "digits"))

    text = capsys.readouterr().out
    assert asked == [(images, test, tmp_path / "classifier" / "photographs.safetensors")]
    np.testing.assert_array_equal(np.load(out / "samples.npy"), np.rint(samples * 255))
    real = test.images[:, 0, 0, 0] / 127.5 - 1
    seen = lambda values: np.asarray(values, np.uint8) / 127.5 - 1
    floor, sure = in_one_dimension(real[0::2], real[1::2]), (np.abs(real) > 0.1).mean()
    own = in_one_dimension(seen(np.rint((means + 1) * 127.5))[:8], real[0::2])
    other = in_one_dimension(seen([200, 30] * 4), real[0::2])
    lines = [re.split("  +", line) for line in text.splitlines()]
    assert lines[2][1:] == ["Fréchet", "sure of", "rarest class", "shares of the classes, %"]
    assert lines[3:8] == [
        [str(out), f"{own:.2f}", "90.0%", "40.0%", "40 60"],
        [str(tmp_path / "half"), f"{other:.2f}", "100.0%", "50.0%", "50 50"],
        [str(tmp_path / "nothing"), "no samples.npy there: run its demo to compare"],
        [str(tmp_path / "digits"), "its samples are of other images, (1, 28, 28)"],
        ["real test images", f"{floor:.2f}", f"{sure:.1%}"],
    ]
    assert own > 0.01 and floor > 0.01 and sure > 0
    assert "to 8 test images; of others, the floor." in text


def test_the_parzen_window(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """Its width is that which is best for one half of the test images; the other half is judged."""
    samples, others = photographs_of(20, 90, 160), photographs_of(5, 100, 150)
    test = dataset_of(np.concatenate([samples[:5], others]), "test", ("image",))  # for copies 0.05 would be best
    samples = samples / 255
    judge(samples, dataset_of(photographs_of(5, 0, 256), classes=("image",)), test, tmp_path)

    def log_prob(x: np.ndarray, sigma: float) -> float:
        total = 0.0
        for image in x:
            exponents = [-((image - s) ** 2).sum() / (2 * sigma**2) for s in samples]
            total += np.logaddexp.reduce(exponents) - math.log(20) - 96 * math.log(2 * math.pi * sigma**2)
        return total / len(x)

    sigmas = [0.05 * 20 ** (i / 19) for i in range(20)]
    best = max(sigmas, key=lambda sigma: log_prob(test.images[5:] / 255, sigma))
    nats = log_prob(test.images[:5] / 255, best)
    assert best > 0.06
    assert f"Parzen window, sigma {best:.2f}: {nats:.0f} nats (" in capsys.readouterr().out


def test_the_nearest_training_images(tmp_path: Path) -> None:
    """24 pairs: a row of samples, below it that of the training images, and so once more."""
    images, samples = photographs_of(40, 0, 256), photographs_of(30, 0, 255) / 255
    samples[3] = images[17] / 255  # a copy is found
    judge(samples, dataset_of(images, classes=("image",)), dataset_of(images[:4], "test", ("image",)), tmp_path)
    picture = read(tmp_path / "nearest.png")
    assert picture.shape == (2 * (4 * 10 + 2), 2 * (12 * 10 + 2), 3)
    cell = lambda row, column: picture[4 + 20 * row : 20 + 20 * row : 2, 4 + 20 * column : 20 + 20 * column : 2]
    for i in range(24):
        row, column = 2 * (i // 12), i % 12
        np.testing.assert_array_equal(cell(row, column).transpose(2, 0, 1), np.rint(samples[i] * 255))
        distances = [((samples[i] - image / 255) ** 2).sum() for image in images]
        below = cell(row + 1, column).transpose(2, 0, 1)
        np.testing.assert_array_equal(below, images[distances.index(min(distances))])
    np.testing.assert_array_equal(cell(1, 3), cell(0, 3))


@pytest.mark.parametrize("count", [0, 3, 4])
def test_without_classes_or_test_images_there_is_less_to_say(
    count: int, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "trained_classifier", lambda *arguments: pytest.fail("one class needs no classifier"))
    images = photographs_of(6, 0, 256)
    of_one = lambda n, split: dataset_of(images[:n], split, ("image",))
    judge(images / 255, of_one(6, "train"), of_one(count, "test"), tmp_path)
    text = capsys.readouterr().out
    assert ("Parzen" in text) == (count == 4) and (f"Too few test images to judge by: {count}" in text) == (count < 4)
    assert "Fréchet" not in text and (tmp_path / "nearest.png").exists()
    if count < 4:
        judge(images / 255, dataset_of(images), dataset_of(images[:count], "test"), tmp_path)


# -- ring and grid -----------------------------------------------------------------------------------------------------


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """Every figure of Matplotlib as it was about to be written."""
    figures: list[Figure] = []
    savefig = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: (figures.append(self), savefig(self, *a, **k))[1])
    return figures


RING = ["--dataset", "ring", "--iterations", 5, "--objectives", "non-saturating", "wasserstein-gp"]


def test_ring(tmp_path: Path, capsys: pytest.CaptureFixture, drawn: list, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seeds; then a third, for which the first two need no more training."""
    step, calls = Game.__call__, []
    monkeypatch.setattr(Game, "__call__", lambda self, *a: (calls.append((self, *a)), step(self, *a))[1])
    table = lambda text: re.findall(r"^(\S+) +(\d+) +(\d+ of +8 +\S+%)$", text, re.MULTILINE)
    run(GAN_DEMO, *RING, "--seeds", 2, "--out", tmp_path)
    text = capsys.readouterr().out
    first = table(text)
    assert [row[:2] for row in first] == [(o, s) for o in RING[-2:] for s in "01"]
    assert "8 Gaussians; of 4,000 samples a covered mode has at least 50 within 3 std\n" in text
    assert (
        re.findall(r"^(\S+) +all modes, and 90 % of the samples near one: 0 of 2 seeds$", text, re.MULTILINE)
        == RING[-2:]
    )
    assert read(tmp_path / "ring.png").shape == (460, 440, 3)
    assert len(calls) == 2 * 2 * 5
    steps = {id(call[0]): call[0] for call in calls}.values()
    assert [s.model.objective_name for s in steps] == [o for o in RING[-2:] for _ in range(2)]
    assert {(call[0].model.k, call[1].shape) for call in calls} == {(1, (256, 2)), (2, (512, 2))}
    batches = [call[1] for call in calls]
    assert len({to_numpy(x).tobytes() for x in batches}) == 2 * 2 * 5  # fresh ones

    run(GAN_DEMO, *RING, "--seeds", 3, "--out", tmp_path, "--resume")
    second = table(capsys.readouterr().out)
    assert len(calls) == 3 * 2 * 5 and [row for row in second if row[1] != "2"] == first and len(second) == 6


def test_what_is_trained_on_the_ring(tmp_path: Path, untrained: Callable) -> None:
    """The defaults of a gradient penalty in two dimensions; a flag for it is only for the objective that has one."""
    demo = partial(untrained, GAN_DEMO, "--dataset", "ring", "--out", tmp_path, "--iterations", 70, "--objectives")
    step, draws, options = demo("hinge", "--penalty", 3)
    assert (step.model.objective_name, step.model.k, step.model.objective.penalty) == ("hinge", 1, 0)
    assert (options["out"], options["epochs"], len(draws), step.optimizers["generator"].lr) == (
        tmp_path / "hinge-0",
        1,
        70,
        1e-3,
    )
    for flags, k, penalty in (([], 2, 0.1), (["--k", 4, "--penalty", 3], 4, 3.0)):
        step, draws, _ = demo("wasserstein-gp", *flags)
        assert (step.model.k, step.model.objective.penalty, draws.batch_size) == (k, penalty, 256 * k)
    step, _, options = demo("minimax", "--seed", 9, "--lr", 0.1, "--noise", "uniform", "--k", 3)
    assert (step.model.k, step.model.tricks.noise, step.optimizers["generator"].lr) == (3, "uniform", 0.1)
    assert options["out"] == tmp_path / "minimax-9"


def test_modes_and_seeds_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture, drawn: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    means = toy.ring().means

    def learn(mixture: toy.GaussianMixture, objective: str, seed: int, args: argparse.Namespace) -> np.ndarray:
        x = means[np.arange(4000) % 8].copy()
        if objective == "minimax":
            x[8 * seed :, 0] = 9.0  # only the first few are near anything
        elif seed == 4:
            x[56 * 7 :] = means[0]  # 49 of each other mode: not enough
        elif seed == 5:
            x[-400:] = 0.0  # exactly 90 % are good
        elif seed == 6:
            x[-401:] = 0.0
        return x

    demo = runpy.run_path(str(GAN_DEMO))
    monkeypatch.setitem(demo["compare"].__globals__, "learn", learn)
    flags = ["--seed", 4, "--seeds", 4, "--out", tmp_path, "--dataset", "ring", "--objectives", "minimax", "hinge"]
    monkeypatch.setattr(sys, "argv", ["gan.py", *map(str, flags)])
    demo["main"]()
    text = capsys.readouterr().out
    rows = re.findall(r"^(\S+) +(\d+) +(\d+) of +8 +(\S+)%$", text, re.MULTILINE)
    assert rows == [
        *(("minimax", "4", "0", "0.8"), ("minimax", "5", "0", "1.0"), ("minimax", "6", "0", "1.2")),
        *(("minimax", "7", "0", "1.4"), ("hinge", "4", "1", "100.0"), ("hinge", "5", "8", "90.0")),
        *(("hinge", "6", "8", "90.0"), ("hinge", "7", "8", "100.0")),
    ]
    assert "minimax          all modes, and 90 % of the samples near one: 0 of 4 seeds" in text
    assert "hinge            all modes, and 90 % of the samples near one: 2 of 4 seeds" in text
    panels = drawn[-1].axes
    titles = [axes.get_title() for axes in panels]
    assert titles == [f"{o}, seed {s}\n{m} modes, {round(float(near))}% near" for o, s, m, near in rows]
    for axes, (objective, seed, *_) in zip(panels, rows, strict=True):
        points, modes = (line.get_xydata() for line in axes.get_lines())
        np.testing.assert_array_equal(points, learn(toy.ring(), objective, int(seed), argparse.Namespace())[:1000])
        np.testing.assert_array_equal(modes, means)
    assert read(tmp_path / "ring.png").shape == (460, 880, 3)


def test_one_step_on_the_grid_on_a_gpu(tmp_path: Path, capsys: pytest.CaptureFixture, gpu_standin: Device) -> None:
    flags = ["--dataset", "grid", "--iterations", 1, "--seeds", 1, "--objectives", "hinge", "--device", "gpu"]
    run(GAN_DEMO, *flags, "--out", tmp_path)
    assert "25 Gaussians; of 4,000 samples a covered mode has at least 16 within 3 std" in capsys.readouterr().out


# -- the latent space --------------------------------------------------------------------------------------------------

FIRSTS, SECONDS = ("zero", "one", "two", "three"), ("red", "green", "blue")


class Mirror(nn.Module):
    """A GAN whose images, of one pixel a row, show z itself: tanh(z / 2)."""

    latent_dim = len(FIRSTS) + len(SECONDS)

    def noise(self, n: int) -> Tensor:
        return Tensor(normal((n, self.latent_dim)))

    def sample(self, n: int | None = None, *, z: Any = None) -> Tensor:
        assert n is None and z.shape[1:] == (self.latent_dim,)
        return Tensor(z.device.module.tanh(z.data / 2).reshape(-1, 1, self.latent_dim, 1))


def reading(how: Callable[[np.ndarray, np.ndarray], Any] | None = None, pool: int = 500) -> Reads:
    """The largest of z's first four values is the first label, that of the last three the second, surely.

    `how` changes the two labels of what is not of the pool, which is read in batches of 500.
    """

    def logits(z: np.ndarray) -> np.ndarray:
        first, second = z[:, :4].argmax(axis=1), z[:, 4:].argmax(axis=1)
        if how is not None and len(z) != pool:
            first, second = how(first, second)
        scores = np.zeros((len(z), 4, 3))
        scores[np.arange(len(z)), first, second] = 20
        return scores.reshape(len(z), -1)

    return Reads(lambda x: x.reshape(len(x), -1), logits)


@pytest.fixture
def latent_demo() -> dict[str, Any]:
    return runpy.run_path(str(LATENT_DEMO))


@pytest.fixture
def measured(
    latent_demo: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """What the demo prints about the analogies of `Mirror`, read by the given classifier."""
    images = dataset_of(np.zeros((24, 1, 7, 1), np.uint8), classes=FIRSTS)
    images = replace(images, colours=np.arange(24) // 4 % 3, colour_names=SECONDS)

    def measure(classifier: Reads, analogies: int = 500, exemplars: int = 100, draw: bool = False) -> str:
        parts = latent_demo["run"].__globals__
        monkeypatch.setitem(parts, "trained_classifier", lambda *arguments: classifier)
        if not draw:
            monkeypatch.setitem(parts, "draw_analogies", lambda *arguments: None)
        args = argparse.Namespace(out=tmp_path, seed=0, analogies=analogies, exemplars=exemplars)
        latent_demo["measure_analogies"](Mirror(), images, images, args)
        return capsys.readouterr().out

    return measure


def rights(text: str) -> list[tuple[str, str]]:
    return re.findall(r"^  (?:first label|second label|both) +(\S+)% +(\S+)%$", text, re.MULTILINE)


def test_analogies_are_right_where_the_space_is_linear(measured: Callable[..., str]) -> None:
    text = measured(reading())
    assert "72 analogies, 100 points in each mean" in text  # 4 3 3 2
    assert rights(text) == [("100.0", "25.0"), ("100.0", "33.3"), ("100.0", "8.3")]


def test_the_two_labels_are_counted_apart(measured: Callable[..., str]) -> None:
    """Those with the wanted second label 0, a third of all, are read as another number."""
    text = measured(reading(lambda first, second: ((first + (second == 0)) % 4, second)))
    assert [right for right, _ in rights(text)] == ["66.7", "100.0", "66.7"]
    text = measured(reading(lambda first, second: (first, np.where(first == 1, (second + 1) % 3, second))))
    assert [right for right, _ in rights(text)] == ["100.0", "75.0", "75.0"]


def test_a_classifier_that_guesses_is_at_chance(measured: Callable[..., str]) -> None:
    random = np.random.default_rng(0)
    guess = lambda first, second: (random.integers(0, 4, len(first)), random.integers(0, 3, len(second)))
    for right, chance in rights(measured(reading(guess))):
        p = float(chance) / 100
        assert float(right) / 100 == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / 72))


def test_the_number_of_analogies_is_limited(measured: Callable[..., str]) -> None:
    assert "5 analogies, 100 points" in measured(reading(), analogies=5)


def test_too_few_exemplars(measured: Callable[..., str]) -> None:
    """Of one pair only, or of none because the classifier is not sure."""
    always = reading(lambda first, second: (0 * first, 0 * second), pool=0)
    with pytest.raises(ValueError, match=r"^no analogy: of 20,000 samples the classifier finds 100 of only 1 pairs$"):
        measured(always)
    unsure = Reads(lambda x: x.reshape(len(x), -1), lambda z: np.zeros((len(z), 12)))
    with pytest.raises(ValueError, match="finds 1 of only 0 pairs"):
        measured(unsure, exemplars=1)
    with pytest.raises(ValueError, match="finds 20000 of only 0 pairs"):
        measured(reading(), exemplars=20000)


def test_the_figure_of_analogies(measured: Callable[..., str], drawn: list) -> None:
    """Each row names its kinds: (s f) - (s g) + (t g) = (t f)?; and the images above the names show them."""
    measured(reading(), analogies=3, draw=True)
    panels = np.array(drawn[-1].axes).reshape(-1, 4)[:3]
    for row in panels:
        a, b, c, result = (axes.get_title() for axes in row)
        (s, f), (s_too, g), (t, g_too) = (name.lstrip("+- ").split() for name in (a, b, c))
        assert s == s_too != t and g == g_too != f and result == f"= {t} {f}?"
        assert (b[:2], c[:2]) == ("- ", "+ ")
        for axes, name in zip(row, (a, b[2:], c[2:], result[2:-1]), strict=True):
            picture = axes.get_images()[0].get_array()
            columns = 3 if axes is row[3] else 1
            cells = [
                picture[4 + 18 * i : 18 + 18 * i : 2, 4 + 6 * j, 0].astype(int)
                for i in range(len(picture) // 18)
                for j in range(columns)
            ]
            second, first = name.split()
            for cell in cells[4:5] if axes is row[3] else cells:  # up to rounding to bytes
                assert cell[FIRSTS.index(first)] >= cell[:4].max() - 1
                assert cell[4 + SECONDS.index(second)] >= cell[4:].max() - 1


def test_points_get_the_length_of_the_noise(latent_demo: dict[str, Any]) -> None:
    z = latent_demo["on_the_sphere"](np.array([3.0, 4.0], np.float32), 2.0)
    assert z.dtype == np.float32 and z == pytest.approx([1.2, 1.6])


def test_joint_labels(latent_demo: dict[str, Any]) -> None:
    images = replace(dataset_of(np.zeros((24, 1, 7, 1), np.uint8), classes=FIRSTS), colour_names=SECONDS)
    images = replace(images, colours=np.random.default_rng(0).integers(0, 3, 24))
    both = latent_demo["joint"](images)
    assert len(both.classes) == 12 and both.colours is None
    for label, first, second in zip(both.labels, images.labels, images.colours, strict=True):
        assert both.classes[label] == f"{SECONDS[second]} {FIRSTS[first]}"


@pytest.fixture
def faces(tmp_path: Path) -> Iterator[list]:
    """The flags of a folder of images with attributes."""
    write(tmp_path / "faces", photographs_of(40, 0, 256))
    lines = [f"{i:02d}.png {1 - 2 * (i % 2)} -1 {1 - 2 * (i // 2 % 2)}" for i in range(40)]
    (tmp_path / "attributes.txt").write_text("\n".join(["Eyeglasses Young Male", *lines]))
    yield ["--dataset", tmp_path / "faces", "--attributes", tmp_path / "attributes.txt"]


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_latent(
    device: str,
    faces: list,
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    gpu_standin: Device,
    sampled: list,
) -> None:
    """All figures, and the measurement; then once more with other exemplars, without training again."""
    directions = np.random.default_rng(1).standard_normal((3 * 8 * 8, 4))
    spread = lambda x: 1e6 * (x - x.mean(axis=0))  # so that an untrained generator's samples differ
    known = Reads(lambda x: x.reshape(len(x), -1), lambda f: spread(f) @ directions)
    given: list[Dataset] = []
    monkeypatch.setattr(
        "minigen.command_line.judge.trained_classifier", lambda a, b, path: (given.extend((a, b)), known)[1]
    )
    flags = [*TINY[:-1], "--features", 2, *faces, "--device", device, "--out", tmp_path / "run"]
    monkeypatch.setattr("minigen.evaluate.latent.project", partial(latent.project, steps=5))
    run(LATENT_DEMO, *flags, "--epochs", 1)
    text = capsys.readouterr().out
    assert "Projection of 4 test images: mean squared error of a pixel 0." in text
    assert [(d.split, len(d), d.classes) for d in given] == [
        (split, n, ("not Male not Eyeglasses", "Male not Eyeglasses", "not Male Eyeglasses", "Male Eyeglasses"))
        for split, n in (("train", 36), ("test", 4))
    ]
    assert rights(text) and "4 analogies, 30 points in each mean" in text
    files = [
        "analogies.png",
        "grid.png",
        "projections.png",
        "samples.png",
        "walk.gif",
        "walk.png",
        "weights.safetensors",
    ]
    assert set(files) <= set(os.listdir(tmp_path / "run"))
    assert read(tmp_path / "run" / "walk.png").shape == (2 * (8 * 10 + 2), 2 * (12 * 10 + 2), 3)
    assert read(tmp_path / "run" / "grid.png").shape == (204, 204, 3)
    assert read(tmp_path / "run" / "projections.png").shape == (2 * (2 * 10 + 2), 2 * (4 * 10 + 2), 3)
    with Image.open(tmp_path / "run" / "walk.gif") as animation:
        assert animation.size == (72, 72)
    originals = read(tmp_path / "run" / "projections.png")[4:20:2, 4:20:2].transpose(2, 0, 1)
    np.testing.assert_array_equal(originals, given[1].images[0])
    frames = sum(len(call["x"]) == 73 for call in sampled)  # from each of six points to the next in 12 steps, and back
    assert frames == 1

    monkeypatch.setattr(Game, "__call__", lambda *arguments: pytest.fail("trained again"))
    run(LATENT_DEMO, *flags, "--epochs", 1, "--resume", "--exemplars", 7, "--analogies", 3)
    assert "3 analogies, 7 points in each mean" in capsys.readouterr().out


def test_latent_needs_two_labels(photographs: Path, tmp_path: Path) -> None:
    with pytest.raises(
        SystemExit, match=r"^latent.py: .* has one label; takes coloured_digits, or a folder with --attr"
    ):
        run(LATENT_DEMO, "--dataset", photographs, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_coloured_digits_have_two_labels(latent_demo: dict[str, Any], tmp_path: Path, untrained: Callable) -> None:
    step, loader, _ = untrained(LATENT_DEMO, "--out", tmp_path)
    assert isinstance(step.model, DCGAN) and step.model.classes is None
    assert loader.dataset.name == "coloured_digits" and len(loader.dataset.colour_names) == 5


def test_settings_can_be_written_as_json() -> None:
    parser = command_line.argument_parser("", out="runs/x", epochs=1, batch_size=2)
    parser.add_argument("--attributes", type=Path)
    settings = command_line.settings_of(parser.parse_args(["--attributes", "a/b.txt", "--seed", "3"]))
    assert json.loads(json.dumps(settings)) == settings and settings["attributes"] == "a/b.txt"
    assert settings["seed"] == 3 and not {"out", "epochs", "device", "resume"} & settings.keys()
