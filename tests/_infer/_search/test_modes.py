"""Several modes: told, weighed, and not mistaken for one."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm

import BayesianJaxModels as bjm
from BayesianJaxModels._infer._search.modes import gather_modes, group_ends
from BayesianJaxModels._infer.density import FlatDensity

MASSES, CENTRES, SDS = (0.7, 0.3), (-2.0, 3.0), (0.3, 0.5)


def unequal(drawn):
    """0.7 N(-2, 0.3) + 0.3 N(3, 0.5); the evidence is 1."""
    parts = [
        jnp.log(mass) + norm.logpdf(drawn.mean, centre, sd)
        for mass, centre, sd in zip(MASSES, CENTRES, SDS, strict=True)
    ]
    return jnp.logaddexp(*parts)


@pytest.fixture(scope="module")
def estimate():
    wide = bjm.make_parameter(0.0, init_raw_stdv=1.7)
    return bjm.map_estimate(unequal, wide, key=jax.random.key(0))


def test_modes_are_told_with_their_mass(estimate):
    first, second = estimate.modes
    np.testing.assert_allclose([first.model.mean, second.model.mean], CENTRES, 1e-6)
    np.testing.assert_allclose(estimate.masses, MASSES, rtol=1e-6)
    np.testing.assert_allclose(
        [np.exp(mode.log_evidence) for mode in estimate.modes], MASSES, rtol=1e-6
    )
    assert first.num_starts + second.num_starts == estimate.converged.sum()
    assert "2 modes" in repr(estimate)
    assert "mass 0.70" in repr(estimate)


def test_laplace_and_importance_take_all_of_them(estimate, key):
    mixture = bjm.laplace(unequal, estimate)
    assert isinstance(mixture, bjm.MixturePosterior)
    np.testing.assert_allclose(mixture.weights, MASSES, rtol=1e-6)
    mean, covariance = mixture.moments()
    exact = np.dot(MASSES, CENTRES)
    variance = np.dot(MASSES, np.square(SDS) + np.square(CENTRES)) - exact**2
    np.testing.assert_allclose(mean, [exact], atol=2e-6)
    np.testing.assert_allclose(covariance, [[variance]], rtol=1e-6)
    fit = bjm.importance(unequal, mixture, key=key, num_samples=1_000, num_rounds=2)
    mean, covariance = fit.moments()
    np.testing.assert_allclose(mean, [exact], atol=0.2)
    np.testing.assert_allclose(covariance, [[variance]], rtol=0.1)
    np.testing.assert_allclose(fit.diagnostics.log_evidence, 0.0, atol=0.05)
    assert bjm.diagnose(unequal, mixture, key=key).trustworthy


def test_a_fit_to_one_mode_is_found_out(estimate, key):
    alone = bjm.laplace(unequal, estimate.modes[0].model)
    with pytest.warns(UserWarning, match=r"another mode.*laplace\(log_density, "):
        found = bjm.diagnose(unequal, alone, key=key)
    assert not found.trustworthy
    [other] = found.other_modes
    np.testing.assert_allclose(other.model.mean, 3.0, rtol=1e-2)


def on_sphere(key, n, d):
    noise = jax.random.normal(key, (n, d))
    return np.asarray(noise / jnp.linalg.norm(noise, axis=1, keepdims=True), float)


def test_one_mode_seen_from_a_hundred_sides(key):
    """Entries of sizes 1e-4, 1 and 100, and ends .05 deviations off."""
    scale = np.array([1e-4, 1.0, 100.0])
    root = np.linalg.cholesky((0.1 * np.eye(3) + 0.9) * np.outer(scale, scale))
    inverse = jnp.asarray(np.linalg.inv(root), jnp.float32)

    def log_density(drawn):
        return -0.5 * jnp.sum((inverse @ drawn.mean) ** 2)

    density = FlatDensity(log_density, bjm.make_parameter(jnp.zeros(3)))
    ends = 0.05 * on_sphere(key, 100, 3) @ root.T
    [mode] = gather_modes(density, ends, np.full(100, -0.5 * 0.05**2))
    assert mode.num_starts == 100


def test_modes_at_regular_distances_stay_apart():
    """As the aliases of a frequency are: none may hide behind those between."""

    def log_density(drawn):
        return 5 * jnp.cos(2 * jnp.pi * drawn.mean[0])

    density = FlatDensity(log_density, bjm.make_parameter([0.0]))
    ends = np.arange(9.0)[:, None]
    groups = group_ends(density, ends, np.full(9, 5.0))
    assert sorted(map(len, groups)) == [1] * 9


def test_a_flat_end_far_away_is_told():
    """A saturating curve: its asymptote runs off, and the density tends to a limit."""
    t, data = jnp.linspace(0.5, 3.0, 6), jnp.array([0.6, 1.0, 1.3, 1.45, 1.5, 1.6])

    def log_density(drawn):
        size, rate = drawn["size"].mean, drawn["rate"].mean
        fitted = bjm.likelihoods.NormalLikelihood(0.05).log_prob(
            size * -jnp.expm1(-rate * t), data
        )
        none = bjm.likelihoods.NormalLikelihood(0.05).log_prob(data - 0.3, data)
        off = jax.nn.sigmoid(10 * (size - 50))
        return (1 - off) * fitted + off * none

    model = {
        "size": bjm.make_parameter(20.0, init_raw_stdv=7.0),
        "rate": bjm.make_parameter(1.0, init_raw_stdv=0.5),
    }
    density = FlatDensity(log_density, model)
    ends = np.array([[0.9, 1.63], [1.0, 100.0]])
    values = [log_density(bjm.unflatten_means(model, jnp.asarray(e))) for e in ends]
    first, second = gather_modes(density, ends, np.asarray(values, float))
    assert first.flat == ()
    assert np.isfinite(first.log_evidence)
    assert set(second.flat) == {"['size']", "['rate']"}
    assert second.log_evidence == -np.inf
