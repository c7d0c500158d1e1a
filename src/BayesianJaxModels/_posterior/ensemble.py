"""Posteriors made of several: an ensemble, a mixture."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from .._check import as_float_array, check_shape, check_values
from .._compute import fold_in
from .._model import (
    flatten_means,
    flatten_named,
    flatten_stdvs,
    is_parameter,
    name_of,
    replace_mean,
)
from .posterior import (
    AbstractPosterior,
    draw_model,
    log_prob_of,
    model_of,
    moments,
    parts_of,
)


class EnsemblePosterior(AbstractPosterior):
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
            if _is_array(leaf)
        }
        if not sizes:
            raise ValueError("`members` has no arrays, so there is nothing to draw.")
        (first_name, first), *rest = sizes.items()
        for name, size in [(first_name, first), *rest]:
            if size != first or size in ((), (0,)):
                raise ValueError(
                    "Every array of `members` must have a leading axis of members, as "
                    "`equinox.filter_vmap` gives it. That of "
                    f"`{first_name}` is {first}, but that of `{name}` is {size}. For a "
                    "list of models use `MixturePosterior`."
                )
        self.members = members
        self.weights = _read_weights(weights, first[0])

    @property
    def model(self) -> PyTree:
        """The model of the first member."""
        return model_of(self.member(0))

    def member(self, index: int | Int[Array, ""]) -> PyTree:
        """One of the members, a model or a posterior.

        Args:
            index: From 0 to the number of members less 1.
        """
        return jax.tree.map(
            lambda leaf: jnp.asarray(leaf)[index] if _is_array(leaf) else leaf,
            self.members,
        )

    def flatten_means(self) -> Float[Array, " n"]:
        """The means over all members."""
        return _pool(self.weights, *self._moments())[0]

    def flatten_stdvs(self) -> Float[Array, " n"]:
        """The standard deviations over all members."""
        return _pool(self.weights, *self._moments())[1]

    def _moments(self) -> tuple[Float[Array, "m n"], Float[Array, "m n"]]:
        arrays, rest = eqx.partition(self.members, _is_array)

        def moments(own):
            member = eqx.combine(own, rest)
            return flatten_means(member), flatten_stdvs(member)

        return jax.vmap(moments)(jax.tree.map(jnp.asarray, arrays))

    def draw(self, key: PRNGKeyArray) -> PyTree:
        """Pick a member in proportion to the weights, and draw its parameters."""
        index = _pick(fold_in(key, 0), self.weights)
        return draw_model(self.member(index), fold_in(key, 1))

    def log_prob(self, drawn: PyTree) -> Float[Array, ""]:
        """The log density of the mixture of the members."""
        each = eqx.filter_vmap(log_prob_of, in_axes=(eqx.if_array(0), None))
        return _log_mixture(self.weights, each(self.members, drawn))

    def moments(self) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]:
        """The mean and covariance of the mixture of the members, in float64."""
        return _moments(self.weights, self._each())

    def parts(self) -> tuple[Float[np.ndarray, " k"], list[PyTree]]:
        """The members, and their weights in float64."""
        return _parts(self.weights, self._each())

    def _each(self) -> list[PyTree]:
        return [self.member(index) for index in range(len(self.weights))]


def ensemble(members: PyTree, weights: Any = None) -> EnsemblePosterior:
    """Make a posterior from models trained side by side.

    Members that each found another mode tell more of the posterior than one of them
    does (Lakshminarayanan et al. 2017, arXiv:1612.01474; with a distribution around
    each, Wilson & Izmailov 2020, arXiv:2002.08791).

    Args:
        members: Stacked models or posteriors of one structure, as training under
            `equinox.filter_vmap` returns them: every array has a leading axis of
            members. For a list of them use `MixturePosterior`.
        weights: A number for each member, not negative, up to a constant. Equal if
            `None`.

    Returns:
        A posterior. A draw picks a member and then draws its parameters, so members
        with `DeterministicParameter`s make an ensemble of points.

    Raises:
        ValueError: If there are no arrays, they differ in their leading axis, or the
            weights do not fit.

    Example:
        ```python
        keys = jax.random.split(jax.random.key(0), 5)
        make = eqx.filter_vmap(lambda key: bjm.BayesianLinear(2, 1, key=key))
        posterior = bjm.ensemble(make(keys))  # of layers that were not yet trained
        posterior.weights.shape  # (5,)
        posterior.draw(jax.random.key(1))(jnp.ones(2), sample=False).shape  # (1,)
        ```
    """
    return EnsemblePosterior(members, weights)


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
        self.weights = _read_weights(weights, len(components))
        wanted = _signature(self.model)
        for index, component in enumerate(self.components):
            found = _signature(model_of(component))
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
        return model_of(self.components[0])

    def flatten_means(self) -> Float[Array, " n"]:
        """The means over all components."""
        return _pool(self.weights, *self._moments())[0]

    def flatten_stdvs(self) -> Float[Array, " n"]:
        """The standard deviations over all components."""
        return _pool(self.weights, *self._moments())[1]

    def _moments(self) -> tuple[Float[Array, "m n"], Float[Array, "m n"]]:
        dtype = flatten_means(self.model).dtype
        return (
            jnp.stack([flatten_means(c).astype(dtype) for c in self.components]),
            jnp.stack([flatten_stdvs(c).astype(dtype) for c in self.components]),
        )

    def draw(self, key: PRNGKeyArray) -> PyTree:
        """Pick a component in proportion to the weights, and draw from it.

        The drawn model has the kinds of parameters, and their widths, of the first
        component. Under `jax.vmap` every component draws, and one draw is kept.
        """
        named, treedef = flatten_named(self.model)
        nodes = [node for _, node in named]
        dtypes = [value.dtype for value in _values(self.model)]

        def drawer(component):
            def draw(key):
                values = _values(draw_model(component, key))
                return [v.astype(t) for v, t in zip(values, dtypes, strict=True)]

            return draw

        branches = [drawer(component) for component in self.components]
        index = _pick(fold_in(key, 0), self.weights)
        values = iter(lax.switch(index, branches, fold_in(key, 1)))
        for place, node in enumerate(nodes):
            if is_parameter(node) and _is_array(node.mean):
                nodes[place] = replace_mean(node, next(values))
            elif _is_array(node):
                nodes[place] = next(values)
        return jax.tree.unflatten(treedef, nodes)

    def log_prob(self, drawn: PyTree) -> Float[Array, ""]:
        """The log density, that of every component weighted and summed."""
        each = jnp.stack([log_prob_of(part, drawn) for part in self.components])
        return _log_mixture(self.weights, each)

    def moments(self) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, "d d"]]:
        """The mean and covariance of the whole mixture, in float64."""
        return _moments(self.weights, self.components)

    def parts(self) -> tuple[Float[np.ndarray, " k"], list[PyTree]]:
        """The components, and those of mixtures among them, with their weights."""
        return _parts(self.weights, self.components)


def _parts(
    weights: Float[Array, " m"], posteriors: Sequence[PyTree]
) -> tuple[Float[np.ndarray, " k"], list[PyTree]]:
    shares = np.asarray(weights, np.float64)
    inner, parts = zip(*map(parts_of, posteriors), strict=True)
    scaled = [share * each for share, each in zip(shares, inner, strict=True)]
    return np.concatenate(scaled), [part for each in parts for part in each]


def _log_mixture(
    weights: Float[Array, " m"], each: Float[Array, " m"]
) -> Float[Array, ""]:
    return jax.scipy.special.logsumexp(each, b=weights.astype(each.dtype))


def _moments(
    weights: Float[Array, " m"], parts: Sequence[PyTree]
) -> tuple[np.ndarray, np.ndarray]:
    shares = np.asarray(weights, np.float64)
    means, covariances = map(np.stack, zip(*map(moments, parts), strict=True))
    mean = shares @ means
    between = (shares[:, None] * (means - mean)).T @ (means - mean)
    return mean, np.tensordot(shares, covariances, 1) + between


def _values(model: PyTree) -> list[Array]:
    """The means of parameters and the arrays outside of them, in the tree's order."""
    nodes = [node for _, node in flatten_named(model)[0]]
    values = [node.mean if is_parameter(node) else node for node in nodes]
    return [value for value in values if _is_array(value)]


def _signature(model: PyTree) -> tuple[Any, dict[str, tuple[int, ...]]]:
    """What draws of two models must share: the tree, and shapes by name."""
    named, treedef = flatten_named(model)
    shapes = {
        name: jnp.shape(value)
        for name, value in (
            (name, node.mean if is_parameter(node) else node) for name, node in named
        )
        if _is_array(value)
    }
    return treedef, shapes


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray)


def _pool(
    weights: Float[Array, " m"], means: Float[Array, "m n"], stdvs: Float[Array, "m n"]
) -> tuple[Float[Array, " n"], Float[Array, " n"]]:
    """Mean and standard deviation of a mixture, from those of its components."""
    weights = weights.astype(means.dtype)[:, None]
    mean = jnp.sum(weights * means, axis=0)
    variance = jnp.sum(weights * (stdvs**2 + (means - mean) ** 2), axis=0)
    return mean, jnp.sqrt(variance)


def _pick(key: PRNGKeyArray, weights: Float[Array, " m"]) -> Int[Array, ""]:
    return jax.random.categorical(key, jnp.log(weights))


def _read_weights(weights: Any, size: int) -> Float[Array, " m"]:
    """Weights that sum to 1."""
    if weights is None:
        return jnp.full(size, 1 / size)
    weights = as_float_array(weights, "weights")
    check_shape("weights", weights, (size,))
    is_good = jnp.all((weights >= 0) & jnp.isfinite(weights)) & (jnp.sum(weights) > 0)
    weights = check_values(
        weights, ~is_good, "`weights` must be finite, at least 0 and not all 0."
    )
    return weights / jnp.sum(weights)
