"""The data sets of 28 x 28 grey images in MNIST's format: `digits`, `mnist` and `fashion-mnist`."""

from __future__ import annotations

from pathlib import Path

from minigen.data.dataset import Dataset
from minigen.data.download import RemoteFile, fetch
from minigen.data.idx import read_images_and_labels

DIGITS = tuple("0123456789")
CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
CLASSES = {"mnist": DIGITS, "fashion-mnist": CLOTHES}

FILES = {  # of each split: images, labels
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
MIRRORS = {
    "mnist": ("https://storage.googleapis.com/cvdf-datasets/mnist/", "https://ossci-datasets.s3.amazonaws.com/mnist/"),
    "fashion-mnist": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
}
SHA256 = {
    "mnist": {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
}


def load_digits(split: str = "train") -> Dataset:
    """The first 8,000 training or 2,000 test images of MNIST, (N, 1, 28, 28), which come with minigen.

    By Yann LeCun and Corinna Cortes, CC BY-SA 3.0: see digits/LICENSE.md.
    """
    images, labels = (Path(__file__).parent / "digits" / f"{name}.gz" for name in FILES[split])
    return _read(images, labels, DIGITS, "digits", split)


def load_mnist(name: str, split: str = "train", data_dir: str | Path | None = None) -> Dataset:
    """All of "mnist" or "fashion-mnist": 60,000 training or 10,000 test images, (N, 1, 28, 28).

    The files are searched and, if need be, downloaded by `download.fetch`, which also says what it raises; a file
    is used only if it has the published SHA-256.
    """
    images, labels = (
        fetch(name, RemoteFile(file, SHA256[name][file], MIRRORS[name]), data_dir) for file in FILES[split]
    )
    return _read(images, labels, CLASSES[name], name, split)


def _read(images_path: Path, labels_path: Path, classes: tuple[str, ...], name: str, split: str) -> Dataset:
    images, labels = read_images_and_labels(images_path, labels_path)
    if images.shape[1:] != (1, 28, 28):
        raise ValueError(f"{images_path}: expects images of 28 x 28, got {images.shape[2]} x {images.shape[3]}")
    if labels.max(initial=0) >= len(classes):
        raise ValueError(f"{labels_path}: expects labels 0 ... {len(classes) - 1}, got {labels.max()}")
    return Dataset(images, labels, classes, name, split)
