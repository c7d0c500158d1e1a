"""What every parameter does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random
from jax.scipy import stats
from jaxtyping import Array

from BayesianJaxModels import (
    AbstractParameter,
    DeterministicParameter,
    GaussianParameter,
    LaplacianParameter,
    MultivariateGaussianParameter,
)
from BayesianJaxModels._parameter import MIN_WIDTH, raw_width
from BayesianJaxModels._parameter.base import positive

MEAN = jnp.array([0.3, -1.0])
VALUE = jnp.array([0.5, 0.4])
RAW = jnp.array([0.5, 0.7])


@pytest.mark.parametrize(
    "parameter",
    [
        GaussianParameter(MEAN, RAW),
        LaplacianParameter(MEAN, RAW),
        MultivariateGaussianParameter(MEAN, RAW, jnp.zeros(1)),
        DeterministicParameter(MEAN),
    ],
    ids=lambda parameter: type(parameter).__name__,
)
def test_log_prob_broadcasts_nothing(parameter):
    with pytest.raises(ValueError, match=r"`value` has shape \(\), but \(2,\) was"):
        parameter.log_prob(0.5)


def test_widths_and_their_unconstrained_ones_are_inverse(x64):
    mean, stdv = jnp.zeros(4), np.array([1.1e-4, 0.5, 3.0, 1e8])
    raw = raw_width("stdv", stdv, mean)
    np.testing.assert_allclose(positive(raw), stdv, rtol=1e-13)
    assert positive(jnp.zeros(())) == MIN_WIDTH
    raw = raw_width("stdv", 2.0, jnp.zeros((2, 3), jnp.float32), unit=4.0)
    assert raw.shape == (2, 3)
    assert raw.dtype == jnp.float32
    np.testing.assert_allclose(positive(raw), 0.5, rtol=1e-6)


def test_widths_that_are_too_small_are_told_what_to_do():
    for stdv in (1e-4, 0.0, -1.0, np.nan, np.inf, np.array([0.5, 1e-5])):
        message = r"`sd` must be above 0.0001, the least .* but got .* in another unit"
        with pytest.raises(ValueError, match=message):
            raw_width("sd", stdv, MEAN)
    with pytest.raises(ValueError, match="above 0.0002, .* Widen it"):
        raw_width("sd", 2e-4, MEAN, unit=2.0, remedy="Widen it.")
    with pytest.raises(ValueError, match=r"`sd` has shape \(3,\), but .* shape \(2,\)"):
        raw_width("sd", np.ones(3), MEAN)
    with pytest.raises(TypeError, match="`sd` must be a real number"):
        raw_width("sd", None, MEAN)
    traced = jax.jit(lambda sd: raw_width("sd", sd, MEAN))(jnp.array([0.5, -1.0]))
    np.testing.assert_array_equal(np.isnan(traced), [False, True])


class Plain(AbstractParameter):
    """What every type must have, and no more."""

    mean: Array
    width: Array

    @classmethod
    def from_value(cls, value, init_raw_stdv):
        return cls(value, init_raw_stdv)

    @property
    def stdv(self):
        return self.width

    def sample(self, rng):
        return self.mean + self.width * random.normal(rng, self.shape)

    def log_prob(self, value):
        return jnp.sum(stats.norm.logpdf(value, self.mean, self.width))

    def entropy(self):
        return jnp.sum(jnp.log(self.width) + 0.5 * jnp.log(2 * jnp.pi * jnp.e))


class GaussianLikeParameter(Plain):
    pass


class Gaussian(Plain):
    pass


def test_a_type_of_your_own_is_told_what_it_lacks(key):
    plain = Plain(MEAN, jnp.ones(2))
    for lacking, message in [
        (lambda: plain.with_stdv(1.0), "A Plain has no `with_stdv`.* Set its widths"),
        (lambda: plain.noise_size, "no `noise_size`.*Use `draws='independent'`"),
        (lambda: plain.displaced(MEAN), "no `displaced`.*Use `draws='independent'`"),
        (lambda: plain.root, "covariance of a Plain is not known.*`jnp.cov`"),
        (lambda: plain.kl_to_laplace(MEAN, RAW), "Plain from a Laplace distribution"),
        (lambda: plain.kl_from(plain), "divergence of a Plain from a Plain has no"),
    ]:
        with pytest.raises(NotImplementedError, match=message):
            lacking()
    assert not plain.is_known
    assert plain.shape == (2,)


def test_groups_are_names_as_words_and_never_those_of_others():
    assert Plain(MEAN, RAW).group == "plain"
    assert GaussianLikeParameter(MEAN, RAW).group == "gaussian_like"
    assert Gaussian(MEAN, RAW).group == f"{__name__}.Gaussian"


def test_the_divergence_from_normals_is_the_closed_form(x64):
    plain = Plain(jnp.array([0.3, -1.0]), jnp.array([0.5, 2.0]))
    mean, stdv = jnp.array([0.0, -1.0]), jnp.array([1.0, 0.25])
    ratio, apart = plain.width / stdv, (plain.mean - mean) / stdv
    expected = np.sum((ratio**2 + apart**2 - 1) / 2 - np.log(ratio))
    np.testing.assert_allclose(plain.kl_to_normal(mean, stdv), expected, rtol=1e-13)
    np.testing.assert_allclose(
        plain.kl_to_normal(plain.mean, plain.stdv), 0, atol=1e-15
    )


def test_a_density_along_the_path_has_slopes_by_the_draw_alone(key, x64):
    plain = Plain(jnp.array([0.3, -1.0]), jnp.array([0.5, 2.0]))
    draw, log_prob = plain.sample_and_log_prob(key)
    np.testing.assert_array_equal(draw, plain.sample(key))
    np.testing.assert_allclose(log_prob, plain.log_prob(draw), rtol=1e-14)
    slope = jax.grad(lambda p: p.sample_and_log_prob(key, path_only=True)[1])(plain)
    z = (draw - plain.mean) / plain.width
    np.testing.assert_allclose(slope.mean, -z / plain.width, rtol=1e-12)
    np.testing.assert_allclose(slope.width, -(z**2) / plain.width, rtol=1e-12)
    whole = jax.grad(lambda p: p.sample_and_log_prob(key)[1])(plain)
    np.testing.assert_allclose(whole.mean, 0, atol=1e-14)
    np.testing.assert_allclose(whole.width, -1 / plain.width, rtol=1e-12)
