"""Draw all weights of a model, once."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from .._compute import fold_in
from .._parameter import AbstractParameter
from .introspect import get_parameters
from .tree import Model, map_parameters, replace_mean

# From so many on, parameters of one shape are drawn together: XLA compiles a random
# number generator for each place that draws.
MANY_ALIKE = 5


def sample_all_parameters(model: Model, rng: PRNGKeyArray) -> Model:
    """Draw every parameter of a model once.

    Draw before you integrate and keep the drawn model for the whole trajectory; drawing
    inside the vector field would give every stage of the solver other weights.

    Args:
        model: Any pytree with parameters. It is not changed.
        rng: A JAX random key. The parameter with index `i` in `get_parameters` draws
            from `jax.random.fold_in(rng, i)`.

    Returns:
        The same tree, where the `mean` of every parameter holds its draw and the widths
        are kept. Call it with `sample=False`. Differentiable with respect to means and
        widths (reparameterised, Kingma & Welling 2014, arXiv:1312.6114).

    Example:
        ```python
        model = bjm.BayesianLinear(2, 16, key=jax.random.key(0))
        drawn = bjm.sample_all_parameters(model, jax.random.key(1))
        features = drawn(np.ones((10, 2)), sample=False)
        features.shape  # (10, 16): the same weights for all ten
        ```
    """
    parameters = list(get_parameters(model).values())
    keys = fold_in(rng, np.arange(len(parameters)))
    values = {}
    for indices in _alike(parameters):
        if len(indices) < MANY_ALIKE:
            values |= {i: parameters[i].sample(keys[i]) for i in indices}
            continue
        stacked = jax.tree.map(
            lambda *leaves: jnp.stack(leaves), *[parameters[i] for i in indices]
        )
        draws = jax.vmap(lambda parameter, key: parameter.sample(key))(
            stacked, keys[np.array(indices)]
        )
        values |= dict(zip(indices, draws, strict=True))
    return map_parameters(
        lambda index, parameter: replace_mean(parameter, values[index]), model
    )


def _alike(parameters: list[AbstractParameter]) -> list[list[int]]:
    """The indices of parameters with the same type, shapes and dtypes."""
    groups = {}
    for index, parameter in enumerate(parameters):
        leaves, treedef = jax.tree.flatten(parameter)
        kind = (treedef, *[(jnp.shape(x), jnp.result_type(x)) for x in leaves])
        groups.setdefault(kind, []).append(index)
    return list(groups.values())


def draw_if(sample: bool, model: Model, key: PRNGKeyArray | None) -> Model:
    """The model with drawn weights if `sample`, else the model at its means.

    Raises:
        ValueError: If there is no key to draw with.
    """
    if not sample:
        return model
    if key is None:
        raise ValueError(
            "`key` is None, but `sample=True` draws the weights. Pass "
            "`key=jax.random.key(...)`, or `sample=False` to use the means."
        )
    return sample_all_parameters(model, key)
