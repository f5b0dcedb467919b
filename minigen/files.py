"""Safe files: they are written completely or not at all, and a folder is locked for one training run at a time.

The names of temporary files and locks contain the host and the process number. So no two processes share a name, and
the next process recognises and removes the files of a killed one.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_numbers = itertools.count()


def read_json(path: Path, *, lines: bool = False) -> Any:
    """What a JSON file holds; with `lines`, a list of what each line holds. `ValueError` that names a damaged file."""
    try:
        text = path.read_text()
        return [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)
    except ValueError as error:
        raise ValueError(f"{path}: is no JSON, or cut short ({error})") from None


@contextlib.contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Give a temporary path to write to, which is renamed to `path` when the block ends, or removed if it fails.

    An `OSError`, such as that of a full disk, names `path`; what was there before is then unchanged.
    """
    path = Path(path)
    temporary = path.with_name(_own_name(f"{next(_numbers)}.tmp"))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path.parent, "*.tmp")
        yield temporary
        _sync(temporary)
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or error
        raise OSError(f"{path}: cannot be written ({reason}); what was there before is unchanged") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    with contextlib.suppress(OSError):  # some platforms cannot open a folder
        _sync(path.parent)  # without this a power cut may undo the renaming


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[Path]:
    """Lock the folder for this process inside the block; gives the lock file, which is removed at the end.

    `RuntimeError` that names the other process if there is one, `OSError` if the folder cannot be written to.
    A process writes its own lock file and then looks for those of others. So if two processes begin at the same time,
    at least one of them sees the other.
    """
    own = folder / _own_name("run.lock")
    try:
        own.touch()
    except OSError as error:
        raise OSError(f"{folder}: cannot be written to ({error.strerror})") from None
    try:
        _remove_leftovers(folder, "run.lock")
        locks = set(folder.glob(".minigen-*-run.lock"))
        for other in locks - {own}:
            host, process = _owner(other)
            raise RuntimeError(
                f"{folder}: process {process} on {host} trains in this folder; choose another folder "
                f"(or delete {other}, if that process is not a training run)"
            )
        if own not in locks:
            raise RuntimeError(f"{folder}: another process has just moved this folder; choose another folder")
        yield own
    finally:
        own.unlink(missing_ok=True)


def _own_name(kind: str) -> str:
    """The name of a hidden file that belongs to this process."""
    return f".minigen-{socket.gethostname()}-{os.getpid()}-{kind}"


def _owner(path: Path) -> tuple[str, str]:
    """The host and the process number in the name of such a file."""
    host, _, process = path.name.removeprefix(".minigen-").rpartition("-")[0].rpartition("-")
    return host, process


def _remove_leftovers(folder: Path, kind: str) -> None:
    """Remove the files of this kind whose processes, on this host, have ended."""
    for path in folder.glob(f".minigen-*-{kind}"):
        host, process = _owner(path)
        if host == socket.gethostname() and process.isdecimal() and not _is_running(int(process)):
            with contextlib.suppress(OSError):  # it may be another user's, or gone
                path.unlink()


def _is_running(process: int) -> bool:
    """Whether this host has a process of that number; assumed on Windows, where `os.kill` would end it."""
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)  # signal 0 only asks
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # it is another user's
        pass
    return True


def _sync(path: Path) -> None:
    """Wait until a file's contents, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
