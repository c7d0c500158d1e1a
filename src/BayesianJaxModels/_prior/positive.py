"""Distributions of positive entries."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln
from jaxtyping import Array, Float

from .._check import as_positive, like
from .._compute import standard_laplace, standard_normal, symmetric_uniform
from .._special import STIRLING_FROM, scaled_gamma_density
from .distribution import AbstractPrior
from .support import (
    as_finite,
    guarded,
    guarded_by_size,
    has_end,
    log_one_plus_square,
    log_power,
    normal_density,
    representable,
)


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

        def density(value, scale):
            return normal_density(value, jnp.zeros_like(value), scale) + math.log(2)

        return guarded((value >= 0) & (scale > 0), density, value, scale)

    def sample(self, key, value):
        (scale,) = like(value, scale=self.scale)
        normal = standard_normal(key, value.shape, value.dtype)
        return representable(scale * jnp.abs(normal))


class HalfCauchy(AbstractPrior):
    """The size of a Cauchy number located at 0; it has neither mean nor variance.

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

        def density(value, scale):
            constant = math.log(2 / math.pi) - jnp.log(scale)
            return constant - log_one_plus_square(value / scale)

        return guarded((value >= 0) & (scale > 0), density, value, scale)

    def sample(self, key, value):
        (scale,) = like(value, scale=self.scale)
        share = jnp.abs(symmetric_uniform(key, value.shape, value.dtype))
        # The tangent near its pole, by way of the exact distance to it.
        small = jnp.tan(jnp.pi / 2 * jnp.minimum(share, 1 - share))
        return representable(scale * jnp.where(share > 0.5, 1 / small, small))


class LogNormal(AbstractPrior):
    """What has a normal logarithm; its median is `exp(mean)`.

    Its tail is heavy where `sd` is large. A draw that its dtype cannot hold is the
    largest or smallest number that it can.

    Attributes:
        mean: The mean of the logarithm of the parameter.
        sd: The standard deviation of the logarithm, above 0.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If a field is not finite, or `sd` not positive.

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
        self.mean = as_finite("mean", mean)
        self.sd = as_positive("sd", sd)

    def log_density(self, value):
        mean, sd = like(value, mean=self.mean, sd=self.sd)

        def density(value, mean, sd):
            return normal_density(jnp.log(value), mean, sd) - jnp.log(value)

        return guarded((value > 0) & (sd > 0), density, value, mean, sd)

    def sample(self, key, value):
        mean, sd = like(value, mean=self.mean, sd=self.sd)
        logarithm = mean + sd * standard_normal(key, value.shape, value.dtype)
        return representable(jnp.exp(logarithm))


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

        def density(value, rate):
            return jnp.log(rate) - rate * value

        return guarded((value >= 0) & (rate > 0), density, value, rate)

    def sample(self, key, value):
        (rate,) = like(value, rate=self.rate)
        waiting = jnp.abs(standard_laplace(key, value.shape, value.dtype))
        return representable(waiting / rate)


class Gamma(AbstractPrior):
    """The gamma distribution with mean `concentration / rate`.

    Stan's `gamma(alpha, beta)` and NumPyro's `Gamma(concentration, rate)`. At 0 the
    density of a `concentration` below 1 is infinite; there the log density is minus
    infinity, so that no search ends there. A draw too small for its dtype, as most are
    where `concentration` is below .01, is the smallest that it holds.

    Attributes:
        concentration: The shape, Stan's `alpha`, above 0.
        rate: The inverse scale, Stan's `beta`, above 0, in one over the unit of the
            parameter.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If a field is not positive and finite.

    Example:
        ```python
        prior = bjm.Gamma(concentration=2.0, rate=0.1)
        prior.log_density(jnp.array([0.0, 10.0, 30.0]))  # [-inf, -3.303, -4.204]
        ```
    """

    concentration: Float[Array, "..."]
    rate: Float[Array, "..."]

    def __init__(self, concentration: Any, rate: Any = 1.0):
        self.concentration = as_positive("concentration", concentration)
        self.rate = as_positive("rate", rate)

    def log_density(self, value):
        a, rate = like(value, concentration=self.concentration, rate=self.rate)
        possible = has_end(value, a) & (a > 0) & (rate > 0)

        def density(value, a, rate):
            constant = a * jnp.log(rate) - gammaln(a)
            return constant + log_power(value, a - 1) - rate * value

        def of_many(value, a, rate):
            return scaled_gamma_density(rate * value, a) - jnp.log(value)

        is_many = a > STIRLING_FROM
        return guarded_by_size(is_many, possible, of_many, density, value, a, rate)

    def sample(self, key, value):
        a, rate = like(value, concentration=self.concentration, rate=self.rate)
        logarithm = jax.random.loggamma(key, a, value.shape, value.dtype)
        return representable(jnp.exp(logarithm - jnp.log(rate)))


class InverseGamma(AbstractPrior):
    """What has a gamma inverse; its mode is `scale / (concentration + 1)`.

    Stan's `inv_gamma(alpha, beta)`, `1 / x` of `Gamma(concentration, rate=scale)`; in
    NumPyro `scale` is called `rate`. Its tail is heavy: there is a mean only where
    `concentration` is above 1 and a variance above 2. A draw too large for its dtype is
    the largest that it holds.

    Attributes:
        concentration: The shape, Stan's `alpha`, above 0.
        scale: Stan's `beta`, above 0, in the unit of the parameter.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If a field is not positive and finite.

    Example:
        ```python
        prior = bjm.InverseGamma(concentration=3.0, scale=1.0)
        prior.log_density(jnp.array([0.0, 0.25, 1.0]))  # [-inf, 0.852, -1.693]
        ```
    """

    concentration: Float[Array, "..."]
    scale: Float[Array, "..."]

    def __init__(self, concentration: Any, scale: Any = 1.0):
        self.concentration = as_positive("concentration", concentration)
        self.scale = as_positive("scale", scale)

    def log_density(self, value):
        a, scale = like(value, concentration=self.concentration, scale=self.scale)
        possible = (value > 0) & (a > 0) & (scale > 0)

        def density(value, a, scale):
            constant = a * jnp.log(scale) - gammaln(a)
            return constant - (a + 1) * jnp.log(value) - scale / value

        def of_many(value, a, scale):
            return scaled_gamma_density(scale / value, a) - jnp.log(value)

        is_many = a > STIRLING_FROM
        return guarded_by_size(is_many, possible, of_many, density, value, a, scale)

    def sample(self, key, value):
        a, scale = like(value, concentration=self.concentration, scale=self.scale)
        logarithm = jax.random.loggamma(key, a, value.shape, value.dtype)
        return representable(jnp.exp(jnp.log(scale) - logarithm))
