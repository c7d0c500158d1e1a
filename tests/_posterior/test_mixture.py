"""Mixtures: who is drawn, how often, and in which shape."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels import MixturePosterior, ensemble
from tests._posterior.cases import (
    MEANS,
    WEIGHTS,
    Model,
    assert_shares,
    entries,
    model_at,
    shares,
    stacked,
)


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


def test_mistakes_are_named():
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


def test_density_and_moments_are_sums_over_the_components(x64, key):
    """Of one joint and one mean-field component, against SciPy's."""
    covariance = np.array([[0.5, 0.3], [0.3, 0.8]])
    model = bjm.make_parameter([0.5, -1.0], stdv=0.3)
    other = bjm.make_parameter([2.0, 1.0], stdv=0.6)
    joint = bjm.JointPosterior.gaussian(model, covariance)
    mixture = MixturePosterior([joint, other], weights=[1.0, 3.0])
    parts = [
        scipy.stats.multivariate_normal([0.5, -1.0], covariance),
        scipy.stats.multivariate_normal([2.0, 1.0], 0.36 * np.eye(2)),
    ]
    for point in ([0.3, 0.1], [2.0, 1.0], [40.0, -3.0]):
        logs = [part.logpdf(point) for part in parts]
        exact = scipy.special.logsumexp(logs, b=[0.25, 0.75])
        drawn = bjm.unflatten_means(model, jnp.array(point))
        np.testing.assert_allclose(mixture.log_prob(drawn), exact, rtol=1e-12)
    mean, found = mixture.moments()
    exact = 0.25 * parts[0].mean + 0.75 * parts[1].mean
    square = sum(
        share * (part.cov + np.outer(part.mean, part.mean))
        for share, part in zip((0.25, 0.75), parts, strict=True)
    )
    np.testing.assert_allclose(mean, exact, rtol=1e-12)
    np.testing.assert_allclose(found, square - np.outer(exact, exact), rtol=1e-11)
    weights, [first, second] = mixture.parts()
    np.testing.assert_array_equal(weights, [0.25, 0.75])
    assert first is joint
    assert second.model is other
