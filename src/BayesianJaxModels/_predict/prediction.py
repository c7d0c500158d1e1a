"""What follows from a posterior, draw by draw."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from .._dynamics import Trajectory
from .arrays import as_trajectory
from .label import label_of

PARTS = ("observables", "observations", "states")


class Prediction(eqx.Module):
    """What follows from draws of a posterior, in one structure with their models.

    The arrays of observables and observations have a leading axis of draws. There is
    one; or one for each series, by name; or, of a sum of problems, a tuple of these.

    Attributes:
        states: What the simulation returned: a `Trajectory` of draws, or what else it
            is, with a leading axis of draws; a tuple of a sum of problems.
        observables: What is observed of the states, without noise. NaN where a
            simulation failed.
        observations: Observables with noise, drawn from the likelihood.
        drawn: The drawn models: one model, whose arrays have a leading axis of draws.
        log_likelihood: The log density of every observation under every draw; `None`
            without observations.
        weights: The weights of the draws, which sum to 1; `None` if all are equal.
        ts: The times, of shape `(T,)`; `None` of a simulation without; a tuple of a sum
            of problems.
        observed: The data; `None` at other times than theirs.
        mask: Which of the data count, in their shape; `None` if all do. Of subjects
            without data, which times are their own, `(n, T)`: behind those of a shorter
            one its last is repeated.
        is_ahead: Whether the times are others than those of the data.
        num_chains: How many chains the draws are of, one after the other.

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
        found.observations.shape  # (100, 3)
        found.drawn.value.shape  # (100,)
        found.num_failed  # 0
        ```
    """

    states: PyTree
    observables: PyTree
    observations: PyTree
    drawn: PyTree
    log_likelihood: PyTree = None
    weights: Float[Array, " n"] | None = None
    ts: PyTree = None
    observed: PyTree = None
    mask: PyTree = None
    is_ahead: bool = eqx.field(static=True, default=False)
    num_chains: int = eqx.field(static=True, default=1)

    @property
    def num_draws(self) -> int:
        """How many draws there are, failed ones included."""
        return len(jax.tree.leaves(self.observables)[0])

    @property
    def succeeded(self) -> Bool[np.ndarray, " n"]:
        """Which draws are good, of shape `(num_draws,)`.

        All solves succeeded, and what is observed is finite, with and without noise. Of
        solves with an event it is NaN after that, and only the solves count.
        """
        good, ended = np.ones(self.num_draws, bool), False
        for part in _parts_of(self.states):
            if isinstance(part, Trajectory):
                good = good & _all(np.asarray(part.succeeded))
                ended = ended or part.end is not None
        if not ended:
            for leaf in jax.tree.leaves((self.observables, self.observations)):
                good = good & _all(np.isfinite(np.asarray(leaf)))
        return good

    @property
    def num_failed(self) -> int:
        """How many draws failed."""
        return int((~self.succeeded).sum())

    def __repr__(self) -> str:
        failed = self.num_failed
        words = f"Prediction of {self.num_draws:,} draws"
        words += "" if self.weights is None else ", weighted"
        words += f"; {failed:,} failed"
        words += f" ({100 * failed / self.num_draws:.3g} %)" if failed else ""
        for ts in jax.tree.leaves(self.ts):
            words += f"; {ts.shape[-1]} times from {np.min(ts):g} to {np.max(ts):g}"
        shapes = jax.tree.map(lambda leaf: leaf.shape, self.observations)
        words += f"; observations of shape {shapes}"
        words += ", beside data" if jax.tree.leaves(self.observed) else ""
        return words


def series_of(prediction: Prediction, of: str) -> PyTree:
    """The draws of a part, a `Trajectory` for every series of it.

    Args:
        prediction: The prediction.
        of: `"observables"`, `"observations"` or `"states"`.

    Raises:
        ValueError: If there is no such part, or it is no array over times.
    """
    if of not in PARTS:
        raise ValueError(f"`of` must be one of {list(PARTS)}, but got {of!r}.")
    part, weights = getattr(prediction, of), prediction.weights

    def read(part: Any, states: Any, ts: Any) -> Any:
        if isinstance(part, dict) and of != "states":
            return {name: read(one, states, ts) for name, one in part.items()}
        if isinstance(part, Trajectory):
            return part
        shape = np.shape(jax.tree.leaves(part)[0])
        if isinstance(states, Trajectory):
            # The times at which a draw still ran, and which of a batch failed.
            axes = np.shape(states.is_reached)
            if shape[: len(axes)] == axes:
                return replace(states, ys=part)
        of_these = ts is not None and shape[1 : np.ndim(ts) + 1] == np.shape(ts)
        return as_trajectory(part, ts if of_these else None, weights)

    if isinstance(prediction.observables, tuple):
        ts = prediction.ts or (None,) * len(part)
        return tuple(map(read, part, prediction.states, ts))
    return read(part, prediction.states, prediction.ts)


def by_series(tree: PyTree) -> dict[str, Any]:
    """The series of a part of a prediction by name, `"y"` of one that has none."""
    paths = jax.tree_util.tree_flatten_with_path(
        tree, is_leaf=lambda node: isinstance(node, Trajectory)
    )[0]
    return {label_of(path, (), "y"): leaf for path, leaf in paths}


def mask_of_densities(mask: Any, log_likelihood: Any) -> Bool[np.ndarray, "..."]:
    """Which log densities count: of a vector that has one, if any of it does."""
    there, num_axes = np.asarray(mask), np.ndim(log_likelihood) - 1
    return np.asarray(there.any(axis=tuple(range(num_axes, there.ndim))))


def with_times(states: PyTree, ts: Any, weights: Any) -> tuple[PyTree, Any]:
    """States with their times and weights, and these times, which all draws share."""
    if not isinstance(states, Trajectory):
        return states, None if ts is None else np.asarray(ts)
    if ts is None:
        of_draws = np.asarray(states.ts)
        if np.ndim(of_draws) > 1 and np.all(of_draws == of_draws[:1]):
            ts = of_draws[0]
    if ts is None:
        return replace(states, weights=weights), None
    ts = np.asarray(ts)
    rows = ts.reshape(-1, ts.shape[-1])
    known = rows[0] if np.all(rows == rows[0]) else ts
    whole = ts if ts.ndim == 1 else np.broadcast_to(ts, np.shape(states.ts))
    return replace(states, ts=whole, weights=weights), known


def _parts_of(states: PyTree) -> list[Any]:
    return jax.tree.leaves(states, is_leaf=lambda node: isinstance(node, Trajectory))


def _all(flags: np.ndarray) -> np.ndarray:
    return np.asarray(flags.reshape(len(flags), -1).all(axis=1))
