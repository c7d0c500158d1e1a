"""Search for modes that a fit does not know of."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float, PRNGKeyArray

from ..density import FlatDensity, values_and_gradients
from . import search
from .modes import Mode, are_connected, gather_modes

# How far from a fit searches start, in its standard deviations: the first of them near,
# the last one far.
NEAREST, FARTHEST = 3.0, 300.0
MAX_STEPS = 200
# How far from its end a search may stop, in nats: enough to tell modes apart.
TOLERANCE = 1e-2


def look_beyond(
    density: FlatDensity,
    centres: Sequence[Float[np.ndarray, " d"]],
    factor: Float[np.ndarray, "d d"],
    *,
    key: PRNGKeyArray,
    num_searches: int,
) -> tuple[Mode, ...]:
    """Modes that searches from all around a fit end in, and that are not its own.

    The highest first, each with its log evidence. This can show that there are others,
    not that there are none.

    Args:
        density: The log density.
        centres: The means of the fit, one for each of its modes.
        factor: A root of the fit's covariance.
        key: A JAX random key.
        num_searches: How many searches.
    """
    d = len(factor)
    noise = np.asarray(jax.random.normal(key, (num_searches, d)), np.float64)
    radii = np.geomspace(NEAREST, FARTHEST, num_searches)
    origins = np.stack([centres[i % len(centres)] for i in range(num_searches)])
    starts = origins + radii[:, None] * noise @ factor.T

    def evaluate(points):
        values, gradients = values_and_gradients(density, points)
        return -values, -gradients

    ends = search.minimise(
        evaluate,
        starts.astype(density.dtype),
        scale=np.sqrt(np.sum(factor**2, axis=1)),
        tolerance=TOLERANCE,
        max_steps=MAX_STEPS,
    )
    others = ends.outcomes == search.CONVERGED
    for centre in centres:
        points, values = ends.points[others], -ends.values[others]
        value = values_and_gradients(density, centre[None])[0][0]
        # The lower of the two ends is what the way between them must not fall below.
        known = are_connected(density, centre, points, np.minimum(values, value))
        others[np.flatnonzero(others)[known]] = False
    if not others.any():
        return ()
    return gather_modes(density, ends.points[others], -ends.values[others], weigh=True)
