"""The No-U-Turn sampler, in coordinates where a fitted posterior is round."""

import os
import threading
import warnings
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from .._compute import compiled_once, fold_in, map_chunks, progress_bar
from .chain import (
    LAST_OF_WARM_UP,
    NOWHERE,
    PLACING,
    WARMING_UP,
    Chain,
    Move,
    advance,
    extra,
    nowhere,
)
from .density import FlatDensity
from .moments import cholesky, moments
from .posterior import DrawsPosterior, model_of

# Above this R-hat chains disagree, and below so many effective draws of each chain
# neither R-hat nor the quantiles can be relied on (Vehtari et al. 2021).
LARGEST_R_HAT = 1.01
ESS_PER_CHAIN = 100
# Moves in a call of the compiled program, which is the same for any number of them.
CHUNK = 100
# How often a chain looks for a start with a finite log density.
MAX_TRIES = 100


class NUTSDiagnostics(eqx.Module):
    """How far chains can be trusted; NumPy arrays.

    R-hat is the rank-normalised split one, and the effective sample sizes are those of
    the bulk and of the 5 % and 95 % quantiles, by ArviZ (Vehtari, Gelman, Simpson,
    Carpenter & Buerkner 2021, arXiv:1903.08008). R-hat of a single chain is NaN.

    Attributes:
        r_hat: For each entry, 1 where the chains agree. It warns above 1.01.
        ess_bulk: How many independent draws give as good a mean of each entry.
        ess_tail: The same for its outer quantiles.
        num_divergent: For each chain, in how many draws the integrator left the
            surface of equal energy: the posterior has a corner the chain cannot enter.
        num_failed: In how many draws it met a log density that was not finite.
        num_saturated: In how many draws the trajectory had its greatest length.
        num_gradients: How many gradients the chain took after warm-up.
        acceptance: The mean acceptance probability of each chain.
        step_size: The step size of each chain, in standard deviations.
        num_samples: How many draws of each chain these are said of.

    Example:
        ```python
        def log_density(drawn):  # of two rates of which the data know the sum
            return -50 * (jnp.sum(drawn.mean) - 1) ** 2 - jnp.sum(drawn.mean**2) / 2

        start = bjm.laplace(log_density, bjm.make_parameter([0.4975, 0.4975]))
        key = jax.random.key(0)
        posterior = bjm.nuts(log_density, start, key=key, num_chains=2, num_warmup=100)
        posterior.diagnostics.r_hat.max() < 1.01  # True
        posterior.diagnostics.complaints()  # []
        ```
    """

    r_hat: Float[np.ndarray, " d"]
    ess_bulk: Float[np.ndarray, " d"]
    ess_tail: Float[np.ndarray, " d"]
    num_divergent: Int[np.ndarray, " chains"]
    num_failed: Int[np.ndarray, " chains"]
    num_saturated: Int[np.ndarray, " chains"]
    num_gradients: Int[np.ndarray, " chains"]
    acceptance: Float[np.ndarray, " chains"]
    step_size: Float[np.ndarray, " chains"]
    num_samples: int

    def complaints(self) -> list[str]:
        """What speaks against the chains, each with what to do; empty if nothing."""
        num_chains = len(self.step_size)
        found = []
        if num_chains > 1 and not np.all(self.r_hat <= LARGEST_R_HAT):
            found.append(
                f"R-hat is {np.max(self.r_hat):.4g} (good up to {LARGEST_R_HAT}): the "
                "chains are in different modes or too short. Look at each chain, take "
                "more warm-up and draws, or start from a better fit."
            )
        ess = min(np.min(self.ess_bulk), np.min(self.ess_tail))
        if not ess >= ESS_PER_CHAIN * num_chains:
            found.append(
                f"The effective sample size is {ess:.0f} (good from {ESS_PER_CHAIN} a "
                "chain on). Take more draws."
            )
        if np.any(self.num_divergent):
            found.append(
                f"{np.sum(self.num_divergent)} draws diverged: a corner of the "
                "posterior is missing. Raise `target_acceptance` towards 1, or write "
                "the model in other coordinates."
            )
        if np.any(self.num_failed):
            found.append(
                f"{np.sum(self.num_failed)} draws met a log density that is not "
                "finite. Use coordinates without bounds, such as the logarithm of a "
                "rate, and give solves more steps."
            )
        return found

    def __repr__(self) -> str:
        return (
            f"NUTSDiagnostics: {len(self.step_size)} chains, greatest R-hat "
            f"{np.max(self.r_hat):.4f}, least effective draws "
            f"{np.min(self.ess_bulk):.0f} (bulk) and {np.min(self.ess_tail):.0f} "
            f"(tail), {np.sum(self.num_divergent)} divergent, "
            f"{np.sum(self.num_failed)} failed, {np.sum(self.num_saturated)} "
            f"saturated, acceptance {np.mean(self.acceptance):.2f}, "
            f"{np.sum(self.num_gradients)} gradients"
        )


def nuts(
    log_density: Callable[[Any], Float[Array, ""]],
    start: PyTree,
    *,
    key: PRNGKeyArray,
    num_chains: int = 4,
    num_warmup: int = 400,
    num_samples: int = 1_000,
    target_acceptance: float = 0.8,
    max_tree_depth: int = 10,
    spread: float = 2.0,
    progress: bool = False,
) -> DrawsPosterior:
    """Sample a posterior by the No-U-Turn sampler, through BlackJAX.

    Positions are `mean + L z` with the mean and the Cholesky factor of the start's
    covariance, so that chains move in coordinates where a good start is round. In the
    windows of Stan's warm-up each chain adapts the step size (Hoffman & Gelman 2014,
    JMLR 15) and `L`: up to 100 entries with all correlations, which makes up for a
    start without them, and beyond the widths alone. Chains run side by side on the
    cores, each by the same compiled program, and give the same draws whatever the
    number of cores.

    Runs on the host, not under `jax.jit`.

    Args:
        log_density: From a drawn model to the log joint density of data and parameters,
            a scalar, up to a constant. Where it or its gradient is not finite, a move
            is rejected and counted. Gradients are in forward mode up to 32 entries, in
            reverse beyond; a solve that allows only one of them gets that. Pass the
            same function again to use its compiled code again.
        start: A posterior to start at, such as the result of `laplace`: a plain model,
            a `JointPosterior` or a `DrawsPosterior`.
        key: A JAX random key. Chain `c` has the key `fold_in(key, c)`.
        num_chains: How many chains; of one chain there is no R-hat.
        num_warmup: How many draws adapt the sampler and are thrown away, at least 20.
        num_samples: How many draws each chain keeps, at least 4.
        target_acceptance: The acceptance probability that the step size is adapted to,
            in (0, 1). Nearer 1 follows sharper corners at smaller steps.
        max_tree_depth: A trajectory has at most `2**max_tree_depth` steps.
        spread: How many of the start's standard deviations the chains start apart from
            its mean. Above 1, so that chains which agree have come from all sides.
        progress: Whether to show draws done (needs tqdm).

    Returns:
        A `DrawsPosterior` with the draws of all chains, chain by chain: its `draws` are
        those of `num_chains` by `num_samples` rows. Its `diagnostics` are
        `NUTSDiagnostics`.

    Raises:
        TypeError: If the start is another kind of posterior.
        ValueError: If a number is out of its range, the start has no proper covariance,
            `log_density` returns no single number, or no start where it is finite was
            found.
        ImportError: If BlackJAX or ArviZ is missing, or tqdm where `progress` asks for
            it.

    Warns:
        UserWarning: If R-hat, the effective sample size, divergences or failed
            evaluations speak against the chains, with what to do.

    Example:
        ```python
        def log_density(drawn):  # of two rates of which the data know the sum
            return -50 * (jnp.sum(drawn.mean) - 1) ** 2 - jnp.sum(drawn.mean**2) / 2

        start = bjm.laplace(log_density, bjm.make_parameter([0.4975, 0.4975]))
        key = jax.random.key(0)
        posterior = bjm.nuts(log_density, start, key=key, num_chains=2, num_warmup=100)
        posterior.draws.shape  # (2000, 2)
        ```
    """
    for name, count, least in (
        ("num_chains", num_chains, 1),
        ("num_warmup", num_warmup, 20),
        ("num_samples", num_samples, 4),
        ("max_tree_depth", max_tree_depth, 1),
    ):
        if count < least:
            raise ValueError(f"`{name}` must be at least {least}, but got {count}.")
    if not 0 < target_acceptance < 1:
        raise ValueError(
            f"`target_acceptance` must be between 0 and 1, but got {target_acceptance}."
        )
    if not 0 < spread < np.inf:
        raise ValueError(f"`spread` must be positive and finite, but got {spread}.")
    build_schedule = extra("blackjax.adaptation.window_adaptation").build_schedule
    model = model_of(start)
    dtype = jnp.result_type(float)
    mean, covariance = moments(start)
    factor = cholesky(covariance)
    density, origin = FlatDensity(log_density, model), jnp.asarray(mean, dtype)
    num_moves = num_warmup + num_samples
    plan = np.zeros((num_moves + CHUNK, 3), np.int32)
    plan[:num_warmup, 0] = WARMING_UP
    plan[num_warmup - 1, 0] = LAST_OF_WARM_UP
    with jax.numpy_dtype_promotion("standard"):
        plan[:num_warmup, 1:] = build_schedule(num_warmup)
    lock = threading.Lock()

    def run(index: int, worker: int) -> tuple[Move, np.ndarray]:
        chain_key = fold_in(key, index)

        def advance_by(chain, rows, first, count):
            inputs = (
                density,
                origin,
                chain,
                chain_key,
                rows,
                jnp.asarray(first, jnp.int32),
                jnp.asarray(count, jnp.int32),
                jnp.asarray(spread, dtype),
                jnp.asarray(target_acceptance, dtype),
                max_tree_depth,
            )
            with compiled_once(advance, inputs):
                return advance(*inputs)

        chain = _place(advance_by, nowhere(factor.astype(dtype)), index, spread)
        moves = []
        for first in range(0, num_moves, CHUNK):
            count = min(CHUNK, num_moves - first)
            rows = plan[first : first + CHUNK]
            chain, made = advance_by(chain, rows, first + MAX_TRIES, count)
            moves.append(jax.tree.map(lambda leaf, n=count: np.asarray(leaf)[:n], made))
            with lock:
                count_moves(count)
        moves = jax.tree.map(lambda *parts: np.concatenate(parts)[num_warmup:], *moves)
        return moves, np.asarray(chain.step_size)

    num_workers = min(num_chains, os.cpu_count() or 1)
    with progress_bar(num_chains * num_moves, "moves" if progress else None) as bar:
        count_moves = bar
        chains = map_chunks(run, list(range(num_chains)), num_workers=num_workers)
        results = [result for _, result in chains]
    moves, step_size = jax.tree.map(lambda *leaves: np.stack(leaves), *results)
    diagnostics = NUTSDiagnostics(
        *_agreement(moves.draw.astype(np.float64)),
        num_divergent=moves.diverged.sum(1),
        num_failed=moves.failed.sum(1),
        num_saturated=moves.saturated.sum(1),
        num_gradients=moves.num_gradients.sum(1),
        acceptance=moves.acceptance.mean(1),
        step_size=step_size,
        num_samples=num_samples,
    )
    if complaints := diagnostics.complaints():
        warnings.warn("NUTS: " + " ".join(complaints), stacklevel=2)
    draws = jnp.asarray(moves.draw.reshape(-1, len(mean)))
    return DrawsPosterior(model, draws, None, diagnostics)


def _place(advance_by: Callable, chain: Chain, index: int, spread: float) -> Chain:
    """Put a chain where the log density is finite."""
    rows = np.tile(np.asarray([PLACING, 0, 0], np.int32), (CHUNK, 1))
    for attempt in range(MAX_TRIES):
        chain, _ = advance_by(chain, rows, attempt, 1)
        if chain.position.logdensity > NOWHERE:
            return chain
    raise ValueError(
        f"`log_density` or its gradient was not finite at {MAX_TRIES} places where "
        f"chain {index} looked for a start, {spread} standard deviations around the "
        "mean of `start`. Lower `spread`, or look at the log density of one draw of "
        "`start`."
    )


def _agreement(draws: Float[np.ndarray, "chains n d"]) -> list[np.ndarray]:
    """R-hat and the effective sample sizes of the bulk and of the tails."""
    array_stats = extra("arviz_stats.base").array_stats
    axes = {"chain_axis": 0, "draw_axis": 1}
    with np.errstate(divide="ignore", invalid="ignore"):
        # A chain that never moved has no variance.
        if len(draws) == 1:
            r_hat = np.full(draws.shape[-1], np.nan)
        else:
            r_hat = array_stats.rhat(draws, **axes)
        bulk = array_stats.ess(draws, **axes, method="bulk")
        tail = array_stats.ess(draws, **axes, method="tail", prob=(0.05, 0.95))
    return [np.asarray(x, np.float64) for x in (r_hat, bulk, tail)]
