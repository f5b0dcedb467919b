"""An image of the user's own, in the shape of a data set's images."""

from __future__ import annotations

from pathlib import Path

from minigen import data


def one_image(given: str, test_images: data.Dataset) -> data.Dataset:
    """The test image of that number, or a file's image in their shape; drawn on white paper, where they are on black
    ground, it is inverted."""
    if given.isdecimal():
        if int(given) >= len(test_images):
            raise ValueError(f"--image expects a file, or a number from 0 to {len(test_images) - 1}, got {given}")
        return test_images[[int(given)]]
    channels, height, _ = test_images.image_shape
    image = data.images.read_image(given, height, channels)
    ground = lambda x: x[..., [0, -1], :].mean()  # the first and the last row
    if ground(test_images.images) < 25 and ground(image) > 127:
        print(f"{given} is inverted, because {test_images.name} have a black ground")
        image = 255 - image
    return data.Dataset(image[None], test_images.labels[:1] * 0, test_images.classes, Path(given).name, "test")
