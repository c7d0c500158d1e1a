"""Draw all weights of a model, once."""

from collections.abc import Callable, Hashable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from .._check import check_key, is_array
from .._compute import fold_in, is_threefry
from .._parameter import AbstractParameter
from .estimate import AbstractEstimate
from .introspect import get_parameters
from .tree import Model, map_parameters, ravel_all, replace_mean

# From so many on, parameters of one shape are drawn together: XLA compiles a random
# number generator for each place that draws.
MANY_ALIKE = 5


def sample_all_parameters(model: Model, rng: PRNGKeyArray) -> Model:
    """Draw every parameter of a model once.

    Draw before you integrate: drawing inside the vector field would give every stage of
    the solver other weights.

    Args:
        model: Any pytree with parameters. It is not changed. A posterior gives one of
            its own draws, `posterior.draw(rng)`, a drawn model.
        rng: A JAX random key. The parameter with index `i` in `get_parameters` draws
            from `jax.random.fold_in(rng, i)`.

    Returns:
        The same tree with the draw as the `mean` of every parameter; call it with
        `sample=False`. Differentiable with respect to means and widths
        (reparameterised, Kingma & Welling 2014, arXiv:1312.6114).

    Raises:
        ValueError: If `rng` is `None` or an array of keys.
        TypeError: If `rng` is no random key of JAX, or `model` is a fit.

    Example:
        ```python
        model = bjm.BayesianLinear(2, 16, key=jax.random.key(0))
        drawn = bjm.sample_all_parameters(model, jax.random.key(1))
        features = drawn(np.ones((10, 2)), sample=False)
        features.shape  # (10, 16): the same weights for all ten
        ```
    """
    if isinstance(model, AbstractEstimate):
        return model.draw(check_key(rng, "rng"))
    values = _draw_each(model, rng, lambda parameter, key: parameter.sample(key))
    return map_parameters(lambda i, p: replace_mean(p, values[i]), model)


def sample_with_log_prob(
    model: Model, rng: PRNGKeyArray, path_only: bool = False
) -> tuple[Model, Float[Array, ""]]:
    """What `sample_all_parameters` draws, and its log density over all parameters.

    With `path_only` the density has derivatives with respect to the draw alone, not to
    the means and widths of `model`.
    """
    pairs = _draw_each(model, rng, lambda p, key: p.sample_and_log_prob(key, path_only))
    drawn = map_parameters(lambda i, p: replace_mean(p, pairs[i][0]), model)
    return drawn, jnp.sum(ravel_all([log_prob for _, log_prob in pairs]))


def noise_size(model: PyTree) -> int:
    """How many normal variates a draw of all parameters takes."""
    return sum(p.noise_size for p in get_parameters(model).values())


def draw_from_noise(
    model: Model, noise: Float[Array, " d"], path_only: bool = False
) -> tuple[Model, Float[Array, ""]]:
    """As `sample_with_log_prob`, but a function of standard normal variates.

    Minus the noise gives the draw reflected about the means.
    """
    parameters = list(get_parameters(model).values())
    ends = np.cumsum([0, *(p.noise_size for p in parameters)])
    log_probs = []

    def place(index, parameter):
        part = noise[ends[index] : ends[index + 1]].astype(parameter.mean.dtype)
        draw, log_prob = parameter.displaced_and_log_prob(part, path_only)
        log_probs.append(log_prob)
        return replace_mean(parameter, draw)

    drawn = map_parameters(place, model)
    return drawn, jnp.sum(ravel_all(log_probs))


def _draw_each(
    model: PyTree,
    rng: PRNGKeyArray,
    draw: Callable[[AbstractParameter, PRNGKeyArray], Any],
) -> list[Any]:
    """`draw(parameter, key)` of all parameters, each with its own key."""
    parameters = list(get_parameters(model).values())
    rng = check_key(rng, "rng")
    # Other generators draw otherwise under `jax.vmap`.
    together, places = is_threefry(rng), np.arange(len(parameters))
    keys = fold_in(rng, places) if together else [fold_in(rng, i) for i in places]
    found = {}
    for indices in _alike(parameters):
        if len(indices) < MANY_ALIKE or not together:
            found |= {i: draw(parameters[i], keys[i]) for i in indices}
            continue
        arrays = [eqx.filter(parameters[i], is_array) for i in indices]
        rest = eqx.filter(parameters[indices[0]], is_array, inverse=True)
        draws = jax.vmap(lambda own, key, rest=rest: draw(eqx.combine(own, rest), key))(
            jax.tree.map(_stack, *arrays),
            keys[np.array(indices)],
        )
        leaves, treedef = jax.tree.flatten(draws)
        rows = zip(*(_unstack(leaf) for leaf in leaves), strict=True)
        for i, row in zip(indices, rows, strict=True):
            found[i] = jax.tree.unflatten(treedef, row)
    return [found[i] for i in range(len(parameters))]


# Of many arrays `jnp.stack` and an index each make several operations for every array;
# these make one for all, and tracing a deep model takes less time.
def _stack(*leaves: Array) -> Array:
    """`jnp.stack(leaves)`."""
    shape = (len(leaves), *leaves[0].shape)
    return jnp.concatenate([jnp.atleast_1d(leaf) for leaf in leaves]).reshape(shape)


def _unstack(leaf: Array) -> list[Array]:
    """`list(leaf)`: the entries along the first axis."""
    count, *shape = leaf.shape
    if not shape:
        return [lax.squeeze(piece, [0]) for piece in lax.split(leaf, [1] * count)]
    length = shape[0]
    return list(lax.split(leaf.reshape(count * length, *shape[1:]), [length] * count))


def _alike(parameters: list[AbstractParameter]) -> list[list[int]]:
    """The indices of parameters that differ in nothing but the values of arrays."""
    groups = {}
    for index, parameter in enumerate(parameters):
        leaves, treedef = jax.tree.flatten(parameter)
        groups.setdefault((treedef, *map(_kind, leaves)), []).append(index)
    return list(groups.values())


def _kind(leaf: Any) -> Hashable:
    if is_array(leaf):
        return jnp.shape(leaf), leaf.dtype
    return (type(leaf), leaf) if isinstance(leaf, Hashable) else id(leaf)


def draw_if(sample: bool, model: Model, key: PRNGKeyArray | None) -> Model:
    """The model with drawn weights if `sample`, else the model at its means."""
    if not sample:
        return model
    if key is None:
        raise ValueError(
            "A key is required: `key` is None, but `sample=True` draws the weights. "
            "Pass `key=jax.random.key(...)`, or `sample=False` to use the means."
        )
    return sample_all_parameters(model, check_key(key))
