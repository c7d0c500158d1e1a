"""Counts that scatter more than Poisson counts do."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._parameter import AbstractParameter
from .._special import deviance, stirling_remainder
from .base import AbstractLikelihood
from .counts import by_count, draw_counts, log_of_own_mean, not_below_zero
from .noise import as_good_as_infinite, given_or_learnt, width_of
from .observe import COUNTS, Support, as_observe


class NegativeBinomialLikelihood(AbstractLikelihood):
    """Counts with the prediction as mean and variance `mean + mean**2 / dispersion`.

    This is `neg_binomial_2` of Stan, a Poisson distribution whose rate has a gamma
    distribution; an infinite `dispersion` leaves the Poisson distribution. Rates are
    sampled, and means just below 0 read, as in `PoissonLikelihood`.

    Attributes:
        dispersion: Above 0, in counts: a number, or an array that broadcasts to the
            observation.
        observe: What is observed of a prediction, as in `AbstractLikelihood`.
        log_dispersion: Instead of `dispersion`, a parameter that holds its logarithm.

    Raises:
        TypeError: If `observe` or `log_dispersion` is of another type.
        ValueError: If `dispersion` is not positive, or both it and `log_dispersion` are
            given, or neither.

    Example:
        ```python
        likelihood = bjm.likelihoods.NegativeBinomialLikelihood(10.0)
        infected = jnp.array([3.0, 25.0, 75.0])  # in bed, by the model, on three days
        likelihood.log_prob(infected, jnp.array([3, 22, 78]))  # -8.94
        ```
    """

    dispersion: Float[Array, "..."] | None
    log_dispersion: AbstractParameter | None
    observe: Any = eqx.field(static=True)
    support: ClassVar[Support] = COUNTS

    def __init__(
        self, dispersion: Any = None, observe: Any = None, *, log_dispersion: Any = None
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
        mean, dispersion = not_below_zero(prediction), noise["dispersion"]

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
            return log_of_own_mean(count) + odds + remainders - unlikely

        cost_of_none = dispersion * _log_of_sum_over(dispersion, mean)
        return by_count(observation, mean, cost_of_none, of_some)

    def draw(self, key, prediction, noise):
        dispersion = noise["dispersion"]
        key_of_rate, key_of_count = jax.random.split(key)
        shape, dtype = prediction.shape, prediction.dtype
        ratio = jax.random.gamma(key_of_rate, dispersion, shape, dtype) / dispersion
        return draw_counts(key_of_count, not_below_zero(prediction) * ratio)


def _log_of_sum_over(a: Array, b: Array) -> Array:
    """`log((a + b) / a)` for a positive `a`, where their ratio may overflow."""
    is_near = b <= a
    larger, smaller = jnp.where(is_near, a, b), jnp.where(is_near, b, a)
    far = jnp.where(is_near, 0, jnp.log(larger) - jnp.log(a))
    return jnp.log1p(smaller / larger) + far
