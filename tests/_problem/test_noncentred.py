"""Problems in standard deviations from their prior."""

import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels import likelihoods, priors
from BayesianJaxModels._problem.noncentred import StandardNormal


class Schools(bjm.Module):
    """Effects around a mean, and rates around a median."""

    mean: bjm.AbstractParameter
    between: bjm.AbstractParameter
    effects: bjm.AbstractParameter
    rates: bjm.AbstractParameter


MODEL = Schools(
    mean=bjm.make_parameter(1.0),
    between=bjm.make_parameter(2.0, support="positive"),
    effects=bjm.make_parameter([1.0, 1.0, 3.0]),
    rates=bjm.make_parameter([0.5, 2.0], support="positive"),
)
DATA = np.array([28.0, 8.0, -3.0])


def problem(**changes):
    width = priors.HalfNormal(5.0)
    rules = {
        "between": width,
        "effects": priors.Normal(lambda m: m.mean.value, lambda m: m.between.value),
        "rates": priors.LogNormal(0.0, lambda m: m.between.value),
    }
    prior = bjm.Prior(rules | changes, default=priors.Normal(0.0, 5.0))
    return bjm.Problem(
        lambda m: m.effects.value * jnp.sum(m.rates.value),
        likelihoods.NormalLikelihood(10.0),
        DATA,
        prior=prior,
    )


def test_there_and_back():
    counted = bjm.noncentred(problem(), "effects", "rates")
    moved = counted.coordinates(MODEL)
    assert np.allclose(moved.effects.mean, [0, 0, 1])
    assert np.allclose(moved.rates.mean, np.log([0.5, 2.0]) / 2, atol=1e-6)
    back = counted.natural(moved)
    assert np.allclose(back.effects.mean, MODEL.effects.mean)
    assert np.allclose(back.rates.mean, MODEL.rates.mean, atol=1e-6)


def test_the_density_has_the_jacobian():
    whole = problem()
    for names, slopes in ((["effects"], 3), (["effects", "rates"], 5)):
        counted = bjm.noncentred(whole, *names)
        found = counted(counted.coordinates(MODEL)) - whole(MODEL)
        assert np.allclose(found, slopes * np.log(2.0), atol=1e-4)
        assert not counted.mode_is_worthless or "rates" not in names


def test_parts_are_those_of_the_problem(key):
    whole = problem()
    counted = bjm.noncentred(whole, "effects")
    moved = counted.coordinates(MODEL)
    assert np.allclose(counted.pointwise(moved), whole.pointwise(MODEL), rtol=1e-5)
    assert counted.observations is whole.observations
    assert counted.ts is None
    assert counted.counted is None
    assert counted.in_forward_mode().names == ("effects",)
    counted.check(moved)
    drawn = bjm.sample_prior(MODEL, counted.prior, key)
    assert drawn.effects.mean.shape == (3,)
    values = jnp.array([0.0, 1.0])
    assert np.allclose(StandardNormal().log_density(values), [-0.9189, -1.4189], 1e-4)


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(
        TypeError, match="`problem` must be a `Problem` or `Population`"
    ):
        bjm.noncentred(lambda drawn: 0.0, "effects")
    with pytest.raises(ValueError, match="Name at least one parameter"):
        bjm.noncentred(problem())
    counted = bjm.noncentred(problem(), "between")
    with pytest.raises(
        NotImplementedError, match="HalfNormal cannot be counted in sta"
    ):
        counted.natural(MODEL)
    with pytest.raises(ValueError, match="no parameter of that name"):
        bjm.noncentred(problem(), "efects")(MODEL)
