"""Independent Laplace distributions over the entries of an array."""

import math
from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from .._check import as_float_array, check_width, matching_width
from .._compute import standard_laplace
from .base import AbstractParameter, positive, raw_width
from .location_scale import AbstractLocationScale


class LaplacianParameter(AbstractLocationScale):
    """`Laplace(mean, scale)` for every entry, with `scale = raw_scale**2 + 1e-4`.

    Attributes:
        mean: The location, of any shape.
        raw_scale: The unconstrained width, in the shape and dtype of `mean`. Zero is
            a stationary point of the map to `scale`, so no gradient leads away from it.
        support: As in `AbstractParameter`.

    Raises:
        TypeError: If a field is not made of real numbers.
        ValueError: If `raw_scale` has another shape or dtype than `mean`.

    Example:
        ```python
        effect = bjm.LaplacianParameter(jnp.zeros(3), jnp.full(3, 0.5))
        effect.scale  # [0.2501, 0.2501, 0.2501]
        effect.stdv  # [0.3537, 0.3537, 0.3537]
        ```
    """

    mean: Float[Array, "..."] = eqx.field(converter=as_float_array)
    raw_scale: Float[Array, "..."] = eqx.field(converter=as_float_array)

    def __check_init__(self):
        check_width("raw_scale", self.raw_scale, self.mean, self.shape)

    @classmethod
    def from_value(
        cls, value: ArrayLike, init_raw_stdv: Any = 0.01
    ) -> "LaplacianParameter":
        """Laplace around `value` with given unconstrained widths."""
        mean = as_float_array(value)
        return cls(mean, matching_width(mean, init_raw_stdv))

    def with_stdv(self, stdv: Any) -> "LaplacianParameter":
        """The same with these standard deviations, above `sqrt(2) * 1e-4`."""
        raw_scale = raw_width("stdv", stdv, self.mean, unit=2**0.5)
        return replace(self, raw_scale=raw_scale)

    @property
    def group(self):
        return "laplacian"

    @property
    def scale(self) -> Float[Array, "..."]:
        """The scale `raw_scale**2 + 1e-4` of the Laplace density."""
        return positive(self.raw_scale)

    @property
    def stdv(self) -> Float[Array, "..."]:
        """The standard deviation `sqrt(2) * scale`."""
        return 2**0.5 * self.scale

    def noise(self, rng):
        return standard_laplace(rng, (self.noise_size,), self.mean.dtype)

    def noise_from_normal(self, normal):
        # -log of twice the normal tail beyond |normal|.
        tail = jax.scipy.special.log_ndtr(-jnp.abs(normal)) + math.log(2)
        return -jnp.sign(normal) * tail

    def spread(self, noise):
        return self.scale * noise.reshape(self.shape)

    def whiten(self, deviation):
        return (deviation / self.scale).ravel()

    def log_density(self, residual):
        log_scale = jnp.log(self.scale).ravel()
        return jnp.sum(jax.scipy.stats.laplace.logpdf(residual) - log_scale)

    def kl_to_laplace(self, mean, scale):
        """`KL(self || Laplace(mean, scale))`, by Gil, Alajaji & Linder (2013)."""
        distance = jnp.abs(self.mean - mean)
        overlap = self.scale * jnp.exp(-distance / self.scale) + distance
        return jnp.sum(overlap / scale - 1 + jnp.log(scale) - jnp.log(self.scale))

    def kl_from(self, q: AbstractParameter) -> Float[Array, ""]:
        """`KL(q || self)`, for a `q` that knows its own from Laplace densities."""
        return q.kl_to_laplace(self.mean, self.scale)

    def entropy(self) -> Float[Array, ""]:
        """Sum over entries of `1 + log(2 scale)`."""
        return jnp.sum(1 + jnp.log(2 * self.scale))
