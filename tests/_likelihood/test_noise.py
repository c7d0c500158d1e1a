"""Noise that a draw or a gap in the data made impossible, and what is told of it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats
from jax import random

import BayesianJaxModels as bjm

from .cases import COUNTS, KINDS, MEAN as STATES, every_kind

MEAN, VALUES = np.array([0.5, 2.0, 7.25]), np.array([1.0, 2.0, 9.0])


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


@pytest.mark.parametrize(
    ("kind", "width"),
    [
        (bjm.likelihoods.NormalLikelihood, "scale"),
        (lambda **kwargs: bjm.likelihoods.StudentTLikelihood(4.0, **kwargs), "scale"),
        (bjm.likelihoods.LogNormalLikelihood, "scale"),
        (bjm.likelihoods.NegativeBinomialLikelihood, "dispersion"),
    ],
)
def test_learnt_widths(kind, width, x64):
    """As a part of the model, and from a drawn one: the same value and gradient."""
    prediction = jnp.asarray(STATES)
    log_width = bjm.make_parameter([0.25, -0.5])
    model = {"noise": kind(**{"log_" + width: log_width})}
    assert list(bjm.get_parameters(model)) == [f"['noise'].log_{width}"]

    @jax.jit
    @jax.value_and_grad
    def inside(model):
        return model["noise"].log_prob(prediction, COUNTS + 1)

    @jax.jit
    @jax.vmap
    def outside(log_width):
        def log_prob(log_width):
            likelihood = kind(**{width: jnp.exp(log_width)})
            return likelihood.log_prob(prediction, COUNTS + 1)

        return log_prob(log_width), jax.jacfwd(log_prob)(log_width)

    drawn = bjm.sample_all_parameters(model, random.key(0))
    value, gradient = inside(drawn)
    [drawn_log_width] = bjm.get_parameters(drawn).values()
    assert not np.allclose(drawn_log_width.mean, log_width.mean, atol=1e-7)
    expected, slopes = outside(drawn_log_width.mean[None])
    np.testing.assert_allclose(value, expected[0], rtol=1e-11)
    np.testing.assert_allclose(bjm.flatten_means(gradient), slopes[0], rtol=1e-11)
    # A width that underflows is impossible, not an error.
    far = bjm.unflatten_means(model, jnp.array([0.25, -1_000.0]))
    value, gradient = inside(far)
    assert value == -np.inf
    assert np.all(np.isfinite(bjm.flatten_means(gradient)))


def test_widths_that_are_none_are_named():
    for scale in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="`scale` must be positive, but got"):
            bjm.likelihoods.NormalLikelihood(scale)


def test_a_width_has_one_of_two_forms():
    for widths in ({}, {"scale": 1.0, "log_scale": bjm.make_parameter(0.0)}):
        with pytest.raises(ValueError, match="Give `scale` as a number or `log_scale`"):
            bjm.likelihoods.NormalLikelihood(**widths)
    with pytest.raises(TypeError, match="`log_dispersion` must be a parameter"):
        bjm.likelihoods.NegativeBinomialLikelihood(log_dispersion=0.0)


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
