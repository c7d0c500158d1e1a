"""Maximum a posteriori estimates, from many starts."""

import textwrap
import warnings
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from .._check import AllFailedError, as_jax, check_counts, check_key, warn_user
from .._compute import fold_in, map_chunks, progress_bar
from .._model import (
    AbstractEstimate,
    column_text,
    entry_name,
    flatten_means,
    free_means,
    get_parameters,
    has_values,
    sample_all_parameters,
)
from .._posterior import as_float64
from .._prior import Prior, sample_prior
from ._search import search
from ._search.modes import Mode, gather_modes, in_words, shares
from .arguments import check_engine_arguments
from .density import FlatDensity, values_and_gradients

# A search that ends so near to the best log density counts, converged or not.
AS_GOOD = 0.1
# Starts that fail are drawn again, in so many rounds of `num_starts` at most.
MOST_ROUNDS = 8
# Fewer searches than this tell little of what other modes there are.
FEW_SEARCHES = 3
# Starts so near to each other, as the widths of `make_parameter` put them, are one.
NARROW = 2e-3
# Draws that say how far starts are spread.
SPREAD_DRAWS = 64
# Noise of the log density that is worth a word, in nats.
VISIBLE_NOISE = 0.01
# Entries whose values at the mode are printed.
MOST_SHOWN = 40
# What to do about a search that ended elsewhere than at a maximum.
REMEDIES = {
    search.OUT_OF_STEPS: (
        "ran out of steps: pass more of them, `map_estimate(max_steps=)`, which was "
        "{max_steps}, or a wider `tolerance`"
    ),
    search.IN_NOISE: (
        "cannot get on in the noise of the log density{noise}. Use double precision, "
        "and where it solves an ODE, tighter `rtol` and `atol`"
    ),
    search.AT_WALL: (
        "stands before points where the log density is not finite. Solves that fail "
        "there may need more of the solver's own `max_steps`, not of this search's; at "
        "the edge of a domain take other coordinates, such as logarithms"
    ),
    search.FLAT: "is where the log density has no slope and no curvature at all",
    search.OVERFLOW: "is where the log density overflows",
    search.FAILED: (
        "had no start: log density or gradient were not finite, or flat, where it began"
    ),
}

HIERARCHICAL = (
    "How wide a prior of this problem is depends on other parameters. Its density "
    "runs away to where that width is zero and all that it is of is alike: its mode is "
    "worth nothing. Take `nested_laplace` of a `Population`, which maximises the "
    "marginal density, or `nuts`."
)


class MAPEstimate(AbstractEstimate):
    """The best of many searches for the mode.

    Attributes:
        model: The model with its means at the mode, a drawn model; its widths are those
            it came with.
        log_density: The log density there.
        log_densities: Where every search ended, of shape `(num_starts,)`, NumPy; minus
            infinity for those that failed.
        ends: The entries where every search ended, `(num_starts, d)`, NumPy.
        failed: Which searches failed, of shape `(num_starts,)`: no start was found for
            them, or they ended where the log density overflows or is flat.
        converged: Which searches ended at a maximum, alike: a Newton step with the
            curvature measured there promises less than `tolerance`, or less than the
            noise of the log density where that is more, up to 0.1 nats. Beyond 64
            entries: the search came to the same end again after it had forgotten the
            curvatures it had met.
        outcomes: Why each search ended: `"converged"`, `"out of steps"`, `"stuck in
            noise"`, `"stuck at a wall"` of points that are not finite, `"flat"`,
            `"overflow"` or `"no start"`.
        noise: How far the log density scatters around a smooth function where each
            search ended, in nats, of shape `(num_starts,)`, NumPy: the error of
            rounding, and of a solver whose steps change. NaN where it is not known.
        num_redrawn: How many further starts were drawn in place of some that failed.
        modes: The modes that searches ended in, a `Mode` each, the highest first. Ends
            belong to one mode if the density does not dip by half a nat on the straight
            way between them.
        start_spread: How far apart starts were, in the entry where that is most. Where
            it is nothing, that they agree says nothing of other modes.

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
        len(found.modes)  # 1
        found.outcomes[0]  # "converged"
        found.ends.shape  # (4, 2)
        ```
    """

    model: PyTree
    log_density: Float[np.ndarray, ""]
    log_densities: Float[np.ndarray, " num_starts"]
    ends: Float[np.ndarray, "num_starts d"]
    failed: Bool[np.ndarray, " num_starts"]
    converged: Bool[np.ndarray, " num_starts"]
    outcomes: tuple[str, ...] = eqx.field(static=True)
    noise: Float[np.ndarray, " num_starts"]
    num_redrawn: int = eqx.field(static=True)
    modes: tuple[Mode, ...]
    start_spread: float = eqx.field(static=True, default=float("inf"))

    def get_parameters(self, verb="get_parameters") -> None:
        """Refuse: the widths of the parameters are not fitted."""
        self.refuse_as_model(verb)

    def refuse_as_model(self, verb: str) -> NoReturn:
        """Say that a verb takes the model at the mode.

        Args:
            verb: What is asked for.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            f"`{verb}` takes a model, and not a MAPEstimate, which has no fitted "
            "widths. Pass its `model`, the drawn model at the mode."
        )

    def flatten_means(self) -> Float[Array, " d"]:
        """The entries of the mode."""
        return flatten_means(self.model)

    def moments_of_values(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The values at the mode, without standard deviations: none are fitted."""
        values = [np.asarray(p.value) for p in get_parameters(self.model).values()]
        return [(value, np.full(value.shape, np.nan)) for value in values]

    @property
    def num_agree(self) -> int:
        """How many starts ended in the best mode."""
        return int(self.modes[0].num_starts)

    @property
    def masses(self) -> Float[np.ndarray, " m"]:
        """The share of each mode in the posterior, by its Laplace approximation.

        Of shape `(len(modes),)`. NaN for more than 32 entries, where it is not
        computed: `laplace(log_density, estimate)` weighs them.
        """
        return shares(self.modes)

    @property
    def num_failed(self) -> int:
        """How many searches failed."""
        return int(np.sum(self.failed))

    def __repr__(self) -> str:
        counts = Counter(self.outcomes)
        words = [f"{counts[word]} {word}" for word in search.OUTCOMES if counts[word]]
        words = [
            f"log density {self.log_density:.6g}",
            f"{self.num_agree} of {len(self.failed)} starts agree{self._where()}",
            ", ".join(words),
        ]
        if len(self.modes) > 1:
            words.append(in_words(self.modes))
        if self.num_redrawn:
            words.append(f"{self.num_redrawn} starts drawn again")
        noise = self.noise[np.argmax(self.log_densities)]
        if noise > VISIBLE_NOISE:
            words.append(f"differences below {noise:.2g} nats are noise")
        return f"MAPEstimate: {'; '.join(words)}"

    def __str__(self) -> str:
        """The summary, and where they are few the values at the mode by name."""
        if not has_values(self):
            return eqx.tree_pformat(self)
        parameters = get_parameters(self.model)
        if sum(p.mean.size for p in parameters.values()) > MOST_SHOWN:
            return repr(self)
        rows = [
            (entry_name(name, i), f"{np.asarray(p.value)[i]:.4g}")
            for name, p in parameters.items()
            for i in np.ndindex(p.shape)
        ]
        below = textwrap.wrap(repr(self), 88)
        return column_text(("name", "value"), rows, below, {"value"})

    def _where(self) -> str:
        if self.start_spread >= NARROW or len(self.failed) == 1:
            return ""
        return (
            f", all begun within {self.start_spread:.1g} of each other (starts "
            "from a wider `prior=` would show other modes)"
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
    7.4), advance together: the log density and its gradient at a point of each are
    one batch, on all cores. How far starts are spread sets the first step in each
    entry. Up to 64 entries the curvature is measured where a search wants to end. Runs
    on the host, not under `jax.jit`.

    Args:
        log_density: From a drawn model to the log joint density of data and parameters,
            a scalar. Its maximum depends on the coordinates that the parameters are in.
        model: Says what the parameters are.
        key: A JAX random key, for this alone. Start `i` is drawn with
            `fold_in(key, i)`; those that fail are replaced by the next, up to `8
            num_starts` draws in all.
        num_starts: How many searches, at least 1. Mechanistic models have local modes:
            take 12 or more, and look at `num_agree`.
        prior: Starts are draws of it; draws of the model's own distributions if `None`.
        tolerance: How far below its maximum, in nats and by the curvature there, a
            search may end; 1e-6, or 1e-3 in single precision, by default.
        max_steps: Steps of each search at most, not of a solve.
        batch_size: How many starts run in lock-step.
        progress: Whether to show the starts that are done (needs tqdm).

    Returns:
        A `MAPEstimate`.

    Raises:
        ValueError: If `num_starts` or `batch_size` is below 1, `log_density` returns no
            single number, or `prior` does not fit the model.
        AllFailedError: If every search failed.
        TypeError: If the arguments are swapped, or `model` is a posterior or a fit.
        ImportError: If tqdm is missing where `progress` asks for it.

    Warns:
        UserWarning: If the best search did not converge, or few searches had a start;
            or if how wide a prior of the problem is depends on other parameters, which
            makes its mode worthless.

    Example:
        ```python
        ts = jnp.linspace(0.0, 4.0, 9)
        likelihood = bjm.likelihoods.NormalLikelihood(0.1)
        prior = bjm.Prior(default=bjm.priors.LogNormal(0.0, 1.0))

        def log_density(drawn):
            fit = likelihood.log_prob(jnp.exp(-drawn.mean * ts), jnp.exp(-0.5 * ts))
            return fit + bjm.log_prior(drawn, prior)

        rate, key = bjm.make_parameter(1.0), jax.random.key(0)
        found = bjm.map_estimate(log_density, rate, key=key, prior=prior)
        found.model.mean  # 0.50
        ```
    """
    check_counts(num_starts=num_starts)
    check_engine_arguments(log_density, model, "model", takes_posteriors=False)
    check_key(key)
    if getattr(log_density, "mode_is_worthless", False):
        warn_user(HIERARCHICAL)
    density = FlatDensity(log_density, model, batch_size)
    entries = density.entries
    if tolerance is None:
        tolerance = 1e-6 if entries.dtype == jnp.float64 else 1e-3

    def evaluate(points):
        values, gradients = values_and_gradients(density, points)
        return -values, -gradients

    def draw(first, count):
        # Always as many, so that this is compiled once.
        most = max(num_starts, SPREAD_DRAWS)
        drawn = _starts(model, prior, key, as_jax(first), most)
        return np.array(drawn)[:count]

    # Side by side, the programs that draw starts and evaluate them compile sooner.
    first_calls = partial(draw, 0, 1), partial(evaluate, as_float64(entries)[None])
    for _ in map_chunks(lambda i, _: first_calls[i](), [0, 1], num_workers=2):
        pass
    starts, at_starts, num_redrawn = _find_starts(evaluate, draw, num_starts)
    with progress_bar(num_starts, "starts" if progress else None) as advance:
        ends, values, outcomes, noise = search.minimise(
            evaluate,
            starts,
            scale=_spread(draw(0, SPREAD_DRAWS)),
            at_starts=at_starts,
            tolerance=tolerance,
            max_steps=max_steps,
            progress=advance,
        )
    log_densities = -values
    failed = ~np.isfinite(log_densities)
    if failed.all():
        reasons = "; ".join(f"one {REMEDIES[word]}" for word in sorted(set(outcomes)))
        raise AllFailedError(
            f"All {num_starts} searches failed, of {num_starts + num_redrawn} starts: "
            f"{reasons}. Evaluate `log_density` on one draw; pass a narrower `prior` "
            "for the starts, or mask failed solves before a log."
        )
    best = int(np.argmax(log_densities))
    num_good = int(np.sum(~failed))
    if num_good < max(num_starts / 2, min(FEW_SEARCHES, num_starts)):
        warnings.warn(
            f"Only {num_good} of {num_starts} searches did not fail, of "
            f"{num_starts + num_redrawn} starts that were drawn: modes may have been "
            "missed. Pass a narrower `prior` for the starts, or see why `log_density` "
            "or its gradient is not finite there.",
            stacklevel=2,
        )
    if outcomes[best] != search.CONVERGED:
        told = f": differences below {noise[best]:.2g} nats are none"
        told = told if noise[best] >= VISIBLE_NOISE else " or in rounding"
        remedy = REMEDIES[outcomes[best]].format(max_steps=max_steps, noise=told)
        warnings.warn(f"The best search {remedy}.", stacklevel=2)
    converged = outcomes == search.CONVERGED
    kept = converged | (log_densities >= log_densities[best] - AS_GOOD)
    kept &= ~failed
    modes = gather_modes(density, ends[kept], log_densities[kept])
    return MAPEstimate(
        model=modes[0].model,
        log_density=np.asarray(log_densities[best]),
        log_densities=log_densities,
        ends=ends,
        failed=failed,
        converged=converged,
        outcomes=tuple(outcomes),
        noise=noise,
        num_redrawn=num_redrawn,
        modes=modes,
        start_spread=float(np.max(np.ptp(starts, axis=0))),
    )


def _find_starts(
    evaluate: Callable, draw: Callable, num_starts: int
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray], int]:
    """Starts with something to go by, their values and gradients, and further draws."""
    starts = draw(0, num_starts)
    values, gradients = evaluate(starts)
    num_redrawn = 0
    for i in range(1, MOST_ROUNDS):
        missing = np.flatnonzero(~_usable(values, gradients))
        if missing.size == 0:
            break
        more = draw(i * num_starts, num_starts)
        found = evaluate(more)
        good = np.flatnonzero(_usable(*found))[: missing.size]
        filled = missing[: good.size]
        starts[filled], values[filled] = more[good], found[0][good]
        gradients[filled] = found[1][good]
        enough = good.size == missing.size
        num_redrawn += int(good[-1]) + 1 if enough else num_starts
    return starts, (values, gradients), num_redrawn


def _usable(values: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Where a search may start: all is finite, and there is a slope."""
    finite = np.isfinite(values) & np.isfinite(gradients).all(axis=1)
    return finite & (gradients != 0).any(axis=1)


def _spread(draws: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " d"]:
    """How far draws are spread, of heavy tails too; 1 for what does not vary."""
    draws = np.asarray(draws, np.float64)
    low, high = np.quantile(draws, [0.16, 0.84], axis=0)
    return np.where(high > low, (high - low) / 2, 1.0)


@eqx.filter_jit
def _starts(
    model: PyTree, prior: Prior | None, key: PRNGKeyArray, first: Array, num_starts: int
) -> Float[Array, "num_starts d"]:
    def start(index):
        if prior is None:
            return free_means(sample_all_parameters(model, fold_in(key, index)))
        return free_means(sample_prior(model, prior, fold_in(key, index)))

    return jax.vmap(start)(first + jnp.arange(num_starts))
