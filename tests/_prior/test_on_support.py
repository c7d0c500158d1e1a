"""Priors of the value of a parameter with a support, Jacobian included."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels import priors

POSITIVE, SHARE = "positive", (0.0, 1.0)
CASES = {
    "log-normal": (POSITIVE, priors.LogNormal(-0.4, 0.7), 0.6),
    "truncated above 1": ((1.0, None), priors.TruncatedNormal(1, 2, low=1.0), 2.5),
    "half-normal": (POSITIVE, priors.HalfNormal(0.7), 0.6),
    "half-Cauchy": (POSITIVE, priors.HalfCauchy(0.7), 0.6),
    "gamma": (POSITIVE, priors.Gamma(2.0, 3.0), 0.6),
    "truncated": (POSITIVE, priors.TruncatedNormal(1.0, 0.5), 0.6),
    "beta": (SHARE, priors.Beta(2.0, 3.0), 0.6),
    "uniform": (SHARE, priors.Uniform(), 0.6),
    "narrower": (POSITIVE, priors.Uniform(0.2, 2.0), 0.6),
    "below 3": ((None, 3.0), priors.TruncatedNormal(1.0, 0.5, -jnp.inf, 3.0), 2.5),
}


@pytest.mark.parametrize("name", CASES)
def test_density_is_that_of_the_value_with_the_jacobian(x64, name):
    support, of_value, value = CASES[name]
    parameter, prior = (
        bjm.make_parameter(value, support=support),
        bjm.Prior(default=of_value),
    )
    slope = jax.grad(lambda x: parameter.support.value(x))(parameter.mean)
    wanted = of_value.log_density(jnp.array(value)) + np.log(slope)
    assert bjm.log_prior(parameter, prior) == pytest.approx(float(wanted), rel=1e-12)

    @jax.jit
    @jax.vmap
    def density(x):
        return jnp.exp(bjm.log_prior(bjm.unflatten_means(parameter, x[None]), prior))

    ends = parameter.support.unconstrained(jnp.array(of_value.ends, float))
    x = np.linspace(*np.clip(ends, -40, 40), 40_001)
    x[[0, -1]] = np.nextafter(x[[0, -1]], x[[-1, 0]])
    assert scipy.integrate.simpson(density(x), x) == pytest.approx(1, abs=1e-8)


@pytest.mark.parametrize("name", CASES)
def test_draws_have_the_prior_on_their_value(name):
    support, of_value, value = CASES[name]
    parameter = bjm.make_parameter(np.full(4_000, value), support=support)
    prior = bjm.Prior(default=of_value)
    drawn = bjm.sample_prior(parameter, prior, random.key(0))
    assert np.isfinite(drawn.mean).all()
    own = of_value.sample(random.key(1), parameter.mean)
    assert scipy.stats.ks_2samp(drawn.value, own).pvalue > 1e-3


@pytest.mark.parametrize("far", [-300.0, 300.0])
@pytest.mark.parametrize("name", CASES)
def test_gradients_are_finite_where_values_are_not(name, far):
    support, of_value, value = CASES[name]
    prior = bjm.Prior(default=of_value)
    parameter = bjm.make_parameter(value, support=support)
    moved = bjm.unflatten_means(parameter, jnp.array([far]))
    density, gradient = jax.value_and_grad(lambda p: bjm.log_prior(p, prior))(moved)
    assert not np.isnan(density)
    assert np.isfinite(gradient.mean)


def test_a_share_drawn_at_an_end_stays_finite():
    share = bjm.make_parameter(np.full(20_000, 0.5), support=SHARE)
    prior = bjm.Prior(default=priors.Beta(0.01, 0.01))
    drawn = bjm.sample_prior(share, prior, random.key(0))
    assert np.isfinite(drawn.mean).all()


def test_log_normal_is_normal_of_the_logarithm():
    q = bjm.make_parameter([0.5, 0.03], support=POSITIVE, stdv=[0.1, 0.4])
    prior = bjm.Prior(default=priors.LogNormal(-1.0, 0.7))
    on_logarithm = bjm.Prior(default=priors.Normal(-1.0, 0.7))
    logarithm = bjm.GaussianParameter(q.mean, q.raw_stdv)
    for verb in (bjm.log_prior, bjm.kl_to_prior):
        assert verb(q, prior) == verb(logarithm, on_logarithm)
    far = bjm.unflatten_means(q, jnp.array([300.0, -300.0]))
    assert np.isfinite(bjm.log_prior(far, prior))


def test_known_values_keep_theirs_unless_a_rule_names_them():
    known = {"k": bjm.make_parameter(0.5, bayesian=False, support=POSITIVE)}
    default = bjm.Prior(default=priors.HalfNormal())
    kept = bjm.sample_prior(known, default, random.key(0))
    assert kept["k"].value == pytest.approx(0.5)
    ruled = bjm.Prior({"['k']": priors.HalfNormal()})
    drawn = bjm.sample_prior(known, ruled, random.key(0))
    assert abs(drawn["k"].value - 0.5) > 1e-3


@pytest.mark.parametrize(
    ("support", "prior"),
    [
        (POSITIVE, priors.Normal(1.0, 0.1)),
        (POSITIVE, priors.StudentT(3.0)),
        (POSITIVE, priors.TruncatedNormal(1.0, 0.1, low=-1.0)),
        (SHARE, priors.HalfNormal()),
        (SHARE, priors.Uniform(0.0, 1.5)),
        ((1.0, None), priors.LogNormal()),
    ],
)
def test_a_prior_that_reaches_beyond_is_refused_by_name(support, prior):
    model = {"k": bjm.make_parameter(0.5 if support != (1.0, None) else 2.0)}
    value = model["k"].value
    model = {"k": bjm.make_parameter(value, support=support)}
    words = rf"prior of `\['k'\]`, a {type(prior).__name__} between .* beyond"
    for verb in (bjm.log_prior, bjm.kl_to_prior):
        with pytest.raises(ValueError, match=words):
            verb(model, bjm.Prior(default=prior))


def test_a_prior_of_ones_own_has_no_ends_to_check():
    class Square(priors.AbstractPrior):
        def log_density(self, value):
            return jnp.where((value >= 0) & (value <= 1), 0.0, -jnp.inf)

        def sample(self, key, value):
            return random.uniform(key, value.shape, value.dtype)

    share = bjm.make_parameter(0.5, support=POSITIVE)
    prior = bjm.Prior(default=Square())
    assert bjm.log_prior(share, prior) == pytest.approx(np.log(0.5))


@pytest.mark.parametrize("ends", [(0.0, 0.3), (0.7, 1.1), (-0.3, 0.1)])
def test_equal_ends_are_equal_in_single_precision(ends):
    parameter = bjm.make_parameter(sum(ends) / 2, support=ends)
    density = bjm.log_prior(parameter, bjm.Prior(default=priors.Uniform(*ends)))
    assert density == pytest.approx(np.log(0.25), rel=1e-5)
