"""Inference over some parameters: what is known or frozen is left out."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm


class Sum(bjm.Module):
    a: bjm.AbstractParameter
    known: bjm.AbstractParameter


MODEL = Sum(bjm.make_parameter(1.0, init_raw_stdv=0.3), bjm.DeterministicParameter(2.0))
# Of `a` given that `known` is 2: precision 100 + 1, mean 100 / 101.
MEAN, SD = 100 / 101, 101**-0.5


def log_density(drawn):
    apart = drawn.a.mean + drawn.known.mean - 3
    return -50 * apart**2 - drawn.a.mean**2 / 2 - drawn.known.mean**2 / 2


def halves(named):
    dynamic, static = bjm.freeze_params(named, ["known"])
    return lambda half: log_density(bjm.unfreeze_all(half, static)), dynamic


UNKNOWN = Sum(MODEL.a, bjm.make_parameter(2.0))
CASES = {
    "a constant": (log_density, MODEL),
    "half of a partition": halves(UNKNOWN),
    "a frozen constant": halves(MODEL),
}


@pytest.mark.parametrize("case", CASES)
def test_every_engine_infers_the_rest(case, key):
    density, model = CASES[case]
    mode = bjm.map_estimate(density, model, key=key, num_starts=2).model
    np.testing.assert_allclose(mode.a.mean, MEAN, rtol=2e-6)
    assert mode.known.mean is model.known.mean or mode.known.mean == 2
    fit = bjm.laplace(density, mode)
    np.testing.assert_allclose(fit.stdv, [SD], rtol=2e-6)
    again = bjm.linear_response(density, fit_of(mode))
    np.testing.assert_allclose(again.stdv, [SD], rtol=2e-6)
    weighted = bjm.importance(density, fit, key=key, num_samples=500, num_rounds=2)
    np.testing.assert_allclose(weighted.weights @ weighted.draws, [MEAN], atol=0.02)
    drawn = weighted.item(0)
    assert jax.tree.structure(drawn) == jax.tree.structure(model)
    assert bjm.diagnose(density, fit, key=key, num_samples=500).z.shape == (1,)


def fit_of(mode):
    raw = jnp.asarray((SD - 1e-4) ** 0.5, mode.a.mean.dtype)
    return Sum(bjm.GaussianParameter(mode.a.mean, raw), mode.known)


def test_nuts_infers_the_rest(key):
    density, model = CASES["half of a partition"]
    fit = bjm.laplace(density, Sum(bjm.make_parameter(MEAN), model.known))
    chains = bjm.nuts(
        density, fit, key=key, num_chains=2, num_warmup=300, num_samples=600
    )
    assert chains.draws.shape == (1200, 1)
    np.testing.assert_allclose(chains.draws.mean(), MEAN, atol=0.03)


@pytest.mark.parametrize("engine", ["map_estimate", "importance", "nuts", "diagnose"])
def test_nothing_to_infer_is_said(engine, key):
    known = bjm.DeterministicParameter(jnp.ones(2))
    with pytest.raises(ValueError, match="no parameter to infer"):
        getattr(bjm, engine)(lambda drawn: jnp.sum(drawn.mean), known, key=key)
    frozen, _ = bjm.freeze_params({"a": bjm.make_parameter(1.0)}, ["['a']"])
    with pytest.raises(ValueError, match="no parameter to infer"):
        getattr(bjm, engine)(lambda drawn: jnp.zeros(()), frozen, key=key)


def test_a_joint_posterior_draws_what_is_free(key):
    posterior = bjm.JointPosterior.full(MODEL, 0.1)
    assert posterior.mean.shape == (1,)
    drawn = posterior.draw(key)
    assert drawn.known.mean == 2.0
    np.testing.assert_allclose(
        posterior.log_prob(drawn), posterior.joint.log_prob(drawn.a.mean[None] - 1)
    )


def test_draws_may_have_columns_of_what_is_known():
    whole = bjm.DrawsPosterior(MODEL, jnp.array([[0.5, 7.0], [1.5, 7.0]]))
    assert whole.item(1).known.mean == 7.0
    free = bjm.DrawsPosterior(MODEL, jnp.array([[0.5], [1.5]]))
    assert free.item(1).known.mean == 2.0
    for posterior in (whole, free):
        mean, covariance = posterior.moments()
        np.testing.assert_allclose((mean, covariance[0]), [[1.0], [0.25]])
    with pytest.raises(ValueError, match="draws"):
        bjm.DrawsPosterior(MODEL, jnp.ones((2, 3)))


def test_a_prior_need_not_speak_of_what_is_known(key):
    prior = bjm.Prior({"a": bjm.priors.Normal(0.0, 1.0)})
    np.testing.assert_allclose(
        bjm.log_prior(MODEL, prior), -0.5 - 0.5 * np.log(2 * np.pi), rtol=1e-6
    )
    assert bjm.sample_prior(MODEL, prior, key).known.mean == 2.0
    assert bjm.kl_to_prior(MODEL, prior) == bjm.kl_to_prior(
        {"a": MODEL.a}, bjm.Prior(default=bjm.priors.Normal(0.0, 1.0))
    )
    with pytest.raises(ValueError, match="says nothing of.*known"):
        bjm.log_prior(UNKNOWN, prior)
    # Rules for the whole model serve one half of a partition of it.
    both = bjm.Prior(
        {"a": bjm.priors.Normal(0.0, 1.0), "known": bjm.priors.Normal(0.0, 1.0)}
    )
    half, _ = bjm.freeze_params(UNKNOWN, ["known"])
    assert list(both.of_parameters(half)) == ["a"]
