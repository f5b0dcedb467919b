"""Few labels: so many of each class, all different, the same for a seed."""

from __future__ import annotations

import numpy as np
import pytest

from minigen.data import Dataset, few_labels, load


def test_so_many_of_each_class_and_none_twice() -> None:
    digits = load("digits")
    few = few_labels(digits, 3, seed=1)
    assert few.labels.tolist() == [k for k in range(10) for _ in range(3)]
    of_label = {x.tobytes(): y for x, y in digits}
    assert len({x.tobytes() for x, _ in few}) == 30 and all(of_label[x.tobytes()] == y for x, y in few)
    np.testing.assert_array_equal(few_labels(digits, 3, seed=1).images, few.images)
    assert (few_labels(digits, 3, seed=2).images != few.images).any()


@pytest.mark.parametrize("per_class", [0, 3])
def test_no_more_than_the_rarest_class_has(per_class: int) -> None:
    dataset = Dataset.from_arrays(np.zeros((5, 1, 2, 2), np.uint8), [0, 1, 0, 1, 0])
    with pytest.raises(ValueError, match=f"few_labels: expects per_class = 1 ... 2, .* got {per_class}"):
        few_labels(dataset, per_class)
