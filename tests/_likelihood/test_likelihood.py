"""Likelihoods against SciPy, by their draws, with gaps and failures, by errors."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax import random

import BayesianJaxModels as bjm

# Every number is one of float32, so that double precision sees the same.
MEAN = np.array([[0.5, 2.0], [7.25, 30.0], [400.0, 0.125]])
VALUES = np.array([[0.75, 1.5], [9.0, 22.0], [350.0, 0.25]])
COUNTS = np.array([[0.0, 3.0], [9.0, 22.0], [350.0, 1.0]])
SCALE = np.array([0.5, 2.0])  # one for each observed quantity


def negative_binomial(mean, dispersion):
    return scipy.stats.nbinom(dispersion, dispersion / (dispersion + mean))


CASES = {
    "normal": (
        lambda observe=None: bjm.likelihoods.NormalLikelihood(SCALE, observe),
        lambda mean: scipy.stats.norm(mean, SCALE),
        VALUES,
    ),
    "Student t": (
        lambda observe=None: bjm.likelihoods.StudentTLikelihood(4.0, SCALE, observe),
        lambda mean: scipy.stats.t(4.0, mean, SCALE),
        VALUES,
    ),
    "log-normal": (
        lambda observe=None: bjm.likelihoods.LogNormalLikelihood(SCALE, observe),
        lambda mean: scipy.stats.lognorm(SCALE, scale=mean),
        VALUES,
    ),
    "Poisson": (bjm.likelihoods.PoissonLikelihood, scipy.stats.poisson, COUNTS),
    "negative binomial": (
        lambda observe=None: bjm.likelihoods.NegativeBinomialLikelihood(SCALE, observe),
        lambda mean: negative_binomial(mean, SCALE),
        COUNTS,
    ),
}
every_likelihood = pytest.mark.parametrize("name", CASES)


@every_likelihood
def test_density_is_that_of_scipy(name, x64):
    make, distribution, observation = CASES[name]
    expected = distribution(MEAN)
    is_count = observation is COUNTS
    expected = (expected.logpmf if is_count else expected.logpdf)(observation)
    likelihood, prediction = make(), jnp.asarray(MEAN)
    log_prob_each = jax.jit(lambda p: likelihood.log_prob_each(p, observation))
    np.testing.assert_allclose(log_prob_each(prediction), expected, rtol=1e-11)
    total = likelihood.log_prob(prediction, observation)
    np.testing.assert_allclose(total, expected.sum(), rtol=1e-11)
    single = log_prob_each(prediction.astype(jnp.float32))
    assert single.dtype == jnp.float32
    # Terms of 2,000, as `gammaln(350)`, cancel.
    rounding = 2_000 * jnp.finfo(jnp.float32).eps if is_count else 0
    np.testing.assert_allclose(single, expected, rtol=2e-6, atol=rounding)


@every_likelihood
def test_draws(name, key):
    make, distribution, _ = CASES[name]
    prediction = jnp.array([7.25, 2.0])
    draws = jax.vmap(make().sample, in_axes=(0, None))(
        random.split(key, 10_000), prediction
    )
    assert draws.dtype == prediction.dtype
    expected = distribution(np.asarray(prediction))
    for column, values in enumerate(np.asarray(draws, float).T):
        # Of whole numbers the statistic is smaller than of real ones.
        grid = np.sort(values)
        steps = expected.cdf(np.broadcast_to(grid[:, None], draws.shape))[:, column]
        above = np.searchsorted(grid, grid, side="right") / len(grid)
        assert np.max(np.abs(above - steps)) < 1.95 / 10_000**0.5


@every_likelihood
def test_masks_and_failures(name):
    """What is masked counts nothing; a failing prediction has finite gradients."""
    make, _, observation = CASES[name]
    prediction = jnp.asarray(MEAN, jnp.float32)
    mask = np.array([[True, False], [False, True], [True, True]])
    gaps = np.array([1.0, np.nan, -np.inf, -0.5])[:, None, None]
    failures = [np.nan, np.inf, -np.inf]
    failures += [] if name in ("normal", "Student t") else [0.0, -1.0]
    failing = jnp.stack([prediction.at[1, 0].set(failure) for failure in failures])

    def log_prob(*args):
        return make().log_prob(*args)

    @eqx.filter_jit
    @jax.vmap
    def run(*args):
        return log_prob(*args), jax.grad(log_prob)(*args), jax.jacfwd(log_prob)(*args)

    masks = np.array([mask] * len(gaps) + [np.ones_like(mask)] * len(failures))
    predictions = jnp.concatenate([jnp.where(mask, prediction, gaps), failing])
    observations = np.where(masks, observation, np.resize(gaps, (len(masks), 1, 1)))
    values, *slopes = run(predictions, observations, masks)
    each = make().log_prob_each(prediction, observation)
    np.testing.assert_allclose(values[: len(gaps)], each[mask].sum(), rtol=1e-6)
    assert np.all(values[len(gaps) :] == -np.inf)
    for slope in slopes:
        of_masked, of_failing = np.split(slope, [len(gaps)])
        assert np.all(of_masked[:, ~mask] == 0)
        assert np.all(of_masked[:, mask] != 0)
        np.testing.assert_array_equal(of_masked[1:], of_masked[:-1])
        assert np.all(of_failing[:, 1, 0] == 0)
        assert np.all(of_failing[:, 0] != 0)
        assert np.all(np.isfinite(of_failing))
    np.testing.assert_allclose(slopes[0], slopes[1], rtol=1e-5, atol=1e-6)
    of_failing = make().log_prob_each(failing[0], observation)
    np.testing.assert_array_equal(of_failing[0], each[0])
    draw = make().sample(random.key(0), failing[0])
    np.testing.assert_array_equal(np.isnan(draw), np.isnan(failing[0]))
    first_row = make().log_prob(prediction, observation, np.arange(3) == 0)
    np.testing.assert_allclose(first_row, each[0].sum(), rtol=1e-6)


def test_partial_observation():
    states = jnp.asarray(MEAN, jnp.float32)
    whole = bjm.likelihoods.NormalLikelihood(0.5).log_prob_each(states, VALUES)
    of_one = bjm.likelihoods.NormalLikelihood(0.5, observe=1).log_prob_each(
        states, VALUES[:, 1]
    )
    np.testing.assert_array_equal(of_one, whole[:, 1])
    swapped = bjm.likelihoods.NormalLikelihood(0.5, observe=(-1, 0))
    found = swapped.log_prob_each(states, VALUES[:, ::-1])
    np.testing.assert_array_equal(found, whole[:, ::-1])
    assert swapped.sample(random.key(0), states).shape == (3, 2)
    of_part = bjm.likelihoods.NormalLikelihood(
        0.5, observe=lambda state: state["x"][:, 0]
    )
    found = of_part.log_prob({"x": states, "v": None}, VALUES[:, 0])
    np.testing.assert_allclose(found, whole[:, 0].sum(), rtol=1e-6)


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
    prediction = jnp.asarray(MEAN)
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


def test_mistakes_are_named():
    prediction = jnp.asarray(MEAN, jnp.float32)
    normal = bjm.likelihoods.NormalLikelihood(0.5)
    for likelihood, value, words in [
        (normal, np.nan, "finite"),
        (normal, np.inf, "finite"),
        (bjm.likelihoods.LogNormalLikelihood(0.5), 0.0, "finite and positive"),
        (bjm.likelihoods.PoissonLikelihood(), -1.0, "a whole number, 0 or more"),
        (
            bjm.likelihoods.NegativeBinomialLikelihood(2.0),
            2.5,
            "a whole number, 0 or more",
        ),
    ]:
        bad = np.where(MEAN == 30, value, COUNTS + 1)
        message = f"`observation` must be {words} wherever it counts"
        with pytest.raises(ValueError, match=message):
            likelihood.log_prob(prediction, bad)
        with pytest.raises(ValueError, match=message):  # known while tracing
            jax.jit(lambda p, lk=likelihood, y=bad: lk.log_prob(p, y))(prediction)
    with pytest.raises(ValueError, match=r"\(3,\), but .* has \(3, 2\)\. Nothing is"):
        normal.log_prob(prediction, VALUES[:, 0])
    for mask in (np.ones(2, bool), np.ones((3, 1), bool), np.ones((3, 2))):
        with pytest.raises(ValueError, match=r"`mask` has shape .* leading axes"):
            normal.log_prob(prediction, VALUES, mask)
    with pytest.raises(ValueError, match=r"`scale` has shape \(3,\), .* to \(3, 2\)"):
        bjm.likelihoods.NormalLikelihood(np.ones(3)).log_prob(prediction, VALUES)
    for scale in (0.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="`scale` must be positive, but got"):
            bjm.likelihoods.NormalLikelihood(scale)
    with pytest.raises(ValueError, match="`df` must be positive"):
        bjm.likelihoods.StudentTLikelihood(0.0, 1.0)
    for widths in ({}, {"scale": 1.0, "log_scale": bjm.make_parameter(0.0)}):
        with pytest.raises(ValueError, match="Give `scale` as a number or `log_scale`"):
            bjm.likelihoods.NormalLikelihood(**widths)
    with pytest.raises(TypeError, match="`log_dispersion` must be a parameter"):
        bjm.likelihoods.NegativeBinomialLikelihood(log_dispersion=0.0)
    with pytest.raises(ValueError, match=r"`observe` is 2, .* 2 entries"):
        bjm.likelihoods.NormalLikelihood(0.5, observe=2).log_prob(
            prediction, VALUES[:, 0]
        )
    for observe in ("x", 1.0, True, (), [0]):
        with pytest.raises(TypeError, match="`observe` must be an index"):
            bjm.likelihoods.PoissonLikelihood(observe)
    with pytest.raises(TypeError, match="`observe` holds arrays"):
        bjm.likelihoods.PoissonLikelihood(eqx.nn.Linear(2, 2, key=random.key(0)))
