"""The Laplace prior."""

from typing import Any

import jax.numpy as jnp

from .._check import like
from .._compute import standard_laplace
from .base import AbstractPrior, as_positive
from .support import as_finite, guarded


class Laplace(AbstractPrior):
    """The Laplace distribution; its standard deviation is `sqrt(2) * scale`.

    Attributes:
        mean: The mean, in the unit of the parameter.
        scale: The mean distance from `mean`, above 0, in that unit.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If a field is not finite, or `scale` not positive.

    Example:
        ```python
        prior = bjm.priors.Laplace(scale=0.1)  # of coefficients, most of them small
        prior.log_density(jnp.array([0.0, 0.5]))  # [1.609, -3.391]
        ```
    """

    mean: Any
    scale: Any

    def __init__(self, mean: Any = 0.0, scale: Any = 1.0):
        self.mean = as_finite("mean", mean)
        self.scale = as_positive("scale", scale)

    @property
    def ends(self):
        return -jnp.inf, jnp.inf

    def log_density(self, value):
        mean, scale = like(value, mean=self.mean, scale=self.scale)

        def density(value, mean, scale):
            return -jnp.abs(value - mean) / scale - jnp.log(2 * scale)

        return guarded(scale > 0, density, value, mean, scale)

    def kl_from(self, q):
        return q.kl_to_laplace(*like(q.mean, mean=self.mean, scale=self.scale))

    def sample(self, key, value):
        mean, scale = like(value, mean=self.mean, scale=self.scale)
        return mean + scale * standard_laplace(key, value.shape, value.dtype)
