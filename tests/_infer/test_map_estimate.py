"""The search for modes."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm

import BayesianJaxModels as bjm
from tests._infer.targets import correlated


def two_modes(drawn):
    x = drawn["x"].mean
    return jnp.logaddexp(norm.logpdf(x, -2.0, 0.1), norm.logpdf(x, 2.0, 0.1) - 3.0)


def test_best_of_many_starts(key):
    model = {"x": bjm.GaussianParameter(jnp.zeros(()), jnp.ones(()))}
    prior = bjm.Prior({}, default=bjm.priors.Normal(0.0, 2.0))
    found = bjm.map_estimate(two_modes, model, key=key, num_starts=12, prior=prior)
    np.testing.assert_allclose(found.model["x"].mean, -2, atol=1e-3)
    near_best = np.abs(found.ends[:, 0] + 2) < 0.01
    assert 0 < found.num_agree == near_best.sum() < 12
    assert found.num_failed == 0
    assert found.converged.all()
    assert f"{found.num_agree} of 12 starts agree" in repr(found)
    np.testing.assert_allclose(found.log_density, norm.logpdf(0.0, 0.0, 0.1), rtol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mode_of_a_correlated_normal(key, dtype, x64):
    density, model = correlated(4, dtype)
    found = bjm.map_estimate(density, model, key=key, num_starts=4, max_steps=2_000)
    covariance = np.asarray(density.covariance, np.float64)
    off = np.asarray(bjm.flatten_means(found.model)) - np.asarray(density.mean)
    # The default tolerance, in nats.
    tolerance = 1e-3 if dtype == "float32" else 1e-6
    assert off @ np.linalg.solve(covariance, off) / 2 < tolerance


def test_failed_starts_are_replaced_and_mistakes_named(key):
    model = bjm.GaussianParameter(jnp.zeros(2), jnp.ones(2))

    def half(drawn):
        x, y = drawn.mean
        return jnp.where(x > 0, norm.logpdf(jnp.log(jnp.where(x > 0, x, 1.0))), jnp.nan)

    def with_y(drawn):
        return half(drawn) + norm.logpdf(drawn.mean[1])

    found = bjm.map_estimate(with_y, model, key=key, num_starts=16)
    # Half of the draws fail, and others take their places.
    assert found.num_failed == 0
    assert 4 < found.num_redrawn < 40
    assert np.all(np.isfinite(found.log_densities))
    assert found.converged.all()
    assert f"{found.num_redrawn} starts drawn again" in repr(found)
    np.testing.assert_allclose(found.model.mean, [1, 0], atol=0.05)
    with pytest.raises(bjm.AllFailedError, match="All 4 searches failed"):
        bjm.map_estimate(lambda m: m.mean[0] * jnp.nan, model, key=key, num_starts=4)
    with pytest.raises(ValueError, match="`num_starts` must be at least 1, but got 0"):
        bjm.map_estimate(with_y, model, key=key, num_starts=0)
    with pytest.raises(ValueError, match="`batch_size` must be at least 1, but got 0"):
        bjm.map_estimate(with_y, model, key=key, batch_size=0)
    with pytest.warns(UserWarning, match=r"out of steps.*max_steps=\)`, which was 2"):
        bjm.map_estimate(
            lambda m: -((1 - m.mean[0]) ** 2) - 100 * (m.mean[1] - m.mean[0] ** 2) ** 2,
            model,
            key=key,
            max_steps=2,
        )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_entries_of_very_different_sizes(key, dtype, x64):
    """Widths of 1e-4, 1 and 100, correlations of .8, a maximum of 0."""
    scale = np.array([1e-4, 1.0, 100.0])
    covariance = (0.2 * np.eye(3) + 0.8) * np.outer(scale, scale)
    precision = jnp.asarray(np.linalg.inv(covariance), dtype)
    mode, zeros = jnp.asarray(3 * scale, dtype), jnp.zeros(3, dtype)

    def density(drawn):
        return -(drawn.mean - mode) @ precision @ (drawn.mean - mode) / 2

    model = bjm.GaussianParameter(zeros, jnp.ones(3, dtype))
    narrow = bjm.GaussianParameter(zeros, jnp.full(3, 1e-2, dtype))
    prior = bjm.Prior(default=bjm.priors.Normal(zeros, jnp.asarray(5 * scale, dtype)))
    for start, spread in ((model, prior), (narrow, None)):
        found = bjm.map_estimate(density, start, key=key, num_starts=8, prior=spread)
        assert found.converged.all()
        assert found.num_agree == 8
        assert np.min(found.log_densities) > (-2e-3 if dtype == "float32" else -2e-6)
        error = np.asarray(found.model.mean) / scale - 3
        assert np.max(np.abs(error)) < (0.1 if dtype == "float32" else 3e-3)


def test_few_searches_are_told(key):
    """One draw in forty has a log density: eight rounds find it for a few searches."""
    model = bjm.GaussianParameter(jnp.zeros(1), jnp.ones(1))

    def log_density(drawn):
        x = drawn.mean[0]
        return jnp.where(x > 2, norm.logpdf(x, 3.0, 0.5), -jnp.inf)

    with pytest.warns(UserWarning, match="of 16 searches did not fail, of 128"):
        found = bjm.map_estimate(log_density, model, key=key, num_starts=16)
    assert 0 < 16 - found.num_failed < 8
    assert found.num_redrawn == 112
    assert set(found.outcomes) == {"converged", "no start"}
    assert np.all(found.log_densities[found.failed] == -np.inf)
    np.testing.assert_allclose(found.model.mean, 3, atol=0.02)


@pytest.mark.filterwarnings("ignore:The best search stands before points")
def test_the_edge_of_a_domain_is_no_maximum(key):
    """Rising towards an edge beyond which nothing is finite, as failed solves are."""
    model = bjm.GaussianParameter(jnp.zeros(2), jnp.ones(2))

    def log_density(drawn):
        x, y = drawn.mean
        return jnp.where(x < 0, 5 * x - y**2, -jnp.inf)

    found = bjm.map_estimate(log_density, model, key=key, num_starts=8)
    assert found.num_failed == 0
    assert not found.converged.any()
    assert "8 stuck at a wall" in repr(found)


def test_starts_at_one_place_are_no_evidence_against_other_modes(key):
    def two(drawn):
        return -((drawn.mean**2 - 4) ** 2)

    narrow = bjm.map_estimate(two, bjm.make_parameter(1.0), key=key)
    assert narrow.start_spread < 2e-3
    assert "16 of 16 starts agree, all begun within 0.0" in repr(narrow)
    wide = bjm.make_parameter(1.0, init_raw_stdv=2.0)
    found = bjm.map_estimate(two, wide, key=key)
    assert found.start_spread > 1
    assert len(found.modes) == 2
    assert "begun" not in repr(found)
