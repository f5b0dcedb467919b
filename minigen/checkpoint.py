"""Weights and whole states of training as safetensors files.

A `.safetensors` file holds named arrays and a dictionary of strings, and loading one runs no code. The names are
PyTorch's, so the files go both ways.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minigen.backend import to_numpy
from minigen.files import atomic_write
from minigen.nn.module import Module


def save(what: Module | Mapping[str, Any], path: str | Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write a module's weights, or a dictionary of arrays, to a `.safetensors` file.

    >>> minigen.save(vae, "vae.safetensors")
    """
    from safetensors.numpy import save as to_bytes

    state = what.state_dict() if isinstance(what, Module) else what
    arrays = {name: to_numpy(x) for name, x in state.items()}
    arrays = {name: x.astype(x.dtype.newbyteorder("="), order="C") for name, x in arrays.items()}
    metadata = dict(metadata or {})
    metadata["crc32"] = _checksum(arrays, metadata)
    with atomic_write(path) as temporary:
        temporary.write_bytes(to_bytes(arrays, metadata))


def load(path: str | Path, into: Module | None = None) -> dict[str, np.ndarray]:
    """Read a `.safetensors` file: its arrays by name, which are also put into the module `into` if one is given.

    Raises `FileNotFoundError`, or `ValueError` naming the file if it is damaged or does not fit the module, which is
    then unchanged.

    >>> minigen.load("vae.safetensors", into=vae)
    """
    arrays, _ = _read(Path(path))
    if into is not None:
        try:
            into.load_state_dict(arrays)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    return arrays


def _read(path: Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        with safe_open(path, framework="numpy") as file:
            arrays, metadata = {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, TypeError, AttributeError) as error:  # the last two: a data type that NumPy has not
        raise ValueError(f"{path}: not a safetensors file, or a damaged one ({error})") from None
    except MemoryError:
        raise MemoryError(f"{path}: its {path.stat().st_size} bytes do not fit into memory") from None
    checksum = metadata.pop("crc32", None)  # which files from elsewhere do not have
    if checksum is not None and checksum != _checksum(arrays, metadata):
        raise ValueError(f"{path}: damaged, its contents do not match its checksum")
    return arrays, metadata


def _checksum(arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> str:
    """Of names, shapes, values and metadata: safetensors itself would not notice a changed bit in them."""
    names = sorted(arrays)
    shapes = [(name, str(arrays[name].dtype), arrays[name].shape) for name in names]
    crc = zlib.crc32(json.dumps([shapes, metadata], sort_keys=True).encode())
    for name in names:
        crc = zlib.crc32(arrays[name].data, crc)
    return f"{crc:08x}"


# -- checkpoints -----------------------------------------------------------------------------------------------------


def save_checkpoint(path: str | Path, parts: Mapping[str, Any], progress: Mapping[str, Any]) -> None:
    """Write the state of training: the `state_dict` of each part, and `progress`, of JSON's types."""
    arrays = {f"{part}/{name}": x for part, owner in parts.items() for name, x in owner.state_dict().items()}
    save(arrays, path, {"minigen": json.dumps(progress)})


def load_progress(path: str | Path) -> dict[str, Any]:
    """The `progress` of a checkpoint, for a look before loading it."""
    return _progress(Path(path), _read(Path(path))[1])


def load_checkpoint(path: str | Path, parts: Mapping[str, Any]) -> dict[str, Any]:
    """Put a checkpoint's states back into the parts and return its `progress`.

    Raises `FileNotFoundError`, or `ValueError` naming the file if it is damaged or of other parts; then none of them
    has changed.
    """
    path = Path(path)
    arrays, metadata = _read(path)
    progress = _progress(path, metadata)
    states: dict[str, dict[str, np.ndarray]] = {}
    for name, x in arrays.items():
        part, _, rest = name.partition("/")
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
