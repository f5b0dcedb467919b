"""A folder of images as a data set: files of any size and format are made square and of one size, RGB or grey."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minigen.data.dataset import Dataset

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"}


def load_folder(path: str | Path, split: str = "train", *, size: int = 32, channels: int = 3) -> Dataset:
    """All images under the folder `path`, sorted by name, (N, channels, size, size): RGB, or grey with `channels=1`.

    The shorter side of an image is resized to `size`, and the middle of the longer side is kept. An image in a
    subfolder is labelled with the subfolder's name; images directly in the folder all get label 0. If the folder has a
    subfolder with the name of the split ("train" or "test"), that subfolder is read instead, and the labels are those
    of the classes of both splits.

    Raises `ValueError` if there is no image, or if one cannot be read (see `read_image`), naming it.
    """
    if channels not in (1, 3) or size < 1:
        raise ValueError(f"load_folder: expects channels=1 or 3 and size >= 1, got channels={channels}, size={size}")
    root = Path(path).expanduser()
    if not root.is_dir():
        raise ValueError(f"load_folder: {root} is not a folder")
    parts = {part: _images_in(root / part) for part in {split, "train", "test"} if (root / part).is_dir()}
    if split not in parts and (parts or split != "train"):
        raise ValueError(f"load_folder: {root} has no subfolder {split!r}")
    folder, files = (root / split, parts[split]) if parts else (root, _images_in(root))
    if not files:
        raise ValueError(f"load_folder: {folder} has no image (of the types {' '.join(sorted(SUFFIXES))})")
    subfolders = {*files.values()}
    if "" in subfolders and len(subfolders) > 1:
        raise ValueError(f"load_folder: {folder} has images both in subfolders and beside them")
    both = {name for part in parts.values() for name in part.values()}
    classes = sorted(subfolders | both - {""}) if "" not in subfolders else [""]
    images = np.empty((len(files), channels, size, size), np.uint8)
    for image, file in zip(images, files, strict=True):
        image[:] = read_image(file, size, channels)
    labels = np.array([classes.index(name) for name in files.values()], np.int64)
    return Dataset(images, labels, ("image",) if classes == [""] else tuple(classes), root.resolve().name, split)


def _images_in(folder: Path) -> dict[Path, str]:
    """The image files under the folder, sorted, each with the name of its subfolder, "" if it is directly in it."""
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
    return {p: "" if p.parent == folder else p.relative_to(folder).parts[0] for p in files}


def read_image(path: str | Path, size: int, channels: int = 3) -> np.ndarray:
    """One image file, resized and cropped to (channels, size, size) uint8; what is transparent becomes white.

    Raises `ValueError`, naming the file, if it cannot be read, is a PNG file with a wrong checksum (the other formats
    have none), or claims more pixels than Pillow's limit of 89 million (`PIL.Image.MAX_IMAGE_PIXELS`).
    """
    from PIL import Image, ImageOps

    mode = "L" if channels == 1 else "RGB"
    try:
        with _open_image(path) as image:
            image.verify()  # the checksums of a PNG file, which decoding does not look at
        with _open_image(path) as image:
            ImageOps.exif_transpose(image, in_place=True)  # photographs say how the camera was held
            if image.mode.startswith("I;16"):  # Pillow would clip 16 bits, not scale them
                image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
            if image.has_transparency_data:  # else a black drawing on a transparent ground would be all black
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
            if image.mode != mode:
                image = image.convert(mode)
            image = ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)
    except Exception as error:  # Pillow's readers raise errors of many types
        raise ValueError(f"{path}: not an image that can be read ({type(error).__name__}: {error})") from error
    return np.asarray(image).reshape(size, size, channels).transpose(2, 0, 1)  # (H, W, C) -> (C, H, W)


def _open_image(path: str | Path) -> Image.Image:
    """The image, not decoded yet; Pillow's warning that it claims too many pixels becomes an error."""
    from PIL import Image

    with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning):
        return Image.open(path)
