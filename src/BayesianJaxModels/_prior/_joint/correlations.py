"""Correlation matrices, from partial correlations that are free of each other."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._check import as_float_array


def correlation_factor(partials: Any) -> Float[Array, "q q"]:
    """The lower factor of a correlation matrix, from partial correlations.

    Each number is the correlation of a pair given those before it in the order, so that
    any numbers in (-1, 1) make a proper matrix (Lewandowski, Kurowicka & Joe 2009,
    Journal of Multivariate Analysis 100(9)).

    Args:
        partials: `q (q - 1) / 2` of them, row by row below the diagonal. As a
            parameter: `make_parameter(zeros, support=(-1.0, 1.0))`, with the prior
            `priors.LKJ`.

    Returns:
        A lower matrix `L` of which `L @ L.T` has ones on its diagonal.

    Raises:
        ValueError: If there is no such `q`.

    Example:
        ```python
        factor = bjm.correlation_factor(jnp.array([0.5, 0.0, -0.3]))
        factor @ factor.T  # [[1, 0.5, 0], [0.5, 1, -0.26], [0, -0.26, 1]]
        ```
    """
    partials = as_float_array(partials, "partials")
    q, rows, place = size_of_partials(partials.shape), [], 0
    for i in range(q):
        row, left = [], jnp.ones((), partials.dtype)
        for _ in range(i):
            row.append(partials[place] * jnp.sqrt(left))
            left, place = left * (1 - partials[place] ** 2), place + 1
        zeros = [jnp.zeros((), partials.dtype)] * (q - i - 1)
        rows.append(jnp.stack([*row, jnp.sqrt(left), *zeros]))
    return jnp.stack(rows)


def size_of_partials(shape: tuple[int, ...]) -> int:
    """How many entries go together, for so many partial correlations.

    Raises:
        ValueError: If there is no such number.
    """
    m = shape[0] if len(shape) == 1 else -1
    q = (1 + round((1 + 8 * max(m, 0)) ** 0.5)) // 2
    if m < 1 or q * (q - 1) // 2 != m:
        raise ValueError(
            "Partial correlations are q (q - 1) / 2 numbers in one axis, 1 of two "
            f"entries, 3 of three, 6 of four, but have shape {shape}."
        )
    return q
