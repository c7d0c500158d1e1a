"""Independent normal distributions over the entries of an array."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from .._check import as_float_array, check_width, matching_width
from .base import AbstractParameter, positive, raw_width
from .location_scale import AbstractLocationScale


class GaussianParameter(AbstractLocationScale):
    """`N(mean, stdv**2)` for every entry, with `stdv = raw_stdv**2 + 1e-4`.

    Attributes:
        mean: The mean, of any shape.
        raw_stdv: The unconstrained width, in the shape and dtype of `mean`. Zero is
            a stationary point of the map to `stdv`, so no gradient leads away from it.
        support: As in `AbstractParameter`.

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
        check_width("raw_stdv", self.raw_stdv, self.mean, self.shape)

    @classmethod
    def from_value(
        cls, value: ArrayLike, init_raw_stdv: Any = 0.01
    ) -> "GaussianParameter":
        """Normal around `value` with given unconstrained widths."""
        mean = as_float_array(value)
        return cls(mean, matching_width(mean, init_raw_stdv))

    def with_stdv(self, stdv: Any) -> "GaussianParameter":
        """The same with these standard deviations, above 1e-4."""
        return replace(self, raw_stdv=raw_width("stdv", stdv, self.mean))

    @property
    def is_normal(self):
        return True

    @property
    def group(self):
        return "gaussian"

    @property
    def stdv(self) -> Float[Array, "..."]:
        """The standard deviation `raw_stdv**2 + 1e-4`."""
        return positive(self.raw_stdv)

    def spread(self, noise):
        return self.stdv * noise.reshape(self.shape)

    def whiten(self, deviation):
        return (deviation / self.stdv).ravel()

    def log_density(self, residual):
        log_stdv = jnp.log(self.stdv).ravel()
        return jnp.sum(jax.scipy.stats.norm.logpdf(residual) - log_stdv)

    def kl_from(self, q: AbstractParameter) -> Float[Array, ""]:
        """`KL(q || self)` for any `q` that has widths."""
        return q.kl_to_normal(self.mean, self.stdv)

    def entropy(self) -> Float[Array, ""]:
        """Sum over entries of `log(stdv) + log(2 pi e) / 2`."""
        return jnp.sum(jnp.log(self.stdv) + 0.5 * jnp.log(2 * jnp.pi * jnp.e))
