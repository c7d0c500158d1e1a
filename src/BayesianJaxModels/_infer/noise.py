"""The noise of a log density, as a solver's tolerance leaves it."""

import numpy as np
from jaxtyping import Float

# Along a line through the posterior so many points, a hundredth of a standard
# deviation apart, over which a density without noise is a parabola.
NUM_POINTS = 32
STEP = 0.01
# In nats. Above this it costs draws, and widths are off by some per cent.
LARGEST_NOISE = 0.1
# As a share of the curvature; above it there is a warning.
LARGEST_ERROR = 0.1
# With fewer points where the density is finite, nothing can be said.
FEWEST_POINTS = 8
REMEDY = "If it solves an ODE, take tighter steps, such as `rtol=1e-6, atol=1e-8`."


def short_step(factor: Float[np.ndarray, "d d"]) -> Float[np.ndarray, " d"]:
    """`STEP` standard deviations along all entries of a covariance's lower factor."""
    return STEP * factor.sum(axis=1) / len(factor) ** 0.5


def noise_along(
    points: Float[np.ndarray, "n d"],
    values: Float[np.ndarray, " n"],
    step: Float[np.ndarray, " d"],
) -> float:
    """What a parabola along a line of steps leaves of the values of a log density.

    Returns:
        The standard deviation of the rest, in nats; NaN with fewer than `FEWEST_POINTS`
        finite values.
    """
    finite = np.isfinite(values)
    if finite.sum() < FEWEST_POINTS:
        return np.nan
    points, values = points[finite], values[finite]
    # Entries that are known for sure take no step.
    moving = step != 0
    places = np.mean((points - points[0])[:, moving] / step[moving], axis=1)
    basis = np.stack([np.ones_like(places), places, places**2], axis=1)
    rest = values - basis @ np.linalg.lstsq(basis, values)[0]
    return float(np.sqrt(np.sum(rest**2) / (len(values) - 3)))


def noise_complaint(noise: float) -> list[str]:
    """A sentence on noise in values that is too large, with the remedy; or nothing."""
    if not noise > LARGEST_NOISE:
        return []
    return [
        f"The log density is not smooth: over a few hundredths of a standard deviation "
        f"it scatters by {noise:.2g} nats (good up to {LARGEST_NOISE}). {REMEDY} If it "
        "is the rounding of large numbers, take float64."
    ]


def noise_of_curvature(error: float) -> str:
    """A sentence on noise in the curvature that is too large, or nothing."""
    if not error > LARGEST_ERROR:
        return ""
    return (
        " The log density is not smooth: noise in its gradients is "
        f"{100 * error:.0f} % of the curvature. {REMEDY}"
    )
