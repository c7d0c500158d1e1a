"""Independent normal distributions over the entries of an array."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from .._compute import standard_normal
from .base import AbstractParameter, positive
from .convert import as_float_array, check_shape, check_width, matching_width


class GaussianParameter(AbstractParameter):
    """`N(mean, stdv**2)` for every entry, with `stdv = raw_stdv**2 + 1e-4`.

    Attributes:
        mean: The mean, of any shape.
        raw_stdv: The unconstrained width, in the shape and dtype of `mean`. Zero is
            a stationary point of the map to `stdv`, so no gradient leads away from it.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If `raw_stdv` has another shape or dtype than `mean`.

    Example:
        ```python
        log_rate = bjm.GaussianParameter(jnp.array([-0.6, -3.6]), jnp.array([0.3, 0.1]))
        log_rate.stdv  # [0.0901, 0.0101]
        log_rate.sample(jax.random.key(0)).shape  # (2,)
        ```
    """

    mean: Float[Array, "..."] = eqx.field(converter=as_float_array)
    raw_stdv: Float[Array, "..."] = eqx.field(converter=as_float_array)

    def __check_init__(self):
        """Hold `raw_stdv` to the shape and dtype of `mean`."""
        check_width("raw_stdv", self.raw_stdv, self.mean, self.shape)

    @classmethod
    def from_value(
        cls, value: ArrayLike, init_raw_stdv: Any = 0.01
    ) -> "GaussianParameter":
        """Normal around `value`, every entry with the same unconstrained width."""
        mean = as_float_array(value)
        return cls(mean, matching_width(mean, init_raw_stdv))

    @property
    def stdv(self) -> Float[Array, "..."]:
        """The standard deviation `raw_stdv**2 + 1e-4`."""
        return positive(self.raw_stdv)

    def sample(self, rng: PRNGKeyArray) -> Float[Array, "..."]:
        """Draw `mean + stdv * eps` with standard normal `eps`."""
        eps = standard_normal(rng, self.shape, self.mean.dtype)
        return self.mean + self.stdv * eps

    def log_prob(self, value: ArrayLike) -> Float[Array, ""]:
        """Sum of the normal log densities of the entries of `value`."""
        value = as_float_array(value)
        check_shape("value", value, self.shape)
        return jnp.sum(jax.scipy.stats.norm.logpdf(value, self.mean, self.stdv))

    def entropy(self) -> Float[Array, ""]:
        """Sum over entries of `log(stdv) + log(2 pi e) / 2`."""
        return jnp.sum(jnp.log(self.stdv) + 0.5 * jnp.log(2 * jnp.pi * jnp.e))
