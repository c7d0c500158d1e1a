"""How counts scatter around the mean that a model predicts."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy import stats
from jax.scipy.special import gammaln
from jaxtyping import Array, Float, PRNGKeyArray

from .._parameter import AbstractParameter
from .check import given_or_learnt, width_of
from .likelihood import AbstractLikelihood
from .observe import COUNTS, Support, as_observe

# From here on `jax.random.poisson` would overflow its integers.
LARGEST_RATE = 1e9
# Where Stirling's series with five terms has an error below 1e-13.
STIRLING_FROM = 10


class PoissonLikelihood(AbstractLikelihood):
    """Counts with the prediction as their mean and variance.

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
        return stats.poisson.logpmf(observation, prediction)

    def draw(self, key, prediction, noise):
        return _draw_counts(key, prediction)


class NegativeBinomialLikelihood(AbstractLikelihood):
    """Counts with the prediction as mean and variance `mean + mean**2 / dispersion`.

    This is `neg_binomial_2` of Stan, a Poisson distribution whose rate has a gamma
    distribution; a large `dispersion` leaves the Poisson distribution. Rates are
    sampled as in `PoissonLikelihood`.

    Attributes:
        dispersion: Above 0, in counts: a number, or an array that broadcasts to the
            observation.
        observe: What is observed of a prediction, as in `AbstractLikelihood`.
        log_dispersion: In the place of `dispersion`: a parameter that holds its
            logarithm.

    Raises:
        TypeError: If `observe` or `log_dispersion` is of another type.
        ValueError: If `dispersion` is not positive and finite, or both it and
            `log_dispersion` are given, or neither.

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
            "dispersion", dispersion, log_dispersion
        )
        self.observe = as_observe(observe)

    @property
    def noise(self):
        return {"dispersion": width_of(self.dispersion, self.log_dispersion)}

    def log_density(self, prediction, observation, noise):
        dispersion = noise["dispersion"]
        # The powers of the dispersion in the gamma functions and in the probabilities
        # cancel by hand. What is left becomes the Poisson density as it grows.
        total = observation + dispersion
        return (
            observation * jnp.log(prediction)
            - observation
            - gammaln(observation + 1)
            + (total - 0.5) * jnp.log1p(observation / dispersion)
            - total * jnp.log1p(prediction / dispersion)
            + _stirling_remainder(total)
            - _stirling_remainder(dispersion)
        )

    def draw(self, key, prediction, noise):
        dispersion = noise["dispersion"]
        key_of_rate, key_of_count = jax.random.split(key)
        shape, dtype = prediction.shape, prediction.dtype
        ratio = jax.random.gamma(key_of_rate, dispersion, shape, dtype) / dispersion
        return _draw_counts(key_of_count, prediction * ratio)


def _draw_counts(key: PRNGKeyArray, rate: Array) -> Array:
    can_be_drawn = rate < LARGEST_RATE
    rate = jnp.where(can_be_drawn, rate, 1)
    counts = jax.random.poisson(key, rate, rate.shape).astype(rate.dtype)
    return jnp.where(can_be_drawn, counts, jnp.nan)


def _stirling_remainder(x: Array) -> Array:
    """`gammaln(x) - ((x - 1/2) log(x) - x + log(2 pi) / 2)`, for large `x` by series.

    The series is 5.11.1 of the NIST Digital Library of Mathematical Functions.
    """
    is_small = x < STIRLING_FROM
    small = jnp.where(is_small, x, STIRLING_FROM)
    large = jnp.where(is_small, STIRLING_FROM, x)
    stirling = (small - 0.5) * jnp.log(small) - small + 0.5 * np.log(2 * np.pi).item()
    series = jnp.zeros_like(x)
    for coefficient in (1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12):
        series = series / large**2 + coefficient
    return jnp.where(is_small, gammaln(small) - stirling, series / large)
