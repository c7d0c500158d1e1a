"""Fields whose solutions are known."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np


def decay(t, y, rate):
    return -rate * y


MATRIX = np.array([[-0.1, 1.0], [-1.0, -0.1]])
TS = np.linspace(0.0, 2.0, 5)


def exact(ts, y0):
    """`expm(A t) y0` of a damped rotation."""
    ts = np.atleast_1d(ts)
    c, s = np.cos(ts), np.sin(ts)
    rotation = np.exp(-0.1 * ts) * np.array([[c, s], [-s, c]])
    return np.einsum("ijt,j->ti", rotation, y0)


class Linear(eqx.Module):
    A: jax.Array

    def __call__(self, t, y, args):
        return self.A @ y


def linear(dtype=jnp.float32):
    return Linear(jnp.asarray(MATRIX, dtype))
