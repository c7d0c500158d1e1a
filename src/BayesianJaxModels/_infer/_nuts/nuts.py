"""The No-U-Turn sampler, in coordinates whitened by a fitted posterior."""

import threading
import warnings
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ..._check import AllFailedError, check_counts, check_key
from ..._compute import (
    compiled_once,
    count_cores,
    fold_in,
    map_chunks,
    progress_bar,
)
from ..._posterior import DrawsPosterior, as_posterior
from ..._prior import Prior
from ..arguments import check_engine_arguments
from ..density import FlatDensity
from ..noise import NUM_POINTS, noise_along, short_step
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
from .coordinates import (
    into_coordinates,
    out_of_coordinates,
    prior_of_coordinates,
)
from .diagnostics import judge
from .starts import MAX_TRIES, find_starts

# Moves in a call of the compiled program, which is the same for any number of them.
CHUNK = 100
PLACING_ONE = np.tile(np.asarray([PLACING, 0, 0], np.int32), (CHUNK, 1))
# No chain has this index, so that the key folded with it is that of no chain.
OF_START = np.uint32(2**32 - 1)


def nuts(
    log_density: Callable[[Any], Float[Array, ""]],
    start: PyTree,
    *,
    key: PRNGKeyArray,
    prior: Prior | None = None,
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
            reverse beyond; a solve that allows only one of them gets that. The same
            function uses its compiled code again.
        start: A posterior to start at, such as the result of `laplace`: a plain model,
            or any posterior that knows its `moments`. Of a `MixturePosterior` or an
            `EnsemblePosterior` each chain starts in one component, with the coordinates
            of that: there is a chain in each if there are enough (and it has 1 % of the
            mass), the heaviest first, and further chains by their weights. No chain
            moves between modes that are apart, and then R-hat says so.
        key: A JAX random key. Chain `c` has the key `fold_in(key, c)`.
        prior: If given, chains start at draws of it, wherever `start` is, and a model
            whose widths were never fitted has those of the prior. So R-hat sees every
            mode that chains from the prior run into.
        num_chains: How many chains; of one chain there is no R-hat.
        num_warmup: How many draws adapt the sampler and are thrown away, at least 20.
        num_samples: How many draws each chain keeps, at least 4.
        target_acceptance: The acceptance probability that the step size is adapted to,
            in (0, 1). Nearer 1 follows sharper corners at smaller steps.
        max_tree_depth: A trajectory has at most `2**max_tree_depth` steps.
        spread: Without a `prior`, how many of the start's standard deviations chains
            start apart from its mean. Above 1, so that chains which agree have come
            from all sides.
        progress: Whether to show draws done (needs tqdm).

    Returns:
        A `DrawsPosterior` with the draws of all chains, chain by chain, whose
        `diagnostics` are `NUTSDiagnostics`.

    Raises:
        TypeError: If `log_density` is no function or `start` is no model or posterior,
            such as a `MAPEstimate`.
        NotImplementedError: If the moments of the start are not known.
        ValueError: If a number is out of its range, the start has no proper covariance
            or widths that were never fitted (and there is no `prior`), the prior does
            not fit the model, or `log_density` returns no single number.
        AllFailedError: If it is finite at no place where a chain may start.
        ImportError: If BlackJAX or ArviZ is missing, or tqdm where `progress` asks for
            it.

    Warns:
        UserWarning: If anything in `NUTSDiagnostics` speaks against the chains, with
            what to do.

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
    check_engine_arguments(log_density, start)
    check_key(key)
    if not isinstance(prior, Prior | None):
        raise TypeError(f"`prior` must be a `Prior`, but got {prior!r}.")
    check_counts(num_chains=num_chains, max_tree_depth=max_tree_depth)
    check_counts(20, num_warmup=num_warmup)
    check_counts(4, num_samples=num_samples)
    if not 0 < target_acceptance < 1:
        raise ValueError(
            f"`target_acceptance` must be between 0 and 1, but got {target_acceptance}."
        )
    if not 0 < spread < np.inf:
        raise ValueError(f"`spread` must be positive and finite, but got {spread}.")
    build_schedule = extra("blackjax.adaptation.window_adaptation").build_schedule
    given, whole = start, as_posterior(start).model
    start = into_coordinates(log_density, given, fold_in(key, OF_START))
    if prior is not None and start is not given:
        prior = prior_of_coordinates(log_density)
    model, dtype = as_posterior(start).model, jnp.result_type(float)
    density = FlatDensity(log_density, model)
    starts = find_starts(start, num_chains, spread, prior, key)
    num_moves = num_warmup + num_samples
    plan = np.zeros((num_moves + CHUNK, 3), np.int32)
    plan[:num_warmup, 0] = WARMING_UP
    plan[num_warmup - 1, 0] = LAST_OF_WARM_UP
    with jax.numpy_dtype_promotion("standard"):
        plan[:num_warmup, 1:] = build_schedule(num_warmup)
    lock = threading.Lock()
    places = "draws of `prior`. Pass a narrower one"
    if prior is None:
        places = (
            f"{spread} standard deviations around the mean of `start`. Lower `spread`"
        )

    def run(index: int, worker: int) -> tuple[Move, np.ndarray, float]:
        chain_key = fold_in(key, index)

        def advance_by(chain, origin, rows, first, count):
            inputs = (
                density,
                jnp.asarray(origin, dtype),
                chain,
                chain_key,
                rows,
                jnp.asarray(first, jnp.int32),
                jnp.asarray(count, jnp.int32),
                jnp.asarray(target_acceptance, dtype),
                max_tree_depth,
            )
            with compiled_once(advance, inputs):
                return advance(*inputs)

        factor = starts.factors[starts.of_chain[index]].astype(dtype)
        placed = _place(advance_by, nowhere(factor), starts.points[index])
        if placed is None:
            raise AllFailedError(
                f"`log_density` or its gradient was not finite at {MAX_TRIES} places "
                f"where chain {index} looked for a start, {places}, or look at the log "
                "density of one draw of it."
            )
        chain, origin = placed
        moves = []
        for first in range(0, num_moves, CHUNK):
            count = min(CHUNK, num_moves - first)
            rows = plan[first : first + CHUNK]
            chain, made = advance_by(chain, origin, rows, first + MAX_TRIES, count)
            moves.append(jax.tree.map(lambda leaf, n=count: np.asarray(leaf)[:n], made))
            with lock:
                count_moves(count)
        last = num_warmup - 1
        moves = jax.tree.map(lambda *parts: np.concatenate(parts)[last:], *moves)
        noise = _noise(advance_by, np.asarray(chain.factor), moves.draw[-1])
        return moves, np.asarray(chain.step_size), noise

    num_workers = min(num_chains, count_cores())
    with progress_bar(num_chains * num_moves, "moves" if progress else None) as bar:
        count_moves = bar
        chains = map_chunks(run, list(range(num_chains)), num_workers=num_workers)
        results = [result for _, result in chains]
    moves, step_size, noise = jax.tree.map(lambda *leaves: np.stack(leaves), *results)
    natural = out_of_coordinates(log_density, model, moves.draw)
    moves = eqx.tree_at(lambda moves: moves.draw, moves, natural)
    diagnostics = judge(moves, step_size, noise, starts)
    if complaints := diagnostics.complaints():
        warnings.warn("NUTS: " + " ".join(complaints), stacklevel=2)
    draws = jnp.asarray(moves.draw[:, 1:].reshape(-1, moves.draw.shape[-1]))
    return DrawsPosterior(whole, draws, None, diagnostics)


def _noise(
    advance_by: Callable,
    factor: Float[np.ndarray, "d d"],
    draw: Float[np.ndarray, " d"],
) -> float:
    """The noise of the log density where a chain has ended."""
    step = short_step(factor)
    # Spread as evenly as they can be.
    places = np.arange(NUM_POINTS) - NUM_POINTS / 2
    points = (draw + places[:, None] * step).astype(draw.dtype)
    placed = [
        advance_by(nowhere(factor), point, PLACING_ONE, 0, 1)[0] for point in points
    ]
    values = np.array([chain.position.logdensity for chain in placed], np.float64)
    values[values <= NOWHERE] = -np.inf
    return noise_along(points.astype(np.float64), values, step.astype(np.float64))


def _place(
    advance_by: Callable, chain: Chain, points: Float[np.ndarray, "tries d"]
) -> tuple[Chain, Float[np.ndarray, " d"]] | None:
    """Put a chain at the first place where the log density is finite."""
    for attempt, origin in enumerate(points):
        placed, _ = advance_by(chain, origin, PLACING_ONE, attempt, 1)
        if placed.position.logdensity > NOWHERE:
            return placed, origin
    return None
