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
    """

    mean: eqx.AbstractVar[Float[Array, "..."]]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `mean` and of every draw."""
        return self.mean.shape

    @property
    @abstractmethod
    def stdv(self) -> Float[Array, "..."]:
        """The marginal standard deviation of every entry, in the shape of `mean`."""

    @classmethod
    @abstractmethod
    def from_value(cls, value: ArrayLike, init_raw_stdv: Any) -> "AbstractParameter":
        """Build a parameter located at `value`.

        Args:
            value: The location, of any shape.
            init_raw_stdv: The unconstrained width that every entry starts with.
        """

    @abstractmethod
    def sample(self, rng: PRNGKeyArray) -> Float[Array, "..."]:
        """Draw once, in the shape of `mean`, differentiably (reparameterised)."""

    @abstractmethod
    def log_prob(self, value: ArrayLike) -> Float[Array, ""]:
        """Log density at `value`, which has the shape of `mean`, over all entries."""

    @abstractmethod
    def entropy(self) -> Float[Array, ""]:
        """Differential entropy in nats over all entries, constants included."""
