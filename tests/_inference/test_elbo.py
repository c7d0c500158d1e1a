"""The bound against a linear-Gaussian model, where every term is known."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels import JointPosterior, Normal, Prior, elbo
from BayesianJaxModels._inference.structured import (
    antithetic_noise,
    draw_from_noise,
    noise_size,
    sobol_noise,
)

from ..registry import LogisticParameter

# y = X w + noise of variance S2, with w of two parameters and N(0, T2) each.
X = np.array([[1.0, 0.2, 0.5], [0.3, -1.0, 0.1], [0.8, 0.7, -0.4], [-0.5, 0.1, 0.9]])
Y = np.array([0.6, -0.3, 0.2, 1.1])
S2, T2 = 0.5, 4.0
PRIOR = Prior({}, default=Normal(0.0, T2**0.5))
EXACT_COVARIANCE = np.linalg.inv(X.T @ X / S2 + np.eye(3) / T2)
EXACT_MEAN = EXACT_COVARIANCE @ X.T @ Y / S2
LOG_EVIDENCE = scipy.stats.multivariate_normal(
    np.zeros(4), S2 * np.eye(4) + T2 * X @ X.T
).logpdf(Y)


class Likelihood(eqx.Module):
    """Of the rows that it holds; arguments of what is compiled, not constants."""

    x: jax.Array
    y: jax.Array

    def __init__(self, rows=slice(None)):
        self.x, self.y = jnp.asarray(X[rows]), jnp.asarray(Y[rows])

    def __call__(self, drawn):
        residuals = self.y - self.x @ bjm.flatten_means(drawn)
        return jnp.sum(jax.scipy.stats.norm.logpdf(residuals / S2**0.5)) - (
            0.5 * len(self.y) * jnp.log(S2)
        )


def model_of(mean=(0.0, 0.0, 0.0), **options):
    mean = jnp.asarray(mean)
    return {
        "a": bjm.make_parameter(mean[:1], init_raw_stdv=0.7, **options),
        "b": bjm.make_parameter(mean[1:], init_raw_stdv=0.6, **options),
    }


def exact_posteriors():
    multivariate = bjm.MultivariateGaussianParameter.from_covariance
    return {
        "one parameter": {"w": multivariate(EXACT_MEAN, EXACT_COVARIANCE)},
        "identity": JointPosterior(
            model_of(), multivariate(EXACT_MEAN, EXACT_COVARIANCE)
        ),
        "whitened": JointPosterior.gaussian(model_of(EXACT_MEAN), EXACT_COVARIANCE),
    }


def inexact_posteriors():
    mean = jnp.array([0.3, -0.2, 0.5])
    low_rank = bjm.LowRankGaussianParameter(
        mean, jnp.array([0.5, 0.6, 0.7]), jnp.array([[0.3], [-0.2], [0.4]])
    )
    return {
        "mean field": model_of(mean),
        "low rank": JointPosterior(model_of(), low_rank, 0.8 * jnp.eye(3) + 0.1),
        "with a point": {
            "a": bjm.make_parameter([0.3], bayesian=False),
            "b": bjm.make_parameter([-0.2, 0.5], init_raw_stdv=0.6),
        },
    }


@eqx.filter_jit
def bound_and_gradient(posterior, key, prior=PRIOR, fn=None, **options):
    fn = Likelihood() if fn is None else fn

    def loss(posterior):
        bound = elbo(posterior, fn, prior=prior, key=key, **options)
        return bound.value, bound

    (_, bound), gradient = eqx.filter_value_and_grad(loss, has_aux=True)(posterior)
    return bound, jnp.concatenate([x.ravel() for x in jax.tree.leaves(gradient)])


def moments(posterior):
    if isinstance(posterior, JointPosterior):
        return np.asarray(posterior.mean), np.asarray(posterior.covariance)
    stdv = bjm.flatten_stdvs(posterior)
    return np.asarray(bjm.flatten_means(posterior)), np.diag(stdv**2)


def exact_terms(posterior):
    """Means of log likelihood and log prior under any mean and covariance."""
    mean, covariance = moments(posterior)
    quadratic = np.sum((Y - X @ mean) ** 2) + np.trace(X @ covariance @ X.T)
    log_lik = -0.5 * quadratic / S2 - 2 * np.log(2 * np.pi * S2)
    square = mean @ mean + np.trace(covariance)
    return log_lik, -0.5 * square / T2 - 1.5 * np.log(2 * np.pi * T2)


@pytest.mark.parametrize("name", exact_posteriors())
@pytest.mark.parametrize(
    ("options", "is_flat"),
    [
        ({"stick_the_landing": True, "num_samples": 3}, True),
        ({"stick_the_landing": True, "draws": "antithetic", "num_samples": 2}, True),
        ({"draws": "sobol", "num_samples": 4}, True),
        ({"draws": "sobol", "num_samples": 6, "kl": "analytic"}, True),
        ({"num_samples": 3}, False),
        ({"num_samples": 3, "importance_weighted": True}, False),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict) else "",
)
def test_log_evidence_at_the_exact_posterior(name, options, is_flat, key, x64):
    bound, gradient = bound_and_gradient(exact_posteriors()[name], key, **options)
    np.testing.assert_allclose(bound.value, LOG_EVIDENCE, rtol=1e-10)
    assert (jnp.max(jnp.abs(gradient)) < 1e-9) == is_flat
    assert bound.num_failed == 0


@pytest.mark.parametrize("kl", ["sampled", "analytic"])
@pytest.mark.parametrize("name", inexact_posteriors())
def test_sobol_draws_are_exact_for_quadratic_densities(name, kl, key, x64):
    posterior = inexact_posteriors()[name]
    bound, _ = bound_and_gradient(posterior, key, draws="sobol", num_samples=11, kl=kl)
    log_lik, log_prior = exact_terms(posterior)
    is_joint = isinstance(posterior, JointPosterior)
    entropy = posterior.entropy() if is_joint else bjm.entropy(posterior)
    np.testing.assert_allclose(bound.log_likelihood, log_lik, rtol=1e-10)
    np.testing.assert_allclose(bound.log_prior, log_prior, rtol=1e-10)
    np.testing.assert_allclose(bound.entropy, entropy, rtol=1e-10)
    np.testing.assert_allclose(bound.kl, -(log_prior + entropy), rtol=1e-10)
    np.testing.assert_allclose(bound.value, bound.log_likelihood - bound.kl)
    assert bound.value < LOG_EVIDENCE


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kl": "analytic"},
        {"stick_the_landing": True},
        {"draws": "antithetic", "kl": "analytic"},
        {"draws": "antithetic", "stick_the_landing": True},
        {"draws": "sobol", "num_samples": 5},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_all_estimators_have_one_mean(options, key, x64):
    """Value and gradient on average over keys, for Laplace and normal entries.

    The quantile transform of Sobol noise keeps no moments of Laplace entries, so they
    are left to the other estimators.
    """
    model = inexact_posteriors()["mean field"]
    if options.get("draws") != "sobol":
        model["b"] = bjm.LaplacianParameter(model["b"].mean, model["b"].raw_stdv)
    estimate = partial(bound_and_gradient, model, **{"num_samples": 2} | options)
    bounds, gradients = jax.vmap(estimate)(random.split(key, 4_000))

    def exact(model):
        mean, stdv = bjm.flatten_means(model), bjm.flatten_stdvs(model)
        residual = jnp.asarray(Y) - jnp.asarray(X) @ mean
        spread = jnp.sum((jnp.asarray(X) * stdv) ** 2)
        log_lik = -0.5 * (residual @ residual + spread) / S2
        log_lik -= 2 * jnp.log(2 * jnp.pi * S2)
        return log_lik - bjm.kl_to_prior(model, PRIOR)

    value, gradient = jax.jit(jax.value_and_grad(exact))(model)
    gradient = jnp.concatenate([x.ravel() for x in jax.tree.leaves(gradient)])
    found = jnp.column_stack([bounds.value, gradients])
    error = 4.5 * found.std(0) / 4_000**0.5 + 1e-9
    assert jnp.all(jnp.abs(found.mean(0) - jnp.append(value, gradient)) < error)


def test_antithetic_pairs_have_no_noise_in_odd_functions(key, x64):
    model = inexact_posteriors()["mean field"]
    model["a"] = bjm.LaplacianParameter(model["a"].mean, model["a"].raw_stdv)

    def odd(drawn):
        distance = bjm.flatten_means(drawn) - bjm.flatten_means(model)
        return jnp.sum(distance**3) + 2.0

    options = {"prior": None, "fn": odd, "draws": "antithetic", "num_samples": 6}
    bound, _ = bound_and_gradient(model, key, kl="analytic", **options)
    np.testing.assert_allclose(bound.log_likelihood, 2.0, rtol=1e-12)
    assert bound.log_prior == 0
    np.testing.assert_allclose(bound.value, 2.0 + bjm.entropy(model), rtol=1e-12)


@pytest.mark.parametrize("num", [13, 512])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sobol_noise(num, dtype, key, x64):
    noise = jax.jit(sobol_noise, static_argnums=(1, 2, 3))(key, num, 12, dtype)
    assert noise.dtype == dtype
    tolerance = 2e-6 if dtype == np.float32 else 1e-12
    np.testing.assert_allclose(noise.mean(0), 0, atol=tolerance)
    np.testing.assert_allclose(noise.T @ noise / num, np.eye(12), atol=tolerance)
    other = sobol_noise(random.fold_in(key, 1), num, 12, dtype)
    assert jnp.max(jnp.abs(noise - other)) > 0.1
    if num == 512:
        for column in np.asarray(noise, float).T:
            assert scipy.stats.kstest(column, "norm").statistic < 0.03


def test_noise_has_the_distributions_of_draws(key):
    """Normal noise becomes what `sample` draws, for every type there is."""
    model = {
        "laplace": bjm.LaplacianParameter(jnp.array([1.0]), jnp.array([0.8])),
        "normal": bjm.GaussianParameter(jnp.array([1.0]), jnp.array([0.8])),
        "point": bjm.DeterministicParameter(jnp.array([3.0])),
    }
    noise = antithetic_noise(key, 20_000, noise_size(model), np.float32)
    drawn = jax.vmap(lambda row: draw_from_noise(model, row))(noise)
    laplace = scipy.stats.laplace(1.0, 0.6401).cdf
    values = np.asarray(drawn["laplace"].mean[:10_000, 0], float)
    assert scipy.stats.kstest(values, laplace).statistic < 1.95 / 100
    normal = scipy.stats.norm(1.0, 0.6401).cdf
    values = np.asarray(drawn["normal"].mean[:10_000, 0], float)
    assert scipy.stats.kstest(values, normal).statistic < 1.95 / 100
    np.testing.assert_array_equal(drawn["point"].mean, 3.0)
    ends = draw_from_noise(model, jnp.array([-12.0, 12.0]))
    assert all(jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(ends))


def test_minibatches_average_to_the_whole(key, x64):
    model = inexact_posteriors()["mean field"]
    whole, gradient = bound_and_gradient(model, key, num_samples=2)
    parts = [
        bound_and_gradient(
            model, key, fn=Likelihood([i]), num_samples=2, num_data=4, batch_size=1
        )
        for i in range(4)
    ]
    values = [bound.value for bound, _ in parts]
    np.testing.assert_allclose(np.mean(values), whole.value, rtol=1e-12)
    gradients = [of_part for _, of_part in parts]
    np.testing.assert_allclose(np.mean(gradients, axis=0), gradient, atol=1e-12)
    for bound, _ in parts:
        np.testing.assert_allclose(bound.kl, whole.kl, rtol=1e-12)


def test_importance_weighted_bound(key, x64):
    """At most the evidence, at least the plain bound, and close with many draws."""
    posterior = JointPosterior.gaussian(model_of(EXACT_MEAN), 1.5 * EXACT_COVARIANCE)
    one, _ = bound_and_gradient(posterior, key, num_samples=1)
    options = {"prior": PRIOR, "importance_weighted": True}
    likelihood = Likelihood()

    @partial(jax.jit, static_argnums=0)
    def bounds_of(num_samples, keys):
        call = partial(elbo, posterior, likelihood, num_samples=num_samples, **options)
        return jax.vmap(lambda key: call(key=key))(keys)

    same = bounds_of(1, key[None])
    np.testing.assert_allclose(same.value[0], one.value, rtol=1e-12)
    few = bounds_of(4, random.split(key, 400))
    # Jensen's inequality, draw by draw.
    assert jnp.all(few.value >= few.log_likelihood - few.kl)
    assert few.value.mean() < LOG_EVIDENCE - 0.02
    many = bounds_of(2_000, random.split(key, 50)).value
    error = 4 * many.std() / 50**0.5
    np.testing.assert_allclose(many.mean(), LOG_EVIDENCE, atol=error)
    assert error < 0.01


class Failing(eqx.Module):
    """A log likelihood that fails at part of the draws, each way with another fault."""

    fault: str = eqx.field(static=True)

    def __call__(self, drawn):
        first, *_ = values = bjm.flatten_means(drawn)
        if self.fault == "NaN":  # with an infinite slope beside it
            return jnp.sum(jnp.sqrt(values[0])) + jnp.sum(jnp.sin(values))
        if self.fault == "inf":
            return jnp.where(first > 0, 1 / jnp.maximum(first, 0), jnp.inf)
        return jnp.where(first > 0, 1.0, -jnp.inf) * jnp.exp(1e6 * (1 + first**2))


@pytest.mark.parametrize("fault", ["NaN", "inf"])
@pytest.mark.parametrize("is_joint", [False, True])
def test_failed_draws_are_counted_and_left_out(fault, is_joint, key, x64):
    posterior = model_of()
    if is_joint:
        posterior = JointPosterior.full(model_of(), 0.5)
    fn, keys = Failing(fault), random.split(key, 1)[0]
    bound, gradient = bound_and_gradient(posterior, keys, fn=fn, num_samples=8)

    variables = posterior.joint if is_joint else posterior
    draws = [
        bjm.sample_all_parameters(variables, random.fold_in(keys, i)) for i in range(8)
    ]
    good = [i for i, z in enumerate(draws) if bjm.flatten_means(z)[0] > 0]
    assert 0 < len(good) < 8
    assert bound.num_failed == 8 - len(good)

    def by_hand(variables):
        total = jnp.zeros(())
        for i in good:
            z = bjm.sample_all_parameters(variables, random.fold_in(keys, i))
            parameters = bjm.get_parameters(variables)
            values = bjm.get_parameters(z)
            log_q = sum(p.log_prob(values[n].mean) for n, p in parameters.items())
            drawn = bjm.unflatten_means(model_of(), bjm.flatten_means(z))
            total += fn(drawn) + bjm.log_prior(drawn, PRIOR) - log_q
        return total / len(good)

    value, expected = jax.jit(jax.value_and_grad(by_hand))(variables)
    expected = jnp.concatenate([x.ravel() for x in jax.tree.leaves(expected)])
    np.testing.assert_allclose(bound.value, value, rtol=1e-10)
    found = gradient[-expected.size :] if is_joint else gradient
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert jnp.all(jnp.isfinite(gradient))


@pytest.mark.parametrize("importance_weighted", [False, True])
def test_when_all_draws_fail(importance_weighted, key):
    bound, gradient = bound_and_gradient(
        model_of((-9.0, 0.0, 0.0)),
        key,
        fn=Failing("NaN"),
        num_samples=3,
        importance_weighted=importance_weighted,
    )
    assert bound.num_failed == 3
    assert bound.value == -jnp.inf
    assert jnp.all(jnp.isfinite(gradient))


def test_failed_draws_have_weight_zero_in_the_importance_weighted_bound(key, x64):
    options = {"num_samples": 8, "fn": Failing("inf")}
    bound, gradient = bound_and_gradient(
        model_of(), key, importance_weighted=True, **options
    )
    assert bound.num_failed > 0
    assert jnp.all(jnp.isfinite(gradient))

    def zero_likelihood(drawn):
        value = Failing("inf")(drawn)
        return jnp.where(jnp.isfinite(value), value, -1e6)

    options["fn"] = zero_likelihood
    expected, _ = bound_and_gradient(
        model_of(), key, importance_weighted=True, **options
    )
    np.testing.assert_allclose(bound.value, expected.value, rtol=1e-12)


def test_a_prior_without_density_at_a_draw_is_a_failure(key):
    prior = Prior({}, default=bjm.HalfNormal(1.0))
    bound, gradient = bound_and_gradient(model_of(), key, prior=prior, num_samples=16)
    drawn = [
        bjm.sample_all_parameters(model_of(), random.fold_in(key, i)) for i in range(16)
    ]
    assert bound.num_failed == sum(
        bool(jnp.any(bjm.flatten_means(d) < 0)) for d in drawn
    )
    assert 0 < bound.num_failed < 16
    assert jnp.all(jnp.isfinite(gradient))


def test_temperature_is_reported(key):
    model = inexact_posteriors()["mean field"]
    for options in ({}, {"kl": "analytic"}):
        plain, _ = bound_and_gradient(model, key, num_samples=2, **options)
        warm, _ = bound_and_gradient(
            model, key, num_samples=2, temperature=jnp.array(0.3), **options
        )
        assert plain.temperature == 1
        np.testing.assert_allclose(warm.temperature, 0.3, rtol=1e-6)
        assert warm.kl == plain.kl
        expected = plain.log_likelihood - 0.3 * plain.kl
        np.testing.assert_allclose(warm.value, expected, rtol=1e-6)


@pytest.mark.parametrize("draws", ["independent", "antithetic", "sobol"])
def test_precisions_batches_and_compiling_once(draws, key, x64):
    traces = []

    def log_likelihood(drawn):
        traces.append(None)
        return -jnp.sum(bjm.flatten_means(drawn) ** 2)

    @jax.jit
    def value(posterior, key):
        options = {"draws": draws, "num_samples": 4, "prior": None, "key": key}
        return elbo(posterior, log_likelihood, **options)

    for dtype in (jnp.float32, jnp.float64):
        models = jax.tree.map(
            lambda *leaves, dtype=dtype: jnp.stack(leaves).astype(dtype),
            model_of(),
            model_of((1.0, 2.0, 3.0)),
        )
        batch = jax.vmap(value)(models, random.split(key, 2))
        one = jax.tree.map(lambda leaf: leaf[1], models)
        alone = value(one, random.split(key, 2)[1])
        assert {x.dtype for x in jax.tree.leaves(alone)} == {
            jnp.dtype(dtype),
            jnp.dtype(int),
        }
        np.testing.assert_allclose(batch.value[1], alone.value, rtol=2e-5)
    count = len(traces)
    value(one, key)
    assert len(traces) == count


def test_forward_mode(key, x64):
    model = inexact_posteriors()["mean field"]

    def value(shift, forward_mode):
        moved = bjm.unflatten_means(model, bjm.flatten_means(model) + shift)
        options = {"prior": PRIOR, "key": key, "num_samples": 2}
        return elbo(moved, Likelihood(), forward_mode=forward_mode, **options).value

    forward = jax.jit(jax.jacfwd(partial(value, forward_mode=True)))(jnp.zeros(3))
    reverse = jax.jit(jax.jacrev(partial(value, forward_mode=False)))(jnp.zeros(3))
    np.testing.assert_allclose(forward, reverse, rtol=1e-10)


def test_priors_of_your_own_and_leaves_that_are_no_arrays(key):
    model = [model_of(), "a label", jnp.tanh]

    def log_prior(drawn):
        return bjm.log_prior(drawn, PRIOR)

    options = {"key": key, "num_samples": 3, "stick_the_landing": True}
    fn = Likelihood()
    found = elbo(model, fn, prior=log_prior, **options)
    assert found.value == elbo(model, fn, prior=PRIOR, **options).value


def test_mistakes_are_named(key):
    model, fn = model_of(), Likelihood()
    call = partial(elbo, prior=PRIOR, key=key)
    wrong = {
        "`kl` must be 'sampled' or 'analytic', but got 'exact'": {"kl": "exact"},
        "`draws` must be .* but got 'halton'": {"draws": "halton"},
        "`num_samples` must be at least 1": {"num_samples": 0},
        "`num_samples` must be even .* got 3": {
            "draws": "antithetic",
            "num_samples": 3,
        },
        "`num_samples` must be above 3.* got 3": {"draws": "sobol", "num_samples": 3},
        "`stick_the_landing` and `importance_weighted` need": {
            "kl": "analytic",
            "stick_the_landing": True,
        },
        "would bias the gradient": {
            "stick_the_landing": True,
            "importance_weighted": True,
        },
        "go together.* got 4 and None": {"num_data": 4},
        "no larger than the data, but got 4 and 5": {"num_data": 4, "batch_size": 5},
        "`temperature` must be at least 0": {"temperature": -1.0},
        r"`temperature` has shape \(2,\)": {"temperature": jnp.ones(2)},
        "`kl='analytic'` needs a `Prior`": {"kl": "analytic", "prior": lambda d: 0.0},
    }
    for message, options in wrong.items():
        options = {"num_samples": 2} | options
        if "prior" in options:
            options["prior"] = lambda drawn: jnp.zeros(())
        with pytest.raises(ValueError, match=message):
            call(model, fn, **options)
    with pytest.raises(ValueError, match=r"`log_likelihood` must return .* \(3,\)"):
        call(model, bjm.flatten_means, num_samples=1)
    own = {"w": LogisticParameter(jnp.zeros(3), jnp.zeros(3))}
    with pytest.raises(NotImplementedError, match="LogisticParameter.*'independent'"):
        call(own, fn, num_samples=2, draws="antithetic")
    draws = bjm.DrawsPosterior(model, jnp.zeros((2, 3)))
    with pytest.raises(TypeError, match="but got a DrawsPosterior"):
        call(draws, fn, num_samples=1)
    heavy = Prior({}, default=bjm.StudentT(3.0))
    for posterior in (model, JointPosterior.full(model, 0.1)):
        with pytest.raises(NotImplementedError, match="StudentT"):
            elbo(posterior, fn, prior=heavy, key=key, num_samples=1, kl="analytic")
