"""Whether a posterior is the right one, as far as importance weights can tell."""

import warnings
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray, PyTree

from .._compute import collect, fold_in, spread
from .._model import free_means
from .density import FlatDensity
from .joint import JointPosterior
from .posterior import AbstractPosterior, draw_model, log_prob_of, model_of
from .psis import effective_sample_size, pareto_smooth

# Stan's rule for its own samplers: means within a quarter of a standard deviation, and
# widths within a quarter.
LARGEST_Z = 0.25
SD_RATIOS = (0.8, 1.25)
LARGEST_K_HAT = 0.7


class Diagnosis(eqx.Module):
    """A posterior beside its own importance-weighted draws; NumPy arrays.

    Attributes:
        z: By how many standard deviations the weighted mean of each entry differs from
            the posterior's, of shape `(d,)`.
        sd_ratio: The posterior's standard deviation of each entry over the weighted,
            alike.
        k_hat: The shape of the weights' tail. Above .7 the weights cannot correct the
            posterior, and `z` and `sd_ratio` show only the direction.
        ess: How many draws of equal weight the weighted ones are worth.
        num_failed: For how many draws the log density was not finite.

    Example:
        ```python
        rates = bjm.make_parameter([0.5, 2.0], init_raw_stdv=0.3)  # sd .09
        found = bjm.diagnose(
            lambda drawn: -jnp.sum((drawn.mean - rates.mean) ** 2) / (2 * 0.09**2),
            rates,
            key=jax.random.key(0),
            num_samples=500,
        )
        found.trustworthy, found.num_failed  # (True, 0)
        found.z.shape  # (2,)
        ```
    """

    z: Float[np.ndarray, " d"]
    sd_ratio: Float[np.ndarray, " d"]
    k_hat: Float[np.ndarray, ""]
    ess: Float[np.ndarray, ""]
    num_failed: Int[np.ndarray, ""]

    @property
    def trustworthy(self) -> bool:
        """Whether nothing speaks against the posterior.

        That certifies nothing: draws do not see what lies where they never go.
        """
        return bool(
            self.k_hat <= LARGEST_K_HAT
            and np.all(np.abs(self.z) <= LARGEST_Z)
            and np.all(self.sd_ratio >= SD_RATIOS[0])
            and np.all(self.sd_ratio <= SD_RATIOS[1])
        )

    def __repr__(self) -> str:
        return (
            f"Diagnosis: k-hat {self.k_hat:.2f}, {self.ess:.0f} effective draws, "
            f"greatest |z| {np.max(np.abs(self.z)):.2f}, sd ratios "
            f"{np.min(self.sd_ratio):.2f} to {np.max(self.sd_ratio):.2f}, "
            f"{self.num_failed} failed: "
            + ("nothing speaks against it" if self.trustworthy else "not to be trusted")
        )


def diagnose(
    log_density: Callable[[Any], Float[Array, ""]],
    posterior: PyTree,
    *,
    key: PRNGKeyArray,
    num_samples: int = 4_000,
    batch_size: int | None = None,
    progress: bool = False,
) -> Diagnosis:
    """Compare a fitted posterior with its draws weighted to the right one.

    For plain models and `JointPosterior`s, whose densities are known: fits by
    variational inference, `laplace` and `linear_response`. Runs on the host. The
    weights are Pareto-smoothed (Vehtari et al. 2024, JMLR 25(72)), and the limits for
    means and widths are those that Stan holds its samplers to.

    Args:
        log_density: From a drawn model to the log joint density of data and parameters,
            a scalar.
        posterior: A plain model or a `JointPosterior`.
        key: A JAX random key. Draw `i` has the key `fold_in(key, i)`.
        num_samples: How many draws, at least 100.
        batch_size: How many draws run in lock-step, as in `map_posterior`.
        progress: Whether to show draws done (needs tqdm).

    Returns:
        A `Diagnosis`.

    Raises:
        TypeError: If `posterior` is of another kind.
        ValueError: If `num_samples` is below 100 or `batch_size` below 1, or
            `log_density` returns no single number or is finite for no draw.
        ImportError: If tqdm is missing where `progress` asks for it.

    Warns:
        UserWarning: If the posterior is not to be trusted, with what to do.

    Example:
        ```python
        def log_density(drawn):  # of a rate whose posterior is log-normal
            log_rate = jnp.log(drawn.mean)
            return -50 * log_rate**2 - log_rate

        fit = bjm.laplace(log_density, bjm.make_parameter(0.99))
        found = bjm.diagnose(log_density, fit, key=jax.random.key(0), num_samples=500)
        found.trustworthy  # True
        ```
    """
    if num_samples < 100:
        raise ValueError(f"`num_samples` must be at least 100, but got {num_samples}.")
    if isinstance(posterior, AbstractPosterior) and not isinstance(
        posterior, JointPosterior
    ):
        raise TypeError(
            "`posterior` must be a plain model or a `JointPosterior`, whose densities "
            f"are known, but is a {type(posterior).__name__}. Draws of an engine have "
            "`diagnostics` of their own."
        )
    chunks = spread(
        _weigh,
        (FlatDensity(log_density, model_of(posterior)), posterior, key),
        num_samples,
        bytes_per_item=free_means(model_of(posterior)).nbytes,
        batch_size=batch_size,
        progress="draws" if progress else None,
    )
    draws, log_target, log_own = (
        np.asarray(x, np.float64) for x in collect(chunks, num_samples)
    )
    failed = ~np.isfinite(log_target)
    if failed.all():
        raise ValueError(
            f"`log_density` is finite for none of {num_samples} draws of `posterior`."
        )
    log_weights = np.where(failed, -np.inf, log_target - log_own)
    weights, k_hat = pareto_smooth(log_weights)
    mean, weighted_mean = draws.mean(0), weights @ draws
    variance = weights @ (draws - weighted_mean) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (mean - weighted_mean) / np.sqrt(variance)
        sd_ratio = draws.std(0) / np.sqrt(variance)
    fixed = draws.std(0) == 0  # deterministic parameters
    found = Diagnosis(
        z=np.where(fixed, 0, z),
        sd_ratio=np.where(fixed, 1, sd_ratio),
        k_hat=np.asarray(k_hat),
        ess=np.asarray(effective_sample_size(weights)),
        num_failed=np.asarray(failed.sum()),
    )
    if not found.trustworthy:
        warnings.warn(
            f"{found!r}. Its means and widths may be wrong: use `importance` from this "
            "posterior or `nuts`, or for a mean-field fit `linear_response` or a "
            "`JointPosterior` with all correlations.",
            stacklevel=2,
        )
    return found


def _weigh(inputs: tuple, index: Int[Array, ""]) -> tuple[Array, Array, Array]:
    density, posterior, key = inputs
    drawn = draw_model(posterior, fold_in(key, index))
    vector = free_means(drawn)
    log_own = log_prob_of(posterior, drawn)
    return vector, density(vector), jnp.asarray(log_own, vector.dtype)
