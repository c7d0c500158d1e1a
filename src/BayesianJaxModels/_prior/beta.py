"""The beta prior."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.scipy.special import betaln

from .._check import like
from .._special import STIRLING_FROM, scaled_beta_density
from .base import AbstractPrior, as_positive
from .support import guarded_by_size, has_end, log_power, representable


class Beta(AbstractPrior):
    """The beta distribution of a share; its mean is `alpha / (alpha + beta)`.

    Stan's `beta(alpha, beta)`; SciPy's `a` and `b`. At an end where the density is
    infinite, as for an `alpha` or a `beta` below 1, the log density is minus infinity,
    so that no search ends there.

    Attributes:
        alpha: Above 0; the greater, the less there is near 0.
        beta: Above 0; the greater, the less there is near 1.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If a field is not positive and finite.

    Example:
        ```python
        prior = bjm.priors.Beta(alpha=2.0, beta=5.0)
        prior.log_density(jnp.array([0.0, 0.2, 0.9]))  # [-inf, 0.899, -5.914]
        ```
    """

    alpha: Any
    beta: Any

    def __init__(self, alpha: Any, beta: Any):
        self.alpha = as_positive("alpha", alpha)
        self.beta = as_positive("beta", beta)

    @property
    def ends(self):
        return 0.0, 1.0

    def log_density(self, value):
        alpha, beta = like(value, alpha=self.alpha, beta=self.beta)
        possible = has_end(value, alpha) & has_end(1 - value, beta)
        possible = possible & (alpha > 0) & (beta > 0)

        def density(value, alpha, beta):
            below = log_power(value, alpha - 1)
            above = log_power(value, beta - 1, lambda x: jnp.log1p(-x), zero=1)
            return below + above - betaln(alpha, beta)

        def of_many(value, alpha, beta):
            scaled = scaled_beta_density(value, alpha, beta)
            return scaled - jnp.log(value) - jnp.log1p(-value)

        # At an end the plain form holds, where the other parameter may be large.
        is_many = jnp.maximum(alpha, beta) >= STIRLING_FROM
        is_many = is_many & (value > 0) & (value < 1)
        entries = value, alpha, beta
        return guarded_by_size(is_many, possible, of_many, density, *entries)

    def sample(self, key, value):
        alpha, beta = like(value, alpha=self.alpha, beta=self.beta)
        drawn = jax.random.beta(key, alpha, beta, value.shape, value.dtype)
        return jnp.minimum(representable(drawn), 1 - 2 * jnp.finfo(value.dtype).eps)
