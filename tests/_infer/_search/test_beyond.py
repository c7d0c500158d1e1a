"""Searches beyond a fit, where all modes are known."""

import jax.numpy as jnp
import numpy as np
import pytest
from jax.scipy.stats import norm

import BayesianJaxModels as bjm
from BayesianJaxModels._infer._search.beyond import look_beyond
from BayesianJaxModels._infer.density import FlatDensity

CENTRES = [np.array([-2.0, 0.0]), np.array([6.0, 1.0])]


def log_density(drawn):
    """0.7 of a standard normal density, and 0.3 of another."""
    one = norm.logpdf(drawn.mean, jnp.asarray(CENTRES[0], jnp.float32)).sum()
    other = norm.logpdf(drawn.mean, jnp.asarray(CENTRES[1], jnp.float32)).sum()
    return jnp.logaddexp(jnp.log(0.7) + one, jnp.log(0.3) + other)


@pytest.fixture(scope="module")
def density():
    return FlatDensity(log_density, bjm.make_parameter([0.0, 0.0]))


def test_the_mode_that_a_fit_does_not_know_of_is_found(density, key):
    for known, centre, mass in ((0, CENTRES[1], 0.3), (1, CENTRES[0], 0.7)):
        [other] = look_beyond(
            density, [CENTRES[known]], np.eye(2), key=key, num_searches=16
        )
        # Searches stop within a hundredth of a nat.
        z = np.asarray(other.model.mean) - centre
        assert z @ z / 2 < 0.01
        np.testing.assert_allclose(np.exp(other.log_evidence), mass, rtol=0.02)
        assert 1 <= other.num_starts <= 16


def test_modes_that_are_known_are_not_told(density, key):
    assert look_beyond(density, CENTRES, np.eye(2), key=key, num_searches=16) == ()
    # Also by a fit that is off.
    off = [CENTRES[0] + 0.5, CENTRES[1] - 0.3]
    assert look_beyond(density, off, 2 * np.eye(2), key=key, num_searches=16) == ()
