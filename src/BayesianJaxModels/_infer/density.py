"""A log density over the vector of a model's entries, and its derivatives."""

from collections.abc import Callable
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float, PyTree

from .._check import as_jax, check_counts
from .._compute import (
    compiled_once,
    count_workers,
    full_precision,
    map_chunks,
)
from .._gradient import stop_gradient
from .._model import (
    flatten_means,
    free_dtype,
    free_means,
    replace_free_means,
    unflatten_means,
)
from .arguments import as_scalar

# Up to so many entries forward mode is the faster one through an ODE solve.
FEW_ENTRIES = 32
# Points that run in lock-step: few, for solves with as many steps as the slowest one.
BATCH_SIZE = 8


class FlatDensity(eqx.Module):
    """A log density of drawn models, as a function of `free_means(model)`.

    A callable pytree, so that compiled code takes the arrays in it as arguments.

    Attributes:
        log_density: From a drawn model to the logarithm of a density, a scalar.
        model: Says what the parameters are, and the values of those that are known.
        batch_size: How many points run in lock-step where many are evaluated.

    Raises:
        ValueError: If nothing is left to infer, or `batch_size` is below 1.
    """

    log_density: Callable[[Any], Float[Array, ""]]
    model: PyTree
    batch_size: int | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        """Refuse a model that leaves nothing to infer."""
        check_counts(batch_size=self.batch_size)
        if free_means(self.model).size == 0:
            raise ValueError(
                "The model has no parameter to infer: each is a "
                "`DeterministicParameter`, which is taken as known, or frozen, or "
                "there is none. Make those to infer with `make_parameter(value)`."
            )

    @property
    def entries(self) -> Float[Array, " d"]:
        """The entries at the means of the model."""
        return free_means(self.model)

    @property
    def dtype(self) -> Any:
        """That of the entries, much faster than from them."""
        return free_dtype(self.model)

    def rounded(self, points: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
        """Points in float64 that the precision of the model can tell."""
        return np.asarray(points, self.dtype).astype(np.float64)

    @full_precision
    def __call__(self, vector: Float[Array, " d"]) -> Float[Array, ""]:
        """The log density where the entries are `vector`.

        Raises:
            ValueError: If it is not one real number.
        """
        value = self.log_density(replace_free_means(self.model, vector))
        return as_scalar("log_density", value).astype(vector.dtype)

    def value_and_gradient(
        self, vector: Float[Array, "*batch d"]
    ) -> tuple[Float[Array, "*batch"], Float[Array, "*batch d"]]:
        """The log density and its gradient, by whichever mode is fit for it."""
        return _value_and_gradient(self, vector)

    def differentiable(self, vector: Float[Array, " d"]) -> Float[Array, ""]:
        """The log density for optimisers and samplers that take their own gradient."""
        return _differentiable(self, vector)


class ForwardGradient(eqx.Module):
    """A log density whose gradient is taken forwards, inside a loss that goes back.

    Through an ODE solve with few parameters, up to some thirty, forward mode compiles
    in half the time of reverse mode and runs faster, but `jax.grad` of a loss such as
    `-elbo(...).value` is reverse mode. Solves in the log density then need an adjoint
    that allows forward mode, `diffrax.ForwardMode()`.

    The gradient is by the `mean`s of the drawn model; other arrays in it get none.
    There is no second derivative.

    Attributes:
        log_density: From a drawn model to the logarithm of a density, a scalar.

    Raises:
        ValueError: When it is called, if `log_density` returns no single number.

    Example:
        ```python
        adjoint, ts = diffrax.ForwardMode(), jnp.linspace(0.0, 2.0, 5)

        def log_density(drawn):
            decay = lambda t, y, rate: -rate * y
            ys = bjm.integrate(decay, 1.0, ts, args=drawn.mean, adjoint=adjoint).ys
            noise = bjm.likelihoods.NormalLikelihood(0.1)
            return noise.log_prob(ys, jnp.exp(-0.5 * ts))

        rate = bjm.make_parameter(0.5)
        jax.jit(jax.grad(bjm.ForwardGradient(log_density)))(rate).mean  # 0.0
        ```
    """

    log_density: Callable[[Any], Float[Array, ""]]

    def __call__(self, drawn: PyTree) -> Float[Array, ""]:
        """The log density, with a gradient that is computed forwards.

        Args:
            drawn: A drawn model.
        """
        fixed = stop_gradient(drawn)

        def at(vector: Float[Array, " d"]) -> Float[Array, ""]:
            value = self.log_density(unflatten_means(fixed, vector))
            return as_scalar("log_density", value).astype(vector.dtype)

        return _differentiable(at, flatten_means(drawn))


def values_and_gradients(
    density: FlatDensity, points: Float[np.ndarray, "n d"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n d"]]:
    """The log density and its gradient at many points, on all cores.

    Runs on the host. One compiled function serves searches, Hessians and corrections.
    Points are rounded to the precision of the model; what is returned is in float64.
    """
    d = points.shape[1]
    batch_size = density.batch_size or BATCH_SIZE
    # The last batch is filled up, so that runs of any length share compiled code.
    filled = np.resize(points, (-(-len(points) // batch_size) * batch_size, d))
    batches = filled.reshape(-1, batch_size, d).astype(density.dtype)
    run = partial(_at_batch, density, batches)
    starts = list(range(len(batches)))
    found = [found for _, found in map_chunks(run, starts, num_workers=count_workers())]
    values, gradients = (
        np.concatenate(x)[: len(points)] for x in zip(*found, strict=True)
    )
    return values, gradients


def hessians(
    density: FlatDensity,
    points: Float[np.ndarray, "n d"],
    steps: Float[np.ndarray, " d"],
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, "n d d"]]:
    """Gradients, and matrices of second derivatives by their central differences.

    Exact for quadratic densities. Row `i` of a matrix is a step in entry `i`: how far
    it is from symmetric is the error of the differences. Steps of a tenth of a standard
    deviation are wide against a solver's noise and narrow against third derivatives.
    """
    n, d = points.shape
    moves = np.concatenate([np.zeros((1, d)), np.diag(steps), -np.diag(steps)])
    moved = density.rounded((points[:, None] + moves).reshape(-1, d))
    gradients = values_and_gradients(density, moved)[1]
    (_, high, low), (centre, above, below) = (
        np.split(rows.reshape(n, 2 * d + 1, d), [1, d + 1], axis=1)
        for rows in (moved, gradients)
    )
    # As far apart as they are after rounding.
    apart = np.diagonal(high - low, axis1=1, axis2=2)[..., None]
    with np.errstate(divide="ignore", invalid="ignore"):
        return centre[:, 0], (above - below) / apart


def _at_batch(
    density: FlatDensity, batches: np.ndarray, index: int, worker: int
) -> list[np.ndarray]:
    batch = as_jax(batches[index])
    with compiled_once(_at_points, density, batch):
        found = _at_points(density, batch)
    return [np.asarray(x, np.float64) for x in found]


@eqx.filter_jit
def _at_points(
    density: FlatDensity, points: Float[Array, "n d"]
) -> tuple[Float[Array, " n"], Float[Array, "n d"]]:
    return density.value_and_gradient(points)


@full_precision
def _value_and_gradient(fn: Callable, vector: Array) -> tuple[Array, Array]:
    """Forward mode up to 32 entries, reverse mode beyond.

    A density that allows only one of them, as the adjoints of diffrax do, gets that
    one. Whether it does shows when it is traced.
    """
    modes = [_forward, _reverse]
    first, second = modes if vector.shape[-1] <= FEW_ENTRIES else modes[::-1]
    for _ in vector.shape[:-1]:
        fn = jax.vmap(fn)
    try:
        return first(fn, vector)
    except (TypeError, ValueError) as error:
        try:
            return second(fn, vector)
        except (TypeError, ValueError):
            raise error from None  # which has nothing to do with the mode


@full_precision
def _differentiable(fn: Callable, vector: Array) -> Array:
    """The value, with a first derivative that is right in either mode.

    It costs whoever differentiates nothing more. There is no second derivative.
    """
    fixed = lax.stop_gradient(vector)
    value, gradient = _value_and_gradient(fn, fixed)
    return value + jnp.vdot(lax.stop_gradient(gradient), vector - fixed)


def _forward(fn: Callable, points: Array) -> tuple[Array, Array]:
    # A derivative of a batch: JAX takes half as long to trace it as to batch one.
    def push(direction):
        tangent = jnp.broadcast_to(direction, points.shape)
        return jax.jvp(fn, (points,), (tangent,))

    directions = jnp.eye(points.shape[-1], dtype=points.dtype)
    return jax.vmap(push, out_axes=(None, -1))(directions)


def _reverse(fn: Callable, points: Array) -> tuple[Array, Array]:
    value, pull = jax.vjp(fn, points)
    return value, pull(jnp.ones_like(value))[0]
