"""The usual problem: a simulation, a likelihood and observations."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, PRNGKeyArray, PyTree

from .._check import is_array
from .._compute import fold_in
from .._dynamics import Solve, Trajectory
from .._likelihood import AbstractLikelihood
from .._model import check_model, get_parameters, has_values
from .._prior import AbstractPrior, Prior
from .base import AbstractProblem, Outcome
from .observable import check_observe, observed
from .tangent import Tangent
from .times import at_some, at_times, times_of

ONE = "y"  # the name of a series that has none


class Problem(AbstractProblem):
    """A simulation whose results were observed with noise.

    Called with a drawn model it is the log joint density of observations and
    parameters, for any engine or a loop of your own: minus infinity, with finite
    gradients, where the simulation fails.

    Args:
        simulate: A `Solve`, or any function of a drawn model that returns an array, a
            pytree of arrays or a `Trajectory`: a regression, a recurrent cell scanned
            over a series, a controlled differential equation.
        likelihood: How observations scatter around what is predicted: a likelihood such
            as `NormalLikelihood(0.1)`, or a function of the drawn model that returns
            one, such as `lambda m: NormalLikelihood(m.noise.value)`. For several series
            a dictionary of them, or one for all.
        observations: The data, in the shape of what is observed; or a dictionary of
            arrays, one for each series. `None` of what was not observed, for
            predictions alone.
        prior: The `Prior` of the model, a log prior density of a drawn model, or `None`
            for none.
        observe: What is observed of the states: an index into their last axis; a tuple
            of indices; the name of a part, where they are a dictionary or a named
            tuple, or a tuple of names; or a function of what `simulate` returns and of
            the drawn model, such as `lambda solved, m: solved.ys / m.volume.value`.
            `None` for all of it, or in a dictionary of states for the part with the
            name of the series. For several series a dictionary of these.
        mask: Which observations count, boolean in their shape or in that of their
            leading axes, as `~np.isnan(data)` where NaN is missing. For several series
            a dictionary; those that it does not name count.

    Attributes:
        observations: As NumPy arrays, unless they were traced.

    Raises:
        TypeError: If an argument is of another type.
        ValueError: If an observation that counts is not finite, none counts, the names
            of series do not agree, or a likelihood that is not a function of the model
            holds parameters of its own. When called, if shapes differ.

    Example:
        ```python
        class Decay(bjm.AbstractVectorField):
            rate: bjm.AbstractParameter  # per hour
            noise: bjm.AbstractParameter

            def __call__(self, t, y, args):
                return -self.rate.value * y

        model = Decay(
            rate=bjm.make_parameter(0.5, support="positive"),
            noise=bjm.make_parameter(0.1, support="positive"),
        )
        problem = bjm.Problem(
            bjm.Solve(np.array([1.0, 2.0]), t0=0.0, y0=80.0),
            likelihood=lambda m: bjm.likelihoods.LogNormalLikelihood(m.noise.value),
            observations=np.array([47.0, 31.0]),
            prior=bjm.Prior(default=bjm.priors.LogNormal(-1.0, 1.0)),
        )
        problem(model)  # -7.44
        ```
    """

    simulate: Any
    likelihood: Any
    observations: Any
    prior: Any
    observe: Any
    mask: Any

    def __init__(
        self,
        simulate: Any,
        likelihood: Any,
        observations: Any,
        *,
        prior: Any,
        observe: Any = None,
        mask: Any = None,
    ):
        if not callable(simulate):
            raise TypeError(
                "`simulate` must be a `Solve` or a function of a drawn model, but is a "
                f"{type(simulate).__name__}."
            )
        _check_likelihood(likelihood)
        _check_prior(prior)
        self.simulate, self.likelihood, self.prior = simulate, likelihood, prior
        self.observations = _by_series(_as_data, observations)
        self.mask = _by_series(_as_mask, mask)
        self.observe = _by_series(check_observe, observe)
        series = self._series()
        for argument, given in (
            ("likelihood", likelihood),
            ("observe", observe),
            ("mask", mask),
        ):
            if isinstance(given, dict):
                _check_names(argument, given, series, may_lack=argument == "mask")
        for name, data in series.items():
            _check_data(name, data, self._of(self.mask, name))

    def outcome(self, drawn: PyTree, key: PRNGKeyArray | None = None) -> Outcome:
        check_model("A problem", drawn)
        states = self.simulate(drawn)
        succeeded, settled = _settle(states)
        likelihoods = self._likelihoods(drawn)
        of_series, series = {}, self._series()
        for place, (name, data) in enumerate(series.items()):
            observe = self._of(self.observe, name)
            prediction = observed(observe, settled, drawn, name)
            # The likelihood knows what NaN means: nothing flows back from there.
            prediction = jnp.where(succeeded, prediction, jnp.nan)
            likelihood, each, drawn_data = likelihoods[name], None, None
            if data is not None:
                each = _named(name, likelihood.log_prob_each)(
                    prediction, data, self._of(self.mask, name)
                )
            if key is not None:
                own = fold_in(key, place)
                drawn_data = _named(name, likelihood.sample)(own, prediction)
            of_series[name] = (prediction, each, drawn_data)
        if list(series) == [ONE]:
            return Outcome(states, *of_series[ONE])
        parts = zip(*of_series.values(), strict=True)
        return Outcome(
            states, *(dict(zip(of_series, part, strict=True)) for part in parts)
        )

    def __str__(self) -> str:
        """Observations, likelihood, simulation and prior; traced, the structure."""
        if not has_values(self):
            return repr(self)
        told = []
        for name, data in self._series().items():
            words = "no observations"
            if data is not None:
                counts = _counts(data, self._of(self.mask, name))
                words = f"observations {np.shape(data)}"
                words += "" if counts.all() else f", {counts.sum():,} of them count"
            likelihood = _name(self._of(self.likelihood, name))
            if not isinstance(self.likelihood, AbstractLikelihood | dict):
                likelihood = _name(self.likelihood)
            told.append(
                f"{'' if name == ONE else name + ': '}{words}, likelihood {likelihood}"
            )
        prior = "no prior" if self.prior is None else f"prior: {_name(self.prior)}"
        return (
            f"Problem: {'; '.join(told)}\n  simulate: {_name(self.simulate)}; {prior}"
        )

    def at(self, ts: Any) -> "Problem":
        return replace(self.without_data(), simulate=at_times(self.simulate, ts))

    def without_data(self) -> "Problem":
        """The same, of which nothing was observed."""
        none = jax.tree.map(lambda data: None, self.observations)
        return replace(self, observations=none, mask=None)

    def counting(self, counts: Bool[Array | np.ndarray, " T"]) -> "Problem":
        """The same, of which some times and their observations do not count.

        Args:
            counts: Which of them do, along the leading axis of the observations.
        """

        def and_own(data, name):
            own = self._of(self.mask, name)
            if data is None or own is None:
                return None if data is None else counts
            return own & counts.reshape(counts.shape + (1,) * (np.ndim(own) - 1))

        mask = {name: and_own(data, name) for name, data in self._series().items()}
        if not isinstance(self.observations, dict):
            mask = mask[ONE]
        return replace(self, simulate=at_some(self.simulate, counts), mask=mask)

    def in_forward_mode(self) -> "Problem":
        solve = self.simulate
        if not isinstance(solve, Solve) or solve.adjoint is not None:
            return self
        return replace(self, simulate=solve.replace(adjoint=diffrax.ForwardMode()))

    def linearised(self, model: PyTree) -> "Problem":
        check_model("A problem", model)
        simulate = self.in_forward_mode().simulate
        return replace(self, simulate=Tangent.of(simulate, model))

    @property
    def ts(self) -> PyTree:
        return times_of(self.simulate)

    @property
    def counted(self) -> PyTree:
        if self.mask is None:
            return None
        of_series = {
            name: None if data is None else _counts(data, self._of(self.mask, name))
            for name, data in self._series().items()
        }
        return of_series if isinstance(self.observations, dict) else of_series[ONE]

    def check(self, model: PyTree) -> None:
        check_model("A problem", model)
        likelihoods = self._likelihoods(model)
        for name, data in self._series().items():
            if data is None or isinstance(data, Tracer):
                continue
            support = likelihoods[name].support
            possible = np.asarray(support.of_observation(np.asarray(data, float)))
            wrong = np.argwhere(~possible & _counts(data, self._of(self.mask, name)))
            if len(wrong):
                at = tuple(wrong[0].tolist())
                raise ValueError(
                    f"`observations{_place(name)}` must be {support.words} under a "
                    f"{type(likelihoods[name]).__name__}, but {len(wrong)} are not: at "
                    f"{at} it is {data[at]}. Leave missing entries out with `mask`."
                )

    def _series(self) -> dict[str, Any]:
        """The observations by the names of series, of which one may have none."""
        if isinstance(self.observations, dict):
            return self.observations
        return {ONE: self.observations}

    def _of(self, argument: Any, name: str) -> Any:
        """What an argument says of one series."""
        return argument.get(name) if isinstance(argument, dict) else argument

    def _likelihoods(self, drawn: PyTree) -> dict[str, AbstractLikelihood]:
        given, names = self.likelihood, list(self._series())
        if not isinstance(given, AbstractLikelihood | dict):
            given = given(drawn)
            if isinstance(given, dict):
                _check_names("likelihood", given, names)
        found = {}
        for name in names:
            likelihood = self._of(given, name)
            if callable(likelihood):
                likelihood = likelihood(drawn)
            if not isinstance(likelihood, AbstractLikelihood):
                raise TypeError(
                    "`likelihood` must return one such as `NormalLikelihood(0.1)` for "
                    f"a drawn model, but returned {likelihood!r}{_of_series(name)}."
                )
            found[name] = likelihood
        return found


def _settle(states: PyTree) -> tuple[Bool[Array, ""], PyTree]:
    """Whether a simulation succeeded, and harmless states where it did not."""
    if not isinstance(states, Trajectory):
        return jnp.array(True), states
    succeeded = jnp.all(states.succeeded)
    ys = jax.tree.map(lambda leaf: jnp.where(succeeded, leaf, 1), states.ys)
    return succeeded, eqx.tree_at(lambda solved: solved.ys, states, ys)


def _by_series(read: Callable, given: Any) -> Any:
    if isinstance(given, dict):
        return {name: read(part, name) for name, part in given.items()}
    return read(given, ONE)


def _as_data(data: Any, name: str) -> Any:
    if data is None:
        return None
    try:
        known = data if is_array(data) else np.asarray(data, float)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"`observations{_place(name)}` must be an array of numbers, or arrays by "
            f"name in a dictionary, but is a {type(data).__name__}."
        ) from error
    return known


def _as_mask(mask: Any, name: str) -> Any:
    if mask is None:
        return None
    known = mask if is_array(mask) else np.asarray(mask)
    if known.dtype != bool:
        raise TypeError(
            f"`mask{_place(name)}` must be boolean, true where an observation counts, "
            f"but has dtype {known.dtype}."
        )
    return known


def _check_data(name: str, data: Any, mask: Any) -> None:
    if data is None:
        return
    if mask is not None and mask.shape != data.shape[: mask.ndim]:
        raise ValueError(
            f"`mask{_place(name)}` has shape {mask.shape}, but `observations"
            f"{_place(name)}` have {data.shape}. It must have their shape, or that of "
            "their leading axes."
        )
    if isinstance(data, Tracer) or isinstance(mask, Tracer):
        return
    known, counts = np.asarray(data, float), _counts(data, mask)
    if not counts.any():
        raise ValueError(
            f"None of `observations{_place(name)}` counts: there are {known.size}, and "
            "`mask` leaves all of them out."
        )
    wrong = np.argwhere(counts & np.isnan(known))
    if len(wrong):
        raise ValueError(
            f"`observations{_place(name)}` have NaN at {tuple(wrong[0].tolist())} (and "
            f"{len(wrong) - 1} more). If NaN means missing, say so: "
            "`mask=~np.isnan(observations)`."
        )


def _counts(data: Any, mask: Any) -> Bool[np.ndarray, "..."]:
    if mask is None:
        return np.ones(np.shape(data), bool)
    known = np.asarray(mask)
    return np.broadcast_to(
        known.reshape(known.shape + (1,) * (np.ndim(data) - known.ndim)),
        np.shape(data),
    )


def _check_likelihood(likelihood: Any) -> None:
    parts = likelihood.values() if isinstance(likelihood, dict) else [likelihood]
    for part in parts:
        if not (isinstance(part, AbstractLikelihood) or callable(part)):
            raise TypeError(
                "`likelihood` must be one such as `NormalLikelihood(0.1)`, a function "
                "of the drawn model that returns one, or a dictionary of these by the "
                f"names of series, but got {part!r}."
            )
        if isinstance(part, AbstractLikelihood) and get_parameters(part):
            raise ValueError(
                f"`likelihood` is a {type(part).__name__} with parameters of its own, "
                f"{list(get_parameters(part))}, which are no part of the model: they "
                "would be neither drawn nor learnt. Make it a part of the model, and "
                "pass a function of the drawn model, such as `lambda m: m.noise`."
            )


def _check_prior(prior: Any) -> None:
    if isinstance(prior, AbstractPrior):
        raise TypeError(
            f"`prior` is a {type(prior).__name__}, the distribution of one parameter. "
            "Say of which: `Prior({name: ...})`, or of all: `Prior(default=...)`."
        )
    if not (prior is None or isinstance(prior, Prior) or callable(prior)):
        raise TypeError(
            "`prior` must be a `Prior`, a log prior density of a drawn model, or None, "
            f"but is a {type(prior).__name__}."
        )


def _check_names(
    argument: str, given: dict, series: Any, *, may_lack: bool = False
) -> None:
    names = list(series)
    unknown = [name for name in given if name not in names]
    lacking = [] if may_lack else [name for name in names if name not in given]
    if unknown or lacking:
        raise ValueError(
            f"`{argument}` is a dictionary of {list(given)}, but the series of "
            f"`observations` are {names}."
        )


def _name(part: Any) -> str:
    """A part as one calls it: a prior by its rules, a function by its name."""
    if isinstance(part, Prior):
        rules = [
            f"{rule.__name__ if callable(rule) else rule} ~ {type(each).__name__}"
            for rule, each in zip(part.rules, part.distributions, strict=True)
        ]
        rest = [] if part.default is None else [f"default {_name(part.default)}"]
        return ", ".join(rules + rest)
    name = getattr(part, "__name__", None)
    if name is None:
        return type(part).__name__
    return "a function of the model" if name == "<lambda>" else f"function {name}"


def _place(name: str) -> str:
    return "" if name == ONE else f"[{name!r}]"


def _of_series(name: str) -> str:
    return "" if name == ONE else f" for the series {name!r}"


def _named(name: str, fn: Callable) -> Callable:
    """The same, with the name of the series in what it raises."""

    def call(*args: Any) -> Any:
        try:
            return fn(*args)
        except ValueError as error:
            if name == ONE:
                raise
            raise ValueError(f"Of the series {name!r}: {error}") from error

    return call
