"""A weights file knows its model.

`minigen.save` writes into the metadata of a model's file which class it is and with which arguments it was made:

    {"class": "GAN", "arguments": {"generator": {"class": "MLPGenerator", "arguments": {"shape": [1, 28, 28]}}, ...}}

`minigen.load` makes the model again from that. A class is looked up by its name among those that `minigen.models` and
`minigen.evaluate` offer, and called with the arguments; nothing else is imported or run, and nothing is unpickled.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from minigen.backend import separate_random
from minigen.checkpoint import MODEL, fill, read
from minigen.nn.module import Module


def load(path: str | Path, into: Module | None = None) -> Any:
    """Read a `.safetensors` file.

    load(path)               If the file names a model, as those of minigen's models do: that model, in evaluation mode.
                             Of every other file, such as one of PyTorch or of an older minigen: the arrays by name.
    load(path, into=module)  Puts the arrays into the module and gives them by name, whatever the file names.

    The model is on the current device and in the default dtype. Raises `FileNotFoundError`, or `ValueError` naming the
    file if it is damaged, or does not fit the module, which is then unchanged.

    >>> vae = minigen.load("vae.safetensors")
    >>> minigen.load("vae-of-pytorch.safetensors", into=vae)
    """
    arrays, metadata = read(path)
    if into is not None:
        fill(into, arrays, path)
    elif MODEL in metadata:
        model = _made_again(metadata[MODEL], path)
        fill(model, arrays, path)
        return model.eval()
    return arrays


def _made_again(description: str, path: str | Path) -> Module:
    """The model of that description, with new weights."""
    try:
        with separate_random(seed=0):  # the initial weights are not kept, so the user's random numbers are not used
            model = json.loads(description, object_hook=_made)
        if not isinstance(model, Module):
            raise TypeError(f"expects a model, got {model!r}")
    except Exception as error:  # whatever constructors make of wrong arguments
        raise ValueError(f"{path}: its metadata do not describe a model of minigen: {error}") from error
    return model


def _made(x: dict[str, Any]) -> Any:
    """What an object in JSON stands for: a class with its arguments is what they make; arguments stay by name."""
    if "class" not in x:
        return x
    known = _known_classes()
    if x["class"] not in known:
        raise ValueError(f"there is no {x['class']!r}, only {', '.join(known)}")
    return known[x["class"]](**x["arguments"])


def _known_classes() -> dict[str, Any]:
    """The models by name, and what can be an argument of theirs."""
    from minigen import evaluate, models

    offered = [getattr(part, name) for part in (models, evaluate) for name in part.__all__]
    kinds = (Module, models.Likelihood, models.Tricks)
    return {x.__name__: x for x in offered if isinstance(x, type) and issubclass(x, kinds)}
