"""What can be drawn from: a model, or a posterior over one."""

from abc import abstractmethod

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, PyTree

from .._model import (
    AbstractEstimate,
    free_means,
    free_stdvs,
    get_parameters,
    ravel_all,
    sample_all_parameters,
)


class AbstractPosterior(AbstractEstimate):
    """A distribution over the parameters of a model, jointly.

    A plain model with parameters needs no such class: it is its own mean-field
    posterior. Every function that takes a posterior takes either.

    Attributes:
        model: A model with the parameters, shapes and dtypes that draws have.

    Example:
        ```python
        class Doubled(bjm.AbstractPosterior):
            model: bjm.GaussianParameter

            def draw(self, key):
                drawn = bjm.sample_all_parameters(self.model, key)
                return bjm.unflatten_means(drawn, 2 * bjm.flatten_means(drawn))

        posterior = Doubled(bjm.make_parameter([0.5, 2.0]))
        posterior.draw(jax.random.key(0)).mean  # [1.0, 4.0]
        ```
    """

    model: eqx.AbstractVar[PyTree]

    @abstractmethod
    def draw(self, key: PRNGKeyArray) -> PyTree:
        """Draw once, under `jax.jit` and `jax.vmap` too.

        Args:
            key: A JAX random key.

        Returns:
            A drawn model, as `sample_all_parameters` returns one.
        """

    def log_prob(self, drawn: PyTree) -> Float[Array, ""]:
        """The log density over all entries, in nats. Not every posterior has one.

        Args:
            drawn: A model of the same structure, with drawn values.

        Raises:
            NotImplementedError: If the density is not known.
        """
        raise NotImplementedError(
            f"A {type(self).__name__} has no density that is known. Take a plain "
            "model, a `JointPosterior` or a `MixturePosterior` of them."
        )

    def moments(self) -> tuple[Float[ArrayLike, " d"], Float[ArrayLike, "d d"]]:
        """Mean and covariance of the entries. Not every posterior knows them.

        Returns:
            The mean, of shape `(d,)` in the order of `flatten_means` without what is
            known, and the covariance `(d, d)`.

        Raises:
            NotImplementedError: If they are not known.
        """
        raise NotImplementedError(
            f"The moments of a {type(self).__name__} are not known. Start from a plain "
            "model, or a `JointPosterior`, `DrawsPosterior` or `MixturePosterior`."
        )

    def parts(self) -> tuple[Float[np.ndarray, " k"], list[PyTree]]:
        """What it is a mixture of, and their weights in float64: itself, as a rule."""
        return np.ones(1), [self]


def draw_model(posterior: PyTree, key: PRNGKeyArray) -> PyTree:
    """Draw once from an `AbstractPosterior`, or all parameters of a plain model."""
    if isinstance(posterior, AbstractPosterior):
        return posterior.draw(key)
    return sample_all_parameters(posterior, key)


def model_of(posterior: PyTree) -> PyTree:
    """A model of the structure that draws have."""
    return posterior.model if isinstance(posterior, AbstractPosterior) else posterior


def log_prob_of(posterior: PyTree, drawn: PyTree) -> Float[Array, ""]:
    """The log density of drawn values under a posterior, or under a plain model."""
    if isinstance(posterior, AbstractPosterior):
        return posterior.log_prob(drawn)
    values = get_parameters(drawn)
    parameters = get_parameters(posterior).items()
    return jnp.sum(ravel_all([p.log_prob(values[name].mean) for name, p in parameters]))


def parts_of(posterior: PyTree) -> tuple[Float[np.ndarray, " k"], list[PyTree]]:
    """The parts of a mixture with their weights; of a plain model, itself."""
    if isinstance(posterior, AbstractPosterior):
        return posterior.parts()
    return np.ones(1), [posterior]


def moments(
    posterior: PyTree,
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]:
    """Mean and covariance over all entries, in NumPy and float64.

    Args:
        posterior: An `AbstractPosterior`, or a plain model, whose entries are
            independent.

    Raises:
        NotImplementedError: For a posterior whose moments are not known.
    """
    if isinstance(posterior, AbstractPosterior):
        mean, covariance = posterior.moments()
    else:
        mean = free_means(posterior)
        covariance = np.diag(np.asarray(free_stdvs(posterior), np.float64) ** 2)
    return np.asarray(mean, np.float64), np.asarray(covariance, np.float64)
