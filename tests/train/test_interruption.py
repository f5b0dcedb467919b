"""Ctrl-C, SIGTERM and SIGHUP: the piece at hand is finished, all is saved, and the run goes on to the same bits."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_run import EPOCHS, STEPS, at, final_state, in_a_process, run

from minigen.checkpoint import load_progress
from minigen.random import manual_seed
from minigen.train import Interrupted
from minigen.train.interruption import Interruption


@pytest.fixture(autouse=True)
def _hangups_are_not_ignored() -> Iterator[None]:
    """Also where the tests themselves were started under `nohup`."""
    usual = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, usual)


@pytest.mark.parametrize("step", range(EPOCHS * STEPS))
def test_ctrl_c_saves_and_resume_goes_on(
    step: int, tmp_path: Path, uninterrupted: dict, capfd: pytest.CaptureFixture
) -> None:
    number = signal.SIGTERM if step % 2 else signal.SIGINT
    handler = lambda number, frame: pytest.fail("the signal came through")
    usual = signal.signal(number, handler)
    try:
        with pytest.raises(Interrupted) as stopped:
            run(tmp_path, at(step, number))
        assert signal.getsignal(number) is handler
    finally:
        signal.signal(number, usual)
    assert (
        str(stopped.value) == f"Interrupted in epoch {step // STEPS + 1}. All is saved in {tmp_path}; --resume goes on."
    )
    assert capfd.readouterr() == ("", "\nFinishing this step, then saving. Once more ends the program at once.\n")
    progress = load_progress(tmp_path / "checkpoint.safetensors")
    assert (progress["epoch"], progress["batch"]) == (step // STEPS, step % STEPS + 1)

    manual_seed(99)  # the run's own random numbers come from the checkpoint
    _, losses, _ = run(tmp_path, resume=True)
    assert len(losses) == EPOCHS * STEPS - step - 1
    assert final_state(tmp_path) == uninterrupted


def test_stopped_again_and_again(tmp_path: Path, uninterrupted: dict) -> None:
    for stop in range(EPOCHS * STEPS - 1):
        with pytest.raises(Interrupted):
            run(tmp_path, at(0, signal.SIGINT), resume=stop > 0)
    run(tmp_path, resume=True)
    assert final_state(tmp_path) == uninterrupted


def test_a_second_ctrl_c_stops_at_once(tmp_path: Path, uninterrupted: dict) -> None:
    """What was saved before is still there."""
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)  # programs in the background ignore it
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, at(STEPS + 1, signal.SIGINT, signal.SIGINT))
    assert signal.signal(signal.SIGINT, usual) is signal.default_int_handler
    progress = load_progress(tmp_path / "checkpoint.safetensors")
    assert (progress["epoch"], progress["batch"]) == (1, 0)
    run(tmp_path, resume=True)
    assert final_state(tmp_path) == uninterrupted


def test_a_program_that_ctrl_c_ended_says_where_all_is(tmp_path: Path) -> None:
    ended = in_a_process("run(out, at(5, signal.SIGINT))", tmp_path)
    assert ended.returncode != 0
    assert ended.stderr.endswith(f"Interrupted in epoch 2. All is saved in {tmp_path}; --resume goes on.\n")


@pytest.mark.parametrize("epoch", [1, EPOCHS])
@pytest.mark.parametrize(("piece", "words"), [("evaluate", "the evaluation"), ("draw", "the figures")])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_during_evaluation_or_figures(
    name: str, piece: str, words: str, epoch: int, tmp_path: Path, uninterrupted: dict, capfd: pytest.CaptureFixture
) -> None:
    """It is answered at once, the run ends after that piece, also in the last epoch, and what is missing is drawn."""
    made: list[str] = []

    def work(kind: str) -> dict[str, float]:
        if made.count(kind) == epoch - 1 and kind == piece:
            os.kill(os.getpid(), getattr(signal, name))
            assert capfd.readouterr().err.startswith(f"\nFinishing {words}, then saving.")
        made.append(kind)
        return {}

    with pytest.raises(Interrupted) as stopped:
        run(tmp_path, evaluate=lambda: work("evaluate"), draw=lambda number: work("draw"))
    assert str(stopped.value) == f"Interrupted after epoch {epoch}. All is saved in {tmp_path}; --resume goes on."
    assert made[-1] == piece and made.count("evaluate") == epoch
    drawn: list[int] = []
    run(tmp_path, resume=True, draw=drawn.append)
    assert drawn == list(range(epoch, EPOCHS + 1)) and final_state(tmp_path) == uninterrupted


def test_a_signal_that_comes_after_the_last_piece_is_not_swallowed() -> None:
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), Interruption():
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(ZeroDivisionError), Interruption():
            signal.raise_signal(signal.SIGINT)
            raise ZeroDivisionError
    finally:
        signal.signal(signal.SIGINT, usual)


def test_under_nohup_the_end_of_the_terminal_is_ignored(tmp_path: Path, uninterrupted: dict) -> None:
    usual = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        run(tmp_path, at(5, signal.SIGHUP))
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, usual)
    assert final_state(tmp_path) == uninterrupted


def test_a_message_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    """The terminal is gone: standard error is closed."""
    code = """
os.close(2)
try:
    run(out, at(5, signal.SIGINT))
except Interrupted:
    os._exit(7)
"""
    assert in_a_process("from minigen.train import Interrupted\n" + code, tmp_path).returncode == 7
