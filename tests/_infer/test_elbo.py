"""The bound against a linear-Gaussian model, where every term is known."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.stats
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels import JointPosterior, Prior, elbo
from BayesianJaxModels._infer.structured import antithetic_noise
from BayesianJaxModels._model import draw_from_noise, noise_size
from BayesianJaxModels.priors import Normal

from ..registry import PARAMETERS, LogisticParameter

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
    mean = np.asarray(mean)
    return {
        "a": bjm.make_parameter(mean[:1], init_raw_stdv=0.7, **options),
        "b": bjm.make_parameter(mean[1:], init_raw_stdv=0.6, **options),
    }


def exact_posterior(name):
    multivariate = bjm.MultivariateGaussianParameter.from_covariance
    if name == "one parameter":
        return {"w": multivariate(EXACT_MEAN, EXACT_COVARIANCE)}
    if name == "identity":
        return JointPosterior(model_of(), multivariate(EXACT_MEAN, EXACT_COVARIANCE))
    assert name == "whitened"
    return JointPosterior.gaussian(model_of(EXACT_MEAN), EXACT_COVARIANCE)


def inexact_posterior(name):
    mean = np.array([0.3, -0.2, 0.5])
    if name == "mean field":
        return model_of(mean)
    if name == "low rank":
        low_rank = bjm.LowRankGaussianParameter(
            mean, np.array([0.5, 0.6, 0.7]), np.array([[0.3], [-0.2], [0.4]])
        )
        return JointPosterior(model_of(), low_rank, jnp.asarray(0.8 * np.eye(3) + 0.1))
    assert name == "with a point"
    return {
        "a": bjm.make_parameter(mean[:1], bayesian=False),
        "b": bjm.make_parameter(mean[1:], init_raw_stdv=0.6),
    }


@eqx.filter_jit
def bound_alone(posterior, key, fn=None, prior=PRIOR, **options):
    fn = Likelihood() if fn is None else fn
    return elbo(posterior, fn, prior=prior, key=key, **options)


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


STL = {"stick_the_landing": True}


@pytest.mark.parametrize(
    ("name", "options", "is_flat"),
    [
        ("whitened", STL | {"num_samples": 3}, True),
        ("one parameter", STL | {"num_samples": 2, "draws": "antithetic"}, True),
        ("whitened", {"num_samples": 4, "draws": "sobol"}, True),
        ("identity", {"num_samples": 4, "draws": "sobol", "kl": "analytic"}, True),
        ("whitened", {"num_samples": 3, "importance_weighted": True}, False),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict) else "",
)
def test_log_evidence_at_the_exact_posterior(name, options, is_flat, key, x64):
    bound, gradient = bound_and_gradient(exact_posterior(name), key, **options)
    np.testing.assert_allclose(bound.value, LOG_EVIDENCE, rtol=1e-10)
    assert (np.max(np.abs(gradient)) < 1e-9) == is_flat
    assert bound.num_failed == 0


@pytest.mark.parametrize(
    ("name", "kl"),
    [("low rank", "sampled"), ("low rank", "analytic"), ("with a point", "analytic")],
)
def test_sobol_draws_are_exact_for_quadratic_densities(name, kl, key, x64):
    posterior = inexact_posterior(name)
    bound = bound_alone(posterior, key, draws="sobol", num_samples=11, kl=kl)
    log_lik, log_prior = exact_terms(posterior)
    is_joint = isinstance(posterior, JointPosterior)
    entropy = posterior.entropy() if is_joint else bjm.entropy(posterior)
    np.testing.assert_allclose(bound.log_likelihood, log_lik, rtol=1e-10)
    np.testing.assert_allclose(bound.log_prior, log_prior, rtol=1e-10)
    np.testing.assert_allclose(bound.entropy, entropy, rtol=1e-10)
    np.testing.assert_allclose(bound.kl, -(log_prior + entropy), rtol=1e-10)
    np.testing.assert_allclose(bound.value, bound.log_likelihood - bound.kl)
    assert bound.value < LOG_EVIDENCE


@jax.jit
@jax.value_and_grad
def exact_bound(model):
    mean, stdv = bjm.flatten_means(model), bjm.flatten_stdvs(model)
    residual = jnp.asarray(Y) - jnp.asarray(X) @ mean
    spread = jnp.sum((jnp.asarray(X) * stdv) ** 2)
    log_lik = -0.5 * (residual @ residual + spread) / S2
    log_lik -= 2 * jnp.log(2 * jnp.pi * S2)
    return log_lik - bjm.kl_to_prior(model, PRIOR)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kl": "analytic"},
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
    model = inexact_posterior("mean field")
    if options.get("draws") != "sobol":
        model["b"] = bjm.LaplacianParameter(model["b"].mean, model["b"].raw_stdv)
    estimate = partial(bound_and_gradient, model, **{"num_samples": 2} | options)
    bounds, gradients = jax.vmap(estimate)(random.split(key, 4_000))
    value, gradient = exact_bound(model)
    exact = np.concatenate([np.ravel(x) for x in (value, *jax.tree.leaves(gradient))])
    found = np.column_stack([bounds.value, gradients])
    error = 4.5 * found.std(0) / 4_000**0.5 + 1e-9
    assert np.all(np.abs(found.mean(0) - exact) < error)


def test_antithetic_pairs_have_no_noise_in_odd_functions(key, x64):
    model = inexact_posterior("mean field")
    model["a"] = bjm.LaplacianParameter(model["a"].mean, model["a"].raw_stdv)

    def odd(drawn):
        distance = bjm.flatten_means(drawn) - bjm.flatten_means(model)
        return jnp.sum(distance**3) + 2.0

    options = {"prior": None, "draws": "antithetic", "kl": "analytic"}
    bound = jax.jit(partial(elbo, log_likelihood=odd, num_samples=6, **options))(
        model, key=key
    )
    np.testing.assert_allclose(bound.log_likelihood, 2.0, rtol=1e-12)
    assert bound.log_prior == 0
    np.testing.assert_allclose(bound.value, 2.0 + bjm.entropy(model), rtol=1e-12)


def test_noise_has_the_distributions_of_draws(key):
    """Normal noise becomes what `sample` draws, for every type there is."""
    model = {
        "laplace": bjm.LaplacianParameter(jnp.array([1.0]), jnp.array([0.8])),
        "normal": bjm.GaussianParameter(jnp.array([1.0]), jnp.array([0.8])),
        "point": bjm.DeterministicParameter(jnp.array([3.0])),
    }

    @jax.jit
    def draw(key):
        noise = antithetic_noise(key, 20_000, noise_size(model), np.float32)
        drawn = jax.vmap(lambda row: draw_from_noise(model, row)[0])(noise)
        return drawn, draw_from_noise(model, jnp.array([-12.0, 12.0]))[0]

    drawn, ends = draw(key)
    laplace = scipy.stats.laplace(1.0, 0.6401).cdf
    values = np.asarray(drawn["laplace"].mean[:10_000, 0], float)
    assert scipy.stats.kstest(values, laplace).statistic < 1.95 / 100
    normal = scipy.stats.norm(1.0, 0.6401).cdf
    values = np.asarray(drawn["normal"].mean[:10_000, 0], float)
    assert scipy.stats.kstest(values, normal).statistic < 1.95 / 100
    np.testing.assert_array_equal(drawn["point"].mean, 3.0)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(ends))


@pytest.mark.parametrize("name", sorted(PARAMETERS.keys() - {"empty"}))
def test_the_noise_of_a_draw_gives_its_density(name, key, x64):
    """Value and gradients are those of the density at the draw, of any kind."""

    def plain(drawn_from, density_of):
        draw = drawn_from.sample(key)
        return density_of.log_prob(draw), draw

    def noisy(parameter, path_only):
        draw, log_prob = parameter.sample_and_log_prob(key, path_only)
        return log_prob, draw

    @jax.jit
    def run(parameter):
        slopes = jax.value_and_grad(plain, (0, 1), has_aux=True)
        (value, draw), (of_path, rest) = slopes(parameter, parameter)
        expected = {True: of_path, False: jax.tree.map(jnp.add, of_path, rest)}
        slope = jax.value_and_grad(noisy, has_aux=True)
        found = {path_only: slope(parameter, path_only) for path_only in expected}
        return value, draw, expected, found

    value, draw, expected, found = run(PARAMETERS[name](key))
    for path_only, ((own_value, own_draw), gradient) in found.items():
        np.testing.assert_array_equal(own_draw, draw)
        np.testing.assert_allclose(own_value, value, rtol=1e-9, atol=1e-9)
        leaves = map(jax.tree.leaves, (gradient, expected[path_only]))
        for left, right in zip(*leaves, strict=True):
            np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9)


def zero(drawn):
    return 0 * jnp.sum(bjm.flatten_means(drawn))


@pytest.mark.parametrize("options", [{}, STL], ids=["plain", "stick the landing"])
def test_nearly_singular_covariances_in_single_precision(options, key):
    """Sobol points have a mean square of one, so their entropy is the exact one."""
    size = 82
    lower = 0.25 * np.random.default_rng(0).normal(size=size * (size - 1) // 2)
    steep = bjm.MultivariateGaussianParameter(
        np.zeros(size), np.full(size, (0.3 - 1e-4) ** 0.5), lower
    )
    values = np.linalg.svd(np.asarray(steep.cholesky, float))[1]
    assert values[-1] < 1e-7 * values[0]
    posterior = JointPosterior(bjm.make_parameter(np.zeros(size)), steep)
    options = {"draws": "sobol", "num_samples": 128, "prior": None} | options
    bound, gradient = bound_and_gradient(posterior, key, fn=zero, **options)
    exact = size * (np.log(0.3) + 0.5 * np.log(2 * np.pi * np.e))
    np.testing.assert_allclose(bound.entropy, exact, rtol=1e-5)
    # The slope of the entropy: one over the diagonal, times that of `raw**2`.
    means, diagonal, rest = np.split(gradient[2 * size :], [size, 2 * size])
    np.testing.assert_allclose(diagonal, 2 * (0.3 - 1e-4) ** 0.5 / 0.3, rtol=1e-4)
    np.testing.assert_allclose(means, 0, atol=1e-4)
    np.testing.assert_allclose(rest, 0, atol=1e-4)


def test_densities_of_narrow_parameters_far_from_zero_in_single_precision(key):
    """A draw near 1,000 is stored to 6e-5, a third of this width."""
    parameter = bjm.make_parameter(np.full(50, 1e3), stdv=2e-4)
    options = {"draws": "sobol", "num_samples": 64, "prior": None}
    bound = bound_alone(parameter, key, fn=zero, **options)
    np.testing.assert_allclose(bound.entropy, parameter.entropy(), rtol=1e-5)


@pytest.mark.parametrize("options", [{}, STL], ids=["plain", "stick the landing"])
def test_training_a_full_covariance_from_a_poor_start(options, key):
    """82 entries in single precision, by Adam, from means three sds off."""
    size, rng = 82, np.random.default_rng(0)
    root = rng.normal(size=(size, size)) / size**0.5
    covariance = 0.04 * (root @ root.T + 0.05 * np.eye(size))
    precision = jnp.asarray(np.linalg.inv(covariance), jnp.float32)
    target = jnp.asarray(0.3 * rng.normal(size=size), jnp.float32)

    def log_likelihood(drawn):
        distance = drawn.mean - target
        return -0.5 * distance @ precision @ distance

    posterior = JointPosterior.full(bjm.make_parameter(np.zeros(size)), 0.05)
    dynamic, static = bjm.freeze_params(posterior, ["model"])
    optimiser = optax.adam(optax.cosine_decay_schedule(2e-2, 600))

    def step(carry, key):
        dynamic, state = carry

        def loss(dynamic):
            fit = bjm.unfreeze_all(dynamic, static)
            settings = {"prior": None, "key": key, "num_samples": 8} | options
            return -elbo(fit, log_likelihood, **settings).value

        value, gradient = jax.value_and_grad(loss)(dynamic)
        updates, state = optimiser.update(gradient, state, dynamic)
        return (optax.apply_updates(dynamic, updates), state), -value

    @jax.jit
    def train(dynamic, key):
        carry = (dynamic, optimiser.init(dynamic))
        return jax.lax.scan(step, carry, random.split(key, 600))

    with jax.numpy_dtype_promotion("standard"):
        (dynamic, _), bounds = train(dynamic, key)
    fit = bjm.unfreeze_all(dynamic, static)
    stdv = np.sqrt(np.diag(covariance))
    log_evidence = 0.5 * np.linalg.slogdet(2 * np.pi * covariance)[1]
    assert np.all(np.isfinite(bounds))
    assert log_evidence - 3 < np.mean(bounds[-50:]) < log_evidence
    np.testing.assert_allclose((fit.mean - target) / stdv, 0, atol=0.6)
    np.testing.assert_allclose(fit.stdv / stdv, 1, atol=0.15)


def test_minibatches_average_to_the_whole(key, x64):
    model = inexact_posterior("mean field")
    whole, gradient = bound_and_gradient(model, key, num_samples=2)
    options = {"num_samples": 2, "num_data": 4, "batch_size": 1}
    parts = [
        bound_and_gradient(model, key, fn=Likelihood([i]), **options) for i in range(4)
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
    options = {"prior": PRIOR, "importance_weighted": True}
    likelihood = Likelihood()

    @partial(jax.jit, static_argnums=0)
    def bounds_of(num_samples, keys):
        call = partial(elbo, posterior, likelihood, num_samples=num_samples, **options)
        return jax.vmap(lambda key: call(key=key))(keys)

    few = jax.tree.map(np.asarray, bounds_of(4, random.split(key, 20_000)))
    # Jensen's inequality, draw by draw.
    assert np.all(few.value >= few.log_likelihood - few.kl)
    error = 4 * few.value.std() / 20_000**0.5
    assert few.value.mean() + error < LOG_EVIDENCE - 0.015
    many = np.asarray(bounds_of(2_000, random.split(key, 50)).value)
    error = 4 * many.std() / 50**0.5
    np.testing.assert_allclose(many.mean(), LOG_EVIDENCE, atol=error)
    assert error < 0.01


class Failing(eqx.Module):
    """A log likelihood that fails where the first entry is negative."""

    fault: str = eqx.field(static=True)

    def __call__(self, drawn):
        values = bjm.flatten_means(drawn)
        if self.fault == "NaN":
            return jnp.sqrt(values[0]) + jnp.sum(jnp.sin(values))
        # Minus infinity, with an infinite slope.
        return jnp.log(jnp.maximum(values[0], 0)) * jnp.sum(jnp.cos(values))


@pytest.mark.parametrize(("fault", "is_joint"), [("NaN", False), ("inf", True)])
def test_failed_draws_are_counted_and_left_out(fault, is_joint, key, x64):
    posterior = JointPosterior.full(model_of(), 0.5) if is_joint else model_of()
    variables = posterior.joint if is_joint else posterior
    fn = Failing(fault)

    @jax.jit
    def draw(key):
        keys = jax.vmap(partial(random.fold_in, key))(jnp.arange(8))
        return keys, jax.vmap(
            lambda key: bjm.flatten_means(bjm.sample_all_parameters(variables, key))
        )(keys)

    keys, draws = draw(key)
    good = np.flatnonzero(np.asarray(draws)[:, 0] > 0)
    assert 0 < len(good) < 8

    @jax.jit
    @jax.value_and_grad
    def by_hand(variables, keys, good):
        """The bound over the draws of the good keys, none of which fails."""

        def term(key):
            drawn = bjm.sample_all_parameters(variables, key)
            values = bjm.get_parameters(drawn)
            parameters = bjm.get_parameters(variables).items()
            log_q = sum(p.log_prob(values[name].mean) for name, p in parameters)
            drawn = bjm.unflatten_means(model_of(), bjm.flatten_means(drawn))
            return fn(drawn) + bjm.log_prior(drawn, PRIOR) - log_q

        return jnp.mean(jax.vmap(term)(keys[good]))

    bound, gradient = bound_and_gradient(posterior, key, fn=fn, num_samples=8)
    value, expected = by_hand(variables, keys, good)
    expected = np.concatenate([np.ravel(x) for x in jax.tree.leaves(expected)])
    assert bound.num_failed == 8 - len(good)
    np.testing.assert_allclose(bound.value, value, rtol=1e-10)
    own = gradient[-expected.size :] if is_joint else gradient
    np.testing.assert_allclose(own, expected, rtol=1e-9, atol=1e-12)
    assert np.all(np.isfinite(gradient))


def test_all_draws_may_fail(key, x64):
    lost = model_of((-9.0, 0.0, 0.0))
    bound, gradient = bound_and_gradient(lost, key, fn=Failing("NaN"), num_samples=8)
    assert bound.num_failed == 8
    assert bound.value == -np.inf
    assert np.all(np.isfinite(gradient))


def test_failed_draws_have_weight_zero_in_the_importance_weighted_bound(key, x64):
    @jax.jit
    @partial(jax.value_and_grad, has_aux=True)
    def bound_of(model):
        def log_likelihood(drawn):
            """What makes all log weights 1 that are not lost."""
            pairs = [(model[name], drawn[name].mean) for name in model]
            log_q = sum(parameter.log_prob(value) for parameter, value in pairs)
            return 1 + log_q + 0 * jnp.sqrt(drawn["a"].mean[0])

        options = {"num_samples": 8, "importance_weighted": True, "prior": None}
        bound = elbo(model, log_likelihood, key=key, **options)
        return bound.value, bound

    for model in (model_of(), model_of((-9.0, 0.0, 0.0))):
        (value, bound), gradient = bound_of(model)
        assert bound.num_failed > 0
        with np.errstate(divide="ignore"):  # where all draws fail
            expected = 1 + np.log(1 - int(bound.num_failed) / 8)
        np.testing.assert_allclose(value, expected, rtol=1e-12)
        assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


def test_a_prior_without_density_at_a_draw_is_a_failure(key):
    prior = Prior({}, default=bjm.priors.HalfNormal(1.0))

    @jax.jit
    def count(key):
        bound = elbo(model_of(), Likelihood(), prior=prior, key=key, num_samples=16)
        keys = jax.vmap(partial(random.fold_in, key))(jnp.arange(16))
        draws = jax.vmap(partial(bjm.sample_all_parameters, model_of()))(keys)
        is_outside = (draws["a"].mean < 0).any(1) | (draws["b"].mean < 0).any(1)
        return bound, jnp.sum(is_outside)

    bound, num_outside = count(key)
    assert 0 < bound.num_failed < 16
    assert bound.num_failed == num_outside
    assert jnp.isfinite(bound.value)


def test_temperature_is_reported(key, x64):
    model = inexact_posterior("mean field")
    plain, _ = bound_and_gradient(model, key, num_samples=2)
    warm = bound_alone(model, key, num_samples=2, temperature=0.3)
    assert (plain.temperature, warm.temperature) == (1.0, 0.3)
    np.testing.assert_allclose(warm.kl, plain.kl, rtol=1e-12)
    expected = plain.log_likelihood - 0.3 * plain.kl
    np.testing.assert_allclose(warm.value, expected, rtol=1e-12)


def test_precisions_batches_and_compiling_once(key, x64):
    traces = []

    def log_likelihood(drawn):
        traces.append(None)
        return -jnp.sum(bjm.flatten_means(drawn) ** 2)

    def bound_of(posterior, key, draws):
        options = {"draws": draws, "num_samples": 4, "prior": None, "key": key}
        return elbo(posterior, log_likelihood, **options)

    for dtype in (jnp.float32, jnp.float64):
        models = jax.tree.map(
            lambda *leaves, dtype=dtype: jnp.asarray(np.stack(leaves), dtype),
            model_of(),
            model_of((1.0, 2.0, 3.0)),
        )
        one = jax.tree.map(lambda leaf: leaf[1], models)
        for draws in ("independent", "antithetic", "sobol"):
            bound = jax.eval_shape(partial(bound_of, draws=draws), one, key)
            assert bound.value.dtype == bound.kl.dtype == bound.temperature.dtype
            assert bound.value.dtype == dtype
    keys = random.split(key, 2)
    compiled = jax.jit(partial(bound_of, draws="sobol"))
    alone = compiled(one, keys[1])
    batch = jax.vmap(compiled)(models, keys)
    np.testing.assert_allclose(batch.value[1], alone.value, rtol=1e-10)
    count = len(traces)
    compiled(jax.tree.map(lambda leaf: leaf[0], models), keys[0])
    assert len(traces) == count


def test_forward_mode(key, x64):
    model = inexact_posterior("mean field")
    _, gradient = bound_and_gradient(model, key, num_samples=2)
    direction = random.normal(key, gradient.shape)

    @jax.jit
    def slope(model, direction):
        leaves, treedef = jax.tree.flatten(model)
        ends = np.cumsum([leaf.size for leaf in leaves])[:-1]
        tangent = treedef.unflatten(jnp.split(direction, ends))

        def value(model):
            options = {"prior": PRIOR, "key": key, "num_samples": 2}
            return elbo(model, Likelihood(), forward_mode=True, **options).value

        return jax.jvp(value, (model,), (tangent,))[1]

    np.testing.assert_allclose(slope(model, direction), gradient @ direction)


def test_priors_of_your_own_and_leaves_that_are_no_arrays(key):
    model = [model_of(), "a label", jnp.tanh]

    @jax.jit
    def both(key):
        options = {"key": key, "num_samples": 3, "stick_the_landing": True}
        call = partial(elbo, model, Likelihood(), **options)
        own = call(prior=lambda drawn: bjm.log_prior(drawn, PRIOR))
        return call(prior=PRIOR).value, own.value

    with_prior, with_function = both(key)
    np.testing.assert_allclose(with_prior, with_function, rtol=1e-6)


def test_mistakes_are_named(key):
    model, fn = model_of(), Likelihood()
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
        "`kl='analytic'` needs": {"kl": "analytic"},
    }
    wrong["`kl='analytic'` needs"]["prior"] = lambda drawn: jnp.zeros(())

    def call(posterior=model, fn=fn, **options):
        options = {"prior": PRIOR, "key": key, "num_samples": 2} | options
        # Traced, not run: what is wrong is seen without numbers.
        return jax.eval_shape(lambda: elbo(posterior, fn, **options))

    for message, options in wrong.items():
        with pytest.raises(ValueError, match=message):
            call(**options)
    with pytest.raises(ValueError, match=r"`log_likelihood` must return .* \(3,\)"):
        call(fn=bjm.flatten_means)
    own = {"w": LogisticParameter(jnp.zeros(3), jnp.zeros(3))}
    with pytest.raises(NotImplementedError, match="LogisticParameter.*'independent'"):
        call(own, draws="antithetic")
    with pytest.raises(NotImplementedError, match="A DrawsPosterior has no `draw_an"):
        call(bjm.DrawsPosterior(model, jnp.zeros((2, 3))))
    heavy = Prior({}, default=bjm.priors.StudentT(3.0))
    for posterior in (model, JointPosterior.full(model, 0.1)):
        with pytest.raises(NotImplementedError, match="StudentT"):
            call(posterior, prior=heavy, kl="analytic")


def test_it_prints_its_numbers_and_its_structure_where_there_are_none(key):
    rate = bjm.make_parameter(0.5, stdv=0.2)
    bound = bjm.elbo(rate, lambda m: -(m.mean**2), prior=None, key=key, num_samples=4)
    assert str(bound).startswith(f"ELBO(value={bound.value:.6g}, log_likelihood=")
    assert f"entropy={bound.entropy:.6g}, kl={bound.kl:.6g}, num_failed=0)" in str(
        bound
    )
    printed = []
    jax.eval_shape(lambda bound: printed.append(str(bound)) or 0, bound)
    many = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), bound)
    assert "value=f32[]" in printed[0]
    assert "value=f32[2]" in str(many)
