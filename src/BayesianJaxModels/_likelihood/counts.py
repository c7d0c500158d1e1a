"""How counts scatter around the mean that a model predicts."""

from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray

from .._parameter import AbstractParameter
from .._special import HALF_LOG_2_PI, deviance, stirling_remainder
from .likelihood import AbstractLikelihood
from .noise import as_good_as_infinite, given_or_learnt, width_of
from .observe import COUNTS, Support, as_observe

# From here on `jax.random.poisson` would overflow its integers.
LARGEST_RATE = 1e9


class PoissonLikelihood(AbstractLikelihood):
    """Counts with the prediction as their mean and variance.

    Where the mean is 0, none is counted: 0 is certain, and draws are 0. So is a mean
    read that is below it by no more than a thousandth of a count, as solvers leave it.

    Rates from 1e9 on, which `jax.random.poisson` cannot draw, are sampled as NaN.

    Attributes:
        observe: What is observed of a prediction, as in `AbstractLikelihood`.

    Raises:
        TypeError: If `observe` is of another type.

    Example:
        ```python
        infected = jnp.array([3.0, 25.0, 75.0])  # in bed, by the model, on three days
        bjm.PoissonLikelihood().log_prob(infected, jnp.array([3, 22, 78]))  # -7.309
        ```
    """

    observe: Any = eqx.field(static=True)
    support: ClassVar[Support] = COUNTS

    def __init__(self, observe: Any = None):
        self.observe = as_observe(observe)

    @property
    def noise(self):
        return {}

    def log_density(self, prediction, observation, noise):
        mean = _not_below_zero(prediction)

        def of_some(count, mean):
            unlikely = deviance(count, mean, count - mean)
            return _log_of_own_mean(count) - unlikely

        return _by_count(observation, mean, mean, of_some)

    def draw(self, key, prediction, noise):
        return _draw_counts(key, _not_below_zero(prediction))


class NegativeBinomialLikelihood(AbstractLikelihood):
    """Counts with the prediction as mean and variance `mean + mean**2 / dispersion`.

    This is `neg_binomial_2` of Stan, a Poisson distribution whose rate has a gamma
    distribution; an infinite `dispersion` leaves the Poisson distribution. Rates are
    sampled, and means near 0 read, as in `PoissonLikelihood`.

    Attributes:
        dispersion: Above 0, in counts: a number, or an array that broadcasts to the
            observation.
        observe: What is observed of a prediction, as in `AbstractLikelihood`.
        log_dispersion: In the place of `dispersion`: a parameter that holds its
            logarithm.

    Raises:
        TypeError: If `observe` or `log_dispersion` is of another type.
        ValueError: If `dispersion` is not positive, or both it and `log_dispersion` are
            given, or neither.

    Example:
        ```python
        likelihood = bjm.NegativeBinomialLikelihood(10.0)
        infected = jnp.array([3.0, 25.0, 75.0])  # in bed, by the model, on three days
        likelihood.log_prob(infected, jnp.array([3, 22, 78]))  # -8.94
        ```
    """

    dispersion: Float[Array, "..."] | None
    log_dispersion: AbstractParameter | None
    observe: Any = eqx.field(static=True)
    support: ClassVar[Support] = COUNTS

    def __init__(
        self,
        dispersion: Any = None,
        observe: Any = None,
        *,
        log_dispersion: Any = None,
    ):
        self.dispersion, self.log_dispersion = given_or_learnt(
            "dispersion", dispersion, log_dispersion, may_be_infinite=True
        )
        self.observe = as_observe(observe)

    @property
    def noise(self):
        dispersion = width_of(self.dispersion, self.log_dispersion)
        return {"dispersion": as_good_as_infinite(dispersion)}

    def log_density(self, prediction, observation, noise):
        mean, dispersion = _not_below_zero(prediction), noise["dispersion"]

        # A binomial density, up to a factor: section 6 of Loader (2000), "Fast and
        # accurate computation of binomial probabilities".
        def of_some(count, mean):
            total, total_mean = count + dispersion, mean + dispersion
            ratio = total / total_mean
            difference = (count - mean) * (dispersion / total_mean)
            unlikely = deviance(count, mean * ratio, difference)
            unlikely += deviance(dispersion, dispersion * ratio, -difference)
            remainders = stirling_remainder(total) - stirling_remainder(dispersion)
            odds = (jnp.log(dispersion) - jnp.log(total)) / 2
            return _log_of_own_mean(count) + odds + remainders - unlikely

        cost_of_none = dispersion * _log_of_sum_over(dispersion, mean)
        return _by_count(observation, mean, cost_of_none, of_some)

    def draw(self, key, prediction, noise):
        dispersion = noise["dispersion"]
        key_of_rate, key_of_count = jax.random.split(key)
        shape, dtype = prediction.shape, prediction.dtype
        ratio = jax.random.gamma(key_of_rate, dispersion, shape, dtype) / dispersion
        return _draw_counts(key_of_count, _not_below_zero(prediction) * ratio)


def _draw_counts(key: PRNGKeyArray, rate: Array) -> Array:
    can_be_drawn = rate < LARGEST_RATE
    rate = jnp.where(can_be_drawn, rate, 1)
    counts = jax.random.poisson(key, rate, rate.shape).astype(rate.dtype)
    return jnp.where(can_be_drawn, counts, jnp.nan)


def _not_below_zero(mean: Array) -> Array:
    """The mean, or 0 with the slope of what comes above it."""
    return mean + lax.stop_gradient(jnp.maximum(mean, 0) - mean)


def _by_count(
    count: Array, mean: Array, cost_of_none: Array, of_some: Callable
) -> Array:
    """The log density where none is counted, and where some are."""
    is_none, is_possible = count == 0, mean > 0
    count = jnp.where(is_none, 1, count)
    some = of_some(count, jnp.where(~is_none & is_possible, mean, 1))
    some = jnp.where(is_possible, some, -jnp.inf)
    return jnp.where(is_none, 0 - cost_of_none, some)


def _log_of_own_mean(count: Array) -> Array:
    """The log Poisson density of a count, above 0, where it is the mean."""
    return -jnp.log(count) / 2 - HALF_LOG_2_PI - stirling_remainder(count)


def _log_of_sum_over(a: Array, b: Array) -> Array:
    """`log((a + b) / a)` for a positive `a`, where their ratio may overflow."""
    is_near = b <= a
    larger, smaller = jnp.where(is_near, a, b), jnp.where(is_near, b, a)
    far = jnp.where(is_near, 0, jnp.log(larger) - jnp.log(a))
    return jnp.log1p(smaller / larger) + far
