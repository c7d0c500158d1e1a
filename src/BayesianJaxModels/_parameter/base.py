"""What every parameter is: one array and a distribution over it."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

# Keeps a width that training drives towards zero away from log(0) and 1/0.
MIN_WIDTH = 1e-4


def positive(raw: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Map an unconstrained width to a positive one, `raw**2 + 1e-4`."""
    return raw**2 + MIN_WIDTH


class AbstractParameter(eqx.Module):
    """One float array and a distribution over it.

    A subclass of your own works everywhere in the library: give it a `mean`, one
    float array for each width, and the methods below. The `mean` is recognised by
    its name in the parameter; every other float array of a parameter is a width,
    whatever it is called. Methods treat the whole array as one random variable, so
    densities and entropies are scalars; batches are what `jax.vmap` is for.

    Attributes:
        mean: The location, of any shape. In a drawn model it holds the drawn value.

    Example:
        ```python
        class LogisticParameter(bjm.AbstractParameter):
            mean: jax.Array
            raw_scale: jax.Array

            @classmethod
            def from_value(cls, value, init_raw_stdv):
                return cls(value, jnp.full_like(value, init_raw_stdv))

            @property
            def scale(self):
                return self.raw_scale**2 + 1e-4

            @property
            def stdv(self):
                return self.scale * jnp.pi / 3**0.5

            def sample(self, rng):
                return self.mean + self.scale * jax.random.logistic(rng, self.shape)

            def log_prob(self, value):
                return jax.scipy.stats.logistic.logpdf(
                    value, self.mean, self.scale
                ).sum()

            def entropy(self):
                return jnp.sum(jnp.log(self.scale) + 2)


        dose = bjm.make_parameter(
            [1.0, 2.5], param_type=LogisticParameter, init_raw_stdv=0.5
        )
        dose.stdv  # [0.454, 0.454]
        ```
    """

    mean: eqx.AbstractVar[Float[Array, "..."]]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `mean` and of every draw."""
        return self.mean.shape

    @property
    def is_known(self) -> bool:
        """Whether the value is taken as known, so that no engine infers it."""
        return False

    @property
    @abstractmethod
    def stdv(self) -> Float[Array, "..."]:
        """The marginal standard deviations, in the shape and unit of `mean`."""

    @classmethod
    @abstractmethod
    def from_value(cls, value: ArrayLike, init_raw_stdv: Any) -> "AbstractParameter":
        """Build a parameter located at `value`.

        Args:
            value: The location, of any shape.
            init_raw_stdv: The unconstrained width that every entry starts with, one
                number.

        Returns:
            A parameter of this type whose `mean` is `value`.

        Raises:
            TypeError: If `value` or `init_raw_stdv` is not made of real numbers.
            ValueError: If `init_raw_stdv` is an array with axes.
        """

    @abstractmethod
    def sample(self, rng: PRNGKeyArray) -> Float[Array, "..."]:
        """Draw once, differentiably (reparameterised).

        Args:
            rng: A JAX random key.

        Returns:
            A draw in the shape, dtype and unit of `mean`.
        """

    @abstractmethod
    def log_prob(self, value: ArrayLike) -> Float[Array, ""]:
        """Log density over all entries.

        Args:
            value: Where, in the shape and unit of `mean`.

        Returns:
            A scalar, in nats.

        Raises:
            TypeError: If `value` is not made of real numbers.
            ValueError: If `value` has another shape.
        """

    @abstractmethod
    def entropy(self) -> Float[Array, ""]:
        """Differential entropy in nats over all entries, constants included."""
