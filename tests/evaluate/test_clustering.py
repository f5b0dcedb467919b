"""Clustering accuracy against a count by hand and a naive loop."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen.backend import Device
from minigen.evaluate import clustering_accuracy


def test_by_hand(device: Device) -> None:
    """Cluster 0 is of label 1, cluster 2 of label 5, also cluster 3; no training example is in cluster 1."""
    clusters, labels = [0, 0, 0, 2, 3, 3, 3], [1, 1, 4, 5, 5, 5, 0]
    test_clusters, test_labels = [0, 0, 1, 2, 3, 7], [1, 4, 0, 5, 5, 0]
    arguments = [device.asarray(np.array(x)) for x in (clusters, labels, test_clusters, test_labels)]
    assert clustering_accuracy(*arguments) == 3 / 6


@given(st.integers(0, 2**32 - 1))
def test_is_the_naive_vote(seed: int) -> None:
    random = np.random.default_rng(seed)
    (c, y), (test_c, test_y) = random.integers(0, 4, (2, 30)), random.integers(0, 5, (2, 20))
    right = 0
    for k, label in zip(test_c, test_y, strict=True):
        votes = Counter(y[c == k].tolist())
        most = max(votes.values(), default=0)
        right += bool(votes) and label == min(name for name, count in votes.items() if count == most)
    assert clustering_accuracy(c, y, test_c, test_y) == right / 20


def test_names_of_clusters_do_not_matter_and_votes_are_not_taken_from_the_test() -> None:
    labels = np.arange(10).repeat(5)
    assert clustering_accuracy(9 - labels, labels, 9 - labels, labels) == 1
    assert clustering_accuracy([0, 1], [0, 1], [0, 1], [1, 0]) == 0


@pytest.mark.parametrize("bad", [[0.5, 1.0], [0, -1], [0, 1, 2], [[0, 1]], []])
def test_bad_arguments(bad: list) -> None:
    with pytest.raises(
        ValueError, match=r"clustering_accuracy: expects integers >= 0, \(N,\), \(N,\), \(M,\) and \(M,"
    ):
        clustering_accuracy([0, 1], [0, 1], bad, [0, 1])
