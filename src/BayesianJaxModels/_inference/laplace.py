"""The Laplace approximation, and predictions linearised around its centre."""

import warnings
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from .._model import free_means, replace_free_means
from .density import FlatDensity, hessians
from .joint import JointPosterior
from .moments import as_float64

# A quarter of a standard deviation away from the mode, in all directions together.
LARGEST_DECREMENT = 0.0625


def laplace(
    log_density: Callable[[Any], Float[Array, ""]],
    model: PyTree,
    *,
    residuals: Callable[[Any], Float[Array, "..."]] | None = None,
) -> JointPosterior:
    """The normal distribution with the mode and the curvature of a log density.

    Its covariance is the inverse of the negative Hessian at the mode (MacKay 1992,
    Neural Computation 4(3)). It follows correlations but no skewness: `diagnose` says
    whether that matters. It is the start to give `importance` and `nuts`. Runs on the
    host, not under `jax.jit`.

    Args:
        log_density: From a drawn model to the log joint density of data and parameters,
            a scalar.
        model: A model with its means at the mode, as `map_estimate` finds it.
        residuals: For larger models: from a drawn model to the standardised residuals
            `r` of the data, of any shape, whose log likelihood is `-sum(r**2) / 2`.
            `log_density` is then that of all the rest, the prior above all. The
            curvature of the likelihood is taken to be that of a generalised
            Gauss-Newton step (Schraudolph 2002, Neural Computation 14(7)), `J^T J` with
            the Jacobian `J` of `r`, which costs no second derivatives and is never
            negative.

    Returns:
        A `JointPosterior` centred at the means of `model`.

    Raises:
        ValueError: If the curvature is not negative in every direction, or
            `log_density` returns no single number.

    Warns:
        UserWarning: If `model` is a quarter of a standard deviation or more away from
            the mode, as far as the curvature tells.

    Example:
        ```python
        def log_density(drawn):
            growth, death = drawn.mean
            return -50 * (growth - 0.5) ** 2 - 50 * (growth - 2 * death) ** 2

        mode = bjm.make_parameter([0.5, 0.25])
        bjm.laplace(log_density, mode).stdv  # [0.1, 0.071]
        ```
    """
    density = FlatDensity(log_density, model)
    gradient, precision = _curvature(density, as_float64(density.entries))
    if residuals is not None:
        slope, square = _gauss_newton(residuals, model)
        gradient, precision = gradient - slope, precision + square
    try:
        # The inverse of a correlation-like matrix: entries differ by many magnitudes.
        scale = np.sqrt(np.maximum(np.diagonal(precision), 0))
        if not np.all(scale > 0):
            raise np.linalg.LinAlgError
        factor = np.linalg.cholesky(precision / np.outer(scale, scale))
    except np.linalg.LinAlgError:
        raise ValueError(
            "The log density must be curved downwards in every direction at the means "
            "of `model`, but the diagonal of its Hessian is "
            f"{-np.diagonal(precision)}, or a combination of entries has no such "
            "curvature. Start at a mode (`map_estimate`), give every parameter a "
            "proper prior, or pass `residuals`."
        ) from None
    inverse = np.linalg.inv(factor)
    covariance = inverse.T @ inverse / np.outer(scale, scale)
    decrement = gradient @ covariance @ gradient
    if not decrement < LARGEST_DECREMENT:
        warnings.warn(
            f"`model` is {decrement**0.5:.2g} standard deviations away from the mode. "
            "Pass the model that `map_estimate` returns, or search longer.",
            stacklevel=2,
        )
    return JointPosterior.gaussian(model, covariance)


class Linearised(eqx.Module):
    """A function of a drawn model, linear in its entries around a centre.

    Nonlinear trajectories of a Gaussian posterior over the weights of a network may
    diverge where the linear ones do not (Immer, Korzepa & Bauer 2021,
    arXiv:2008.08711). Push it through the posterior as any other function. A solve
    inside needs an adjoint that allows forward mode, `diffrax.ForwardMode()` or
    `diffrax.DirectAdjoint()`.

    Attributes:
        fn: From a drawn model to a pytree of float arrays.
        centre: The model whose means are the centre.

    Example:
        ```python
        rate = bjm.make_parameter(0.5, init_raw_stdv=0.5)
        ts = jnp.linspace(0.0, 4.0, 9)
        decay = bjm.Linearised(lambda drawn: jnp.exp(-drawn.mean * ts), rate)
        ys = bjm.map_posterior(decay, rate, key=jax.random.key(0), num_samples=100)
        ys.shape  # (100, 9)
        ```
    """

    fn: Callable[[Any], PyTree]
    centre: PyTree

    def __call__(self, drawn: PyTree) -> PyTree:
        """`fn(centre)` plus its derivative in the direction of `drawn`.

        Args:
            drawn: A drawn model.
        """
        centre = free_means(self.centre)

        def at(vector):
            return self.fn(replace_free_means(self.centre, vector))

        value, slope = jax.jvp(at, (centre,), (free_means(drawn) - centre,))
        return jax.tree.map(jnp.add, value, slope)


def _curvature(
    density: FlatDensity, centre: Float[np.ndarray, " d"]
) -> tuple[np.ndarray, np.ndarray]:
    """The gradient of a log density, and its Hessian with the sign of a precision."""
    coarse = 1e-3 * np.maximum(np.abs(centre), 1)
    _, probed = hessians(density, centre[None], coarse)
    curvature = np.abs(np.diagonal(probed[0]))
    steps = 0.1 / np.sqrt(np.where(curvature > 0, curvature, 0.01 / coarse**2))
    # Two widths cancel the error of the second order (Richardson).
    gradient, wide = hessians(density, centre[None], steps)
    _, narrow = hessians(density, centre[None], steps / 2)
    return gradient[0], -(4 * narrow[0] - wide[0]) / 3


def _gauss_newton(residuals: Callable, model: PyTree) -> tuple[np.ndarray, np.ndarray]:
    """The gradient of `sum(r**2) / 2`, and its curvature `J^T J`."""
    value, jacobian = map(as_float64, _linear_residuals(residuals, model))
    return value @ jacobian, jacobian.T @ jacobian


@eqx.filter_jit
def _linear_residuals(residuals: Callable, model: PyTree) -> tuple[Array, Array]:
    def flat(vector):
        return jnp.ravel(residuals(replace_free_means(model, vector)))

    vector = free_means(model)
    try:
        return flat(vector), jax.jacfwd(flat)(vector)
    except TypeError:  # a solve that allows reverse mode alone
        return flat(vector), jax.jacrev(flat)(vector)
