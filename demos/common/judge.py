"""What the demos of generators without a likelihood say about their samples at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from minigen import data, evaluate, plot
from minigen.files import atomic_write


def save_samples(samples: np.ndarray, out: Path) -> None:
    """Write samples (N, C, H, W) with pixels in [0, 1] as bytes to `samples.npy`, for `judge` to compare with."""
    with atomic_write(out / "samples.npy") as temporary, open(temporary, "wb") as file:
        np.save(file, as_bytes(samples))


def read_samples(file: Path) -> np.ndarray:
    """Samples (N, C, H, W) uint8 from a `samples.npy`. Raises `ValueError`, naming the file, if it is damaged."""
    try:
        samples = np.lib.format.open_memmap(file, mode="r")  # which compares the sizes in the header with the file's
    except Exception as error:  # NumPy's reader raises errors of many types
        raise ValueError(f"{file}: not a .npy file, or a damaged one ({error})") from None
    if samples.ndim != 4 or samples.dtype != np.uint8:
        raise ValueError(f"{file}: samples must be (N, C, H, W) uint8, got {samples.shape} {samples.dtype}")
    return samples


def as_bytes(samples: np.ndarray) -> np.ndarray:
    """Pixels in [0, 1] as the bytes that a data set has."""
    return np.rint(np.clip(samples, 0, 1) * 255).astype(np.uint8)


def judge(
    samples: np.ndarray, images: data.Dataset, test_images: data.Dataset, out: Path, beside: Sequence[Path]
) -> None:
    """Print what a classifier sees in samples (N, C, H, W), pixels in [0, 1]; draw the training images nearest to some.

    The `samples.npy` of the folders `beside` are judged in the same way.
    """
    save_samples(samples, out)
    if len(test_images) < 4:
        print(f"\nToo few test images to judge by: {len(test_images)}")
    else:
        if len(images.classes) > 1:
            compare([out, *(folder for folder in beside if folder != out)], images, test_images)
        print_parzen(samples, test_images)
    some = as_bytes(samples[:24])
    indices, _ = evaluate.nearest(some, images.images)
    plot.save_pairs(
        some / 255.0, images.images[indices[:, 0]] / 255.0, out / "nearest.png", names=("sample", "nearest training")
    )


def trained_classifier(images: data.Dataset, test_images: data.Dataset, path: Path) -> evaluate.Classifier:
    """The classifier of these images; prints where it comes from and how good it is."""
    classifier, accuracy, origin = evaluate.trained_classifier(images, test_images, path)
    print(f"Classifier of {images.name}, {origin}: {accuracy:.1%} of {len(test_images)} test images right")
    return classifier


def compare(folders: Sequence[Path], images: data.Dataset, test_images: data.Dataset) -> None:
    """Print what a classifier of these images sees in the `samples.npy` of each folder."""
    print()
    path = folders[0].parent / "classifier" / f"{images.name}.safetensors"
    classifier = trained_classifier(images, test_images, path)
    real_images, _ = next(data.Loader(test_images, len(test_images), pixels="signed", shuffle=False).epoch(0))
    print(f"\n{'':24}  Fréchet  diversity  sure of  rarest class  shares of the classes, %")
    for folder in folders:
        file = folder / "samples.npy"
        if not file.exists():
            print(f"{folder!s:24}  no samples.npy there: run its demo to compare")
            continue
        drawn = read_samples(file)
        if drawn.shape[1:] != images.image_shape:
            print(f"{folder!s:24}  its samples are of other images, {drawn.shape[1:]}")
            continue
        found = evaluate.report_on(drawn.astype(np.float32) / 127.5 - 1, classifier, real_images)
        diversity = spread(drawn) / spread(test_images.images)
        print(
            f"{folder!s:24}  {found['frechet']:7.2f}  {diversity:9.2f}  {found['confident']:7.1%}  "
            f"{min(found['shares']):12.1%}  {' '.join(f'{100 * share:.0f}' for share in found['shares'])}"
        )
        if collapse := signs_of_collapse(diversity, found["shares"], images.classes):
            print(f"{'':24}  WARNING: {collapse}; how sure the classifier is of them means nothing")
    print(f"{'real test images':24}  {found['floor']:7.2f}  {1:9.2f}  {found['confident_real']:7.1%}")
    print(
        f"Fréchet: distance in the classifier's features to {found['compared']} test images; of others, the floor. "
        "Diversity: standard deviation of a pixel beside that of test images. Sure: probability over 0.9."
    )


def spread(images: np.ndarray) -> float:
    """The standard deviation of a pixel over images (N, C, H, W), averaged over the pixels."""
    return float(images.std(axis=0).mean())


def signs_of_collapse(diversity: float, shares: Sequence[float], classes: Sequence[str]) -> str:
    """How samples hardly differ from each other, if they do: a classifier may be sure even of fog."""
    largest = int(np.argmax(shares))
    if diversity < 0.25:
        return f"the samples hardly differ (diversity {diversity:.2f})"
    if shares[largest] > 0.9:
        return f"{shares[largest]:.0%} of the samples look like one class ({classes[largest]})"
    return ""


def print_parzen(samples: np.ndarray, test_images: data.Dataset) -> None:
    """Print the log density of test images under a Parzen window, whose width is chosen on other test images."""
    chosen = evaluate.random_subset(test_images.images, 2 * min(len(test_images) // 2, 1000)) / 255.0
    test, validation = chosen[0::2], chosen[1::2]
    sigma = evaluate.best_sigma(validation, samples)
    parzen = float(evaluate.parzen_log_prob(test, samples, sigma).mean())
    print(
        f"Parzen window, sigma {sigma:.2f}: {parzen:.0f} nats (the first GAN paper's measure; it ranks models wrongly, "
        f"Theis et al. 2016, and grows with the number of samples, here {len(samples)})"
    )
