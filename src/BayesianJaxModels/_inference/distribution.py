"""Distributions of entries, in the terms that priors are written in."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy import stats
from jaxtyping import Array, Float, PRNGKeyArray

from .._compute import standard_laplace, standard_normal, symmetric_uniform
from .._parameter.convert import as_float_array, check_values
from .check import as_positive, like


class AbstractPrior(eqx.Module):
    """A distribution of independent entries, the prior of one parameter.

    Those that the package has are made from numbers, or from arrays that broadcast to
    the shape of the parameter. A subclass of your own works as they do.
    """

    @abstractmethod
    def log_density(self, value: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The log density of every entry; minus infinity outside the support."""

    @abstractmethod
    def sample(
        self, key: PRNGKeyArray, value: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        """A draw in the shape and dtype of `value`, whose entries do not matter."""


class Normal(AbstractPrior):
    """The normal distribution of a `mean` and a standard deviation `sd` above 0."""

    mean: Float[Array, "..."]
    sd: Float[Array, "..."]

    def __init__(self, mean: Any = 0.0, sd: Any = 1.0):
        self.mean = as_float_array(mean, "mean")
        self.sd = as_positive("sd", sd)

    def log_density(self, value):
        return stats.norm.logpdf(value, *like(value, mean=self.mean, sd=self.sd))

    def sample(self, key, value):
        mean, sd = like(value, mean=self.mean, sd=self.sd)
        return mean + sd * standard_normal(key, value.shape, value.dtype)


class Laplace(AbstractPrior):
    """The Laplace distribution; its standard deviation is `sqrt(2) * scale`."""

    mean: Float[Array, "..."]
    scale: Float[Array, "..."]

    def __init__(self, mean: Any = 0.0, scale: Any = 1.0):
        self.mean = as_float_array(mean, "mean")
        self.scale = as_positive("scale", scale)

    def log_density(self, value):
        mean, scale = like(value, mean=self.mean, scale=self.scale)
        return stats.laplace.logpdf(value, mean, scale)

    def sample(self, key, value):
        mean, scale = like(value, mean=self.mean, scale=self.scale)
        return mean + scale * standard_laplace(key, value.shape, value.dtype)


class StudentT(AbstractPrior):
    """Student's t with `df` degrees of freedom, moved to `mean`, widened by `scale`."""

    df: Float[Array, "..."]
    mean: Float[Array, "..."]
    scale: Float[Array, "..."]

    def __init__(self, df: Any, mean: Any = 0.0, scale: Any = 1.0):
        self.df = as_positive("df", df)
        self.mean = as_float_array(mean, "mean")
        self.scale = as_positive("scale", scale)

    def log_density(self, value):
        df, mean, scale = like(value, df=self.df, mean=self.mean, scale=self.scale)
        return stats.t.logpdf(value, df, mean, scale)

    def sample(self, key, value):
        df, mean, scale = like(value, df=self.df, mean=self.mean, scale=self.scale)
        return mean + scale * jax.random.t(key, df, value.shape, value.dtype)


class HalfNormal(AbstractPrior):
    """The size of a normal number with mean 0 and standard deviation `scale`."""

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
    """The normal distribution of `mean` and `sd` between `low` and `high`, normalised.

    What Stan means by a normal prior on a parameter that is declared positive.
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
    """The size of a Cauchy number located at 0; its median is `scale`."""

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
    """What has a normal logarithm with `mean` and `sd`; its median is `exp(mean)`."""

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
    """The exponential distribution with mean `1 / rate`."""

    rate: Float[Array, "..."]

    def __init__(self, rate: Any = 1.0):
        self.rate = as_positive("rate", rate)

    def log_density(self, value):
        (rate,) = like(value, rate=self.rate)
        return jnp.where(value >= 0, jnp.log(rate) - rate * value, -jnp.inf)

    def sample(self, key, value):
        (rate,) = like(value, rate=self.rate)
        return jax.random.exponential(key, value.shape, value.dtype) / rate


class OnNaturalScale(AbstractPrior):
    """A prior for `natural(entry)`, where the parameter holds `entry`.

    The log density of the entry is that of its image plus the logarithm of
    `|natural'(entry)|`: without that Jacobian the prior would be another one.

    Attributes:
        prior: The distribution on the natural scale.
        natural: From an entry of the parameter to the natural scale; increasing or
            decreasing, elementwise.
        inverse: The way back.

    Example:
        ```python
        # The parameter holds the logarithm of a rate whose prior is half-normal.
        OnNaturalScale(HalfNormal(0.5), jnp.exp, jnp.log)
        ```
    """

    prior: AbstractPrior
    natural: Callable = eqx.field(static=True)
    inverse: Callable = eqx.field(static=True)

    def log_density(self, value):
        image, slope = self._image_and_slope(value)
        # Where the natural scale overflows, nothing flows back: a gradient of zero
        # instead of zero times infinity.
        inside = jnp.isfinite(image) & jnp.isfinite(slope) & (slope != 0)
        value = jnp.where(inside, value, lax.stop_gradient(value))
        image, slope = self._image_and_slope(value)
        density = self.prior.log_density(image) + jnp.log(jnp.abs(slope))
        return jnp.where(inside, density, -jnp.inf)

    def sample(self, key, value):
        return self.inverse(self.prior.sample(key, value))

    def _image_and_slope(self, value: Array) -> tuple[Array, Array]:
        return jax.jvp(self.natural, (value,), (jnp.ones_like(value),))
