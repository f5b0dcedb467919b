"""The installed package, without the repository around it: all its files, its digits, a step, a weights file.

    pip install --no-deps --target site dist/minigen-*.whl
    PYTHONPATH=site python tests/smoke.py

`.ci/run` does this with the wheel that it builds.
"""

from __future__ import annotations

import re
import sys
import tempfile
from importlib.metadata import files
from pathlib import Path

import numpy as np

import minigen
from minigen import data, models, optim, train

SOURCE = Path(__file__).parents[1]
IN_REPOSITORY = {str(path.relative_to(SOURCE)) for path in (SOURCE / "minigen").rglob("*.*")}


def check_files() -> None:
    """The package is the repository's `minigen/`, its licences, and nothing else."""
    if Path(minigen.__file__).is_relative_to(SOURCE):
        sys.exit(f"smoke.py: expects an installed minigen, got the repository's, {minigen.__file__}")
    installed = {str(path) for path in files("minigen") or []}
    differences = {
        path for path in installed ^ IN_REPOSITORY if not re.search(r"__pycache__|^minigen-.*\.dist-info", path)
    }
    assert not differences, f"in the package or in the repository only: {differences}"
    for licence in ("LICENSE", "minigen/data/digits/LICENSE.md"):
        assert any(path.endswith(f".dist-info/licenses/{licence}") for path in installed), licence


def check_training() -> None:
    """The digits are there; a VAE makes a step, is saved, and comes back."""
    images, labels = next(iter(data.Loader(data.load("digits"), batch_size=16)))
    vae = models.VAE(hidden=8)
    step = train.MaximumLikelihood(vae, optim.Adam(vae.parameters()))
    before = vae.loss(images).item()
    for _ in range(20):
        step(images, labels)
    assert vae.loss(images).item() < before
    with tempfile.TemporaryDirectory() as folder:
        minigen.save(vae, Path(folder) / "vae.safetensors")
        again = minigen.load(Path(folder) / "vae.safetensors")
    np.testing.assert_array_equal(again.reconstruct(images).numpy(), vae.reconstruct(images).numpy())


if __name__ == "__main__":
    check_files()
    check_training()
    print(f"minigen {minigen.__version__} works as installed in {Path(minigen.__file__).parent}")
