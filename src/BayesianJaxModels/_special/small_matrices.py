"""Factors of many small matrices at once, written out entry by entry.

On a CPU JAX hands a batch of them to LAPACK one by one; from some hundred on it does so
on the threads that it computes with, where two programs that run side by side were seen
to wait for each other for ever (jaxlib 0.10.2).
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def small_cholesky(matrices: Float[Array, "*n q q"]) -> Float[Array, "*n q q"]:
    """Lower factors of symmetric matrices; NaN where one is not positive definite."""
    q = matrices.shape[-1]
    factor: list[list[Array]] = []
    for i in range(q):
        row: list[Array] = []
        for j in range(i + 1):
            rest = matrices[..., i, j]
            for k in range(j):
                rest = rest - row[k] * (row if i == j else factor[j])[k]
            row.append(jnp.sqrt(rest) if i == j else rest / factor[j][j])
        factor.append(row)
    zero = jnp.zeros_like(matrices[..., 0, 0])
    rows = [jnp.stack([*row, *[zero] * (q - len(row))], axis=-1) for row in factor]
    return jnp.stack(rows, axis=-2)


def solve_lower(
    factors: Float[Array, "*m q q"], vectors: Float[Array, "*n q"]
) -> Float[Array, "*n q"]:
    """`x` in `factors @ x = vectors`."""
    found: list[Array] = []
    for i in range(vectors.shape[-1]):
        rest = vectors[..., i]
        for k in range(i):
            rest = rest - factors[..., i, k] * found[k]
        found.append(rest / factors[..., i, i])
    return jnp.stack(found, axis=-1)


def solve_upper(
    factors: Float[Array, "*m q q"], vectors: Float[Array, "*n q"]
) -> Float[Array, "*n q"]:
    """`x` in `factors.T @ x = vectors`, for lower factors."""
    found: dict[int, Array] = {}
    for i in reversed(range(vectors.shape[-1])):
        rest = vectors[..., i]
        for k in range(i + 1, vectors.shape[-1]):
            rest = rest - factors[..., k, i] * found[k]
        found[i] = rest / factors[..., i, i]
    return jnp.stack([found[i] for i in sorted(found)], axis=-1)
