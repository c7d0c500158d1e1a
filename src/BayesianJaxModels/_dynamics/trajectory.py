"""The result of a solve, or of any batch of them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from diffrax import RESULTS
from jaxtyping import Array, Bool, Float, Int, PyTree


class Trajectory(eqx.Module):
    """States at the times asked for, and how the solve went.

    Under `jax.vmap` every field gets a leading axis; the properties know about it.

    Attributes:
        ts: The times, of shape `(T,)`; `(N, T)` where each of `N` initial states has
            its own. In NumPy as they were given, unless they were traced.
        ys: The states, every leaf of shape `(..., T, *state)`. A solve that failed has
            NaN or infinity from where it failed.
        result: Why each solve ended, a `diffrax.RESULTS` of shape `(...)`.
        num_steps: How many steps each solver took, of shape `(...)`, rejected ones
            included.
        weights: The weights of draws, which are the first batch axis, up to a constant;
            `None` if all are equal.

    Example:
        ```python
        ts = np.linspace(0.0, 4.0, 5)
        growth = bjm.integrate(lambda t, y, args: y**2, 0.5, ts)  # infinite at 2
        growth.ys[:2]  # [0.500, 1.000]
        growth.succeeded  # False
        ```
    """

    ts: Float[Array | np.ndarray, "..."]
    ys: PyTree[Float[Array, "..."]]
    result: RESULTS
    num_steps: Int[Array, "..."]
    weights: Float[Array, " n"] | None = None

    @property
    def succeeded(self) -> Bool[Array, "..."]:
        """Which solves are good: diffrax says so and all states are finite.

        A constant step size lets diffrax call a solve successful whose states are NaN.
        A solve that an event ended is good if no state is NaN; diffrax fills what comes
        after the event with infinity.
        """
        return _succeeded(self.ys, self.result, jnp.ndim(self.num_steps))

    @property
    def num_failed(self) -> Int[Array, ""]:
        """How many solves failed."""
        return jnp.sum(~self.succeeded)

    @property
    def failed_fraction(self) -> Float[Array, ""]:
        """The share of solves that failed."""
        return jnp.mean(~self.succeeded)


@eqx.filter_jit
def _succeeded(ys: PyTree, result: RESULTS, batch_ndim: int) -> Bool[Array, "..."]:
    no_nan, finite = True, True
    for leaf in jax.tree.leaves(ys):
        axes = tuple(range(batch_ndim, leaf.ndim))
        no_nan &= ~jnp.any(jnp.isnan(leaf), axis=axes)
        finite &= jnp.all(jnp.isfinite(leaf), axis=axes)
    ended_by_event = result == RESULTS.event_occurred
    return ((result == RESULTS.successful) & finite) | (ended_by_event & no_nan)
