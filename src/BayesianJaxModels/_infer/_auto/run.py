"""The engines that `infer` calls, each with what to write to do the same."""

import textwrap
import time
import warnings
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from ..._check import AllFailedError
from ..._model import free_means
from ..._posterior import (
    AbstractPosterior,
    DrawsPosterior,
    JointPosterior,
    as_float64,
)
from ..._prior import Prior
from ..._problem import AbstractProblem, noncentred
from .._importance.importance import importance
from .._nested import nested_importance, nested_laplace
from .._nuts.nuts import nuts
from ..density import (
    FEW_ENTRIES,
    FlatDensity,
    ForwardGradient,
    values_and_gradients,
)
from ..diagnose import FAULT, Diagnosis, diagnose
from ..elbo import elbo
from ..laplace import laplace
from ..map_estimate import MAPEstimate, map_estimate
from .inference import LINE, Step

# Up to so many entries gradients are faster forwards, whatever is solved.
FORWARDS_IN_ANY_CASE = 12
# Beyond so many entries chains take long, and a matrix of all correlations too.
MOST_BY_NUTS, MOST_CORRELATED = 64, 1_000
RANK, WIDTH = 16, 0.01
NUM_STEPS, NUM_SAMPLES = 2_000, 8
# The noise of steps adds up over the entries of a draw: beyond some, shorter ones.
RATE, RATE_TIMES_SIZE, RATE_OF_LOW_RANK = 0.02, 1.3, 0.01
# A network with weights of order one is linear over about as much; where its solves are
# sharp, over less.
WIDEST, NARROW = 0.1, 0.01
NUM_TRIED = 64
AS_GOOD = 0.1  # nats, which so many draws cannot tell
# Fewer draws of equal weight say nothing of means and widths.
FEW_DRAWS = 10
BOUNDS = f"""\
[
    bjm.elbo(each, problem, prior=None, key=keys[3], num_samples={NUM_TRIED}).value
    for each in [{{names}}]
]"""
VARIATIONAL = f"""\
posterior = bjm.train.fit(
    lambda fit, key: -bjm.elbo(
        fit,
        {{density}},
        prior=None,
        key=key,
        num_samples={NUM_SAMPLES},
        stick_the_landing=True,
    ).value,
    {{start}},
    key=keys[1],
    optimiser=optax.adam(optax.cosine_decay_schedule({{rate}}, {NUM_STEPS})),
    num_steps={NUM_STEPS},
).model"""
# Of chains that go on from some which their own checks spoke against.
FINER = {"num_warmup": 1_000, "num_samples": 2_000, "target_acceptance": 0.95}
# Chains in lock-step take so many steps, of 32 a draw at the least. Nobody waits for so
# many seconds who did not ask for them.
NUM_CHAINS, STEPS_OF_CHAINS, LONG = 4, 1_400 * 32, 120
MOST_TIMED, LONG_TIMED = 20, 0.2  # runs of a gradient, and seconds of all of them
LONGEST = 240  # of what a warning or an error may say in the report
MOST_STEPS = 5_000  # of a search of many entries, where `map_estimate` has 500


class Run:
    """The steps of one inference, each with its call and the time that it took."""

    def __init__(
        self, problem: AbstractProblem, keys: list[PRNGKeyArray], progress: bool
    ):
        self.problem, self.keys, self.progress = problem, keys, progress
        self.steps: list[Step] = []
        self.complaints: list[str] = []

    def take_gradients_forwards(self, model: PyTree) -> None:
        """As suits few unknowns, where there is something to take forwards.

        Of more than a few it depends on how wide the solves are by themselves.
        """
        forwards, back = self.problem.in_forward_mode(), self.problem
        if forwards is back:
            return
        why = "few unknowns: gradients are taken forwards"
        if free_means(model).size > FORWARDS_IN_ANY_CASE:
            seconds = [_seconds_of_gradients(way, model) for way in (forwards, back)]
            if seconds[0] > seconds[1]:
                return
            why = f"gradients take {seconds[0] / seconds[1]:.2g} of the time forwards"
        self.problem = self._step(
            "problem = problem.in_forward_mode()", lambda: forwards, lambda found: why
        )

    def search(
        self, model: PyTree, num_starts: int, *, from_model: bool
    ) -> MAPEstimate:
        """The modes that draws of the prior lead to, or the model itself.

        The weights that a network begins with keep its layers in balance; draws of its
        prior often do not.
        """
        prior = self.problem.prior
        starts: dict[str, Any] = {"num_starts": num_starts}
        starts |= {"prior": prior} if isinstance(prior, Prior) else {}
        if not from_model:
            return self._search("mode", model, may_fail=False, **starts)
        given, steps = isinstance(prior, Prior), {"max_steps": MOST_STEPS}
        found = {"own": self._search("own", model, given, num_starts=1, **steps)}
        if given:
            may_fail = found["own"] is not None
            found["drawn"] = self._search("drawn", model, may_fail, **starts, **steps)
        ends = {name: mode for name, mode in found.items() if mode is not None}
        best = max(ends, key=lambda name: float(ends[name].log_density))
        return self._step(
            f"mode = {best}", lambda: ends[best], lambda mode: "the highest mode"
        )

    def _search(self, name: str, model: PyTree, may_fail: bool, **settings: Any) -> Any:
        verb, given = ("map_estimate", map_estimate), ("model", model)
        return self._engine(name, verb, given, 0, _said, may_fail=may_fail, **settings)

    def sample(self, mode: MAPEstimate, method: str) -> AbstractPosterior:
        """By importance sampling, or where that fails by NUTS."""
        start, name = None, "fit"
        if free_means(mode.model).size <= MOST_BY_NUTS:
            start = self._laplace("fit", "problem", "mode", self.problem, mode)
        fitted, doubts = None, []
        if start is None:
            start = fitted = self.variational(mode)
            name, doubts = "posterior", self.complaints
            if method == "auto" and not doubts:
                return start
        # What `diagnose` weighed in vain, in `variational`, is not weighed again.
        if method == "importance" or (method == "auto" and fitted is None):
            weighted = self._draws("importance", importance, (name, start), 1)
            self.complaints = list(self.steps[-1].complaints)
            if weighted is not None:
                start, name = weighted, "posterior"
            if method == "importance" or not self.complaints:
                return start
        minutes = self._minutes_of_chains(mode.model) if method == "auto" else 0
        if minutes > 0:
            if fitted is None:
                fitted = self.variational(mode)
                doubts = self.complaints
            longer = (
                f"Chains of NUTS would take {minutes:.0f} minutes or more: ask for "
                "them by `method='nuts'`."
            )
            self.complaints = [*doubts, longer] if doubts else []
            return fitted
        chains = self._draws("nuts", nuts, (name, start), 2)
        if chains is None:
            self.complaints += self.steps[-1].complaints
            return start
        if self.steps[-1].complaints:
            finer = self._draws("nuts", nuts, ("posterior", chains), 3, **FINER)
            if finer is None:
                self.complaints = [
                    *self.steps[-2].complaints,
                    *self.steps[-1].complaints,
                ]
                return chains
            chains = finer
        self.complaints = list(self.steps[-1].complaints)
        return chains

    def nested(
        self, model: PyTree, num_starts: int | None, method: str
    ) -> AbstractPosterior:
        """Of a population: the effects integrated out, and then importance sampling.

        Where that fails by NUTS, which moves freely in standard deviations alone.
        """
        starts: dict[str, Any] = {}
        if num_starts is not None:
            starts = {"num_starts": num_starts}
        fit = self._engine(
            "fit",
            ("nested_laplace", nested_laplace),
            ("model", model),
            0,
            _said,
            may_fail=False,
            **starts,
        )
        given = ("fit", fit)
        if method != "nuts":
            posterior = self._draws("nested_importance", nested_importance, given, 1)
            self.complaints = list(self.steps[-1].complaints)
            if posterior is not None:
                fit, given = posterior, ("posterior", posterior)
            if method == "importance" or not self.complaints:
                return fit
            if self._minutes_of_chains(model) > 0:
                return fit
        population: Any = self.problem
        names = ", ".join(map(repr, population.effects))
        self.problem = self._step(
            f"problem = bjm.noncentred(problem, {names})",
            lambda: noncentred(population, *population.effects),
            lambda found: "the effects, in standard deviations",
        )
        chains = self._draws("nuts", nuts, given, 2)
        self.complaints += self.steps[-1].complaints if chains is None else []
        if chains is None:
            return fit
        self.complaints = list(self.steps[-1].complaints)
        return chains

    def _minutes_of_chains(self, model: PyTree) -> float:
        """How long they would take; 0 where that is not long."""
        seconds = STEPS_OF_CHAINS * _seconds_of_gradients(self.problem, model)
        return seconds / 60 if seconds > LONG else 0.0

    def _draws(
        self,
        verb: str,
        engine: Callable,
        given: tuple[str, Any],
        place: int,
        **settings: Any,
    ) -> DrawsPosterior | None:
        """By an engine that draws; `None` where it failed."""
        return self._engine(
            "posterior",
            (verb, engine),
            given,
            place,
            lambda found: _said(found.diagnostics),
            lambda found: found.diagnostics.complaints(),
            **settings,
        )

    def variational(self, mode: MAPEstimate) -> JointPosterior:
        """With all correlations, or the strongest of them, from the best mode on."""
        model, posterior = mode.model, None
        size = free_means(model).size
        if size <= FEW_ENTRIES:
            fit = self._laplace("fit", "problem", "mode.model", self.problem, model)
            posterior = None if fit is None else self._train(fit, "fit")
        if posterior is None and size <= MOST_CORRELATED:
            posterior = self._from_tangent(model)
        if posterior is None:
            rank = min(RANK, size)
            start = JointPosterior.low_rank(model, rank, WIDTH)
            name = f"bjm.JointPosterior.low_rank(mode.model, {rank}, {WIDTH})"
            posterior = self._train(start, name, RATE_OF_LOW_RANK, may_fail=False)
        self._engine(
            "diagnosis",
            ("diagnose", diagnose),
            ("posterior", posterior),
            2,
            _judged,
            lambda found: [] if found.trustworthy else [_doubt(found)],
        )
        self.complaints = list(self.steps[-1].complaints)
        return posterior

    def _from_tangent(self, model: PyTree) -> JointPosterior | None:
        """From the curvature of the simulation made linear.

        A network is not linear as far as its posterior is wide. Training that begins
        with draws whose solves fly apart may not find back: a narrower start does.
        """
        tangent = self._step(
            "tangent = problem.linearised(mode.model)",
            lambda: self.problem.linearised(model),
            lambda found: "what is simulated, to first order in the unknowns",
            may_fail=True,
        )
        if tangent is None:
            return None
        about = "tangent", "mode.model", tangent, model
        starts = {
            "fit": self._laplace("fit", *about),
            "start": self._laplace("start", *about, widest=WIDEST),
            "narrow": self._laplace("narrow", *about, widest=NARROW),
        }
        starts = {name: start for name, start in starts.items() if start is not None}
        if not starts:
            return None
        bounds = self._bounds(starts)
        best = max(bounds, key=bounds.__getitem__)
        # A wider start than the best may lead further, and a rate may be too high.
        first = "start" if best == "narrow" and "start" in starts else best
        high = float(f"{min(RATE, RATE_TIMES_SIZE / free_means(model).size):.2g}")
        tries = [(first, high), (best, high), (best, high / 4)]
        for name, rate in dict.fromkeys(tries):
            why = "" if name == best else "; from a wider start, which may lead further"
            posterior = self._train(starts[name], name, rate, why)
            if posterior is None:
                continue
            bound = self._bounds({"posterior": posterior})["posterior"]
            if bound >= bounds[best] - AS_GOOD:
                return posterior
        return self._step(
            f"posterior = {best}",
            lambda: starts[best],
            lambda found: "training found none that is better",
        )

    def _bounds(self, posteriors: dict[str, JointPosterior]) -> dict[str, float]:
        """Their ELBOs, to be compared."""
        return self._step(
            BOUNDS.format(names=", ".join(posteriors)),
            lambda: {
                name: float(_bound(each, self.problem, self.keys[3]))
                for name, each in posteriors.items()
            },
            lambda found: ", ".join(
                f"{value:.6g} of `{name}`" for name, value in found.items()
            ),
        )

    def _train(
        self,
        start: JointPosterior,
        name: str,
        rate: float = RATE,
        why: str = "",
        *,
        may_fail: bool = True,
    ) -> JointPosterior | Any:
        from ..._train import fit  # late, as most never train

        density, of_density = self.problem, "problem"
        if not _goes_back(self.problem, start.model):
            density = ForwardGradient(density)
            of_density = "bjm.ForwardGradient(problem)"
        fitted = self._step(
            VARIATIONAL.format(density=of_density, start=name, rate=rate),
            lambda: fit(
                eqx.Partial(_negative_elbo, density),
                start,
                key=self.keys[1],
                optimiser=optax.adam(optax.cosine_decay_schedule(rate, NUM_STEPS)),
                num_steps=NUM_STEPS,
                progress=self.progress,
            ),
            lambda found: _said(found) + why,
            may_fail=may_fail,
        )
        return None if fitted is None else fitted.model

    def _engine(
        self,
        name: str,
        verb: tuple[str, Callable],
        given: tuple[str, Any],
        place: int,
        say: Callable[[Any], str],
        complain: Callable[[Any], list[str]] = lambda found: [],
        *,
        may_fail: bool = True,
        **settings: Any,
    ) -> Any:
        """Write and run `name = verb(problem, given, key=keys[place], **settings)`."""
        words = ["problem", given[0], f"key=keys[{place}]"]
        for word, value in settings.items():
            words.append(f"{word}={'problem.prior' if word == 'prior' else value}")
        call = f"{name} = bjm.{verb[0]}({', '.join(words)})"
        if len(call) > LINE:
            lines = "".join(f"    {word},\n" for word in words)
            call = f"{name} = bjm.{verb[0]}(\n{lines})"
        key, progress = self.keys[place], self.progress
        return self._step(
            call,
            lambda: verb[1](
                self.problem, given[1], key=key, progress=progress, **settings
            ),
            say,
            complain,
            may_fail=may_fail,
        )

    def _laplace(
        self, name: str, of: str, at: str, density: Callable, mode: Any, **settings: Any
    ) -> Any:
        """A normal fit at the modes, or at one; `None` where there is none."""
        words = [of, at, *(f"{word}={value}" for word, value in settings.items())]
        return self._step(
            f"{name} = bjm.laplace({', '.join(words)})",
            lambda: laplace(density, mode, **settings),
            lambda found: (
                f"{len(found.parts()[1])} normal distribution"
                + ("s, one at each mode" * (len(found.parts()[1]) > 1))
            ),
            may_fail=True,
        )

    def _step(
        self,
        call: str,
        run: Callable[[], Any],
        say: Callable[[Any], str],
        complain: Callable[[Any], list[str]] = lambda found: [],
        *,
        may_fail: bool = False,
    ) -> Any:
        """Run, time and record a step; `None` where it failed and may."""
        begin = time.perf_counter()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                found = run()
            except (AllFailedError, ValueError, NotImplementedError, ImportError) as e:
                if not may_fail:
                    raise
                reason = textwrap.shorten(str(e), LONGEST)
                failure = f"{call.partition('(')[0].split('.')[-1]} failed: {reason}"
                self.steps.append(
                    Step(call, time.perf_counter() - begin, "failed", (failure,))
                )
                return None
        seconds = time.perf_counter() - begin
        jax.block_until_ready(eqx.filter(found, eqx.is_array))
        complaints = tuple(complain(found))
        words = say(found)
        if not complaints and said:
            told = " ".join(str(warning.message) for warning in said)
            words += f"; {textwrap.shorten(told, LONGEST)}"
        self.steps.append(Step(call, seconds, words, complaints))
        return found


def _negative_elbo(
    log_density: Callable, posterior: PyTree, key: PRNGKeyArray
) -> Float[Array, ""]:
    # The noise of the gradient that is left out would keep widths a few percent off.
    bound = elbo(
        posterior,
        log_density,
        prior=None,
        key=key,
        num_samples=NUM_SAMPLES,
        stick_the_landing=True,
    )
    return -bound.value


def _goes_back(problem: AbstractProblem, model: PyTree) -> bool:
    """Whether its gradient can be taken in reverse."""
    try:
        eqx.filter_eval_shape(eqx.filter_grad(problem), model)
    except (TypeError, ValueError):
        return False
    return True


@eqx.filter_jit
def _bound(
    posterior: PyTree, problem: AbstractProblem, key: PRNGKeyArray
) -> Float[Array, ""]:
    """The ELBO, with nothing left out for draws that fail."""
    bound = elbo(posterior, problem, prior=None, key=key, num_samples=NUM_TRIED)
    return jnp.where(bound.num_failed > 0, -jnp.inf, bound.value)


def _said(found: Any) -> str:
    """What a result says of itself, after its name."""
    return f"{found!r}".partition(": ")[2]


def _judged(found: Diagnosis) -> str:
    """What a diagnosis says, unless it rests on too few draws to say anything."""
    if found.ess < FEW_DRAWS:
        return f"cannot tell: its weighted draws are worth {found.ess:.0f}"
    return _said(found)


def _seconds_of_gradients(problem: AbstractProblem, model: PyTree) -> float:
    """Those of the log density at as many points as there are chains, once compiled.

    The least of several runs: what else the machine does can only add to them, and of a
    density that takes less than a thousandth of a second it adds much.
    """
    density = FlatDensity(problem, model)
    points = np.tile(as_float64(density.entries), (NUM_CHAINS, 1))
    values_and_gradients(density, points)
    seconds: list[float] = []
    while len(seconds) < MOST_TIMED and sum(seconds) < LONG_TIMED:
        begin = time.perf_counter()
        values_and_gradients(density, points)
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def _doubt(found: Diagnosis) -> str:
    if found.other_modes:
        return "There is another mode, which the variational fit does not know of."
    if found.verdict == FAULT and found.ess >= FEW_DRAWS:
        return (
            "The means or widths of the variational fit differ from those that "
            "weighted draws show."
        )
    return (
        "Weighted draws cannot tell whether the variational fit is right, as is usual "
        "for networks. What it predicts can be: hold back data, and look at their "
        "`calibration.coverage`. Where there is time, `bjm.nuts(problem, posterior, "
        "key=key)` goes on from it."
    )
