"""Priors of scales: the positive halves of symmetric distributions."""

import math
from typing import Any

import jax.numpy as jnp

from .._check import like
from .._compute import standard_normal, symmetric_uniform
from .base import AbstractPrior, as_positive
from .support import guarded, log_one_plus_square, normal_density, representable


class HalfNormal(AbstractPrior):
    """The half-normal distribution: the absolute value of `N(0, scale**2)`.

    Attributes:
        scale: The standard deviation of that normal distribution, above 0, in the unit
            of the parameter.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If `scale` is not positive and finite.

    Example:
        ```python
        noise = bjm.make_parameter(0.2)
        bjm.log_prior(noise, bjm.Prior(default=bjm.priors.HalfNormal(0.5)))  # 0.387
        ```
    """

    scale: Any

    def __init__(self, scale: Any = 1.0):
        self.scale = as_positive("scale", scale)

    @property
    def ends(self):
        return 0.0, jnp.inf

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
    """The half-Cauchy distribution: the absolute value of a Cauchy number.

    It has neither mean nor variance.

    Attributes:
        scale: The median, above 0, in the unit of the parameter.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If `scale` is not positive and finite.

    Example:
        ```python
        prior = bjm.priors.HalfCauchy(0.1)  # of how far groups differ: little, or much
        prior.log_density(jnp.array([0.1, 1.0]))  # [1.158, -2.764]
        ```
    """

    scale: Any

    def __init__(self, scale: Any = 1.0):
        self.scale = as_positive("scale", scale)

    @property
    def ends(self):
        return 0.0, jnp.inf

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
