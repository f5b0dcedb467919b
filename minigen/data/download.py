"""Finding a data file on this machine, or downloading it.

Folders are searched in this order: `data_dir`, the environment variable `MINIGEN_DATA`, the cache. A file may lie
in a subfolder with its data set's name or directly in the folder, gzipped or not. A file is used only if its content
has the published SHA-256. A download goes to the first of the folders.
"""

from __future__ import annotations

import os
import sys
import textwrap
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from minigen.data.files import open_uncompressed


@dataclass(frozen=True)
class RemoteFile:
    """A file that can be downloaded, called `name` + ".gz" if it is `gzipped`, from any of its `mirrors`.

    `sha256` is the checksum of the uncompressed content: the compressed bytes differ from mirror to mirror. Of a file
    that is not `gzipped`, such as an archive, it is the checksum of the file as it is.
    """

    name: str
    sha256: str
    mirrors: tuple[str, ...]  # addresses of folders, each with its last slash
    gzipped: bool = True

    @property
    def stored_name(self) -> str:
        """The file's name on the mirrors and in the folder of downloads."""
        return self.name + ".gz" if self.gzipped else self.name

    def fault(self, path: Path) -> str | None:
        """What is wrong with the content of `path`; None if it is this file."""
        import hashlib  # slow to import

        try:
            with open_uncompressed(path) if self.gzipped else path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        except (OSError, ValueError) as error:
            return str(error).removeprefix(f"{path}: ")
        return None if found == self.sha256 else f"its SHA-256 is {found[:16]}..., not {self.sha256[:16]}..."


def data_folders(data_dir: str | Path | None = None) -> list[Path]:
    """The folders in which data are searched, the one for downloads first."""
    import pooch

    folders = [data_dir, os.environ.get("MINIGEN_DATA"), pooch.os_cache("minigen")]
    paths = [Path(folder).expanduser() for folder in folders if folder]
    for path in paths:
        if path.exists() and not path.is_dir():
            raise ValueError(f"data_folders: {path} is not a folder")
    return paths


def fetch(dataset: str, file: RemoteFile, data_dir: str | Path | None = None) -> Path:
    """The path of `file` of the data set called `dataset`: found on this machine, or downloaded to it.

    Raises `ValueError` if the file in the data set's own folder has another content, and `FileNotFoundError`, listing
    all that was tried, if the file is not on this machine and cannot be downloaded.
    """
    folders = data_folders(data_dir)
    left_aside = []
    for folder in folders:
        for place in (folder / dataset, folder):
            for path in (place / file.stored_name, place / file.name):
                if not path.is_file():
                    continue
                fault = file.fault(path)
                if fault is None:
                    return path
                if place.name == dataset:
                    raise ValueError(f"{path} is not {dataset}'s: {fault}; remove it to download it anew")
                left_aside.append(f"{path}: {fault}")  # MNIST and Fashion-MNIST call their files the same
    return _download(dataset, file, folders[0] / dataset / file.stored_name, left_aside)


def _download(dataset: str, file: RemoteFile, target: Path, tried: list[str]) -> Path:
    """Download `file` to `target` from the first mirror that has it; leave no new folder behind if none has."""
    from tqdm import tqdm

    new_folders = [folder for folder in target.parents if not folder.exists()]
    for mirror in file.mirrors:
        address = mirror + file.stored_name
        tqdm.write(f"{dataset}: downloading {address}", file=sys.stderr)
        fault = _try_to_download(address, file, target)
        if fault is None:
            return target
        tried.append(f"{address}: {fault}")
    for folder in new_folders:
        with suppress(OSError):
            folder.rmdir()
    raise FileNotFoundError(
        f"{dataset}: {file.stored_name} is not on this machine and could not be downloaded. Tried:\n  "
        + "\n  ".join(tried)
        + f"\nTo use it without a network, put it at {target}"
        + (", gzipped or not" if file.gzipped else "")
    )


def _try_to_download(address: str, file: RemoteFile, target: Path) -> str | None:
    """Download `file` from `address` to `target`; what went wrong, in a line, or None."""
    import pooch

    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        pooch.HTTPDownloader(progressbar=True, chunk_size=1 << 16)(address, str(unfinished), None)
        fault = file.fault(unfinished)
        if fault is None:
            os.replace(unfinished, target)
        return fault
    except OSError as error:  # every error of a connection is one
        return _in_a_line(error)
    finally:
        with suppress(OSError):
            unfinished.unlink()


def _in_a_line(error: BaseException) -> str:
    """The first cause of an error: requests wraps urllib3's errors, which wrap the system's."""
    while error.__context__ is not None:
        error = error.__context__
    message, _, _ = str(error).partition(" for url")  # the address stands before it already
    return textwrap.shorten(f"{type(error).__name__}: {message}", 120, placeholder=" ...")
