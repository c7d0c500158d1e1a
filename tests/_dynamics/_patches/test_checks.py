"""Solves without the checks of diffrax that call the host."""

import diffrax
import jax.numpy as jnp
import numpy as np

from BayesianJaxModels._dynamics._patches.checks import KnownSteps, diffeqsolve
from tests.programs import calls_of_the_host

from ..cases import decay


def solved(solve, controller, rate, dt0=None):
    return solve(
        diffrax.ODETerm(decay),
        diffrax.Tsit5(),
        0.0,
        1.0,
        dt0,
        1.0,
        args=rate,
        saveat=diffrax.SaveAt(ts=jnp.array([0.5, 1.0])),
        stepsize_controller=controller,
        throw=False,
    ).ys


def test_no_checks_are_left_and_the_numbers_stay():
    steps = jnp.array([0.0, 0.2, 1.0])
    for theirs, ours, dt0 in (
        (diffrax.ConstantStepSize(), diffrax.ConstantStepSize(), 0.1),
        (diffrax.StepTo(steps), KnownSteps(steps), None),
    ):
        rate = jnp.array(2.0)
        # Where this fails, the patch can go.
        assert calls_of_the_host(
            lambda rate: solved(diffrax.diffeqsolve, theirs, rate, dt0),  # noqa: B023
            rate,
        )
        assert not calls_of_the_host(
            lambda rate: solved(diffeqsolve, ours, rate, dt0),  # noqa: B023
            rate,
        )
        np.testing.assert_array_equal(
            solved(diffeqsolve, ours, rate, dt0),
            solved(diffrax.diffeqsolve, theirs, rate, dt0),
        )
