"""Antithetic and quasi-random normal draws."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray

from .._compute import fold_in, standard_normal


def antithetic_noise(
    key: PRNGKeyArray, num: int, dim: int, dtype: DTypeLike
) -> Float[Array, "num dim"]:
    """Standard normal numbers, then minus the same. `num` must be even."""
    if num % 2:
        raise ValueError(
            f"`num_samples` must be even for antithetic pairs of draws, but got {num}."
        )
    keys = fold_in(key, np.arange(num // 2))
    half = jax.vmap(lambda key: standard_normal(key, (dim,), dtype))(keys)
    return jnp.concatenate([half, -half])


def sobol_noise(
    key: PRNGKeyArray, num: int, dim: int, dtype: DTypeLike
) -> Float[Array, "num dim"]:
    """Sobol points moved by a random shift, normal, of mean zero and covariance one.

    The shift is that of Cranley & Patterson 1976 (doi:10.1137/0713071). Mean and
    covariance over the points are exact to rounding; `num` must be above `dim`.
    """
    if num <= dim:
        raise ValueError(
            f"`num_samples` must be above {dim}, the number of normal numbers in a "
            f"draw, for Sobol points of covariance one, but got {num}. Take more, or "
            "`draws='antithetic'`."
        )
    if dim == 0:
        return jnp.zeros((num, 0), dtype)
    from scipy.stats import qmc  # here, for importing it takes most of a second

    sobol = qmc.Sobol(dim, scramble=False)
    points = sobol.random_base2(math.ceil(math.log2(num)))[:num].astype(dtype)
    points = (points + jax.random.uniform(key, (dim,), dtype)) % 1
    edge = jnp.finfo(dtype).eps
    normal = jax.scipy.special.ndtri(jnp.clip(points, edge, 1 - edge))
    # The orthogonal factor is the points whitened, column signs aside.
    orthogonal, triangular = jnp.linalg.qr(normal - normal.mean(axis=0))
    orthogonal = orthogonal - orthogonal.mean(axis=0)
    return orthogonal * jnp.sign(jnp.diagonal(triangular)) * num**0.5
