"""Van der Pol: what the example finds, and its density."""

import equinox as eqx
import jax
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.stats import norm

import BayesianJaxModels as bjm

# A few steps of a search end anywhere.
pytestmark = pytest.mark.filterwarnings("ignore:.*search")


@pytest.fixture(scope="module")
def example(run_small):
    return run_small("van_der_pol")


def test_what_it_says_of_the_forecast_is_so(example):
    """What so short a training is worth, by the equation as SciPy solves it."""
    ys = np.asarray(example["prediction"].observables, float)
    assert ys.shape == (60, 100, 2)
    truth = solve_ivp(
        lambda t, y: [y[1], (1 - y[0] ** 2) * y[1] / 2 - y[0]],
        (0, 99 / 7),
        [-1.5, 2.5],
        t_eval=np.arange(100) / 7,
        rtol=1e-9,
        atol=1e-9,
    ).y.T
    np.testing.assert_allclose(example["truth"], truth, atol=1e-5)
    assert 0.2 < (example["data"] - truth[:50]).std() < 0.25
    error = np.mean((ys.mean(axis=0) - truth)[50:] ** 2)
    np.testing.assert_allclose(example["error"], error, rtol=1e-4)
    low, high = np.quantile(ys, (0.05, 0.95), axis=0)
    held = (low <= truth) & (truth <= high)
    shares = held[:50].mean(), held[50:].mean()
    # Beside a band's end an entry may be on either side.
    found = example["seen"], example["ahead"]
    np.testing.assert_allclose(found, shares, atol=0.0101)


def test_members_count_by_their_bounds(example):
    elbos = np.array(example["elbos"])
    weights = np.exp(elbos - elbos.max())
    weights /= weights.sum()
    np.testing.assert_allclose(example["posterior"].weights, weights, atol=1e-5)


def test_density_is_the_models(example):
    """The prior and the normal density of the data, written out again."""
    field = bjm.NeuralVectorField(2, width=16, depth=1, key=jax.random.key(0))
    noise = bjm.make_parameter(np.exp(-1.2), support="positive")
    model = example["Oscillator"](field, bjm.make_parameter([1.0, -0.5]), noise)
    value = eqx.filter_jit(example["problem"])(model)
    scales = {"layers[0].W": 0.3, "layers[0].b": 0.3, "layers[1].W": 3.0}
    expected = norm.logpdf([1.0, -0.5], scale=3.0).sum() + norm.logpdf(-1.2, -1.5, 0.5)
    for name, parameter in bjm.get_parameters(field).items():
        scale = scales.get(name.removeprefix("mlp."), 1.0)
        expected += norm.logpdf(parameter.mean, scale=scale).sum()
    solved = example["problem"].simulate(model).ys
    expected += norm.logpdf(example["data"], solved, np.exp(-1.2)).sum()
    np.testing.assert_allclose(value, expected, rtol=1e-5)
