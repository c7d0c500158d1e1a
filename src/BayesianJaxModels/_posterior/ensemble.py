"""A posterior made of models trained side by side."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from .._check import is_array
from .._model import name_of
from .mean_field import as_posterior
from .mixing import AbstractMixture, read_weights


class EnsemblePosterior(AbstractMixture):
    """Members of one structure, stacked; made by `ensemble`.

    Attributes:
        members: A model or posterior, every array with a leading axis of members.
        weights: The weights of the members, of shape `(m,)`, which sum to 1.

    Raises:
        ValueError: As `ensemble` does.

    Example:
        ```python
        fits = bjm.GaussianParameter(jnp.array([0.4, 0.9]), jnp.array([0.1, 0.2]))
        posterior = bjm.ensemble(fits, weights=[3.0, 1.0])  # of two fits of a rate
        posterior.weights  # [0.75, 0.25]
        posterior.member(1).mean  # 0.9
        ```
    """

    members: PyTree
    weights: Float[Array, " m"]

    def __init__(self, members: PyTree, weights: Any = None):
        """See `ensemble`."""
        sizes = {
            name_of(path): jnp.shape(leaf)[:1]
            for path, leaf in jax.tree_util.tree_leaves_with_path(members)
            if is_array(leaf)
        }
        if not sizes:
            raise ValueError("`members` has no arrays, so there is nothing to draw.")
        first_name, first = next(iter(sizes.items()))
        for name, size in sizes.items():
            if size != first or size in ((), (0,)):
                raise ValueError(
                    "Every array of `members` must have a leading axis of members, as "
                    "`equinox.filter_vmap` gives it. That of "
                    f"`{first_name}` is {first}, but that of `{name}` is {size}. For a "
                    "list of models use `MixturePosterior`."
                )
        self.members = members
        self.weights = read_weights(weights, first[0])

    @property
    def model(self) -> PyTree:
        """The model of the first member."""
        return as_posterior(self.member(0)).model

    def member(self, index: int | Int[Array, ""]) -> PyTree:
        """One of the members, a model or a posterior.

        Args:
            index: From 0 to the number of members less 1.
        """
        return jax.tree.map(
            lambda leaf: jnp.asarray(leaf)[index] if is_array(leaf) else leaf,
            self.members,
        )

    def _listed(self):
        return [self.member(index) for index in range(len(self.weights))]

    def _each(self, fn):
        arrays, rest = eqx.partition(self.members, is_array)
        arrays = jax.tree.map(jnp.asarray, arrays)
        return jax.vmap(lambda own: fn(eqx.combine(own, rest)))(arrays)

    def draw(self, key: PRNGKeyArray) -> PyTree:
        """Pick a member in proportion to the weights, and draw its parameters."""
        index, key = self._pick(key)
        return as_posterior(self.member(index)).draw(key)
