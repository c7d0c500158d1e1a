"""Distributions of positive entries, and of those between two ends."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy import stats
from jaxtyping import Array, Float

from .._compute import standard_normal, symmetric_uniform
from .._parameter.convert import as_float_array, check_values
from .check import as_positive, like
from .distribution import AbstractPrior


class HalfNormal(AbstractPrior):
    """The size of a normal number with mean 0.

    Attributes:
        scale: The standard deviation of that number, above 0, in the unit of the
            parameter.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If `scale` is not positive and finite.

    Example:
        ```python
        noise = bjm.make_parameter(0.2)
        bjm.log_prior(noise, bjm.Prior(default=bjm.HalfNormal(0.5)))  # 0.387
        ```
    """

    scale: Float[Array, "..."]

    def __init__(self, scale: Any = 1.0):
        self.scale = as_positive("scale", scale)

    def log_density(self, value):
        (scale,) = like(value, scale=self.scale)
        folded = stats.norm.logpdf(value / scale) - jnp.log(scale / 2)
        return jnp.where(value >= 0, folded, -jnp.inf)

    def sample(self, key, value):
        (scale,) = like(value, scale=self.scale)
        return scale * jnp.abs(standard_normal(key, value.shape, value.dtype))


class TruncatedNormal(AbstractPrior):
    """The normal distribution between `low` and `high`, normalised.

    What Stan means by a normal prior on a parameter that is declared positive.

    Attributes:
        mean: The mean before the ends were cut off, in the unit of the parameter.
        sd: The standard deviation before that, above 0, in that unit.
        low: Below this there is nothing.
        high: Above this there is nothing; infinity for no such end.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If `sd` is not positive and finite, or `low` not below `high`.

    Example:
        ```python
        prior = bjm.TruncatedNormal(mean=0.0, sd=1.0, low=0.0)
        prior.log_density(jnp.array([-1.0, 1.0]))  # [-inf, -0.726]
        ```
    """

    mean: Float[Array, "..."]
    sd: Float[Array, "..."]
    low: Float[Array, "..."]
    high: Float[Array, "..."]

    def __init__(
        self, mean: Any = 0.0, sd: Any = 1.0, low: Any = 0.0, high: Any = jnp.inf
    ):
        self.mean = as_float_array(mean, "mean")
        self.sd = as_positive("sd", sd)
        self.low = as_float_array(low, "low")
        high = as_float_array(high, "high")
        message = f"`low` must be below `high`, but got {low} and {high}."
        self.high = check_values(high, ~jnp.all(self.low < high), message)

    def log_density(self, value):
        mean, sd, low, high = self._fields(value)
        # Of an interval in the lower tail the mirror image is exact.
        start, end = jnp.where(high < 0, -high, low), jnp.where(high < 0, -low, high)
        mass = (lax.erfc(start / 2**0.5) - lax.erfc(end / 2**0.5)) / 2
        density = stats.norm.logpdf(value, mean, sd) - jnp.log(mass)
        z = (value - mean) / sd
        return jnp.where((z >= low) & (z <= high), density, -jnp.inf)

    def sample(self, key, value):
        mean, sd, low, high = self._fields(value)
        uniform = symmetric_uniform(key, value.shape, value.dtype)
        start, end = lax.erf(low / 2**0.5), lax.erf(high / 2**0.5)
        drawn = 2**0.5 * lax.erf_inv((start + end + (end - start) * uniform) / 2)
        # Rounding must not carry a draw to an end or beyond it.
        inside = jnp.nextafter(low, high), jnp.nextafter(high, low)
        return mean + sd * jnp.clip(drawn, *inside)

    def _fields(self, value):
        """With the ends in standard deviations from the mean."""
        mean, sd, low, high = like(
            value, mean=self.mean, sd=self.sd, low=self.low, high=self.high
        )
        return mean, sd, (low - mean) / sd, (high - mean) / sd


class HalfCauchy(AbstractPrior):
    """The size of a Cauchy number located at 0.

    Attributes:
        scale: The median, above 0, in the unit of the parameter.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If `scale` is not positive and finite.

    Example:
        ```python
        prior = bjm.HalfCauchy(0.1)  # of how far groups differ: little, or much
        prior.log_density(jnp.array([0.1, 1.0]))  # [1.158, -2.764]
        ```
    """

    scale: Float[Array, "..."]

    def __init__(self, scale: Any = 1.0):
        self.scale = as_positive("scale", scale)

    def log_density(self, value):
        (scale,) = like(value, scale=self.scale)
        folded = stats.cauchy.logpdf(value / scale) - jnp.log(scale / 2)
        return jnp.where(value >= 0, folded, -jnp.inf)

    def sample(self, key, value):
        (scale,) = like(value, scale=self.scale)
        return scale * jnp.abs(jax.random.cauchy(key, value.shape, value.dtype))


class LogNormal(AbstractPrior):
    """What has a normal logarithm; its median is `exp(mean)`.

    Attributes:
        mean: The mean of the logarithm of the parameter.
        sd: The standard deviation of the logarithm, above 0.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If `sd` is not positive and finite.

    Example:
        ```python
        rate = bjm.make_parameter(0.03)
        prior = bjm.Prior(default=bjm.LogNormal(mean=np.log(0.05), sd=1.0))
        bjm.log_prior(rate, prior)  # 2.457
        ```
    """

    mean: Float[Array, "..."]
    sd: Float[Array, "..."]

    def __init__(self, mean: Any = 0.0, sd: Any = 1.0):
        self.mean = as_float_array(mean, "mean")
        self.sd = as_positive("sd", sd)

    def log_density(self, value):
        mean, sd = like(value, mean=self.mean, sd=self.sd)
        log_value = jnp.log(jnp.where(value > 0, value, 1))
        density = stats.norm.logpdf(log_value, mean, sd) - log_value
        return jnp.where(value > 0, density, -jnp.inf)

    def sample(self, key, value):
        mean, sd = like(value, mean=self.mean, sd=self.sd)
        return jnp.exp(mean + sd * standard_normal(key, value.shape, value.dtype))


class Exponential(AbstractPrior):
    """The exponential distribution with mean `1 / rate`.

    Attributes:
        rate: Above 0, in one over the unit of the parameter.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If `rate` is not positive and finite.

    Example:
        ```python
        prior = bjm.Exponential(rate=5.0)
        prior.log_density(jnp.array([0.0, 0.2]))  # [1.609, 0.609]
        ```
    """

    rate: Float[Array, "..."]

    def __init__(self, rate: Any = 1.0):
        self.rate = as_positive("rate", rate)

    def log_density(self, value):
        (rate,) = like(value, rate=self.rate)
        return jnp.where(value >= 0, jnp.log(rate) - rate * value, -jnp.inf)

    def sample(self, key, value):
        (rate,) = like(value, rate=self.rate)
        return jax.random.exponential(key, value.shape, value.dtype) / rate
