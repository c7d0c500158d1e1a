"""The prior in place of a posterior."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import BayesianJaxModels as bjm
from BayesianJaxModels._model import flatten_means

PRIOR = bjm.Prior({"['rate']": bjm.priors.LogNormal(0.5, 0.3)})


def model_of():
    return {
        "rate": bjm.make_parameter(jnp.ones(3)),
        "known": bjm.DeterministicParameter(jnp.array(7.0)),
    }


def test_draws_are_those_of_the_prior_whatever_the_model_holds(key):
    draws = bjm.PriorDraws(model_of(), PRIOR)
    drawn = draws.draw(key)
    assert jax.tree.structure(drawn) == jax.tree.structure(draws.model)
    assert drawn["known"].mean == 7.0
    same = bjm.sample_prior(draws.model, PRIOR, key)
    np.testing.assert_array_equal(drawn["rate"].mean, same["rate"].mean)

    @jax.jit
    @jax.vmap
    def many(key):
        return draws.draw(key)["rate"].mean

    values = np.ravel(many(jax.random.split(key, 3_000))).astype(float)
    exact = scipy.stats.lognorm(0.3, scale=np.exp(0.5))
    assert scipy.stats.kstest(values, exact.cdf).statistic < 1.95 / 9_000**0.5


def test_what_a_prior_does_not_know_is_refused_by_name(key):
    draws = bjm.PriorDraws(model_of(), PRIOR)
    for verb in (bjm.get_parameters, flatten_means, bjm.flatten_stdvs, bjm.entropy):
        with pytest.raises(
            TypeError, match=f"`{verb.__name__}` does not know.* PriorDraws"
        ):
            verb(draws)
    with pytest.raises(NotImplementedError, match="moments of a PriorDraws"):
        draws.moments()
    with pytest.raises(NotImplementedError, match="A PriorDraws has no density"):
        draws.log_prob(draws.model)
    with pytest.raises(NotImplementedError, match="A PriorDraws has no `item`"):
        draws.item(0)


def test_a_prior_that_does_not_fit_is_told_when_it_draws(key):
    rest = bjm.PriorDraws({"death": bjm.make_parameter(1.0)}, PRIOR)
    with pytest.raises(ValueError, match="rate"):
        rest.draw(key)
