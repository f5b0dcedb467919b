"""The image buffer: it fills up, then exchanges half of what it gets; nothing is lost, and frozen it is still."""

from __future__ import annotations

import numpy as np
import pytest

from minigen.backend import Device, to_numpy
from minigen.models.zoo.image_buffer import ImageBuffer
from minigen.nn.module import frozen

SHAPE = (1, 2, 2)


def batch(device: Device, round: int, n: int = 4) -> object:
    """Images that are numbered over all rounds, from 1 on."""
    values = np.arange(n * round, n * (round + 1), dtype="float32") + 1
    return device.asarray(np.broadcast_to(values.reshape(n, 1, 1, 1), (n, *SHAPE)))


def numbers(x: object) -> list[int]:
    values = to_numpy(x).reshape(-1, 4)
    assert (values == values[:, :1]).all()
    return values[:, 0].astype(int).tolist()


def test_it_fills_up_and_then_exchanges_half(device: Device) -> None:
    buffer, old = ImageBuffer(SHAPE, 10), 0
    for round in range(500):
        before, x = numbers(buffer.images.data), batch(device, round)
        out = buffer(x, round)
        assert out.device == device and out.dtype == np.float32
        given, returned, now = numbers(x), numbers(out.data), numbers(buffer.images.data)
        if round < 3:
            assert returned == given and now[: 4 * (round + 1)] == list(range(1, min(5 + 4 * round, 11)))
        else:  # what is kept and what is returned are what was there and what came
            assert sorted(returned + now) == sorted(given + before)
            assert all(value in given or value in before for value in returned)
            old += sum(value not in given for value in returned)
    assert old / (4 * 497) == pytest.approx(0.5, abs=0.06)
    assert set(numbers(buffer.images.data)) != set(range(1, 11))


@pytest.mark.parametrize("still", ["evaluation", "frozen"])
def test_it_can_be_held_still(still: str, device: Device) -> None:
    buffer, x = ImageBuffer(SHAPE, 4), batch(device, 0)
    if still == "evaluation":
        assert numbers(buffer.eval()(x, 5).data) == numbers(x)
    else:
        with frozen(buffer):
            assert numbers(buffer(x, 5).data) == numbers(x)
    assert not to_numpy(buffer.images.data).any()


def test_its_images_are_state(device: Device) -> None:
    buffer, other = ImageBuffer(SHAPE, 4), ImageBuffer(SHAPE, 4)
    buffer(batch(device, 0), 0)
    other.load_state_dict(buffer.state_dict())
    assert numbers(other.images.data) == [1, 2, 3, 4]


def test_errors(device: Device) -> None:
    with pytest.raises(ValueError, match=r"^ImageBuffer: expects capacity >= 1, got 0$"):
        ImageBuffer(SHAPE, 0)
    with pytest.raises(ValueError, match=r"^ImageBuffer: expects at most 3 images, got 4$"):
        ImageBuffer(SHAPE, 3)(batch(device, 0), 0)
