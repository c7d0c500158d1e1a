"""Draw all weights of a model, once."""

import numpy as np
from jaxtyping import PRNGKeyArray

from .._compute import fold_in
from .introspect import get_parameters
from .tree import Model, map_parameters, replace_mean


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
        keys = jax.random.split(jax.random.key(0), 100)
        outputs = jax.vmap(
            lambda key: sample_all_parameters(model, key)(x, sample=False)
        )(keys)
        ```
    """
    keys = fold_in(rng, np.arange(len(get_parameters(model))))

    def draw(index, parameter):
        return replace_mean(parameter, parameter.sample(keys[index]))

    return map_parameters(draw, model)


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
