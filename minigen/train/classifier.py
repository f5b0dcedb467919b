"""The classifier that judges samples: trained once for a data set, then read from a file."""

from __future__ import annotations

from pathlib import Path

from minigen import optim
from minigen.backend import array_module, random_generator, separate_random
from minigen.checkpoint import load, save
from minigen.data import Dataset, Loader
from minigen.evaluate.likelihood import mean_over
from minigen.models.classifier import Classifier
from minigen.train.maximum_likelihood import MaximumLikelihood


def trained_classifier(
    training: Dataset, test: Dataset, path: str | Path, *, epochs: int = 6, batch_size: int = 64, lr: float = 3e-3
) -> Classifier:
    """A classifier of that data set, in evaluation mode: read from the weights file `path`, or trained and saved there.

    A file that does not fit, or is damaged, is replaced. Prints how many of the test images it gets right, whichever
    way it came. The random numbers outside go on as if nothing had been drawn.

    >>> judge = trained_classifier(digits, test_digits, "runs/classifier/digits.safetensors")
    """
    path, reason = Path(path), ""
    with separate_random(seed=0):
        classifier = Classifier(training.image_shape, len(training.classes))
        try:
            load(path, into=classifier)
        except (FileNotFoundError, ValueError) as error:
            reason = "" if isinstance(error, FileNotFoundError) else f" anew ({error})"
            _train(classifier, Loader(training, batch_size, pixels="signed"), epochs, lr)
            save(classifier, path)
            verb = "trained" + reason + " and saved in"
        else:
            verb = "from"
        held_out = Loader(test, 500, pixels="signed", shuffle=False)
        accuracy = mean_over(held_out, classifier.correct, classifier)
    print(f"Classifier of {training.name}, {verb} {path}: {accuracy:.1%} of {len(test)} test images right")
    return classifier.eval()


def _train(classifier: Classifier, loader: Loader, epochs: int, lr: float) -> None:
    """Adam with a decaying learning rate, each batch moved by a few pixels (black edges go round to black edges)."""
    from tqdm import tqdm

    steps = epochs * len(loader)
    optimizer = optim.Adam(classifier.parameters(), lr)
    step = MaximumLikelihood(classifier, optimizer, schedule=optim.linear_decay(lr, steps))
    reach = min(classifier.image_shape[1:]) // 14
    with tqdm(total=steps, desc="classifier", unit="step", leave=False, disable=None) as bar:
        for epoch in range(epochs):
            for images, labels in loader.epoch(epoch):
                shift = tuple(int(n) for n in random_generator().integers(-reach, reach + 1, 2))
                step(array_module(images).roll(images, shift, axis=(2, 3)), labels)
                bar.update()
