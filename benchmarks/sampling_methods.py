"""The baseline and our driver of `sampling_cost.py`.

The baseline is frozen: a key and a `jax.random.normal` for each parameter, the vector
field written out, and diffrax called under one `vmap` over all draws.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import random
from sampling_cases import (
    MAX_STEPS,
    arrays_of,
    hand_draw,
    make_field,
    means_of,
    means_of_pairs,
    solve,
)

import BayesianJaxModels as bjm

BASELINE, DRIVER = "jit(vmap)", "posterior_trajectories"
# The baseline in batches, which is one word more.
BATCH_SIZE = 50
BATCHED = f"lax.map(batch_size={BATCH_SIZE})"
PURE = "jit(map_posterior_pure)"
SHARED_STEPS = {"integrate, shared steps": True, "integrate, own steps": False}
NUM_CHECKED = 100


class Method(NamedTuple):
    """One way to solve a case.

    Attributes:
        run: From a seed to `(values, steps)`, waited for. The values are the
            trajectories, in training the gradient with respect to every mean.
        weights: From a seed to the weights that `run` solves with, the first draws.
        compiles: Whether the first run takes longer because it compiles.
    """

    run: Callable[[int], tuple[list, Any]]
    weights: Callable[[int], list]
    compiles: bool = True


def weights_of_baseline(case, field, seed):
    """The first draws of the baseline."""
    keys = random.split(random.key(seed), case.num_draws)[:NUM_CHECKED]
    return jax.jit(jax.vmap(hand_draw, (None, 0)))(arrays_of(field), keys)


def weights_of_driver(case, field, seed, most=NUM_CHECKED):
    """The first draws of our driver."""
    num_samples = min(case.num_draws, most)
    key = random.key(seed)
    return bjm.map_posterior(means_of, field, key=key, num_samples=num_samples)


def driver_of(case, field):
    """Our driver with its defaults, as a function of a seed."""
    y0, ts, settings = case.y0, case.ts, case.settings

    def run(seed):
        trajectory = bjm.posterior_trajectories(
            field,
            y0,
            ts,
            key=random.key(seed),
            num_samples=case.num_draws,
            max_steps=MAX_STEPS,
            **settings,
        )
        return jax.block_until_ready(([trajectory.ys], trajectory.num_steps))

    return run


def pure_of(case, field):
    """All draws in one compiled call, as a function of a seed."""

    def one(drawn):
        return bjm.integrate(
            drawn, case.y0, case.ts, max_steps=MAX_STEPS, **case.settings
        )

    @jax.jit
    def all_draws(field, key):
        return bjm.map_posterior_pure(one, field, key=key, num_samples=case.num_draws)

    def run(seed):
        trajectory = all_draws(field, random.key(seed))
        return jax.block_until_ready(([trajectory.ys], trajectory.num_steps))

    return run


def sampling_methods(case):
    """The baselines and our driver; on a GPU its twin, which never leaves it."""
    field, settings, y0 = make_field(case), case.settings, case.y0
    arrays = arrays_of(field)

    def over_all(mapped):
        @jax.jit
        def solve_all(arrays, key):
            keys = random.split(key, case.num_draws)
            return mapped(
                lambda key: solve(case, hand_draw(arrays, key), y0, settings), keys
            )

        def run(seed):
            ys, steps = jax.block_until_ready(solve_all(arrays, random.key(seed)))
            return [ys], steps

        return Method(run, partial(weights_of_baseline, case, field))

    ours = partial(weights_of_driver, case, field)
    baseline = {BASELINE: over_all(lambda one, keys: jax.vmap(one)(keys))}
    driver = {DRIVER: Method(driver_of(case, field), ours)}
    if jax.default_backend() != "cpu":
        return baseline | driver | {PURE: Method(pure_of(case, field), ours)}
    # A batch of 50 leaves a GPU idle, and 2,000 in turn would take minutes there.
    batched = {BATCHED: over_all(partial(jax.lax.map, batch_size=BATCH_SIZE))}
    return baseline | batched | driver


def training_methods(case):
    """Value and gradient of a loss over 8 draws and 32 initial states."""
    field, settings, y0, ts = make_field(case), case.settings, case.y0, case.ts
    arrays = arrays_of(field)

    def each_state_alone(arrays, key):
        def one(key):
            values = hand_draw(arrays, key)
            return jax.vmap(lambda start: solve(case, values, start, settings))(y0)

        ys, steps = jax.vmap(one)(random.split(key, case.num_draws))
        return jnp.mean(ys**2), steps

    def with_integrate(shared_steps):
        def one(drawn):
            return bjm.integrate(
                drawn,
                y0,
                ts,
                batched=True,
                shared_steps=shared_steps,
                max_steps=64,
                **settings,
            )

        def loss(field, key):
            draws = bjm.map_posterior_pure(
                one, field, key=key, num_samples=case.num_draws
            )
            return jnp.mean(draws.ys**2), draws.num_steps

        return loss

    def method(loss, inputs, means, weights):
        value_and_grad = jax.jit(jax.value_and_grad(loss, has_aux=True))

        def run(seed):
            result = value_and_grad(inputs, random.key(seed))
            (_, steps), gradient = jax.block_until_ready(result)
            return means(gradient), steps

        return Method(run, weights)

    by_hand, ours = (
        partial(weights, case, field)
        for weights in (weights_of_baseline, weights_of_driver)
    )
    methods = {BASELINE: method(each_state_alone, arrays, means_of_pairs, by_hand)}
    for name, shared in SHARED_STEPS.items():
        methods[name] = method(with_integrate(shared), field, means_of, ours)
    return methods
