"""What pages of the zoo measure, where it is known."""

from __future__ import annotations

import numpy as np
import pytest

import minigen
from minigen.autograd import Tensor
from zoo_pages import b_gan, bayesian_gan, began, f_gan, gogan


def test_where_b_gan_rests() -> None:
    """At the best fit for the reverse KL, whose gradient its loss has; for "gan" where the game was seen to rest."""
    np.testing.assert_allclose(b_gan.rest("reverse-kl"), f_gan.best_fit("reverse-kl").fit, atol=1e-3)
    np.testing.assert_allclose(b_gan.rest("gan"), [1.4315, 1.7015], atol=1e-3)


@pytest.mark.parametrize("x", [-0.2, 0.5, 3.0])
def test_the_distance_to_a_posterior(x: float) -> None:
    """0 for its own quantiles, and the shift for those shifted; the Gaussian has its moments."""
    grid, p = bayesian_gan.Z[:, 0], bayesian_gan.posterior(x) * bayesian_gan.CELL
    assert p.sum() == pytest.approx(1) and np.allclose(p, p[::-1])
    draws = np.random.default_rng(0).choice(grid, 40_000, p=p)
    assert bayesian_gan.distance(x, draws) < 0.03
    assert bayesian_gan.distance(x, draws + 2.0) == pytest.approx(2.0, abs=0.03)
    fit = bayesian_gan.gaussian(x, np.array([-1.0, 1.0]))
    assert fit.mean() == pytest.approx(0, abs=1e-9) and fit.std() == pytest.approx(np.sqrt(p @ grid**2))


def test_the_simulator_has_that_posterior() -> None:
    minigen.manual_seed(0)
    x, z = (part[:, 0] for part in bayesian_gan.simulate(400_000))
    near = z[abs(x - 1.0) < 0.02]
    assert bayesian_gan.distance(1.0, near) < 0.05


def test_rank_correlation() -> None:
    a, b = np.array([40.0, 1.0, 2.0, 3.0]), np.array([1.0, 2.0, 4.0, 3.0])
    assert began.rank_correlation(a, a**3) == pytest.approx(1) and began.rank_correlation(a, -a) == pytest.approx(-1)
    assert began.rank_correlation(a, b) == pytest.approx(1 - 6 * (3**2 + 1**2 + 2**2 + 0) / (4 * 15))


class Shifted(minigen.nn.Module):
    def sample(self, n: int) -> Tensor:
        return Tensor(gogan.MIXTURE.sample(n) + np.float32(0.3))


def test_the_gap_of_shifted_data() -> None:
    assert gogan.gap(Shifted()) == pytest.approx(0.3, abs=0.02)
