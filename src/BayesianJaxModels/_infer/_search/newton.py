"""Newton decrements at many points, by central differences of gradients."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

WIDTH = 0.1  # standard deviations that a difference reaches either way
MOST_ROUNDS = 4
# Widths that are wrong by more than this factor are measured again.
WRONG = 10.0
# Eigenvalues below this share of the largest are rounding.
ROUNDING = 1e-10


class NewtonSteps(NamedTuple):
    """What differences of gradients say of `m` points.

    Attributes:
        roots: Matrices whose product with their transpose is the inverse Hessian, with
            the signs of its eigenvalues made positive.
        decrement: The decrease that a Newton step promises: `g^T H^-1 g / 2`, in any
            units; infinite where the curvature is negative in some direction.
        noise: How far values scatter around the integral of the gradients.
        finite: Where all was finite in the end.
        flat: Where neither slope nor curvature was met in any direction.
        points: The lowest point met.
        values: The value there.
        gradients: The gradient there.
    """

    roots: Float[np.ndarray, "m d d"]
    decrement: Float[np.ndarray, " m"]
    noise: Float[np.ndarray, " m"]
    finite: Bool[np.ndarray, " m"]
    flat: Bool[np.ndarray, " m"]
    points: Float[np.ndarray, "m d"]
    values: Float[np.ndarray, " m"]
    gradients: Float[np.ndarray, "m d"]


def measure(
    evaluate: Callable,
    roots: Float[np.ndarray, "m d d"],
    points: Float[np.ndarray, "m d"],
    values: Float[np.ndarray, " m"],
    gradients: Float[np.ndarray, "m d"],
) -> NewtonSteps:
    """Measure curvatures by central differences, `2 d` evaluations for each point.

    Differences go along the columns of `roots`, a guess of a root of the inverse
    Hessian, a tenth of a standard deviation each. Where they show that a width is
    wrong, they are taken again along the principal axes that they found: no scale of an
    entry, and no correlation, is too far off to begin with. `evaluate` returns the
    points as it rounded them, values and gradients.
    """
    m, d = points.shape
    here = (points, values, gradients)
    roots, widths = roots.copy(), np.full((m, d), WIDTH)
    decrement, noise = np.full(m, np.inf), np.full(m, np.nan)
    finite, flat = np.zeros((2, m), bool)
    lowest = tuple(x.copy() for x in here)
    todo = np.arange(m)
    for _ in range(MOST_ROUNDS):
        x, value, gradient = (array[todo] for array in here)
        moves = (roots[todo] * widths[todo][:, None]).swapaxes(1, 2)
        around = np.stack([x[:, None] + moves, x[:, None] - moves], axis=1)
        around, v, g = evaluate(around.reshape(-1, d))
        around, v, g = (
            around.reshape(-1, 2, d, d),
            v.reshape(-1, 2, d),
            g.reshape(-1, 2, d, d),
        )
        fine = np.isfinite(v) & np.isfinite(g).all(axis=3)
        _keep_lowest(lowest, todo, around, np.where(fine, v, np.inf), g)
        widths[todo] = np.where(fine.all(axis=1), WIDTH, widths[todo] / WRONG)
        whole = fine.all(axis=(1, 2))
        at, v, g, span = todo[whole], v[whole], g[whole], widths[todo[whole]]
        root = roots[at]
        slopes = np.einsum("nkij,njl->nkil", g, root)
        # The widths may have been narrowed in an earlier round.
        span = np.linalg.norm(moves[whole], axis=2) / np.linalg.norm(root, axis=1)
        rows = (slopes[:, 0] - slopes[:, 1]) / (2 * span[:, :, None])
        error = np.linalg.norm(rows - rows.swapaxes(1, 2), axis=(1, 2)) / 2
        size, axes = np.linalg.eigh((rows + rows.swapaxes(1, 2)) / 2)
        largest = np.abs(size).max(axis=1)
        floor = np.maximum(error, ROUNDING * largest)[:, None]
        positive = np.maximum(np.maximum(np.abs(size), floor), np.finfo(float).tiny)
        slope = np.einsum("ni,nij,njk->nk", gradient[whole], root, axes)
        promised = np.sum(slope**2 / positive, axis=1) / 2
        decrement[at] = np.where((size < -floor).any(axis=1), np.inf, promised)
        flat[at] = (largest == 0) & (gradient[whole] == 0).all(axis=1)
        # Simpson's rule: an error of the fifth order in the width.
        middle = g[:, 0] + 4 * gradient[whole][:, None] + g[:, 1]
        across = around[whole][:, 0] - around[whole][:, 1]
        misfit = v[:, 0] - v[:, 1] - np.sum(across * middle, axis=2) / 6
        noise[at] = np.sqrt(np.mean(misfit**2, axis=1) / 2)
        roots[at] = root @ axes / np.sqrt(positive)[:, None]
        finite[at] = True
        wrong = (positive.max(axis=1) > WRONG**2) | (positive.min(axis=1) < WRONG**-2)
        todo = np.concatenate([todo[~whole], at[wrong & ~flat[at]]])
        if todo.size == 0:
            break
    return NewtonSteps(roots, decrement, noise, finite, flat, *lowest)


def _keep_lowest(lowest, which, points, values, gradients):
    """Take over the lowest of the points around each, where it is lower."""
    m, d = len(which), points.shape[-1]
    best = np.argmin(values.reshape(m, -1), axis=1)
    rows = np.arange(m)
    found = [
        points.reshape(m, -1, d),
        values.reshape(m, -1),
        gradients.reshape(m, -1, d),
    ]
    found = [array[rows, best] for array in found]
    lower = found[1] < lowest[1][which]
    for old, new in zip(lowest, found, strict=True):
        old[which[lower]] = new[lower]
