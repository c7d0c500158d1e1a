"""diffrax's loop over steps, with an end that takes less time to compile.

A step that ends within 100 numbers of the last time ends there. diffrax counts those
numbers one by one (https://github.com/patrick-kidger/diffrax/pull/660), in 2,000 of the
operations of a compiled solve: a sixth of the seconds to compile a small one. Seen in
0.7.2. It can go when a solve compiles as fast without it.
"""

from dataclasses import fields

import diffrax
import jax.numpy as jnp
from diffrax._integrate import loop
from jax import lax
from jaxtyping import Array, Float

from .internals import with_internals


def number_before(x: Float[Array, ""]) -> Float[Array, ""]:
    """The number before a positive one; XLA takes many in a row together."""
    x = lax.stop_gradient(x)
    bits = {2: jnp.int16, 4: jnp.int32, 8: jnp.int64}[x.dtype.itemsize]
    before = lax.bitcast_convert_type(x, bits) - jnp.ones((), bits)
    return lax.bitcast_convert_type(before, x.dtype)


# Time is counted from the start of a solve, so that its end is positive.
short_loop = with_internals(loop, prevbefore=number_before)


class _RecursiveCheckpointAdjoint(diffrax.RecursiveCheckpointAdjoint):
    @property
    def _loop(self):
        return short_loop


class _ForwardMode(diffrax.ForwardMode):
    @property
    def _loop(self):
        return short_loop


class _DirectAdjoint(diffrax.DirectAdjoint):
    @property
    def _loop(self):
        return short_loop


_KINDS = {
    diffrax.RecursiveCheckpointAdjoint: _RecursiveCheckpointAdjoint,
    diffrax.ForwardMode: _ForwardMode,
    diffrax.DirectAdjoint: _DirectAdjoint,
}


def with_short_end(adjoint: diffrax.AbstractAdjoint) -> diffrax.AbstractAdjoint:
    """The same adjoint over the shorter loop, or as it is where it has its own."""
    kind = _KINDS.get(type(adjoint))
    if kind is None:
        return adjoint
    own = {field.name: getattr(adjoint, field.name) for field in fields(adjoint)}
    return kind(**own)
