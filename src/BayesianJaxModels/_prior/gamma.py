"""Gamma, inverse gamma and exponential priors."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import gammaln

from .._check import like
from .._compute import standard_laplace
from .._special import STIRLING_FROM, scaled_gamma_density
from .base import AbstractPrior, as_positive
from .support import guarded, guarded_by_size, has_end, log_power, representable


class Exponential(AbstractPrior):
    """The exponential distribution with mean `1 / rate`.

    Attributes:
        rate: Above 0, in one over the unit of the parameter.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If `rate` is not positive and finite.

    Example:
        ```python
        prior = bjm.priors.Exponential(rate=5.0)
        prior.log_density(jnp.array([0.0, 0.2]))  # [1.609, 0.609]
        ```
    """

    rate: Any

    def __init__(self, rate: Any = 1.0):
        self.rate = as_positive("rate", rate)

    @property
    def ends(self):
        return 0.0, jnp.inf

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
    where `concentration` is below 0.01, is the smallest that it holds.

    Attributes:
        concentration: The shape, Stan's `alpha`, above 0.
        rate: The inverse scale, Stan's `beta`, above 0, in one over the unit of the
            parameter.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If a field is not positive and finite.

    Example:
        ```python
        prior = bjm.priors.Gamma(concentration=2.0, rate=0.1)
        prior.log_density(jnp.array([0.0, 10.0, 30.0]))  # [-inf, -3.303, -4.204]
        ```
    """

    concentration: Any
    rate: Any

    def __init__(self, concentration: Any, rate: Any = 1.0):
        self.concentration = as_positive("concentration", concentration)
        self.rate = as_positive("rate", rate)

    @property
    def ends(self):
        return 0.0, jnp.inf

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
    """The inverse gamma distribution; its mode is `scale / (concentration + 1)`.

    Stan's `inv_gamma(alpha, beta)`, `1 / x` of `Gamma(concentration, rate=scale)`; in
    NumPyro `scale` is called `rate`. There is a mean where `concentration` is above 1,
    and a variance above 2. A draw too large for its dtype is the largest that it holds.

    Attributes:
        concentration: The shape, Stan's `alpha`, above 0.
        scale: Stan's `beta`, above 0, in the unit of the parameter.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If a field is not positive and finite.

    Example:
        ```python
        prior = bjm.priors.InverseGamma(concentration=3.0, scale=1.0)
        prior.log_density(jnp.array([0.0, 0.25, 1.0]))  # [-inf, 0.852, -1.693]
        ```
    """

    concentration: Any
    scale: Any

    def __init__(self, concentration: Any, scale: Any = 1.0):
        self.concentration = as_positive("concentration", concentration)
        self.scale = as_positive("scale", scale)

    @property
    def ends(self):
        return 0.0, jnp.inf

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
