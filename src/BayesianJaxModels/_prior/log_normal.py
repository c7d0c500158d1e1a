"""The log-normal prior."""

from typing import Any

import jax.numpy as jnp

from .._check import like
from .._compute import standard_normal
from .._parameter import Interval
from .base import AbstractPrior, OnSupport, as_positive
from .normal import Normal
from .support import as_finite, guarded, normal_density, representable


class LogNormal(AbstractPrior):
    """The log-normal distribution; its median is `exp(mean)`.

    A draw that its dtype cannot hold is the largest or smallest number that it can.

    Attributes:
        mean: The mean of the logarithm of the parameter.
        sd: The standard deviation of the logarithm, above 0.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If a field is not finite, or `sd` not positive.

    Example:
        ```python
        rate = bjm.make_parameter(0.03)
        prior = bjm.Prior(default=bjm.priors.LogNormal(mean=np.log(0.05), sd=1.0))
        bjm.log_prior(rate, prior)  # 2.457
        ```
    """

    mean: Any
    sd: Any

    def __init__(self, mean: Any = 0.0, sd: Any = 1.0):
        self.mean = as_finite("mean", mean)
        self.sd = as_positive("sd", sd)

    @property
    def ends(self):
        return 0.0, jnp.inf

    def on(self, support):
        # Exact, also where the value overflows, and with divergences of its own.
        if support == Interval(0, jnp.inf):
            return Normal(self.mean, self.sd)
        return OnSupport(self, support)

    def from_standard(self, z):
        mean, sd = like(z, mean=self.mean, sd=self.sd)
        return jnp.exp(mean + sd * z)

    def to_standard(self, value):
        mean, sd = like(value, mean=self.mean, sd=self.sd)
        return (jnp.log(value) - mean) / sd

    def log_density(self, value):
        mean, sd = like(value, mean=self.mean, sd=self.sd)

        def density(value, mean, sd):
            return normal_density(jnp.log(value), mean, sd) - jnp.log(value)

        return guarded((value > 0) & (sd > 0), density, value, mean, sd)

    def sample(self, key, value):
        mean, sd = like(value, mean=self.mean, sd=self.sd)
        logarithm = mean + sd * standard_normal(key, value.shape, value.dtype)
        return representable(jnp.exp(logarithm))
