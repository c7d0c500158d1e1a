"""The mode of a posterior, from many starts."""

import warnings
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from .._compute import fold_in, progress_bar
from .._model import flatten_means, sample_all_parameters, unflatten_means
from .._model.estimate import OF_ONE_MODEL, AbstractEstimate, refuse
from .density import FlatDensity, values_and_gradients
from .prior import Prior, sample_prior
from .search import minimise

# Starts that end within this of the best log density have found the same mode.
SAME_MODE = 0.1


class MAPEstimate(AbstractEstimate):
    """The best of many searches for the mode.

    Attributes:
        model: The model with its means at the mode, a drawn model; its widths are those
            it came with.
        log_density: The log density there.
        log_densities: Where every start ended, of shape `(num_starts,)`, NumPy; minus
            infinity for those that failed.
        ends: The entries where every start ended, `(num_starts, d)`, NumPy.
        failed: Which starts had no finite log density, or gradient, to go by, of shape
            `(num_starts,)`.
        converged: Which searches met their tolerance within `max_steps`, alike.

    Example:
        ```python
        rates = bjm.make_parameter([1.0, 1.0], init_raw_stdv=0.7)
        found = bjm.map_estimate(
            lambda drawn: -jnp.sum((drawn.mean - 0.5) ** 2) / 2,
            rates,
            key=jax.random.key(0),
            num_starts=4,
        )
        found.num_agree, found.num_failed  # (4, 0)
        found.ends.shape  # (4, 2)
        ```
    """

    model: PyTree
    log_density: Float[np.ndarray, ""]
    log_densities: Float[np.ndarray, " num_starts"]
    ends: Float[np.ndarray, "num_starts d"]
    failed: Bool[np.ndarray, " num_starts"]
    converged: Bool[np.ndarray, " num_starts"]

    def get_parameters(self) -> None:
        """Refuse: the widths of the parameters are not fitted."""
        refuse("get_parameters", self, OF_ONE_MODEL)

    def flatten_means(self) -> Float[Array, " d"]:
        """The entries of the mode."""
        return flatten_means(self.model)

    @property
    def num_agree(self) -> int:
        """How many starts ended within .1 of the best log density."""
        return int(np.sum(self.log_densities >= self.log_density - SAME_MODE))

    @property
    def num_failed(self) -> int:
        """How many starts failed."""
        return int(np.sum(self.failed))

    def __repr__(self) -> str:
        return (
            f"MAPEstimate: log density {self.log_density:.6g}; {self.num_agree} of "
            f"{len(self.failed)} starts agree within {SAME_MODE}, {self.num_failed} "
            f"failed, {int(np.sum(self.converged))} met the tolerance"
        )


def map_estimate(
    log_density: Callable[[Any], Float[Array, ""]],
    model: PyTree,
    *,
    key: PRNGKeyArray,
    num_starts: int = 16,
    prior: Prior | None = None,
    tolerance: float | None = None,
    max_steps: int = 500,
    batch_size: int | None = None,
    progress: bool = False,
) -> MAPEstimate:
    """Maximise a log density from many starts and keep the best.

    The searches, by L-BFGS (Nocedal & Wright 2006, Numerical Optimization, algorithm
    7.4), advance together: the log density and its gradient at a point of each are one
    batch, on all cores. Runs on the host, not under `jax.jit`.

    Args:
        log_density: From a drawn model to the log joint density of data and parameters,
            a scalar. Its maximum depends on the coordinates that the parameters are in.
        model: Says what the parameters are.
        key: A JAX random key, for this alone. Start `i` is drawn with
            `fold_in(key, i)`.
        num_starts: How many starts, at least 1. Mechanistic models have local modes:
            take 12 or more, and look at `num_agree`.
        prior: Starts are draws of it; draws of the model's own distributions if `None`.
        tolerance: How far below its maximum, in nats and by its quadratic model, a
            search may end; 1e-6, or 1e-3 in single precision, by default.
        max_steps: Evaluations of each search at most.
        batch_size: How many starts run in lock-step.
        progress: Whether to show the starts that are done (needs tqdm).

    Returns:
        A `MAPEstimate`.

    Raises:
        ValueError: If `num_starts` or `batch_size` is below 1, `log_density` returns no
            single number, or `prior` does not fit the model.
        RuntimeError: If every start failed.
        ImportError: If tqdm is missing where `progress` asks for it.

    Warns:
        UserWarning: If the best search did not meet its tolerance.

    Example:
        ```python
        ts, likelihood = jnp.linspace(0.0, 4.0, 9), bjm.NormalLikelihood(0.1)
        prior = bjm.Prior(default=bjm.LogNormal(0.0, 1.0))

        def log_density(drawn):
            fit = likelihood.log_prob(jnp.exp(-drawn.mean * ts), jnp.exp(-0.5 * ts))
            return fit + bjm.log_prior(drawn, prior)

        rate, key = bjm.make_parameter(1.0), jax.random.key(0)
        found = bjm.map_estimate(log_density, rate, key=key, prior=prior)
        found.model.mean  # 0.50
        ```
    """
    if num_starts < 1:
        raise ValueError(f"`num_starts` must be at least 1, but got {num_starts}.")
    entries = flatten_means(model)
    if tolerance is None:
        tolerance = 1e-6 if entries.dtype == jnp.float64 else 1e-3
    density = FlatDensity(log_density, model)

    def evaluate(points):
        values, gradients = values_and_gradients(density, points, batch_size)
        return -values, -gradients

    with progress_bar(num_starts, "starts" if progress else None) as advance:
        ends, values, converged = minimise(
            evaluate,
            np.asarray(_starts(model, prior, key, num_starts), np.float64),
            tolerance=tolerance,
            max_steps=max_steps,
            progress=advance,
        )
    log_densities = -values
    failed = ~np.isfinite(log_densities)
    if failed.all():
        raise RuntimeError(
            f"All {num_starts} searches failed: the log density or its gradient was "
            "not finite where they started. Evaluate `log_density` on one draw; pass a "
            "narrower `prior` for the starts, or mask failed solves before a log."
        )
    best = int(np.argmax(log_densities))
    if not converged[best]:
        warnings.warn(
            f"The best search did not meet its tolerance in {max_steps} steps. Take "
            "more `max_steps` or a wider `tolerance`.",
            stacklevel=2,
        )
    return MAPEstimate(
        model=_place(model, jnp.asarray(ends[best], entries.dtype)),
        log_density=np.asarray(log_densities[best]),
        log_densities=log_densities,
        ends=ends,
        failed=failed,
        converged=converged,
    )


_place = eqx.filter_jit(unflatten_means)


@eqx.filter_jit
def _starts(
    model: PyTree, prior: Prior | None, key: PRNGKeyArray, num_starts: int
) -> Float[Array, "num_starts d"]:
    def start(index):
        if prior is None:
            return flatten_means(sample_all_parameters(model, fold_in(key, index)))
        return flatten_means(sample_prior(model, prior, fold_in(key, index)))

    return jax.vmap(start)(jnp.arange(num_starts))
