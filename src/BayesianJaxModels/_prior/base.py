"""What a prior of entries is."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from .._parameter import AbstractParameter, Interval


class AbstractPrior(eqx.Module):
    """A distribution of independent entries, the prior of one parameter.

    It is about `value` of a parameter, inside its `support` if it has one. Those of the
    package take numbers, or arrays that broadcast to the shape of the parameter, in its
    unit. A subclass of your own needs `log_density` and `sample`; one with `ends` may
    not be given to a parameter whose support it exceeds.

    Example:
        ```python
        class Uniform(bjm.priors.AbstractPrior):
            def log_density(self, value):
                return jnp.where((value >= 0) & (value <= 1), 0.0, -jnp.inf)

            def sample(self, key, value):
                return jax.random.uniform(key, value.shape, value.dtype)

        shares = bjm.make_parameter([0.2, 0.7])
        bjm.log_prior(shares, bjm.Prior(default=Uniform()))  # 0.0
        ```
    """

    @abstractmethod
    def log_density(self, value: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """The log density of every entry; minus infinity outside the support.

        Args:
            value: Of a parameter.
        """

    @property
    def ends(self) -> tuple[Any, Any] | None:
        """The ends between which the density is not zero; `None` if not known."""
        return None

    def on(self, support: Interval) -> "AbstractPrior":
        """The distribution of the unconstrained number that stands for a value.

        Args:
            support: Of the parameter whose value has this distribution.
        """
        return OnSupport(self, support)

    def kl_from(self, q: AbstractParameter) -> Float[Array, ""]:
        """`KL(q || prior)`, in nats.

        Args:
            q: A parameter with widths.

        Raises:
            NotImplementedError: If this distribution does not know it.
        """
        raise NotImplementedError(
            f"A {type(self).__name__} knows no divergence from it in closed form."
        )

    def mean_log_density(
        self, mean: Float[Array, "*shape"], stdv: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        """The mean of the log density over any distribution with these moments.

        Args:
            mean: The mean of each entry.
            stdv: The standard deviation of each entry.

        Raises:
            NotImplementedError: If it takes more than these moments.
        """
        raise NotImplementedError(
            f"The mean log density of a {type(self).__name__} is not known from mean "
            "and standard deviation alone. Pass `kl='sampled'`."
        )

    @abstractmethod
    def sample(
        self, key: PRNGKeyArray, value: Float[Array, "*shape"]
    ) -> Float[Array, "*shape"]:
        """Draw every entry.

        Args:
            key: A JAX random key.
            value: Of a parameter: its shape and dtype are those of the draw.
        """


class OnSupport(AbstractPrior):
    """A prior of the value of a parameter, for the number that stands for it."""

    prior: AbstractPrior
    support: Interval = eqx.field(static=True)

    def log_density(self, value):
        # Where the value overflows, nothing flows back.
        is_finite = jnp.isfinite(self.support.value(value))
        value = jnp.where(is_finite, value, 0)
        density = self.prior.log_density(self.support.value(value))
        inside = is_finite & (density > -jnp.inf)
        return jnp.where(inside, density + self.support.log_slope(value), -jnp.inf)

    def sample(self, key, value):
        return self.support.unconstrained(self.prior.sample(key, value))
