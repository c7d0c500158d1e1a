"""Independent Laplace distributions over the entries of an array."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from .._compute import standard_laplace
from .base import AbstractParameter, positive
from .convert import as_float_array, check_shape, check_width, matching_width


class LaplacianParameter(AbstractParameter):
    """`Laplace(mean, scale)` for every entry, with `scale = raw_scale**2 + 1e-4`.

    Attributes:
        mean: The location, of any shape.
        raw_scale: The unconstrained width, in the shape and dtype of `mean`. Zero is
            a stationary point of the map to `scale`, so no gradient leads away from it.

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
        """Hold `raw_scale` to the shape and dtype of `mean`."""
        check_width("raw_scale", self.raw_scale, self.mean, self.shape)

    @classmethod
    def from_value(
        cls, value: ArrayLike, init_raw_stdv: Any = 0.01
    ) -> "LaplacianParameter":
        """Laplace around `value`, every entry with the same unconstrained width."""
        mean = as_float_array(value)
        return cls(mean, matching_width(mean, init_raw_stdv))

    @property
    def scale(self) -> Float[Array, "..."]:
        """The scale `raw_scale**2 + 1e-4` of the Laplace density."""
        return positive(self.raw_scale)

    @property
    def stdv(self) -> Float[Array, "..."]:
        """The standard deviation `sqrt(2) * scale`."""
        return 2**0.5 * self.scale

    def sample(self, rng: PRNGKeyArray) -> Float[Array, "..."]:
        """Draw `mean + scale * eps` with standard Laplace `eps`."""
        eps = standard_laplace(rng, self.shape, self.mean.dtype)
        return self.mean + self.scale * eps

    def log_prob(self, value: ArrayLike) -> Float[Array, ""]:
        """Sum of the Laplace log densities of the entries of `value`."""
        value = as_float_array(value)
        check_shape("value", value, self.shape)
        return jnp.sum(jax.scipy.stats.laplace.logpdf(value, self.mean, self.scale))

    def entropy(self) -> Float[Array, ""]:
        """Sum over entries of `1 + log(2 scale)`."""
        return jnp.sum(1 + jnp.log(2 * self.scale))
