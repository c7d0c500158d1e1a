"""A horizon that grows with training."""

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Bool, Float, Int

from .._dynamics import read_clock


def growing_horizon(
    step: Int[ArrayLike, ""],
    num_steps: int,
    ts: Float[ArrayLike, " T"],
    *,
    initial_share: float = 0.1,
) -> Bool[Array, " T"]:
    """Which times count at a training step: the first ones at first, all at the end.

    Fitted as a whole, a long series may end in a flat line. Fitted from its beginning
    on, each stretch starts from a solve that follows those before.

    Args:
        step: The training step, from 0; may be traced, so that nothing recompiles.
        num_steps: At which step all times count. Until then the horizon grows by the
            same time in every step.
        ts: The times, strictly monotone.
        initial_share: The share, above 0 and up to 1, of the time from first to last
            that counts at step 0.

    Returns:
        Of shape `(T,)`, true for the times that count: always for the first two. Use it
        as a weight in the loss, or as the `mask` of `integrate`, which then leaves the
        times beyond out.

    Raises:
        TypeError: If `ts` is not made of real numbers.
        ValueError: If an argument is not as above. Traced times that are not leave
            the first two.

    Example:
        ```python
        ts = np.linspace(0.0, 8.0, 5)
        bjm.train.growing_horizon(0, 1_000, ts)  # [True, True, False, False, False]
        bjm.train.growing_horizon(500, 1_000, ts)  # [True, True, True, False, False]
        ```
    """
    elapsed = read_clock(ts).begin().elapsed
    if num_steps < 1 or not 0 < initial_share <= 1:
        raise ValueError(
            "`num_steps` must be at least 1 and `initial_share` above 0 and at most 1, "
            f"but got {num_steps} and {initial_share}."
        )
    left = 1 - jnp.asarray(step).astype(elapsed.dtype) / num_steps
    horizon = 1 - (1 - initial_share) * jnp.clip(left, 0, 1)
    share = elapsed / elapsed[-1]
    return (share <= horizon) | (jnp.arange(elapsed.size) < 2)
