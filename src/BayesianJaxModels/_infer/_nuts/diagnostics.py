"""Diagnostics of NUTS chains, and of where they started."""

from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Float, Int

from ..._posterior import AbstractDiagnostics, as_float64
from ..noise import noise_complaint
from .chain import Move, extra
from .starts import Starts

# Above this R-hat chains disagree, and below so many effective draws of each chain
# neither R-hat nor the quantiles can be relied on (Vehtari et al. 2021).
LARGEST_R_HAT = 1.01
ESS_PER_CHAIN = 100
# Chains that differ by more than the first, while each agrees with itself up to the
# second, are in different modes and not too short. Shorter ones cannot be halved.
MODES_R_HAT = 1.1
STEADY_R_HAT = 1.05
SHORTEST_HALF = 4
# Starts closer than a fifth of the draws' standard deviation, at the default `spread`.
SMALLEST_START = 0.4
# As many standard deviations away from every chain, a component was not visited.
FAR_AWAY = 5.0
# The shares of draws, and of the start's mass, up to which nothing is said.
FAILED_SHARE = 0.01
SATURATED_SHARE = 0.05
STILL_SHARE = 0.5
MISSED_SHARE = 0.01
# Below these the step size or the momenta do not fit the posterior (Betancourt 2016,
# arXiv:1604.00695, for the energies).
LEAST_ACCEPTANCE = 0.4
LEAST_BFMI = 0.3


class NUTSDiagnostics(AbstractDiagnostics):
    """How far chains can be trusted; NumPy arrays.

    R-hat is the rank-normalised split one, and the effective sample sizes are those of
    the bulk and of the 5 % and 95 % quantiles, by ArviZ (Vehtari, Gelman, Simpson,
    Carpenter & Buerkner 2021, arXiv:1903.08008). R-hat of a single chain is NaN.

    Attributes:
        r_hat: For each entry, 1 where the chains agree. It warns above 1.01.
        ess_bulk: How many independent draws give as good a mean of each entry.
        ess_tail: The same for its outer quantiles.
        start_ratio: The standard deviation of the places where chains may start over
            that of the draws of a chain, for each entry. It warns below 0.4: R-hat sees
            no more than what chains started around. Where starts are as wide as the
            draws given all other entries, as of a mean-field fit, it is that ratio.
        num_divergent: For each chain, in how many draws the integrator left the
            surface of equal energy: the posterior has a corner the chain cannot enter.
        num_failed: In how many draws it met a log density that was not finite, and
            turned back. It warns above 1 % of all draws.
        num_saturated: In how many draws the trajectory had its greatest length and had
            not turned. It warns above 5 %.
        num_still: In how many draws the chain stayed where it was. It warns where one
            did so in more than half.
        num_gradients: How many gradients the chain took after warm-up.
        acceptance: The mean acceptance probability of each chain. It warns below 0.4.
        step_size: The step size of each chain, in standard deviations.
        bfmi: The Bayesian fraction of missing information of each chain (Betancourt
            2016, arXiv:1604.00695). It warns below 0.3: the tails are explored slowly.
        num_samples: How many draws each chain kept.
        num_modes: In how many modes chains are, at least: how many groups of them agree
            with themselves (R-hat of the halves of a chain up to 1.05) and not with
            each other (above 1.1), in the entry whose `r_hat` is the greatest.
        missed_mass: The mass of those components of the start, where it is a mixture,
            that no chain came near. It warns above 0.01.
        noise: How much the log density scatters over a few hundredths of a standard
            deviation around the end of each chain, in nats. It warns above 0.1. NaN
            where too few values are finite there.

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
    start_ratio: Float[np.ndarray, " d"]
    num_divergent: Int[np.ndarray, " chains"]
    num_failed: Int[np.ndarray, " chains"]
    num_saturated: Int[np.ndarray, " chains"]
    num_still: Int[np.ndarray, " chains"]
    num_gradients: Int[np.ndarray, " chains"]
    acceptance: Float[np.ndarray, " chains"]
    step_size: Float[np.ndarray, " chains"]
    bfmi: Float[np.ndarray, " chains"]
    num_samples: Int[np.ndarray, ""]
    num_modes: Int[np.ndarray, ""]
    missed_mass: Float[np.ndarray, ""]
    noise: Float[np.ndarray, " chains"]

    @property
    def chains(self) -> tuple[int, int]:
        """How many chains the draws are of, one after the other, and their length."""
        return len(self.step_size), int(self.num_samples)

    def of_entries(self) -> dict[str, Float[np.ndarray, " d"]]:
        """R-hat, where it is known, and effective draws, as the attributes have them.

        They are of the unconstrained numbers that the chains moved in.
        """
        r_hat = {} if np.isnan(self.r_hat).all() else {"r_hat": self.r_hat}
        return r_hat | {"ess_bulk": self.ess_bulk, "ess_tail": self.ess_tail}

    def complaints(self) -> list[str]:
        """What speaks against the chains, each with what to do; empty if nothing."""
        # First, as it makes much of the rest.
        known = np.isfinite(self.noise)
        return [
            *noise_complaint(float(np.max(self.noise, initial=0, where=known))),
            *self._of_starts(),
            *self._of_agreement(),
            *self._of_trajectories(),
        ]

    def _of_starts(self) -> list[str]:
        found, narrow = [], np.flatnonzero(self.start_ratio < SMALLEST_START)
        if len(narrow) > 0:
            found.append(
                f"The chains started within {np.min(self.start_ratio):.2g} standard "
                f"deviations of the draws (good from {SMALLEST_START}) in the entries "
                f"{narrow[:10].tolist()}: R-hat cannot see other modes. Start from "
                "`laplace` at the mode that `map_estimate` finds, pass `prior=` to "
                "start at draws of it, or raise `spread`."
            )
        if self.missed_mass > MISSED_SHARE:
            found.append(
                f"No chain came near components of `start` with {self.missed_mass:.2g} "
                "of its mass: if they are modes, it is missing from the draws. Take "
                "as many chains as there are components, or use `importance`."
            )
        return found

    def _of_agreement(self) -> list[str]:
        num_chains = len(self.step_size)
        r_hat, found = f"R-hat is {np.max(self.r_hat):.4g} (good up to 1.01)", []
        if self.num_modes > 1:
            return [
                f"{r_hat}, though chains agree with themselves: they are in at least "
                f"{self.num_modes} different modes. No NUTS chain moves between them, "
                "so their shares of the draws mean nothing. Use `importance` from a "
                "`MixturePosterior` of fits at the modes, or weigh the modes by their "
                "Laplace masses."
            ]
        if num_chains > 1 and not np.all(self.r_hat <= LARGEST_R_HAT):
            found.append(
                f"{r_hat}: the chains are too short, or some of them have not found "
                "the others' mode. Look at each chain, take more warm-up and draws, or "
                "start from a better fit."
            )
        ess = min(np.min(self.ess_bulk), np.min(self.ess_tail))
        if not ess >= ESS_PER_CHAIN * num_chains:
            found.append(
                f"The effective sample size is {ess:.0f} (good from {ESS_PER_CHAIN} a "
                "chain on). Take more draws."
            )
        return found

    def _of_trajectories(self) -> list[str]:
        found, total = [], int(self.num_samples) * len(self.step_size)

        def share(counts):
            return f"{np.sum(counts)} of {total} draws"

        still = np.flatnonzero(self.num_still > STILL_SHARE * self.num_samples)
        if len(still) > 0:
            found.append(
                f"The chains {still.tolist()} stayed where they were in "
                f"{self.num_still[still].tolist()} of {self.num_samples} draws: "
                "whatever they tried was rejected, or the precision is too low. Take "
                "more warm-up, start elsewhere, or look at the log density near there."
            )
        if np.any(self.num_divergent):
            found.append(
                f"{share(self.num_divergent)} diverged: a corner of the posterior is "
                "missing. Raise `target_acceptance` towards 1, or write the model in "
                "other coordinates."
            )
        if np.sum(self.num_failed) > FAILED_SHARE * total:
            found.append(
                f"{share(self.num_failed)} met a log density that is not finite, and "
                "turned back (good up to 1 %). Where solves fail, give them more "
                "`max_steps` or a solver for stiff equations. Where a parameter comes "
                "to the end of its support, take coordinates without one, such as the "
                "logarithm of a positive number."
            )
        if np.sum(self.num_saturated) > SATURATED_SHARE * total:
            found.append(
                f"{share(self.num_saturated)} took a trajectory of the greatest length "
                "without turning round (good up to 5 %): the posterior is much longer "
                "than its narrowest place. Take more warm-up, start from a fit with "
                "correlations such as `laplace`, write the model in other "
                "coordinates, or raise `max_tree_depth`."
            )
        low = np.flatnonzero(self.acceptance < LEAST_ACCEPTANCE)
        if len(low) > 0:
            found.append(
                f"The chains {low.tolist()} accepted with a mean probability of "
                f"{np.min(self.acceptance):.2g}: their steps are too long. Take more "
                "warm-up, or raise `target_acceptance` towards 1."
            )
        slow = np.flatnonzero(self.bfmi < LEAST_BFMI)
        if len(slow) > 0:
            found.append(
                f"The energy of the chains {slow.tolist()} hardly changes from draw to "
                f"draw (E-BFMI {np.min(self.bfmi):.2g}, good from {LEAST_BFMI}): tails "
                "are explored slowly. Write the model in other coordinates, such as "
                "effects in units of their width."
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
            f"{np.sum(self.num_gradients)} gradients: "
            + (" ".join(self.complaints()) or "no fault found")
        )


def judge(
    moves: Move,
    step_size: Float[np.ndarray, " chains"],
    noise: Float[np.ndarray, " chains"],
    starts: Starts,
) -> NUTSDiagnostics:
    """The diagnostics of the moves of all chains.

    Of `moves`, arrays of NumPy with axes of chains and draws, the first draw is the
    last one of the warm-up.
    """
    still = np.all(np.diff(moves.draw, axis=1) == 0, axis=-1)
    kept = jax.tree.map(lambda leaf: leaf[:, 1:], moves)
    draws = as_float64(kept.draw)
    r_hat, num_modes, bulk, tail = _agreement(draws)
    with np.errstate(divide="ignore", invalid="ignore"):
        energy = as_float64(kept.energy)
        bfmi = np.mean(np.diff(energy) ** 2, axis=1) / np.var(energy, axis=1, ddof=1)
    return NUTSDiagnostics(
        r_hat=r_hat,
        ess_bulk=bulk,
        ess_tail=tail,
        start_ratio=start_ratio(starts.covariance, draws),
        num_divergent=kept.diverged.sum(1),
        num_failed=kept.failed.sum(1),
        num_saturated=kept.saturated.sum(1),
        num_still=still.sum(1),
        num_gradients=kept.num_gradients.sum(1),
        acceptance=kept.acceptance.mean(1),
        step_size=step_size,
        bfmi=bfmi,
        num_samples=np.asarray(draws.shape[1]),
        num_modes=num_modes,
        missed_mass=_missed_mass(starts, draws),
        noise=noise,
    )


def start_ratio(
    covariance: Float[np.ndarray, "d d"], draws: Float[np.ndarray, "chains n d"]
) -> Float[np.ndarray, " d"]:
    """How wide starts of a given covariance are beside draws, for each entry.

    A mean-field fit has the widths that entries have given all others, which are far
    smaller than those of the draws where entries are correlated. As long as starts are
    as wide as those, the correlations and not a want of fit make the difference.
    """
    deviations = draws - draws.mean(1, keepdims=True)
    deviations = deviations.reshape(-1, draws.shape[-1])
    found = deviations.T @ deviations / len(deviations)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.sqrt(np.diagonal(covariance) / np.diagonal(found))
    if np.all(ratio >= SMALLEST_START) or not np.all(np.isfinite(ratio)):
        return ratio
    given = np.sqrt(_precisions(found) / _precisions(covariance))
    return np.where(given >= 1, np.maximum(ratio, given), ratio)


def _precisions(covariance: Float[np.ndarray, "d d"]) -> Float[np.ndarray, " d"]:
    """One over the variance of each entry given all others."""
    variances = np.diagonal(covariance)
    scale = np.sqrt(variances)
    # With fewer draws than entries there is no inverse.
    ridge = 1e-9 * np.eye(len(scale))
    inverse = np.linalg.inv(covariance / np.outer(scale, scale) + ridge)
    return np.diagonal(inverse) / variances


def _missed_mass(
    starts: Starts, draws: Float[np.ndarray, "chains n d"]
) -> Float[np.ndarray, ""]:
    """The mass of components that no chain came near."""
    if len(starts.parts) == 1:
        return np.zeros(())
    mean, reach = draws.mean(1), FAR_AWAY * draws.std(1)
    missed = [
        part.share
        for part in starts.parts
        if not np.any(np.all(np.abs(part.mean - mean) <= reach, axis=1))
    ]
    return np.asarray(np.sum(missed))


def _agreement(
    draws: Float[np.ndarray, "chains n d"],
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """R-hat, the number of modes, and the effective sample sizes."""
    array_stats = extra("arviz_stats.base").array_stats
    axes = {"chain_axis": 0, "draw_axis": 1}
    num_modes = 1
    with np.errstate(divide="ignore", invalid="ignore"):
        # A chain that never moved has no variance.
        if len(draws) == 1:
            r_hat = np.full(draws.shape[-1], np.nan)
        else:
            r_hat = array_stats.rhat(draws, **axes)
        if np.max(r_hat) > MODES_R_HAT:
            num_modes = _count_modes(draws[..., np.argmax(r_hat)], array_stats.rhat)
        bulk = array_stats.ess(draws, **axes, method="bulk")
        tail = array_stats.ess(draws, **axes, method="tail", prob=(0.05, 0.95))
    r_hat, bulk, tail = (np.asarray(x, np.float64) for x in (r_hat, bulk, tail))
    return r_hat, np.asarray(num_modes), bulk, tail


def _count_modes(draws: Float[np.ndarray, "chains n"], r_hat: Callable) -> int:
    """How many groups of chains agree with themselves and not with each other."""
    half = draws.shape[1] // 2
    groups = []
    for chain in draws:
        halves = np.stack([chain[:half], chain[-half:]])
        if half < SHORTEST_HALF or not r_hat(halves) <= STEADY_R_HAT:
            continue
        if all(r_hat(np.stack([chain, other])) > MODES_R_HAT for other in groups):
            groups.append(chain)
    return max(1, len(groups))
