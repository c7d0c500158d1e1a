"""Priors that depend on other parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import BayesianJaxModels as bjm
from BayesianJaxModels._compute import fold_in
from BayesianJaxModels._prior.base import (
    Given,
    as_float,
    as_positive,
    is_given,
    used_of,
)
from BayesianJaxModels.priors import (
    Beta,
    Gamma,
    HalfNormal,
    Laplace,
    LogNormal,
    Normal,
    OnNaturalScale,
    StudentT,
    TruncatedNormal,
    Uniform,
)


class Subjects(bjm.Module):
    """Three subjects with two effects each around those of a population."""

    typical: bjm.AbstractParameter
    between: bjm.AbstractParameter
    effects: bjm.AbstractParameter


def subjects(support=None):
    rng = np.random.default_rng(0)
    return Subjects(
        bjm.make_parameter(rng.normal(size=2)),
        bjm.make_parameter([0.5, 0.8], support="positive"),
        bjm.make_parameter(rng.uniform(0.2, 2, size=(3, 2)), support=support),
    )


def prior_of(effects):
    return bjm.Prior(
        {
            "typical": Normal(0.0, 1.0),
            "between": HalfNormal(1.0),
            "effects": effects,
        }
    )


CENTRED = Normal(lambda m: m.typical.value, lambda m: m.between.value)


def test_log_densities_are_those_of_scipy(x64):
    model = subjects("positive")
    effects = LogNormal(lambda m: m.typical.value, lambda m: m.between.value)
    found = bjm.log_prior(model, prior_of(effects))
    typical, between, each = (p.value for p in bjm.get_parameters(model).values())
    expected = stats.norm.logpdf(typical).sum()
    expected += stats.halfnorm.logpdf(between).sum() + np.log(between).sum()
    expected += stats.norm.logpdf(np.log(each), typical, between).sum()
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_gradients_reach_what_a_prior_depends_on(x64):
    model, prior = subjects(), prior_of(CENTRED)
    slope = jax.grad(bjm.log_prior)(model, prior)
    typical, between, each = (p.value for p in bjm.get_parameters(model).values())
    expected = -typical + ((each - typical) / between**2).sum(axis=0)
    np.testing.assert_allclose(slope.typical.mean, expected, rtol=1e-12)


@pytest.mark.parametrize(
    "prior",
    [
        StudentT(lambda m: 3.0 + m.between.value, lambda m: m.typical.value, 1.0),
        Laplace(lambda m: m.typical.value, lambda m: m.between.value),
        Gamma(lambda m: m.between.value, 2.0),
        TruncatedNormal(0.0, 1.0, low=-1.0, high=lambda m: 2.0 + m.between.value),
        Uniform(-1.0, lambda m: 2.0 + m.between.value),
        Beta(lambda m: m.between.value, 2.0),
        OnNaturalScale(HalfNormal(lambda m: m.between.value), jnp.exp, jnp.log),
    ],
    ids=lambda prior: type(prior).__name__,
)
def test_every_kind_takes_functions_of_the_model(prior, key):
    model = subjects()
    assert prior.refers
    given = prior.given(model)
    assert not given.refers
    value = jnp.full((3, 2), 0.3)
    np.testing.assert_array_equal(
        bjm.log_prior(model, prior_of(given)), bjm.log_prior(model, prior_of(prior))
    )
    drawn = bjm.sample_prior(model, prior_of(prior), key)
    own = prior.given(drawn).sample(fold_in(key, 2), value)
    np.testing.assert_allclose(drawn.effects.mean, own, rtol=1e-6)


def test_draws_come_after_those_that_they_depend_on(key):
    class Levels(bjm.Module):
        visit: bjm.AbstractParameter
        patient: bjm.AbstractParameter
        site: bjm.AbstractParameter

    model = Levels(*(bjm.make_parameter(jnp.zeros(())) for _ in range(3)))
    prior = bjm.Prior(
        {
            "visit": Normal(lambda m: m.patient.value, 0.01),
            "patient": Normal(lambda m: 10 * m.site.value, 0.1),
            "site": Normal(0.0, 1.0),
        }
    )
    keys = jax.random.split(key, 2_000)
    drawn = jax.jit(jax.vmap(lambda key: bjm.sample_prior(model, prior, key)))(keys)
    np.testing.assert_allclose(jnp.std(drawn.site.mean), 1, rtol=0.05)
    of_patient = drawn.patient.mean - 10 * drawn.site.mean
    of_visit = drawn.visit.mean - drawn.patient.mean
    np.testing.assert_allclose(jnp.std(of_patient), 0.1, rtol=0.05)
    np.testing.assert_allclose(jnp.std(of_visit), 0.01, rtol=0.05)
    correlation = np.corrcoef(of_visit, of_patient)[0, 1]
    assert abs(correlation) < 0.08


def test_priors_that_depend_on_each_other_are_named(key):
    model = subjects()
    prior = bjm.Prior(
        {
            "typical": Normal(lambda m: m.effects.value.mean(0), 1.0),
            "effects": CENTRED,
        },
        default=HalfNormal(1.0),
    )
    with pytest.raises(
        ValueError, match=r"\['typical', 'effects'\] depend on each other"
    ):
        bjm.sample_prior(model, prior, key)


def test_a_posterior_that_is_known(key, x64):
    """Normal data of eight groups: exact means, covariance and evidence."""
    data = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
    errors = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])

    class Schools(bjm.Module):
        mean: bjm.AbstractParameter
        effects: bjm.AbstractParameter

    model = Schools(bjm.make_parameter(0.0), bjm.make_parameter(np.zeros(8)))
    problem = bjm.Problem(
        lambda m: m.effects.value,
        bjm.likelihoods.NormalLikelihood(errors),
        data,
        prior=bjm.Prior(
            {"mean": Normal(0.0, 5.0), "effects": Normal(lambda m: m.mean.value, 4.0)}
        ),
    )
    fit = bjm.laplace(problem, bjm.map_estimate(problem, model, key=key))
    joint = np.full((9, 9), 25.0)
    joint[1:, 1:] += np.diag(np.full(8, 16.0))
    gain = joint[:, 1:] @ np.linalg.inv(joint[1:, 1:] + np.diag(errors**2))
    mean, covariance = fit.moments()
    # How far below its maximum a search may end; standard deviations are about four.
    np.testing.assert_allclose(mean, gain @ data, atol=2e-3)
    np.testing.assert_allclose(covariance, joint - gain @ joint[1:], rtol=1e-4)


def test_closed_forms_are_refused(key):
    model, prior = subjects(), prior_of(CENTRED)
    with pytest.raises(NotImplementedError, match=r"no closed form.*\['effects'\]"):
        bjm.kl_to_prior(model, prior)

    def log_likelihood(drawn):
        return -jnp.sum(drawn.effects.mean**2)

    settings = {"prior": prior, "key": key, "num_samples": 4}
    with pytest.raises(NotImplementedError, match="`bjm.elbo"):
        bjm.elbo(model, log_likelihood, kl="analytic", **settings)
    assert np.isfinite(bjm.elbo(model, log_likelihood, **settings).value)


def test_numbers_that_are_given_or_follow():
    assert as_float("low", 1.0) == 1.0
    assert as_positive("sd", 2.0) == 2.0
    with pytest.raises(ValueError, match="`sd` must be positive"):
        as_positive("sd", -1.0)
    number = as_positive("sd", lambda m: m.between.value)
    assert is_given(number)
    np.testing.assert_allclose(number.of(subjects()), [0.5, 0.8], rtol=1e-6)
    with pytest.raises(TypeError, match="`sd` must be a real number"):
        Given("sd", lambda m: "wide").of(subjects())


def test_what_a_function_depends_on():
    inputs = {"a": jnp.ones(2), "b": jnp.ones(2), "c": jnp.ones(2)}
    found = used_of(lambda a, b, c: jnp.sin(a) + (b * 0).shape[0] + c.sum(), inputs)
    assert found == {"a", "c"}
