"""A posterior made of draws."""

from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from .._check import check_finite, check_shape
from .._compute import one_program
from .._model import (
    OF_ONE_MODEL,
    check_model,
    flatten_means,
    free_columns,
    free_means,
    refuse,
    replace_free_means,
    unflatten_means,
)
from .base import AbstractPosterior

_softmax = one_program(jax.nn.softmax)


class AbstractDiagnostics(eqx.Module):
    """What an engine says of the draws that it made."""

    @abstractmethod
    def complaints(self) -> list[str]:
        """What is wrong, one sentence each; empty where no fault was found."""

    @property
    def chains(self) -> tuple[int, int] | None:
        """How many chains the draws are of, one after the other, and their length."""
        return None

    def of_entries(self) -> dict[str, Float[np.ndarray, " d"]]:
        """What there is to say of each entry, by the heading that it has in a table."""
        return {}


class DrawsPosterior(AbstractPosterior):
    """A posterior made of draws, with equal weights or their own.

    `draw(key)` picks one of them in proportion to the weights. With `num_samples=None`,
    `map_posterior` and `posterior_trajectories` take every draw once, in order; a
    trajectory then carries the weights and summaries use them.

    Attributes:
        model: Says what the parameters are.
        draws: Of shape `(n, d)`: a row for each draw, its entries ordered as by
            `flatten_means`. Those of `DeterministicParameter`s may be left out, as the
            engines do.
        log_weights: The logarithms of the weights up to a constant, of shape `(n,)`, or
            `None` where all are equal.
        diagnostics: What the engine that made the draws says of them, if one did.

    Raises:
        ValueError: If shapes do not fit each other or the model, or a draw is not
            finite.

    Example:
        ```python
        rates = bjm.make_parameter([0.5, 2.0])
        draws = jnp.array([[0.4, 1.9], [0.5, 2.0], [0.6, 2.3]])  # of another sampler
        posterior = bjm.DrawsPosterior(rates, draws, jnp.log(jnp.array([1, 2, 1])))
        posterior.weights  # [0.25, 0.5, 0.25]
        posterior.item(2).mean  # [0.6, 2.3]
        ```
    """

    model: PyTree
    draws: Float[Array, "..."]
    log_weights: Float[Array, "..."] | None = None
    diagnostics: Any = None

    def __check_init__(self):
        check_model("DrawsPosterior", self.model)
        num_entries = flatten_means(self.model).size
        num_free = free_means(self.model).size
        if jnp.shape(self.draws)[-1:] == (num_free,):
            num_entries = num_free
        check_shape("draws", self.draws, (len(self.draws), num_entries))
        check_finite("draws", self.draws)
        if self.log_weights is not None:
            check_shape("log_weights", self.log_weights, (len(self.draws),))

    @property
    def weights(self) -> Float[Array, " n"]:
        """The weights, which sum to 1."""
        if self.log_weights is None:
            return jnp.full(len(self.draws), 1 / len(self.draws), self.draws.dtype)
        return _softmax(self.log_weights)

    @property
    def item_weights(self):
        return None if self.log_weights is None else self.weights

    @property
    def chains(self):
        told = self.diagnostics
        chains = told.chains if isinstance(told, AbstractDiagnostics) else None
        return (1, len(self.draws)) if chains is None else chains

    def of_entries(self):
        told = self.diagnostics
        is_of_these = self.chains[0] * self.chains[1] == len(self.draws)
        return (
            told.of_entries()
            if isinstance(told, AbstractDiagnostics) and is_of_these
            else {}
        )

    def notes(self):
        return [] if self.diagnostics is None else [repr(self.diagnostics)]

    def item(self, index: int | Int[Array, ""]) -> PyTree:
        values = self.draws[index]
        is_whole = values.size == flatten_means(self.model).size
        place = unflatten_means if is_whole else replace_free_means
        return place(self.model, values)

    @property
    def num_items(self):
        return len(self.draws)

    def get_parameters(self, verb="get_parameters") -> None:
        """Refuse: `model` says what the parameters are, not where."""
        refuse(verb, self, OF_ONE_MODEL)

    def flatten_means(self) -> Float[Array, " d"]:
        """The means over the draws, of shape `(d,)`."""
        return jnp.sum(self.weights[:, None] * self.draws, axis=0)

    def flatten_stdvs(self) -> Float[Array, " d"]:
        """The standard deviations over the draws, of shape `(d,)`."""
        distance = self.draws - self.flatten_means()
        return jnp.sqrt(jnp.sum(self.weights[:, None] * distance**2, axis=0))

    def draw(self, key: PRNGKeyArray) -> PyTree:
        """Pick one of the draws in proportion to the weights."""
        if self.log_weights is None:
            return self.item(jax.random.randint(key, (), 0, len(self.draws)))
        # A categorical draw would take n random numbers.
        cumulative = jnp.cumsum(self.weights)
        uniform = jax.random.uniform(key, (), cumulative.dtype) * cumulative[-1]
        index = jnp.searchsorted(cumulative, uniform, side="right")
        return self.item(jnp.minimum(index, len(self.draws) - 1))

    def log_prob(self, drawn: PyTree) -> Float[Array, ""]:
        """Refuse: draws have no density.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError(
            "A DrawsPosterior has no density to compare. Look at its `diagnostics`, or "
            "pass the fit that the engine started at."
        )

    def moments(self) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]:
        """The weighted mean and covariance of the draws, in float64."""
        draws = np.asarray(self.draws, np.float64)
        is_free = np.asarray(free_columns(self.model))
        if draws.shape[1] == len(is_free):
            draws = draws[:, is_free]
        return weighted_moments(draws, np.asarray(self.weights, np.float64))


def weighted_moments(
    draws: Float[np.ndarray, "n d"], weights: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]:
    """Mean and covariance of draws whose weights sum to 1."""
    mean = weights @ draws
    deviations = draws - mean
    return mean, (weights[:, None] * deviations).T @ deviations
