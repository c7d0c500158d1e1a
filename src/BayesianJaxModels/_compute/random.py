"""Random draws that use every word of threefry, fused into one loop."""

import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, DTypeLike, Float, Integer, PRNGKeyArray, UInt32

from .._check import as_jax
from .program import one_program

# The rotations of threefry-2x32 and the constant of its key schedule (Salmon et al.
# 2011, "Parallel random numbers: as easy as 1, 2, 3", SC '11).
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA

# Giles 2012, "Approximating the erfinv function", GPU Computing Gems Jade Edition: the
# single precision polynomials in w = -log(1 - x**2), about 2.5 up to w = 5 and about 3
# in sqrt(w) beyond. Highest power first.
ERFINV_CENTRE = (
    *(2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06),
    *(0.00021858087, -0.00125372503, -0.00417768164, 0.246640727, 1.50140941),
)
ERFINV_TAIL = (
    *(-0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844),
    *(0.00573950773, -0.0076224613, 0.00943887047, 1.00167406, 2.83297682),
)
# log(m) for m in [1, 2), a polynomial in m - 1.5 with an error of 1e-7.
LOG = np.polynomial.chebyshev.Chebyshev.interpolate(np.log, 8, domain=(1, 2))
LOG = LOG.convert(kind=np.polynomial.Polynomial, domain=(0.5, 2.5)).coef[::-1]


def standard_normal(
    key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike
) -> Float[Array, "..."]:
    """Draw standard normal numbers: as `jax.random.normal`, with other bits.

    `jax.random.normal` computes two words of threefry for each number, so that it can
    be sharded over devices, and writes arrays between its rounds. A draw of weights
    stays on one device, so here both words are used and all arithmetic is one loop that
    XLA can fuse: less than half the time. The numbers depend on the key alone, whatever
    JAX's settings. Other precisions and generators go to `jax.random`.
    """
    if not _is_fast(key, dtype):
        return jax.random.normal(key, shape, dtype)
    return _fast_normal(key, shape, jnp.dtype(dtype))


# Compiled by itself, so that JAX traces it once for all parameters of a shape.
@partial(jax.jit, static_argnums=(1, 2))
def _fast_normal(
    key: PRNGKeyArray, shape: tuple[int, ...], dtype: np.dtype
) -> Float[Array, "..."]:
    uniform = _fast_uniform(key, shape, dtype)
    erfinv = _erfinv if dtype == jnp.float32 else lax.erf_inv
    return dtype.type(2**0.5) * erfinv(uniform)


def standard_laplace(
    key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike
) -> Float[Array, "..."]:
    """Draw standard Laplace numbers, as `standard_normal` draws normal ones."""
    if not _is_fast(key, dtype):
        return jax.random.laplace(key, shape, dtype)
    uniform = _fast_uniform(key, shape, jnp.dtype(dtype))
    return -jnp.sign(uniform) * jnp.log1p(-jnp.abs(uniform))


def symmetric_uniform(
    key: PRNGKeyArray, shape: tuple[int, ...], dtype: DTypeLike
) -> Float[Array, "..."]:
    """Draw uniform numbers between -1 and 1, the ends excluded, in the same way."""
    if not _is_fast(key, dtype):
        above = jnp.nextafter(jnp.asarray(-1, dtype), jnp.asarray(0, dtype))
        return jax.random.uniform(key, shape, dtype, minval=above)
    return _fast_uniform(key, shape, jnp.dtype(dtype))


def fold_in(key: PRNGKeyArray, index: Integer[ArrayLike, "..."]) -> Array:
    """`jax.random.fold_in`, bit for bit, of one index or an array of them.

    Without the loop that JAX runs on a CPU: under `jax.vmap` over a few draws that
    costs as much as drawing a layer.
    """
    if not isinstance(index, jax.Array):
        index = as_jax(index, np.uint32)
    return _fold_in(key, index)


@one_program
def _fold_in(key: PRNGKeyArray, index: Integer[Array, "..."]) -> Array:
    index = index.astype(jnp.uint32)
    if not is_threefry(key):
        fold = jax.random.fold_in
        for _ in range(index.ndim):
            fold = jax.vmap(fold, in_axes=(None, 0))
        return fold(key, index)
    folded = jnp.stack(_threefry(key, jnp.zeros_like(index), index), axis=-1)
    if jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(folded, impl="threefry2x32")
    return folded


def is_threefry(key: PRNGKeyArray) -> bool:
    """Whether a key is of JAX's default generator, which draws alike under `vmap`."""
    return str(jax.random.key_impl(key)) == "threefry2x32"


def _is_fast(key: PRNGKeyArray, dtype: DTypeLike) -> bool:
    return dtype in (jnp.float32, jnp.float64) and is_threefry(key)


def _fast_uniform(
    key: PRNGKeyArray, shape: tuple[int, ...], dtype: np.dtype
) -> Float[Array, "..."]:
    """The odd multiples of 2**-23 (float32) or 2**-52 (float64) between -1 and 1."""
    count = math.prod(shape)
    if dtype == jnp.float32:
        bits = lax.bitcast_convert_type(_random_words(key, count), jnp.int32)
        odd = (bits >> 8) | np.int32(1)
        return (odd.astype(dtype) * np.float32(2**-23)).reshape(shape)
    high, low = jnp.split(_random_words(key, 2 * count).astype(jnp.uint64), 2)
    bits = lax.bitcast_convert_type(high << np.uint64(32) | low, jnp.int64)
    odd = (bits >> 11) | np.int64(1)
    return (odd.astype(dtype) * 2.0**-52).reshape(shape)


def _random_words(key: PRNGKeyArray, count: int) -> UInt32[Array, " count"]:
    """Threefry of the counts below `count`, in pairs that are half of it apart."""
    half = (count + 1) // 2
    low = lax.iota(jnp.uint32, half)
    return jnp.concatenate(_threefry(key, low, low + np.uint32(half)))[:count]


@jax.jit
def _threefry(
    key: PRNGKeyArray, x: UInt32[Array, "*shape"], y: UInt32[Array, "*shape"]
) -> tuple[UInt32[Array, "*shape"], UInt32[Array, "*shape"]]:
    """Threefry-2x32 with 20 rounds."""
    first, second = jax.random.key_data(key)
    schedule = (first, second, first ^ second ^ np.uint32(PARITY))
    x, y = x + first, y + second
    for i in range(5):
        for distance in ROTATIONS[i % 2]:
            x = x + y
            y = x ^ (y << np.uint32(distance) | y >> np.uint32(32 - distance))
        x = x + schedule[(i + 1) % 3]
        y = y + schedule[(i + 2) % 3] + np.uint32(i + 1)
    return x, y


def _erfinv(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The inverse error function in float32, for `x` of `_fast_uniform`."""
    w = -_log((1 - x) * (1 + x))
    central = w < 5
    w = jnp.where(central, w - 2.5, jnp.sqrt(w) - 3)
    result = jnp.zeros_like(x)
    for centre, tail in zip(ERFINV_CENTRE, ERFINV_TAIL, strict=True):
        coefficient = jnp.where(central, np.float32(centre), np.float32(tail))
        result = result * w + coefficient
    return result * x


def _log(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The logarithm of positive normal float32 numbers, to an absolute 1e-7.

    XLA's own also knows zero, infinity, NaN and subnormal numbers, at three times the
    operations.
    """
    bits = lax.bitcast_convert_type(x, jnp.int32)
    exponent = ((bits >> 23) - 127).astype(jnp.float32)
    fraction = (bits & np.int32(0x7FFFFF)) | np.int32(0x3F800000)
    offset = lax.bitcast_convert_type(fraction, jnp.float32) - np.float32(1.5)
    result = jnp.zeros_like(x)
    for coefficient in LOG:
        result = result * offset + np.float32(coefficient)
    return exponent * np.float32(math.log(2)) + result
