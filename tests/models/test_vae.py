"""The VAE: its bound against integrals over z and against a model whose posterior is known, its images, its errors."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minigen import backend, distributions, nn, ops
from minigen.autograd import Tensor, no_grad
from minigen.backend import Device, default_dtype
from minigen.distributions import Normal
from minigen.models import VAE
from minigen.models.likelihoods import LIKELIHOODS, Likelihood
from minigen.models.vae import ARCHITECTURES
from minigen.optim import Adam
from minigen.random import manual_seed, normal
from minigen.testing import check_module


def images(likelihood: str, shape: tuple[int, ...], levels: int = 256, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    if likelihood == "gaussian":
        return random.random(shape).astype(np.float32)
    return random.integers(0, 2 if likelihood == "bernoulli" else levels, shape).astype(np.uint8)


# -- a model with a known posterior ------------------------------------------------------------------------------------
# p(x | z) = N(W z + b, s^2 I). The columns of W are orthogonal, so that p(z | x) has independent components.

W = np.array([[1.0, 0.5], [1.0, -0.5], [-1.0, 0.5], [-1.0, -0.5]])
B, S = np.array([0.1, 0.2, 0.3, 0.4]), 0.8
CORNERS = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])  # their mean is E over noise of any quadratic


class LinearGaussian(VAE):
    """The encoder is exactly the posterior: var = 1 / (1 + |w|^2 / s^2), mean = var w (x - b) / s^2."""

    def __init__(self) -> None:
        with default_dtype("float64"):
            super().__init__((1, 2, 2), latent_dim=2, likelihood="gaussian")
            self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(4, 4))
        var = 1 / (1 + (W**2).sum(axis=0) / S**2)
        gain = var[:, None] * W.T / S**2
        weight = np.concatenate([gain, np.zeros((2, 4))])
        self.encoder.load_state_dict({"1.weight": weight, "1.bias": np.concatenate([-gain @ B, np.log(var)])})

    def decode(self, z: Any) -> Normal:
        mean = ops.reshape(ops.matmul(z, W.T.copy()) + B, (-1, 1, 2, 2))
        return Normal(mean, mean * 0.0 + 2 * math.log(S))


def log_evidence(x: np.ndarray) -> np.ndarray:
    """log N(x; b, W W^T + s^2 I)"""
    covariance = W @ W.T + S**2 * np.eye(4)
    d = x.reshape(-1, 4) - B
    _, log_det = np.linalg.slogdet(covariance)
    return -0.5 * ((d @ np.linalg.inv(covariance) * d).sum(axis=1) + log_det + 4 * math.log(2 * math.pi))


def check_elbo_of_the_known_posterior(monkeypatch: pytest.MonkeyPatch) -> None:
    vae, x = LinearGaussian(), np.random.default_rng(1).normal(size=(1, 1, 2, 2))
    monkeypatch.setattr(distributions, "normal", lambda shape, **kwargs: CORNERS)
    elbo = vae.elbo(np.repeat(x, 4, axis=0)).numpy().mean()
    np.testing.assert_allclose(elbo, log_evidence(x)[0], rtol=1e-12)


def test_elbo_is_log_p_where_q_is_the_posterior(monkeypatch: pytest.MonkeyPatch) -> None:
    check_elbo_of_the_known_posterior(monkeypatch)


_kl, _elbo = Normal.kl_to_standard, VAE.elbo
MISTAKES: dict[str, tuple[type, str, Any]] = {
    "exp(log_var) as std": (Normal, "std", property(lambda q: ops.exp(q.log_var))),
    "KL averaged over latents": (Normal, "kl_to_standard", lambda q: _kl(q) / q.mean.shape[1]),
    "KL with the wrong sign": (Normal, "kl_to_standard", lambda q: -_kl(q)),
    "ELBO for each pixel": (VAE, "elbo", lambda vae, x: _elbo(vae, x) / math.prod(vae.image_shape)),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_that_check_notices_the_usual_mistakes(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*MISTAKES[mistake])
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check_elbo_of_the_known_posterior(monkeypatch)


@pytest.mark.parametrize("samples", [1, 3])
def test_every_importance_weight_is_p_where_q_is_the_posterior(samples: int) -> None:
    """p(x, z) / q(z | x) = p(x) whatever z."""
    x = np.random.default_rng(1).normal(size=(5, 1, 2, 2))
    np.testing.assert_allclose(LinearGaussian().log_prob(x, samples).numpy(), log_evidence(x), rtol=1e-12)


def test_no_gradient_is_left_where_q_is_the_posterior(monkeypatch: pytest.MonkeyPatch) -> None:
    vae, x = LinearGaussian(), np.random.default_rng(1).normal(size=(1, 1, 2, 2))
    monkeypatch.setattr(distributions, "normal", lambda shape, **kwargs: CORNERS)
    vae.loss(np.repeat(x, 4, axis=0)).backward()
    for p in vae.encoder.parameters():
        np.testing.assert_allclose(p.grad.numpy(), 0, atol=1e-12)


# -- any model with one latent number: integrals over z ----------------------------------------------------------------

GRID, DZ = np.linspace(-9, 9, 3001, retstep=True)


def log_standard_normal(z: np.ndarray) -> np.ndarray:
    return -0.5 * z**2 - 0.5 * math.log(2 * math.pi)


def tiny_vae(likelihood: str) -> tuple[VAE, np.ndarray]:
    """A VAE with one latent number, whose images depend on it strongly, and an image."""
    manual_seed(3)
    with default_dtype("float64"):
        vae = VAE((1, 2, 2), 1, 4, likelihood=likelihood, levels=4)
    setattr(vae.decoder, "1", nn.Tanh())  # smooth, so that sums over a grid are exact
    with no_grad():
        for p in vae.decoder.parameters():
            p[...] = p * 2.0
    return vae, images(likelihood, (1, 1, 2, 2), levels=4, seed=2)


def log_likelihood(vae: VAE, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """log p(x | z) of one image for many z."""
    many = np.repeat(x, len(z), axis=0)
    target = many if vae.likelihood.pixels == "levels" else many.astype(np.float64)
    return vae.decode(z[:, None]).log_prob(target).numpy().reshape(len(z), -1).sum(axis=1)


def log_p(vae: VAE, x: np.ndarray) -> float:
    """log of the integral of p(z) p(x | z) over z."""
    return float(np.log((np.exp(log_standard_normal(GRID) + log_likelihood(vae, x, GRID))).sum() * DZ))


def expected_elbo(vae: VAE, x: np.ndarray) -> Tensor:
    """E_q of `vae.elbo(x)`: the noise takes every value of a grid, weighted with its density."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributions, "normal", lambda shape, **kwargs: GRID[:, None])
        weights = np.exp(log_standard_normal(GRID)) * DZ
        return (vae.elbo(np.repeat(x, len(GRID), axis=0)) * weights).sum()


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_gap_to_log_p_is_the_divergence_of_the_posterior(likelihood: str) -> None:
    """log p(x) - ELBO = KL(q(z | x) || p(z | x)) > 0"""
    vae, x = tiny_vae(likelihood)
    q = vae.encode(x)
    mean, std = q.mean.item(), q.std.item()
    z = mean + std * GRID
    log_q = log_standard_normal(GRID) - math.log(std)
    log_posterior = log_standard_normal(z) + log_likelihood(vae, x, z) - log_p(vae, x)
    divergence = (np.exp(log_q) * (log_q - log_posterior)).sum() * DZ * std
    assert divergence > 0.01  # there is something to see
    gap = log_p(vae, x) - expected_elbo(vae, x).item()
    assert gap == pytest.approx(divergence, rel=1e-6)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_elbo_and_log_prob_of_random_draws(likelihood: str) -> None:
    """More samples give a tighter bound: from the ELBO at one to log p(x)."""
    vae, x = tiny_vae(likelihood)
    manual_seed(0)
    with no_grad():
        elbo = vae.elbo(np.repeat(x, 4000, axis=0)).numpy()
        exact = expected_elbo(vae, x).item()
        bounds = [vae.log_prob(np.repeat(x, 4000, axis=0), samples).numpy() for samples in (1, 5, 50)]
        limit = vae.log_prob(x, 200_000).item()
    error = lambda draws: draws.std() / math.sqrt(len(draws))
    assert abs(elbo.mean() - exact) < 4 * error(elbo)
    assert abs(bounds[0].mean() - exact) < 4 * error(bounds[0])
    means = [b.mean() for b in bounds]
    assert means[0] + 3 * error(bounds[0]) < means[1] and means[1] + 3 * error(bounds[1]) < means[2]
    assert means[2] < log_p(vae, x) == pytest.approx(limit, abs=0.01)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_gradient_through_the_draw_is_the_score_functions(likelihood: str) -> None:
    """d/dm E_q f = E_q f (z - m) / var  and  d/d log_var E_q f = E_q f ((z - m)^2 / var - 1) / 2."""
    vae, x = tiny_vae(likelihood)
    mean, log_var = Tensor(np.array([[0.3]]), True), Tensor(np.array([[-0.5]]), True)
    grow = lambda t, n: ops.broadcast_to(t, (n, 1))
    vae.encode = lambda x: Normal(grow(mean, len(x)), grow(log_var, len(x)))  # type: ignore[method-assign]
    expected_elbo(vae, x).backward()
    f = log_likelihood(vae, x, 0.3 + math.exp(-0.25) * GRID) * np.exp(log_standard_normal(GRID)) * DZ
    by_mean = (f * GRID).sum() / math.exp(-0.25) - 0.3
    by_log_var = (f * (GRID**2 - 1)).sum() / 2 - (math.exp(-0.5) - 1) / 2
    assert mean.grad.item() == pytest.approx(by_mean, rel=1e-4)
    assert log_var.grad.item() == pytest.approx(by_log_var, rel=1e-4)


@given(st.integers(1, 4), st.integers(1, 7), st.integers(1, 9))
def test_log_prob_is_the_same_however_it_is_cut(n: int, samples: int, rows: int) -> None:
    vae = VAE((1, 2, 2), 2, 3)
    x = images("bernoulli", (n, 1, 2, 2))
    results = []
    for cut in (4096, rows):
        manual_seed(1)
        results.append(vae.log_prob(x, samples, cut).numpy())
    assert results[0].shape == (n,)
    np.testing.assert_allclose(*results, rtol=1e-5)


# -- the loss and its derivatives --------------------------------------------------------------------------------------

SHAPES = {"mlp": (2, 3, 3), "conv": (1, 4, 4)}


def small(architecture: str, likelihood: str, **options: Any) -> tuple[VAE, Any]:
    shape = SHAPES[architecture]
    vae = VAE(shape, 2, 5, architecture, likelihood, levels=5, **options)
    return vae, backend.device().asarray(images(likelihood, (3, *shape), levels=5))


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_derivatives_by_every_parameter(architecture: str, likelihood: str) -> None:
    vae, x = small(architecture, likelihood, beta=1.5)
    check_module(vae, x, method="loss")
    vae.loss(x).backward()
    without = [name for name, p in vae.named_parameters() if p.grad is None or not p.grad.numpy().any()]
    assert not without, "these parameters have no influence"


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_beta_weighs_the_divergence_in_the_loss_only(likelihood: str) -> None:
    results = {}
    for beta in (1.0, 0.0, 4.0):
        manual_seed(0)
        vae, x = small("mlp", likelihood, beta=beta)
        kl = vae.encode(x).kl_to_standard().numpy().sum(axis=1)
        manual_seed(1)
        elbo = vae.elbo(x).numpy()
        manual_seed(1)
        results[beta] = elbo, vae.loss(x).item()
    for beta, (elbo, loss) in results.items():
        np.testing.assert_array_equal(elbo, results[1.0][0])
        assert loss == pytest.approx((-elbo + (beta - 1) * kl).mean(), rel=1e-5)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_several_draws_make_the_loss_an_importance_weighted_bound(likelihood: str) -> None:
    vae, x = small("mlp", likelihood, draws=3)
    manual_seed(1)
    bound = vae.log_prob(x, 3).numpy()
    manual_seed(1)
    assert vae.loss(x).item() == pytest.approx(-bound.mean(), rel=1e-6)
    check_module(vae, x, method="loss")


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_it_overfits_a_few_images(architecture: str, likelihood: str) -> None:
    shape = (1, 8, 8)
    vae = VAE(shape, 4, 32, architecture, likelihood, levels=8)
    x = images(likelihood, (4, *shape), levels=8)
    adam, losses = Adam(vae.parameters(), 5e-3), []
    for _ in range(60):
        loss = vae.loss(x)
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert np.mean(losses[-5:]) < losses[0] - 15
    difference = np.abs(vae.reconstruct(x).numpy() - x) / (7 if likelihood == "levels" else 1)
    assert difference.mean() < 0.85 * np.abs(x - x.mean(axis=0)).mean() / (7 if likelihood == "levels" else 1)


# -- images ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize(
    ("architecture", "shape"), [("mlp", (1, 1, 1)), ("mlp", (3, 5, 7)), ("conv", (1, 4, 8)), ("conv", (3, 8, 4))]
)
def test_shapes_types_and_values(architecture: str, shape: tuple, likelihood: str, device: Device) -> None:
    vae = VAE(shape, 3, 6, architecture, likelihood, levels=7)
    x = device.asarray(images(likelihood, (5, *shape), levels=7))
    z = vae.encode(x).mean
    results = {
        "elbo": vae.elbo(x),
        "log_prob": vae.log_prob(x, 4),
        "code": z,
        "decoded": vae.decode(z).mean,
        "reconstruction": vae.reconstruct(x),
        "sample": vae.sample(6),
        "mean": vae.sample(6, mean=True),
        "loss": vae.loss(x),
    }
    shapes = {"code": (5, 3), "sample": (6, *shape), "mean": (6, *shape), "loss": ()}
    shapes |= {"elbo": (5,), "log_prob": (5,), "decoded": (5, *shape), "reconstruction": (5, *shape)}
    for name, result in results.items():
        assert result.shape == shapes[name], name
        assert result.dtype == np.float32 and result.device == device, name
        assert np.isfinite(result.numpy()).all(), name
    results["loss"].backward()
    assert all(p.dtype == p.grad.dtype == np.float32 for p in vae.parameters())

    highest = 6 if likelihood == "levels" else 1
    sample = results["sample"].numpy()
    for name in ("decoded", "reconstruction", "mean"):
        assert results[name].numpy().min() >= 0 and results[name].numpy().max() <= highest, name
    if likelihood != "gaussian":
        assert set(np.unique(sample)) <= set(range(highest + 1))


def test_the_same_on_every_device(device: Device) -> None:
    def everything(likelihood: str, architecture: str) -> list[np.ndarray]:
        manual_seed(0)
        vae, x = small(architecture, likelihood)
        loss = vae.loss(x)
        loss.backward()
        values = [loss, *(p.grad for p in vae.parameters()), vae.elbo(x), vae.log_prob(x, 3), vae.reconstruct(x)]
        return [v.numpy() for v in (*values, vae.sample(4), vae.sample(4, mean=True))]

    for likelihood in LIKELIHOODS:
        for architecture in ARCHITECTURES:
            there = everything(likelihood, architecture)
            with backend.device("cpu"):
                here = everything(likelihood, architecture)
            for a, b in zip(here, there, strict=True):
                np.testing.assert_allclose(b, a, rtol=1e-5, atol=1e-5)


def test_samples_have_the_probabilities_of_the_model() -> None:
    """Two binary pixels: the frequencies of the four images against p(x) by quadrature."""
    manual_seed(1)
    vae = VAE((1, 1, 2), 1, 4)
    with no_grad():
        for p in vae.decoder.parameters():
            p[...] = p * 3.0
    sample = vae.sample(20_000).numpy().reshape(-1, 2)
    counts = np.bincount((sample @ [1, 2]).astype(int), minlength=4)
    z = vae.decode(GRID[:, None].astype(np.float32)).mean.numpy().reshape(-1, 2)
    weights = np.exp(log_standard_normal(GRID)) * DZ
    four = [(1 - z[:, 0]) * (1 - z[:, 1]), z[:, 0] * (1 - z[:, 1]), (1 - z[:, 0]) * z[:, 1], z[:, 0] * z[:, 1]]
    expected = 20_000 * np.array([(weights * p).sum() for p in four])
    assert expected.sum() == pytest.approx(20_000, rel=1e-5)
    assert ((counts - expected) ** 2 / expected).sum() < 16.3  # exceeded once in a thousand
    assert vae.sample(20_000, mean=True).numpy().mean(axis=0).reshape(2) == pytest.approx(
        [(weights * z[:, i]).sum() for i in (0, 1)], abs=0.01
    )


def test_calling_it_decodes_one_code_of_each_image() -> None:
    """p(x | z) for the z that the same random numbers give."""
    vae, x = small("mlp", "bernoulli")
    manual_seed(4)
    p = vae(x)
    manual_seed(4)
    np.testing.assert_array_equal(p.logits.numpy(), vae.decode(vae.encode(x).sample()).logits.numpy())
    assert vae(x).mean.requires_grad and (p.logits.numpy() != vae(x).logits.numpy()).any()


def test_the_loss_ignores_labels() -> None:
    vae, x = small("mlp", "bernoulli")
    losses = []
    for labels in ((), (None,), (np.array([0, 1, 2]),)):
        manual_seed(4)
        losses.append(vae.loss(x, *labels).item())
    assert losses[0] == losses[1] == losses[2]


# -- its three parts, each replaceable ---------------------------------------------------------------------------------


class Scaled(Likelihood):
    """A likelihood that is in no table: Laplace with a learned scale, p(x) = exp(-|x - m| / s) / 2 s."""

    pixels = "signed"

    def __init__(self) -> None:
        self.parameters = {"log_scale": nn.init.constant((), 0.3)}

    def distribution(self, maps: Tensor) -> Any:
        log_scale = self.parameters["log_scale"]
        log_prob = lambda x: -ops.abs(x - maps) * ops.exp(-log_scale) - log_scale - math.log(2)
        return SimpleNamespace(mean=maps, log_prob=log_prob, sample=lambda: maps)


def test_a_vae_of_ones_own_parts(gpu_standin: Device) -> None:
    """They are trained with it, move with it and are in its file; the default ones are not made."""
    encoder = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), ops.tanh, nn.Flatten(), nn.Linear(27, 4))
    decoder = nn.Sequential(nn.Linear(2, 18), nn.Unflatten((2, 3, 3)))
    vae = VAE((2, 3, 3), 2, likelihood=Scaled(), encoder=encoder, decoder=decoder)
    assert vae.encoder is encoder and vae.decoder is decoder
    shapes = {name: x.shape for name, x in vae.state_dict().items()}
    assert shapes == {
        "encoder.0.weight": (3, 2, 3, 3),
        "encoder.0.bias": (3,),
        "encoder.3.weight": (4, 27),
        "encoder.3.bias": (4,),
        "decoder.0.weight": (18, 2),
        "decoder.0.bias": (18,),
        "log_scale": (),
    }
    vae.to(gpu_standin)
    x = gpu_standin.asarray(np.random.default_rng(0).normal(size=(5, 2, 3, 3)).astype(np.float32))
    vae.loss(x).backward()
    assert all(p.grad is not None for p in vae.parameters())
    assert vae.log_prob(x, 3).shape == (5,) and vae.sample(4).shape == vae.reconstruct(x[:4]).shape == (4, 2, 3, 3)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_name_stands_for_its_likelihood(name: str) -> None:
    levels = {"levels": 4} if name == "levels" else {}
    results = []
    for likelihood in (name, LIKELIHOODS[name](**levels)):
        manual_seed(2)
        vae = VAE((1, 2, 2), 2, 3, likelihood=likelihood, levels=4)
        results.append([vae.loss(images(name, (3, 1, 2, 2), levels=4)).item(), *vae.state_dict()])
    assert results[0] == results[1]


def test_parts_that_do_not_fit_are_named() -> None:
    x = np.zeros((5, 1, 2, 2), np.uint8)
    with pytest.raises(ValueError, match=r"^VAE: expects \(5, 4\) from the encoder, got \(5, 5\)$"):
        VAE((1, 2, 2), 2, encoder=nn.Sequential(nn.Flatten(), nn.Linear(4, 5))).elbo(x)
    with pytest.raises(ValueError, match=r"^VAE: expects \(5, 2, 2, 2\) or flat from the decoder, got \(5, 4\)$"):
        VAE((1, 2, 2), 2, likelihood="levels", decoder=nn.Linear(2, 4)).elbo(x)


# -- what the networks see and give ------------------------------------------------------------------------------------


def test_the_encoder_sees_levels_between_minus_one_and_one() -> None:
    vae = VAE((1, 2, 2), 3, 4, likelihood="levels", levels=5)
    q = vae.encode(np.array([0, 1, 2, 4], np.uint8).reshape(1, 1, 2, 2))
    code = vae.encoder(np.array([[-1.0, -0.5, 0.0, 1.0]], np.float32)).numpy()
    np.testing.assert_allclose(np.concatenate([q.mean.numpy(), q.log_var.numpy()], axis=1), code, rtol=1e-6)


def test_the_decoder_gives_means_and_then_scales() -> None:
    vae, z = VAE((2, 1, 3), 2, 4, likelihood="levels", levels=5), normal((3, 2))
    out = vae.decoder(z).numpy().reshape(3, 4, 1, 3)
    p = vae.decode(z)
    np.testing.assert_array_equal(p.centre.numpy(), out[:, :2])
    np.testing.assert_array_equal(p.log_scale.numpy(), out[:, 2:])
    with no_grad():
        vae.decoder[-1].bias[...] = -100.0
    np.testing.assert_array_equal(vae.decode(z).log_scale.numpy(), np.full((3, 2, 1, 3), -7.0))


def test_sample_follows_the_model_and_not_the_defaults(gpu_standin: Device) -> None:
    with backend.device("gpu:1") as second, default_dtype("float64"):
        vae = VAE((1, 2, 2), 2, 3)
    x = vae.sample(3)
    assert x.device == second and x.dtype == np.float64


def test_reconstruct_is_the_mean_of_the_mean_code() -> None:
    vae, x = small("mlp", "bernoulli")
    logits = vae.decoder(vae.encode(x).mean).numpy()
    np.testing.assert_allclose(vae.reconstruct(x).numpy().reshape(3, -1), 1 / (1 + np.exp(-logits)), rtol=1e-5)
    np.testing.assert_array_equal(vae.reconstruct(x).numpy(), vae.reconstruct(x).numpy())


def test_nothing_is_recorded_without_gradients() -> None:
    vae, x = small("mlp", "gaussian")
    assert vae.elbo(x).requires_grad and vae.encode(x).mean.requires_grad
    assert not any(t.requires_grad for t in (vae.reconstruct(x), vae.sample(2), vae.sample(2, mean=True)))
    with no_grad():
        assert not any(t.requires_grad for t in (vae.elbo(x), vae.log_prob(x, 2), vae.encode(x).sample()))
    vae.eval()
    manual_seed(0)
    evaluated = vae.elbo(x).numpy()
    vae.train()
    manual_seed(0)
    np.testing.assert_array_equal(vae.elbo(x).numpy(), evaluated)  # nothing in it depends on the mode


def test_tensors_are_taken_as_arrays_are() -> None:
    vae, x = small("mlp", "levels")
    manual_seed(0)
    expected = vae.elbo(x).numpy()
    manual_seed(0)
    np.testing.assert_array_equal(vae.elbo(Tensor(x)).numpy(), expected)
    z = normal((2, 2))
    np.testing.assert_array_equal(vae.decode(z).mean.numpy(), vae.decode(Tensor(z)).mean.numpy())


# -- names and errors --------------------------------------------------------------------------------------------------


def test_names_and_shapes_of_the_parameters() -> None:
    """What is in a weights file; PyTorch's names for the same layers."""
    shapes = lambda vae: {name: x.shape for name, x in vae.state_dict().items()}
    assert shapes(VAE((1, 3, 4), 2, 5)) == {
        "encoder.1.weight": (5, 12),
        "encoder.1.bias": (5,),
        "encoder.3.weight": (4, 5),
        "encoder.3.bias": (4,),
        "decoder.0.weight": (5, 2),
        "decoder.0.bias": (5,),
        "decoder.2.weight": (12, 5),
        "decoder.2.bias": (12,),
    }
    assert shapes(VAE((3, 8, 12), 2, architecture="conv", likelihood="levels")) == {
        "encoder.0.weight": (32, 3, 4, 4),
        "encoder.0.bias": (32,),
        "encoder.2.weight": (64, 32, 4, 4),
        "encoder.2.bias": (64,),
        "encoder.5.weight": (4, 384),
        "encoder.5.bias": (4,),
        "decoder.0.weight": (384, 2),
        "decoder.0.bias": (384,),
        "decoder.3.weight": (64, 32, 4, 4),
        "decoder.3.bias": (32,),
        "decoder.5.weight": (32, 6, 4, 4),
        "decoder.5.bias": (6,),
    }
    gaussian = VAE((3, 2, 2), 2, 5, likelihood="gaussian")
    assert list(shapes(gaussian))[-1] == "log_var" and gaussian.log_var.shape == ()
    assert gaussian.decoder[-1].weight.shape == (12, 5)


def test_the_lectures_vae_has_its_published_sizes() -> None:
    sizes = [p.shape for p in VAE().parameters()]
    assert sizes == [(400, 784), (400,), (40, 400), (40,), (400, 20), (400,), (784, 400), (784,)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"likelihood": "poisson"}, "VAE: expects a Likelihood or one of .*'bernoulli'.*, got 'poisson'"),
        ({"architecture": "resnet"}, "VAE: expects an architecture of .*'mlp'.*, got 'resnet'"),
        ({"architecture": "conv", "image_shape": (1, 6, 8)}, 'VAE: architecture="conv" .* divisible by 4, got 6 x 8'),
        ({"architecture": "conv", "image_shape": (1, 8, 6)}, 'VAE: architecture="conv" .* divisible by 4, got 8 x 6'),
        ({"image_shape": (28, 28)}, r"VAE: expects image_shape \(C, H, W\), .*, got image_shape=\(28, 28\)"),
        ({"latent_dim": 0}, "VAE: expects .* latent_dim and hidden >= 1, got .* latent_dim=0"),
        ({"draws": 0}, "VAE: expects draws >= 1, .* got draws=0, beta=1.0"),
        ({"draws": 2, "beta": 4.0}, "VAE: expects .* beta = 1 where there are several, got draws=2, beta=4.0"),
        ({"likelihood": "levels", "levels": 1}, "DiscretizedLogisticLikelihood: expects levels >= 2, got 1"),
    ],
)
def test_arguments_that_make_no_sense(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        VAE(**arguments)


@pytest.mark.parametrize("call", ["__call__", "elbo", "loss", "log_prob", "encode", "reconstruct"])
@pytest.mark.parametrize("shape", [(2, 1, 4, 5), (2, 3, 4, 4), (1, 4, 4), (2, 16)])
def test_images_of_another_shape_are_refused(call: str, shape: tuple) -> None:
    vae = VAE((1, 4, 4), 2, 3)
    with pytest.raises(ValueError, match=r"^VAE: expects images \(N, 1, 4, 4\), got \(" + str(shape)[1:-1]):
        getattr(vae, call)(np.zeros(shape, np.uint8))


def test_codes_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^linear: x has"):
        VAE((1, 4, 4), 2, 3).decode(np.zeros((5, 3), np.float32))
    with pytest.raises(ValueError, match=r"^log_prob: expects samples >= 1, got 0"):
        VAE((1, 4, 4), 2, 3).log_prob(np.zeros((1, 1, 4, 4), np.uint8), 0)
