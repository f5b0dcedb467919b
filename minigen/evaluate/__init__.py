"""Metrics of a model's quality: likelihoods, divergences, comparisons of samples with data, a classifier as judge."""

from minigen.distributions import bits_per_dim
from minigen.evaluate import latent
from minigen.evaluate.classification import auroc, knn_accuracy
from minigen.evaluate.clustering import clustering_accuracy
from minigen.evaluate.divergences import (
    integration_grid,
    jensen_shannon_divergence,
    kl_divergence,
    optimal_discriminator,
    value_function,
    wasserstein_1d,
    wasserstein_1d_of_densities,
)
from minigen.evaluate.frechet import frechet_distance
from minigen.evaluate.judge import (
    Classifier,
    TrainedClassifier,
    class_shares,
    confident_share,
    features_and_probabilities,
    random_subset,
    report_on,
    trained_classifier,
)
from minigen.evaluate.likelihood import mean_over
from minigen.evaluate.samples import (
    best_sigma,
    copying,
    coverage,
    intersection_over_union,
    modes_covered,
    nearest,
    parzen_log_prob,
    precision_and_recall,
    sharpness,
)
from minigen.nn.module import evaluating

__all__ = [
    "Classifier",
    "TrainedClassifier",
    "auroc",
    "best_sigma",
    "bits_per_dim",
    "class_shares",
    "clustering_accuracy",
    "confident_share",
    "coverage",
    "copying",
    "evaluating",
    "features_and_probabilities",
    "frechet_distance",
    "integration_grid",
    "intersection_over_union",
    "jensen_shannon_divergence",
    "kl_divergence",
    "knn_accuracy",
    "latent",
    "mean_over",
    "modes_covered",
    "nearest",
    "optimal_discriminator",
    "parzen_log_prob",
    "precision_and_recall",
    "random_subset",
    "report_on",
    "sharpness",
    "trained_classifier",
    "value_function",
    "wasserstein_1d",
    "wasserstein_1d_of_densities",
]
