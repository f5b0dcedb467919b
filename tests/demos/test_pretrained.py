"""The models that come with minigen: each is as good as its file says, and all together are small."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import minigen
import pretrained
from minigen import manual_seed
from minigen.checkpoint import read
from minigen.models import DCGAN, VAE

FILES = sorted(pretrained.FOLDER.glob("*.safetensors"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_model_is_as_good_as_its_file_says(path: Path) -> None:
    """On the first 200 test images; the numbers were measured when the file was made."""
    figures = pretrained.description(path)["figures"]
    assert figures and pretrained.measure(minigen.load(path)) == pytest.approx(figures, abs=0.005)


def test_all_are_small() -> None:
    assert len(FILES) >= 4 and sum(path.stat().st_size for path in FILES) < 5e6


def test_the_list(run_demo: Callable, capsys: pytest.CaptureFixture) -> None:
    run_demo("pretrained")
    text = capsys.readouterr().out
    for path in FILES:
        about = pretrained.description(path)
        assert path.name in text and about["made"] in text
        assert all(f"{name} {value:.2f}" in text for name, value in about["figures"].items())


@pytest.mark.parametrize("kind", ["half", "whole"])
def test_a_run_becomes_one_of_them(
    kind: str, tmp_path: Path, run_demo: Callable, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """In float16, unless that costs more than 0.01: a weight of 1e5 would be infinite."""
    manual_seed(0)
    model = VAE((1, 28, 28), hidden=4, latent_dim=2)
    if kind == "whole":
        model.decoder[0].bias.data[0] = 1e5  # type: ignore[index]
        model.decoder[2].weight.data[:, 0] = 0.0  # type: ignore[index]
    run = tmp_path / "some-run"
    minigen.save(model, run / "weights.safetensors")
    (run / "log.jsonl").write_text(json.dumps({"epoch": 3, "train": {}, "test": {"-elbo": 500.0}, "seconds": 90}))
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path / "pretrained")
    arguments = ("--add", run, "--name", "mine", "--made", "by hand")
    pretrained.run(pretrained.parser().parse_args([*map(str, arguments)]))
    arrays, metadata = read(tmp_path / "pretrained" / "mine.safetensors")
    assert {x.dtype for x in arrays.values()} == {np.dtype("float16" if kind == "half" else "float32")}
    assert json.loads(metadata["about"])["made"] == "by hand"
    text = capsys.readouterr().out
    assert "mine.safetensors" in text and "by hand (2 min; on all: -elbo 500.00)" in text


def test_what_cannot_be_added(tmp_path: Path, error_of: Callable) -> None:
    assert "--name and --made need --add" in error_of("pretrained", "--name", "mine")
    assert f"expects the folder of a finished run, got {tmp_path}" in error_of("pretrained", "--add", tmp_path)


def test_what_is_measured_of_a_gan() -> None:
    """Of the same samples each time; other images than digits have neither."""
    gan = DCGAN(latent_dim=3, features=2, classes=10)
    assert pretrained.measure(gan, 20) == pretrained.measure(gan, 20) == {"precision": 0.0, "recall": 0.0}
