"""The first two arguments of every engine."""

import numpy as np
import pytest
from jax.random import key

import BayesianJaxModels as bjm
from BayesianJaxModels._infer.arguments import check_engine_arguments, check_order
from tests._infer._nuts.cases import GAUSSIAN, D, start, target


def test_other_arguments_are_refused_by_name():
    density, model = target(GAUSSIAN), start()
    arrays = np.zeros(1), np.zeros((1, D)), np.zeros(1, bool), np.ones(1, bool)
    rest = {"outcomes": ("converged",), "noise": np.zeros(1)}
    rest |= {"num_redrawn": 0, "modes": ()}
    mode = bjm.MAPEstimate(model, np.zeros(()), *arrays, **rest)
    joint = bjm.JointPosterior.full(model, 1.0)
    for arguments, message in (
        (
            (density, mode),
            r"`start` is a MAPEstimate.*laplace\(log_density, mode\)",
        ),
        ((model, density), "swapped: the first is a Model, .* a Target, has no"),
        ((joint, density), "swapped: the first is a JointPosterior"),
        ((mode, density), "swapped: the first is a MAPEstimate"),
        ((joint, joint), "`log_density` must be a function .* is a JointPosterior"),
        ((density, density), "`start` must be a model .* is a Target"),
        ((density, None), "`start` must be a model .* is a NoneType"),
    ):
        with pytest.raises(TypeError, match=message):
            check_engine_arguments(*arguments)
    with pytest.raises(TypeError, match="`start` is a MAPEstimate"):
        bjm.nuts(density, mode, key=key(0))


def test_what_an_engine_can_take_passes():
    model = start()
    joint = bjm.JointPosterior.full(model, 1.0)
    for given in (model, [model], joint, bjm.MixturePosterior([model, joint])):
        check_engine_arguments(lambda drawn: 0.0, given)
    # A model that can be called may be the log density.
    check_engine_arguments(bjm.ForwardGradient(lambda drawn: 0.0), model)


def test_the_second_argument_is_called_what_the_engine_calls_it():
    for wrong, message in (
        (None, "`posterior` must be a model with parameters .* is a NoneType and has"),
        (np.ones(3), "`posterior` must be a model with .* is a ndarray and has no par"),
    ):
        with pytest.raises(TypeError, match=message):
            check_engine_arguments(lambda drawn: 0.0, wrong, "posterior")
    with pytest.raises(TypeError, match="`log_density` and `posterior` seem to be sw"):
        check_engine_arguments(start(), target(GAUSSIAN), "posterior")
    with pytest.raises(TypeError, match="to one number, but is a float"):
        check_engine_arguments(1.0, start())


def test_a_posterior_is_no_place_to_search_from():
    density, joint = target(GAUSSIAN), bjm.JointPosterior.full(start(), 1.0)
    for verb, rest in ((bjm.laplace, {}), (bjm.map_estimate, {"key": key(0)})):
        with pytest.raises(TypeError, match="`model` must be .* is a JointPosterior"):
            verb(density, joint, **rest)


def test_the_elbo_knows_its_order():
    # Called directly, as the annotations are checked in tests.
    with pytest.raises(TypeError, match="`posterior` and `log_likelihood` seem to be"):
        check_order(target(GAUSSIAN), start())
    with pytest.raises(TypeError, match="`log_likelihood` must be a function"):
        check_order(start(), 1.0)
