"""The prior of correlations of Lewandowski, Kurowicka and Joe."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import betaln
from jaxtyping import Array, Float

from ..._check import like
from ..base import AbstractPrior, as_positive
from ..support import guarded
from .correlations import size_of_partials


class LKJ(AbstractPrior):
    """Of partial correlations, those of `correlation_factor`.

    The correlation matrix they make has a density of its determinant to the power
    `concentration - 1` (Lewandowski, Kurowicka & Joe 2009, Journal of Multivariate
    Analysis 100(9)): each partial correlation is a beta variate on (-1, 1).

    Attributes:
        concentration: 1 for a matrix that is uniform among correlation matrices, more
            for correlations nearer to zero.

    Raises:
        TypeError: If it is not a real number.
        ValueError: If it is not positive.

    Example:
        ```python
        prior = bjm.priors.LKJ(1.0)
        prior.log_density(jnp.array([0.3]))  # [-0.693]: uniform on (-1, 1)
        ```
    """

    concentration: Any

    def __init__(self, concentration: Any):
        self.concentration = as_positive("concentration", concentration)

    @property
    def ends(self):
        return -1.0, 1.0

    def log_density(self, value):
        exponents = self._exponents(value)

        def density(value, a):
            constant = betaln(a, a) + (2 * a - 1) * jnp.log(2.0).astype(a.dtype)
            return (a - 1) * jnp.log1p(-(value**2)) - constant

        return guarded(jnp.abs(value) < 1, density, value, exponents)

    def sample(self, key, value):
        exponents = self._exponents(value)
        drawn = jax.random.beta(key, exponents, exponents, value.shape, value.dtype)
        return 2 * drawn - 1

    def _exponents(self, value: Float[Array, " m"]) -> Float[Array, " m"]:
        """Both numbers of each beta distribution."""
        q = size_of_partials(value.shape)
        (concentration,) = like(value, concentration=self.concentration)
        columns = np.concatenate([np.arange(1, i + 1) for i in range(1, q)])
        return concentration + jnp.asarray((q - 1 - columns) / 2, value.dtype)
