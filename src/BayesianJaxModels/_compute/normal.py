"""Draws that use every random word that is computed."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.random import threefry_2x32
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray


def standard_normal(
    key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike
) -> Float[Array, "..."]:
    """Draw standard normal numbers: as `jax.random.normal`, with other bits.

    `jax.random.normal` computes two words of threefry for each number it returns, so
    that it can be sharded over devices. A draw of weights stays on one device, so here
    both words are used, which takes a little over half the time to run and to compile.
    The numbers depend on the key alone, whatever JAX's settings.

    Args:
        key: A JAX random key.
        shape: The shape of the draw.
        dtype: A floating point dtype. Other precisions than float32, and other
            generators than threefry, go to `jax.random`.
    """
    if not _is_fast(key, dtype):
        return jax.random.normal(key, shape, dtype)
    return np.float32(2**0.5) * lax.erf_inv(_symmetric_uniform(key, shape))


def standard_laplace(
    key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike
) -> Float[Array, "..."]:
    """Draw standard Laplace numbers, as `standard_normal` draws normal ones."""
    if not _is_fast(key, dtype):
        return jax.random.laplace(key, shape, dtype)
    uniform = _symmetric_uniform(key, shape)
    return -jnp.sign(uniform) * jnp.log1p(-jnp.abs(uniform))


def _is_fast(key: PRNGKeyArray, dtype: DTypeLike) -> bool:
    return dtype == jnp.float32 and str(jax.random.key_impl(key)) == "threefry2x32"


def _symmetric_uniform(
    key: PRNGKeyArray, shape: tuple[int, ...]
) -> Float[Array, "..."]:
    """Uniform float32 numbers in the open interval (-1, 1)."""
    counts = lax.iota(jnp.uint32, math.prod(shape))
    bits = threefry_2x32(jax.random.key_data(key), counts)
    # 23 random bits are the fraction of a float in [1, 2).
    one_to_two = lax.bitcast_convert_type(
        (bits >> 9) | np.uint32(0x3F800000), jnp.float32
    )
    low = np.nextafter(np.float32(-1), np.float32(0))
    return jnp.maximum(low, (one_to_two - 1) * (1 - low) + low).reshape(shape)
