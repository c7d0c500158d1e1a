"""Simulation-based calibration."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import ArrayLike, Bool, Float, Int, PRNGKeyArray, PyTree

from .._check import AllFailedError
from .._compute import progress_bar
from .._predict import label_of


class SBC(eqx.Module):
    """Ranks of true parameters among posterior draws, which should be uniform.

    Attributes:
        ranks: How many draws lie below the truth, of shape
            `(num_simulations, num_quantities)`.
        num_ranks: How many ranks there can be: one more than there are draws.
        names: What each quantity is called.
        level: The probability that correct machinery passes.
        num_failed: How many simulations are left out because their posterior draws are
            not finite. What is left out says nothing, so look at them if it is many.

    Example:
        ```python
        rng = np.random.default_rng(0)
        ranks = rng.integers(0, 21, (200, 1))  # as they should be, of 20 draws each
        found = bjm.calibration.SBC(ranks, num_ranks=21, names=("rate",))
        found.passes  # True
        found.ecdf.shape  # (21, 1)
        ```
    """

    ranks: Int[np.ndarray, "s d"]
    num_ranks: int = eqx.field(static=True)
    names: tuple[str, ...] = eqx.field(static=True)
    level: float = eqx.field(static=True, default=0.95)
    num_failed: int = eqx.field(static=True, default=0)

    @property
    def ecdf(self) -> Float[np.ndarray, "num_ranks d"]:
        """The share of simulations with at most each rank."""
        ranks = np.arange(self.num_ranks)[:, None, None]
        return (self.ranks <= ranks).mean(axis=1)

    @property
    def band(self) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, " r"]]:
        """The least and the greatest ECDF that correct machinery has.

        All quantities together stay within with a probability of at least `level`: each
        has its part of what is left (Bonferroni).
        """
        num_simulations, num_quantities = self.ranks.shape
        level = 1 - (1 - self.level) / num_quantities
        return rank_band(num_simulations, self.num_ranks, level)

    @property
    def inside(self) -> Bool[np.ndarray, " d"]:
        """Whether the ECDF of each quantity stays within the band."""
        low, high = (end[:, None] for end in self.band)
        return np.all((low <= self.ecdf) & (self.ecdf <= high), axis=0)

    @property
    def passes(self) -> bool:
        """Whether all do."""
        return bool(self.inside.all())

    def __repr__(self) -> str:
        outside = [
            name for name, ok in zip(self.names, self.inside, strict=True) if not ok
        ]
        words = f"SBC of {len(self.ranks):,} simulations, {self.num_ranks - 1:,} draws "
        words += "each: "
        words += "passes" if self.passes else f"fails for {', '.join(outside)}"
        words += f" at level {self.level:g}"
        failed = f"; {self.num_failed:,} more simulations failed and are left out"
        return words + (failed if self.num_failed else "")


def simulation_based_calibration(
    prior_draw: Callable[[PRNGKeyArray], PyTree],
    simulate: Callable[[PRNGKeyArray, Any], Any],
    posterior_draws: Callable[[PRNGKeyArray, Any], PyTree],
    *,
    key: PRNGKeyArray,
    num_simulations: int,
    level: float = 0.95,
    progress: bool = False,
) -> SBC:
    """Draw parameters from the prior, data from them, and rank them in the posterior.

    If prior, simulator, density and sampler fit together, the ranks are uniform. Runs
    on the host, one simulation after the other; compile the three functions with
    `equinox.filter_jit`.

    Args:
        prior_draw: From a key to parameters: a vector, a dict, or another pytree of
            arrays.
        simulate: From a key and parameters to data.
        posterior_draws: From a key and data to posterior draws: as the parameters, with
            a leading axis of draws in every array, as many for all data. Draws must
            have equal weights and be nearly independent: thin chains first. Some 100
            are enough.
        key: A JAX random key. Simulation `i` depends on `fold_in(key, i)` alone.
        num_simulations: How many, at least 1.
        level: The probability that correct machinery passes, in (0, 1).
        progress: Whether to show simulations done and their rate (needs tqdm).

    Returns:
        An `SBC`.

    Raises:
        ValueError: If `num_simulations` or `level` is not as above, or the draws are
            not like the parameters.
        AllFailedError: If all simulations have draws that are not finite.
        ImportError: If tqdm is missing where `progress` asks for it.

    Example:
        ```python
        found = bjm.calibration.simulation_based_calibration(
            lambda key: jax.random.normal(key, (1,)),
            lambda key, theta: theta + jax.random.normal(key, (1,)),
            lambda key, y: y / 2 + jax.random.normal(key, (50, 1)) / 2**0.5,
            key=jax.random.key(0),
            num_simulations=30,
        )
        found.passes  # True
        ```

    References:
        Talts, Betancourt, Simpson, Vehtari and Gelman (2018), "Validating Bayesian
        inference algorithms with simulation-based calibration", arXiv:1804.06788.
    """
    if num_simulations < 1 or not 0 < level < 1:
        raise ValueError(
            "`num_simulations` must be at least 1 and `level` in (0, 1), but got "
            f"{num_simulations} and {level}."
        )
    ranks, names, num_draws, num_failed = [], (), 0, 0
    shape: tuple[int, ...] = ()
    with progress_bar(num_simulations, "simulations" if progress else None) as advance:
        for i in range(num_simulations):
            keys = jax.random.split(jax.random.fold_in(key, i), 4)
            theta = prior_draw(keys[0])
            draws = posterior_draws(keys[2], simulate(keys[1], theta))
            names, truth, values = _read(theta, draws)
            if shape not in ((), values.shape):
                raise ValueError(
                    f"`posterior_draws` returned {shape} draws and parameters at "
                    f"first, but {values.shape} in simulation {i}."
                )
            num_draws, _ = shape = values.shape
            if np.isfinite(values).all() and np.isfinite(truth).all():
                ties = (values == truth).sum(axis=0)
                noise = np.asarray(jax.random.uniform(keys[3], truth.shape), float)
                below = (values < truth).sum(axis=0)
                ranks.append(below + (noise * (ties + 1)).astype(int))
            else:
                num_failed += 1
            advance(1)
    if not ranks:
        raise AllFailedError(
            f"The posterior draws of all {num_simulations} simulations hold NaN or inf."
        )
    return SBC(np.stack(ranks), num_draws + 1, names, level, num_failed)


def _read(theta, draws):
    """Names, the true values as a vector, and draws as rows."""
    paths, treedef = jax.tree_util.tree_flatten_with_path(theta)
    truth = [np.asarray(leaf, float) for _, leaf in paths]
    values = [np.asarray(leaf, float) for leaf in jax.tree.leaves(draws)]
    fits = jax.tree.structure(draws) == treedef and len(values) > 0
    count = values[0].shape[:1] if fits else ()
    wanted = [(*count, *leaf.shape) for leaf in truth]
    if count in ((), (0,)) or [leaf.shape for leaf in values] != wanted:
        raise ValueError(
            "`posterior_draws` must return at least one draw, like the parameters of "
            f"`prior_draw` with a leading axis. Those are {treedef} with shapes "
            f"{[leaf.shape for leaf in truth]}, but it returned "
            f"{jax.tree.structure(draws)} with {[leaf.shape for leaf in values]}."
        )
    names = tuple(
        label_of(path, index, "theta")
        for path, leaf in paths
        for index in np.ndindex(np.shape(leaf))
    )
    rows = [leaf.reshape(*count, -1) for leaf in values]
    return names, np.concatenate([leaf.ravel() for leaf in truth]), np.hstack(rows)


def pit_ranks(values: Float[ArrayLike, "..."]) -> SBC:
    """PIT values as ranks: as many bins as values, but at most 100. NaN is left out."""
    flat = np.ravel(np.asarray(values))
    flat = flat[~np.isnan(flat)]
    bins = max(2, min(len(flat), 100))
    ranks = np.minimum((flat * bins).astype(int), bins - 1)
    return SBC(ranks[:, None], bins, ("values",))


def rank_band(
    num_simulations: int, num_ranks: int, level: float = 0.95
) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, " r"]]:
    """The band that the ECDF of uniform ranks stays in, all of it at once.

    At every rank the band is a binomial interval. They all hold the same probability,
    the least with which the whole ECDF is inside with probability `level` (exactly: a
    step of the ECDF is a Poisson count, given their sum). Ranks of `num_ranks` bins of
    values in (0, 1), such as those of `pit`, are no different.

    Args:
        num_simulations: How many ranks were observed.
        num_ranks: How many there can be: one more than posterior draws.
        level: The probability of the whole, in (0, 1).

    Returns:
        `(low, high)`, the least and the greatest share of ranks up to and including 0,
        1, ..., `num_ranks - 1`.

    Raises:
        ValueError: If `num_simulations < 1`, `num_ranks < 2` or `level` is not in
            (0, 1).

    Example:
        ```python
        # Of 100 simulations with 4 draws each.
        low, high = bjm.calibration.rank_band(100, 5)
        low  # [0.11, 0.29, 0.49, 0.7, 1.0]
        ```

    References:
        Säilynoja, Bürkner and Vehtari (2022), "Graphical test for discrete uniformity
        and its applications in goodness of fit evaluation and multiple sample
        comparison", Statistics and Computing 32, arXiv:2103.10522.
    """
    if num_simulations < 1 or num_ranks < 2 or not 0 < level < 1:
        raise ValueError(
            "`num_simulations` must be at least 1, `num_ranks` at least 2 and `level` "
            f"in (0, 1), but got {num_simulations}, {num_ranks} and {level}."
        )
    low, high = _count_band(num_simulations, num_ranks, level)
    return low / num_simulations, high / num_simulations


@lru_cache(maxsize=32)
def _count_band(n, num_ranks, level):
    counts = np.arange(n + 1)
    log_factorial = np.append(0, np.log(counts[1:])).cumsum()
    share = np.arange(1, num_ranks)[:, None] / num_ranks
    log_binomial = log_factorial[-1] - log_factorial - log_factorial[::-1]
    log_binomial = (
        log_binomial + counts * np.log(share) + counts[::-1] * np.log1p(-share)
    )
    cdf = np.exp(log_binomial).cumsum(axis=1)[:, :-1]
    poisson = np.exp(counts * np.log(n / num_ranks) - n / num_ranks - log_factorial)
    of_sum = np.exp(n * np.log(n) - n - log_factorial[-1])

    def limits(outside):
        low = (cdf < outside / 2).sum(axis=1)
        high = (cdf < 1 - outside / 2).sum(axis=1)
        return np.append(low, n), np.append(high, n)

    def probability(outside):
        # Of the paths that stayed within so far, by where they are: `start`, ...
        paths, start = np.ones(1), 0
        for low, high in zip(*limits(outside), strict=True):
            paths = np.convolve(paths, poisson[: high - start + 1])
            paths, start = paths[low - start : high - start + 1], low
        return paths[0] / of_sum

    enough, too_much = 0.0, 1.0
    for _ in range(30):
        middle = (enough + too_much) / 2
        if probability(middle) >= level:
            enough = middle
        else:
            too_much = middle
    return limits(enough)
