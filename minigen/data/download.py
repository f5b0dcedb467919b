"""Finding a data file on this machine, or downloading it.

Folders are searched in this order: `data_dir`, the environment variable `MINIGEN_DATA`, the cache. A file may lie
in a subfolder called like its data set or directly in the folder, gzipped or not. What counts is its content:
nothing is used whose SHA-256 is not the published one. A download goes to the first of the folders.
"""

from __future__ import annotations

import os
import sys
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from minigen.data.idx import open_plain


@dataclass(frozen=True)
class RemoteFile:
    """A file that can be downloaded, `name` + ".gz" if it is `gzipped`, from every one of its `mirrors`.

    `sha256` is that of the uncompressed content: the compressed bytes differ from mirror to mirror.
    """

    name: str
    sha256: str
    mirrors: tuple[str, ...]  # addresses of folders, each with its last slash
    gzipped: bool = True

    @property
    def stored_name(self) -> str:
        return self.name + ".gz" if self.gzipped else self.name

    def fault(self, path: Path) -> str | None:
        """What is wrong with the content of `path`; None if it is this file."""
        import hashlib  # slow to import

        try:
            with open_plain(path) if self.gzipped else path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        except (OSError, EOFError, zlib.error) as error:
            return f"unreadable, {error}"
        return None if found == self.sha256 else f"its content has the SHA-256 {found}, not {self.sha256}"


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

    Raises `ValueError` if the file in the data set's own folder has another content, `FileNotFoundError` with all
    that was tried if there is none and it cannot be downloaded.
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
    import pooch
    from tqdm import tqdm

    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    for mirror in file.mirrors:
        address = mirror + file.stored_name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            tqdm.write(f"{dataset}: downloading {address}", file=sys.stderr)
            pooch.HTTPDownloader(progressbar=True, chunk_size=1 << 16)(address, str(unfinished), None)
            fault = file.fault(unfinished)
            if fault is None:
                os.replace(unfinished, target)
                return target
        except OSError as error:  # every error of a connection is one
            fault = f"{type(error).__name__}: {error}"
        finally:
            with suppress(OSError):
                unfinished.unlink()
        tried.append(f"{address}: {fault}")
    raise FileNotFoundError(
        f"{dataset}: {file.stored_name} is not on this machine and could not be downloaded. Tried:\n  "
        + "\n  ".join(tried)
        + f"\nTo use it without a network, put it at {target}"
        + (", gzipped or not" if file.gzipped else "")
    )
