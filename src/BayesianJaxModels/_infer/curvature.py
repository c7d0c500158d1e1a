"""The curvature of a log density, and its error where gradients have noise."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .density import FlatDensity, values_and_gradients

# Steps in standard deviations: a narrow one that third derivatives hardly reach, and a
# wide one for densities with the noise of a solver.
NARROW, WIDE = 0.2, 0.8
# An error of the curvature, as a share of it, that asks for the wide steps.
SMALL_ERROR = 0.01
# How much worse known than the best a direction may be, in curvature.
LARGEST_CONDITION = 1e12
MOST_ROUNDS, MOST_TRIES = 3, 20
# The fourth difference of noise has 70 times its variance.
FOURTH_DIFFERENCE = np.array([1.0, -4.0, 6.0, -4.0, 1.0]) / 70**0.5


class Curvature(NamedTuple):
    """What gradients around a point say; NumPy arrays.

    Attributes:
        value: The log density at the point.
        gradient: At the point, of shape `(d,)`.
        precision: Minus the matrix of second derivatives, `(d, d)`.
        error: By which share of itself the curvature may be off in some direction,
            from the noise of the gradients.
    """

    value: float
    gradient: Float[np.ndarray, " d"]
    precision: Float[np.ndarray, "d d"]
    error: float


def curvature(density: FlatDensity, centre: Float[np.ndarray, " d"]) -> Curvature:
    """The gradient of a log density at a point, and its curvature around it.

    By central differences of gradients at two widths (Richardson), exact for quadratic
    densities. They are taken along the axes of the curvature itself, in standard
    deviations, so that strongly correlated entries are as well known as others. Noise
    shows in the fourth difference of five gradients in a row, which is nothing for a
    smooth density. No automatic second derivative goes through every solve, and
    compiling one takes longer than it saves.
    """
    axes, is_positive = _axes_of(_rough(density, centre))
    step = NARROW
    found = _along(density, centre, axes, step)
    for _ in range(MOST_ROUNDS):
        inside = np.diagonal(axes.T @ found.precision @ axes)
        if found.error > SMALL_ERROR and step < WIDE:
            step = WIDE
        elif is_positive and np.all(np.abs(inside - 1) < 0.5):
            break
        axes, is_positive = _axes_of(found.precision)
        found = _along(density, centre, axes, step)
    return found


def _along(
    density: FlatDensity, centre: np.ndarray, axes: np.ndarray, step: float
) -> Curvature:
    """By steps along the columns of `axes`."""
    d = len(centre)
    places = step * np.array([-1.0, -0.5, 0.5, 1.0])
    moves = (places[:, None, None] * axes.T).reshape(-1, d)
    points = density.rounded(centre + np.concatenate([np.zeros((1, d)), moves]))
    values, gradients = values_and_gradients(density, points)
    rows, at = (x[1:].reshape(4, d, d) for x in (gradients, points))
    wide = np.linalg.solve(at[3] - at[0], rows[3] - rows[0])
    narrow = np.linalg.solve(at[2] - at[1], rows[2] - rows[1])
    precision = -(4 * narrow - wide) / 3
    middle = np.broadcast_to(gradients[0], (1, d, d))
    noise = np.tensordot(
        FOURTH_DIFFERENCE, np.concatenate([rows[:2], middle, rows[2:]]) @ axes, 1
    )
    # That of a difference over its step, with Richardson's factor.
    error = 1.9 * np.sqrt(np.mean(noise**2)) / step
    symmetric = (precision + precision.T) / 2
    return Curvature(float(values[0]), gradients[0], symmetric, float(error))


def _rough(density: FlatDensity, centre: np.ndarray) -> Float[np.ndarray, "d d"]:
    """A precision by steps along the entries, whose lengths are found on the way.

    A length is right when it is near a tenth of the deviation that the curvature of its
    entry stands for, so that it stays inside of a support however narrow.
    """
    d = len(centre)
    longest = 1e3 * np.maximum(np.abs(centre), 1)
    lengths = 1e-6 * longest
    precision = np.zeros((d, d))
    for _ in range(MOST_TRIES):
        moves = np.concatenate([np.diag(lengths), -np.diag(lengths)])
        points = density.rounded(centre + moves)
        values, gradients = values_and_gradients(density, points)
        finite = np.isfinite(values) & np.isfinite(gradients).all(axis=1)
        inside = finite[:d] & finite[d:]
        apart = np.diagonal(points[:d] - points[d:])
        with np.errstate(invalid="ignore", divide="ignore"):
            rows = -(gradients[:d] - gradients[d:]) / apart[:, None]
        curved = inside & (np.diagonal(rows) > 0)
        wanted = 0.1 / np.sqrt(np.where(curved, np.diagonal(rows), 1))
        wanted = np.where(curved, wanted, 10 * lengths)
        wanted = np.where(inside, wanted, lengths / 10)
        precision = np.where(inside[:, None], rows, 0)
        near = curved & (wanted < 3 * lengths) & (lengths < 3 * wanted)
        if np.all(near | (lengths >= longest)):
            break
        lengths = np.where(near, lengths, np.clip(wanted, lengths / 100, 100 * lengths))
        lengths = np.minimum(lengths, longest)
    return (precision + precision.T) / 2


def _axes_of(precision: np.ndarray) -> tuple[np.ndarray, bool]:
    """Directions in which a precision is one, and whether it is positive in all."""
    scale = np.sqrt(np.abs(np.diagonal(precision)))
    if not (np.isfinite(precision).all() and np.all(scale > 0)):
        return np.diag(1 / np.where(scale > 0, scale, 1)), False
    values, vectors = np.linalg.eigh(precision / np.outer(scale, scale))
    least = np.max(np.abs(values)) / LARGEST_CONDITION
    size = np.maximum(np.abs(values), least)
    return vectors / scale[:, None] / np.sqrt(size), bool(np.all(values > least))
