"""Many operations, compiled as one."""

import jax
import jax.numpy as jnp
import numpy as np

from BayesianJaxModels._compute.program import one_program
from tests.programs import equations


def test_one_program_outside_of_a_trace_and_none_of_its_own_inside():
    @one_program
    def tangent(x):
        return jnp.sin(x) / jnp.cos(x)

    x = jnp.ones(3)
    np.testing.assert_allclose(tangent(x), np.tan(1.0), rtol=1e-6)
    outside = jax.make_jaxpr(lambda x: 2 * tangent(x))(x).jaxpr
    names = [equation.primitive.name for equation in equations(outside)]
    # Newer versions of JAX write it out when they lower, not when they trace.
    names = [name for name in names if name not in ("jit", "pjit")]
    assert sorted(names) == ["cos", "div", "mul", "sin"]
