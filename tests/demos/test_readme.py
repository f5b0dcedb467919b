"""The README: the commands that it shows run as they are printed (its Python: see `test_pages`), what it names exists.

The commands run one after the other in an empty folder, with flags added that make them small. With
HYPOTHESIS_PROFILE=thorough they run as printed, with --quick alone, which takes many minutes.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from minigen import plot

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
COMMANDS = re.findall(r"(python demos/[^#`\n]*[^#`\s])", README)
THOROUGH = os.environ.get("HYPOTHESIS_PROFILE") == "thorough"

IMAGES = "--device cpu --dataset {photographs} --image-size 8 --batch-size 8 --epochs 1"
PIXELS = f"{IMAGES} --levels 2 --hidden 1 --head 1 --layers 1"
SMALL = {
    "vae": f"{IMAGES} --hidden 4 --importance-samples 2",
    "gan": f"{IMAGES} --hidden 4 --beside",
    "dcgan": f"{IMAGES} --batch-size 4 --features 2 --beside",  # a critic takes five batches in a round
    "pixelcnn": f"{PIXELS} --blocks 1",
    "pixelrnn": PIXELS,
    "mode_collapse": "--iterations 2 --seeds 1",
    "gan_theory": "--steps 2",
    "graph": "--batch-size 2 --repeat 1",
    "receptive_field": "--size 5 --kernel-size 3 --layers 1",
    "tiny_engine": "",
    "backward": "",
    "gallery": "--runs nothing",
    "pretrained": "",
    "benchmark": "--size 8 --repeat 1 --models vae pixelcnn --batch-sizes 2",
}


def test_commands_are_on_one_line_and_all_demos_are_there() -> None:
    spans = re.findall(r"(?<!`)`([^`]+)`(?!`)", README)
    assert not [span for span in spans if "\n" in span and span.startswith(("python ", "pip "))]
    demos = {path.stem for path in (ROOT / "demos").glob("*.py")}
    assert {re.split(r"[/.]", command)[1] for command in COMMANDS} == demos


def test_every_file_and_every_test_that_it_names_is_there() -> None:
    files = [path for folder in ("minigen", "tests", "demos") for path in (ROOT / folder).rglob("*.*")]
    names = [f"/{path.relative_to(ROOT).as_posix()}" for path in files]
    named = re.findall(r"`(?:python )?([\w/]+\.py)\b", README)
    assert len(named) > 60 and not [name for name in named if not any(path.endswith(f"/{name}") for path in names)]
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert not [link for link in links if not link.startswith("https:") and not (ROOT / link).exists()]
    tests = "".join(path.read_text() for path in files if path.name.startswith("test_"))
    assert not [name for name in re.findall(r"`(test_\w+)`", README) if f"def {name}(" not in tests]


@pytest.mark.skipif(THOROUGH, reason="they run in full")
def test_every_command_runs_with_small_numbers(
    photographs: Path, tmp_path: Path, run_demo: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plot, "save_curves", lambda *arguments: None)  # slow, and drawn in other tests
    for command in COMMANDS:
        _, script, *flags = shlex.split(command)
        name = Path(script).stem
        if name not in ("compare", "latent", "zoo"):  # nothing makes them small; other tests run them
            run_demo(name, *flags, *SMALL[name].format(photographs=photographs).split())


@pytest.mark.skipif(not THOROUGH, reason="takes many minutes: HYPOTHESIS_PROFILE=thorough")
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_runs_quickly(command: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "readme"
    folder.mkdir(exist_ok=True)
    _, script, *flags = shlex.split(command)
    quick = [] if Path(script).stem in ("tiny_engine", "backward", "gallery", "pretrained") else ["--quick"]
    arguments = [sys.executable, str(ROOT / script), *flags, *quick]
    subprocess.run(arguments, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
