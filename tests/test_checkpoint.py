"""Files: what is written comes back exactly, and what is damaged or foreign is refused and changes nothing."""

from __future__ import annotations

import json
import os
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
from minigen import nn, optim
from minigen.autograd import Tensor
from minigen.backend import Device, to_numpy
from minigen.checkpoint import load_checkpoint, load_progress, save_checkpoint
from minigen.random import manual_seed, random_state


def model(outputs: int = 2) -> nn.Sequential:
    """Weights, running statistics, an integer."""
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, outputs))


def trained(outputs: int = 2, seed: int = 0, optimizer: type[optim.Optimizer] = optim.Adam) -> dict[str, Any]:
    """A model and its optimizer after a step."""
    manual_seed(seed)
    m = model(outputs)
    o = optimizer(m.parameters(), lr=0.01)
    m(Tensor(m.device.asarray(np.random.default_rng(seed).normal(size=(4, 2)), "float32"))).sum().backward()
    o.step()
    return {"model": m, "optimizer": o}


def state(parts: dict[str, Any]) -> dict[str, bytes]:
    """Everything in the parts, bit for bit."""
    return {
        f"{part}/{name}": to_numpy(x).tobytes()
        for part, owner in parts.items()
        for name, x in owner.state_dict().items()
    }


PROGRESS = {"epoch": 3, "sums": {"loss": 0.1}, "settings": {"dataset": "digits"}, "big": 2**127 + 1}


# -- writing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", ["write_bytes", "fsync", "replace"])
def test_a_save_that_fails_leaves_the_old_file(at: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, trained(), PROGRESS)
    before = path.read_bytes()

    def full(target: Any, *rest: Any) -> None:
        if at == "write_bytes":
            with open(target, "wb") as file:
                file.write(rest[0][:50])
        raise OSError("no space left on device")

    monkeypatch.setattr(Path if at == "write_bytes" else os, at, full)
    with pytest.raises(OSError, match=re.escape(f"{path}: cannot be written (no space left on device)")):
        save_checkpoint(path, trained(seed=1), PROGRESS)
    assert path.read_bytes() == before and os.listdir(tmp_path) == [path.name]


# -- weights -----------------------------------------------------------------------------------------------------------

INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
TYPES = ["bool", *INTEGERS, "float16", "float32", "float64"]


@pytest.mark.parametrize("shape", [(), (1,), (0,), (2, 3), (2, 0, 3)])
def test_arrays_come_back_exactly(shape: tuple, tmp_path: Path, device: Device) -> None:
    random = np.random.default_rng(0)
    arrays = {name: random.integers(0, 2, shape).astype(name) for name in TYPES}
    arrays |= {"noise": random.normal(size=shape), "special": np.full(shape, np.nan, "float32")}
    minigen.save({name: device.asarray(x) for name, x in arrays.items()}, tmp_path / "a.safetensors")
    loaded = minigen.load(tmp_path / "a.safetensors")
    assert loaded.keys() == arrays.keys()
    for name, x in arrays.items():
        got = loaded[name]
        assert isinstance(got, np.ndarray) and got.dtype == x.dtype and got.shape == x.shape, name
        assert got.tobytes() == x.tobytes(), name


def test_any_layout_in_memory_comes_back(tmp_path: Path) -> None:
    x = np.arange(12.0).reshape(3, 4)
    views = {
        "transposed": x.T,
        "reversed": x[::-1],
        "every other": x[:, ::2],
        "repeated": np.broadcast_to(x[0], (2, 4)),
    }
    views |= {"big-endian": x.astype(">f8"), "fortran": np.asfortranarray(x)}
    minigen.save(views, tmp_path / "a.safetensors")
    for name, got in minigen.load(tmp_path / "a.safetensors").items():
        np.testing.assert_array_equal(got, views[name])


def test_weights_go_to_a_file_and_back(tmp_path: Path, device: Device) -> None:
    path = tmp_path / "weights.safetensors"
    parts, others = trained(), trained(seed=1)
    minigen.save(parts["model"], path, {"made by": "a test"})
    loaded = minigen.load(path, into=others["model"])
    assert state({"model": others["model"]}) == state({"model": parts["model"]})
    assert list(loaded) and all(isinstance(x, np.ndarray) for x in loaded.values())
    with safe_open(path, framework="numpy") as file:
        assert file.metadata()["made by"] == "a test"


def test_the_same_contents_are_the_same_bytes(tmp_path: Path) -> None:
    """Names, values and metadata, also those with letters that JSON escapes; the arrays are aligned."""
    path, parts = tmp_path / "a.safetensors", trained()
    for extra in range(8):
        metadata = {"b": "é", "a": "x" * extra, "d": '"', "c": "\n"}
        files = set()
        for items in (metadata, dict(reversed(metadata.items()))):
            for _ in range(4):
                minigen.save(parts["model"], path, items)
                files.add(path.read_bytes())
        (file,) = files
        assert int.from_bytes(file[:8], "little") % 8 == 0
        with safe_open(path, framework="numpy") as opened:
            assert opened.metadata().items() >= metadata.items()
        minigen.load(path, into=trained(seed=1)["model"])


def test_files_of_other_programs_are_read(tmp_path: Path) -> None:
    path, parts = str(tmp_path / "weights.safetensors"), trained()
    arrays = {name: np.array(x) for name, x in trained(seed=1)["model"].state_dict().items()}
    for metadata in (None, {"format": "pt"}):
        save_file(arrays, path, metadata=metadata)
        minigen.load(path, into=parts["model"])
        assert state({"": parts["model"]}) == {f"/{name}": x.tobytes() for name, x in arrays.items()}


# -- checkpoints -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [optim.SGD, optim.Adam, optim.RMSprop])
def test_a_checkpoint_comes_back_exactly(optimizer: type, tmp_path: Path, device: Device) -> None:
    path = tmp_path / "checkpoint.safetensors"
    parts, others = trained(optimizer=optimizer), trained(seed=1, optimizer=optimizer)
    others["optimizer"].steps = 17
    save_checkpoint(path, parts, PROGRESS)
    assert load_progress(path) == PROGRESS
    assert load_checkpoint(path, others) == PROGRESS
    assert state(others) == state(parts) and others["optimizer"].steps == 1
    for p in others["model"].parameters():
        assert p.device == device


def test_parts_may_have_any_name(tmp_path: Path) -> None:
    path, name = tmp_path / "checkpoint.safetensors", "g/optimizer: of G"
    parts, others = ({name: trained(seed=seed)["optimizer"]} for seed in (0, 1))
    save_checkpoint(path, parts, PROGRESS)
    load_checkpoint(path, others)
    assert state(others) == state(parts)


def test_the_random_state_survives(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    manual_seed(2**64 - 1)  # larger than any of JSON's usual integers
    random = random_state()
    save_checkpoint(path, trained(), {"random": random})
    assert load_progress(path)["random"] == random


# -- files that are no good --------------------------------------------------------------------------------------------


def refused(path: Path, error: type[Exception] = ValueError, message: str = "") -> None:
    """Both ways to load say the file's name and change nothing."""
    parts = trained()
    before = state(parts)
    calls: list[Callable[[], Any]] = [
        lambda: minigen.load(path, into=parts["model"]),
        lambda: load_checkpoint(path, parts),
    ]
    for call in calls:
        with pytest.raises(error, match=re.escape(str(path)) + f": .*{message}"):
            call()
        assert state(parts) == before


CONTENTS: dict[str, bytes] = {
    "empty": b"",
    "text": b"epoch 1: loss 0.5\n" * 20,
    "JSON": b'{"epoch": 1}',
    "pickle": pickle.dumps({"0.weight": np.zeros((3, 2))}),
    "PNG": b"\x89PNG\r\n\x1a\n" + bytes(100),
    "zip, as PyTorch writes": b"PK\x03\x04" + bytes(100),
    "zeros": bytes(1000),
    "ones": b"\xff" * 1000,
    "random": np.random.default_rng(0).bytes(5000),
    "a type without NumPy's support": b'7\0\0\0\0\0\0\0{"x":{"dtype":"BF16","shape":[1],"data_offsets":[0,2]}}\0\0',
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_other_files_are_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "file.safetensors"
    path.write_bytes(CONTENTS[kind])
    known = "|the state does not fit|holds weights only" * kind.startswith("a type")  # by NumPy, where ml_dtypes is
    refused(path, message=f"(not a safetensors file, or a damaged one{known})")
    with pytest.raises(ValueError, match=re.escape(str(path))):
        load_progress(path)


def test_missing_files_are_named(tmp_path: Path) -> None:
    refused(tmp_path / "none.safetensors", FileNotFoundError, "no such file")
    refused(tmp_path, FileNotFoundError, "expects a file, got a folder")


def test_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "trapped",))

    path = tmp_path / "file.safetensors"
    path.write_bytes(pickle.dumps(Trap()))
    refused(path)
    assert not (tmp_path / "trapped").exists()


def test_a_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    minigen.save({"weight": np.array([[1.5, -2.0]], np.float32), "steps": np.array(3)}, path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=re.escape(str(path))):
            minigen.load(path)
    save_checkpoint(path, trained(), PROGRESS)
    whole = path.read_bytes()
    for length in (9, 100, 1000, len(whole) - 100, len(whole) - 1):
        path.write_bytes(whole[:length])
        refused(path)
    path.write_bytes(whole + b"\0")
    refused(path)


def test_any_changed_bit_is_noticed(tmp_path: Path) -> None:
    """In the header, in the checksum and its name, and in the values."""
    path = tmp_path / "weights.safetensors"
    arrays = {"weight": np.array([[1.5, -2.0]], np.float32), "steps": np.array(3)}
    minigen.save(arrays, path, {"minigen": json.dumps(PROGRESS)})
    whole = path.read_bytes()
    for i in range(len(whole)):
        for bit in (0, 3, 7):
            changed = bytearray(whole)
            changed[i] ^= 1 << bit
            path.write_bytes(changed)
            with pytest.raises(ValueError, match=re.escape(str(path))):
                minigen.load(path)


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    arrays = {name: np.array(x) for name, x in model().state_dict().items()}
    cases: dict[str, dict[str, np.ndarray]] = {
        r"2.weight: expects \(2, 3\) float32, got \(5, 3\) float32": {
            k: np.array(x) for k, x in model(5).state_dict().items()
        },
        "0.bias is missing": {k: x for k, x in arrays.items() if k != "0.bias"},
        "3.weight is not known": {**arrays, "3.weight": np.zeros(2, np.float32)},
        r"0.bias: expects \(3,\) float32, got \(3,\) int32": {**arrays, "0.bias": np.zeros(3, np.int32)},
    }
    for message, other in cases.items():
        minigen.save(other, path)
        parts = trained()
        before = state(parts)
        with pytest.raises(ValueError, match=re.escape(str(path)) + f": Sequential: .*{message}"):
            minigen.load(path, into=parts["model"])
        assert state(parts) == before


def test_weights_and_checkpoints_are_not_mixed_up(tmp_path: Path) -> None:
    path, parts = tmp_path / "a.safetensors", trained()
    before = state(parts)
    minigen.save(parts["model"], path)
    for call in (lambda: load_checkpoint(path, parts), lambda: load_progress(path)):
        with pytest.raises(ValueError, match=re.escape(f"{path}: holds weights only, not the state of training")):
            call()
    save_checkpoint(path, trained(seed=1), PROGRESS)
    with pytest.raises(ValueError, match=re.escape(str(path)) + r": .*0\.weight is missing"):
        minigen.load(path, into=parts["model"])
    assert state(parts) == before


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"model": 2}, r"holds the state of \['model'\], but here are \['model', 'optimizer'\]"),
        (
            {"model": 2, "optimizer": 2, "generator": 2},
            r"holds the state of \['generator', 'model', 'optimizer'\], but",
        ),
        ({"generator": 2, "optimizer": 2}, r"holds the state of \['generator', 'optimizer'\], but here are"),
        ({"model": 5, "optimizer": 5}, "Sequential: .*2.weight: expects"),
        ({"model": 2, "optimizer": 5}, "Adam: .*4.exp_avg: "),  # the second part fails after the first was loaded
    ],
)
def test_checkpoints_of_other_parts_change_nothing(other: dict[str, int], message: str, tmp_path: Path) -> None:
    path, parts = tmp_path / "checkpoint.safetensors", trained()
    kinds = {"generator": "model"}
    save_checkpoint(path, {name: trained(n, seed=1)[kinds.get(name, name)] for name, n in other.items()}, PROGRESS)
    before = state(parts)
    with pytest.raises(ValueError, match=re.escape(str(path)) + f": {message}"):
        load_checkpoint(path, parts)
    assert state(parts) == before


def test_another_optimizers_checkpoint_changes_nothing(tmp_path: Path) -> None:
    path, parts = tmp_path / "checkpoint.safetensors", trained()
    save_checkpoint(path, trained(seed=1, optimizer=optim.RMSprop), PROGRESS)
    before = state(parts)
    with pytest.raises(ValueError, match=re.escape(str(path)) + ": Adam: .*square_avg is not known"):
        load_checkpoint(path, parts)
    assert state(parts) == before and parts["optimizer"].steps == 1


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_a_load_that_fails_midway_changes_nothing(
    error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the second part, after the first one has been loaded."""
    path, parts = tmp_path / "checkpoint.safetensors", trained()
    save_checkpoint(path, trained(seed=1), PROGRESS)
    before = state(parts)

    def fails(state: Any) -> None:
        raise error

    monkeypatch.setattr(parts["optimizer"], "load_state_dict", fails)
    with pytest.raises(error):
        load_checkpoint(path, parts)
    assert state(parts) == before


def test_a_file_that_does_not_fit_into_memory_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.safetensors"
    minigen.save(model(), path)

    def full(*args: Any, **options: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("safetensors.safe_open", full)
    with pytest.raises(MemoryError, match=rf"{re.escape(str(path))}: its \d+ bytes do not fit into memory"):
        minigen.load(path)
