"""A weighted mixture of posteriors."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from .._check import is_array
from .._compute import fold_in
from .._model import flatten_means, flatten_named, flatten_stdvs, replace_mean
from .._parameter import is_parameter
from .base import AbstractPosterior
from .mean_field import as_posterior
from .mixing import moments_of_all, parts_of_all, pool, read_weights


class MixturePosterior(AbstractPosterior):
    """A weighted mixture of posteriors over models of one structure.

    Args:
        components: A list of at least one model or posterior. Their parameters have the
            same names and shapes, and may be of different kinds.
        weights: A number for each component, not negative, up to a constant. Equal if
            `None`; the attribute sums to 1.

    Raises:
        ValueError: If the models of two components differ in structure, names or
            shapes, or the weights do not fit.

    Example:
        ```python
        modes = [bjm.make_parameter(0.4), bjm.make_parameter(0.9)]  # of a rate
        mixture = bjm.MixturePosterior(modes, weights=[1.0, 3.0])
        mixture.weights  # [0.25, 0.75]
        drawn = mixture.draw(jax.random.key(0))
        ```
    """

    components: tuple[PyTree, ...]
    weights: Float[Array, " m"]

    def __init__(self, components: Any, weights: Any = None):
        if not isinstance(components, list | tuple) or len(components) == 0:
            raise ValueError(
                "`components` must be a list of at least one model or posterior, but "
                f"got {type(components).__name__}. For stacked models use `ensemble`."
            )
        self.components = tuple(components)
        self.weights = read_weights(weights, len(components))
        wanted = _signature(self.model)
        for index, component in enumerate(self.components):
            found = _signature(as_posterior(component).model)
            if found != wanted:
                differing = sorted(set(wanted[1].items()) ^ set(found[1].items()))
                raise ValueError(
                    f"Component {index} has another model than component 0: "
                    f"{differing or 'their tree structures differ'}. All must have "
                    "parameters of the same names and shapes."
                )

    @property
    def model(self) -> PyTree:
        """The model of the first component, whose structure all draws have."""
        return as_posterior(self.components[0]).model

    def flatten_means(self) -> Float[Array, " n"]:
        """The means over all components."""
        return pool(self.weights, *self._moments())[0]

    def flatten_stdvs(self) -> Float[Array, " n"]:
        """The standard deviations over all components."""
        return pool(self.weights, *self._moments())[1]

    def _moments(self) -> tuple[Float[Array, "m n"], Float[Array, "m n"]]:
        dtype = flatten_means(self.model).dtype
        return (
            jnp.stack([flatten_means(c).astype(dtype) for c in self.components]),
            jnp.stack([flatten_stdvs(c).astype(dtype) for c in self.components]),
        )

    def draw(self, key: PRNGKeyArray) -> PyTree:
        """Pick a component in proportion to the weights, and draw from it.

        The drawn model has the types and widths of parameters of the first component.
        Under `jax.vmap` every component draws, and one draw is kept.
        """
        named, treedef = flatten_named(self.model)
        nodes = [node for _, node in named]
        dtypes = [value.dtype for value in _values(self.model)]

        def drawer(component):
            def draw(key):
                values = _values(component.draw(key))
                return [v.astype(t) for v, t in zip(values, dtypes, strict=True)]

            return draw

        branches = [drawer(as_posterior(part)) for part in self.components]
        index = jax.random.categorical(fold_in(key, 0), jnp.log(self.weights))
        values = iter(lax.switch(index, branches, fold_in(key, 1)))
        for place, node in enumerate(nodes):
            if is_array(_value(node)):
                value = next(values)
                is_mean = is_parameter(node)
                nodes[place] = replace_mean(node, value) if is_mean else value
        return jax.tree.unflatten(treedef, nodes)

    def log_prob(self, drawn: PyTree) -> Float[Array, ""]:
        """The log density, that of every component weighted and summed."""
        parts = map(as_posterior, self.components)
        each = jnp.stack([part.log_prob(drawn) for part in parts])
        return logsumexp(each, b=self.weights.astype(each.dtype))

    def moments(self) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]:
        """The mean and covariance of the whole mixture, in float64."""
        return moments_of_all(self.weights, self.components)

    def parts(self) -> tuple[Float[np.ndarray, " k"], list[AbstractPosterior]]:
        """The components, and those of mixtures among them, with their weights."""
        return parts_of_all(self.weights, self.components)


def _values(model: PyTree) -> list[Array]:
    """The means of parameters and the arrays outside of them, in the tree's order."""
    values = [_value(node) for _, node in flatten_named(model)[0]]
    return [value for value in values if is_array(value)]


def _value(node: Any) -> Any:
    return node.mean if is_parameter(node) else node


def _signature(model: PyTree) -> tuple[Any, dict[str, tuple[int, ...]]]:
    """What draws of two models must share: the tree, and shapes by name."""
    named, treedef = flatten_named(model)
    values = {name: _value(node) for name, node in named}
    shapes = {name: v.shape for name, v in values.items() if is_array(v)}
    return treedef, shapes
