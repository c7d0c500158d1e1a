"""What is observed of a simulation."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

import BayesianJaxModels as bjm
from BayesianJaxModels import likelihoods

TS = np.array([0.5, 1.0, 2.0])


class State(NamedTuple):
    prey: jax.Array
    predator: jax.Array


def vector(drawn):
    return jnp.stack([drawn.value * TS, 2 * drawn.value * TS], axis=-1)


def named(drawn):
    return State(drawn.value * TS, 2 * drawn.value * TS)


def keyed(drawn):
    return {"prey": drawn.value * TS, "predator": 2 * drawn.value * TS}


@pytest.mark.parametrize(
    ("simulate", "observe", "wanted"),
    [
        (vector, 1, 2 * TS),
        (vector, -2, TS),
        (vector, (1, 0), np.stack([2 * TS, TS], -1)),
        (vector, None, np.stack([TS, 2 * TS], -1)),
        (named, "predator", 2 * TS),
        (named, ("predator", "prey"), np.stack([2 * TS, TS], -1)),
        (keyed, "prey", TS),
        (keyed, lambda states, m: states["prey"] / m.value, TS / 1.5),
    ],
    ids=lambda argument: None,
)
def test_what_is_observed(simulate, observe, wanted):
    model = bjm.make_parameter(1.5)
    noise = likelihoods.NormalLikelihood(0.2)
    problem = bjm.Problem(
        simulate, noise, 1.0 + 0 * wanted, prior=None, observe=observe
    )
    seen = problem.outcome(model).observables
    np.testing.assert_allclose(seen, 1.5 * wanted, rtol=1e-6)
    by_hand = scipy.stats.norm.logpdf(1.0, 1.5 * wanted, 0.2).sum()
    assert problem(model) == pytest.approx(by_hand, rel=1e-5)


@pytest.mark.parametrize(
    ("observe", "words"),
    [
        (
            "pray",
            r"names 'pray', but the states have no part.*Near matches: \['prey",
        ),
        (None, "Say with `observe` what of it is observed"),
    ],
)
def test_a_part_that_is_not_there_is_named(observe, words):
    noise = likelihoods.NormalLikelihood(0.2)
    for simulate in (named, keyed):
        problem = bjm.Problem(simulate, noise, 1.0 + TS, prior=None, observe=observe)
        with pytest.raises((TypeError, ValueError), match=words):
            problem(bjm.make_parameter(1.5))
