"""Which parameter has which prior, and what follows of a whole model."""

from operator import itemgetter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax import random

import BayesianJaxModels as bjm

from ..registry import LogisticParameter


def model_of(key):
    return {
        "rates": bjm.make_parameter([0.5, -1.0], init_raw_stdv=0.3),
        "net": bjm.BayesianLinear(2, 1, param_type=bjm.LaplacianParameter, key=key),
        "sigma": bjm.make_parameter(0.7, bayesian=False),
    }


def is_bias(name, parameter):
    return name.endswith(".b")


RULES = {
    bjm.LaplacianParameter: bjm.priors.Laplace(0.0, 0.5),
    is_bias: bjm.priors.Normal(0.0, 3.0),
    "['rates']": bjm.priors.Normal(np.array([0.0, 1.0]), 2.0),
    "['sigma']": bjm.priors.HalfNormal(1.0),
}


def test_names_decide_first_then_the_others_in_their_order(key):
    model = model_of(key)
    found = bjm.Prior(RULES).of_parameters(model)
    kinds = {name: type(prior) for name, prior in found.items()}
    assert kinds == {
        "['net'].W": bjm.priors.Laplace,
        "['net'].b": bjm.priors.Laplace,
        "['rates']": bjm.priors.Normal,
        "['sigma']": bjm.priors.HalfNormal,
    }
    everything = {bjm.AbstractParameter: bjm.priors.StudentT(3.0), **RULES}
    found = bjm.Prior({is_bias: bjm.priors.Normal(), **everything}).of_parameters(model)
    assert [type(prior) for prior in found.values()] == [
        bjm.priors.StudentT,
        bjm.priors.Normal,
        bjm.priors.Normal,
        bjm.priors.HalfNormal,
    ]


def expected_log_prior(drawn):
    net = drawn["net"]
    of_net = scipy.stats.laplace(0.0, 0.5).logpdf
    of_rates = scipy.stats.norm([0.0, 1.0], 2.0).logpdf(drawn["rates"].mean)
    of_sigma = scipy.stats.halfnorm.logpdf(drawn["sigma"].mean)
    return of_net(net.W.mean).sum() + of_net(net.b.mean) + of_rates.sum() + of_sigma


def test_log_prior_of_many_draws(key, x64):
    """One trace serves every draw, in double precision as in single."""
    traces = []

    @jax.jit
    @jax.vmap
    def log_priors(drawn):
        traces.append(None)
        return bjm.log_prior(drawn, bjm.Prior(RULES))

    model = model_of(key)
    sample = jax.jit(jax.vmap(lambda key: bjm.sample_all_parameters(model, key)))
    batch = sample(random.split(key, 3))
    draws = [jax.tree.map(itemgetter(i), batch) for i in range(3)]
    expected = [expected_log_prior(drawn).item() for drawn in draws]
    np.testing.assert_allclose(log_priors(batch), expected, rtol=1e-12)
    assert log_priors(batch).dtype == jnp.float64
    assert len(traces) == 1
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), draws[0])
    found = jax.jit(bjm.log_prior)(single, bjm.Prior(RULES))
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, expected[0], rtol=1e-5)


def test_draws_from_the_prior(key):
    model, prior = model_of(key), bjm.Prior(RULES)
    sample = jax.jit(jax.vmap(lambda key: bjm.sample_prior(model, prior, key)))
    draws = sample(random.split(key, 4_000))
    assert jax.tree.structure(draws) == jax.tree.structure(model)
    rates, sigma = draws["rates"].mean, draws["sigma"].mean
    error = 4 * 2.0 / 4_000**0.5
    np.testing.assert_allclose(rates.mean(0), [0, 1], atol=error)
    np.testing.assert_allclose(draws["net"].W.mean.std(), 0.5**0.5, rtol=0.05)
    assert jnp.all(sigma > 0)
    independent = np.corrcoef(np.column_stack([rates, sigma]), rowvar=False)
    assert np.all(np.abs(independent - np.eye(3)) < 4 / 4_000**0.5)


class Decay(bjm.AbstractVectorField):
    log_rate: bjm.AbstractParameter

    def __call__(self, t, y, args):
        return -jnp.exp(self.log_rate.mean) * y


def test_prior_predictive_trajectories(key):
    """Draws of exp(-rate t) have the log-normal quantiles of the rate."""
    field = Decay(bjm.make_parameter(0.0))
    prior = bjm.Prior(default=bjm.priors.Normal(-1.0, 0.5))
    ts = jnp.array([0.0, 1.0])
    trajectories = bjm.posterior_trajectories(
        bjm.PriorDraws(field, prior), jnp.ones(()), ts, key=key, num_samples=1_000
    )
    rates = -np.log(np.asarray(trajectories.ys[:, 1], float))
    rate = scipy.stats.lognorm(0.5, scale=np.exp(-1.0))
    assert scipy.stats.kstest(rates, rate.cdf).statistic < 1.95 / 1_000**0.5


def test_divergence_from_the_prior(key):
    """It is minus the mean log prior less the entropy, by draws."""
    model = model_of(key) | {
        "correlated": bjm.MultivariateGaussianParameter.from_covariance(
            jnp.array([0.3, -1.0]), jnp.array([[0.3, 0.2], [0.2, 0.4]])
        ),
        "own": LogisticParameter(jnp.array([0.3, 1.0]), jnp.array([0.9, 0.5])),
    }
    prior = bjm.Prior(RULES, default=bjm.priors.Normal(0.5, 1.5))

    @jax.jit
    @jax.vmap
    def log_priors(key):
        return bjm.log_prior(bjm.sample_all_parameters(model, key), prior)

    draws = log_priors(random.split(key, 20_000))
    error = 4 * draws.std() / 20_000**0.5
    expected = -draws.mean() - bjm.entropy(model)
    divergence = jax.jit(bjm.kl_to_prior)(model, prior)
    np.testing.assert_allclose(divergence, expected, atol=error)


@pytest.mark.parametrize("sd", [1e-6, 1e-4, 1e3])
def test_divergence_from_narrow_and_wide_priors(sd, x64):
    q = bjm.GaussianParameter(jnp.array(2e-4), jnp.array(0.01))
    of_normal = bjm.kl_to_prior(q, bjm.Prior(default=bjm.priors.Normal(1e-4, sd)))
    expected = np.log(sd / 2e-4) + (2e-4**2 + 1e-4**2) / (2 * sd**2) - 0.5
    np.testing.assert_allclose(of_normal, expected, rtol=1e-11)
    q = bjm.LaplacianParameter(jnp.array(2e-4), jnp.array(0.01))
    of_laplace = bjm.kl_to_prior(q, bjm.Prior(default=bjm.priors.Laplace(1e-4, sd)))
    expected = np.log(sd / 2e-4) + (2e-4 * np.exp(-0.5) + 1e-4) / sd - 1
    np.testing.assert_allclose(of_laplace, expected, rtol=1e-11)


def test_mistakes_are_named(key):
    model = model_of(key)
    with pytest.raises(ValueError, match=r"says nothing of .*\['net'\].W.*`default`"):
        bjm.log_prior(model, bjm.Prior({"['rates']": bjm.priors.Normal()}))
    with pytest.raises(ValueError, match=r"'rats'.*Near matches: .*rates"):
        bjm.log_prior(
            model, bjm.Prior({"rats": bjm.priors.Normal()}, bjm.priors.Normal())
        )
    for rule in (3, float):
        with pytest.raises(TypeError, match="A rule must be a name, a type"):
            bjm.Prior({rule: bjm.priors.Normal()})
    with pytest.raises(TypeError, match="must lead to a prior"):
        bjm.Prior({"rates": 1.0})
    wide = bjm.Prior(default=bjm.priors.Normal(jnp.zeros(3)))
    with pytest.raises(ValueError, match=r"`mean` has shape \(3,\), .* to \(2,\)"):
        bjm.log_prior({"rates": model["rates"]}, wide)
    for other in (
        bjm.priors.StudentT(3.0),
        bjm.priors.Gamma(3.0),
        bjm.priors.Uniform(),
        bjm.priors.Beta(1, 2),
    ):
        wanted = rf"Gaussian.* {type(other).__name__}\) of `\['x'\]"
        with pytest.raises(NotImplementedError, match=wanted):
            bjm.kl_to_prior(model | {"x": model["rates"]}, bjm.Prior(RULES, other))


def test_what_is_known_is_drawn_by_a_rule_about_it_alone(key):
    model = {"a": bjm.make_parameter(0.0), "b": bjm.DeterministicParameter(7.0)}
    of_all = bjm.sample_prior(
        model, bjm.Prior(default=bjm.priors.Normal(0.0, 1.0)), key
    )
    assert float(of_all["b"].mean) == 7
    assert float(of_all["a"].mean) != 0
    named = bjm.Prior(
        {"['b']": bjm.priors.Normal(0.0, 1.0)}, bjm.priors.Normal(0.0, 1.0)
    )
    assert float(bjm.sample_prior(model, named, key)["b"].mean) != 7


def test_what_is_known_counts_with_its_density_alone():
    """Minus its log prior is its divergence, and without a rule it has none."""
    known = bjm.DeterministicParameter(jnp.array([0.5, 2.0]))
    model = {"known": known}
    prior = bjm.Prior({"['known']": bjm.priors.Gamma(2.0, 3.0)})
    expected = scipy.stats.gamma(2.0, scale=1 / 3).logpdf([0.5, 2.0]).sum()
    np.testing.assert_allclose(bjm.log_prior(model, prior), expected, rtol=1e-6)
    np.testing.assert_allclose(bjm.kl_to_prior(model, prior), -expected, rtol=1e-6)
    nothing = bjm.Prior()
    assert nothing.of_parameters(model) == {}
    assert bjm.log_prior(model, nothing) == bjm.kl_to_prior(model, nothing) == 0


def test_outside_one_support_the_whole_is_impossible():
    model = [bjm.make_parameter([0.5, -0.1]), bjm.make_parameter(0.3)]
    prior = bjm.Prior(default=bjm.priors.HalfNormal())
    assert bjm.log_prior(model, prior) == -np.inf


def test_rules_of_the_frozen_half_play_no_part(key):
    model = model_of(key)
    dynamic, _ = bjm.freeze_params(model, ["['rates']"])
    found = bjm.Prior(RULES).of_parameters(dynamic)
    assert "['rates']" not in found
    whole, rates = bjm.log_prior(model, bjm.Prior(RULES)), model["rates"].mean
    of_rates = scipy.stats.norm([0.0, 1.0], 2.0).logpdf(rates).sum()
    part = bjm.log_prior(dynamic, bjm.Prior(RULES))
    np.testing.assert_allclose(part, whole - of_rates, rtol=1e-5)


def test_each_parameter_draws_from_its_own_key(key):
    model = {"a": bjm.make_parameter([0.5, 1.0]), "b": bjm.make_parameter(2.0)}
    normal = bjm.priors.Normal(1.0, 3.0)
    drawn = bjm.sample_prior(model, bjm.Prior(default=normal), key)
    for index, name in enumerate(model):
        expected = normal.sample(random.fold_in(key, index), model[name].mean)
        np.testing.assert_array_equal(drawn[name].mean, expected)
        np.testing.assert_array_equal(drawn[name].stdv, model[name].stdv)
