"""Starting points of the chains, and their spread."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray, PyTree

from ..._compute import fold_in, standard_normal
from ..._model import free_means, free_stdvs, get_parameters, map_parameters
from ..._parameter import make_parameter
from ..._posterior import as_float64, as_posterior, cholesky, moments
from ..._prior import Prior, sample_prior

# How often a chain looks for a start with a finite log density.
MAX_TRIES = 100
# Components that have less of the mass get no chain.
SMALLEST_SHARE = 0.01


class Part(NamedTuple):
    """A component of the start, or all of it: its mass and its moments."""

    share: float
    mean: Float[np.ndarray, " d"]
    covariance: Float[np.ndarray, "d d"]


class Starts(NamedTuple):
    """Where chains start.

    Attributes:
        parts: The components of the start.
        of_chain: The component that each chain has its coordinates from.
        factors: The Cholesky factor of the covariance of each component.
        points: Where each chain may start, `MAX_TRIES` places.
        covariance: Of all of them.
    """

    parts: list[Part]
    of_chain: list[int]
    factors: list[Float[np.ndarray, "d d"]]
    points: Float[np.ndarray, "chains tries d"]
    covariance: Float[np.ndarray, "d d"]


def find_starts(
    start: PyTree,
    num_chains: int,
    spread: float,
    prior: Prior | None,
    key: PRNGKeyArray,
) -> Starts:
    """Spread chains over a posterior, or over the prior.

    Raises:
        ValueError: If a covariance is not a proper one, the prior does not fit the
            model, or widths were never fitted and there is no prior to take them from.
    """
    start = as_posterior(start)
    dtype, d = jnp.result_type(float), free_means(start.model).size
    keys = [fold_in(key, index) for index in range(num_chains)]
    if prior is None:
        points = np.stack([as_float64(_noise(one, d, dtype)) for one in keys])
        widths = None
    else:
        points = np.stack(
            [as_float64(_from_prior(start.model, prior, one)) for one in keys]
        )
        # Of a prior with heavy tails too.
        low, high = np.quantile(points, (0.16, 0.84), axis=(0, 1))
        widths = (high - low) / 2
    parts = []
    for share, part in zip(*start.parts(), strict=True):
        mean, covariance = moments(part)
        covariance = _with_widths(part.model, covariance, widths)
        parts.append(Part(float(share), mean, covariance))
    factors = [cholesky(part.covariance) for part in parts]
    of_chain = _allot(np.array([part.share for part in parts]), num_chains)
    if widths is not None:
        return Starts(parts, of_chain, factors, points, np.diag(widths**2))
    for chain, index in enumerate(of_chain):
        points[chain] = parts[index].mean + spread * points[chain] @ factors[index].T
    away = np.stack([parts[index].mean for index in of_chain])
    away = away - away.mean(0)
    covariance = away.T @ away / num_chains
    for index in of_chain:
        covariance = covariance + spread**2 * parts[index].covariance / num_chains
    return Starts(parts, of_chain, factors, points, covariance)


def _allot(shares: Float[np.ndarray, " parts"], num_chains: int) -> list[int]:
    """The component of each chain: one in each first, and then by their shares."""
    shares = np.where(shares < min(SMALLEST_SHARE, shares.max()), 0, shares)
    counts = np.zeros(len(shares), int)
    for _ in range(num_chains):
        # Adams' method: the heaviest that has none, or else the one with most a chain.
        without = (counts == 0) & (shares > 0)
        if without.any():
            counts[np.argmax(np.where(without, shares, 0))] += 1
        else:
            counts[np.argmax(shares / np.maximum(counts, 1))] += 1
    return np.repeat(np.arange(len(shares)), counts).tolist()


def _with_widths(
    model: PyTree,
    covariance: Float[np.ndarray, "d d"],
    widths: Float[np.ndarray, " d"] | None,
) -> Float[np.ndarray, "d d"]:
    """A covariance, with the given widths where the model's were never fitted."""
    made = map_parameters(
        lambda _, p: make_parameter(p.mean, param_type=type(p)),
        model,
    )
    # One of width zero is not unfitted, and `cholesky` tells.
    default, own = as_float64(free_stdvs(made)), np.sqrt(np.diagonal(covariance))
    unfitted = (default > 0) & (np.abs(own - default) < 1e-5 * default)
    if not unfitted.any():
        return covariance
    if widths is None:
        free = [(n, p) for n, p in get_parameters(model).items() if not p.is_known]
        sizes = {name: p.mean.size for name, p in free}
        owners = np.repeat(list(sizes), list(sizes.values()))
        names = sorted(set(owners[unfitted].tolist()))
        raise ValueError(
            f"The widths of {names[:10]} in `start` are those that `make_parameter` "
            "gave them, so small that all chains would start at one place, and R-hat "
            "could see no other mode. Pass `prior=` to start the chains at draws of "
            "it. Or start from a fit: `laplace(log_density, mode.model)` with the "
            "`mode` that `map_estimate` finds."
        )
    covariance = np.where(unfitted | unfitted[:, None], 0, covariance)
    return covariance + np.diag(np.where(unfitted, widths**2, 0))


@eqx.filter_jit
def _noise(key: PRNGKeyArray, size: int, dtype: DTypeLike) -> Float[Array, "tries d"]:
    tries = fold_in(key, jnp.arange(MAX_TRIES))
    return jax.vmap(lambda key: standard_normal(key, (size,), dtype))(tries)


@eqx.filter_jit
def _from_prior(
    model: PyTree, prior: Prior, key: PRNGKeyArray
) -> Float[Array, "tries d"]:
    tries = fold_in(key, jnp.arange(MAX_TRIES))
    return jax.vmap(lambda key: free_means(sample_prior(model, prior, key)))(tries)
