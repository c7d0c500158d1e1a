"""Covariances of a mean-field fit by linear response."""

import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from .._model import replace_free_means
from .._posterior import JointPosterior, as_float64, as_posterior, moments
from .arguments import check_engine_arguments
from .density import FlatDensity, hessians
from .noise import noise_of_curvature
from .structured import sobol_noise

MAX_NEWTON_STEPS = 8
# In standard deviations of the fit, of the means and of the logarithms of the widths.
LARGEST_STEP = 1e-3


def linear_response(
    log_density: Callable[[Any], Float[Array, ""]],
    model: PyTree,
    *,
    num_samples: int = 64,
    batch_size: int | None = None,
) -> JointPosterior:
    """Correct the covariance of a mean-field fit by linear response.

    A mean-field fit has good means, narrow widths and no correlations. Its means
    respond to a tilt of the log density by a covariance that has all of them: the block
    of the means in the inverse Hessian of the negative ELBO over means and logarithms
    of widths (Giordano, Broderick & Jordan 2018, arXiv:1709.02536).

    The ELBO is over `num_samples` fixed quasi-random draws. The formula holds at its
    maximum, so Newton steps go there first. Runs on the host, not under `jax.jit`; for
    up to some hundred entries.

    Args:
        log_density: From a drawn model to the log joint density of data and parameters,
            a scalar.
        model: A fitted mean-field model, of any types of parameters, or any posterior
            whose moments are known: its means and widths are where the Newton steps
            start.
        num_samples: How many draws stand for an expectation; more than there are
            entries.
        batch_size: How many draws run in lock-step, as in `map_posterior`.

    Returns:
        A `JointPosterior` centred at the mean-field optimum.

    Raises:
        NotImplementedError: If the posterior's moments are not known.
        ValueError: If `log_density` returns no single number or is not finite at a
            draw, `num_samples` is too small, or the fit is at no maximum of the ELBO.

    Warns:
        UserWarning: If Newton steps do not get to the maximum of the ELBO, or the log
            density has noise that shows in its curvature.

    Example:
        ```python
        def log_density(drawn):  # of two rates of which the data know the sum
            return -2 * (jnp.sum(drawn.mean) - 1) ** 2 - jnp.sum(drawn.mean**2) / 2

        # Its mean-field fit: sd (1 + 4)**-0.5, where the right ones are 0.745.
        fit = bjm.make_parameter([0.444, 0.444], init_raw_stdv=0.669)
        bjm.linear_response(log_density, fit).stdv  # [0.745, 0.745]
        ```
    """
    check_engine_arguments(log_density, model, "model")
    fit_mean, fit_covariance = moments(model)
    model = as_posterior(model).model
    density = FlatDensity(log_density, model, batch_size)
    entries = density.entries
    d = entries.size
    if num_samples <= d:
        raise ValueError(
            f"`num_samples` must be above the number of entries, {d}, but got "
            f"{num_samples}."
        )
    noise = as_float64(sobol_noise(jax.random.key(0), num_samples, d, entries.dtype))
    mean, log_width = fit_mean, np.log(np.diagonal(fit_covariance)) / 2
    steps_taken = 0
    found = _newton_step(density, mean, log_width, noise)
    step, covariance, *errors = found
    while np.max(np.abs(step)) > LARGEST_STEP and steps_taken < MAX_NEWTON_STEPS:
        step *= min(1.0, 1 / np.max(np.abs(step)))
        mean = mean + np.exp(log_width) * step[:d]
        log_width = log_width + step[d:]
        found = _newton_step(density, mean, log_width, noise)
        step, covariance, error = found
        errors.append(error)
        steps_taken += 1
    if np.max(np.abs(step)) > LARGEST_STEP:
        warnings.warn(
            f"The fit is not at the maximum of the ELBO after {MAX_NEWTON_STEPS} "
            f"Newton steps; the next would be {np.max(np.abs(step)):.2g} standard "
            "deviations. Train the mean-field model longer.",
            stacklevel=2,
        )
    error = float(np.sqrt(np.mean(np.square(errors))))
    if noise := noise_of_curvature(error):
        warnings.warn(f"The covariance is rough.{noise}", stacklevel=2)
    centre = replace_free_means(model, jnp.asarray(mean, entries.dtype))
    return JointPosterior.gaussian(centre, jnp.asarray(covariance, entries.dtype))


def _newton_step(
    density: FlatDensity,
    mean: Float[np.ndarray, " d"],
    log_width: Float[np.ndarray, " d"],
    noise: Float[np.ndarray, "n d"],
) -> tuple[Float[np.ndarray, " two_d"], Float[np.ndarray, "d d"], float]:
    """The step to the optimum, in units of the widths, and the response there.

    Beside them the share of the mean curvature that is noise.
    """
    d, width = len(mean), np.exp(log_width)
    points = mean + width * noise
    gradients, rows = hessians(density, points, 0.1 * width)
    curvatures = (rows + rows.swapaxes(1, 2)) / 2
    gradient, hessian = _of_negative_elbo(gradients, curvatures, width * noise)
    # Errors of single rows leave as much in the symmetric part as in the skew one.
    skew = (rows - curvatures) * np.outer(width, width)
    of_one_draw = np.sqrt(np.sum(skew**2) / max(len(skew) * d * (d - 1), 1))
    error = float(of_one_draw / len(skew) ** 0.5)
    # In units of the widths, which may differ by many magnitudes.
    units = np.concatenate([width, np.ones(d)])
    scaled = hessian * np.outer(units, units)
    try:
        if not np.isfinite(scaled).all():
            raise np.linalg.LinAlgError
        np.linalg.cholesky(scaled)
    except np.linalg.LinAlgError:
        raise ValueError(
            "The ELBO must be finite and have a maximum near the fit, but its Hessian "
            "there is not negative definite. Train the mean-field model longer, with "
            f"its means free.{noise_of_curvature(error)}"
        ) from None
    step = -np.linalg.solve(scaled, units * gradient)
    return step, np.linalg.inv(scaled)[:d, :d] * np.outer(width, width), error


def _of_negative_elbo(
    gradients: np.ndarray, curvatures: np.ndarray, deviations: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and Hessian over means and log widths.

    With draws `x = m + exp(rho) * eps`, a derivative by `rho` is one by `x` times the
    deviation `exp(rho) * eps`; the entropy adds -1 to the gradient by `rho`.
    """
    by_rho = gradients * deviations
    gradient = np.concatenate([gradients.mean(0), by_rho.mean(0) + 1])
    crossed = curvatures * deviations[:, None, :]
    both = np.mean(crossed * deviations[:, :, None], axis=0)
    both += np.diag(by_rho.mean(0))
    cross = crossed.mean(0)
    hessian = np.block([[curvatures.mean(0), cross], [cross.T, both]])
    return -gradient, -hessian
