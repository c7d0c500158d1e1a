"""Posteriors and trajectories as xarray data trees, which ArviZ reads."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, PRNGKeyArray, PyTree

from .._dynamics import Trajectory
from .._inference import DrawsPosterior, NUTSDiagnostics
from .._model import get_parameters
from .map_posterior import map_posterior


def posterior_to_datatree(
    posterior: PyTree,
    quantities: Callable[[Any], Mapping[str, Array]] | None = None,
    *,
    key: PRNGKeyArray,
    num_samples: int | None,
    dims: Mapping[str, Sequence[str]] | None = None,
    coords: Mapping[str, Sequence[Any]] | None = None,
) -> Any:
    """Draw from a posterior into a `DataTree` with the group `posterior`.

    Needs ArviZ's base package: `pip install "BayesianJaxModels[arviz]"`.

    Args:
        posterior: A model with parameters, or an `AbstractPosterior`.
        quantities: From a drawn model to arrays by name, for what is of interest on
            another scale; by default every parameter by its name.
        key: A JAX random key.
        num_samples: How many draws, of equal weights; `None` for every draw of a
            `DrawsPosterior` without weights, in order: those of `nuts` by chain.
        dims: The names of the axes of a quantity, by its name.
        coords: The labels along an axis, by the name of the axis.

    Returns:
        An `xarray.DataTree`. Quantities have the axes `chain`, `draw` and their own.

    Raises:
        ImportError: If arviz-base is missing.
        ValueError: If `num_samples` is below 1, or `None` for draws with weights.

    Example:
        ```python
        model = {"rates": bjm.make_parameter([-0.7, -3.5], init_raw_stdv=0.3)}
        tree = bjm.posterior_to_datatree(
            model,
            lambda drawn: {"rates": jnp.exp(drawn["rates"].mean)},
            key=jax.random.key(0),
            num_samples=100,
            dims={"rates": ["rate"]},
            coords={"rate": ["birth", "death"]},
        )
        tree["posterior"]["rates"].sel(rate="birth").shape  # (1, 100)
        ```
    """
    from_dict = _from_dict()
    num_chains = 1
    if num_samples is None and isinstance(posterior, DrawsPosterior):
        if posterior.log_weights is not None:
            raise ValueError(
                "`num_samples` must be a number for draws with weights: ArviZ takes "
                "all draws for equally likely, and that many are then picked by weight."
            )
        if isinstance(posterior.diagnostics, NUTSDiagnostics):
            num_chains = len(posterior.diagnostics.step_size)
    fn = _parameters if quantities is None else quantities
    values = map_posterior(fn, posterior, key=key, num_samples=num_samples)
    by_chain = {
        name: np.asarray(value).reshape(num_chains, -1, *value.shape[1:])
        for name, value in values.items()
    }
    return from_dict({"posterior": by_chain}, dims=dims, coords=coords)


def trajectory_to_datatree(
    trajectory: Trajectory,
    *,
    observed: PyTree | None = None,
    states: Sequence[str] | None = None,
) -> Any:
    """Put posterior trajectories into a `DataTree`.

    Needs ArviZ's base package: `pip install "BayesianJaxModels[arviz]"`.

    Args:
        trajectory: From `posterior_trajectories`: the first batch axis is draws.
        observed: Data at the times of the trajectory, in the structure of the state
            and the shape of one draw, `(T, *state)`. NaN is missing.
        states: The names of the components, where the state is one vector.

    Returns:
        An `xarray.DataTree`. The group `posterior_predictive` has the states, as `y` or
        by the names of the pytree, with the axes `chain`, `draw`, `trajectory` (if
        there is a batch of them), `time` and `state`; `sample_stats` says which draws
        succeeded and how many steps they took, and of solves with an event, which it
        ended and when. Failed draws are there with what they hold. `observed_data` has
        the data. Where trajectories have times of their own, the axis is `step`, and
        the times are in `constant_data`.

    Raises:
        ImportError: If arviz-base is missing.
        ValueError: If there is no axis of draws, the draws have weights, or `observed`
            or `states` does not fit the state.

    Example:
        ```python
        field = bjm.NeuralVectorField(2, width=8, depth=1, key=jax.random.key(0))
        y0, ts, key = jnp.ones(2), jnp.linspace(0.0, 1.0, 5), jax.random.key(1)
        draws = bjm.posterior_trajectories(field, y0, ts, key=key, num_samples=20)
        tree = bjm.trajectory_to_datatree(draws, states=["prey", "predator"])
        tree["posterior_predictive"]["y"].dims  # ("chain", "draw", "time", "state")
        ```
    """
    from_dict = _from_dict()
    batch = np.shape(trajectory.num_steps)
    if not batch:
        raise ValueError("`trajectory` must have an axis of draws, but is one solve.")
    if trajectory.weights is not None:
        raise ValueError(
            "`trajectory` has weights, but ArviZ takes all draws for equally likely. "
            "Pass a number as `num_samples` to `posterior_trajectories`."
        )
    extra = [f"trajectory_{i}" for i in range(len(batch) - 1)]
    extra = ["trajectory"] if len(extra) == 1 else extra
    axis, times, coords = _times(trajectory)
    leaves = _named_leaves(trajectory.ys)
    stats = {"succeeded": trajectory.succeeded, "num_steps": trajectory.num_steps}
    if trajectory.end is not None:
        stats["ended_by_event"] = trajectory.ended_by_event
        stats["t_end"] = trajectory.t_end
    dims = {name: extra for name in stats} | {"time": [*extra, axis]}
    for name, leaf in leaves.items():
        own = leaf.shape[len(batch) + 1 :]
        labels = [f"state_{i}" for i in range(len(own))]
        dims[name] = [*extra, axis, *(["state"] if len(own) == 1 else labels)]
        if states is not None:
            if len(leaves) > 1 or own != (len(states),):
                state = f"has shape {own}" if len(leaves) == 1 else "is a pytree"
                raise ValueError(
                    f"`states` must name the components of a vector, but has "
                    f"{len(states)} names and the state {state}."
                )
            coords["state"] = list(states)
    groups = {
        "posterior_predictive": {name: leaf[None] for name, leaf in leaves.items()},
        "sample_stats": {name: np.asarray(x)[None] for name, x in stats.items()},
    }
    if observed is not None:
        groups["observed_data"] = _observed(observed, trajectory.ys, leaves)
    if axis == "step":
        groups["constant_data"] = {"time": times}
    return from_dict(groups, dims=dims, coords=coords)


def _from_dict() -> Callable:
    try:
        from arviz_base import from_dict
    except ImportError as error:
        raise ImportError(
            "Data trees need arviz-base, which is not installed. "
            '`pip install "BayesianJaxModels[arviz]"` brings it.'
        ) from error
    return from_dict


def _parameters(drawn: PyTree) -> dict[str, Array]:
    return {name: parameter.mean for name, parameter in get_parameters(drawn).items()}


def _named_leaves(tree: PyTree) -> dict[str, np.ndarray]:
    return {
        jax.tree_util.keystr(path, simple=True, separator=".") or "y": np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]
    }


def _times(trajectory: Trajectory) -> tuple[str, np.ndarray, dict[str, Any]]:
    """The name of the time axis, the times of a draw, and the labels of the axis."""
    times = np.asarray(trajectory.ts)
    if times.ndim == np.ndim(trajectory.num_steps) + 1:
        if not (times == times[:1]).all():
            raise ValueError("`trajectory` must have the same times in all draws.")
        times = times[0]
    rows = times.reshape(-1, times.shape[-1])
    if (rows == rows[0]).all():
        return "time", times, {"time": rows[0]}
    return "step", times, {}


def _observed(
    observed: PyTree, like: PyTree, leaves: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    treedef = jax.tree.structure(like)
    values = [np.asarray(leaf) for leaf in treedef.flatten_up_to(observed)]
    wanted = [leaf.shape[1:] for leaf in leaves.values()]
    came = [leaf.shape for leaf in values]
    if came != wanted:
        raise ValueError(
            f"`observed` must have the shape of one draw, {wanted}, but has {came}."
        )
    return dict(zip(leaves, values, strict=True))
