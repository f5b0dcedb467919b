"""What the demos of GANs claim: optimizers that fit the objective, judged samples, modes that are counted."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dcgan
import minigen
import mode_collapse
from common import judge as judging
from minigen import nn
from minigen.autograd import Tensor
from minigen.backend import to_numpy
from minigen.data import Dataset, toy
from minigen.models import DCGAN, GAN, Tricks
from minigen.models.objectives import OBJECTIVES
from minigen.optim import Adam, RMSprop

# -- training ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def small(photographs: Path, tmp_path: Path) -> list:
    return ["--dataset", photographs, "--image-size", 8, "--batch-size", 2, "--latent-dim", 3, "--out", tmp_path]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_optimizers_are_those_of_the_objective(objective: str, small: list, untrained: Callable) -> None:
    step, loader = untrained("dcgan", *small, "--objective", objective)
    critic = step.model.objective.critic
    kind = RMSprop if objective == "wasserstein" else Adam
    rate = 5e-5 if objective == "wasserstein" else 5e-4
    for name, player in step.players.items():
        optimizer = step.optimizers[name]
        assert [id(p) for p in optimizer.parameters] == [id(p) for p in player.module.parameters()]
        assert isinstance(optimizer, kind)
        assert optimizer.lr == (2 * rate if name == "generator" and not critic else rate)
        if kind is Adam:
            assert optimizer.betas == ((0.5, 0.9) if critic else (0.5, 0.999))
    assert loader.batch_size == 2 * (5 if critic else 1) and len(loader) == 22 // loader.batch_size
    rounds = len(loader) * (40 if critic else 30)
    schedule = [step.schedule(n) for n in (0, rounds / 2, 3 * rounds / 4, rounds)]
    assert schedule == pytest.approx([1, 1, 0.5, 0]) and step.average.decay == 0.995

    step, _ = untrained("dcgan", *small, "--objective", objective, "--lr", 0.01, "--average", 0)
    assert [optimizer.lr for optimizer in step.optimizers.values()] == [0.01, 0.01 if critic else 0.02]
    assert step.average is None


def test_every_objective_has_its_own_folder_and_sizes() -> None:
    folders = set()
    for objective in OBJECTIVES:
        args = dcgan.parser().parse_args(["--objective", objective])
        dcgan.fill_in_defaults(args)
        folders.add(args.out)
        own = (args.features, args.discriminator_features, args.batch_size, args.noise)
        assert own == ((16, 16, 32, "normal") if OBJECTIVES[objective].critic else (32, 16, 16, "mixture"))
    assert Path("runs/dcgan") in folders and len(folders) == len(OBJECTIVES)
    for flags, noise in (
        (["--classes"], "normal"),
        (["--latent-dim", "10"], "normal"),
        (["--noise", "sphere"], "sphere"),
    ):
        args = dcgan.parser().parse_args(flags)
        dcgan.fill_in_defaults(args)
        assert args.noise == noise


@pytest.mark.parametrize("demo", ["gan", "dcgan"])
def test_flags_reach_the_gan(demo: str, small: list, untrained: Callable) -> None:
    for flags, changes in [
        ([], {}),
        (["--noise", "sphere", "--label-smoothing", 0.1], {"noise": "sphere", "label_smoothing": 0.1}),
        (["--label-flips", 0.2, "--mixed-batch"], {"label_flips": 0.2, "mixed_batch": True}),
        (["--instance-noise", 0.3], {"instance_noise": 0.3}),
    ]:
        step, loader = untrained(demo, *small, *flags, "--epochs", 4)
        assert step.model.tricks == replace(Tricks(), **changes, instance_noise_rounds=2 * len(loader))
    assert [optimizer.lr for optimizer in step.optimizers.values()] == [5e-4, 1e-3]
    step, loader = untrained(demo, *small, "--k", 3, "--classes", "--objective", "hinge", "--generator-lr", 0.5)
    assert step.optimizers["generator"].lr == 0.5
    gan = step.model
    assert (gan.k, gan.classes, gan.latent_dim, gan.objective_name) == (3, 2, 3, "hinge")
    assert (loader.batch_size, loader.drop_last, loader.pixels) == (6, True, "signed")


def test_the_samples_that_are_judged_come_from_the_averaged_weights(
    small: list, tmp_path: Path, run_demo: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`samples.npy` holds them, class after class, and the weights that are saved draw them again."""
    drawn: list[tuple] = []
    sample = GAN.sample

    def spy(gan: GAN, n: int | None = None, labels: Any = None, *, z: Any = None) -> Tensor:
        z = gan.noise(n) if n is not None else z
        drawn.append((labels, z.numpy().copy(), (x := sample(gan, labels=labels, z=z)).numpy()))
        return x

    monkeypatch.setattr(GAN, "sample", spy)
    run_demo("dcgan", *small, "--features", 2, "--classes", "--epochs", 1, "--beside")
    labels, z, x = drawn[-1]
    np.testing.assert_array_equal(labels, np.repeat([0, 1], 500))
    samples = np.load(tmp_path / "samples.npy")
    assert samples.dtype == np.uint8 and np.abs(samples - (x + 1) * 127.5).max() <= 0.501
    gan = DCGAN((3, 8, 8), 3, 2, discriminator_features=1, classes=2)
    minigen.load(tmp_path / "weights.safetensors", into=gan)
    np.testing.assert_array_equal(sample(gan, labels=labels, z=Tensor(z)).numpy(), x)
    checkpoint = minigen.load(tmp_path / "checkpoint.safetensors").items()
    gan.load_state_dict({name.removeprefix("gan/"): value for name, value in checkpoint if name.startswith("gan/")})
    assert np.abs(sample(gan, labels=labels, z=Tensor(z)).numpy() - x).max() > 0  # by the last weights


# -- the judgement -----------------------------------------------------------------------------------------------------


class Reads(nn.Module):
    """A classifier that sees brightness: bright images are of class 0, dark ones of class 1, surely beyond +-0.1."""

    def features(self, x: Any) -> Tensor:
        return Tensor(to_numpy(x).mean(axis=(1, 2, 3)).reshape(-1, 1).astype(np.float64))

    def head(self, features: Tensor) -> Tensor:
        f = to_numpy(features.data)
        return Tensor(np.concatenate([f, -f], axis=1) * (math.log(9) / 0.2))


def images_of(values: Any, split: str = "train", classes: tuple[str, ...] = ("bright", "dark")) -> Dataset:
    """Images of one grey each, 0 ... 255."""
    images = np.empty((len(values), 3, 8, 8), np.uint8)
    images[...] = np.asarray(values, np.uint8).reshape(-1, 1, 1, 1)
    return Dataset(images, np.arange(len(images)) % len(classes), classes, "greys", split)


def test_every_folder_has_its_row(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "trained_classifier", lambda *arguments: Reads())
    for name, other in (("half", images_of([200, 30] * 4).images), ("digits", np.zeros((9, 1, 28, 28), np.uint8))):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "samples.npy", other)
    out = tmp_path / "run"
    out.mkdir()
    test = images_of(np.random.default_rng(0).integers(0, 156, 16) + 100 * (np.arange(16) % 2), "test")
    # mean pixels in [-1, 1]: three surely bright, one hardly, six surely dark
    samples = images_of((np.array([0.9, 0.8, 0.7, 0.02, -0.2, -0.3, -0.5, -0.7, -0.8, -0.9]) + 1) * 127.5)
    beside = [tmp_path / "half", out, tmp_path / "nothing", tmp_path / "digits"]
    judging.judge(samples.images / 255, images_of(np.arange(30)), test, out, beside)
    np.testing.assert_array_equal(np.load(out / "samples.npy"), samples.images)

    rows = [re.split("  +", line) for line in capsys.readouterr().out.splitlines()]
    by_folder = {row[0].removeprefix(f"{tmp_path}/"): row[1:] for row in rows}
    real = lambda images: images[:, 0, 0, 0] / 127.5 - 1
    distance = lambda a, b: (a.mean() - b.mean()) ** 2 + (a.std(ddof=1) - b.std(ddof=1)) ** 2  # of normals on a line
    own, of_test = real(samples.images), real(test.images)
    diversity = lambda images: f"{images.std() / of_test.std():.2f}"
    frechet = distance(minigen.evaluate.random_subset(own, 8), of_test[0::2])
    assert by_folder["run"] == [f"{frechet:.2f}", diversity(own), "90.0%", "40.0%", "40 60"]
    assert by_folder["half"][1:] == [diversity(np.array([30, 200]) / 127.5), "100.0%", "50.0%", "50 50"]
    assert by_folder["nothing"] == ["no samples.npy there: run its demo to compare"]
    assert by_folder["digits"] == ["its samples are of other images, (1, 28, 28)"]
    floor = distance(of_test[0::2], of_test[1::2])
    assert by_folder["real test images"] == [f"{floor:.2f}", "1.00", f"{(np.abs(of_test) > 0.1).mean():.1%}"]


@pytest.mark.parametrize(
    ("greys", "said"),
    [
        ([120] * 19 + [121], "the samples hardly differ (diversity 0.00)"),
        ([255] * 10 + [160] * 9 + [0], "95% of the samples look like one class (bright)"),
        ([255] * 18 + [0] * 2, ""),
    ],
)
def test_the_certainty_about_samples_that_collapsed_means_nothing(
    greys: list, said: str, tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judging, "trained_classifier", lambda *arguments: Reads())
    test = images_of([20, 235] * 10, "test")
    judging.judge(images_of(greys).images / 255, images_of(np.arange(30)), test, tmp_path, [])
    warnings = re.findall("WARNING: (.*); how sure the classifier", capsys.readouterr().out)
    assert warnings == ([said] if said else [])


def test_the_parzen_window_is_as_wide_as_is_best_for_other_images(capsys: pytest.CaptureFixture) -> None:
    random = np.random.default_rng(0)
    samples = random.integers(90, 160, (20, 3, 8, 8)) / 255
    others = random.integers(100, 150, (5, 3, 8, 8), np.uint8)
    copies = np.rint(samples[:5] * 255).astype(np.uint8)  # for these, the narrowest window would be best
    turns = np.stack([copies, others], axis=1).reshape(10, 3, 8, 8)  # of images for the window and for the density
    test = Dataset(turns, np.zeros(10, np.int64), ("image",), "noise", "test")
    judging.print_parzen(samples, test)
    best = minigen.evaluate.best_sigma(others / 255, samples)
    nats = float(minigen.evaluate.parzen_log_prob(copies / 255, samples, best).mean())
    assert best > 0.06 and f"Parzen window, sigma {best:.2f}: {nats:.0f} nats" in capsys.readouterr().out


@pytest.mark.parametrize("count", [0, 3, 4])
def test_without_classes_or_test_images_there_is_less_to_say(
    count: int, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    images = images_of(np.arange(0, 250, 40), classes=("image",))
    judging.judge(images.images / 255, images, images_of(range(count), "test", ("image",)), tmp_path, [])
    text = capsys.readouterr().out
    assert ("Parzen" in text) == (count == 4) and (f"Too few test images to judge by: {count}" in text) == (count < 4)
    assert "Fréchet" not in text and (tmp_path / "nearest.png").exists()


# -- mode collapse -----------------------------------------------------------------------------------------------------


def rows_of(text: str) -> list[tuple[str, ...]]:
    return re.findall(r"^(\S+) +(\d+) +(\d+) of +\d+ +(\S+)%(  missed)?$", text, re.MULTILINE)


def test_more_seeds_need_no_more_training_of_the_first(
    tmp_path: Path, run_demo: Callable, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, batches = minigen.train.Game.__call__, []
    monkeypatch.setattr(minigen.train.Game, "__call__", lambda self, x, y: (batches.append(x), step(self, x, y))[1])
    ring = ["--iterations", 5, "--objectives", "non-saturating", "wasserstein-gp", "--out", tmp_path]
    run_demo("mode_collapse", *ring, "--seeds", 1)
    first = rows_of(capsys.readouterr().out)
    assert [row[:2] for row in first] == [("non-saturating", "0"), ("wasserstein-gp", "0")]
    assert [len(x) for x in batches] == [256] * 5 + [512] * 5 and len({x.tobytes() for x in batches}) == 10
    run_demo("mode_collapse", *ring, "--seeds", 2, "--resume")
    second = rows_of(capsys.readouterr().out)
    assert len(batches) == 20 and [row for row in second if row[1] == "0"] == first and len(second) == 4


def test_modes_and_seeds_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    means = toy.ring().means

    def learn(mixture: toy.GaussianMixture, objective: str, seed: int, args: Any) -> np.ndarray:
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

    monkeypatch.setattr(mode_collapse, "learn", learn)
    flags = ["--seed", 4, "--seeds", 4, "--out", tmp_path, "--objectives", "minimax", "hinge"]
    mode_collapse.run(mode_collapse.parser().parse_args([*map(str, flags)]))
    text = capsys.readouterr().out
    missed = "  missed"
    assert rows_of(text) == [
        *(("minimax", "4", "0", "0.8", missed), ("minimax", "5", "0", "1.0", missed)),
        *(("minimax", "6", "0", "1.2", missed), ("minimax", "7", "0", "1.4", missed)),
        *(("hinge", "4", "1", "100.0", missed), ("hinge", "5", "8", "90.0", "")),
        *(("hinge", "6", "8", "90.0", missed), ("hinge", "7", "8", "100.0", "")),
    ]
    assert "for the other 7 runs" in text
    assert "minimax          all modes, and 90 % of the samples near one: 0 of 4 seeds" in text
    assert "hinge            all modes, and 90 % of the samples near one: 2 of 4 seeds" in text
    assert (tmp_path / "ring.png").exists()


def test_flags_that_an_objective_does_not_take_are_refused_before_the_first_run(
    tmp_path: Path, error_of: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minigen.train, "train", lambda *arguments, **options: pytest.fail("trained"))
    message = error_of("mode_collapse", "--label-smoothing", 0.1, "--out", tmp_path)
    assert "objective='wasserstein-gp' has no labels that could be smoothed" in message


def test_a_penalty_is_for_the_objective_that_has_one(tmp_path: Path, untrained: Callable) -> None:
    flags = ["--out", tmp_path, "--mixture", "grid", "--k", 4, "--penalty", 3, "--objectives"]
    for objective, k, penalty in (("hinge", 1, 0.0), ("wasserstein-gp", 2, 0.1)):
        step, _ = untrained("mode_collapse", *flags[:3], "grid", "--objectives", objective)
        assert (step.model.k, step.model.objective.penalty) == (k, penalty)
        step, _ = untrained("mode_collapse", *flags, objective)
        assert (step.model.k, step.model.objective.penalty) == (4, 3 if penalty else 0)
