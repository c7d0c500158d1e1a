"""Proper scores, and the log predictive density."""

import warnings
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import ArrayLike, Float

from .._check import AllFailedError, import_extra
from .._predict import Prediction, by_series, mask_of_densities, read_weights
from .calibration import Series, known_time_axis, over_series, read_series


def crps(
    draws: Any,
    observation: Any = None,
    *,
    time_axis: int | None = None,
    mask: Any = None,
    weights: Float[ArrayLike, " n"] | None = None,
) -> Any:
    """The continuous ranked probability score of each observation; less is better.

    It is `E|X - y| - E|X - X'| / 2` over the draws, in the unit of the observation,
    which is `E|X - X'| / (2 n)` above the posterior's own: compare engines with equal
    numbers of draws. Needs scoringrules.

    Args:
        draws: Draws of the observation, as in `pit`.
        observation: As in `pit`.
        time_axis: As in `coverage`.
        mask: As in `coverage`.
        weights: As in `coverage`.

    Returns:
        Scores of the shape of `observation`; NaN where `mask` is false. Of a
        `Prediction` of several series an array for each, by name.

    Raises:
        ImportError: If scoringrules is missing.
        ValueError: If an argument is not as above.
        AllFailedError: If all draws of a series failed.

    Example:
        ```python
        rng = np.random.default_rng(0)
        replicated, counts = rng.poisson(5.0, (200, 9)), rng.poisson(5.0, 9)
        bjm.calibration.crps(replicated, counts).mean()  # 1.185
        ```

    References:
        Gneiting and Raftery (2007), "Strictly proper scoring rules, prediction, and
        estimation", Journal of the American Statistical Association 102.
    """
    rules = _scoringrules()
    if isinstance(draws, Prediction):
        settings = {"time_axis": time_axis, "weights": weights}
        return over_series(
            lambda one, truth, mask, place: crps(one, truth, mask=mask, **settings),
            draws,
            observation,
            mask,
        )
    data = read_series(draws, observation, mask, weights, time_axis)
    data.warn_failed()
    scores = []
    for one in data.series:
        score = one.by_time(lambda now: _crps(rules, now))
        scores.append(np.where(one.observed, score, np.nan))
    return np.reshape(scores, np.shape(observation))


def _crps(rules: Any, now: Series) -> np.ndarray:
    ensemble, weights = np.moveaxis(now.draws, 0, -1), now.weights
    if weights is not None:
        weights = np.broadcast_to(weights, ensemble.shape)
    return rules.crps_ensemble(
        now.truth, ensemble, ens_w=weights, estimator="qd", backend="numpy"
    )


def energy_score(
    draws: Any,
    observation: Any = None,
    *,
    joint: bool = False,
    time_axis: int | None = None,
    mask: Any = None,
    weights: Float[ArrayLike, " n"] | None = None,
) -> Any:
    """The energy score, the CRPS of vectors; less is better.

    It sees whether components, or times, vary together as they should. Scale
    components of different units first. Takes memory for all pairs of draws. Needs
    scoringrules.

    Args:
        draws: Draws of the observation, as in `pit`.
        observation: As in `pit`.
        joint: Whether the vector is the whole trajectory, or the state at each time.
            Of draws that an event ended, a whole one needs those that run at all
            observed times: a warning says how many do not and are left out.
        time_axis: As in `coverage`.
        mask: As in `coverage`. What was not observed is left out of its vector.
        weights: As in `coverage`.

    Returns:
        Scores of shape `(*series, T)`, or `(*series)` if `joint`, in the unit of the
        observation; NaN where nothing was observed. Of a `Prediction` of several series
        an array for each, by name.

    Raises:
        ImportError: If scoringrules is missing.
        ValueError: If an argument is not as above.
        AllFailedError: If all draws of a series failed.

    Example:
        ```python
        rng = np.random.default_rng(0)
        rates, ts = rng.normal(0.5, 0.1, (200, 1)), np.linspace(0.0, 2.0, 5)
        draws = np.exp(-rates * ts) + rng.normal(0.0, 0.05, (200, 5))
        bjm.calibration.energy_score(draws, np.exp(-0.6 * ts), joint=True)  # 0.073
        ```

    References:
        Gneiting and Raftery (2007), as for `crps`.
    """
    rules = _scoringrules()
    if isinstance(draws, Prediction):
        settings = {"joint": joint, "time_axis": time_axis, "weights": weights}
        return over_series(
            lambda one, truth, mask, place: energy_score(
                one, truth, mask=mask, **settings
            ),
            draws,
            observation,
            mask,
        )
    data = read_series(draws, observation, mask, weights, time_axis)
    data.warn_failed()
    if joint:
        scores = [_energy(rules, one) for one in _throughout(data.series)]
    else:
        scores = [
            _energy(rules, now.take(slice(None), [place]))
            for one in data.series
            for now in one.stretches()
            for place in range(len(now.truth))
        ]
    axes = known_time_axis(draws, time_axis) + (not joint)
    return np.reshape(np.array(scores, float), np.shape(observation)[:axes])


def _throughout(series: list[Series]) -> list[Series]:
    """Each with the draws that run at all times at which something was observed."""
    found, num_left_out = [], 0
    for i, one in enumerate(series):
        runs = one.running[:, one.observed.any(axis=1)].all(axis=1)
        if not runs.any():
            raise ValueError(
                f"No draw of series {i} runs at all times that were observed: events "
                "ended them before. Leave the last times out with `mask`, or score "
                "each time with `joint=False`."
            )
        found.append(one.take(runs, slice(None)))
        num_left_out += int((~runs).sum())
    if num_left_out:
        warnings.warn(
            f"{num_left_out:,} draws do not run at all times that were observed, "
            "because events ended them, and are left out.",
            stacklevel=3,
        )
    return found


def _energy(rules: Any, one: Series) -> float:
    """The score of all that was observed, as one vector."""
    if not one.observed.any():
        return np.nan
    return rules.es_ensemble(
        one.truth[one.observed],
        one.draws[:, one.observed],
        ens_w=one.weights,
        estimator="nrg",
        backend="numpy",
    )


class LogPredictiveDensity(eqx.Module):
    """How probable data were under a posterior predictive distribution.

    Attributes:
        pointwise: The log predictive density of each observation, in their shape; NaN
            where masked.
        elpd: Their sum, in nats. For data that the posterior has not seen it estimates
            the expected log pointwise predictive density; otherwise it is too high.
        standard_error: Of `elpd`, from how `pointwise` varies; NaN for one observation.
        mnll: The mean negative log likelihood, `-elpd` for each observation.
        num_draws: How many draws there were, failed ones included.
        num_failed: How many had NaN or infinity for an observation and are left out.

    Example:
        ```python
        rates, counts = np.array([[4.0], [5.0], [6.0]]), np.array([3, 7, 5])
        log_probs = jax.scipy.stats.poisson.logpmf(counts, rates)  # (3, 3)
        found = bjm.calibration.log_predictive_density(log_probs)
        found.pointwise.shape  # (3,)
        found.elpd, found.standard_error  # (-6.06, 0.44)
        ```
    """

    pointwise: Float[np.ndarray, "..."]
    elpd: float
    standard_error: float
    mnll: float
    num_draws: int = eqx.field(static=True)
    num_failed: int = eqx.field(static=True)


def log_predictive_density(
    log_probs: Any,
    mask: Any = None,
    *,
    weights: Float[ArrayLike, " n"] | None = None,
) -> Any:
    """Average each observation's density over the draws, then take logarithms.

    Args:
        log_probs: The log density of each observation given each draw, of shape
            `(num_draws, *observation.shape)`. Minus infinity is a density of zero. Or a
            `Prediction` at the times of the data, which knows its masks and weights.
        mask: Which observations count, in their shape; all if `None`. To see how well a
            fit to the first `cut` times predicts those after, pass
            `np.arange(T) >= cut`.
        weights: The weights of the draws, of shape `(num_draws,)`; equal if `None`.

    Returns:
        A `LogPredictiveDensity`; of a `Prediction` of several series one for each, by
        name.

    Raises:
        ValueError: If the shapes do not fit, nothing is observed, or a `Prediction` has
            no data.
        AllFailedError: If all draws failed.

    Example:
        ```python
        rates, ts = np.array([[0.4], [0.5], [0.6]]), np.linspace(0.0, 2.0, 5)
        data = np.array([1.05, 0.7, 0.65, 0.5, 0.3])
        log_probs = jax.scipy.stats.norm.logpdf(data, np.exp(-rates * ts), 0.1)
        bjm.calibration.log_predictive_density(log_probs).mnll  # -1.15
        ```

    References:
        Vehtari, Gelman and Gabry (2017), "Practical Bayesian model evaluation using
        leave-one-out cross-validation and WAIC", Statistics and Computing 27.
    """
    if isinstance(log_probs, Prediction):
        return _of_prediction(log_probs, mask, weights)
    values = np.asarray(log_probs).astype(float)
    observed = np.ones(values.shape[1:], bool) if mask is None else np.asarray(mask)
    if values.ndim == 0 or observed.shape != values.shape[1:] or not observed.any():
        raise ValueError(
            "`log_probs` must have shape (num_draws, *mask.shape) and `mask` be true "
            f"somewhere, but they have shapes {values.shape} and {observed.shape}, and "
            f"{observed.sum()} are true."
        )
    used = np.all((values < np.inf) | ~observed, axis=tuple(range(1, values.ndim)))
    share = np.ones(len(values))
    if weights is not None:
        share = read_weights(np.asarray(weights), len(values))
    share = np.where(used, share, 0)
    if not share.any():
        raise AllFailedError(
            "`log_probs` has NaN or infinity in every draw, or in every one with a "
            "weight above 0."
        )
    kept = share > 0
    logs = np.log(share[kept] / share.sum())
    of_observed = np.logaddexp.reduce(values[kept][:, observed] + logs[:, None], axis=0)
    pointwise = np.full(observed.shape, np.nan)
    pointwise[observed] = of_observed
    count = of_observed.size
    finite = count > 1 and np.isfinite(of_observed).all()
    return LogPredictiveDensity(
        pointwise=pointwise,
        elpd=float(of_observed.sum()),
        standard_error=float(of_observed.std(ddof=1) * count**0.5)
        if finite
        else np.nan,
        mnll=float(-of_observed.mean()),
        num_draws=len(values),
        num_failed=int((~used).sum()),
    )


def _of_prediction(prediction: Prediction, mask: Any, weights: Any) -> Any:
    """The log predictive density of each series."""
    if prediction.log_likelihood is None:
        raise ValueError(
            "The prediction has no log densities of data: predict at the times of the "
            "data, without `ts`."
        )
    log_probs = by_series(prediction.log_likelihood)
    masks = by_series(prediction.mask if mask is None else mask)
    masks = {
        name: mask_of_densities(there, log_probs[name]) for name, there in masks.items()
    }
    weights = prediction.weights if weights is None else weights
    found = {
        name: log_predictive_density(one, masks.get(name), weights=weights)
        for name, one in log_probs.items()
    }
    return found["y"] if list(found) == ["y"] else found


def _scoringrules() -> Any:
    return import_extra("scoringrules", "A score", "scoringrules", "calibration")
