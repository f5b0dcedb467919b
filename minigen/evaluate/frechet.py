"""The Fréchet distance between two sets of features. With those of the Inception network it is known as FID."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen.autograd import raw
from minigen.backend import to_numpy


def frechet_distance(features_a: Any, features_b: Any) -> float:
    """The Fréchet distance between Gaussians fitted to two sets of features, (N, D) and (M, D) (Heusel et al. 2017).

        |m_a - m_b|^2 + Tr(C_a + C_b - 2 (C_a C_b)^(1/2))

    with the means m and the covariances C: the squared Wasserstein-2 distance of the two Gaussians. It is biased
    upwards, more for fewer features: compare only distances that were computed from equal numbers of features.
    `ValueError` for other shapes, fewer than two features or values that are not finite.
    """
    a, b = (to_numpy(raw(x)).astype(np.float64) for x in (features_a, features_b))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError(f"frechet_distance: expects (N, D) and (M, D) with N, M >= 2, got {a.shape} and {b.shape}")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("frechet_distance: expects finite features, got NaN or infinity")
    difference = a.mean(axis=0) - b.mean(axis=0)
    cov_a, cov_b = (np.atleast_2d(np.cov(x, rowvar=False)) for x in (a, b))
    # With A^2 = C_a and B^2 = C_b, C_a C_b has the eigenvalues of (A B)(A B)^T: the trace of its square root is the sum
    # of the singular values of A B.
    trace = np.linalg.svd(_root(cov_a) @ _root(cov_b), compute_uv=False).sum()
    return float(max(difference @ difference + np.trace(cov_a) + np.trace(cov_b) - 2 * trace, 0.0))


def _root(covariance: np.ndarray) -> np.ndarray:
    """The symmetric square root. Eigenvalues that are negative by rounding, of dependent features, count as zero."""
    values, vectors = np.linalg.eigh(covariance)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
