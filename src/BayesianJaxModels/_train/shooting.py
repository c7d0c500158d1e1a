"""Multiple shooting: a long series as short ones that have to meet."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float, Num, PyTree

from .._dynamics import Trajectory, check_times


class ShootingSegments(eqx.Module):
    """A series cut into `K` segments of up to `L` times.

    The last time of a segment is the first of the next. Shorter segments are padded
    with their last time and observation.

    Attributes:
        ts: The times of each segment, of shape `(K, L)`, to give to `integrate`; in
            NumPy, as they were, unless they are traced.
        observations: The observations at these times, `(K, L, *observation)`.
        mask: Which times are no padding, `(K, L)`, to give to `integrate`.
        counts: Which observations count, to give to a likelihood: those that `mask` of
            `shooting_segments` keeps, each once. One at a shared time counts in the
            segment that it starts.

    Example:
        ```python
        hours = np.arange(5.0)
        segments = bjm.train.shooting_segments(hours, np.exp(-hours), 2)
        segments.ts  # [[0.0, 1.0, 2.0], [2.0, 3.0, 4.0]]
        segments.counts  # [[True, True, False], [True, True, True]]
        ```
    """

    ts: Float[Array | np.ndarray, "K L"]
    observations: Num[Array, "K L *observation"]
    mask: Bool[Array, "K L"]
    counts: Bool[Array, "K L ..."]


def shooting_segments(
    ts: Float[ArrayLike, " T"],
    observations: Num[ArrayLike, "T *observation"],
    num_segments: int,
    *,
    mask: Bool[ArrayLike, "T ..."] | None = None,
) -> ShootingSegments:
    """Cut a series into segments, each to be solved from a start state of its own.

    Over a short time a solve stays near the data, whatever the parameters are. This
    helps where fits of long, oscillating or chaotic series end in a bad mode, or
    gradients explode. Learn the start states with the parameters, and close the gaps
    (`continuity_gaps`) by a penalty, or by a normal log density whose scale shrinks.
    Then go on with one solve over the whole series from the first start state.

    Args:
        ts: The times of the series, strictly monotone.
        observations: Of shape `(T, *observation)`.
        num_segments: How many segments, from 1 up to one less than there are times.
            Their numbers of times differ by one at most.
        mask: Which observations count, in their shape or that of their leading axes;
            all of them if `None`.

    Returns:
        `ShootingSegments`. If all of the state is observed, their
        `observations[:, 0]` is a first guess of the start states.

    Raises:
        TypeError: If `ts` is not made of real numbers.
        ValueError: If `ts` is not as above, or the others do not fit. Where `ts` is
            traced, `integrate` fails on it.

    Example:
        ```python
        ts = np.linspace(0.0, 4.0, 9)
        segments = bjm.train.shooting_segments(ts, np.exp(-0.5 * ts)[:, None], 4)

        def decay(t, y, rate):
            return -rate * y

        @jax.jit
        def loss(rate, starts, scale):
            pieces = bjm.integrate(
                decay, starts, segments.ts, mask=segments.mask, args=rate, batched=True
            )
            gaps = bjm.train.continuity_gaps(pieces)
            normal = bjm.likelihoods.NormalLikelihood(0.1)
            fit = normal.log_prob(pieces.ys, segments.observations, segments.counts)
            return jnp.sum((gaps / scale) ** 2) / 2 - fit

        # Minimise it over rate and starts, then with a smaller scale.
        loss(0.3, segments.observations[:, 0], 0.1)
        ```

    References:
        Bock and Plitt (1984), "A multiple shooting algorithm for direct solution of
        optimal control problems", IFAC Proceedings Volumes 17; Turan and Jäschke
        (2022), "Multiple shooting for training neural differential equations on time
        series", arXiv:2109.06786.
    """
    ts = check_times(ts)
    observations = jnp.asarray(observations)
    num_times = ts.size
    if not 1 <= num_segments < num_times:
        raise ValueError(
            f"`num_segments` must be from 1 to {num_times - 1} for {num_times} times, "
            f"but got {num_segments}."
        )
    if observations.shape[:1] != (num_times,):
        raise ValueError(
            f"`observations` must have a leading axis of {num_times} times, but has "
            f"shape {observations.shape}."
        )
    kept = jnp.ones(num_times, bool) if mask is None else jnp.asarray(mask)
    if kept.dtype != bool or kept.shape != observations.shape[: max(kept.ndim, 1)]:
        raise ValueError(
            "`mask` must be boolean in the shape of `observations`, "
            f"{observations.shape}, or of its leading axes, but has dtype {kept.dtype} "
            f"and shape {kept.shape}."
        )
    bounds = np.arange(num_segments + 1) * (num_times - 1) // num_segments
    last = np.diff(bounds)[:, None]
    place = np.arange(last.max() + 1)
    index = bounds[:-1, None] + np.minimum(place, last)
    own = place < last
    own[-1] = place <= last[-1]
    own = own.reshape(*own.shape, *(1,) * (kept.ndim - 1))
    return ShootingSegments(
        ts[index], observations[index], jnp.asarray(place <= last), kept[index] & own
    )


def continuity_gaps(trajectory: Trajectory) -> PyTree[Float[Array, "..."]]:
    """By how much each segment ends above the start of the next.

    Args:
        trajectory: Of `K` segments, from `integrate(..., batched=True)` with the times
            and the mask of `ShootingSegments`; with any batch axes before theirs.

    Returns:
        In the structure of the state, leaves of shape `(..., K - 1, *state)`: zero if
        the segments are one solution, not finite beside a segment that failed.

    Raises:
        ValueError: If the trajectory has no axis of segments.

    Example:
        ```python
        ts = np.array([[0.0, 1.0], [1.0, 2.0]])
        starts = np.array([1.0, 0.0])
        pieces = bjm.integrate(lambda t, y, args: 0.0 * y, starts, ts, batched=True)
        bjm.train.continuity_gaps(pieces)  # [1.0]: one ends at 1, the next starts at 0
        ```
    """
    axis = trajectory.num_steps.ndim - 1
    if axis < 0:
        raise ValueError(
            "`trajectory` must have an axis of segments. Solve them with "
            "`integrate(vector_field, starts, segments.ts, mask=segments.mask, "
            "batched=True)`."
        )

    def gaps(ys):
        ys = jnp.moveaxis(ys, (axis, axis + 1), (0, 1))
        return jnp.moveaxis(ys[:-1, -1] - ys[1:, 0], 0, axis)

    return jax.tree.map(gaps, trajectory.ys)
