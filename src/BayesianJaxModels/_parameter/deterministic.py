"""A parameter without uncertainty."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from .._check import as_float_array, check_shape
from .base import AbstractParameter, no_divergence


class DeterministicParameter(AbstractParameter):
    """A point mass at `mean`.

    For what is known, or what a training loop of your own learns without uncertainty.
    The engines (`map_estimate`, `laplace`, `importance`, `nuts` and the others) take it
    as known: it keeps its value and is no entry of what they infer.

    Attributes:
        mean: The value, of any shape.
        support: As in `AbstractParameter`.

    Raises:
        TypeError: If `mean` is not made of real numbers.

    Example:
        ```python
        gravity = bjm.DeterministicParameter(9.81)  # m/s^2
        gravity.sample(jax.random.key(0))  # 9.81
        ```
    """

    mean: Float[Array, "..."] = eqx.field(converter=as_float_array)

    @classmethod
    def from_value(
        cls, value: ArrayLike, init_raw_stdv: Any = None
    ) -> "DeterministicParameter":
        """A point mass at `value`; `init_raw_stdv` has nothing to act on."""
        return cls(as_float_array(value))

    @property
    def group(self):
        return "deterministic"

    @property
    def is_known(self):
        return True

    @property
    def stdv(self) -> Float[Array, "..."]:
        """Zeros in the shape of `mean`."""
        return jnp.zeros_like(self.mean)

    def with_stdv(self, stdv: Any) -> "DeterministicParameter":
        """The same: a point mass has no width."""
        return self

    def kl_to_normal(self, mean, stdv):
        """Refuse: a point mass has no density beside a normal one.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(no_divergence(self, "a normal distribution"))

    @property
    def root(self):
        return jnp.zeros((self.mean.size, self.mean.size), self.mean.dtype)

    @property
    def noise_size(self):
        return 0

    def displaced(self, normal):
        return self.mean

    def sample(self, rng):
        return self.mean

    def log_prob(self, value: ArrayLike) -> Float[Array, ""]:
        """Log probability mass: 0 where `value` is `mean`, minus infinity elsewhere."""
        value = as_float_array(value)
        check_shape("value", value, self.shape)
        mass = jnp.where(jnp.all(value == self.mean), 0.0, -jnp.inf)
        return mass.astype(self.mean.dtype)

    def entropy(self) -> Float[Array, ""]:
        """0, the entropy of a point mass with respect to the counting measure."""
        return jnp.zeros((), self.mean.dtype)
