"""Group the ends of searches into modes, and weigh the modes."""

from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int, PyTree

from ..._check import as_jax
from ..._model import get_parameters, replace_free_means
from ..curvature import curvature
from ..density import FEW_ENTRIES, FlatDensity, values_and_gradients

# How many modes are told one by one.
MOST_TOLD = 4
# By how many nats the density may dip on the way between two ends of one mode.
LARGEST_DIP = 0.5
# Where on the way it is looked at: at no regular distances, as modes may have them.
PLACES = np.array([0.13, 0.29, 0.41, 0.5, 0.62, 0.77, 0.91])


class Mode(eqx.Module):
    """A place where searches ended; numbers are NumPy scalars.

    Attributes:
        model: The model with its means there, a drawn model.
        log_density: The log density there.
        num_starts: How many searches ended there.
        log_evidence: The logarithm of the integral of the normal density with this
            height and curvature, the mode's own part of the evidence (MacKay 1992,
            Neural Computation 4(3)). Minus infinity where the density is flat in some
            direction, so that no such integral exists; NaN where it was not computed.
        flat: The names of the parameters along which it is flat.

    Example:
        ```python
        def log_density(drawn):  # of a number whose square is about 4
            return -2.0 * (drawn.mean**2 - 4.0) ** 2

        wide = bjm.make_parameter(0.0, stdv=3.0)
        found = bjm.map_estimate(log_density, wide, key=jax.random.key(0))
        len(found.modes)  # 2
        found.masses  # [0.50, 0.50]
        ```
    """

    model: PyTree
    log_density: Float[np.ndarray, ""]
    num_starts: Int[np.ndarray, ""]
    log_evidence: Float[np.ndarray, ""]
    flat: tuple[str, ...] = eqx.field(static=True, default=())


def gather_modes(
    density: FlatDensity,
    ends: Float[np.ndarray, "n d"],
    log_densities: Float[np.ndarray, " n"],
    *,
    weigh: bool = False,
) -> tuple[Mode, ...]:
    """The modes that searches ended in, the highest first.

    Two ends are of one mode if the density does not dip on the straight way between
    them. That needs no scale, which entries of different size do not share. Where there
    are several modes, or `weigh` is true, each has its log evidence, for up to 32
    entries.
    """
    groups = group_ends(density, ends, log_densities)
    known = (weigh or len(groups) > 1) and ends.shape[1] <= FEW_ENTRIES
    modes = []
    for group in groups:
        best = group[0]
        log_evidence, flat = np.nan, ()
        if known:
            log_evidence, flat = _mass_at(density, ends[best])
        modes.append(
            Mode(
                model=_place(density.model, as_jax(ends[best], density.dtype)),
                log_density=np.asarray(log_densities[best]),
                num_starts=np.asarray(len(group)),
                log_evidence=np.asarray(log_evidence),
                flat=flat,
            )
        )
    return tuple(modes)


def group_ends(
    density: FlatDensity,
    ends: Float[np.ndarray, "n d"],
    log_densities: Float[np.ndarray, " n"],
) -> list[list[int]]:
    """The indices of ends that are one mode, each list and all lists highest first."""
    left = np.argsort(-log_densities, kind="stable").tolist()
    groups = []
    while left:
        best, *others = left
        connected = are_connected(
            density, ends[best], ends[others], log_densities[others]
        )
        groups.append([best, *(i for i, c in zip(others, connected, strict=True) if c)])
        left = [i for i, c in zip(others, connected, strict=True) if not c]
    return groups


def are_connected(
    density: FlatDensity,
    high: Float[np.ndarray, " d"],
    ends: Float[np.ndarray, "n d"],
    log_densities: Float[np.ndarray, " n"],
) -> np.ndarray:
    """Whether the density does not dip between a high point and each end."""
    if len(ends) == 0:
        return np.zeros(0, bool)
    between = ends[:, None] + PLACES[:, None] * (high - ends)[:, None]
    points = between.reshape(-1, len(high))
    values = values_and_gradients(density, points)[0]
    lowest = np.min(np.nan_to_num(values, nan=-np.inf).reshape(len(ends), -1), axis=1)
    return lowest >= log_densities - LARGEST_DIP


def shares(modes: tuple[Mode, ...]) -> Float[np.ndarray, " m"]:
    """The share of each mode in what they hold together."""
    if len(modes) == 1:
        return np.ones(1)
    log_evidence = np.array([mode.log_evidence for mode in modes])
    highest = np.max(log_evidence)
    if not np.isfinite(highest):
        return np.full(len(modes), np.nan)
    masses = np.exp(log_evidence - highest)
    return masses / masses.sum()


def in_words(modes: tuple[Mode, ...]) -> str:
    """What there is to say of several modes."""
    masses = shares(modes)
    told = [
        f"log density {mode.log_density:.6g}"
        + (f" and mass {mass:.2f}" if np.isfinite(mass) else "")
        + f" from {mode.num_starts} starts"
        + (f", flat in {', '.join(mode.flat)}: no maximum" if mode.flat else "")
        for mode, mass in zip(modes[:MOST_TOLD], masses, strict=False)
    ]
    rest = len(modes) - MOST_TOLD
    lower = [f"{rest} lower ones"] if rest > 0 else []
    return f"{len(modes)} modes: {'; '.join(told + lower)}"


def log_evidence_of(value: Any, precision: Float[np.ndarray, "d d"]) -> float:
    """That of a normal density with this height and curvature, in nats.

    Raises:
        numpy.linalg.LinAlgError: If the precision is not positive definite.
    """
    scale = np.sqrt(np.maximum(np.diagonal(precision), 0))
    if not (np.all(scale > 0) and np.isfinite(precision).all()):
        raise np.linalg.LinAlgError
    factor = np.linalg.cholesky(precision / np.outer(scale, scale))
    log_det = 2 * np.sum(np.log(np.diagonal(factor)) + np.log(scale))
    return float(value + 0.5 * len(scale) * np.log(2 * np.pi) - 0.5 * log_det)


def _mass_at(
    density: FlatDensity, end: Float[np.ndarray, " d"]
) -> tuple[float, tuple[str, ...]]:
    found = curvature(density, end)
    try:
        return log_evidence_of(found.value, found.precision), ()
    except np.linalg.LinAlgError:
        return -np.inf, flat_parameters(density.model, found.precision)[1]


def flat_parameters(
    model: PyTree, precision: Float[np.ndarray, "d d"]
) -> tuple[int, tuple[str, ...]]:
    """How many directions lack curvature, and which parameters have a great part in it.

    Or a curvature that is negative.
    """
    scale = np.sqrt(np.abs(np.diagonal(precision)))
    scale = np.where((scale > 0) & np.isfinite(scale), scale, 1)
    scaled = np.nan_to_num(precision) / np.outer(scale, scale)
    values, vectors = np.linalg.eigh(scaled)
    flat = values <= 1e-9 * np.max(np.abs(values))
    share = np.max(np.abs(vectors[:, flat]), axis=1, initial=0)
    free = [(n, p) for n, p in get_parameters(model).items() if not p.is_known]
    ends = np.cumsum([0, *(p.mean.size for _, p in free)])
    parts = [
        np.max(share[a:b], initial=0) for a, b in zip(ends, ends[1:], strict=False)
    ]
    least = min(0.5, max(parts))
    names = [
        name or "parameter"
        for (name, _), part in zip(free, parts, strict=True)
        if part >= least
    ]
    return int(np.sum(flat)), tuple(names)


_place: Any = eqx.filter_jit(replace_free_means)
