"""Into the coordinates in which chains move, and back."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ..._check import as_jax
from ..._compute import fold_in
from ..._model import AbstractEstimate, free_dtype, free_means, replace_free_means
from ..._posterior import DrawsPosterior, as_posterior

NUM_DRAWS = 2_000  # of a start that is not made of draws


def into_coordinates(log_density: Any, start: PyTree, key: PRNGKeyArray) -> PyTree:
    """A start in the coordinates of a problem that has its own, as `noncentred` has."""
    if _moves(log_density) is None:
        return start
    if not isinstance(start, AbstractEstimate):
        return log_density.coordinates(start)
    posterior = as_posterior(start)
    draw, weights = posterior.item, posterior.item_weights
    indices: Any = as_jax(np.arange(posterior.num_items or 0))
    if posterior.num_items is None:
        draw, indices = posterior.draw, fold_in(key, np.arange(NUM_DRAWS))
    return DrawsPosterior(
        log_density.coordinates(posterior.model),
        _moved_draws(log_density, draw, indices),
        None if weights is None else jnp.log(weights),
    )


def out_of_coordinates(
    log_density: Any, model: PyTree, draws: Float[np.ndarray, "*n d"]
) -> Float[np.ndarray, "*n d"]:
    """Draws in the units of the parameters again."""
    if _moves(log_density) is None:
        return draws
    rows = as_jax(draws.reshape(-1, draws.shape[-1]), free_dtype(model))
    return np.asarray(_natural(log_density, model, rows)).reshape(draws.shape)


def prior_of_coordinates(log_density: Any) -> Any:
    """The prior of a problem that has coordinates of its own, of these."""
    return log_density.prior


def _moves(log_density: Any) -> Any:
    return getattr(log_density, "coordinates", None)


@eqx.filter_jit
def _moved_draws(log_density: Any, draw: Any, indices: Array) -> Float[Array, "n d"]:
    return jax.vmap(lambda i: free_means(log_density.coordinates(draw(i))))(indices)


@eqx.filter_jit
def _natural(
    log_density: Any, model: PyTree, rows: Float[Array, "n d"]
) -> Float[Array, "n d"]:
    def one(row):
        return free_means(log_density.natural(replace_free_means(model, row)))

    return jax.vmap(one)(rows)
