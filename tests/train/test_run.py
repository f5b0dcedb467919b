"""The folder of a run: its log and settings, an earlier run in it, and what is damaged or in the way."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from small_run import final_state, in_a_process, run

import minigen
from minigen.checkpoint import load_progress
from minigen.models import VAE


def test_resume_refuses_other_settings(tmp_path: Path) -> None:
    settings = {"lr": 0.01, "betas": (0.9, 0.999), "dataset": "digits"}
    run(tmp_path, epochs=1, settings=settings)
    run(tmp_path, epochs=1, settings=settings, resume=True)  # a tuple is still the same when it comes from a file
    for other, text in (
        ({**settings, "lr": 0.02}, r"lr=0\.01, now 0\.02\)"),
        ({**settings, "beta": 4.0}, r"beta=None, now 4\.0\)"),
        ({"betas": (0.5, 0.999)}, r"betas=\[0\.9, 0\.999\], now \[0\.5, 0\.999\]\)"),
    ):
        before = (tmp_path / "checkpoint.safetensors").read_bytes()
        with pytest.raises(
            ValueError, match=rf"{re.escape(str(tmp_path))}: cannot resume with other settings .*{text}"
        ):
            run(tmp_path, epochs=2, settings=other, resume=True)
        assert (tmp_path / "checkpoint.safetensors").read_bytes() == before


def test_only_the_settings_that_are_given_are_compared(tmp_path: Path) -> None:
    """So that a run of a program that gave more, such as the temperature of its samples, can be resumed."""
    run(tmp_path, epochs=1, settings={"lr": 0.01, "temperature": 1.0})
    run(tmp_path, epochs=2, settings={"lr": 0.01}, resume=True)
    run(tmp_path, epochs=3, resume=True, settings=None)


def test_resume_refuses_another_model_and_a_damaged_checkpoint(tmp_path: Path) -> None:
    run(tmp_path, epochs=1)
    checkpoint = tmp_path / "checkpoint.safetensors"

    def refused(latent_dim: int, message: str) -> None:
        vae = VAE((1, 4, 4), latent_dim, 6)
        before = {name: x.copy() for name, x in vae.state_dict().items()}
        with pytest.raises(ValueError, match=re.escape(str(tmp_path)) + message):
            run(tmp_path, vae=vae, resume=True)
        for name, x in vae.state_dict().items():
            np.testing.assert_array_equal(x, before[name])

    refused(3, r"/checkpoint\.safetensors: VAE: the state does not fit")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    refused(2, r"/checkpoint\.safetensors: not a safetensors file, or a damaged one")


def test_resume_without_a_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none/checkpoint\.safetensors: there is no run to resume"):
        run(tmp_path / "none", resume=True)
    assert not (tmp_path / "none").exists()


def test_a_new_run_loses_nothing_of_the_earlier_ones(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    out, contents = tmp_path / "vae", []
    for i in range(3):
        run(out, epochs=1)
        (out / "samples.png").write_text(f"figure {i}")
        contents.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert sorted(os.listdir(tmp_path)) == ["vae", "vae.1", "vae.2"]
    for folder, expected in zip(["vae.1", "vae.2", "vae"], contents, strict=True):
        assert {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()} == expected
    assert f"The earlier run in {out} is now in {out}.1." in capsys.readouterr().out


def test_a_folder_without_a_run_is_used_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    run(tmp_path, epochs=1)
    assert sorted(os.listdir(tmp_path)) == ["checkpoint.safetensors", "log.jsonl", "notes.txt"]


# -- the log -----------------------------------------------------------------------------------------------------------

DAMAGE: dict[str, Callable[[list[str]], list[str]]] = {
    "nothing": lambda lines: lines,
    "a torn last line": lambda lines: [*lines[:2], lines[2][:20]],
    "a doubled line": lambda lines: [lines[0], *lines],
    "a missing line": lambda lines: [lines[0], lines[2]],
    "an empty line": lambda lines: [lines[0], "", *lines[1:]],
    "no records": lambda lines: ["null", '{"epoch": []}', *lines],
    "no text": lambda lines: ["\udcff\udcfe", *lines[1:]],
    "all of it": lambda lines: [],
    "records of epochs to come": lambda lines: [*lines, lines[2].replace('"epoch": 3', '"epoch": 4')],
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_log_is_written_anew(what: str, tmp_path: Path, uninterrupted: dict) -> None:
    """The checkpoint holds it."""
    run(tmp_path)
    log = tmp_path / "log.jsonl"
    lines = DAMAGE[what](log.read_text().splitlines())
    log.write_bytes("".join(line + "\n" for line in lines).encode(errors="surrogateescape"))
    run(tmp_path, resume=True)
    assert final_state(tmp_path) == uninterrupted


def test_a_checkpoint_with_other_random_numbers_is_refused(tmp_path: Path) -> None:
    """Of an older version, which drew them in another way: to go on from there would be another run."""
    run(tmp_path, epochs=1)
    checkpoint = tmp_path / "checkpoint.safetensors"
    progress = load_progress(checkpoint) | {"random": np.random.default_rng(0).bit_generator.state}
    minigen.save(load_file(checkpoint), checkpoint, {"minigen": json.dumps(progress)})
    content = checkpoint.read_bytes()
    with pytest.raises(ValueError, match=rf"^{re.escape(str(checkpoint))}: random numbers: expects .* got .*PCG64"):
        run(tmp_path, epochs=2, resume=True)
    assert checkpoint.read_bytes() == content


# -- folders that are not what they seem -------------------------------------------------------------------------------


def test_two_runs_in_one_folder(tmp_path: Path, uninterrupted: dict) -> None:
    """The second one is told who is there, whether it begins or resumes, and the first one is not disturbed."""
    message = f"^{re.escape(str(tmp_path))}: process [0-9]+ on {re.escape(socket.gethostname())} trains in this folder"

    def second(step: int) -> None:
        if step == 5:
            for resume in ("True", "False"):
                other = in_a_process(f"run(out, resume={resume})", tmp_path)
                assert other.returncode == 1
                assert re.search(message, other.stderr.splitlines()[-1].removeprefix("RuntimeError: ")), other.stderr

    run(tmp_path, second)
    assert final_state(tmp_path) == uninterrupted


def test_a_symbolic_link_stays_one(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """The run goes into the folder that it stands for, and an earlier run there is moved beside that."""
    out, target = tmp_path / "link", tmp_path / "disk" / "run"
    out.symlink_to(target)
    target.parent.mkdir()
    for expected in (["run"], ["run", "run.1"]):
        run(out, epochs=1)
        assert out.is_symlink() and sorted(os.listdir(tmp_path / "disk")) == expected
    assert f"The earlier run in {out} is now in {target}.1." in capsys.readouterr().out
    assert sorted(os.listdir(target)) == sorted(os.listdir(f"{target}.1")) == ["checkpoint.safetensors", "log.jsonl"]


def test_the_current_folder_is_used_but_not_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(".", epochs=1)
    before = final_state(tmp_path)
    message = (
        rf"^out: \. holds an earlier run and cannot be moved to {tmp_path}\.1, because it is the current folder; resume"
    )
    with pytest.raises(OSError, match=message):
        run(".", epochs=1)
    assert final_state(tmp_path) == before and len(os.listdir(tmp_path)) == 2
    run(".", epochs=2, resume=True)


def test_a_folder_that_cannot_be_moved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a mount point."""
    run(tmp_path / "run", epochs=1)

    def rename(path: Path, target: Path) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))

    monkeypatch.setattr(Path, "rename", rename)
    with pytest.raises(OSError, match=r"^out: .*/run holds an earlier run and cannot be moved to .*run\.1 \(Device or"):
        run(tmp_path / "run", epochs=1)
    assert sorted(os.listdir(tmp_path / "run")) == ["checkpoint.safetensors", "log.jsonl"]


def test_what_is_no_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "within"):
        with pytest.raises(OSError, match=rf"^out: {out} cannot be made a folder \((File exists|Not a directory)\)$"):
            run(out)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("given", "wanted"), [({"out": ""}, "a folder"), ({"epochs": -1}, "0, 1"), ({"epochs": 1.5}, "0, 1")]
)
def test_arguments_that_are_refused(given: dict, wanted: str, tmp_path: Path) -> None:
    ((name, value),) = given.items()
    with pytest.raises(ValueError, match=f"^train: expects {name} to be {wanted}.*, got {value!r}$"):
        run(**{"out": tmp_path} | given)
