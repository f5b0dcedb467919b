"""Loading weights, and the model that they belong to.

`minigen.save` writes the model's class and arguments into the metadata of its file:

    {"class": "GAN", "arguments": {"generator": {"class": "MLPGenerator", "arguments": {"shape": [1, 28, 28]}}, ...}}

`minigen.load` makes the model again from them. A class is looked up by its name among those that `minigen.models` and
`minigen.evaluate` offer, and called with the arguments; nothing else is imported or run, and nothing is unpickled.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from minigen.checkpoint import MODEL, fill, read
from minigen.nn.module import Module
from minigen.random import separate_random


def load(path: str | Path, into: Module | None = None) -> Any:
    """Read a `.safetensors` file.

    load(path)               Returns the model that the file describes, in evaluation mode. For a file without a
                             description, such as one of PyTorch or of an older minigen, returns the arrays by name.
    load(path, into=module)  Loads the arrays into the module and returns them by name, whatever the file describes.

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
    """The model of a description, with initial weights."""
    try:
        with separate_random(seed=0):  # the initial weights are not kept, so the user's random numbers are not used
            model = json.loads(description, object_hook=_made)
        if not isinstance(model, Module):
            raise TypeError(f"expects a model, got {model!r}")
    except Exception as error:  # constructors may raise anything for wrong arguments
        raise ValueError(f"{path}: its metadata do not describe a model of minigen: {error}") from error
    return model


def _made(x: dict[str, Any]) -> Any:
    """What an object of JSON describes: an instance of the class that it names, or else the dictionary itself."""
    if "class" not in x:
        return x
    known = _known_classes()
    if x["class"] not in known:
        raise ValueError(f"there is no {x['class']!r}, only {', '.join(known)}")
    return known[x["class"]](**x["arguments"])


def _known_classes() -> dict[str, Any]:
    """The classes of models and of their arguments, by name."""
    from minigen import evaluate, models

    offered = [getattr(part, name) for part in (models, evaluate) for name in part.__all__]
    kinds = (Module, models.Likelihood, models.Tricks)
    return {x.__name__: x for x in offered if isinstance(x, type) and issubclass(x, kinds)}
