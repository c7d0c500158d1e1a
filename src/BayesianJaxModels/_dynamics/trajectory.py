"""The result of a solve, or of any batch of them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from diffrax import RESULTS
from jaxtyping import Array, Bool, Float, Int, PyTree

from .event import End


class Trajectory(eqx.Module):
    """States at the times asked for, and how the solve went.

    Under `jax.vmap` every field gets a leading axis; the properties know about it.

    Attributes:
        ts: The times, of shape `(T,)`; `(N, T)` where each of `N` initial states has
            its own. In NumPy as they were given, unless they were traced.
        ys: The states, every leaf of shape `(..., T, *state)`. NaN after an event ended
            the solve. A solve that failed has NaN or infinity from where it failed.
        result: Why each solve ended, a `diffrax.RESULTS` of shape `(...)`.
        num_steps: How many steps each solver took, of shape `(...)`, rejected ones
            included.
        weights: The weights of draws, which are the first batch axis, up to a constant;
            `None` if all are equal.
        end: What `t_end`, `y_end`, `event_mask` and `is_reached` say of solves that
            were given an event; `None` of those without.

    Example:
        ```python
        ts = np.linspace(0.0, 4.0, 5)
        growth = bjm.integrate(lambda t, y, args: y**2, 0.5, ts)  # infinite at 2
        growth.ys[:2]  # [0.500, 1.000]
        growth.succeeded  # False

        import optimistix

        finder = optimistix.Newton(1e-5, 1e-5)
        full = diffrax.Event(lambda t, y, args, **kwargs: y - 2.0, finder)
        growth = bjm.integrate(lambda t, y, args: y**2, 0.5, ts, event=full)
        growth.t_end, growth.y_end  # (1.500, 2.000)
        growth.is_reached  # [True, True, False, False, False]
        growth.succeeded  # True
        ```
    """

    ts: Float[Array | np.ndarray, "..."]
    ys: PyTree[Float[Array | np.ndarray, "..."]]
    result: RESULTS
    num_steps: Int[Array, "..."]
    weights: Float[Array, " n"] | None = None
    end: End | None = None

    @property
    def succeeded(self) -> Bool[Array, "..."]:
        """Which solves are good: diffrax says so and all states are finite.

        A constant step size lets diffrax call a solve successful whose states are NaN.
        A solve that an event ended is good if all states up to there are finite.
        """
        return _status(self)[0]

    @property
    def is_reached(self) -> Bool[Array, "..."]:
        """Which times have a state, of shape `(..., T)`.

        All up to where an event ended the solve, or it failed. In a loss,
        `jnp.where(is_reached, ys, 0)` (with axes for the state) leaves the others out
        and keeps gradients finite. In a log density that alone is wrong: a solve that
        ends early would have less to explain.
        """
        return _status(self)[1]

    @property
    def ended_by_event(self) -> Bool[Array, "..."]:
        """Which solves an event ended, of shape `(...)`."""
        return jnp.asarray(self.result == RESULTS.event_occurred)

    @property
    def event_mask(self) -> PyTree[Bool[Array, "..."]] | None:
        """Which condition ended each solve: leaves of shape `(...)`.

        In the structure of the conditions of the `diffrax.Event`. Of those that were
        met in one step, diffrax takes the first. `None` without an event.
        """
        return None if self.end is None else self.end.event_mask

    @property
    def t_end(self) -> Float[Array, "..."]:
        """When each solve ended, of shape `(...)`, in JAX's precision.

        The time of the event; or the last of `ts`; or, of a solve that failed, when the
        solver gave up if there was an event to look for, or else the last of `ts` with
        a state. Gradients reach the time of an event that has a root finder. Without
        one it is the end of the step in which the condition was first met. In float32 a
        date in seconds is rounded to two minutes; `end.since_start`, of solves that
        were given an event, is not.
        """
        return _last(self)[0] if self.end is None else self.end.t

    @property
    def y_end(self) -> PyTree[Float[Array, "..."]]:
        """The state at `t_end`, every leaf of shape `(..., *state)`."""
        return _last(self)[1] if self.end is None else self.end.y

    @property
    def num_failed(self) -> Int[Array, ""]:
        """How many solves failed."""
        return jnp.sum(~self.succeeded)

    @property
    def failed_fraction(self) -> Float[Array, ""]:
        """The share of solves that failed."""
        return jnp.mean(~self.succeeded)


def _finite(tree: PyTree, ndim: int) -> Bool[Array, "..."]:
    """Where all of a state is finite; `ndim` axes come before the state's."""
    finite = jnp.array(True)
    for leaf in jax.tree.leaves(tree):
        finite &= jnp.all(jnp.isfinite(leaf), axis=tuple(range(ndim, leaf.ndim)))
    return finite


@eqx.filter_jit
def _status(trajectory: Trajectory) -> tuple[Bool[Array, "..."], Bool[Array, "..."]]:
    """Which solves succeeded, and which times were reached."""
    ndim, end = jnp.ndim(trajectory.num_steps), trajectory.end
    finite = _finite(trajectory.ys, ndim + 1)
    good = (trajectory.result == RESULTS.successful) & jnp.all(finite, axis=-1)
    if end is None:
        return good, finite
    finite_until = jnp.all(finite | ~end.is_reached, axis=-1) & _finite(end.y, ndim)
    good |= trajectory.ended_by_event & finite_until
    return good, finite & end.is_reached


@eqx.filter_jit
def _last(trajectory: Trajectory) -> tuple[Float[Array, "..."], PyTree]:
    """The last time with a state, and that state."""
    is_reached = trajectory.is_reached
    place = jnp.maximum(jnp.sum(is_reached, axis=-1, keepdims=True) - 1, 0)
    # Times with fewer batch axes than the solves are those of the first ones.
    ts = jnp.asarray(trajectory.ts)
    missing = is_reached.ndim - ts.ndim
    ts = ts.reshape(*ts.shape[:-1], *(1,) * missing, ts.shape[-1])
    ts = jnp.broadcast_to(ts, is_reached.shape)

    def pick(leaf):
        axis = is_reached.ndim - 1
        index = place.reshape(*place.shape, *(1,) * (leaf.ndim - place.ndim))
        return jnp.take_along_axis(leaf, index, axis=axis).squeeze(axis)

    return pick(ts), jax.tree.map(pick, trajectory.ys)
