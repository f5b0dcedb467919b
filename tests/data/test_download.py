"""Files that are there are used in place; others come from the first mirror that works and are checked."""

from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import pytest

from minigen.data.download import RemoteFile, fetch

CONTENT = b"what is in the file"
OTHER = b"what is in the file of another data set that is called the same"


def remote(*mirrors: str, gzipped: bool = True) -> RemoteFile:
    return RemoteFile("images", hashlib.sha256(CONTENT).hexdigest(), mirrors, gzipped)


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


# -- files that are already there ------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["mnist/images.gz", "mnist/images", "images.gz", "images"])
@pytest.mark.parametrize("gzipped", [True, False])
def test_a_file_that_is_there_is_used_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_cache: Path, place: str, gzipped: bool
) -> None:
    content = gzip.compress(CONTENT) if gzipped else CONTENT
    for folder in (empty_cache, tmp_path / "variable", tmp_path / "argument"):  # the later, the sooner searched
        monkeypatch.setenv("MINIGEN_DATA", str(tmp_path / "variable"))
        path = put(folder / place, content)
        assert fetch("mnist", remote(), tmp_path / "argument") == path
    assert fetch("mnist", remote()) == tmp_path / "variable" / place


def test_a_file_of_another_data_set_is_left_aside(tmp_path: Path, empty_cache: Path) -> None:
    put(tmp_path / "images.gz", gzip.compress(OTHER))  # Fashion-MNIST's, directly in the folder
    path = put(empty_cache / "mnist" / "images", CONTENT)
    assert fetch("mnist", remote(), tmp_path) == path
    path.unlink()
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path}/images.gz: its SHA-256 is"):
        fetch("mnist", remote(), tmp_path)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (OTHER, "its SHA-256 is " + hashlib.sha256(OTHER).hexdigest()[:16]),
        (gzip.compress(CONTENT, mtime=0)[:-9], "the gzip file is corrupted"),
        (gzip.compress(CONTENT, mtime=0)[:-6] + bytes(6), "the gzip file is corrupted"),
    ],
)
@pytest.mark.parametrize("data_dir", ["", "mnist"])
def test_a_damaged_file_in_its_own_folder_is_named_and_refused(
    tmp_path: Path, mirror: tuple[str, Path], content: bytes, fault: str, data_dir: str
) -> None:
    path = put(tmp_path / "mnist" / "images.gz", content)
    put(mirror[1] / "images.gz", gzip.compress(CONTENT))
    with pytest.raises(ValueError, match=f"{path} is not mnist's: {fault}.*remove it"):
        fetch("mnist", remote(mirror[0]), tmp_path / data_dir)
    assert path.read_bytes() == content


def test_an_archive_is_compared_as_it_is(tmp_path: Path) -> None:
    archive = gzip.compress(CONTENT)
    path = put(tmp_path / "images.tar.gz", archive)
    file = RemoteFile("images.tar.gz", hashlib.sha256(archive).hexdigest(), (), gzipped=False)
    assert fetch("cifar10", file, tmp_path) == path


def test_a_data_dir_that_is_a_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="file is not a folder"):
        fetch("mnist", remote(), put(tmp_path / "file", b""))


# -- downloads -------------------------------------------------------------------------------------------------


def test_downloads_from_the_next_mirror_if_one_fails(
    mirror: tuple[str, Path], dead_mirror: str, empty_cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    address, served = mirror
    put(served / "images.gz", gzip.compress(CONTENT))
    put(served / "wrong" / "images.gz", gzip.compress(OTHER))
    put(served / "damaged" / "images.gz", gzip.compress(CONTENT)[:-9])
    file = remote(dead_mirror, address + "absent/", address + "wrong/", address + "damaged/", address)
    path = fetch("mnist", file)
    assert path == empty_cache / "mnist" / "images.gz"
    assert gzip.decompress(path.read_bytes()) == CONTENT
    assert list(path.parent.iterdir()) == [path]  # and nothing unfinished beside it
    progress = capfd.readouterr().err
    assert f"mnist: downloading {address}images.gz" in progress and "100%" in progress
    (served / "images.gz").unlink()
    assert fetch("mnist", file) == path


def test_a_mirror_may_uncompress_on_the_way(mirror: tuple[str, Path], tmp_path: Path) -> None:
    put(mirror[1] / "images.gz", CONTENT)
    path = fetch("mnist", remote(mirror[0]), tmp_path)
    assert remote().fault(path) is None


def test_downloads_go_to_the_first_folder(
    mirror: tuple[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(mirror[1] / "images.gz", gzip.compress(CONTENT))
    monkeypatch.setenv("MINIGEN_DATA", str(tmp_path / "variable"))
    assert fetch("mnist", remote(mirror[0])) == tmp_path / "variable/mnist/images.gz"
    (tmp_path / "variable/mnist/images.gz").unlink()
    assert fetch("mnist", remote(mirror[0]), tmp_path / "argument") == tmp_path / "argument/mnist/images.gz"


def test_without_a_network_the_error_says_all(mirror: tuple[str, Path], dead_mirror: str, tmp_path: Path) -> None:
    address, served = mirror
    put(served / "wrong" / "images.gz", gzip.compress(OTHER))
    with pytest.raises(FileNotFoundError) as error:
        fetch("mnist", remote(dead_mirror, address, address + "wrong/"), tmp_path / "mine")
    lines = str(error.value).split("\n")
    target = tmp_path / "mine" / "mnist" / "images.gz"
    assert lines[0] == "mnist: images.gz is not on this machine and could not be downloaded. Tried:"
    assert lines[1] == f"  {dead_mirror}images.gz: ConnectionRefusedError: [Errno 111] Connection refused"
    assert lines[2] == f"  {address}images.gz: HTTPError: 404 Client Error: File not found"
    assert lines[3].startswith(f"  {address}wrong/images.gz: its SHA-256 is ")
    assert lines[4:] == [f"To use it without a network, put it at {target}, gzipped or not"]
    assert max(map(len, lines[:4])) < 140
    assert not (tmp_path / "mine").exists()
    put(target, gzip.compress(CONTENT))  # as the error says
    assert fetch("mnist", remote(dead_mirror), tmp_path / "mine") == target


def test_without_a_network_only_new_folders_vanish(dead_mirror: str, tmp_path: Path) -> None:
    for before in ("mine", "mine/mnist"):
        (tmp_path / before).mkdir()
        with pytest.raises(FileNotFoundError):
            fetch("mnist", remote(dead_mirror), tmp_path / "mine")
        assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == {
            "mine": ["mine"],
            "mine/mnist": ["mine", "mine/mnist"],
        }[before]


def test_a_folder_that_cannot_be_written_is_named(mirror: tuple[str, Path], tmp_path: Path) -> None:
    put(mirror[1] / "images.gz", gzip.compress(CONTENT))
    put(tmp_path / "mnist", b"a file in the way")
    with pytest.raises(FileNotFoundError, match=f"FileExistsError.*{tmp_path}/mnist"):
        fetch("mnist", remote(mirror[0]), tmp_path)
