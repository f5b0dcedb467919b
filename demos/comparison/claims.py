"""The claims of the lecture's two tables, each beside what was measured: "PixelRNN and PixelCNN", and "Comparisons".

A claim is a function of the results that gives what was measured, as text, and whether it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import inf
from typing import NamedTuple

from comparison import NotMeasured, Results

Verdict = tuple[str, bool]

RNNS = ("row", "diagonal")
AUTOREGRESSIVE = ("pixelcnn", "gated", *RNNS)
GANS = ("gan", "dcgan", "wgan-gp")


class Claim(NamedTuple):
    of: str
    text: str  # the lecture's words
    measure: Callable[[Results], Verdict]

    @property
    def holds_if(self) -> str:
        return str(self.measure.__doc__)


CLAIMS: list[Claim] = []


def claim(of: str, text: str) -> Callable[[Callable[[Results], Verdict]], Callable[[Results], Verdict]]:
    """The lecture's words `text` about `of`; the docstring of the decorated function says when they hold."""

    def add(measure: Callable[[Results], Verdict]) -> Callable[[Results], Verdict]:
        CLAIMS.append(Claim(of, text, measure))
        return measure

    return add


class Judged(NamedTuple):
    """A claim, what was measured, and whether it holds; None where something was not measured."""

    of: str
    text: str
    holds_if: str
    measured: str
    holds: bool | None

    @property
    def verdict(self) -> str:
        return {True: "holds", False: "does not hold", None: "not measured"}[self.holds]


def judged(results: Results) -> list[Judged]:
    """The verdict on every claim."""
    return [Judged(c.of, c.text, c.holds_if, *verdict(c, results)) for c in CLAIMS]


def verdict(claim: Claim, results: Results) -> tuple[str, bool | None]:
    try:
        return claim.measure(results)
    except NotMeasured as missing:
        return f"needs {missing}", None


# -- PixelRNN and PixelCNN ---------------------------------------------------------------------------------------------


@claim("PixelRNN", "effectively handles long-range dependencies: good performance")
def good_performance(r: Results) -> Verdict:
    """Both see more rows above than the PixelCNN, and have fewer nats."""
    better = all(r(name, "nats") < r("pixelcnn", "nats") for name in RNNS)
    farther = all(r(name, "rows_above") > r("pixelcnn", "rows_above") for name in RNNS)
    models = (*RNNS, "pixelcnn")
    nats, rows = listed(r, models, "nats", "{:.2f}"), listed(r, models, "rows_above", "{:.0f}")
    return f"nats: {nats}; rows above that a pixel depends on: {rows}", better and farther


@claim("PixelRNN", "each state needs to be computed sequentially: computationally expensive")
def expensive(r: Results) -> Verdict:
    """A training step of both takes longer than the PixelCNN's."""
    steps = listed(r, (*RNNS, "pixelcnn"), "step_ms", "{:.1f}")
    longer = min(r(name, "step_ms") for name in RNNS) > r("pixelcnn", "step_ms")
    return f"ms a training step on 16 images: {steps}", longer


@claim("PixelCNN", "convolutions are easier to parallelize: much faster to train")
def faster_to_train(r: Results) -> Verdict:
    """A step of both PixelRNNs takes at least twice as long, and both reach the PixelCNN's nats later."""
    aim = max(curve[-1][1] for curve in r.all("pixelcnn", "curve"))  # by the log, as the curves of the others
    times = {name: r(name, "step_ms") / r("pixelcnn", "step_ms") for name in RNNS}
    until = {name: seconds_until(r, name, aim) for name in ("pixelcnn", *RNNS)}
    steps = ", ".join(f"{r.title(name)} {ratio:.1f}" for name, ratio in times.items())
    reached = ", ".join(f"{r.title(name)} {f'{s:.0f} s' if s < inf else 'never'}" for name, s in until.items())
    sooner = until["pixelcnn"] < min(until[name] for name in RNNS)
    text = f"a step takes so many times the PixelCNN's: {steps}; {aim:.2f} nats after: {reached}"
    return text, min(times.values()) >= 2 and sooner


@claim("PixelCNN", "bounded receptive field: inferior performance")
def bounded_field(r: Results) -> Verdict:
    """It does not see all pixels before, and has more nats than both PixelRNNs."""
    seen, context = r("pixelcnn", "seen"), r("pixelcnn", "context")
    worse = r("pixelcnn", "nats") - max(r(name, "nats") for name in RNNS)
    text = f"the PixelCNN's centre pixel depends on {seen:.0f} of the {context:.0f} before it, in the nearest "
    text += f"{r('pixelcnn', 'rows_above'):.0f} rows; its nats minus the worse PixelRNN's: {worse:+.2f}"
    return text, seen < context and worse > 0


@claim("PixelCNN", "blind spot problem needs to be eliminated")
def blind_spot(r: Results) -> Verdict:
    """It has one, the Gated PixelCNN has none, and fewer nats."""
    blind, gain = listed(r, ("pixelcnn", "gated"), "blind", "{:.0f}"), r("pixelcnn", "nats") - r("gated", "nats")
    holds = r("pixelcnn", "blind") > 0 == r("gated", "blind") and gain > 0
    return f"pixels in the blind spot: {blind}; nats of the first minus those of the second: {gain:+.2f}", holds


# -- VAE, GAN, autoregressive models -----------------------------------------------------------------------------------


@claim("VAE", "efficient inference with approximate latent variables")
def efficient_inference(r: Results) -> Verdict:
    """Its encoder is at least 100 times as fast as a search for the code in the DCGAN."""
    encoder, search = r("vae", "code_ms"), r("dcgan", "code_ms")
    text = f"ms for the code of an image: VAE {encoder:.3f} by its encoder, DCGAN {search:.0f} by a search with "
    return text + "gradients, the autoregressive models have no code", search > 100 * encoder


@claim("VAE", "generated samples tend to be blurry")
def blurry(r: Results) -> Verdict:
    """Its mean images are less sharp than the samples of every GAN, and than 90 % of test images' sharpness."""
    vae, others = r("vae", "sharpness"), [r(name, "sharpness") for name in GANS]
    sharpness = listed(r, ("vae", *GANS, "test-grey"), "sharpness", "{:.3f}")
    return f"sharpness: {sharpness}", vae < min(*others, 0.9 * r("test-grey", "sharpness"))


@claim("GAN", "generate sharp image")
def sharp(r: Results) -> Verdict:
    """Every GAN has at least 90 % of the sharpness of test images."""
    share = {name: r(name, "sharpness") / r("test-grey", "sharpness") for name in GANS}
    text = ", ".join(f"{r.title(name)} {s:.0%}" for name, s in share.items())
    return f"sharpness beside that of test images: {text}", min(share.values()) >= 0.9


@claim("GAN", "no need for any Markov chain or approx networks during sampling")
def no_chain(r: Results) -> Verdict:
    """A sample takes less time than that of every autoregressive model."""
    slowest, fastest = max(r(name, "sample_ms") for name in GANS), min(r(name, "sample_ms") for name in AUTOREGRESSIVE)
    text = f"one pass through the generator for a sample, {slowest:.2f} ms for the slowest of the GANs; "
    return text + f"{fastest:.2f} ms for the fastest autoregressive model", slowest < fastest


@claim("GAN", "difficult to optimize due to unstable training dynamics")
def unstable(r: Results) -> Verdict:
    """The largest spread of a GAN over seeds is over twice that of every other model."""
    spread = {name: relative_spread(r, name, "frechet") for name in (*GANS, "vae", *AUTOREGRESSIVE)}
    text = ", ".join(f"{r.title(name)} {s:.0%}" for name, s in spread.items())
    others = max(s for name, s in spread.items() if name not in GANS)
    holds = max(spread[name] for name in GANS) > 2 * others
    return f"range of the Fréchet distance over seeds beside its median: {text}", holds


@claim("autoregressive models", "very simple and stable training process")
def stable(r: Results) -> Verdict:
    """The nats of test images fall in every epoch, and differ by less than 2 % between seeds."""
    curves = [curve for name in AUTOREGRESSIVE for curve in r.all(name, "curve")]
    epochs = [after[1] - before[1] for curve in curves for before, after in pairwise(curve)]
    rises = sum(change > 0 for change in epochs)
    spread = max(relative_spread(r, name, "nats") for name in AUTOREGRESSIVE)
    text = f"in {len(curves)} runs the test images' nats rose in {rises} of {len(epochs)} epochs after the first; "
    return text + f"they differ by at most {spread:.1%} between seeds", rises == 0 and spread < 0.02


@claim("autoregressive models", "currently gives the best log likelihood")
def best_likelihood(r: Results) -> Verdict:
    """All have fewer nats than the VAE's bound."""
    worst = max(r(name, "nats") for name in AUTOREGRESSIVE)
    text = f"nats: {listed(r, AUTOREGRESSIVE, 'nats', '{:.2f}')}; {vae_bounds(r)}; GANs have none"
    return text, worst < r("vae", "nats")


@claim("autoregressive models", "tractable likelihood")
def tractable(r: Results) -> Verdict:
    """Theirs is exact, that of the others is not."""
    kinds = {name: r.all(name, "likelihood")[0] for name in (*AUTOREGRESSIVE, "vae", *GANS)}
    exact = [name for name, kind in kinds.items() if kind == "exact"]
    gap = r("vae", "elbo") - r("vae", "nats")
    return f"exact: {', '.join(map(r.title, exact))}; {vae_bounds(r)}, a gap of {gap:.2f}", exact == [*AUTOREGRESSIVE]


@claim("autoregressive models", "relatively inefficient during sampling")
def slow_sampling(r: Results) -> Verdict:
    """A sample of every one takes over ten times as long as one of every other model."""
    others = max(r(name, "sample_ms") for name in (*GANS, "vae"))
    fastest = min(r(name, "sample_ms") for name in AUTOREGRESSIVE)
    naive = listed(r, AUTOREGRESSIVE, "naive_ms", "{:.0f}")
    text = f"ms a sample: {listed(r, (*AUTOREGRESSIVE, *GANS, 'vae'), 'sample_ms', '{:.2f}')}; without a cache: {naive}"
    return text, fastest > 10 * others


# -- helpers -----------------------------------------------------------------------------------------------------------


def listed(r: Results, models: Sequence[str], metric: str, form: str) -> str:
    """The values of several models, with their names."""
    return ", ".join(f"{r.title(name)} {form.format(r(name, metric))}" for name in models)


def relative_spread(r: Results, name: str, metric: str) -> float:
    """The range of a metric over seeds, beside its median."""
    values = r.all(name, metric)
    if len(values) < 2:
        raise NotMeasured("several --seeds")
    return (max(values) - min(values)) / r(name, metric)


def seconds_until(r: Results, name: str, nats: float) -> float:
    """The time after which a model had so few nats on the test images, in its quickest run; infinite if never."""
    times = [seconds for curve in r.all(name, "curve") for seconds, value in curve if value <= nats]
    return min(times, default=inf)


def vae_bounds(r: Results) -> str:
    return f"VAE at most {r('vae', 'elbo'):.2f} (-ELBO), {r('vae', 'nats'):.2f} ({r.all('vae', 'likelihood')[0]})"
