"""A folder of images as a data set: any size and format, RGB or grey, made square and of one size."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from minigen.data.dataset import Dataset

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}


def load_folder(path: str | Path, split: str = "train", *, size: int = 32, channels: int = 3) -> Dataset:
    """All images under the folder `path`, sorted by name, as (N, channels, size, size): RGB or, with 1, grey.

    The shorter side is resized to `size` and the middle cut out. Images in subfolders are labelled with the
    subfolder's name; images directly in the folder all get label 0. If the folder has a subfolder called like the
    split ("train", "test"), that one is read instead.

    Raises `ValueError` if there is no image, or naming the one that cannot be read.
    """
    if channels not in (1, 3) or size < 1:
        raise ValueError(f"load_folder: takes channels=1 or 3 and size >= 1, got channels={channels}, size={size}")
    folder = Path(path).expanduser()
    name = folder.resolve().name
    if not folder.is_dir():
        raise ValueError(f"load_folder: {folder} is not a folder")
    if (folder / split).is_dir():
        folder = folder / split
    elif split != "train":
        raise ValueError(f"load_folder: {folder} has no subfolder {split!r}")
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    if not files:
        raise ValueError(f"load_folder: {folder} has no image; takes {' '.join(sorted(SUFFIXES))}")
    parents = [p.relative_to(folder).parts[:-1] for p in files]
    subfolders = [parts[0] if parts else "" for parts in parents]
    classes = tuple(sorted(set(subfolders)))
    if "" in classes and len(classes) > 1:
        raise ValueError(f"load_folder: {folder} has images both in subfolders and beside them")
    images = np.empty((len(files), channels, size, size), np.uint8)
    for image, file in zip(images, files, strict=True):
        image[:] = read_image(file, size, channels)
    labels = np.array([classes.index(subfolder) for subfolder in subfolders], np.int64)
    return Dataset(images, labels, ("image",) if classes == ("",) else classes, name, split)


def read_image(path: str | Path, size: int, channels: int = 3) -> np.ndarray:
    """One image file, resized and cropped to (channels, size, size) uint8."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as file:
            image: Image.Image = ImageOps.exif_transpose(file)  # photographs say how the camera was held
            if image.mode.startswith("I;16"):  # Pillow would clip 16 bits, not scale them
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            image = image.convert("L" if channels == 1 else "RGB")
            image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    except Exception as error:  # Pillow's readers raise errors of many types
        raise ValueError(f"{path}: not an image that can be read ({type(error).__name__}: {error})") from error
    return np.asarray(image).reshape(size, size, channels).transpose(2, 0, 1)  # (H, W, C) -> (C, H, W)
