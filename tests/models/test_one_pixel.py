"""One-pixel forms: with them, any architecture gives for each value the logits of one pass over the whole image.

Layers are added to every model here, each in one place, and sampling with the cache follows.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from models.test_autoregressive import MODELS, build, every_model, images

from minigen import nn, ops
from minigen.autograd import no_grad
from minigen.backend import default_dtype
from minigen.models import GatedPixelCNN, PixelCNN, PixelRNN, autoregressive, one_pixel
from minigen.models.autoregressive import Autoregressive, sample_from_logits
from minigen.models.gated_pixelcnn import GatedLayer
from minigen.random import manual_seed


def set_initial_states(model: nn.Module) -> None:
    """The learned states outside of the image begin at zero; here they are far from it."""
    random = np.random.default_rng(0)
    for name, p in model.named_parameters():
        if name[-2:] in ("h0", "c0"):
            p.data[...] = random.uniform(-2, 2, p.shape)


@no_grad()
def check_logits(model: Autoregressive, labels: np.ndarray | None = None) -> None:
    """For every value, the logits from the values before it are those of one pass over the whole image."""
    x, found = images(model.image_shape, model.levels, n=3), []
    whole = model.eval().logits(x, labels).numpy()

    def draw(logits: np.ndarray, noise: np.ndarray) -> np.ndarray:
        found.append(logits.copy())
        return sample_from_logits(logits, noise)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(autoregressive, "sample_from_logits", draw)
        model.sample(labels=labels, image=x, mask=np.ones(x.shape[2:], bool))  # keeps every value of x
    for (i, j, c), logits in zip(np.ndindex(*x.shape[2:], x.shape[1]), found, strict=True):
        np.testing.assert_allclose(logits, whole[:, :, c, i, j], rtol=1e-9, atol=1e-12)


@every_model
@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("kernel_size", [3, 5, 7])
def test_the_logits_are_those_of_one_pass(make: Callable, colours: int, kernel_size: int) -> None:
    """What is kept reaches as far as the first kernel."""
    model = build(make, (colours, 5, 4), 4, scale=2.0, kernel_size=kernel_size)
    set_initial_states(model)
    check_logits(model)


@pytest.mark.parametrize("kernel_size", [3, 5, 7])
def test_the_logits_are_those_of_one_pass_with_labels(kernel_size: int) -> None:
    model = build(GatedPixelCNN, (3, 5, 4), 4, scale=2.0, hidden=6, layers=3, kernel_size=kernel_size, classes=3)
    check_logits(model, np.array([0, 2, 1]))


@pytest.mark.parametrize("make", [PixelRNN, lambda *args, **options: PixelRNN(*args, "diagonal", **options)])
@pytest.mark.parametrize("colours", [1, 3])
def test_a_first_layer_of_one_tap(make: Callable, colours: int) -> None:
    """With one colour its mask A hides even that tap."""
    check_logits(build(make, (colours, 3, 3), 2, hidden=3, layers=1, kernel_size=1, head=3))


@every_model
def test_sampling_leaves_the_model_alone(make: Callable) -> None:
    model = build(make, (3, 3, 2), 3)
    before, parts = {name: x.copy() for name, x in model.state_dict().items()}, repr(model)
    model.sample(2)
    assert repr(model) == parts and all(part.training for part in model.modules())
    for name, x in model.state_dict().items():
        np.testing.assert_array_equal(x, before[name], err_msg=name)


# -- a layer is added in one place -------------------------------------------------------------------------------------


def deeper_pixelcnn(colours: int) -> PixelCNN:
    """With a 5x5 layer and an activation after its blocks."""
    model = PixelCNN((colours, 5, 4), 3, hidden=3, blocks=1, kernel_size=3, head=6)
    model.blocks = nn.Sequential(*model.blocks, nn.MaskedConv2d(6, 6, 5, "B", colours), nn.Tanh())
    return model


class DeeperGatedLayer(GatedLayer):
    """With one more convolution in each of the two stacks."""

    def __init__(self, features: int, colours: int, classes: int | None = None) -> None:
        super().__init__(features, features, 3, "B", colours, classes)
        self.lower = nn.Conv2d(features, features, (3, 5), padding=((2, 0), (2, 2)))
        self.beside = nn.MaskedConv2d(features, features, (1, 5), "B", colours)

    def down(self, v: Any, of_class: Any) -> tuple[Any, Any]:
        return super().down(v + ops.tanh(self.lower(v)), of_class)

    def across(self, h: Any, link: Any, of_class: Any) -> Any:
        return super().across(h + ops.tanh(self.beside(h)), link, of_class)


def deeper_gated_pixelcnn(colours: int) -> GatedPixelCNN:
    model = GatedPixelCNN((colours, 5, 4), 3, hidden=3, layers=2, kernel_size=3, head=3)
    model.layers.append(DeeperGatedLayer(3, colours))
    return model


def deeper_pixelrnn(colours: int) -> PixelRNN:
    """With recurrent layers of both kinds and a convolution between them."""
    model = PixelRNN((colours, 5, 4), 3, "row", hidden=3, layers=1, kernel_size=3, head=6)
    between = nn.MaskedConv2d(6, 6, 3, "B", colours)
    model.layers = nn.Sequential(*model.layers, nn.RowLSTM(3, 5, colours), between, nn.DiagonalBiLSTM(3, colours))
    return model


class Concatenated(PixelCNN):
    """A PixelCNN with a second first layer and layers that read no other pixel; one of them has running statistics."""

    def __init__(self, colours: int) -> None:
        super().__init__((colours, 5, 4), 3, hidden=3, blocks=1, kernel_size=3, head=6)
        self.wide = nn.MaskedConv2d(colours, 6, (1, 7), "A", colours)
        self.norm = nn.BatchNorm2d(6)

    def network(self, x: Any, labels: Any = None) -> Any:
        h = self.norm(self.blocks(self.first(x) + self.wide(x)))
        return self.last(ops.relu(self.head(h * ops.sigmoid(h))))


DEEPER: dict[str, Callable[[int], Any]] = {
    "PixelCNN": deeper_pixelcnn,
    "GatedPixelCNN": deeper_gated_pixelcnn,
    "PixelRNN": deeper_pixelrnn,
    "two first layers": Concatenated,
}


@pytest.mark.parametrize("make", DEEPER.values(), ids=DEEPER.keys())
@pytest.mark.parametrize("colours", [1, 3])
def test_a_layer_is_added_in_one_place(make: Callable[[int], Any], colours: int) -> None:
    model = build(lambda shape, levels: make(colours), (colours, 5, 4), 3, scale=2.0)
    set_initial_states(model)
    check_logits(model)
    drawn = []
    for cached in (True, False):
        manual_seed(0)
        drawn.append(model.sample(4, cached=cached).numpy())
    np.testing.assert_array_equal(*drawn)


def test_layers_in_a_list() -> None:
    class Listed(PixelCNN):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.list = [nn.MaskedConv2d(4, 4, 3, "B"), nn.Tanh()]

        def network(self, x: Any, labels: Any = None) -> Any:
            h = self.first(x)
            for layer in self.list:
                h = layer(h)
            return self.last(self.head(h))

    check_logits(build(Listed, (1, 3, 4), 2, scale=2.0, hidden=2, kernel_size=3))


# -- what has no one-pixel form ----------------------------------------------------------------------------------------


def draw_with(change: Callable[[PixelCNN], None]) -> None:
    model = build(PixelCNN, (1, 3, 3), 2, hidden=2, blocks=1, kernel_size=3, head=4)
    change(model)
    with no_grad():
        assert model.sample(2, cached=False).shape == (2, 1, 3, 3)
        model.sample(2)


def test_mask_a_must_read_the_image() -> None:
    """Its one-pixel form takes from the cursor what it reads, so that another input would be ignored."""

    def twice(model: PixelCNN) -> None:
        model.first = nn.Sequential(model.first, nn.MaskedConv2d(4, 4, 3, "A"))

    def shifted(model: PixelCNN) -> None:
        model.first = nn.Sequential(model.first, nn.ShiftDown())

    with default_dtype("float64"):
        with pytest.raises(ValueError, match=r"MaskedConv2d with mask A expects the image.*draw with cached=False"):
            draw_with(twice)
        with pytest.raises(ValueError, match=r"ShiftDown expects the image as its input, got features"):
            draw_with(shifted)


# -- mistakes ----------------------------------------------------------------------------------------------------------


def mutant(right: str, wrong: str) -> ModuleType:
    """one_pixel.py with one piece of its source changed."""
    source = inspect.getsource(one_pixel)
    assert source.count(right) == 1, f"{right!r} is there {source.count(right)} times"
    module = ModuleType("mutant")
    exec(source.replace(right, wrong), vars(module))
    module.FORMS[GatedLayer] = one_pixel.FORMS[GatedLayer]
    return module


MISTAKES: dict[str, tuple[str, str, str]] = {
    "the image is not written": ("self.pixel[:, self.colour, 0, 0] = self.levels[values]", "pass", "PixelCNN"),
    "the image does not move up": ("move_up(self.image)", "pass", "PixelCNN"),
    "features do not move up": ("move_up(self.seen)", "pass", "PixelCNN"),
    "features are kept one column further": ("cursor.margin] = x", "cursor.margin - 1] = x", "PixelCNN"),
    "a smaller kernel begins too high": ("cursor.margin - height // 2", "0", "PixelCNN"),
    "a smaller kernel begins too far left": ("cursor.margin - self.width // 2", "0", "PixelRNN-row"),
    "no bias": ("out += bias", "pass", "PixelCNN"),
    "two rows above the pixel in place of one": ("image[:, -2:-1", "image[:, -3:-2", "GatedPixelCNN"),
    "the vertical stack forgets the wrong row": ("rows[:, :, 1:]", "rows[:, :, :-1]", "GatedPixelCNN"),
    "a Row LSTM whose c is overwritten": ("self.above_c = self.c.copy()", "self.above_c = self.c", "PixelRNN-row"),
    "a Row LSTM that reads no row above": ("= ops.linear(taps", "= 0 * ops.linear(taps", "PixelRNN-row"),
    "a diagonal whose h is overwritten": ("self.above = self.h.copy()", "self.above = self.h", "PixelRNN-diagonal"),
    "the wrong state outside": ("cursor.width + 1, cursor.n", "cursor.width, cursor.n", "PixelRNN-diagonal"),
    "from the right before the last colour": ("1, self.colours - 1)", "1, 0)", "PixelRNN-diagonal"),
    "from the right in the wrong order": ("reversed(self.features)", "self.features", "PixelRNN-diagonal"),
    "from the right not mirrored back": (
        "self.from_right[-1 - column]",
        "self.from_right[column]",
        "PixelRNN-diagonal",
    ),
}


@pytest.mark.parametrize(("right", "wrong", "name"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_found(right: str, wrong: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(MODELS[name], (3, 5, 4), 4, scale=2.0, kernel_size=5)
    set_initial_states(model)
    check_logits(model)
    planted = mutant(right, wrong)
    for changed in ("Cursor", "at_one_pixel", "margin_for"):
        monkeypatch.setattr(autoregressive, changed, getattr(planted, changed))
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check_logits(model)
