"""Student's t as a prior."""

from typing import Any

import jax
import jax.numpy as jnp

from .._check import like
from .._compute import standard_normal
from .._special import student_t_log_density
from .base import AbstractPrior, as_positive
from .support import as_finite, guarded, representable


class StudentT(AbstractPrior):
    """Student's t around `mean`, with the width `scale`.

    There is a variance above two degrees of freedom, and a mean above one. A draw too
    large for its dtype is one of the largest that it holds.

    Attributes:
        df: The degrees of freedom, above 0. With few the tails are heavy.
        mean: The centre, in the unit of the parameter.
        scale: The width, above 0, in that unit.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If a field is not finite, or `df` or `scale` not positive.

    Example:
        ```python
        prior = bjm.priors.StudentT(df=3, scale=2.5)
        prior.log_density(jnp.array([0.0, 10.0]))  # [-1.917, -5.609]
        ```
    """

    df: Any
    mean: Any
    scale: Any

    def __init__(self, df: Any, mean: Any = 0.0, scale: Any = 1.0):
        self.df = as_positive("df", df)
        self.mean = as_finite("mean", mean)
        self.scale = as_positive("scale", scale)

    @property
    def ends(self):
        return -jnp.inf, jnp.inf

    def log_density(self, value):
        df, mean, scale = like(value, df=self.df, mean=self.mean, scale=self.scale)

        def density(value, df, mean, scale):
            z = (value - mean) / scale
            return student_t_log_density(z, df) - jnp.log(scale)

        return guarded((df > 0) & (scale > 0), density, value, df, mean, scale)

    def sample(self, key, value):
        df, mean, scale = like(value, df=self.df, mean=self.mean, scale=self.scale)
        of_normal, of_gamma = jax.random.split(key)
        normal = standard_normal(of_normal, value.shape, value.dtype)
        # Of few degrees of freedom the gamma number underflows, its logarithm never.
        log_gamma = jax.random.loggamma(of_gamma, df / 2, value.shape, value.dtype)
        ratio = representable(normal * jnp.exp(-log_gamma / 2))
        return mean + representable(scale * jnp.sqrt(df / 2) * ratio)
