"""The claims of the lecture's two tables, each beside what was measured: "PixelRNN and PixelCNN", and "Comparisons".

A claim is a function of the results that gives what was measured, as text, and whether it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

from comparison import NotMeasured, Results

Verdict = tuple[str, bool]

RNNS = ("row", "diagonal")
AUTOREGRESSIVE = ("pixelcnn", "gated", *RNNS)
GANS = ("gan", "dcgan", "wgan-gp")


class Claim(NamedTuple):
    of: str
    text: str  # the lecture's words
    holds_if: str
    measure: Callable[[Results], Verdict]


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
    return [Judged(claim.of, claim.text, claim.holds_if, *verdict(claim, results)) for claim in CLAIMS]


def verdict(claim: Claim, results: Results) -> tuple[str, bool | None]:
    try:
        return claim.measure(results)
    except NotMeasured as missing:
        return f"needs {missing}", None


# -- PixelRNN and PixelCNN ---------------------------------------------------------------------------------------------


def good_performance(r: Results) -> Verdict:
    better = all(r(name, "nats") < r("pixelcnn", "nats") for name in RNNS)
    farther = all(r(name, "rows_above") > r("pixelcnn", "rows_above") for name in RNNS)
    models = (*RNNS, "pixelcnn")
    nats, rows = listed(r, models, "nats", "{:.2f}"), listed(r, models, "rows_above", "{:.0f}")
    return f"nats: {nats}; rows above that a pixel depends on: {rows}", better and farther


def expensive(r: Results) -> Verdict:
    times = {name: r(name, "step_ms") / r("pixelcnn", "step_ms") for name in RNNS}
    steps = listed(r, (*RNNS, "pixelcnn"), "step_ms", "{:.1f}")
    return f"ms a training step on 16 images: {steps}", min(times.values()) > 1


def faster_to_train(r: Results) -> Verdict:
    aim = r("pixelcnn", "nats")
    times = {name: r(name, "step_ms") / r("pixelcnn", "step_ms") for name in RNNS}
    own = seconds_until(r, "pixelcnn", aim)
    until = {name: seconds_until(r, name, aim) for name in RNNS}
    steps = ", ".join(f"{r.title(name)} {ratio:.1f}" for name, ratio in times.items())
    reached = [f"{r.title(name)} {f'{s:.0f} s' if s else 'never'}" for name, s in {"pixelcnn": own, **until}.items()]
    sooner = own is not None and all(s is None or s > own for s in until.values())
    text = f"a step takes so many times the PixelCNN's: {steps}; {aim:.2f} nats after: {', '.join(reached)}"
    return text, min(times.values()) >= 2 and sooner


def bounded_field(r: Results) -> Verdict:
    seen, context = r("pixelcnn", "seen"), r("pixelcnn", "context")
    worse = r("pixelcnn", "nats") - max(r(name, "nats") for name in RNNS)
    text = f"the PixelCNN's centre pixel depends on {seen:.0f} of the {context:.0f} before it, in the nearest "
    text += f"{r('pixelcnn', 'rows_above'):.0f} rows; it has {worse:+.2f} nats beside the worse PixelRNN"
    return text, seen < context and worse > 0


def blind_spot(r: Results) -> Verdict:
    blind, gain = listed(r, ("pixelcnn", "gated"), "blind", "{:.0f}"), r("pixelcnn", "nats") - r("gated", "nats")
    holds = r("pixelcnn", "blind") > 0 == r("gated", "blind") and gain > 0
    return f"pixels in the blind spot: {blind}, which has {-gain:+.2f} nats beside it", holds


# -- VAE, GAN, autoregressive models -----------------------------------------------------------------------------------


def efficient_inference(r: Results) -> Verdict:
    encoder, search = r("vae", "code_ms"), r("dcgan", "code_ms")
    text = f"ms for the code of an image: VAE {encoder:.3f} by its encoder, DCGAN {search:.0f} by a search with "
    return text + "gradients, the autoregressive models have no code", search > 100 * encoder


def blurry(r: Results) -> Verdict:
    vae, others = r("vae", "sharpness"), [r(name, "sharpness") for name in GANS]
    sharpness = listed(r, ("vae", *GANS, "test-grey"), "sharpness", "{:.3f}")
    return f"sharpness: {sharpness}", vae < min(*others, 0.9 * r("test-grey", "sharpness"))


def sharp(r: Results) -> Verdict:
    share = {name: r(name, "sharpness") / r("test-grey", "sharpness") for name in GANS}
    text = ", ".join(f"{r.title(name)} {s:.0%}" for name, s in share.items())
    return f"sharpness beside that of test images: {text}", min(share.values()) >= 0.9


def no_chain(r: Results) -> Verdict:
    slowest, fastest = max(r(name, "sample_ms") for name in GANS), min(r(name, "sample_ms") for name in AUTOREGRESSIVE)
    text = f"one pass through the generator for a sample, {slowest:.2f} ms for the slowest of the GANs; "
    return text + f"{fastest:.2f} ms for the fastest autoregressive model", slowest < fastest


def unstable(r: Results) -> Verdict:
    spread = {name: relative_spread(r, name, "frechet") for name in (*GANS, "vae", *AUTOREGRESSIVE)}
    text = ", ".join(f"{r.title(name)} {s:.0%}" for name, s in spread.items())
    others = max(s for name, s in spread.items() if name not in GANS)
    holds = max(spread[name] for name in GANS) > 2 * others
    return f"range of the Fréchet distance over seeds beside its median: {text}", holds


def stable(r: Results) -> Verdict:
    curves = [curve for name in AUTOREGRESSIVE for curve in r.all(name, "curve")]
    epochs = [after[1] - before[1] for curve in curves for before, after in pairwise(curve)]
    rises = sum(change > 0 for change in epochs)
    spread = max(relative_spread(r, name, "nats") for name in AUTOREGRESSIVE)
    text = f"in {len(curves)} runs the test images' nats rose in {rises} of {len(epochs)} epochs after the first; "
    return text + f"they differ by at most {spread:.1%} between seeds", rises == 0 and spread < 0.02


def best_likelihood(r: Results) -> Verdict:
    worst = max(r(name, "nats") for name in AUTOREGRESSIVE)
    text = f"nats: {listed(r, AUTOREGRESSIVE, 'nats', '{:.2f}')}; {vae_bounds(r)}; GANs have none"
    return text, worst < r("vae", "nats")


def tractable(r: Results) -> Verdict:
    kinds = {name: r.all(name, "likelihood")[0] for name in (*AUTOREGRESSIVE, "vae", *GANS)}
    exact = [name for name, kind in kinds.items() if kind == "exact"]
    text = (
        f"exact: {', '.join(map(r.title, exact))}; {vae_bounds(r)}, a gap of {r('vae', 'elbo') - r('vae', 'nats'):.2f}"
    )
    return text, exact == [*AUTOREGRESSIVE]


def slow_sampling(r: Results) -> Verdict:
    others = max(r(name, "sample_ms") for name in (*GANS, "vae"))
    fastest = min(r(name, "sample_ms") for name in AUTOREGRESSIVE)
    naive = listed(r, AUTOREGRESSIVE, "naive_ms", "{:.0f}")
    text = f"ms a sample: {listed(r, (*AUTOREGRESSIVE, *GANS, 'vae'), 'sample_ms', '{:.2f}')}; without a cache: {naive}"
    return text, fastest > 10 * others


RECURRENT, CONVOLUTIONAL = "PixelRNN", "PixelCNN"
FAMILY = "autoregressive models"
CLAIMS = [
    Claim(
        RECURRENT,
        "effectively handles long-range dependencies: good performance",
        "both see more rows above than the PixelCNN, and have fewer nats",
        good_performance,
    ),
    Claim(
        RECURRENT,
        "each state needs to be computed sequentially: computationally expensive",
        "a training step of both takes longer than the PixelCNN's",
        expensive,
    ),
    Claim(
        CONVOLUTIONAL,
        "convolutions are easier to parallelize: much faster to train",
        "a step of both PixelRNNs takes at least twice as long, and both reach the PixelCNN's nats later",
        faster_to_train,
    ),
    Claim(
        CONVOLUTIONAL,
        "bounded receptive field: inferior performance",
        "it does not see all pixels before, and has more nats than both PixelRNNs",
        bounded_field,
    ),
    Claim(
        CONVOLUTIONAL,
        "blind spot problem needs to be eliminated",
        "it has one, the Gated PixelCNN has none, and fewer nats",
        blind_spot,
    ),
    Claim(
        "VAE",
        "efficient inference with approximate latent variables",
        "its encoder is at least 100 times as fast as a search for the code in the DCGAN",
        efficient_inference,
    ),
    Claim(
        "VAE",
        "generated samples tend to be blurry",
        "its mean images are less sharp than the samples of every GAN, and than 90 % of test images' sharpness",
        blurry,
    ),
    Claim("GAN", "generate sharp image", "every GAN has at least 90 % of the sharpness of test images", sharp),
    Claim(
        "GAN",
        "no need for any Markov chain or approx networks during sampling",
        "a sample takes less time than that of every autoregressive model",
        no_chain,
    ),
    Claim(
        "GAN",
        "difficult to optimize due to unstable training dynamics",
        "the largest spread of a GAN over seeds is over twice that of every other model",
        unstable,
    ),
    Claim(
        FAMILY,
        "very simple and stable training process",
        "the nats of test images fall in every epoch, and differ by less than 2 % between seeds",
        stable,
    ),
    Claim(
        FAMILY, "currently gives the best log likelihood", "all have fewer nats than the VAE's bound", best_likelihood
    ),
    Claim(FAMILY, "tractable likelihood", "theirs is exact, that of the others is not", tractable),
    Claim(
        FAMILY,
        "relatively inefficient during sampling",
        "a sample of every one takes over ten times as long as one of every other model",
        slow_sampling,
    ),
]

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


def seconds_until(r: Results, name: str, nats: float) -> float | None:
    """The time after which a model had so few nats on the test images, in its quickest run; None if it never had."""
    times = [seconds for curve in r.all(name, "curve") for seconds, value in curve if value <= nats]
    return min(times, default=None)


def vae_bounds(r: Results) -> str:
    return f"VAE at most {r('vae', 'elbo'):.2f} (-ELBO), {r('vae', 'nats'):.2f} ({r.all('vae', 'likelihood')[0]})"
