"""The GAN zoo: pages of the lecture's slide, each with its claim measured (`minigen/models/zoo`, one file a paper).

Without a name, lists the 48 GANs of the slide with the state of each, and the pages with their last results. With one
or several, or --all, trains them, prints the claims with a baseline beside each, and draws a figure into a folder in
--out; --seeds 3 trains three times and gives median and range. --all also draws `overview.png`, the figures of all,
and writes `results.md`, a table of their claims.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import time
from pathlib import Path
from types import ModuleType

from PIL import Image

from benchmarks import in_lines
from common import figures, flags
from minigen.files import atomic_write, read_json
from minigen.models.zoo.catalogue import CATALOGUE
from minigen.train.forecast import duration
from zoo_pages import Claim

PAGES = {  # the minutes of one seed on one core of a CPU
    "f_gan": 2,
    "b_gan": 1,
    "adagan": 3,
    "bayesian_gan": 1,
    "sghmc_gan": 2,
    "gogan": 2,
    "bs_gan": 1,
    "improved_gan": 5,
    "cat_gan": 5,
    "ac_gan": 5,
    "info_gan": 6,
    "dr_gan": 3,
    "ebgan": 3,
    "began": 2,
    "c_rnn_gan": 3,
    "bigan": 3,
    "ali": 5,
    "anogan": 6,
    "icgan": 4,
    "cvae_gan": 3,
    "cogan": 6,
    "cycle_gan": 3,
    "dtn": 5,
    "gene_gan": 1,
    "lapgan": 5,
    "aff_gan": 2,
    "ccgan": 2,
    "id_cgan": 2,
}


HOW = "Of several seeds the medians decide; where the ranges overlap, other seeds may decide otherwise."


def run(args: argparse.Namespace) -> None:
    names = list(PAGES) if args.all else args.names
    if not names:
        list_all(args.out)
    for name in names:
        show(name, args)
    if args.all:
        save_overview(args.out)
        save_results(args.out)


def show(name: str, args: argparse.Namespace) -> None:
    """Train a page and print its claims."""
    page, out = page_of(name), args.out / name
    given = argparse.Namespace(**vars(args) | {"iterations": args.iterations or page.ITERATIONS})
    settings = f"--seeds {args.seeds} --iterations {given.iterations}"
    print(f"{title(page)}\n{settings}", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    start = time.monotonic()
    claims = page.measure(given, out)
    print(f"{'claim':60}  {'aim':>9}  {'measured':26}  baseline")
    for claim in claims:
        print(line(claim))
    kept = sum(claim.holds for claim in claims)
    result = f"{kept} of {len(claims)} claims hold with {settings}"
    record = {"result": result, "claims": [claim._asdict() for claim in claims]}
    with atomic_write(out / "result.json") as temporary:
        temporary.write_text(json.dumps(record, indent=1))
    print(f"{result}, after {duration(time.monotonic() - start)}. The figure is in {out}/\n", flush=True)


def line(claim: Claim) -> str:
    mark = "holds" if claim.holds else "NOT MET"
    return f"{claim.text:60}  {claim.aim:>9}  {claim.measured:26}  {claim.baseline:20}  {mark}"


def list_all(out: Path) -> None:
    """The slide's table, and of each page its idea, its claim and its last result in that folder."""
    for entry in CATALOGUE:
        print(f"{entry.name:16}  arXiv {entry.paper:10}  {entry.state:7}  {entry.where}")
    count = lambda state: sum(entry.state == state for entry in CATALOGUE)
    print(f"{count('works')} work, {count('option')} are options of others, {count('not yet')} are not here yet\n")
    for name, minutes in PAGES.items():
        page, file = page_of(name), out / name / "result.json"
        result = read_json(file)["result"] if file.exists() else "not run yet"
        print(f"python demos/zoo.py {name}  (about {minutes} min)\n  {title(page)}")
        print(f"  claim: {page.CLAIM}\n  last result: {result}")


def save_overview(out: Path) -> None:
    """`overview.png`: of the figures of all pages in this folder, the left part of each."""
    files = [(name, file) for name in PAGES for file in sorted((out / name).glob("*.png"))]
    rows = math.ceil(len(files) / 4)
    figure = figures.new_figure(12, 1.75 * rows)
    places = figure.subplots(rows, 4, squeeze=False).flat
    for axes, (name, file) in zip(places, files, strict=False):
        with Image.open(file) as image:
            width = min(image.width, 2 * image.height)
            axes.imshow(image.convert("RGB").crop((0, 0, width, min(image.height, width))))
        axes.set_title(name, fontsize=8)
    for axes in figure.axes:
        axes.axis("off")
    figures.save_small(figure, out / "overview.png")


def save_results(out: Path) -> None:
    """`results.md`: the claims of all pages, as they were last measured in this folder."""
    rows = []
    for name in PAGES:
        record = read_json(out / name / "result.json")
        rows.append([f"**{name}**", record["result"], "", "", "", ""])
        for *cells, holds in (claim.values() for claim in record["claims"]):
            cells = [cell.replace("|", r"\|") for cell in cells]
            rows.append(["", *cells, "holds" if holds else "not met"])
    table = "\n".join(in_lines(["page", "claim", "aim", "measured", "baseline", ""], rows))
    with atomic_write(out / "results.md") as temporary:
        temporary.write_text(f"{table}\n\n{HOW}\n")


def page_of(name: str) -> ModuleType:
    return importlib.import_module(f"zoo_pages.{name}")


def title(page: ModuleType) -> str:
    """The first line of the model's file: its name and its paper."""
    model = importlib.import_module(f"minigen.models.zoo.{page.__name__.removeprefix('zoo_pages.')}")
    return str(model.__doc__).splitlines()[0]


def known(name: str) -> str:
    if name not in PAGES:
        raise argparse.ArgumentTypeError(f"expects one of {', '.join(PAGES)}, got {name}")
    return name


def parser() -> flags.Parser:
    result = flags.Parser(__doc__, quick={"iterations": 100})
    result.add_argument("names", nargs="*", type=known, metavar="NAME", help=f"any of: {', '.join(PAGES)}")
    result.add_argument("--all", action="store_true", help="every page, one after the other")
    result.add_argument("--device", default="cpu", help='"cpu", "gpu" or "gpu:N"')
    result.add_argument(
        "--seeds", type=flags.positive, default=1, help="trainings of each model; claims hold for their median"
    )
    result.add_argument("--seed", type=flags.seed, default=0, help="the first of the seeds")
    result.add_argument("--iterations", type=flags.positive, help="rounds of a training (default: the page's own)")
    result.add_argument("--out", type=Path, default=Path("runs/zoo"), help="folder for the pages' folders")
    result.add_argument("--resume", action="store_true", help="continue, without training again what is in --out")
    return result


if __name__ == "__main__":
    flags.run(run, parser())
