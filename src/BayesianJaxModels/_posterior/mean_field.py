"""A plain model as the posterior that it is."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from .._model import (
    AbstractEstimate,
    draw_from_noise,
    entropy,
    flatten_means,
    flatten_stdvs,
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
    """A plain model as a posterior: its parameters are independent of each other."""

    model: PyTree

    def draw(self, key: PRNGKeyArray) -> PyTree:
        return sample_all_parameters(self.model, key)

    def log_prob(self, drawn: PyTree) -> Float[Array, ""]:
        values = get_parameters(drawn)
        parameters = get_parameters(self.model).items()
        densities = [p.log_prob(values[name].mean) for name, p in parameters]
        return jnp.sum(ravel_all(densities))

    def flatten_means(self) -> Float[Array, " n"]:
        return flatten_means(self.model)

    def flatten_stdvs(self) -> Float[Array, " n"]:
        return flatten_stdvs(self.model)

    def normal_parameters(self) -> list[bool]:
        return [p.is_normal for p in get_parameters(self.model).values()]

    def entropy(self) -> Float[Array, ""]:
        return entropy(self.model)

    def draw_and_log_prob(self, key, path_only=False):
        return sample_with_log_prob(self.model, key, path_only)

    @property
    def noise_size(self):
        return noise_size(self.model)

    def displaced_and_log_prob(self, normal, path_only=False):
        return draw_from_noise(self.model, normal, path_only)

    def mean_log_prior(self, prior: Prior) -> Float[Array, ""]:
        return -kl_to_prior(self.model, prior) - entropy(self.model)

    def moments(self) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]:
        stdv = np.asarray(free_stdvs(self.model), np.float64)
        return np.asarray(free_means(self.model), np.float64), np.diag(stdv**2)


def as_posterior(posterior: PyTree) -> AbstractPosterior:
    """A posterior as it is, and a plain model as the mean-field one that it is."""
    if isinstance(posterior, AbstractEstimate):
        return posterior.as_posterior()
    return MeanFieldPosterior(posterior)


def moments(
    posterior: PyTree,
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]:
    """Mean and covariance over all entries of a posterior or model, in float64."""
    mean, covariance = as_posterior(posterior).moments()
    return np.asarray(mean, np.float64), np.asarray(covariance, np.float64)
