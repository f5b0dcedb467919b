"""An image of the user's own, shown to a model whose weights are in a file: its likelihood, completions, codes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import minigen
from minigen import data, models, plot

SHAPE = (3, 8, 8)


@pytest.fixture
def show(
    photographs: Path, tmp_path: Path, run_demo: Callable, capsys: pytest.CaptureFixture
) -> Callable[..., tuple[str, Path]]:
    """Show an image to a model, by its demo: what is printed, and the folder of the figures."""

    def run(demo: str, model: Any, image: object) -> tuple[str, Path]:
        minigen.save(model, weights := tmp_path / "model.safetensors")
        out = tmp_path / str(image).replace("/", "-")
        flags = ["--dataset", photographs, "--image-size", 8, "--batch-size", 4, "--weights", weights, "--image", image]
        run_demo(demo, *flags, "--out", out)
        return capsys.readouterr().out, out

    return run


def test_the_nats_of_an_image_and_its_completions(
    show: Callable, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same for a file and for the number of that test image; below its upper half four completions are drawn."""
    drawn: dict[str, np.ndarray] = {}

    def save_grid(images: np.ndarray, path: Path, *args: Any, rows: Any = (), **options: Any) -> None:
        drawn[path.name] = np.asarray(images)

    monkeypatch.setattr(plot, "save_grid", save_grid)
    model = models.PixelRNN(SHAPE, levels=4, hidden=3, layers=1, head=3)
    test = data.load(str(photographs), "test", size=8)
    images, _ = next(data.Loader(test, 8, pixels="levels", levels=4, shuffle=False).epoch(0))
    nats = -model.log_prob(images).numpy()
    for number, file in ((0, "bright/00.png"), (6, "dark/02.png")):
        for image in (number, photographs / "test" / file):
            text, _ = show("pixelrnn", model, image)
            assert "On 1 test image (4 levels)" in text and f"{nats[number]:.2f} nats per image" in text
            covered, *completions, whole = drawn["completions.png"]
            np.testing.assert_allclose(whole, images[number] / 3)
            for x in (covered, *completions):
                np.testing.assert_allclose(x[:, :4], whole[:, :4])
            assert (covered[:, 4:] == 0.5).all() and len({x.tobytes() for x in completions}) == 4


def test_an_image_on_white_paper_is_inverted_where_the_ground_is_black(
    show: Callable, photographs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a digit drawn on paper."""
    test = data.load(str(photographs), "test", size=8)
    dark = replace(test, images=test.images // 12)
    monkeypatch.setattr(data, "load", lambda name, split, **options: dark)
    Image.fromarray(255 - dark.images[2].transpose(1, 2, 0)).save(tmp_path / "paper.png")
    model = models.PixelCNN(SHAPE, levels=4, hidden=3, blocks=1, head=3)
    nats = lambda text: re.findall(r"(\S+) nats per image", text)
    inverted, original = (show("pixelcnn", model, image)[0] for image in (tmp_path / "paper.png", 2))
    assert "paper.png is inverted, because photographs have a black ground" in inverted and "inverted" not in original
    assert nats(inverted) == nats(original) != []


def test_a_vae_and_a_gan_draw_the_nearest_that_they_can(show: Callable) -> None:
    vae = models.VAE(SHAPE, 2, 4, likelihood="levels")
    text, out = show("vae", vae, 3)
    assert "On 1 test image (" in text and len(re.findall(r"\S+ nats per image", text)) == 2
    assert {"reconstructions.png", "walk.gif"} <= {path.name for path in out.iterdir()}
    text, out = show("dcgan", models.DCGAN(SHAPE, 2, 2), 3)
    assert re.search(r"Projection of 1 test image: mean squared error of a pixel \d", text)
    assert {"projections.png", "walk.gif"} <= {path.name for path in out.iterdir()}


def test_a_walk_is_a_round_trip(show: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the code of the image, and back to it, in small steps."""
    frames: list[np.ndarray] = []
    monkeypatch.setattr(plot, "save_animation", lambda pictures, path: frames.extend(map(np.asarray, pictures)))
    vae = models.VAE(SHAPE, 2, 4)
    show("vae", vae, 3)
    assert len(frames) == 6 * 12 + 1
    np.testing.assert_array_equal(frames[0], frames[-1])
    assert len({frame.tobytes() for frame in frames}) > 20


def test_images_that_cannot_be_shown(photographs: Path, tmp_path: Path, error_of: Callable) -> None:
    flags = ["--dataset", photographs, "--image-size", 8, "--batch-size", 4, "--out", tmp_path / "out"]
    assert "--image needs --weights" in error_of("vae", *flags, "--image", 3)
    minigen.save(models.DCGAN(SHAPE, 2, 2, classes=2), tmp_path / "gan.safetensors")
    flags += ["--weights", tmp_path / "gan.safetensors"]
    assert "--image expects a file, or a number from 0 to 7, got 8" in error_of("dcgan", *flags, "--image", 8)
    assert "none.png: not an image that can be read" in error_of("dcgan", *flags, "--image", tmp_path / "none.png")
    assert "expects a generator without classes" in error_of("dcgan", *flags, "--image", 0)
    assert "expects a DCGAN without classes, got one of 2" in error_of("latent", *flags)
    minigen.save(models.GatedPixelCNN(SHAPE, 4, 3, 1, head=3, classes=2), tmp_path / "gan.safetensors")
    file = photographs / "test" / "dark" / "02.png"  # of whose class a model that is told it knows nothing
    assert "--image expects the number of a test image" in error_of("pixelcnn", *flags, "--image", file)
