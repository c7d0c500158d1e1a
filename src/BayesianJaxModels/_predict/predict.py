"""What follows from a posterior: states, observables, and data as they might be."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Int, PRNGKeyArray, PyTree

from .._check import check_counts, check_key
from .._compute import fold_in, full_precision
from .._posterior import OfSubjects, as_posterior
from .._problem import AbstractProblem
from .map_posterior import map_with_index
from .prediction import Prediction, with_times

# No draw has this index, so that the key folded with it is that of no draw.
OF_NOISE, OF_NEW = np.uint32(2**32 - 1), np.uint32(2**32 - 2)


def predict(
    problem: Any,
    posterior: PyTree,
    *,
    ts: Any = None,
    subjects: Any = None,
    key: PRNGKeyArray,
    num_samples: int | None,
    batch_size: int | None = None,
    progress: bool = False,
) -> Prediction:
    """Simulate every draw of a posterior, and observations with noise.

    Runs on the host, on all cores, as `map_posterior` does: with the same key the draws
    are the same, bit for bit. The noise of draw `i` depends on the key and `i` alone.
    With a `PriorDraws` it is what the prior says of data.

    Args:
        problem: The problem: what is simulated, and how it is observed.
        posterior: A model with parameters, or an `AbstractPosterior`.
        ts: Other times than those of the data: between them, or ahead. The prediction
            then has no data beside it.
        subjects: Of a `Population`, the `Subject`s to foresee, with their times, doses
            and covariates; those of the data if `None`. One with the name of a subject
            that was seen has its effects; those of others are drawn from the prior of
            the effects, given all else of the same draw. With `"new"` others like those
            of the data, for a predictive check.
        key: A JAX random key.
        num_samples: How many draws, at least 1; `None` for every draw of a
            `DrawsPosterior` once, in order, with its weight.
        batch_size: As in `map_posterior`.
        progress: As in `map_posterior`.

    Returns:
        A `Prediction`. Draws that failed stay, as NaN, and are counted.

    Raises:
        TypeError: If `problem` is no problem, `posterior` is none, or the simulation
            has no times where `ts` asks for others.
        ValueError: As `map_posterior` does; or if `subjects` do not go together, or the
            prior of their effects is of those that were seen alone.
        NotImplementedError: If there are `subjects` and no `Population`.
        RuntimeError: If called under a JAX transformation.
        ImportError: If tqdm is missing where `progress` asks for it.

    Example:
        ```python
        class Decay(bjm.AbstractVectorField):
            rate: bjm.AbstractParameter  # per hour

            def __call__(self, t, y, args):
                return -self.rate.value * y

        model = Decay(bjm.make_parameter(0.5, stdv=0.05, support="positive"))
        problem = bjm.Problem(
            bjm.Solve(np.array([1.0, 2.0]), t0=0.0, y0=80.0),
            likelihood=bjm.likelihoods.LogNormalLikelihood(0.1),
            observations=np.array([47.0, 31.0]),
            prior=bjm.Prior(default=bjm.priors.LogNormal(-1.0, 1.0)),
        )
        settings = {"key": jax.random.key(0), "num_samples": 1_000}
        ahead = bjm.predict(problem, model, ts=np.array([4.0, 8.0]), **settings)
        bjm.summarise(ahead, of="observations").mean  # [10.9, 1.5]
        ```
    """
    if not isinstance(problem, AbstractProblem):
        swapped = isinstance(posterior, AbstractProblem)
        raise TypeError(
            f"`problem` must be a problem such as `Problem(simulate, ...)`, but is a "
            f"{type(problem).__name__}. "
            + (
                "It stands where the posterior should: the order is "
                "`predict(problem, posterior)`."
                if swapped
                else "For any function of a drawn model use `map_posterior`."
            )
        )
    if isinstance(posterior, AbstractProblem):
        raise TypeError(
            f"`posterior` is a {type(posterior).__name__}. Pass a model with "
            "parameters or a posterior, such as `PriorDraws(model, prior)`."
        )
    posterior = as_posterior(posterior)
    check_key(key)
    check_counts(num_samples=num_samples, batch_size=batch_size)
    if subjects is not None:
        problem, seen = problem.of_subjects(subjects)
        posterior = OfSubjects.of(posterior, problem, seen, fold_in(key, OF_NEW))
    at_data = problem if ts is None else problem.at(ts)
    arrays, outcome = map_with_index(
        eqx.Partial(_outcome, at_data, fold_in(key, OF_NOISE)),
        posterior,
        key=key,
        num_samples=num_samples,
        batch_size=batch_size,
        progress=progress,
    )
    num_chains, weights = 1, None
    if num_samples is None:
        weights = posterior.item_weights
        count, length = posterior.chains
        num_chains = count if count * length == posterior.num_items else 1
    states, times = _with_times(outcome, at_data.ts, weights)
    observed = at_data.observations
    has_data = bool(jax.tree.leaves(observed))
    return Prediction(
        states=states,
        observables=outcome.observables,
        observations=outcome.observations,
        drawn=eqx.combine(arrays, eqx.filter(posterior.model, eqx.is_array, True)),
        log_likelihood=outcome.pointwise if has_data else None,
        weights=weights,
        ts=times,
        observed=observed if has_data else None,
        mask=at_data.counted if has_data or subjects is not None else None,
        is_ahead=ts is not None,
        num_chains=num_chains,
    )


@full_precision
def _outcome(
    problem: AbstractProblem, key: PRNGKeyArray, drawn: PyTree, index: Int[Array, ""]
) -> tuple[PyTree, Any]:
    """The arrays of a drawn model, and what the problem says of it."""
    outcome = problem.outcome(drawn, fold_in(key, index))
    return eqx.filter(drawn, eqx.is_array), outcome


def _with_times(outcome: Any, ts: Any, weights: Any) -> tuple[PyTree, Any]:
    if not isinstance(outcome.observables, tuple):
        return with_times(outcome.states, ts, weights)
    if ts is None:
        ts = (None,) * len(outcome.states)
    pairs = zip(outcome.states, ts, strict=True)
    states, times = zip(*(with_times(*pair, weights) for pair in pairs), strict=True)
    return states, None if all(t is None for t in times) else times
