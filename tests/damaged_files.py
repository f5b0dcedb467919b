"""Damage files of every format that minigen reads, at random places, and check what the readers make of them.

    python tests/damaged_files.py --files 10000

A reader passes if it refuses the file with a `ValueError` or `OSError` that names it, or reads what was there before.
Where a format has no checksum over its content, it may also read something else. It fails if it accepts a changed
content in spite of a checksum, raises another error, takes more than some seconds, or takes memory that these small
files cannot claim. File number i of a seed is always damaged in the same way: `--first i --files 1` repeats it.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import io
import resource
import signal
import sys
import tarfile
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

import minigen
from minigen import nn
from minigen.data import Dataset, Loader, load_attributes, load_folder
from minigen.data.cifar10 import FILES, FOLDER, read_cifar10
from minigen.data.download import RemoteFile, fetch
from minigen.data.idx import read_images_and_labels, write_idx
from minigen.models import VAE
from minigen.optim import Adam
from minigen.random import manual_seed
from minigen.train import MaximumLikelihood, train

DEMOS = Path(__file__).parents[1] / "demos"
SECONDS = 5  # that a file may take
MEGABYTES = 64  # that a file may take; each has less than 0.3

# -- the formats -------------------------------------------------------------------------------------------------------


class Format(NamedTuple):
    """How files of a format are written into a folder and read from it."""

    write: Callable[[Path, np.random.Generator], None]
    read: Callable[[Path], Any]  # arrays, or what repr tells apart
    damaged: str  # a pattern of the files that are damaged
    checksum: bool  # covers the whole content


def write_idx_pair(folder: Path, rng: np.random.Generator, suffix: str = "") -> None:
    write_idx(folder / f"images{suffix}", rng.integers(0, 256, (30, 8, 9), np.uint8))
    write_idx(folder / f"labels{suffix}", rng.integers(0, 10, 30, np.uint8))


def read_idx_pair(folder: Path, suffix: str = "") -> Any:
    return read_images_and_labels(folder / f"images{suffix}", folder / f"labels{suffix}")


def write_mnist(folder: Path, rng: np.random.Generator) -> None:
    write_idx_pair(folder, rng)
    (folder / "checksum").write_text(hashlib.sha256((folder / "images").read_bytes()).hexdigest())


def read_mnist(folder: Path) -> Any:
    file = RemoteFile("images", (folder / "checksum").read_text(), mirrors=())
    return read_images_and_labels(fetch(folder.name, file, folder.parent), folder / "labels")


def cifar10_files(rng: np.random.Generator) -> dict[str, bytes]:
    pixels = rng.integers(0, 256, (6, 10, 3072), np.uint8)
    labels = np.stack([rng.permutation(10) for _ in range(6)]).astype(np.uint8)[:, :, None]
    records = np.concatenate([labels, pixels], axis=2)
    return dict(zip((*FILES["train"], *FILES["test"]), map(np.ndarray.tobytes, records), strict=True))


def write_cifar10_folder(folder: Path, rng: np.random.Generator) -> None:
    for name, content in cifar10_files(rng).items():
        (folder / name).write_bytes(content)


def write_cifar10_archive(folder: Path, rng: np.random.Generator, mode: Any = "w:gz") -> None:
    with tarfile.open(folder / "archive", mode) as archive:
        for name, content in cifar10_files(rng).items():
            member = tarfile.TarInfo(f"{FOLDER}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def read_cifar10_splits(path: Path) -> Any:
    return [read_cifar10(path, split, images_per_file=10) for split in ("train", "test")]


def write_images(folder: Path, rng: np.random.Generator, suffix: str) -> None:
    for i in range(2):
        Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).save(folder / f"image{i}{suffix}")


def write_attributes(folder: Path, rng: np.random.Generator) -> None:
    write_images(folder, rng, ".png")
    rows = [f"image{i % 2}.png " + " ".join(map(str, rng.choice([-1, 1], 3))) for i in range(8)]
    (folder / "list.txt").write_text("\n".join(["8", "Bangs Hat Male", *rows, ""]))


def write_weights(folder: Path, rng: np.random.Generator) -> None:
    minigen.save(nn.Linear(9, 8), folder / "weights.safetensors")


def read_weights(folder: Path) -> Any:
    layer = nn.Linear(9, 8)
    minigen.load(folder / "weights.safetensors", into=layer)
    return list(layer.state_dict().values())


def train_or_resume(folder: Path, resume: bool = True) -> Any:
    manual_seed(0)
    vae = VAE((1, 4, 4), 2, 6)
    step = MaximumLikelihood(vae, Adam(vae.parameters()))
    images = np.random.default_rng(0).integers(0, 256, (8, 1, 4, 4), np.uint8)
    with redirect_stderr(io.StringIO()):
        log = train(step, Loader(Dataset.from_arrays(images), 8), epochs=2, out=folder, resume=resume)
    return [log, *vae.state_dict().values()]


def write_samples(folder: Path, rng: np.random.Generator) -> None:
    np.save(folder / "samples.npy", rng.integers(0, 256, (5, 1, 8, 8), np.uint8))


def read_samples(folder: Path) -> Any:
    from common.judge import read_samples

    return read_samples(folder / "samples.npy")


FORMATS = {
    "idx": Format(write_idx_pair, read_idx_pair, "*", False),
    "idx, gzipped": Format(lambda f, rng: write_idx_pair(f, rng, ".gz"), lambda f: read_idx_pair(f, ".gz"), "*", True),
    "idx, published checksum": Format(write_mnist, read_mnist, "images", True),
    "cifar10 folder": Format(write_cifar10_folder, read_cifar10_splits, "*", False),
    "cifar10 archive": Format(write_cifar10_archive, lambda f: read_cifar10_splits(f / "archive"), "archive", True),
    "cifar10 archive, not gzipped": Format(
        lambda f, rng: write_cifar10_archive(f, rng, "w"),
        lambda f: read_cifar10_splits(f / "archive"),
        "archive",
        False,
    ),
    "png": Format(lambda f, rng: write_images(f, rng, ".png"), lambda f: load_folder(f, size=8).images, "*", True),
    "jpeg": Format(lambda f, rng: write_images(f, rng, ".jpg"), lambda f: load_folder(f, size=8).images, "*", False),
    "attribute list": Format(
        write_attributes, lambda f: vars(load_attributes(f, f / "list.txt", ("Bangs", "Male"), size=8)), "*.txt", False
    ),
    "safetensors weights": Format(write_weights, read_weights, "*", True),
    "checkpoint": Format(lambda f, rng: train_or_resume(f, resume=False), train_or_resume, "checkpoint*", True),
    "log.jsonl": Format(  # written anew from the checkpoint, which holds its records
        lambda f, rng: train_or_resume(f, resume=False), train_or_resume, "log.jsonl", True
    ),
    "samples.npy": Format(write_samples, read_samples, "*", False),
}

# -- the damages -------------------------------------------------------------------------------------------------------


def flip_bits(content: bytearray, rng: np.random.Generator) -> bytearray:
    for _ in range(rng.integers(1, 9)):
        content[place(content, rng)] ^= 1 << rng.integers(8)
    return content


def overwrite(content: bytearray, rng: np.random.Generator) -> bytearray:
    start, count = place(content, rng), int(rng.integers(1, 33))
    new = [bytes(count), b"\xff" * count, rng.bytes(count)][rng.integers(3)]
    content[start : start + count] = new[: len(content) - start]
    return content


def truncate(content: bytearray, rng: np.random.Generator) -> bytearray:
    return content[: place(content, rng)]


def extend(content: bytearray, rng: np.random.Generator) -> bytearray:
    count = int(rng.integers(1, 100))
    return content + [bytes(count), rng.bytes(count), content][rng.integers(3)]


def append_bomb(content: bytearray, rng: np.random.Generator) -> bytearray:
    """Append 100 kB that unpack to 100 MB, if the file is gzipped: a gzip file may have several members."""
    return content + gzip.compress(bytes(1 << 20)) * 100


def swap(content: bytearray, rng: np.random.Generator) -> bytearray:
    """Exchange two pieces, such as two sizes in a header."""
    count = int(rng.choice([1, 2, 4, 8, 16]))
    a, b = sorted((place(content, rng), place(content, rng)))
    if a + count <= b and b + count <= len(content):
        content[a : a + count], content[b : b + count] = content[b : b + count], content[a : a + count]
    return content


def place(content: bytearray, rng: np.random.Generator) -> int:
    """Anywhere in the file, but every third time near its beginning, where the headers are."""
    return int(rng.integers(len(content) if rng.random() < 2 / 3 else min(len(content), 64)))


DAMAGES = (flip_bits, overwrite, truncate, extend, append_bomb, swap)

# -- what the readers make of them -------------------------------------------------------------------------------------


class TooSlow(BaseException):
    """Raised by the alarm: not an `Exception`, so that no reader takes it for its own."""


def digest(value: Any) -> str:
    """The same for two results exactly if their arrays, and whatever else they hold, are the same."""
    if isinstance(value, dict):
        return digest(list(value.items()))
    if isinstance(value, list | tuple):
        return hashlib.sha256("".join(map(digest, value)).encode()).hexdigest()
    if isinstance(value, np.ndarray):
        return f"{value.shape} {value.dtype} {hashlib.sha256(value.tobytes()).hexdigest()}"
    return repr(value)


def peak_megabytes() -> float:
    """The most memory that this process has held so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def outcome(form: Format, folder: Path, file: Path, expected: str) -> str:
    """ "refused", "unchanged", "differs", or what the reader did wrong, beginning with "FAULT"."""
    before = peak_megabytes()
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        found = "unchanged" if digest(form.read(folder)) == expected else "differs"
    except (ValueError, OSError) as error:
        found = "refused" if file.name in str(error) else f"FAULT: the error does not name {file.name}: {error}"
    except (Exception, TooSlow) as error:
        found = f"FAULT: {type(error).__name__}: {error}"
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    if peak_megabytes() - before > MEGABYTES:
        return f"FAULT: took {peak_megabytes() - before:.0f} MB ({found})"
    return f"FAULT: differs in spite of the checksum ({file.name})" if found == "differs" and form.checksum else found


def check(name: str, numbers: range, seed: int, folder: Path) -> Counter[str]:
    """Damage files number `numbers` of that format; prints the faults and counts the outcomes."""
    form, counts = FORMATS[name], Counter[str]()
    folder.mkdir()
    form.write(folder, np.random.default_rng(seed))
    originals = {path: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
    victims = [path for path in originals if path.match(form.damaged)]
    expected = digest(form.read(folder))
    for number in numbers:
        rng = np.random.default_rng([seed, number])
        file, damage = victims[rng.integers(len(victims))], DAMAGES[rng.integers(len(DAMAGES))]
        damaged = bytearray(originals[file])
        while damaged == originals[file]:  # two equal pieces may be swapped
            damaged = damage(damaged, rng)
        for path, content in {**originals, file: damaged}.items():
            path.write_bytes(content)
        found = outcome(form, folder, file, expected)
        if found.startswith("FAULT"):
            print(f"{name}, file {number}, {damage.__name__}: {found}", flush=True)
        counts[found.partition(":")[0]] += 1
    return counts


def main() -> int:
    """The number of faults, after a table of the outcomes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000, help="how many files, over all formats")
    parser.add_argument("--first", type=int, default=0, help="the first file's number")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=list(FORMATS), metavar="FORMAT")
    args = parser.parse_args()

    def too_slow(number: int, frame: Any) -> None:
        raise TooSlow(f"more than {SECONDS} seconds")

    signal.signal(signal.SIGALRM, too_slow)
    warnings.simplefilter("ignore", UserWarning)
    sys.path.append(str(DEMOS))
    total = Counter[str]()
    print(f"{'format':30} {'refused':>8} {'unchanged':>10} {'differs':>8} {'faults':>7}")
    with tempfile.TemporaryDirectory() as folder:
        for i, name in enumerate(args.formats):
            each = len(range(i, args.files, len(args.formats)))
            counts = check(name, range(args.first, args.first + each), args.seed, Path(folder) / f"format{i}")
            total += counts
            print(
                f"{name:30} {counts['refused']:8} {counts['unchanged']:10} {counts['differs']:8} {counts['FAULT']:7}"
                + ("" if FORMATS[name].checksum else "   no checksum")
            )
    print(f"{'all':30} {total['refused']:8} {total['unchanged']:10} {total['differs']:8} {total['FAULT']:7}")
    print(f"at most {peak_megabytes():.0f} MB in all")
    return total["FAULT"]


if __name__ == "__main__":
    sys.exit(min(main(), 100))
