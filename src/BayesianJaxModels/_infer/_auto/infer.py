"""From a problem to a posterior that was checked."""

from typing import Any

import jax
from jaxtyping import PRNGKeyArray, PyTree

from ..._check import check_counts, check_key, warn_user
from ..._model import free_means
from ..._posterior import AbstractPosterior
from ..._problem import AbstractProblem
from ..arguments import check_engine_arguments
from ..density import FEW_ENTRIES
from .inference import Inference
from .run import MOST_BY_NUTS, Run

METHODS = ("auto", "importance", "nuts", "variational")
# Searches of a network end in as many modes as there are.
STARTS, STARTS_OF_MANY = 16, 4


def infer(
    problem: Any,
    model: PyTree,
    *,
    key: PRNGKeyArray,
    method: str = "auto",
    num_starts: int | None = None,
    progress: bool = False,
) -> Inference:
    """Find the posterior of a problem by the engines that suit its size, and check it.

    Up to 32 unknowns: searches for the modes from draws of the prior, a normal fit at
    all of them, and importance sampling from there; where its weights speak against it,
    and up to 64 unknowns, NUTS, and once more with longer chains and smaller steps
    where its checks speak against those. Beyond that, or where chains would take more
    than two minutes, as for networks of any size: the best mode, then variational
    inference from a normal fit there, with all correlations, or of more than 1,000
    unknowns with 16 directions of them; and never with independent widths, which do not
    hold what weights do together.

    Of a `Population`: the mode of the marginal density, with the effects integrated out
    by normal distributions (`nested_laplace`), and importance sampling squared from
    there (`nested_importance`); where that speaks against itself, and chains would not
    take more than two minutes, NUTS with the effects in standard deviations
    (`noncentred`).

    It does no more than the calls in its report, which you can make yourself.

    Args:
        problem: A `Problem`, or a sum of them.
        model: Says what the parameters are. Searches start at draws of the prior, and
            beyond 32 unknowns, or of a `Population`, one starts at the model itself.
        key: A JAX random key.
        method: `"auto"` as above; or the engine to end with: `"importance"`, `"nuts"`
            (extra: `nuts`) or `"variational"`.
        num_starts: How many searches for modes; if `None` 16, 4 beyond 32 unknowns, or
            1 of a `Population`.
        progress: Whether to show how far each step is (needs tqdm).

    Returns:
        An `Inference`, which is a posterior for whatever takes one. `print` shows its
        table and the report.

    Raises:
        TypeError: If an argument is of another type, or they are swapped.
        ValueError: If `method` is none of the above, or observations do not fit the
            model.
        AllFailedError: If all searches for a mode failed.

    Warns:
        UserWarning: If a check speaks against the posterior, with what to do.

    Example:
        ```python
        rate = bjm.make_parameter(0.5, support="positive")
        ts = np.linspace(0.0, 4.0, 9)
        problem = bjm.Problem(
            lambda drawn: jnp.exp(-drawn.value * ts),
            bjm.likelihoods.LogNormalLikelihood(0.1),
            np.exp(-0.7 * ts),
            prior=bjm.Prior(default=bjm.priors.LogNormal(0.0, 1.0)),
        )
        posterior = bjm.infer(problem, rate, key=jax.random.key(0))
        posterior.trustworthy  # True
        ```
    """
    check_key(key)
    if isinstance(model, AbstractProblem):
        raise TypeError(
            "`problem` and `model` seem to be swapped: the second is a problem. Call "
            "`infer(problem, model, key=key)`."
        )
    check_engine_arguments(problem, model, "model")
    if not isinstance(problem, AbstractProblem):
        raise TypeError(
            "`problem` must be a `Problem`, which knows data, likelihood and prior, "
            f"but is a {type(problem).__name__}. For a log density of your own call "
            "the engines: `map_estimate`, `laplace`, `importance`, `nuts`."
        )
    if method not in METHODS:
        raise ValueError(f"`method` must be one of {METHODS}, but got {method!r}.")
    if problem.prior is None:
        raise ValueError(
            "`problem` has no prior, so that there is no posterior. Give it one: "
            "`Problem(..., prior=Prior(...))`."
        )
    problem.check(model)
    num_entries = free_means(model).size
    few = num_entries <= FEW_ENTRIES
    given_starts = num_starts
    if num_starts is None:
        num_starts = STARTS if few else STARTS_OF_MANY
    check_counts(num_starts=num_starts)
    run = Run(problem, list(jax.random.split(key, 4)), progress)
    if problem.is_population and method != "variational":
        return _checked(run.nested(model, given_starts, method), run)
    if few:
        run.take_gradients_forwards(model)
    mode = run.search(model, num_starts, from_model=not few)
    if method == "variational" or (method == "auto" and num_entries > MOST_BY_NUTS):
        posterior = run.variational(mode)
    else:
        posterior = run.sample(mode, method)
    return _checked(posterior, run)


def _checked(posterior: AbstractPosterior, run: Run) -> Inference:
    """What was found, with a warning where a check speaks against it."""
    found = Inference(posterior, run.steps, run.complaints)
    if not found.trustworthy:
        warn_user(
            f"`infer` speaks against its posterior: {' '.join(found.complaints)} "
            "Print it for what was tried."
        )
    return found
