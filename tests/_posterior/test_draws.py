"""A posterior made of draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels._posterior import AbstractDiagnostics, weighted_moments
from tests._infer.targets import banana_model


def test_draws_by_weight_and_every_draw_once(key):
    model = banana_model()
    draws = random.normal(key, (64, 2))
    log_weights = jnp.where(jnp.arange(64) < 32, jnp.log(3.0), 0.0)
    posterior = bjm.DrawsPosterior(model, draws, log_weights)
    np.testing.assert_allclose(posterior.weights.sum(), 1, rtol=1e-6)
    picked = bjm.map_posterior(
        lambda drawn: drawn.mean, posterior, key=key, num_samples=20_000
    )
    in_first = np.isin(np.asarray(picked), np.asarray(draws)[:32]).all(1).mean()
    assert abs(in_first - 0.75) < 4 * (0.75 * 0.25 / 20_000) ** 0.5
    every = bjm.map_posterior(
        lambda drawn: drawn.mean, posterior, key=key, num_samples=None
    )
    np.testing.assert_array_equal(every, draws)
    np.testing.assert_array_equal(
        jax.jit(
            lambda posterior: bjm.map_posterior_pure(
                lambda drawn: drawn.mean, posterior, key=key, num_samples=None
            )
        )(posterior),
        draws,
    )
    with pytest.raises(ValueError, match="Say how many draws"):
        bjm.map_posterior(lambda m: m.mean, model, key=key, num_samples=None)
    with pytest.raises(ValueError, match=r"`draws` has shape \(64, 3\)"):
        bjm.DrawsPosterior(model, jnp.ones((64, 3)))
    with pytest.raises(ValueError, match=r"`log_weights` has shape \(3,\)"):
        bjm.DrawsPosterior(model, draws, jnp.ones(3))


ROWS = np.array([[0.4, 1.9], [0.5, 2.0], [0.7, 2.6]])


def test_weights_are_known_up_to_a_constant_and_may_be_nothing(x64, key):
    model = bjm.make_parameter([0.5, 2.0])
    for constant in (0.0, 700.0, -1e5):
        log_weights = jnp.log(jnp.array([1.0, 2.0, 0.0])) + constant
        posterior = bjm.DrawsPosterior(model, jnp.asarray(ROWS), log_weights)
        np.testing.assert_allclose(posterior.weights, [1 / 3, 2 / 3, 0], rtol=1e-10)
        np.testing.assert_array_equal(posterior.item_weights, posterior.weights)
    # Without weight a row is never drawn, be it the first or the last.
    draw = jax.jit(jax.vmap(lambda p, key: p.draw(key).mean, (None, 0)))
    keys = random.split(key, 1_000)
    for order in ([0, 1, 2], [2, 1, 0]):
        order = jnp.array(order)
        turned = bjm.DrawsPosterior(model, posterior.draws[order], log_weights[order])
        drawn = np.asarray(draw(turned, keys))[:, 0]
        assert set(drawn) == {0.4, 0.5}
        assert abs(np.mean(drawn == 0.4) - 1 / 3) < 4.5 * (2 / 9 / 1_000) ** 0.5
    equal = bjm.DrawsPosterior(model, jnp.asarray(ROWS))
    assert equal.item_weights is None
    np.testing.assert_array_equal(equal.weights, np.full(3, 1 / 3))
    counts = np.bincount(np.searchsorted(ROWS[:, 0], draw(equal, keys)[:, 0]))
    assert np.all(np.abs(counts - 1_000 / 3) < 4.5 * (1_000 * 2 / 9) ** 0.5)


def test_moments_of_single_precision_are_summed_in_double():
    """Far from zero, where float32 would leave a width of two digits."""
    rows = (1e3 + 1e-1 * np.random.default_rng(0).normal(size=(500, 2))).astype("f4")
    weights = np.arange(1.0, 501)
    model = bjm.make_parameter([0.5, 2.0])
    for log_weights in (None, jnp.log(jnp.asarray(weights, "f4"))):
        posterior = bjm.DrawsPosterior(model, jnp.asarray(rows), log_weights)
        # Rounded weights do not sum to 1 quite, and the mean is off by as much.
        own = np.asarray(posterior.weights, float)
        mean, covariance = posterior.moments()
        exact = own @ rows.astype(float)
        np.testing.assert_allclose(mean, exact, rtol=1e-14)
        apart = rows - exact
        exact = (own * apart.T) @ apart
        np.testing.assert_allclose(covariance, exact, rtol=1e-12, atol=1e-15)


class Told(AbstractDiagnostics):
    def complaints(self):
        return []

    @property
    def chains(self):
        return 3, 1


class Silent(AbstractDiagnostics):
    def complaints(self):
        return []


def test_chains_are_those_that_the_diagnostics_tell_of():
    model = bjm.make_parameter([0.5, 2.0])
    for diagnostics, chains in ((None, (1, 3)), (Told(), (3, 1)), (Silent(), (1, 3))):
        posterior = bjm.DrawsPosterior(model, jnp.asarray(ROWS), None, diagnostics)
        assert posterior.chains == chains
        assert posterior.num_items == 3


def test_what_is_no_draw_and_has_no_density_is_refused():
    model = bjm.make_parameter([0.5, 2.0])
    for wrong in (np.nan, np.inf):
        with pytest.raises(ValueError, match="`draws` must be finite, but has NaN or"):
            bjm.DrawsPosterior(model, jnp.asarray(ROWS).at[1, 0].set(wrong))
    posterior = bjm.DrawsPosterior(model, jnp.asarray(ROWS))
    with pytest.raises(NotImplementedError, match="no density to compare.*diagnostics"):
        posterior.log_prob(model)
    with pytest.raises(TypeError, match="`get_parameters` does not know.*that was dra"):
        bjm.get_parameters(posterior)


def test_weighted_moments_are_those_of_repeated_draws():
    counts = np.array([1, 4, 3])
    mean, covariance = weighted_moments(ROWS, counts / 8)
    repeated = np.repeat(ROWS, counts, axis=0)
    np.testing.assert_allclose(mean, repeated.mean(0), rtol=1e-14)
    np.testing.assert_allclose(covariance, np.cov(repeated.T, ddof=0), rtol=1e-13)
