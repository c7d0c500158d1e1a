"""A weighted mixture of posteriors."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from .._check import is_array
from .._model import flatten_named, replace_mean
from .._parameter import is_parameter
from .mean_field import as_posterior
from .mixing import AbstractMixture, read_weights


class MixturePosterior(AbstractMixture):
    """A weighted mixture of posteriors over models of one structure.

    Args:
        components: A list of at least one model or posterior. Their parameters have the
            same names and shapes, and may be of different kinds.
        weights: A number for each component, not negative, up to a constant. Equal if
            `None`; the attribute sums to 1.

    Raises:
        ValueError: If the models of two components differ in structure, names or
            shapes, or the weights do not fit (under `jax.jit`, where they are not
            finite and positive, they and the density are NaN).

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

    def _listed(self):
        return list(self.components)

    def _each(self, fn):
        values = [fn(component) for component in self.components]
        return jnp.stack([value.astype(values[0].dtype) for value in values])

    def draw(self, key: PRNGKeyArray) -> PyTree:
        """Pick a component in proportion to the weights, and draw from it.

        The drawn model has the types and widths of parameters of the first component.
        Under `jax.vmap` every component draws, and one draw is kept.
        """
        index, key = self._pick(key)
        named, treedef = flatten_named(self.model)
        nodes = [node for _, node in named]
        dtypes = [value.dtype for value in _values(self.model)]

        def drawer(component):
            def draw(key):
                values = _values(component.draw(key))
                return [v.astype(t) for v, t in zip(values, dtypes, strict=True)]

            return draw

        branches = [drawer(as_posterior(part)) for part in self.components]
        values = iter(lax.switch(index, branches, key))
        for place, node in enumerate(nodes):
            if is_array(_value(node)):
                value = next(values)
                is_mean = is_parameter(node)
                nodes[place] = replace_mean(node, value) if is_mean else value
        return jax.tree.unflatten(treedef, nodes)


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
