"""The Laplace approximation."""

import warnings
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from jaxtyping import Array, Float, PyTree

from .._compute import full_precision
from .._model import free_dtype, free_means, replace_free_means
from .._posterior import JointPosterior, MixturePosterior, as_float64, of_root
from ._search.modes import flat_parameters, log_evidence_of
from .arguments import check_engine_arguments
from .curvature import curvature
from .density import FlatDensity
from .map_estimate import MAPEstimate
from .noise import noise_of_curvature

# A quarter of a standard deviation away from the mode, in all directions together.
LARGEST_DECREMENT = 0.0625


def laplace(
    log_density: Callable[[Any], Float[Array, ""]],
    model: PyTree,
    *,
    residuals: Callable[[Any], Float[Array, "..."]] | None = None,
    widest: Any = None,
) -> JointPosterior | Any:  # the mixture of several modes, as told below
    """The normal distribution with the mode and the curvature of a log density.

    Its covariance is the inverse of the negative Hessian at the mode (MacKay 1992,
    Neural Computation 4(3)). It follows correlations but no skewness: `diagnose` says
    whether that matters. It is the start to give `importance` and `nuts`. Runs on the
    host, not under `jax.jit`.

    Second derivatives are differences of gradients, over steps that the widths of the
    result set. So it works near the edge of a support, and where the gradient has the
    noise of a solver; it warns where that noise is too large.

    Args:
        log_density: From a drawn model to the log joint density of data and parameters,
            a scalar.
        model: A model with its means at the mode, or the `MAPEstimate` that
            `map_estimate` returns. That may have several modes: all of them are fitted
            then.
        residuals: From a drawn model to the standardised residuals `r` of the data, of
            any shape, whose log likelihood is `-sum(r**2) / 2`. `log_density` is then
            that of all the rest, the prior above all. The curvature of the likelihood
            is taken to be that of a generalised Gauss-Newton step (Schraudolph 2002,
            Neural Computation 14(7)), `J^T J` with the Jacobian `J` of `r`, which costs
            no second derivatives and is never negative. With a flat prior the widths
            are the standard errors that nonlinear least squares reports (R's `nls`,
            SciPy's `curve_fit` with `absolute_sigma=True`).
        widest: The largest standard deviation that any direction of the entries may
            have, also where the curvature is not negative. For networks: far along what
            the data leave open they are not what their curvature says, and draws from
            there say nothing. So the result is a start for variational inference, and
            no approximation where `widest` made it narrower.

    Returns:
        A `JointPosterior` centred at the means of `model`, whose `log_evidence` is that
        of this mode; `None` where `widest` changed it. Of a `MAPEstimate` with several
        modes, a `MixturePosterior` of their fits, weighted by their evidence; modes
        that are flat in some direction have no such fit and are left out, unless there
        is a `widest`.

    Raises:
        TypeError: If the arguments are swapped, or `model` is a posterior.
        ValueError: If the curvature is not negative in every direction and there is no
            `widest`, `widest` is not positive, or `log_density` is no single number or
            not finite.

    Warns:
        UserWarning: If `model` is a quarter of a standard deviation or more away from
            the mode, as far as the curvature tells; or if the log density has noise
            that puts the widths off by 5 % or more.

    Example:
        ```python
        def log_density(drawn):
            growth, death = drawn.mean
            return -50 * (growth - 0.5) ** 2 - 50 * (growth - 2 * death) ** 2

        mode = bjm.make_parameter([0.5, 0.25])
        bjm.laplace(log_density, mode).stdv  # [0.1, 0.071]
        ```
    """
    is_number = isinstance(widest, int | float | np.number)
    if widest is not None and not (is_number and 0 < widest < np.inf):
        raise ValueError(f"`widest` must be a positive number, but got {widest!r}.")
    widest = None if widest is None else float(widest)
    if isinstance(model, MAPEstimate):
        check_engine_arguments(log_density, model.model, "model")
        return _of_all_modes(log_density, model, residuals, widest)
    check_engine_arguments(log_density, model, "model", takes_posteriors=False)
    return _at_mode(log_density, model, residuals, widest)[0]


def _at_mode(
    log_density: Callable,
    model: PyTree,
    residuals: Callable | None,
    widest: float | None,
) -> tuple[JointPosterior, float]:
    """The fit at one mode, and its log evidence."""
    density = FlatDensity(log_density, model)
    found = curvature(density, as_float64(density.entries))
    value, gradient, precision, error = found
    if not np.isfinite(value):
        raise ValueError(
            f"The log density is {value} at the means of `model`, where it must be "
            "finite. Start at a mode (`map_estimate`)."
        )
    noise = noise_of_curvature(error)
    if residuals is not None:
        square, slope, extra = _gauss_newton(residuals, model)
        value, gradient = value - square / 2, gradient - slope
        precision = precision + extra
    is_narrowed = False
    try:
        if widest is not None:
            precision, is_narrowed = _narrowed(precision, widest)
        log_evidence = log_evidence_of(value, precision)
    except np.linalg.LinAlgError:
        num_flat, names = flat_parameters(model, precision)
        where = "its Hessian is not finite"
        if num_flat:
            where = f"in {num_flat} of {len(precision)} it is not"
            where += f", above all in {', '.join(names)}"
        raise ValueError(
            "The log density must be curved downwards in every direction at the means "
            f"of `model`, but {where}. Start at a mode (`map_estimate`), and give "
            "every parameter a proper prior. Of a network take "
            "`problem.linearised(model)` in the place of `problem`, or pass `widest`."
            f"{noise}"
        ) from None
    # A correlation-like matrix is inverted: entries differ by many magnitudes.
    scale = np.sqrt(np.diagonal(precision))
    inverse = np.linalg.inv(np.linalg.cholesky(precision / np.outer(scale, scale)))
    covariance = inverse.T @ inverse / np.outer(scale, scale)
    decrement = gradient @ covariance @ gradient
    if not (decrement < LARGEST_DECREMENT or is_narrowed):
        warnings.warn(
            f"`model` is {decrement**0.5:.2g} standard deviations away from the mode. "
            "Pass the model that `map_estimate` returns, or search longer.",
            stacklevel=3,
        )
    if noise:
        warnings.warn(
            f"The widths may be off by {100 * error / 2:.0f} %.{noise}", stacklevel=3
        )
    known = None if is_narrowed else log_evidence
    return of_root(model, inverse.T / scale[:, None], known), log_evidence


def _narrowed(precision: np.ndarray, widest: float) -> tuple[np.ndarray, bool]:
    """A precision of at least `widest**-2` everywhere, and whether that changed it."""
    values, vectors = np.linalg.eigh(precision)
    enough = np.maximum(values, widest**-2)
    if np.all(values == enough):
        return precision, False
    return (vectors * enough) @ vectors.T, True


def _of_all_modes(
    log_density: Callable,
    estimate: MAPEstimate,
    residuals: Callable | None,
    widest: float | None,
) -> JointPosterior | MixturePosterior:
    """The fits at all modes that are not flat, weighted by their evidence."""
    modes = [mode for mode in estimate.modes if widest is not None or not mode.flat]
    if len(modes) < 2:
        return _at_mode(log_density, estimate.model, residuals, widest)[0]
    fits, evidence = zip(
        *[_at_mode(log_density, mode.model, residuals, widest) for mode in modes],
        strict=True,
    )
    weights = scipy.special.softmax(np.asarray(evidence, np.float64))
    return MixturePosterior(list(fits), weights.astype(free_dtype(estimate.model)))


def _gauss_newton(
    residuals: Callable, model: PyTree
) -> tuple[Any, np.ndarray, np.ndarray]:
    """The sum of squares, the gradient of half of it, and its curvature `J^T J`."""
    value, jacobian = map(as_float64, _linear_residuals(residuals, model))
    return value @ value, value @ jacobian, jacobian.T @ jacobian


@eqx.filter_jit
@full_precision
def _linear_residuals(residuals: Callable, model: PyTree) -> tuple[Array, Array]:
    def flat(vector):
        return jnp.ravel(residuals(replace_free_means(model, vector)))

    vector = free_means(model)
    try:
        return flat(vector), jax.jacfwd(flat)(vector)
    except TypeError:  # a solve that allows reverse mode alone
        return flat(vector), jax.jacrev(flat)(vector)
