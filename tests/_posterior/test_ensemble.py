"""Ensembles and mixtures: who is drawn, how often, and in which shape."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels import MixturePosterior, ensemble


class Model(bjm.Module):
    """A parameter, an array outside of parameters and something static."""

    rates: bjm.AbstractParameter
    offset: jax.Array
    activation: object = eqx.field(static=True, default=jnp.tanh)


def model_at(mean, **options):
    options = {"init_raw_stdv": 0.1} | options
    return Model(bjm.make_parameter([mean, 2 * mean], **options), jnp.array([mean]))


MEANS = np.array([0.0, 10.0, 20.0])
WEIGHTS = np.array([0.2, 0.5, 0.3])


def shares(draws):
    """The share of draws near each of MEANS."""
    near = np.argmin(np.abs(np.asarray(draws)[:, :1] - MEANS), axis=1)
    return np.bincount(near, minlength=3) / len(near)


def assert_shares(found, expected, num):
    error = 4.5 * np.sqrt(expected * (1 - expected) / num)
    assert np.all(np.abs(found - expected) < error + 1e-12)


def stacked(**options):
    return eqx.filter_vmap(lambda mean: model_at(mean, **options))(jnp.array(MEANS))


def entries(drawn):
    return jnp.append(bjm.flatten_means(drawn), drawn.offset)


@pytest.mark.parametrize("weights", [None, 4 * WEIGHTS])
def test_members_are_drawn_in_proportion(weights, key):
    posterior = ensemble(stacked(), weights)
    draws = bjm.map_posterior(entries, posterior, key=key, num_samples=4_000)
    expected = np.full(3, 1 / 3) if weights is None else WEIGHTS
    assert_shares(shares(draws), expected, 4_000)
    centre = MEANS[np.argmin(np.abs(np.asarray(draws)[:, :1] - MEANS), axis=1)]
    # What a member is made of stays together, and its parameters are drawn.
    np.testing.assert_array_equal(draws[:, 2], centre)
    residuals = draws[:, :2] - centre[:, None] * np.array([1, 2])
    error = 5 * 0.0101 / 4_000**0.5
    np.testing.assert_allclose(residuals.std(0), 0.0101, atol=error)
    assert abs(np.corrcoef(residuals.T)[0, 1]) < 0.1


@eqx.filter_jit
def draws_of(posterior, keys):
    return jax.vmap(lambda key: entries(posterior.draw(key)))(keys)


def test_an_ensemble_of_points_and_of_posteriors(key):
    points = ensemble(stacked(bayesian=False))
    draws = draws_of(points, random.split(key, 50))
    assert set(np.asarray(draws)[:, 0]) == set(MEANS)

    def fit(mean):
        model = model_at(mean)
        return bjm.JointPosterior.gaussian(model, 1e-4 * jnp.eye(2))

    fits = ensemble(eqx.filter_vmap(fit)(jnp.array(MEANS)), weights=[0, 1, 0])
    draws = draws_of(fits, random.split(key, 50))
    np.testing.assert_allclose(draws[:, 0], 10.0, atol=0.05)
    assert jax.tree.structure(fits.draw(key)) == jax.tree.structure(model_at(1.0))


def components():
    laplacian = model_at(10.0, param_type=bjm.LaplacianParameter)
    rows = jnp.array([[20.0, 40.0], [20.5, 41.0]])
    return [
        bjm.JointPosterior.full(model_at(0.0), 0.01),
        laplacian,
        bjm.DrawsPosterior(model_at(20.0, bayesian=False), rows),
    ]


@pytest.mark.parametrize("weights", [None, 4 * WEIGHTS])
def test_components_are_drawn_in_proportion(weights, key):
    mixture = MixturePosterior(components(), weights)
    draws = bjm.map_posterior(entries, mixture, key=key, num_samples=4_000)
    expected = np.full(3, 1 / 3) if weights is None else WEIGHTS
    assert_shares(shares(draws), expected, 4_000)
    # Arrays outside of parameters are those of the component that drew.
    near = np.argmin(np.abs(np.asarray(draws)[:, :1] - MEANS), axis=1)
    np.testing.assert_array_equal(draws[:, 2], MEANS[near])
    assert set(np.asarray(draws)[near == 2, 0]) == {20.0, 20.5}
    assert jax.tree.structure(mixture.draw(key)) == jax.tree.structure(mixture.model)


def test_a_mixture_in_a_mixture_under_jit(key):
    inner = MixturePosterior(components()[:2])
    mixture = MixturePosterior([inner, ensemble(stacked())], [0.0, 1.0])
    traces = []

    @eqx.filter_jit
    def draw(mixture, key):
        traces.append(None)
        return entries(mixture.draw(key))

    draws = [draw(mixture, random.fold_in(key, i)) for i in range(12)]
    assert len(traces) == 1
    assert len({round(float(x[2])) for x in draws}) == 3


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"`rates.mean` is \(2,\).*`offset` is \(1,\)"):
        ensemble(model_at(1.0))
    with pytest.raises(ValueError, match=r"That of `mean` is \(\)"):
        ensemble(bjm.make_parameter(1.0))
    with pytest.raises(ValueError, match="has no arrays"):
        ensemble({})
    for wrong in ([-1, 1, 1], [0, 0, 0], [np.nan, 1, 1]):
        with pytest.raises(ValueError, match="`weights` must be finite, at least 0"):
            ensemble(stacked(), wrong)
    with pytest.raises(ValueError, match=r"`weights` has shape \(2,\), but \(3,\)"):
        ensemble(stacked(), [1, 1])
    with pytest.raises(ValueError, match="For stacked models use `ensemble`"):
        MixturePosterior(stacked())
    with pytest.raises(ValueError, match="must be a list of at least one"):
        MixturePosterior([])
    longer = Model(bjm.make_parameter([1.0, 2.0, 3.0]), jnp.array([1.0]))
    with pytest.raises(
        ValueError, match=r"Component 1 has another model.*'rates', \(3"
    ):
        MixturePosterior([model_at(1.0), longer])
    other = Model(model_at(1.0).rates, jnp.ones(1), jnp.sin)
    with pytest.raises(ValueError, match="tree structures differ"):
        MixturePosterior([model_at(1.0), other])
    with pytest.raises(ValueError, match="Component 1 has another model"):
        MixturePosterior([model_at(1.0), {"rates": model_at(1.0).rates}])


def test_a_mixture_of_partitions_draws_what_is_not_frozen(key):
    model = {
        "a": bjm.make_parameter(0.0, init_raw_stdv=1.0),
        "c": bjm.make_parameter(3),
    }
    half, rest = bjm.freeze_params(model, ["['c']"])
    mixture = MixturePosterior([half, half])
    drawn = bjm.unfreeze_all(mixture.draw(key), rest)
    assert float(drawn["a"].mean) != 0
    assert float(drawn["c"].mean) == 3
