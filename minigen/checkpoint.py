"""Saving weights, and checkpoints of a training run, as safetensors files.

A `.safetensors` file holds named arrays and, as its metadata, a dictionary of strings. Loading one runs no code. The
names of weights are PyTorch's, so that the files of each library can be loaded by the other.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minigen.backend import to_numpy
from minigen.files import atomic_write
from minigen.nn.module import Module

MODEL = "minigen.model"
"""The key in the metadata of a weights file for the description of its model."""


def save(
    what: Module | Mapping[str, Any], path: str | Path, metadata: Mapping[str, str] | None = None, *, dtype: Any = None
) -> None:
    """Write a module's weights, or a dictionary of arrays, to a `.safetensors` file, with `metadata` of strings.

    The file of one of minigen's models also describes how to make the model again: see `minigen.load`. With a `dtype`,
    such as float16, floating-point numbers are of this type in the file; a model that loads them keeps its own.

    >>> minigen.save(vae, "vae.safetensors")
    """
    from safetensors.numpy import save as to_bytes

    state = what.state_dict() if isinstance(what, Module) else what
    arrays = {name: to_numpy(x) for name, x in state.items()}
    type_of = lambda x: x.dtype.newbyteorder("=") if dtype is None or x.dtype.kind != "f" else dtype
    arrays = {name: x.astype(type_of(x), order="C") for name, x in arrays.items()}
    metadata = dict(metadata or {}) | (description(what) if isinstance(what, Module) else {})
    metadata["crc32"] = _checksum(arrays, metadata)
    with atomic_write(path) as temporary:
        temporary.write_bytes(_with_sorted_metadata(to_bytes(arrays, metadata)))


def _with_sorted_metadata(file: bytes) -> bytes:
    """The same file with its metadata sorted: safetensors writes them in random order, which changes the file."""
    start = 8 + int.from_bytes(file[:8], "little")  # a file is the header's length, the header as JSON, and the arrays
    header = json.loads(file[8:start])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":")).encode()
    text = text.ljust(-(-len(text) // 8) * 8)  # so that the arrays are aligned
    return len(text).to_bytes(8, "little") + text + file[start:]


def description(model: Module) -> dict[str, str]:
    """The metadata that name a model's class and arguments, such as {"class": "VAE", "arguments": {"beta": 2.0, ...}}.

    Empty for other modules, and for a model with an argument that JSON cannot express, such as a user's own network.
    """
    try:
        return {MODEL: json.dumps(model, default=_as_json)}
    except TypeError:
        return {}


def _as_json(x: Any) -> Any:
    """A model, or an argument that is an object or a NumPy number, in JSON's types."""
    if isinstance(x, np.generic):
        return x.item()
    kind, package = type(x), type(x).__module__.rpartition(".")[0]
    offered = vars(sys.modules[package]) if package in ("minigen.models", "minigen.evaluate") else {}
    if offered.get(kind.__name__) is not kind:
        raise TypeError(f"{kind.__name__} is not offered by minigen.models or minigen.evaluate")
    return {"class": kind.__name__, "arguments": x.arguments() if isinstance(x, Module) else vars(x)}


def fill(module: Module, arrays: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Load arrays into the module; `ValueError` naming their file, with nothing changed, if they do not fit."""
    try:
        module.load_state_dict(arrays)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def read(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays and the metadata of a `.safetensors` file.

    `FileNotFoundError`, or `ValueError` naming the file if it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: {'expects a file, got a folder' if path.is_dir() else 'no such file'}")
    try:
        with safe_open(path, framework="numpy") as file:
            arrays, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, TypeError, AttributeError) as error:  # the last two: a data type that NumPy does not have
        raise ValueError(f"{path}: not a safetensors file, or a damaged one ({error})") from None
    except MemoryError:
        raise MemoryError(f"{path}: its {path.stat().st_size} bytes do not fit into memory") from None
    checksum = metadata.pop("crc32", None)  # files from other libraries have none
    if checksum is not None and checksum != _checksum(arrays, metadata):
        raise ValueError(f"{path}: damaged, its contents do not match its checksum")
    if checksum is None and metadata and "format" not in metadata:  # "format" marks other libraries' files
        raise ValueError(f"{path}: damaged, its metadata has lost the checksum")
    return arrays, metadata


def _checksum(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    """A CRC-32 of names, shapes, values and metadata; safetensors itself does not detect a changed bit."""
    names = sorted(arrays)
    shapes = [(name, str(arrays[name].dtype), arrays[name].shape) for name in names]
    crc = zlib.crc32(json.dumps([shapes, metadata], sort_keys=True).encode())
    for name in names:
        crc = zlib.crc32(arrays[name].data, crc)
    return f"{crc:08x}"


# -- checkpoints -----------------------------------------------------------------------------------------------------


def save_checkpoint(path: str | Path, parts: Mapping[str, Any], progress: Mapping[str, Any]) -> None:
    """Write the state of training: the `state_dict` of each part by name, and `progress`, made of JSON's types."""
    arrays = {f"{part}/{name}": x for part, owner in parts.items() for name, x in owner.state_dict().items()}
    save(arrays, path, {"minigen": json.dumps(progress)})


def load_progress(path: str | Path) -> dict[str, Any]:
    """The `progress` of a checkpoint, for a look before loading it; errors as those of `load_checkpoint`."""
    return _progress(Path(path), read(path)[1])


def load_checkpoint(path: str | Path, parts: Mapping[str, Any]) -> dict[str, Any]:
    """Load a checkpoint's states into the parts and return its `progress`.

    Raises `FileNotFoundError`, or `ValueError` naming the file if it is damaged or of other parts; no part is then
    changed.
    """
    path = Path(path)
    arrays, metadata = read(path)
    progress = _progress(path, metadata)
    states: dict[str, dict[str, np.ndarray]] = {}
    for name, x in arrays.items():
        part, _, rest = name.rpartition("/")  # a state's own names have no "/"
        states.setdefault(part, {})[rest] = x
    if states.keys() != parts.keys():
        raise ValueError(f"{path}: holds the state of {sorted(states)}, but here are {sorted(parts)}")
    before = {part: {n: np.array(to_numpy(x)) for n, x in owner.state_dict().items()} for part, owner in parts.items()}
    done = []
    try:
        for part, owner in parts.items():
            owner.load_state_dict(states[part])
            done.append(part)
    except BaseException as error:
        for part in done:
            parts[part].load_state_dict(before[part])
        if isinstance(error, ValueError):
            raise ValueError(f"{path}: {error}") from None
        raise
    return progress


def _progress(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        return json.loads(metadata["minigen"])
    except (KeyError, ValueError):
        raise ValueError(f"{path}: holds weights only, not the state of training") from None
