"""The zoo's list and pages: every page runs, what it measures is right where that is known, and it goes on."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import minigen
import zoo
from minigen import data, train
from minigen.data import toy
from minigen.evaluate import Classifier
from minigen.models import GAN, MLPDiscriminator, MLPGenerator
from minigen.models.zoo.adagan import AdaGAN, water_filling
from minigen.models.zoo.bs_gan import BitGenerator
from minigen.models.zoo.catalogue import CATALOGUE
from minigen.models.zoo.f_gan import f_divergence
from zoo_pages import Claim, Rounds, adagan, bs_gan, f_gan, learn, reaches, spread

DEMOS = Path(__file__).parents[2] / "demos"
pytestmark = pytest.mark.filterwarnings("ignore::minigen.train.diagnostics.GANWarning")  # they are trained for a moment
each_page = pytest.mark.parametrize("name", zoo.PAGES)


@each_page
def test_a_page_prints_its_claims_draws_and_goes_on(
    name: str, tmp_path: Path, run_demo: Callable, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With --resume nothing is trained again, and all numbers are the same."""
    minigen.save(Classifier(), tmp_path / "classifier" / "digits.safetensors")  # the judge, which need not be right
    monkeypatch.setattr("minigen.evaluate.judge._train", lambda *arguments: None)  # the judge of digits
    monkeypatch.setattr("zoo_pages.anogan.DIGITS", (3,))  # all ten take too long here, as do
    monkeypatch.setattr("zoo_pages.bigan.IMAGES", {"train": 200, "test": 100})  # the neighbours of 2,000 images
    monkeypatch.setattr("zoo_pages.cogan.PAIRS", 50)
    flags = (name, "--seeds", 1, "--iterations", 3, "--out", tmp_path)
    run_demo("zoo", *flags)
    text = capsys.readouterr().out
    record = json.loads((tmp_path / name / "result.json").read_text())
    for claim in record["claims"]:
        row = next(line for line in text.splitlines() if line.startswith(claim["text"]))
        assert claim["measured"] in row and row.endswith("holds" if claim["holds"] else "NOT MET")
    assert record["result"] in text and record["result"].endswith("with --seeds 1 --iterations 3")
    (figure,) = (tmp_path / name).glob("*.png")
    with Image.open(figure) as image:
        assert len(np.unique(np.asarray(image.convert("L")))) > 50
    run_demo("zoo", "--out", tmp_path)
    assert f"last result: {record['result']}" in capsys.readouterr().out
    monkeypatch.setattr(train.Game, "__call__", lambda *arguments: pytest.fail("trained again"))
    run_demo("zoo", *flags, "--resume")
    assert json.loads((tmp_path / name / "result.json").read_text()) == record


def test_the_list(tmp_path: Path, run_demo: Callable, capsys: pytest.CaptureFixture) -> None:
    """48 rows, each with a paper; what works is trained by a demo that is there."""
    run_demo("zoo", "--out", tmp_path)
    text = capsys.readouterr().out
    assert text.count("not run yet") == len(zoo.PAGES) == text.count("claim: ")
    assert len({entry.name for entry in CATALOGUE}) == len({entry.paper for entry in CATALOGUE}) == 48
    pages = set()
    for entry in CATALOGUE:
        assert f"{entry.name} " in text and entry.where in text
        assert entry.state in ("works", "option", "not yet")
        if entry.state != "not yet":
            demo, *flags = entry.where.split()
            assert (DEMOS / demo).exists()
            pages |= {flags[0], *set(flags) & set(zoo.PAGES)} if demo == "zoo.py" else set()
    assert pages == set(zoo.PAGES)


def test_a_damaged_result_is_named(tmp_path: Path, error_of: Callable) -> None:
    (tmp_path / "f_gan").mkdir()
    (tmp_path / "f_gan" / "result.json").write_text('{"result": ')
    assert "f_gan/result.json: is no JSON, or cut short (Expecting value" in error_of("zoo", "--out", tmp_path)


def test_a_page_that_is_not_there(run_demo: Callable, capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        run_demo("zoo", "wgan")
    assert f"argument NAME: expects one of {', '.join(zoo.PAGES)}, got wgan" in capsys.readouterr().err


def test_spread() -> None:
    assert spread([0.5]) == "0.500"
    assert spread([3, 1, 2], ".0f") == "2 (1 to 3)"


@pytest.mark.parametrize(
    ("aim", "value", "holds"),
    [
        (">= 0.95", 0.95, True), (">= 95%", 0.95, True), (">= 95%", 0.949, False), ("<= 0.3", 0.3, True),
        ("<= 0.3", 0.301, False), ("< 1e-6", 1e-6, False), ("< 65", 64.9, True),
    ],
)  # fmt: skip
def test_the_threshold_is_read_from_the_aim(aim: str, value: float, holds: bool) -> None:
    claim = reaches("share", aim, [value, -1e3, 1e3], [0.5], ".2f")
    assert claim.holds is holds and claim.aim == aim and claim.baseline == "0.50"


def given(iterations: int) -> argparse.Namespace:
    return argparse.Namespace(iterations=iterations, resume=False)


# -- the training that the pages share ---------------------------------------------------------------------------------


def test_rounds_go_through_the_data_again_and_again() -> None:
    dataset = data.Dataset.from_arrays(np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1))
    loader = data.Loader(dataset, 4, pixels="levels", drop_last=True, seed=3)  # two batches in a pass
    rounds, flat = Rounds(loader, 3), lambda batches: [x.ravel().tolist() for x, _ in batches]
    every = flat(chain.from_iterable(loader.epoch(e) for e in range(3)))
    assert len(rounds) == 3 and flat(chain(rounds.epoch(0), rounds.epoch(1))) == every
    assert flat(rounds.epoch(1, start=2)) == every[5:] and flat(rounds.epoch(1, start=3)) == []


def test_a_game_is_learned_with_each_players_rate_averaged_and_evaluated(tmp_path: Path) -> None:
    """Without a rate a player stays; the evaluation sees the averaged weights, which the model has at the end."""

    def train(epochs: int = 2, **options: Any) -> tuple[GAN, list[dict]]:
        minigen.manual_seed(0)
        gan = GAN(MLPGenerator((2,), 2, 4), MLPDiscriminator((2,), 4, pieces=2))
        start.append(gan.generator.net[0].weight.numpy().copy())
        metric = lambda: {"weight": float(gan.generator.net[0].weight.numpy()[0, 0])}
        out, drawn = tmp_path / f"run-{len(start)}", []
        gan.noise = lambda n: drawn.append(n) or GAN.noise(gan, n)  # type: ignore[method-assign]
        learn(gan, toy.Draws(toy.ring(), 8, 3), given(10), out, epochs=epochs, evaluate=metric, **options)
        assert drawn == [8] * 20  # 10 rounds, two players
        return gan, [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]

    start: list[np.ndarray] = []
    gan, log = train(lr={"discriminator": 0.01, "generator": 0.02})
    averaged = gan.generator.net[0].weight.numpy()
    assert [record["epoch"] for record in log] == [1, 2] and log[-1]["test"]["weight"] == averaged[0, 0]
    last, _ = train(lr={"discriminator": 0.01, "generator": 0.02}, average=None)
    np.testing.assert_array_equal(*start)
    assert 0 < abs(averaged - start[0]).max() < abs(last.generator.net[0].weight.numpy() - start[0]).max()
    gan, log = train(lr={"discriminator": 0.01, "generator": 1e-30}, epochs=99)
    np.testing.assert_allclose(gan.generator.net[0].weight.numpy(), start[0], rtol=1e-6)
    assert len(log) == 10


# -- f-GAN -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "divergence", "mu", "sigma"),
    [  # the paper's table 4, reproduced with this mixture
        ("kl", 0.2831, 1.0100, 1.8308),
        ("reverse-kl", 0.2480, 1.5782, 1.6319),
        ("jensen-shannon", 0.1280, 1.3070, 1.7542),
        ("pearson", 0.6457, 0.5737, 1.9274),
    ],
)
def test_the_best_fits(name: str, divergence: float, mu: float, sigma: float) -> None:
    best = f_gan.best_fit(name)
    np.testing.assert_allclose([best.divergence, *best.fit], [divergence, mu, sigma], atol=0.001)


def test_f_gan_nears_the_best_fit(tmp_path: Path) -> None:
    """From N(0, 1); D's bound is below the divergence."""
    found, best = f_gan.learn("hellinger", 0, given(200), tmp_path), f_gan.best_fit("hellinger")
    start = f_divergence("hellinger", f_gan.P, f_gan.density(f_gan.X, 0.0, 0.0), f_gan.CELL)
    assert best.divergence < found.divergence < 0.5 * float(start)
    assert 0 < found.bound <= found.divergence


# -- AdaGAN ------------------------------------------------------------------------------------------------------------


def test_the_next_component_gets_the_modes_that_are_missing() -> None:
    minigen.manual_seed(0)
    points = adagan.GRID.sample(1000)
    left = points[:, 0] < -1  # two columns of five
    model = AdaGAN()
    model.add(Fixed(points[left]))
    weights = water_filling(adagan.ratios(points, model, 300), 0.5)
    assert weights[~left].sum() > 0.95 and left.mean() == pytest.approx(0.4, abs=0.05)


class Fixed(minigen.nn.Module):
    """Draws from given points."""

    def __init__(self, points: np.ndarray) -> None:
        self.points = toy.WeightedPoints(points)

    def sample(self, n: int) -> minigen.Tensor:
        return minigen.Tensor(self.points.sample(n))


# -- BS-GAN ------------------------------------------------------------------------------------------------------------


def test_the_divergence_by_enumeration() -> None:
    """6 of 16 patterns; a generator of fair coins has KL 4 log 2 - log 6; all probabilities sum to 1."""
    shown = bs_gan.bars_and_stripes()
    assert sorted(map(tuple, shown)) == [
        (0, 0, 0, 0), (0, 0, 1, 1), (0, 1, 0, 1), (1, 0, 1, 0), (1, 1, 0, 0), (1, 1, 1, 1),
    ]  # fmt: skip
    gan = bs_gan.BSGAN(BitGenerator((4,), 4, 8), MLPDiscriminator((4,), 4, 1, 2))
    assert bs_gan.probabilities(gan).sum() == pytest.approx(1)
    for p in gan.generator.parameters():
        p.data = 0 * p.data
    assert bs_gan.kl(gan) == pytest.approx(4 * math.log(2) - math.log(6))
    codes = np.unique(gan.noise(500).numpy(), axis=0)
    np.testing.assert_array_equal(codes, np.unique(bs_gan.CODES, axis=0))  # all 16 are drawn


def test_all_pages_in_one_figure_and_one_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of pages that were run before, in --out; p(x | y) in a claim does not break a row of the table."""
    for i, name in enumerate(zoo.PAGES):
        (tmp_path / name).mkdir()
        Image.new("L", (8, 8), i).save(tmp_path / name / "figure.png")
        claims = [Claim(f"{name} | {x}", "more", str(x), "0.5", x > 0.5)._asdict() for x in (0.25, 0.75)]
        (tmp_path / name / "result.json").write_text(json.dumps({"result": f"{name} was run", "claims": claims}))
    monkeypatch.setattr(zoo, "show", lambda name, args: None)
    zoo.run(zoo.parser().parse_args(["--all", "--out", str(tmp_path)]))
    assert (tmp_path / "overview.png").exists()
    heading, _, *rows, _, how = (tmp_path / "results.md").read_text().splitlines()
    assert how == zoo.HOW
    assert len(rows) == 3 * len(zoo.PAGES)
    assert all(row.replace(r"\|", "").count("|") == heading.count("|") for row in rows)
    for name, (first, *of_claims) in zip(zoo.PAGES, zip(rows[::3], rows[1::3], rows[2::3], strict=True), strict=True):
        assert f"{name} was run" in first
        assert [row.endswith("| holds |") for row in of_claims] == [False, True]
        assert [row.endswith("| not met |") for row in of_claims] == [True, False]
