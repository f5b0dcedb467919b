"""Metrics that say how good a model is."""

from minigen.distributions import bits_per_dim
from minigen.evaluate.divergences import (
    integration_grid,
    jensen_shannon_divergence,
    kl_divergence,
    modes_covered,
    optimal_discriminator,
    value_function,
    wasserstein_1d,
    wasserstein_1d_of_densities,
)
from minigen.evaluate.likelihood import mean_over
from minigen.evaluate.samples import (
    best_sigma,
    class_shares,
    confident_share,
    features_and_probabilities,
    frechet_distance,
    nearest,
    parzen_log_prob,
    report_on,
)
from minigen.nn.module import evaluating

__all__ = [
    "best_sigma",
    "bits_per_dim",
    "class_shares",
    "confident_share",
    "evaluating",
    "features_and_probabilities",
    "frechet_distance",
    "integration_grid",
    "jensen_shannon_divergence",
    "kl_divergence",
    "mean_over",
    "modes_covered",
    "nearest",
    "optimal_discriminator",
    "parzen_log_prob",
    "report_on",
    "value_function",
    "wasserstein_1d",
    "wasserstein_1d_of_densities",
]
