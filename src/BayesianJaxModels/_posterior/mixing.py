"""What is true of every mixture, from its parts and their weights."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from .._check import (
    as_float_array,
    as_jax,
    check_shape,
    check_values,
    home_of,
    on_host,
)
from .._compute import fold_in
from .._model import flatten_means, flatten_stdvs
from .base import UNCHECKED, AbstractPosterior
from .mean_field import as_posterior, moments

# How many weights are told one by one.
MOST_TOLD = 8


class AbstractMixture(AbstractPosterior):
    """A weighted mixture of models or posteriors of one structure.

    Attributes:
        weights: Of the parts; they sum to 1.
    """

    weights: eqx.AbstractVar[Float[Array, " m"]]

    @abstractmethod
    def _listed(self) -> list[PyTree]:
        """The parts, one by one."""

    @abstractmethod
    def _each(self, fn: Callable[[PyTree], Array]) -> Float[Array, "m ..."]:
        """A function of every part, stacked."""

    def _pick(self, key: PRNGKeyArray) -> tuple[Int[Array, ""], PRNGKeyArray]:
        """The index of a part in proportion to the weights, and a key to draw it."""
        index = jax.random.categorical(fold_in(key, 0), jnp.log(self.weights))
        return index, fold_in(key, 1)

    def flatten_means(self):
        return self._pooled()[0]

    def flatten_stdvs(self):
        return self._pooled()[1]

    def _pooled(self) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
        means, stdvs = self._each(flatten_means), self._each(flatten_stdvs)
        weights = self.weights.astype(means.dtype)[:, None]
        mean = jnp.sum(weights * means, axis=0)
        variance = jnp.sum(weights * (stdvs**2 + (means - mean) ** 2), axis=0)
        return mean, jnp.sqrt(variance)

    def notes(self) -> list[str]:
        shares = np.asarray(self.weights, np.float64)
        told = ", ".join(f"{share:.2g}" for share in shares[:MOST_TOLD])
        rest = len(shares) - MOST_TOLD
        more = f" and {rest} more" if rest > 0 else ""
        return [f"mixture of {len(shares)}, weights {told}{more}", UNCHECKED]

    def log_prob(self, drawn):
        each = self._each(lambda part: as_posterior(part).log_prob(drawn))
        return logsumexp(each, b=self.weights.astype(each.dtype))

    def moments(self):
        shares = np.asarray(self.weights, np.float64)
        means, covariances = zip(*map(moments, self._listed()), strict=True)
        mean = shares @ means
        off = means - mean
        return mean, np.tensordot(shares, covariances, 1) + (shares * off.T) @ off

    def parts(self):
        scaled, parts = [], []
        shares = np.asarray(self.weights, np.float64)
        for share, part in zip(shares, self._listed(), strict=True):
            inner, parts_of_one = as_posterior(part).parts()
            scaled.append(share * inner)
            parts += parts_of_one
        return np.concatenate(scaled), parts


def read_weights(weights: Any, size: int) -> Float[Array, " m"]:
    """Weights that sum to 1."""
    if weights is None:
        return as_jax(np.full(size, 1 / size))
    weights = as_float_array(weights, "weights")
    check_shape("weights", weights, (size,))
    known = on_host(weights)
    is_good = ((known >= 0) & home_of(known).isfinite(known)).all() & (known.sum() > 0)
    weights = check_values(
        weights, ~is_good, "`weights` must be finite, at least 0 and not all 0."
    )
    if isinstance(weights, Tracer):
        return weights / jnp.sum(weights)
    return as_jax(known / known.sum())
