"""Many searches for a minimum in lock-step."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float

MEMORY = 20  # pairs of steps and gradient differences
MOST_HALVINGS = 15
SUFFICIENT = 1e-4  # the share of the decrease a slope promises that a step must bring


def minimise(
    evaluate: Callable,
    starts: Float[np.ndarray, "n d"],
    *,
    tolerance: float,
    max_steps: int,
    progress: Callable = lambda count: None,
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"], Bool[np.ndarray, " n"]]:
    """Minimise a function from many starts, by L-BFGS with backtracking.

    Nocedal & Wright 2006, Numerical Optimization, algorithms 3.1 and 7.4. Each step is
    one evaluation at a point of every search that goes on, and those are one batch. A
    value or gradient that is not finite makes a search step back.

    Args:
        evaluate: From points `(n, d)` to values `(n,)` and gradients `(n, d)`.
        starts: Where the searches start.
        tolerance: A search has converged when its quadratic model promises a decrease
            below this.
        max_steps: Evaluations at most.
        progress: Called with how many searches ended.

    Returns:
        Where the searches ended, their values (infinite where nothing finite was met)
        and whether they converged.
    """
    n, d = starts.shape
    x, value = starts.copy(), np.full(n, np.inf)
    gradient, direction = np.zeros((n, d)), np.zeros((n, d))
    trial_value, trial_gradient = np.zeros(n), np.zeros((n, d))
    steps, differences = np.zeros((MEMORY, n, d)), np.zeros((MEMORY, n, d))
    inverse_products = np.zeros((MEMORY, n))  # zero where there is no pair
    length, slope = np.ones(n), np.zeros(n)
    halvings = np.zeros(n, int)
    active, converged = np.ones(n, bool), np.zeros(n, bool)
    for _ in range(max_steps):
        trial = x + length[:, None] * direction
        trial_value[active], trial_gradient[active] = evaluate(trial[active])
        finite = np.isfinite(trial_value) & np.isfinite(trial_gradient).all(axis=1)
        # A wild trial may overflow; it is not accepted.
        with np.errstate(invalid="ignore", over="ignore"):
            enough = trial_value <= value + SUFFICIENT * length * slope
            accepted = active & finite & enough
            step, difference = trial - x, np.where(accepted[:, None], trial_gradient, 0)
            difference -= gradient
            product = np.sum(step * difference, axis=1)
            curved = accepted & (product > 1e-12 * np.sum(difference**2, axis=1))
        _push(steps, step, curved)
        _push(differences, difference, curved)
        _push(inverse_products, 1 / np.where(curved, product, 1), curved)
        x = np.where(accepted[:, None], trial, x)
        value = np.where(accepted, trial_value, value)
        gradient = np.where(accepted[:, None], trial_gradient, gradient)
        halvings = np.where(accepted, 0, halvings + 1)
        length = np.where(accepted, 1.0, 0.5 * length)
        downhill = _newton(gradient, steps, differences, inverse_products)
        direction = np.where(accepted[:, None], downhill, direction)
        slope = np.where(accepted, np.sum(direction * gradient, axis=1), slope)
        # A start that is not finite has no direction to step back along.
        stuck = active & ((halvings > MOST_HALVINGS) | ~np.isfinite(value))
        close = active & np.isfinite(value) & (-slope / 2 < tolerance)
        # Noise of a solver hides decreases that are smaller than it.
        converged |= close | (stuck & (-slope / 2 < 100 * tolerance) & (slope < 0))
        progress(int(np.sum(stuck | close)))
        active &= ~(stuck | close)
        if not active.any():
            break
    return x, value, converged


def _push(memory: np.ndarray, newest: np.ndarray, wanted: np.ndarray) -> None:
    """Append to the memory of the searches that are wanted; the oldest goes."""
    memory[:-1, wanted] = memory[1:, wanted]
    memory[-1, wanted] = newest[wanted]


def _newton(
    gradient: np.ndarray,
    steps: np.ndarray,
    differences: np.ndarray,
    inverse_products: np.ndarray,
) -> np.ndarray:
    """Minus the inverse Hessian that the memory stands for, times the gradient."""
    rest, shares = gradient.copy(), []
    for s, y, rho in zip(
        steps[::-1], differences[::-1], inverse_products[::-1], strict=True
    ):
        shares.append(rho * np.sum(s * rest, axis=1))
        rest -= shares[-1][:, None] * y
    squares = inverse_products[-1] * np.sum(differences[-1] ** 2, axis=1)
    length = np.linalg.norm(gradient, axis=1)
    # Before there is a pair: a step of length one.
    scale = np.where(squares > 0, 1 / np.where(squares > 0, squares, 1), 0)
    first = 1 / np.maximum(length, 1)
    rest *= np.where(squares > 0, scale, first)[:, None]
    for s, y, rho in zip(steps, differences, inverse_products, strict=True):
        back = rho * np.sum(y * rest, axis=1)
        rest += (shares.pop() - back)[:, None] * s
    return -rest
