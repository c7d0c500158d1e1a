"""A training loop."""

import operator
import time
import warnings
from collections.abc import Callable
from inspect import signature
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from .._check import (
    AllFailedError,
    as_float_array,
    check_counts,
    check_key,
    is_array,
    is_float_array,
)
from .._compute import progress_bar
from .._gradient import all_finite
from .._model import (
    AbstractEstimate,
    entropy,
    flatten_means,
    flatten_stdvs,
    sample_all_parameters,
    unfreeze_all,
)
from .._posterior import AbstractPosterior, as_posterior

# Steps of one call of compiled code, at most; fewer where they take long, so that a bar
# moves and a keyboard interrupt is heard.
MOST_STEPS, QUICK = 100, 0.1
# Where so many steps in a row fail, the next will too: nothing moves between them.
FAILING = 100
# Numbers that no step has: what shuffles data, and what `validate` draws with.
SHUFFLE, VALIDATE = 2**32 - 1, 2**32 - 2
ALL_TAKEN, NO_IMPROVEMENT, FAILED = "all steps taken", "no improvement", "steps failed"


class Fit(AbstractEstimate):
    """What `fit` returns; arrays beside the model are of NumPy.

    Attributes:
        model: The whole model as it was after `best_step` steps.
        losses: What the loss was in each step that was taken, before the model moved,
            of shape `(num_steps,)`.
        skipped: Which steps were left out, alike: there loss, gradient or the step
            itself were not finite.
        checks: What each check found, of shape `(c,)`: the value of `validate`, or a
            mean of losses. Empty if nothing was checked.
        check_steps: After how many steps, alike.
        best_step: The step of the best check, or the last if nothing was checked.
        stopped_because: `"all steps taken"`, `"no improvement"`, or `"steps failed"`:
            the last hundred were left out.

    Example:
        ```python
        def loss(model, key):
            return jnp.sum((model - 2.0) ** 2)

        optimiser, key = optax.sgd(0.25), jax.random.key(0)
        found = bjm.train.fit(
            loss, jnp.zeros(3), key=key, optimiser=optimiser, num_steps=3
        )
        found.losses  # [12.00, 3.00, 0.75]
        found.model  # [1.75, 1.75, 1.75]
        found.num_skipped, found.stopped_because  # (0, "all steps taken")
        ```
    """

    model: PyTree
    losses: Float[np.ndarray, " num_steps"]
    skipped: Bool[np.ndarray, " num_steps"]
    checks: Float[np.ndarray, " c"]
    check_steps: Int[np.ndarray, " c"]
    best_step: int = eqx.field(static=True)
    stopped_because: str = eqx.field(static=True)

    def get_parameters(self, verb: str = "get_parameters") -> None:
        """Refuse, so that names are those of the model.

        Raises:
            TypeError: Always.
        """
        raise TypeError("A Fit is the record of a training. Pass its `model`.")

    def flatten_means(self) -> Float[Array, " n"]:
        return flatten_means(self.model)

    def flatten_stdvs(self) -> Float[Array, " n"]:
        return flatten_stdvs(self.model)

    def moments_of_values(self) -> list[tuple[np.ndarray, np.ndarray]]:
        return as_posterior(self.model).moments_of_values()

    def entropy(self) -> Float[Array, ""]:
        return entropy(self.model)

    def draw(self, key: PRNGKeyArray) -> PyTree:
        return sample_all_parameters(self.model, key)

    @property
    def num_steps(self) -> int:
        """How many steps were taken."""
        return len(self.losses)

    @property
    def num_skipped(self) -> int:
        """How many of them were left out."""
        return int(np.sum(self.skipped))

    def __repr__(self) -> str:
        n = max(len(self.losses) // 10, 1)
        first, last = _mean(self.losses[:n]), _mean(self.losses[-n:])
        means = f" (means of {n} steps)" if n > 1 else ""
        words = [
            f"{self.num_steps} steps, {self.stopped_because}",
            f"loss {first:.6g} at first and {last:.6g} at last{means}",
        ]
        if len(self.checks):
            best = np.min(self.checks)
            words.append(f"best check {best:.6g} after {self.best_step} steps")
        if self.num_skipped:
            words.append(f"{self.num_skipped} steps left out, as they were not finite")
        return f"Fit: {'; '.join(words)}"


def fit(
    loss: Callable[..., Float[Array, ""]],
    model: PyTree,
    *,
    key: PRNGKeyArray,
    optimiser: optax.GradientTransformation,
    num_steps: int,
    static: PyTree = None,
    data: PyTree = None,
    batch_size: int | None = None,
    validate: Callable[[Any, PRNGKeyArray], Float[Array, ""]] | None = None,
    check_every: int = 100,
    patience: int | None = None,
    progress: bool = False,
) -> Fit:
    """Minimise a loss, step by step, with an optimiser of optax.

    All float arrays of the model are learnt, `DeterministicParameter`s and plain arrays
    such as a known noise too: only engines take those as known. Freeze what is to stay.
    Of a `JointPosterior` only `joint` has gradients; beside weight decay, freeze its
    `model` and `basis`.

    A step whose loss or gradient is not finite leaves the model and the memory of the
    optimiser as they are. A hundred of them in a row end the training.

    Steps run in compiled code, many to a call. A further call with the same `loss` and
    `optimiser`, not ones made anew, and arrays of the same shapes compiles nothing.
    Runs on the host, not under `jax.jit`.

    Args:
        loss: From the model and a random key to one number, as `-elbo(...).value`; with
            `data`, from the model, a key and a batch.
        model: Any pytree with float arrays: a model, a posterior, or the `dynamic` half
            that a freeze function returned.
        key: A JAX random key, for this alone. Step `i` has `fold_in(key, i)`.
        optimiser: Such as `optax.adam(1e-2)`. One that takes the value of the loss, or
            the loss itself, gets it.
        num_steps: How many steps, at most.
        static: The other half. It stays, and loss and result have the whole model.
        data: A pytree of arrays with a leading axis of data. The loss gets all of them
            in each step, or batches.
        batch_size: How many data a batch has. Each epoch has its own order, and each
            datum is in it once: where one ends within a batch, the next fills it up.
            Scale what is summed over a batch, as `elbo(num_data=, batch_size=)` does.
        validate: From the model and a key, the same at each check, to one number, lower
            where the model is better. `Fit.model` is then the best that was checked.
        check_every: After how many steps there is a check, beside one after the last.
        patience: How many checks in a row may bring nothing better before training
            stops; all steps are taken if `None`. Without `validate` a check is the mean
            of the last `check_every` losses.
        progress: Whether to show steps done and the loss (needs tqdm).

    Returns:
        A `Fit`.

    Raises:
        TypeError: If an argument is not as above, or is swapped with another.
        ValueError: If a number is too small, sizes do not fit, nothing is left to
            learn, or the loss is no single number.
        AllFailedError: If no step was finite, of the first hundred or of all.
        RuntimeError: If it is traced.
        ImportError: If tqdm is missing where `progress` asks for it.

    Warns:
        UserWarning: If steps were left out, or no check was finite.

    Example:
        ```python
        x = jnp.linspace(0.0, 1.0, 100)
        prior = bjm.Prior(default=bjm.priors.Normal(0.0, 1.0))

        def loss(slope, key, batch):
            x, y = batch

            def log_likelihood(drawn):
                return bjm.likelihoods.NormalLikelihood(0.1).log_prob(drawn.mean * x, y)

            draws = {"key": key, "num_samples": 8}
            sizes = {"num_data": 100, "batch_size": 20}
            return -bjm.elbo(slope, log_likelihood, prior=prior, **draws, **sizes).value

        found = bjm.train.fit(
            loss,
            bjm.make_parameter(0.0, stdv=0.1),
            key=jax.random.key(0),
            optimiser=optax.adam(0.03),
            num_steps=500,
            data=(x, 2 * x),
            batch_size=20,
        )
        found.model.mean  # 2.0
        ```
    """
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves((model, key, data))):
        raise RuntimeError(
            "`fit` runs on the host and cannot be traced. To train under `jax.jit` or "
            "`jax.vmap`, write the loop yourself, in `jax.lax.scan`."
        )
    _check_learner(loss, model, optimiser)
    check_key(key)
    counts = {"num_steps": num_steps, "check_every": check_every}
    _check_numbers(**counts, batch_size=batch_size, patience=patience)
    whole = model if static is None else unfreeze_all(model, static)
    learnt, rest = eqx.partition(model, is_float_array)
    rest = rest if static is None else unfreeze_all(rest, static)
    num_data, data = _read_data(data, batch_size)
    _check_calls("loss", loss, whole, key, *([] if data is None else [data]))
    if validate is not None:
        _check_calls("validate", validate, whole, key)
    if batch_size == num_data:
        batch_size = None  # all of them, in whatever order
    learnt = jax.tree.map(as_float_array, learnt)
    with jax.numpy_dtype_promotion("standard"):
        memory = jax.tree.map(_strong, optimiser.init(learnt))
    task = _Task(loss, optimiser, rest, key, data, batch_size)
    orders = None if batch_size is None else _first_orders(task)

    is_checked = validate is not None or patience is not None
    losses = np.zeros(num_steps, jnp.zeros(()).dtype)
    skipped = np.zeros(num_steps, bool)
    checks, check_steps, best = [], [], (np.inf, 0, learnt)
    step, pace, reason = 0, 1, ALL_TAKEN
    with progress_bar(num_steps, "steps" if progress else None) as advance:
        while step < num_steps and reason == ALL_TAKEN:
            stop = num_steps
            if is_checked:
                stop = min(stop, (step // check_every + 1) * check_every)
            count = min(pace, stop - step)
            place = _Place.of(step, count, num_data, batch_size)
            begun = time.perf_counter()
            learnt, memory, orders, *found = _take_steps(
                task, learnt, memory, orders, place
            )
            run = slice(step, step + count)
            losses[run], skipped[run] = (np.asarray(array)[:count] for array in found)
            pace = _next_pace(pace, count, time.perf_counter() - begun)
            step += count
            advance(count, loss=f"{_mean(losses[run]):.5g}")
            if step >= FAILING and skipped[step - FAILING : step].all():
                reason = FAILED
                break
            if not is_checked or step < stop:
                continue
            value = _mean(losses[max(step - check_every, 0) : step])
            if validate is not None:
                value = float(_judge(validate, learnt, rest, key))
            checks.append(value if np.isfinite(value) else np.inf)
            check_steps.append(step)
            if checks[-1] < best[0]:
                best = checks[-1], step, learnt
            since = sum(at > best[1] for at in check_steps)
            if patience is not None and since >= patience and step < num_steps:
                reason = NO_IMPROVEMENT
    losses, skipped = losses[:step], skipped[:step]
    if skipped.all():
        what = "its gradient" if np.isfinite(losses).all() else "the loss"
        raise AllFailedError(
            f"All of the first {step} steps failed: {what} was not finite. Evaluate "
            "`jax.value_and_grad(loss)` at the model, with `jax.config.update("
            "'jax_debug_nans', True)`, to see where it comes from."
        )
    _warn_of_skipped(skipped, losses)
    if not np.isfinite(best[0]):
        best = np.inf, step, learnt
        if checks:
            warnings.warn(
                f"None of {len(checks)} checks was finite, so that the model is that "
                "of the last step.",
                stacklevel=2,
            )
    return Fit(
        model=eqx.combine(best[2], rest),
        losses=losses,
        skipped=skipped,
        checks=np.array(checks, float),
        check_steps=np.array(check_steps, int),
        best_step=best[1],
        stopped_because=reason,
    )


class _Task(eqx.Module):
    """What stays the same in all steps."""

    loss: Callable
    optimiser: optax.GradientTransformation
    rest: PyTree
    key: PRNGKeyArray
    data: PyTree
    batch_size: int | None = eqx.field(static=True)


class _Place(eqx.Module):
    """Where a run of steps begins, and how many there are."""

    step: Array
    count: Array
    epoch: Array
    offset: Array  # how many data of the epoch are used up

    @classmethod
    def of(
        cls, step: int, count: int, num_data: int | None, batch_size: int | None
    ) -> "_Place":
        epoch, offset = 0, 0
        if num_data is not None and batch_size is not None:
            epoch, offset = divmod(step * batch_size, num_data)
        numbers = (step, count, epoch, offset)
        return cls(*(jnp.asarray(number, jnp.int32) for number in numbers))


@eqx.filter_jit
def _first_orders(task: _Task) -> Int[Array, " m"]:
    """The orders of the first two epochs, one after the other."""
    return jnp.concatenate([_order_of(task, 0), _order_of(task, 1)])


def _order_of(task: _Task, epoch: Any) -> Int[Array, " n"]:
    key = jax.random.fold_in(jax.random.fold_in(task.key, SHUFFLE), epoch)
    size = jax.tree.leaves(task.data)[0].shape[0]
    return jax.random.permutation(key, size).astype(jnp.int32)


@eqx.filter_jit
def _take_steps(
    task: _Task, learnt: PyTree, memory: PyTree, orders: Array | None, place: _Place
) -> tuple[PyTree, PyTree, Array | None, Array, Array]:
    """Up to `MOST_STEPS` steps; what was learnt, and loss and failure of each."""
    carry = learnt, memory, jnp.zeros(MOST_STEPS), jnp.zeros(MOST_STEPS, bool)
    count, batch_size = place.count, task.batch_size

    if orders is None or batch_size is None:
        batch = () if task.data is None else (task.data,)

        def advance_all(n, carry):
            return _take_step(task, place.step + n, n, carry, batch)

        carry = lax.fori_loop(0, count, advance_all, carry)
        learnt, memory, losses, skipped = carry
        return learnt, memory, orders, losses, skipped

    size = orders.size // 2

    def take_epoch(state):
        n, epoch, offset, orders, carry = state

        def goes_on(state):
            n, offset, _ = state
            return (n < count) & (offset < size)

        def advance(state):
            n, offset, carry = state
            index = lax.dynamic_slice(orders, (offset,), (batch_size,))
            batch = jax.tree.map(lambda leaf: leaf[index], task.data)
            carry = _take_step(task, place.step + n, n, carry, (batch,))
            return n + 1, offset + batch_size, carry

        def turn():
            return jnp.concatenate([orders[size:], _order_of(task, epoch + 2)])

        n, offset, carry = lax.while_loop(goes_on, advance, (n, offset, carry))
        is_over = offset >= size
        # Not in each call: of many data, an order takes longer than a step.
        orders = lax.cond(is_over, turn, lambda: orders)
        epoch = epoch + is_over.astype(epoch.dtype)
        return n, epoch, jnp.where(is_over, offset - size, offset), orders, carry

    start = jnp.zeros((), jnp.int32), place.epoch, place.offset, orders, carry
    *_, orders, carry = lax.while_loop(lambda s: s[0] < count, take_epoch, start)
    learnt, memory, losses, skipped = carry
    return learnt, memory, orders, losses, skipped


def _take_step(
    task: _Task, step: Array, n: Array, carry: tuple, batch: tuple
) -> tuple[PyTree, PyTree, Array, Array]:
    """One step, or none where it would not be finite."""
    learnt, memory, losses, skipped = carry
    key = jax.random.fold_in(task.key, step)

    def objective(learnt):
        value = task.loss(eqx.combine(learnt, task.rest), key, *batch)
        return _as_number("loss", value)

    value, slope = jax.value_and_grad(objective)(learnt)
    update = optax.with_extra_args_support(task.optimiser).update
    # What optimisers are written for.
    with jax.numpy_dtype_promotion("standard"):
        extra = {"value": value, "grad": slope, "value_fn": objective}
        updates, remembered = update(slope, memory, learnt, **extra)
        moved: Any = optax.apply_updates(learnt, updates)
    is_good = jnp.isfinite(value) & all_finite(slope) & all_finite(moved)
    # The square of a slope may overflow, and would stay.
    is_good &= all_finite(jax.tree.map(_unless_it_was, remembered, memory))

    def choose(new, old):
        return jnp.where(is_good, new, old)

    learnt = jax.tree.map(choose, moved, learnt)
    memory = jax.tree.map(choose, remembered, memory)
    losses = losses.at[n].set(value.astype(losses.dtype))
    return learnt, memory, losses, skipped.at[n].set(~is_good)


@eqx.filter_jit
def _judge(
    validate: Callable, learnt: PyTree, rest: PyTree, key: PRNGKeyArray
) -> Float[Array, ""]:
    """What `validate` says of the model."""
    key = jax.random.fold_in(key, VALIDATE)
    return _as_number("validate", validate(eqx.combine(learnt, rest), key))


def _unless_it_was(new: Any, old: Any) -> Any:
    """The numbers in `new` where those in `old` are finite."""
    if not is_float_array(new):
        return None
    return jnp.where(jnp.isfinite(old), new, 0)


def _next_pace(pace: int, count: int, seconds: float) -> int:
    """How many steps the next call takes, if this one took so many and so long."""
    if seconds < QUICK and count == pace:
        return min(4 * pace, MOST_STEPS)
    return max(pace // 2, 1) if seconds > 4 * QUICK else pace


def _strong(leaf: Any) -> Array:
    """As an array whose type is its own, so that no second one is compiled for."""
    array = jnp.asarray(leaf)
    return (
        jnp.asarray(array, array.dtype) if getattr(array, "weak_type", False) else array
    )


def _mean(values: Float[np.ndarray, " n"]) -> float:
    """That of the finite ones."""
    finite = values[np.isfinite(values)]
    return float(np.mean(finite, dtype=np.float64)) if len(finite) else np.nan


def _as_number(name: str, value: Any) -> Float[Array, ""]:
    came = f"a {type(value).__name__}"
    if is_array(value) or isinstance(value, float):
        value = jnp.asarray(value)
        if value.shape == () and is_float_array(value):
            return value
        came = f"shape {value.shape} and dtype {value.dtype}"
    raise ValueError(
        f"`{name}` must return one real number, but returned {came}. Sum or average "
        "over data and draws, and return nothing beside it."
    )


def _check_learner(loss: Any, model: Any, optimiser: Any) -> None:
    """Hold what learns to what it must be.

    Raises:
        TypeError: If arguments are swapped or of another kind.
        ValueError: If nothing is left to learn.
    """

    def is_empty(tree):
        return not any(map(is_float_array, jax.tree.leaves(tree)))

    kind = type(model).__name__
    if is_empty(model) and callable(model) and not is_empty(loss):
        raise TypeError(
            f"`loss` and `model` seem to be swapped: the first is a "
            f"{type(loss).__name__}, and the second, a {kind}, has no float arrays. "
            "Pass the loss first and the model second."
        )
    if not callable(loss):
        raise TypeError(
            "`loss` must be a function of a model and a key, but is a "
            f"{type(loss).__name__}."
        )
    is_posterior = isinstance(model, AbstractPosterior)
    if isinstance(model, AbstractEstimate) and not is_posterior:
        raise TypeError(
            f"`model` is a {kind}, which is no model itself. Pass its `model`."
        )
    if is_empty(model):
        raise ValueError(
            f"`model` is a {kind} without float arrays, so that there is nothing to "
            "learn. Freeze less of it, or give its numbers as float arrays."
        )
    if not isinstance(optimiser, optax.GradientTransformation):
        raise TypeError(
            "`optimiser` must be an optimiser of optax, such as `optax.adam(1e-2)`, "
            f"but is a {type(optimiser).__name__}."
        )


def _check_numbers(**counts: Any) -> None:
    for name, count in counts.items():
        try:
            operator.index(0 if count is None else count)
        except TypeError as error:
            raise TypeError(
                f"`{name}` must be a whole number, but got {count!r}."
            ) from error
    check_counts(**counts)


def _check_calls(name: str, fn: Any, *given: Any) -> None:
    """Refuse a function that cannot be called with what it will be given."""
    try:
        signature(fn).bind(*given)
    except TypeError as error:
        words = ", ".join(["model", "key", "batch"][: len(given)])
        raise TypeError(
            f"`{name}` is called as `{name}({words})`"
            + (", as `data` is given" if len(given) > 2 else "")
            + f", but that does not fit it: {error}."
        ) from error
    except ValueError:  # what is compiled need not say what it takes
        return


def _read_data(data: PyTree, batch_size: int | None) -> tuple[int | None, PyTree]:
    """How many data there are, and they as arrays of JAX."""
    if data is None:
        if batch_size is not None:
            raise ValueError(
                f"`batch_size` is {batch_size}, but there is no `data` to take batches "
                "of. Pass them as `data=`; the loss then has a third argument."
            )
        return None, None
    leaves = jax.tree_util.tree_flatten_with_path(data)[0]
    lengths = {}
    for path, leaf in leaves:
        name = f"data{jax.tree_util.keystr(path)}"
        if not is_array(leaf) or leaf.ndim == 0:
            came = f"shape {leaf.shape}" if is_array(leaf) else repr(leaf)
            raise TypeError(
                "`data` must be a pytree of arrays with a leading axis of data, but "
                f"`{name}` is {came}. Make arrays of lists, and bind what is the same "
                "for all data to the loss."
            )
        lengths[name] = leaf.shape[0]
    if len({*lengths.values()}) != 1 or 0 in lengths.values():
        raise ValueError(
            "`data` must have arrays that share a leading axis of at least one datum, "
            f"but the lengths are {lengths}."
        )
    [num_data] = {*lengths.values()}
    if batch_size is not None and batch_size > num_data:
        raise ValueError(
            f"`batch_size` must be at most the number of data, {num_data}, but got "
            f"{batch_size}. Leave it out to use all of them in each step."
        )
    return num_data, jax.tree.map(jnp.asarray, data)


def _warn_of_skipped(
    skipped: Bool[np.ndarray, " n"], losses: Float[np.ndarray, " n"]
) -> None:
    if not skipped.any():
        return
    last = int(np.argmin(skipped[::-1]))
    in_a_row = f", the last {last} in a row," if last > 1 else ","
    num_losses = int(np.sum(~np.isfinite(losses)))
    warnings.warn(
        f"{np.sum(skipped)} of {len(skipped)} steps were left out{in_a_row} as loss "
        f"or gradient were not finite (the loss in {num_losses} of them). Where these "
        "are many, take a smaller step size or a better start.",
        stacklevel=3,
    )
