"""Noise that a draw or a gap in the data made impossible, and what is told of it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax import random

import BayesianJaxModels as bjm

MEAN, VALUES = np.array([0.5, 2.0, 7.25]), np.array([1.0, 2.0, 9.0])
# What one positive number makes of each likelihood, and whether it may be infinite.
KINDS = {
    "normal": (bjm.likelihoods.NormalLikelihood, False),
    "t of a scale": (
        lambda scale: bjm.likelihoods.StudentTLikelihood(4.0, scale),
        False,
    ),
    "t of a df": (lambda df: bjm.likelihoods.StudentTLikelihood(df, 0.5), True),
    "log-normal": (bjm.likelihoods.LogNormalLikelihood, False),
    "negative binomial": (bjm.likelihoods.NegativeBinomialLikelihood, True),
    "censored": (
        lambda scale: bjm.likelihoods.Censored(
            bjm.likelihoods.NormalLikelihood(scale), 1.0
        ),
        False,
    ),
    "interval": (
        lambda width: bjm.likelihoods.IntervalCensored(
            bjm.likelihoods.NormalLikelihood(1.0), width
        ),
        False,
    ),
    "multivariate": (
        lambda scale: bjm.likelihoods.MultivariateNormalLikelihood(scale, np.eye(3)),
        False,
    ),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [(kind, np.float32) for kind in KINDS]
    + [("t of a df", np.float64), ("interval", np.float64)],
)
def test_a_draw_with_impossible_noise(kind, dtype, x64):
    """It alone has the density minus infinity, with gradients of zero."""
    make, may_be_infinite = KINDS[kind]

    @jax.jit
    @jax.vmap
    def run(noise, prediction):
        def log_prob(noise, prediction):
            return make(noise).log_prob(prediction, VALUES)

        args = (noise, prediction)
        sample = make(noise).sample(random.key(0), prediction)
        slopes = [of(log_prob, (0, 1))(*args) for of in (jax.grad, jax.jacfwd)]
        return log_prob(*args), slopes, sample

    bad = [-0.2, 0.0, np.nan, *([] if may_be_infinite else [np.inf])]
    # One number, and one for each entry of which the second is bad.
    noise = np.array([[0.7] * 3, [0.7] * 3, *[[0.7, x, 0.7] for x in bad]], dtype)
    prediction = jnp.asarray(np.tile(MEAN, (len(noise), 1)), dtype)
    values, slopes, draws = run(jnp.asarray(noise), prediction)
    assert values.dtype == dtype
    assert np.all(np.isfinite(values[:2]))
    assert np.all(values[2:] == -np.inf)
    for of_noise, of_prediction in slopes:
        assert np.all(np.isfinite(of_noise))
        assert np.all(np.isfinite(of_prediction))
        assert np.all(of_noise[2:, 1] == 0)
        assert np.all(of_prediction[2:, 1] == 0)
        assert np.all(of_noise[:2, 1] != 0)
    fails = (np.arange(len(noise))[:, None] > 1) & (np.arange(3) == 1)
    np.testing.assert_array_equal(np.isnan(draws), fails)
    one_number = jax.jit(lambda s: make(s).log_prob(prediction[0], VALUES))
    assert one_number(jnp.array(-0.2, dtype)) == -np.inf
    np.testing.assert_allclose(one_number(jnp.array(0.7, dtype)), values[0], rtol=1e-5)


def test_observations_that_only_a_compiled_function_knows():
    """Impossible ones have the density minus infinity; known ones are refused."""

    @jax.jit
    @jax.vmap
    def run(observation, mask):
        def log_prob(prediction):
            return bjm.likelihoods.LogNormalLikelihood(0.5).log_prob(
                prediction, observation, mask
            )

        return jax.value_and_grad(log_prob)(jnp.asarray(MEAN, jnp.float32))

    observations = jnp.tile(jnp.float32(VALUES), (4, 1))
    observations = observations.at[1:, 1].set(jnp.array([0.0, np.nan, np.nan]))
    masks = jnp.array([[True] * 3] * 3 + [[True, False, True]])
    values, slopes = run(observations, masks)
    assert "callback" not in str(jax.make_jaxpr(run)(observations, masks))
    np.testing.assert_array_equal(np.isfinite(values), [True, False, False, True])
    assert np.all(values[1:3] == -np.inf)
    assert np.all(np.isfinite(slopes))
    assert np.all(slopes[1:, 1] == 0)


@every_kind
def test_noise_of_what_was_not_measured(kind):
    """A gap may have any noise but a negative one; where it counts, it is refused."""
    make, may_be_infinite = KINDS[kind]
    prediction = jnp.asarray(MEAN, jnp.float32)
    mask = np.array([True, False, True])
    expected = make(np.array([0.7, 1.0, 0.7])).log_prob(prediction, VALUES, mask)
    for gap in (np.nan, 0.0, np.inf):
        likelihood = make(np.array([0.7, gap, 0.7]))
        found = likelihood.log_prob(prediction, VALUES, mask)
        np.testing.assert_allclose(found, expected, rtol=1e-6)
        slope = jax.grad(likelihood.log_prob)(prediction, VALUES, mask)
        assert np.all(np.isfinite(slope))
        if not (gap == np.inf and may_be_infinite):
            message = rf"must be positive and finite .* but is {gap} at \(1,\)\. Leave"
            with pytest.raises(ValueError, match=message):
                likelihood.log_prob(prediction, VALUES)
            with pytest.raises(ValueError, match=message):  # known while tracing
                jax.jit(lambda p, lk=likelihood: lk.log_prob(p, VALUES))(prediction)
            # Which entries count is known to the compiled function alone.
            traced = eqx.filter_jit(likelihood.log_prob)
            assert traced(prediction, VALUES, jnp.ones(3, bool)) == -np.inf
            np.testing.assert_allclose(
                traced(prediction, VALUES, jnp.asarray(mask)), expected, rtol=1e-6
            )
    for bad in (np.array([0.7, -1.0, 0.7]), np.full(3, np.nan), np.zeros(3)):
        with pytest.raises(ValueError, match="` must be positive, but got"):
            make(bad)


def test_a_covariance_is_no_scale():
    with pytest.raises(ValueError, match=r"but got .*\n.*from_covariance"):
        bjm.likelihoods.NormalLikelihood(np.array([[0.04, -0.01], [-0.01, 0.09]]))
    with pytest.warns(
        UserWarning, match=r"`scale` has shape \(2, 2\) and is sym.*from_"
    ):
        taken = bjm.likelihoods.NormalLikelihood(np.array([[0.4, 0.1], [0.1, 0.9]]))
    np.testing.assert_allclose(taken.noise["scale"], [[0.4, 0.1], [0.1, 0.9]])
    # Neither is one of these: no warning.
    for scale in ([[0.1, 0.2], [0.2, 0.1]], [[0.4, 0.1], [0.2, 0.9]], [[0.3]]):
        bjm.likelihoods.NormalLikelihood(np.array(scale))
    with pytest.warns(UserWarning, match="is symmetric and positive definite"):
        diagonal = bjm.likelihoods.NormalLikelihood(np.diag([0.04, 0.09]))
    with pytest.raises(ValueError, match="`scale` must be positive .* is 0.0 at"):
        diagonal.log_prob(jnp.zeros((2, 2)), np.zeros((2, 2)))


def test_infinite_degrees_of_freedom_are_normal():
    z = jnp.array([0.0, -1.5, 4.0, 30.0])
    expected = scipy.stats.norm.logpdf(np.asarray(z, float))
    for df in (np.inf, 1e12):
        found = bjm.likelihoods.StudentTLikelihood(df, 1.0).log_prob_each(
            jnp.zeros(4), z
        )
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    exact = scipy.stats.t(1e5).logpdf(np.asarray(z, float))
    found = bjm.likelihoods.StudentTLikelihood(1e5, 1.0).log_prob_each(jnp.zeros(4), z)
    np.testing.assert_allclose(found, exact, rtol=1e-6)
    drawn = bjm.likelihoods.StudentTLikelihood(np.inf, 1.0).sample(
        random.key(0), jnp.zeros(9)
    )
    assert np.all(np.isfinite(drawn))


class Decay(bjm.Module):
    rate: bjm.AbstractParameter
    noise: bjm.AbstractParameter


def test_engines_go_on_past_a_negative_noise(x64):
    """Those draws are failed ones, and the rest gives the posterior of a grid."""
    ts = np.arange(9) / 2
    data = np.array([1.02, 0.77, 0.63, 0.45, 0.38, 0.27, 0.24, 0.16, 0.15])
    prior = bjm.Prior(default=bjm.priors.HalfNormal(0.5))

    def log_density(drawn):
        noise = bjm.likelihoods.NormalLikelihood(drawn.noise.mean)
        fit = noise.log_prob(jnp.exp(-drawn.rate.mean * ts), data)
        return fit + bjm.log_prior(drawn, prior)

    rate, noise = np.meshgrid(
        np.linspace(0.45, 0.75, 121), np.linspace(0.008, 0.2, 241), indexing="ij"
    )
    curves = np.exp(-rate[..., None] * ts)
    fit = scipy.stats.norm(curves, noise[..., None]).logpdf(data).sum(-1)
    log_target = fit - (rate**2 + noise**2) / (2 * 0.5**2)
    weights = np.exp(log_target - log_target.max())
    weights /= weights.sum()
    means = np.array([np.sum(weights * rate), np.sum(weights * noise)])

    model = Decay(*[bjm.make_parameter(v, init_raw_stdv=0.6) for v in (0.5, 0.2)])
    mode = bjm.map_estimate(log_density, model, key=random.key(0), num_starts=8)
    best = np.unravel_index(log_target.argmax(), log_target.shape)
    found = bjm.flatten_means(mode.model)
    np.testing.assert_allclose(found, [rate[best], noise[best]], atol=0.003)
    posterior = bjm.importance(log_density, mode.model, key=random.key(1))
    draws = posterior.draws
    shares = jax.nn.softmax(posterior.log_weights)
    np.testing.assert_allclose(shares @ draws, means, atol=0.002)
    assert posterior.diagnostics.num_failed > 0
    assert np.all(draws[shares > 0, 1] > 0)
