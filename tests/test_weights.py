"""A weights file gives its model back: the same class, arguments, weights and results, and nothing else is ever run."""

from __future__ import annotations

import copy
import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

import minigen
from minigen import evaluate, models, nn
from minigen.backend import Device
from minigen.checkpoint import MODEL, save_checkpoint
from minigen.evaluate import Classifier
from minigen.models import (
    DCGAN,
    GAN,
    VAE,
    DCGANDiscriminator,
    DCGANGenerator,
    DiscretizedLogisticLikelihood,
    GatedPixelCNN,
    Maxout,
    MLPDiscriminator,
    MLPGenerator,
    PixelCNN,
    PixelRNN,
    Tricks,
)
from minigen.random import manual_seed, normal, random_state

SHAPE = (1, 8, 8)
pixels = lambda levels: np.random.default_rng(0).integers(0, levels, (3, *SHAPE), np.uint8)
signed = lambda *shape: np.random.default_rng(0).normal(size=shape).astype("float32")
LABELS = np.array([0, 1, 1])

# how it is made, and what it computes: a result that depends on every weight and option
CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[Any], Any]]] = {
    "VAE": (lambda: VAE(SHAPE, 3, hidden=5), lambda m: m.reconstruct(pixels(2))),
    "VAE, gaussian": (
        lambda: VAE(SHAPE, 3, architecture="conv", likelihood="gaussian", beta=2.0),
        lambda m: m.loss(signed(3, *SHAPE)),
    ),
    "VAE, levels": (lambda: VAE(SHAPE, likelihood="levels", levels=4), lambda m: m.elbo(pixels(4))),
    "VAE, levels as an object": (
        lambda: VAE(SHAPE, likelihood=DiscretizedLogisticLikelihood(4)),
        lambda m: m.elbo(pixels(4)),
    ),
    "PixelCNN": (lambda: PixelCNN(SHAPE, 4, hidden=4, blocks=2, head=3), lambda m: m.log_prob(pixels(4))),
    "GatedPixelCNN": (
        lambda: GatedPixelCNN(image_shape=SHAPE, hidden=3, layers=2, kernel_size=3, classes=2),
        lambda m: m.log_prob(pixels(2), LABELS),
    ),
    "PixelRNN, row": (lambda: PixelRNN(SHAPE, hidden=2, layers=1), lambda m: m.log_prob(pixels(2))),
    "PixelRNN, diagonal": (lambda: PixelRNN(SHAPE, 2, "diagonal", 2, 1), lambda m: m.log_prob(pixels(2))),
    "DCGAN": (
        lambda: DCGAN(SHAPE, 5, features=2, classes=2, tricks=Tricks(noise="sphere", label_smoothing=0.1)),
        lambda m: m.loss(signed(3, *SHAPE), LABELS),
    ),
    "DCGAN, critic": (lambda: DCGAN(SHAPE, 5, 2, "wasserstein-gp", penalty=3.0), lambda m: m.loss(signed(3, *SHAPE))),
    "DCGAN, sizes from arrays": (lambda: DCGAN(tuple(np.array(SHAPE)), np.int64(5), features=2), lambda m: m.sample(3)),
    "GAN": (
        lambda: GAN(MLPGenerator(SHAPE, 5, hidden=6), MLPDiscriminator(SHAPE, 7, layers=1, pieces=2), "hinge", k=2),
        lambda m: m.loss(signed(3, *SHAPE)),
    ),
    "GAN of DCGAN's networks": (
        lambda: GAN(DCGANGenerator(SHAPE, 5, 2), DCGANDiscriminator(SHAPE, 2, batch_norm=False), "wasserstein"),
        lambda m: m.discriminator(m.sample(3)),
    ),
    "MLPGenerator": (lambda: MLPGenerator((2,), 3, tanh=False), lambda m: m(signed(4, 3))),
    "MLPDiscriminator": (lambda: MLPDiscriminator((2,), dropout=0.2), lambda m: m(signed(4, 2))),
    "DCGANGenerator": (lambda: DCGANGenerator(SHAPE, 3, 2, classes=2), lambda m: m(signed(3, 3), LABELS)),
    "DCGANDiscriminator": (lambda: DCGANDiscriminator(SHAPE, 2), lambda m: m(signed(3, *SHAPE))),
    "Maxout": (lambda: Maxout(3, 2, pieces=2), lambda m: m(signed(4, 3))),
    "Classifier": (lambda: Classifier(SHAPE, classes=3, width=2, features=4), lambda m: m(signed(3, *SHAPE))),
}


def trained(make: Callable[[], nn.Module]) -> nn.Module:
    """A model whose every weight and running statistic is unlike a new one's."""
    model = make().eval()
    for _, x in model.named_tensors():
        if x.dtype.kind == "f":
            x.data += normal(x.shape, std=0.02, dtype=x.dtype, device=x.device)
    return model


def seeded(result: Callable[[Any], Any], model: Any) -> bytes:
    """What the model computes, bit for bit, where random numbers are drawn from one seed."""
    manual_seed(5)
    return result(model).numpy().tobytes()


@pytest.mark.parametrize("case", CASES)
def test_a_model_comes_back_from_its_file(case: str, tmp_path: Path) -> None:
    make, result = CASES[case]
    model, path = trained(make), tmp_path / "weights.safetensors"
    minigen.save(model, path, {"epochs": "3"})
    before = random_state()
    loaded = minigen.load(path)
    assert random_state() == before
    assert type(loaded) is type(model) and repr(loaded) == repr(model)
    assert not any(part.training for part in loaded.modules())
    assert seeded(result, loaded) == seeded(result, model)
    arrays = minigen.load(path, into=make())  # and as before, where the model is at hand
    assert {name: x.tobytes() for name, x in arrays.items()} == {n: x.tobytes() for n, x in model.state_dict().items()}


@pytest.mark.parametrize("case", CASES)
def test_a_model_is_copied_and_pickled(case: str) -> None:
    make, result = CASES[case]
    model = trained(make)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert seeded(result, twin) == seeded(result, model)
        assert not {id(x) for x in twin.parameters()} & {id(x) for x in model.parameters()}


def test_every_model_is_among_the_cases() -> None:
    offered = [getattr(part, name) for part in (models, evaluate) for name in part.__all__]
    assert {type(make()) for make, _ in CASES.values()} == {
        x for x in offered if isinstance(x, type) and issubclass(x, nn.Module)
    }


def test_the_model_is_on_the_current_device_and_of_the_default_dtype(gpu_standin: Device, tmp_path: Path) -> None:
    minigen.save(Maxout(3, 2, pieces=2), tmp_path / "a.safetensors")
    with minigen.device("gpu"), minigen.default_dtype("float64"):
        model = minigen.load(tmp_path / "a.safetensors")
    assert model.device == gpu_standin and {x.dtype.name for x in model.parameters()} == {"float64"}


def test_the_file_names_class_and_arguments(tmp_path: Path) -> None:
    """With the defaults, which may be others one day."""
    minigen.save(GAN(MLPGenerator((2,)), MLPDiscriminator((2,), 9)), tmp_path / "a.safetensors")
    with safe_open(tmp_path / "a.safetensors", framework="numpy") as file:
        found = json.loads(file.metadata()[MODEL])
    assert found["class"] == "GAN" and found["arguments"]["objective"] == "non-saturating"
    assert found["arguments"]["discriminator"]["class"] == "MLPDiscriminator"
    assert found["arguments"]["discriminator"]["arguments"]["hidden"] == 9


# -- files that name no model ------------------------------------------------------------------------------------------


class VAEOfMine(VAE):
    """A class of the user's."""


OTHERS: dict[str, Callable[[], Any]] = {
    "arrays": lambda: {"weight": signed(2)},
    "layers": lambda: nn.Sequential(nn.Linear(2, 2), nn.Tanh()),
    "a class of the user's": lambda: VAEOfMine(SHAPE),
    "a class of the user's with a model's name": lambda: type("VAE", (VAE,), {})(SHAPE),
    "an inner part of a model": lambda: PixelCNN(SHAPE, hidden=2, blocks=1).blocks[0],
    "a model with a network of the user's": lambda: VAE(
        SHAPE, 2, encoder=nn.Sequential(nn.Flatten(), nn.Linear(64, 4))
    ),
    "a model with a likelihood that has weights": lambda: VAE(SHAPE, likelihood=models.GaussianLikelihood()),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_every_other_file_gives_its_arrays(kind: str, tmp_path: Path) -> None:
    what = OTHERS[kind]()
    minigen.save(what, tmp_path / "a.safetensors")
    loaded = minigen.load(tmp_path / "a.safetensors")
    assert isinstance(loaded, dict) and loaded.keys() == (what if isinstance(what, dict) else what.state_dict()).keys()


def test_files_of_old_of_other_programs_and_of_training_give_their_arrays(tmp_path: Path) -> None:
    path, model = tmp_path / "a.safetensors", Maxout(3, 2, pieces=2)
    for metadata in (None, {"format": "pt", "model": "resnet"}):
        save_file({"weight": signed(2)}, path, metadata=metadata)
        assert list(minigen.load(path)) == ["weight"]
    minigen.save(model.state_dict(), path)  # what a file of before has: the arrays alone
    assert minigen.load(path).keys() == {"linear.weight", "linear.bias"}
    minigen.load(path, into=model)
    save_checkpoint(path, {"model": model}, {"epoch": 1})
    assert minigen.load(path).keys() == {"model/linear.weight", "model/linear.bias"}


# -- files that lie ----------------------------------------------------------------------------------------------------

ARGUMENTS = {"in_features": 3, "out_features": 2, "pieces": 2}
LIES: dict[str, tuple[str, str]] = {
    "no JSON": ("{", "Expecting"),
    "a number": ("3", "expects a model, got 3"),
    "a list of models": (json.dumps([{"class": "Maxout", "arguments": ARGUMENTS}]), "expects a model, got"),
    "not a model": (json.dumps({"class": "Tricks", "arguments": {}}), "expects a model, got Tricks"),
    "a function": (json.dumps({"class": "trained_classifier", "arguments": {}}), "there is no 'trained_classifier'"),
    "a path": (
        json.dumps({"class": "os.system", "arguments": {"command": "ls"}}),
        "there is no 'os.system', only VAE|",
    ),
    "a class that is no model": (json.dumps({"class": "Player", "arguments": {}}), "there is no 'Player'"),
    "a class of layers": (json.dumps({"class": "Linear", "arguments": {}}), "there is no 'Linear'"),
    "no name": (json.dumps({"class": {}, "arguments": {}}), ""),
    "no arguments": (json.dumps({"class": "VAE"}), "'arguments'"),
    "arguments by number": (json.dumps({"class": "VAE", "arguments": [1]}), ""),
    "unknown arguments": (json.dumps({"class": "VAE", "arguments": {"colour": 1}}), "unexpected keyword .*'colour'"),
    "missing arguments": (json.dumps({"class": "Maxout", "arguments": {}}), "missing 3 required"),
    "wrong values": (
        json.dumps({"class": "VAE", "arguments": {"latent_dim": 0}}),
        "VAE: expects .* got .*latent_dim=0",
    ),
    "wrong kinds": (json.dumps({"class": "VAE", "arguments": {"latent_dim": "many"}}), ""),
    "nothing fits into memory": (json.dumps({"class": "Maxout", "arguments": {**ARGUMENTS, "pieces": 10**15}}), ""),
    "no end": ('{"class":' * 100_000, ""),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_description_that_lies_is_refused_by_the_files_name(lie: str, tmp_path: Path) -> None:
    description, message = LIES[lie]
    path = tmp_path / "a.safetensors"
    minigen.save(Maxout(3, 2, pieces=2).state_dict(), path, {MODEL: description})
    expected = f"{path}: its metadata do not describe a model of minigen: "
    with pytest.raises(ValueError, match=f"^{re.escape(expected)}.*{message}"):
        minigen.load(path)
    assert minigen.load(path, into=Maxout(3, 2, pieces=2)).keys() == {"linear.weight", "linear.bias"}


@pytest.mark.parametrize("lie", ["another size", "another model"])
def test_a_description_of_another_model_is_refused_by_the_files_name(lie: str, tmp_path: Path) -> None:
    description = {
        "another size": {"class": "Maxout", "arguments": {**ARGUMENTS, "pieces": 3}},
        "another model": {"class": "PixelCNN", "arguments": {"image_shape": SHAPE, "blocks": 1}},
    }[lie]
    path = tmp_path / "a.safetensors"
    minigen.save(Maxout(3, 2, pieces=2).state_dict(), path, {MODEL: json.dumps(description)})
    with pytest.raises(ValueError, match=re.escape(f"{path}: ") + "(Maxout|PixelCNN): the state does not fit"):
        minigen.load(path)


def test_a_damaged_description_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    minigen.save(Maxout(3, 2, pieces=2), path)
    damaged = path.read_bytes().replace(b'pieces\\": 2', b'pieces\\": 4')
    assert damaged != path.read_bytes()
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match=re.escape(f"{path}: damaged, its contents do not match its checksum")):
        minigen.load(path)
