"""The comparison: its numbers are those of the models, its verdicts follow the numbers, and a stopped run goes on."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import compare
import minigen
from comparison import NotMeasured, Results, claims, measures, report
from minigen import data, models, plot, train
from minigen.evaluate import Classifier

SHAPE = (3, 8, 8)
MADE = {
    "vae": lambda: models.VAE(SHAPE, 2, 4),
    "pixelcnn": lambda: models.PixelCNN(SHAPE, hidden=24, blocks=1, head=3),
    "gated": lambda: models.GatedPixelCNN(SHAPE, hidden=24, layers=2, head=3),
    "row": lambda: models.PixelRNN(SHAPE, cell="row", hidden=24, layers=1, head=3),
    "diagonal": lambda: models.PixelRNN(SHAPE, cell="diagonal", hidden=24, layers=1, head=3),
    "gan": lambda: models.GAN(models.MLPGenerator(SHAPE, 2, 4), models.MLPDiscriminator(SHAPE, 4)),
    "dcgan": lambda: models.DCGAN(SHAPE, 2, 2),
    "wgan-gp": lambda: models.DCGAN(SHAPE, 2, 2, "wasserstein-gp"),
}


@pytest.fixture
def of_photographs(photographs: Path) -> list:
    return ["--dataset", photographs, "--image-size", 8, "--images", 4]


# -- the whole ---------------------------------------------------------------------------------------------------------


def test_every_model_beside_real_images(
    tmp_path: Path, of_photographs: list, photographs: Path, run_demo: Callable, capsys: pytest.CaptureFixture
) -> None:
    """Of untrained models, as files of weights or as runs with a log: the likelihoods are those of the models."""
    assert [*MADE] == compare.MODELS
    made = {name: make().eval() for name, make in MADE.items()}
    for name, model in made.items():
        minigen.save(model, tmp_path / ("row/weights.safetensors" if name == "row" else f"{name}.safetensors"))
    log = [{"epoch": i, "train": {}, "test": {"nats": 99.0 - i}, "seconds": 10.0 * i} for i in (1, 2)]
    (tmp_path / "row" / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in log))
    run_demo("compare", *of_photographs, "--runs", tmp_path, "--seeds", 1, "--out", tmp_path / "out")
    found = json.loads((tmp_path / "out" / "compare.json").read_text())
    rows = {row["model"]: row for row in found["rows"]}
    real = [f"{model}-{kind}" for kind in ("grey", "binary") for model in ("test", "copies")]
    assert [*rows] == [*real, "vae", "vae-drawn", *compare.MODELS[1:]]
    assert (found["samples"], found["test_images"], found["seeds"]) == (4, 8, 1)

    test = data.load(str(photographs), "test", size=8)
    images, _ = next(data.Loader(test, 8, pixels="binary", shuffle=False, binarization="fixed").epoch(0))
    for name in ("pixelcnn", "gated", "row", "diagonal"):
        nats = -float(made[name].log_prob(images).numpy().mean())
        assert rows[name]["nats"] == pytest.approx(nats, rel=1e-5) and rows[name]["likelihood"] == "exact"
        assert rows[name]["bits"] == pytest.approx(nats / 192 / np.log(2), rel=1e-5)
    vae = rows["vae"]
    assert vae["likelihood"] == "bound, K = 100" and vae["nats"] < vae["elbo"]
    assert {rows[name]["likelihood"] for name in ("gan", "dcgan", "wgan-gp")} == {"not defined"}
    assert [rows[name].get("code") for name in ("vae", "dcgan", "row")] == ["2 numbers", "2 numbers", "none"]
    assert rows["row"]["parameters"] == sum(p.data.size for p in made["row"].parameters())
    assert rows["row"]["curve"] == [[10.0, 98.0], [20.0, 97.0]] and (rows["row"]["epochs"], rows["row"]["seconds"]) == (
        2,
        20,
    )
    assert [name for name in rows if "step_ms" in rows[name]] == ["pixelcnn", "gated", "row", "diagonal"]
    assert "seconds" not in rows["gated"]  # a file of weights has no log

    text, markdown = capsys.readouterr().out, (tmp_path / "out" / "compare.md").read_text()
    for heading in ("nats", "Fréchet", "precision", "recall", "ms a sample"):
        assert heading in text and f" {heading} |" in markdown
    for claim in claims.CLAIMS:
        assert claim.text in text and claim.text in markdown
    assert f"<= {vae['nats']:.2f}, bound, K = 100" in text and "not defined" in text
    assert (tmp_path / "out" / "compare.png").stat().st_size > 10_000


def test_it_runs_on_a_gpu(tmp_path: Path, of_photographs: list, run_demo: Callable, gpu_standin: Any) -> None:
    for name in (compared := ("vae", "row", "dcgan")):
        minigen.save(MADE[name](), tmp_path / f"{name}.safetensors")
    run_demo(
        "compare", *of_photographs, "--runs", tmp_path, "--models", *compared,
        "--seeds", 1, "--out", tmp_path / "out", "--device", "gpu",
    )  # fmt: skip
    assert (tmp_path / "out" / "compare.png").exists()


def test_real_images_beside_themselves(photographs: Path) -> None:
    """Other test images are as new as can be, copies of training images are copies, each of its kind of pixels."""
    images, test_images = (data.load(str(photographs), split, size=8) for split in ("train", "test"))
    rows = {
        row["model"]: row
        for row in measures.Judge(Classifier(SHAPE, 2).eval(), images, test_images, 1000).of_real_images()
    }
    assert rows["test-grey"]["copying"] == rows["test-binary"]["copying"] == 0.5
    assert rows["copies-grey"]["copying"] == 1
    assert rows["test-binary"]["sharpness"] == pytest.approx(1) and rows["test-grey"]["sharpness"] < 0.9
    assert {len(row["examples"]) for row in rows.values()} == {4}  # half of the test images
    assert set(np.unique(rows["copies-binary"]["examples"])) == {0, 1}


def test_models_that_cannot_be_compared(tmp_path: Path, of_photographs: list, error_of: Callable) -> None:
    flags = [*of_photographs, "--runs", tmp_path, "--seeds", 1, "--out", tmp_path / "out"]
    minigen.save(models.PixelCNN(SHAPE, levels=4, hidden=24, blocks=1, head=3), tmp_path / "pixelcnn.safetensors")
    assert "expects a model of binary pixels, got a PixelCNN of" in error_of("compare", *flags, "--models", "pixelcnn")
    minigen.save({"weight": np.zeros(3)}, tmp_path / "row.safetensors")
    assert "row.safetensors: expects a file that names its model" in error_of("compare", *flags, "--models", "row")
    assert "got --images 3, 22 training and 8 test images" in error_of("compare", *flags, "--images", 3)


# -- its runs ----------------------------------------------------------------------------------------------------------


def test_what_is_missing_is_trained_and_goes_on_where_it_stopped(
    tmp_path: Path, of_photographs: list, run_demo: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two seeds, the second is interrupted; then only the rest is trained, to the same bits."""
    monkeypatch.setattr(plot, "save_curves", lambda *arguments: None)
    monkeypatch.setattr(report, "draw", lambda *arguments: None)
    monkeypatch.setattr(measures, "add_steps", lambda *arguments: None)  # which makes steps of its own
    steps, interrupt_at, call = 0, 0, train.MaximumLikelihood.__call__

    def counted(self: Any, *batch: Any) -> Any:
        nonlocal steps
        steps += 1
        if steps == interrupt_at:
            os.kill(os.getpid(), signal.SIGINT)
        return call(self, *batch)

    monkeypatch.setattr(train.MaximumLikelihood, "__call__", counted)
    flags = [*of_photographs, "--models", "pixelcnn", "--seeds", 2, "--out", tmp_path / "out"]
    run_demo("compare", *flags, "--runs", tmp_path / "whole")
    assert steps == 12  # two seeds, three epochs of two batches
    interrupt_at = 12 + 9
    with pytest.raises(SystemExit, match="130"):
        run_demo("compare", *flags, "--runs", tmp_path / "broken")
    assert steps == interrupt_at
    run_demo("compare", *flags, "--runs", tmp_path / "broken", "--resume")
    assert steps == 24
    read = lambda run, name: (tmp_path / run / name / "weights.safetensors").read_bytes()
    assert read("whole", "pixelcnn") != read("whole", "pixelcnn-seed-1")
    for name in ("pixelcnn", "pixelcnn-seed-1"):
        assert read("whole", name) == read("broken", name)
    run_demo("compare", *flags, "--runs", tmp_path / "broken")
    assert steps == 24  # finished runs are taken as they are
    rows = json.loads((tmp_path / "out" / "compare.json").read_text())["rows"]
    assert [(row["model"], row["seed"]) for row in rows[4:]] == [("pixelcnn", 0), ("pixelcnn", 1)]


@pytest.mark.parametrize("name", compare.MODELS)
def test_a_run_is_made_by_its_demo(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = compare.importlib.import_module(compare.RUNS[name][1].split(".")[0])
    seen: list[Any] = []
    monkeypatch.setattr(page, "run", seen.append)
    args = compare.parser().parse_args(["--quick", "--runs", str(tmp_path), "--resume", "--data-dir", "here"])
    weights = compare.trained(name, 5, args)
    (given,) = seen
    assert weights == tmp_path / f"{name}-seed-5" / "weights.safetensors" == given.out / "weights.safetensors"
    assert (given.seed, given.quick, given.resume, str(given.data_dir), given.beside) == (5, True, False, "here", [])
    usual = {"gated": ("gated", True), "diagonal": ("cell", "diagonal"), "wgan-gp": ("objective", "wasserstein-gp")}
    if name in usual:
        flag, value = usual[name]
        assert getattr(given, flag) == value


# -- the claims --------------------------------------------------------------------------------------------------------


def row(model: str, **measured: Any) -> list[dict[str, Any]]:
    """Two seeds with the same numbers, but for the spread of nats and of the Fréchet distance."""
    nats, frechet, spread = measured.pop("nats", None), measured.pop("frechet", 20.0), measured.pop("spread", 0.01)
    title = {"test-grey": "test images, grey"}.get(model) or compare.RUNS[model][0]
    rows = [{"model": model, "title": title, "frechet": frechet * (1 + s), **measured} for s in (0, spread)]
    return [x | ({"nats": nats} if nats else {}) for x in rows]


def as_the_lecture_says() -> list[dict[str, Any]]:
    """Numbers with which every claim holds."""
    pixel = {"likelihood": "exact", "naive_ms": 900.0}
    curve = lambda *nats: [[10.0 * (i + 1), x] for i, x in enumerate(nats)]
    gan = {"likelihood": "not defined", "sample_ms": 0.1, "sharpness": 0.55, "code_ms": 1000.0, "spread": 0.5}
    return [
        *row("test-grey", sharpness=0.56),
        *row("vae", nats=100.0, elbo=106.0, likelihood="bound, K = 100", sample_ms=0.1, sharpness=0.3, code_ms=0.01),
        *row("pixelcnn", nats=93.0, seen=192, context=406, rows_above=10, blind=28, step_ms=10.0, sample_ms=5.0,
             curve=curve(96.0, 93.0), **pixel),
        *row("gated", nats=92.0, seen=210, context=406, rows_above=10, blind=0, step_ms=20.0, sample_ms=5.0,
             curve=curve(96.0, 92.0), **pixel),
        *row("row", nats=91.0, seen=300, context=406, rows_above=14, blind=91, step_ms=25.0, sample_ms=5.0,
             curve=curve(97.0, 94.0, 91.0), **pixel),
        *row("diagonal", nats=90.0, seen=405, context=406, rows_above=14, blind=1, step_ms=50.0, sample_ms=5.0,
             curve=curve(97.0, 94.0, 90.0), **pixel),
        *(x for name in ("gan", "dcgan", "wgan-gp") for x in row(name, **gan)),
    ]  # fmt: skip


def verdicts(rows: list[dict[str, Any]]) -> dict[str, bool | None]:
    return {judged.text: judged.holds for judged in claims.judged(Results(rows))}


def test_all_claims_hold_where_the_numbers_are_the_lectures() -> None:
    found = verdicts(as_the_lecture_says())
    assert len(found) == len(claims.CLAIMS) == 14 and all(found.values()), found


@pytest.mark.parametrize(
    ("words", "model", "metric", "value"),
    [
        ("long-range", "row", "nats", 93.5),
        ("long-range", "diagonal", "rows_above", 10),
        ("computed sequentially", "row", "step_ms", 9.0),
        ("much faster to train", "row", "step_ms", 19.0),
        ("much faster to train", "row", "curve", [[15.0, 92.5], [30.0, 91.0]]),
        ("bounded receptive field", "pixelcnn", "seen", 406),
        ("bounded receptive field", "row", "nats", 93.1),
        ("blind spot", "gated", "blind", 3),
        ("blind spot", "pixelcnn", "blind", 0),
        ("blind spot", "gated", "nats", 93.2),
        ("efficient inference", "vae", "code_ms", 11.0),
        ("blurry", "vae", "sharpness", 0.56),
        ("blurry", "gan", "sharpness", 0.29),
        ("sharp image", "wgan-gp", "sharpness", 0.5),
        ("Markov chain", "dcgan", "sample_ms", 6.0),
        ("difficult to optimize", "row", "frechet", [20.0, 26.0]),
        ("simple and stable", "gated", "curve", [[10.0, 92.0], [20.0, 92.5]]),
        ("simple and stable", "gated", "nats", [92.0, 95.0]),
        ("best log likelihood", "pixelcnn", "nats", 101.0),
        ("tractable likelihood", "vae", "likelihood", "exact"),
        ("during sampling", "row", "sample_ms", 0.9),
    ],
)
def test_a_claim_fails_with_one_number(words: str, model: str, metric: str, value: Any) -> None:
    """And the others that do not use that number still hold."""
    rows = as_the_lecture_says()
    changed = [x for x in rows if x["model"] == model]
    for i, x in enumerate(changed):
        x[metric] = value[i] if isinstance(value, list) and metric != "curve" else value
    failed = [text for text, holds in verdicts(rows).items() if not holds]
    assert [text for text in failed if words in text], failed


def test_what_was_not_measured_is_said() -> None:
    one_seed = as_the_lecture_says()[::2]
    found = {judged.text: judged for judged in claims.judged(Results(one_seed))}
    missing = {text: judged.measured for text, judged in found.items() if judged.holds is None}
    assert len(missing) == 2 and set(missing.values()) == {"needs several --seeds"}
    without = [x for x in as_the_lecture_says() if x["model"] != "gated"]
    judged = next(x for x in claims.judged(Results(without)) if "blind spot" in x.text)
    assert (judged.verdict, judged.measured) == ("not measured", "needs a run of gated")
    with pytest.raises(NotMeasured):
        Results(without)("gated", "nats")


def test_numbers_stand_beside_the_claims() -> None:
    """Medians over seeds."""
    rows = as_the_lecture_says()
    next(x for x in rows if x["model"] == "row")["nats"] = 91.5
    text = " ".join(judged.measured for judged in claims.judged(Results(rows)))
    for number in (
        "Row LSTM 91.25",
        "PixelCNN 93.00",
        "-ELBO",
        "PixelCNN 20 s, Row LSTM 30 s",
        "DCGAN 40%",
        "VAE 0.300",
    ):
        assert re.search(re.escape(number), text), number
    assert (
        report.score(claims.judged(Results(rows)))
        == "Claims of the lecture that hold: 14, do not hold: 0, not measured: 0."
    )
    one_seed = claims.judged(Results(rows[::2]))
    assert report.score(one_seed) == "Claims of the lecture that hold: 12, do not hold: 0, not measured: 2."
    assert report.table(Results(rows))[1][0] == "test images, grey"
    (line,) = (cells for cells in report.table(Results(rows)) if cells[0] == "Row LSTM")
    assert line[2] == "20.1 (20.0 to 20.2)"
