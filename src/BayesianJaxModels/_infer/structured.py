"""Draws whose noise is arranged: each parameter as a function of normal numbers."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, DTypeLike, Float, PRNGKeyArray, PyTree

from .._compute import fold_in, standard_normal
from .._model import Model, get_parameters, map_parameters, ravel_all, replace_mean


def noise_size(model: PyTree) -> int:
    """How many normal numbers a draw of all parameters takes.

    Raises:
        NotImplementedError: If a parameter is of a type that does not say so.
    """
    return sum(p.noise_size for p in get_parameters(model).values())


def draw_from_noise(
    model: Model, noise: Float[Array, " d"], path_only: bool = False
) -> tuple[Model, Float[Array, ""]]:
    """Draw all parameters as a function of standard normal numbers.

    Minus the noise gives the draw reflected about the means.

    Returns:
        The drawn model and its log density, as `sample_with_log_prob` returns them.
    """
    parameters = list(get_parameters(model).values())
    ends = np.cumsum([0, *(p.noise_size for p in parameters)])
    log_probs = []

    def place(index, parameter):
        part = noise[ends[index] : ends[index + 1]].astype(parameter.mean.dtype)
        draw, log_prob = parameter.displaced_and_log_prob(part, path_only)
        log_probs.append(log_prob)
        return replace_mean(parameter, draw)

    drawn = map_parameters(place, model)
    return drawn, jnp.sum(ravel_all(log_probs))


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
