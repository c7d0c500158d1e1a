"""An ensemble as an engine: models trained side by side."""

from typing import Any

from jaxtyping import PyTree

from .._posterior import EnsemblePosterior


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
