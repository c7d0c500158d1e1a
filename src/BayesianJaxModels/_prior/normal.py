"""The normal prior."""

from typing import Any

import jax.numpy as jnp

from .._check import like
from .._compute import standard_normal
from .base import AbstractPrior, as_positive
from .support import as_finite, guarded, normal_density


class Normal(AbstractPrior):
    """The normal distribution.

    Attributes:
        mean: The mean, in the unit of the parameter.
        sd: The standard deviation, above 0, in that unit.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If a field is not finite, or `sd` not positive.

    Example:
        ```python
        prior = bjm.priors.Normal(mean=0.5, sd=[0.1, 1.0])
        prior.log_density(jnp.array([0.5, 0.5]))  # [1.384, -0.919]
        ```
    """

    mean: Any
    sd: Any

    def __init__(self, mean: Any = 0.0, sd: Any = 1.0):
        self.mean = as_finite("mean", mean)
        self.sd = as_positive("sd", sd)

    @property
    def ends(self):
        return -jnp.inf, jnp.inf

    def log_density(self, value):
        mean, sd = like(value, mean=self.mean, sd=self.sd)
        return guarded(sd > 0, normal_density, value, mean, sd)

    def from_standard(self, z):
        mean, sd = like(z, mean=self.mean, sd=self.sd)
        return mean + sd * z

    def to_standard(self, value):
        mean, sd = like(value, mean=self.mean, sd=self.sd)
        return (value - mean) / sd

    def kl_from(self, q):
        return q.kl_to_normal(*like(q.mean, mean=self.mean, sd=self.sd))

    def mean_log_density(self, mean, stdv):
        (sd,) = like(mean, sd=self.sd)
        return self.log_density(mean) - (stdv / sd) ** 2 / 2

    def sample(self, key, value):
        mean, sd = like(value, mean=self.mean, sd=self.sd)
        return mean + sd * standard_normal(key, value.shape, value.dtype)
