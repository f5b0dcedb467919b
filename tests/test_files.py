"""Writing: whole files or none, also after a power cut; one training run at a time in a folder."""

from __future__ import annotations

import errno
import os
import re
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from minigen.files import atomic_write, locked

HOST = socket.gethostname()


@pytest.fixture
def ended() -> str:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return str(process.pid)


@pytest.fixture
def running() -> Iterator[str]:
    """The number of a process that is running."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield str(process.pid)
    process.communicate(b"\n")


# -- atomic_write ------------------------------------------------------------------------------------------------------


def test_a_file_is_replaced_in_one_step(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "file"
    with atomic_write(path) as temporary:
        temporary.write_text("first")
        assert not path.exists() and temporary.parent == path.parent
    with atomic_write(path) as temporary:
        temporary.write_text("second")
        assert path.read_text() == "first"
    assert path.read_text() == "second" and os.listdir(path.parent) == ["file"]


def test_the_file_and_then_its_name_reach_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        done.append("fsync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "fsync file")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", lambda a, b: (done.append("replace"), replace(a, b)))
    folder = tmp_path / "folder"
    with atomic_write(folder / "file") as temporary:
        temporary.write_text("contents")
    assert done == ["fsync file", "replace", "fsync folder"]


def test_a_write_that_fails_names_the_file_and_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    message = f"{path}: cannot be written (No space left on device); what was there before is unchanged"
    with pytest.raises(OSError, match=f"^{re.escape(message)}$"), atomic_write(path) as temporary:
        temporary.write_text("new")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(KeyError), atomic_write(path) as temporary:
        temporary.write_text("new")
        raise KeyError
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["file"]
    with (
        pytest.raises(OSError, match=re.escape(f"{path / 'in a file'}: cannot be written")),
        atomic_write(path / "in a file"),
    ):
        pass


def test_two_writers_do_not_share_a_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    with atomic_write(path) as first, atomic_write(path) as second:
        first.write_text("first")
        second.write_text("second")
    assert path.read_text() == "first" and os.listdir(tmp_path) == ["file"]


def test_what_a_killed_process_left_is_removed(tmp_path: Path, ended: str, running: str) -> None:
    kept = {f".minigen-{HOST}-{running}-0.tmp", f".minigen-elsewhere-{ended}-0.tmp", f".minigen-a-{HOST}-{ended}-0.tmp"}
    kept |= {".minigen-a-b.tmp", ".minigen-a-b-c.tmp", f".other-{HOST}-{ended}-0.tmp"}
    for name in (*kept, f".minigen-{HOST}-{ended}-0.tmp", f".minigen-{HOST}-{ended}-17.tmp"):
        (tmp_path / name).touch()
    with atomic_write(tmp_path / "file") as temporary:
        temporary.touch()
    assert set(os.listdir(tmp_path)) == {"file", *kept}


def test_leftovers_that_cannot_be_removed_do_no_harm(
    tmp_path: Path, ended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's, in a folder where everybody may write."""
    unlink, leftover = Path.unlink, tmp_path / f".minigen-{HOST}-{ended}-0.tmp"
    leftover.touch()

    def refuse(path: Path, **options: bool) -> None:
        if path == leftover:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(path))
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", refuse)
    with atomic_write(tmp_path / "file") as temporary:
        temporary.touch()
    assert set(os.listdir(tmp_path)) == {"file", leftover.name}


# -- locked ------------------------------------------------------------------------------------------------------------


def test_a_folder_belongs_to_one_process(tmp_path: Path, running: str) -> None:
    with locked(tmp_path) as lock:
        assert os.listdir(tmp_path) == [lock.name]
    assert os.listdir(tmp_path) == []
    other = tmp_path / f".minigen-{HOST}-{running}-run.lock"
    other.touch()
    message = f"{tmp_path}: process {running} on {HOST} trains in this folder; choose another folder (or delete {other}"
    with pytest.raises(RuntimeError, match=f"^{re.escape(message)}"), locked(tmp_path):
        pass
    assert os.listdir(tmp_path) == [other.name]


def test_a_killed_process_does_not_keep_its_folder(tmp_path: Path, ended: str) -> None:
    (tmp_path / f".minigen-{HOST}-{ended}-run.lock").touch()
    with locked(tmp_path) as lock:
        assert os.listdir(tmp_path) == [lock.name]
    (tmp_path / lock.name).touch()  # of a process of before that had the number of this one, as in a container
    with locked(tmp_path):
        pass
    assert os.listdir(tmp_path) == []


def test_nothing_is_known_of_a_process_on_another_host(tmp_path: Path, ended: str) -> None:
    (tmp_path / f".minigen-else.where-{ended}-run.lock").touch()
    with pytest.raises(RuntimeError, match=rf"process {ended} on else\.where trains in this folder"), locked(tmp_path):
        pass


def test_a_folder_that_vanishes_while_it_is_locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process moves the folder aside just after this one has written its lock there."""
    folder, touch = tmp_path / "run", Path.touch
    folder.mkdir()
    monkeypatch.setattr(Path, "touch", lambda path: (touch(path), folder.rename(tmp_path / "run.1"), folder.mkdir()))
    with pytest.raises(RuntimeError, match="another process has just moved this folder"), locked(folder):
        pass


def test_a_folder_that_cannot_be_locked_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "none"
    with (
        pytest.raises(OSError, match=rf"^{re.escape(str(folder))}: cannot be written to \(No such file"),
        locked(folder),
    ):
        pass
