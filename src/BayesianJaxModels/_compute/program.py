"""One program for many operations."""

from functools import partial

import jax

# Outside of a trace, operations are compiled one by one, for every shape. A function
# under this is compiled as a whole there; within a trace it is as if it were written
# out.
one_program = partial(jax.jit, inline=True)
