"""The uniform prior."""

import math
from typing import Any

import jax.numpy as jnp

from .._check import like
from .base import AbstractPrior
from .support import as_finite, between, check_ends, guarded, shares


class Uniform(AbstractPrior):
    """The uniform distribution between `low` and `high`, the ends included.

    Beyond the ends the density is zero, and no gradient tells a search or NUTS so: let
    the parameter hold the logit, as in the example, or write a prior that fades out.

    Attributes:
        low: The lower end, in the unit of the parameter.
        high: The upper end, in that unit.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If an end is not finite, or `low` not below `high`.

    Example:
        ```python
        prior = bjm.priors.Uniform(low=0.0, high=4.0)
        prior.log_density(jnp.array([-1.0, 0.0, 3.0]))  # [-inf, -1.386, -1.386]
        # The parameter holds the logit of a share.
        logit = jax.scipy.special.logit
        share = bjm.priors.Uniform(0.0, 1.0)
        prior = bjm.priors.OnNaturalScale(share, jax.nn.sigmoid, logit)
        prior.log_density(jnp.array([0.0]))  # [-1.386]
        ```
    """

    low: Any
    high: Any

    def __init__(self, low: Any = 0.0, high: Any = 1.0):
        self.low = as_finite("low", low)
        self.high = as_finite("high", high)
        check_ends(self.low, self.high)

    @property
    def ends(self):
        return self.low, self.high

    def log_density(self, value):
        low, high = like(value, low=self.low, high=self.high)
        # Halves, because the width of the widest overflows.
        half = high / 2 - low / 2
        possible = (low <= value) & (value <= high) & (half > 0)
        return guarded(possible, lambda half: -jnp.log(half) - math.log(2), half)

    def sample(self, key, value):
        low, high = like(value, low=self.low, high=self.high)
        share = shares(key, value)
        return between(low * (1 - share) + high * share, low, high)
