"""Posteriors and trajectories as xarray data trees, which ArviZ reads."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, ArrayLike, PRNGKeyArray, PyTree

from .._check import import_extra
from .._dynamics import Trajectory
from .._model import get_parameters
from .._posterior import as_posterior
from .._predict import (
    Prediction,
    by_series,
    map_posterior,
    mask_of_densities,
)


def posterior_to_datatree(
    posterior: PyTree,
    quantities: Callable[[Any], Mapping[str, Array]] | None = None,
    *,
    key: PRNGKeyArray,
    num_samples: int | None,
    log_likelihood: Callable[[Any], Array | Mapping[str, Array]] | None = None,
    observed: ArrayLike | Mapping[str, ArrayLike] | None = None,
    dims: Mapping[str, Sequence[str]] | None = None,
    coords: Mapping[str, Sequence[Any]] | None = None,
) -> Any:
    """Draw from a posterior into a `DataTree` with the group `posterior`.

    Needs ArviZ's base package: `pip install "BayesianJaxModels[arviz]"`. With the log
    likelihood of every observation, `arviz_stats.loo` estimates how well the model
    predicts new ones, and `arviz_stats.compare` compares models by that.

    Args:
        posterior: A model with parameters, or an `AbstractPosterior`.
        quantities: From a drawn model to arrays by name; by default every parameter by
            its name, which is `parameter` where the model is itself one.
        key: A JAX random key.
        num_samples: How many draws, of equal weights; `None` for every draw of a
            `DrawsPosterior` without weights, in order: those of `nuts` by chain.
        log_likelihood: From a drawn model to the log density of every observation, as
            `log_prob_each` of a likelihood gives it: an array, called `y` in the tree,
            or arrays by name. It makes the group `log_likelihood`, of the same draws.
        observed: The observations, in the shape of what `log_likelihood` returns. They
            make the group `observed_data`. NaN is missing: such entries are left out of
            both groups, and the others are in one axis, labelled by their place in the
            flattened array.
        dims: The names of the axes of a quantity, by its name.
        coords: The labels along an axis, by the name of the axis.

    Returns:
        An `xarray.DataTree`. Quantities have the axes `chain`, `draw` and their own.

    Raises:
        ImportError: If arviz-base is missing.
        ValueError: If `num_samples` is below 1, or `None` for draws with weights or for
            draws of `nuts` of which some were dropped, or if `observed` is not in the
            shape of the log likelihoods.

    Example:
        ```python
        data = jnp.array([1.1, 0.4, 0.9, 1.6])

        def each(level):
            noise = bjm.likelihoods.NormalLikelihood(0.5)
            return {"counts": noise.log_prob_each(jnp.full(4, level.mean), data)}

        tree = bjm.posterior_to_datatree(
            bjm.make_parameter(1.0, init_raw_stdv=0.5),
            lambda level: {"level": level.mean},
            key=jax.random.key(0),
            num_samples=4_000,
            log_likelihood=each,
            observed={"counts": data},
            dims={"counts": ["day"]},
            coords={"day": ["Mon", "Tue", "Wed", "Thu"]},
        )
        tree["log_likelihood"]["counts"].sel(day="Tue").shape  # (1, 4000)
        # import arviz_stats; arviz_stats.loo(tree)
        ```
    """
    from_dict = _from_dict()
    num_chains = _num_chains(posterior) if num_samples is None else 1

    def by_chain(leaf):
        return np.asarray(leaf).reshape(num_chains, -1, *leaf.shape[1:])

    fn = eqx.Partial(_of_draw, quantities, log_likelihood)
    drawn = map_posterior(fn, posterior, key=key, num_samples=num_samples)
    values, likelihoods = jax.tree.map(by_chain, drawn)
    groups = {"posterior": dict(values)}
    if log_likelihood is not None:
        groups["log_likelihood"] = dict(likelihoods)
    dims, coords = dict(dims or {}), dict(coords or {})
    if observed is not None:
        named = observed if isinstance(observed, Mapping) else {"y": observed}
        data = {name: np.asarray(value) for name, value in named.items()}
        log_likelihoods = groups.get("log_likelihood", {})
        wanted = {name: x.shape[2:] for name, x in log_likelihoods.items()}
        came = {name: x.shape for name, x in data.items()}
        if came != wanted:
            raise ValueError(
                "`observed` must have the names and shapes of what `log_likelihood` "
                f"returns, {wanted}, but has {came}."
            )
        for name, x in data.items():
            missing = np.isnan(x)
            if missing.any():
                data[name] = x[~missing]
                log_likelihoods[name] = log_likelihoods[name][:, :, ~missing]
                dims[name] = [f"{name}_observed"]
                coords[f"{name}_observed"] = np.flatnonzero(~missing).tolist()
        groups["observed_data"] = data
    return from_dict(groups, dims=dims, coords=coords)


def _of_draw(
    quantities: Callable | None, log_likelihood: Callable | None, drawn: PyTree
) -> tuple[Mapping[str, Array], Mapping[str, Array]]:
    values = (_parameters if quantities is None else quantities)(drawn)
    each = {} if log_likelihood is None else log_likelihood(drawn)
    return values, each if isinstance(each, Mapping) else {"y": each}


def _num_chains(posterior: PyTree) -> int:
    """How many chains all draws of a posterior are from."""
    posterior = as_posterior(posterior)
    if posterior.item_weights is not None:
        raise ValueError(
            "`num_samples` must be a number for draws with weights: ArviZ takes "
            "all draws for equally likely, and that many are then picked by weight."
        )
    if posterior.num_items is None:
        return 1  # and `map_posterior` asks for a number
    num_chains, length = posterior.chains
    if posterior.num_items != num_chains * length:
        raise ValueError(
            f"`posterior` has {posterior.num_items} draws, but its diagnostics are of "
            f"{num_chains} chains of {length}: of which chain a draw is, is not known. "
            "Give the posterior of `nuts` as it is, a number as `num_samples`, or a "
            "`DrawsPosterior` without diagnostics, whose draws are one chain."
        )
    return num_chains


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
        there is a batch of them), `time` and `state`, failed draws included;
        `sample_stats` says which draws succeeded, how many steps they took, and which
        an event ended and when. `observed_data` has the data. Where trajectories have
        times of their own, the axis is `step`, and the times are in `constant_data`.

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


def prediction_to_datatree(
    prediction: Any,
    *,
    dims: Mapping[str, Sequence[str]] | None = None,
    coords: Mapping[str, Sequence[Any]] | None = None,
) -> Any:
    """Put a prediction, its draws and its data into a `DataTree`.

    Needs ArviZ's base package: `pip install "BayesianJaxModels[arviz]"`.

    Args:
        prediction: From `predict`, of draws without weights.
        dims: The names of the axes of a parameter, or of a series after its time, by
            name.
        coords: The labels along an axis, by the name of the axis.

    Returns:
        An `xarray.DataTree`. `posterior` has the value of every parameter by name;
        `posterior_predictive` the observations with noise, as `y` or by the names of
        series, `predictions` in its place where the times are others than those of the
        data; `observed_data` the data and `log_likelihood` their log densities;
        `sample_stats` which draws succeeded, and how many steps they took. Where a mask
        leaves data out, these groups have the others in one axis, labelled by their
        place in the flattened array.

    Raises:
        ImportError: If arviz-base is missing.
        TypeError: If `prediction` is no `Prediction`.
        ValueError: If the draws have weights.

    Example:
        ```python
        rate = bjm.make_parameter(0.5, stdv=0.1, support="positive")
        problem = bjm.Problem(
            lambda rate: jnp.exp(-rate.value * jnp.arange(1.0, 4.0)),
            likelihood=bjm.likelihoods.NormalLikelihood(0.05),
            observations=np.array([0.63, 0.33, 0.24]),
            prior=None,
        )
        found = bjm.predict(problem, rate, key=jax.random.key(0), num_samples=100)
        tree = bjm.prediction_to_datatree(found)
        tree["posterior_predictive"]["y"].shape  # (1, 100, 3)
        ```
    """
    from_dict = _from_dict()
    if not isinstance(prediction, Prediction):
        raise TypeError(
            "`prediction` must be a `Prediction`, from `predict`, but is a "
            f"{type(prediction).__name__}."
        )
    if prediction.weights is not None:
        raise ValueError(
            "`prediction` has weights, but ArviZ takes all draws for equally likely. "
            "Pass a number as `num_samples` to `predict`: that many are then picked by "
            "weight."
        )

    def by_chain(leaf):
        return np.asarray(leaf).reshape(prediction.num_chains, -1, *leaf.shape[1:])

    named = {
        part: by_series(getattr(prediction, part))
        for part in ("observations", "log_likelihood", "observed", "mask")
    }
    dims = dict(dims or {})
    coords = {name: list(labels) for name, labels in (coords or {}).items()}
    draws = {name: by_chain(leaf) for name, leaf in named["observations"].items()}
    likelihoods = {name: by_chain(x) for name, x in named["log_likelihood"].items()}
    data = {name: np.asarray(leaf) for name, leaf in named["observed"].items()}
    ts = () if isinstance(prediction.ts, tuple) else np.asarray(prediction.ts)
    for name, leaf in draws.items():
        if np.ndim(ts) == 1 and leaf.shape[2:3] == np.shape(ts):
            dims[name] = ["time", *dims.get(name, ())]
            coords["time"] = list(ts)
    for name, mask in named["mask"].items():
        there = np.asarray(mask)
        if name in data and not there.all():
            data[name] = data[name][there]
            draws[name] = draws[name][:, :, there]
            known = mask_of_densities(there, named["log_likelihood"][name])
            likelihoods[name] = likelihoods[name][:, :, known]
            dims[name] = [f"{name}_observed"]
            coords[f"{name}_observed"] = np.flatnonzero(there).tolist()
    parameters = eqx.filter_vmap(_parameters)(prediction.drawn)
    stats: dict[str, Any] = {"succeeded": prediction.succeeded}
    if isinstance(prediction.states, Trajectory):
        stats["num_steps"] = prediction.states.num_steps
    predicted = "predictions" if prediction.is_ahead else "posterior_predictive"
    groups = {
        "posterior": {name: by_chain(leaf) for name, leaf in parameters.items()},
        predicted: draws,
        "sample_stats": {name: by_chain(leaf) for name, leaf in stats.items()},
        "log_likelihood": likelihoods,
        "observed_data": data,
    }
    groups = {name: group for name, group in groups.items() if group}
    names = {"dims": dims, "coords": coords, "pred_dims": dims, "pred_coords": coords}
    return from_dict(groups, **names)


def _from_dict() -> Callable:
    return import_extra("arviz_base", "A data tree", "arviz-base", "arviz").from_dict


def _parameters(drawn: PyTree) -> dict[str, Array]:
    parameters = get_parameters(drawn)
    return {name or "parameter": p.value for name, p in parameters.items()}


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
