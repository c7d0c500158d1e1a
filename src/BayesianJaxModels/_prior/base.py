"""What a prior of entries is."""

from abc import abstractmethod

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray

from .._parameter import AbstractParameter


class AbstractPrior(eqx.Module):
    """A distribution of independent entries, the prior of one parameter.

    Those of the package take numbers, or arrays that broadcast to the shape of the
    parameter, in its unit. A subclass of your own needs `log_density` and `sample`.

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
