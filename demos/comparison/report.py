"""The report of a comparison: a table and the claims as text, Markdown and JSON, and a figure."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import in_lines
from common.figures import new_figure, save_small
from comparison import NotMeasured, Results
from comparison.claims import Judged
from minigen import plot
from minigen.files import atomic_write
from zoo_pages import spread

EXAMPLES = 12  # images of each model in the figure
LEGEND = """\
nats: -log p(x) of a test image, of one fixed binary draw (bits per dimension). Fréchet: distance to test images in the
features of a classifier. Precision: share of samples that are like test images; recall: share of test images that
samples are like (k-nearest neighbours, k = 3). Sure: the classifier gives a class over 0.9. Rarest: share of the rarest
class. Sharpness: mean height of an edge. Copying: probability that a sample is nearer to a training image than a test
image is: 50 % for new images, 100 % for copies. Training: seconds by the log, until the nats beside it were reached.
Naive: without a cache. Of several seeds the median, of nats and Fréchet distance also the range."""


def percent(results: Results, model: str, metric: str) -> str:
    return f"{results(model, metric):.0%}"


def nats(results: Results, model: str) -> str:
    kind = results.all(model, "likelihood")[0]
    if kind == "not defined":
        return kind
    values = spread(results.all(model, "nats"), ".2f")
    return f"{'' if kind == 'exact' else '<= '}{values}, {kind} ({results(model, 'bits'):.4f})"


def milliseconds(results: Results, model: str) -> str:
    cached = f"{results(model, 'sample_ms'):.2f}"
    try:
        return f"{cached} (naive {results(model, 'naive_ms'):.0f})"
    except NotMeasured:
        return cached


COLUMNS: dict[str, Callable[[Results, str], str]] = {
    "": Results.title,
    "nats": nats,
    "Fréchet": lambda r, model: spread(r.all(model, "frechet"), ".1f"),
    "precision": lambda r, model: percent(r, model, "precision"),
    "recall": lambda r, model: percent(r, model, "recall"),
    "sure": lambda r, model: percent(r, model, "confident"),
    "rarest": lambda r, model: f"{r(model, 'rarest'):.1%}",
    "sharpness": lambda r, model: f"{r(model, 'sharpness'):.2f}",
    "copying": lambda r, model: percent(r, model, "copying"),
    "training, s": lambda r, model: f"{r(model, 'seconds'):.0f}",
    "ms a sample": milliseconds,
    "parameters": lambda r, model: f"{r(model, 'parameters'):,.0f}",
    "code": lambda r, model: r.all(model, "code")[0],
}


def table(results: Results) -> list[list[str]]:
    """A row of cells for each model, under the names of the columns; what was not measured is left out."""

    def cell(column: str, model: str) -> str:
        try:
            return COLUMNS[column](results, model)
        except NotMeasured:
            return ""

    return [[*COLUMNS], *([cell(column, model) for column in COLUMNS] for model in results.models())]


def aligned(rows: list[list[str]]) -> str:
    """The rows as text, with columns of equal width."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(f"{text:<{n}}" for text, n in zip(row, widths, strict=True)).rstrip() for row in rows)


def claims_as_text(claims: list[Judged]) -> str:
    """Each claim with its verdict, what was measured below it, and how many hold."""
    lines = [f"{claim.verdict.upper():14} {claim.of}: {claim.text}\n{'':15}{claim.measured}" for claim in claims]
    return "\n".join([*lines, "", score(claims)])


def score(claims: list[Judged]) -> str:
    count = lambda holds: sum(claim.holds is holds for claim in claims)
    return f"Claims of the lecture that hold: {count(True)}, do not hold: {count(False)}, not measured: {count(None)}."


def write(results: Results, claims: list[Judged], settings: dict[str, Any], out: Path) -> None:
    """Everything measured so far, as `compare.json` and `compare.md`."""
    rows = [{name: x for name, x in row.items() if name != "examples"} for row in results.rows]
    found = {**settings, "rows": rows, "claims": [claim._asdict() | {"verdict": claim.verdict} for claim in claims]}
    with atomic_write(out / "compare.json") as path:
        path.write_text(json.dumps(found, indent=1))
    with atomic_write(out / "compare.md") as path:
        path.write_text(markdown(results, claims))


def markdown(results: Results, claims: list[Judged]) -> str:
    heading, *rows = table(results)
    verdicts = [[f"**{claim.of}**: {claim.text}", claim.verdict, claim.measured, claim.holds_if] for claim in claims]
    lines = [*in_lines(heading, rows), "", LEGEND, ""]
    lines += [*in_lines(["the lecture", "", "measured", "holds if"], verdicts), "", score(claims)]
    return "\n".join(lines) + "\n"


# -- the figure --------------------------------------------------------------------------------------------------------

PANELS = {  # the metrics of each panel of bars, and how they are printed
    "nats, from 60\n(VAE: at most)": (["nats"], ".1f"),
    "Fréchet distance": (["frechet"], ".1f"),
    "precision (blue)\nrecall (brown)": (["precision", "recall"], ".0%"),
    "sharpness of edges\n(binary: 1)": (["sharpness"], ".2f"),
    "ms a sample": (["sample_ms"], ".2g"),
}


def draw(results: Results, path: Path) -> None:
    """A row for each model: samples of its first seed, and bars, with a line from the lowest to the highest seed."""
    models = [model for model in results.models() if not model.startswith("copies")]
    figure = new_figure(17, 0.62 * len(models) + 1)
    pictures, *panels = figure.subplots(1, 1 + len(PANELS), width_ratios=[5.5, *[1.6] * len(PANELS)])
    images = np.concatenate([results.all(model, "examples")[0][:EXAMPLES] for model in models])
    places = np.arange(len(models)) + 0.5
    pictures.imshow(plot.mosaic(images, columns=EXAMPLES), extent=(0, EXAMPLES, len(models), 0), aspect="auto")
    pictures.set_xticks([])
    pictures.set_yticks(places, [results.title(model) for model in models], fontsize=11)
    for axes, (title, (metrics, form)) in zip(panels, PANELS.items(), strict=True):
        height = 0.8 / len(metrics)
        for i, metric in enumerate(metrics):
            colour = ("#4878a8", "#c8884a")[i]
            add_bars(
                axes, results, models, metric, form, places + height * (i - (len(metrics) - 1) / 2), height, colour
            )
        axes.set_title(title, fontsize=11)
        axes.set(ylim=(len(models), 0), yticks=[])
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_xlim(left=60)  # far below every model: the differences are a few nats of a hundred
    panels[-1].set_xscale("log")
    save_small(figure, path)


def add_bars(
    axes: Any, results: Results, models: list[str], metric: str, form: str, places: Any, height: float, colour: str
) -> None:
    """A bar for each model in which the metric was measured; those of real images are grey."""
    for model, place in zip(models, places, strict=True):
        try:
            values, middle = results.all(model, metric), results(model, metric)
        except NotMeasured:
            continue
        axes.barh(place, middle, 0.9 * height, color="#999999" if model.startswith("test") else colour)
        axes.plot([min(values), max(values)], [place, place], color="black", linewidth=1.5)
        axes.text(max(values), place, f" {middle:{form}}", va="center", fontsize=8)
