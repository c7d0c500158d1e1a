"""A plain model as the posterior that it is."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from .._model import (
    AbstractEstimate,
    draw_from_noise,
    entropy,
    free_means,
    free_stdvs,
    get_parameters,
    noise_size,
    ravel_all,
    sample_all_parameters,
    sample_with_log_prob,
)
from .._prior import Prior, kl_to_prior
from .base import AbstractPosterior


class MeanFieldPosterior(AbstractPosterior):
    """A plain model as a posterior: its parameters are independent of each other.

    Attributes:
        model: The model with parameters.
    """

    model: PyTree

    def draw(self, key: PRNGKeyArray) -> PyTree:
        """Draw all parameters."""
        return sample_all_parameters(self.model, key)

    def log_prob(self, drawn: PyTree) -> Float[Array, ""]:
        """The sum of the log densities of all parameters."""
        values = get_parameters(drawn)
        parameters = get_parameters(self.model).items()
        return jnp.sum(
            ravel_all([p.log_prob(values[name].mean) for name, p in parameters])
        )

    def entropy(self) -> Float[Array, ""]:
        """The sum of the entropies of all parameters."""
        return entropy(self.model)

    def draw_and_log_prob(self, key, path_only=False):
        """Draw all parameters, with their log density."""
        return sample_with_log_prob(self.model, key, path_only)

    @property
    def noise_size(self):
        """The normal numbers that all parameters take."""
        return noise_size(self.model)

    def displaced_and_log_prob(self, normal, path_only=False):
        """All parameters as functions of normal numbers, with their log density."""
        return draw_from_noise(self.model, normal, path_only)

    def mean_log_prior(self, prior: Prior) -> Float[Array, ""]:
        """From the divergences of all parameters from their priors."""
        return -kl_to_prior(self.model, prior) - entropy(self.model)

    def moments(self) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]:
        """The means and the diagonal covariance of all entries, in float64."""
        mean, stdv = (
            np.asarray(verb(self.model), np.float64)
            for verb in (free_means, free_stdvs)
        )
        return mean, np.diag(stdv**2)


def as_posterior(posterior: PyTree) -> AbstractPosterior:
    """A posterior as it is, and a plain model as the mean-field one that it is."""
    if isinstance(posterior, AbstractPosterior):
        return posterior
    if isinstance(posterior, AbstractEstimate):
        raise TypeError(
            f"A {type(posterior).__name__} is a point and no posterior. Pass its "
            "`model`, or `laplace(log_density, estimate)`."
        )
    return MeanFieldPosterior(posterior)


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
    mean, covariance = as_posterior(posterior).moments()
    return np.asarray(mean, np.float64), np.asarray(covariance, np.float64)
