import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib import pyplot

import BayesianJaxModels as bjm
from BayesianJaxModels import plot
from BayesianJaxModels._predict.prediction import Prediction
from tests.plot.cases import labels_of, line

TS = np.array([1.0, 2.0, 4.0])
LONE = bjm.Problem(
    lambda rate: rate.value * jnp.ones(3),
    bjm.likelihoods.NormalLikelihood(0.1),
    np.array([1.0, 2.0, 3.0]),
    prior=None,
)


def make(**settings):
    """Draws of two components, and the same with noise; the third failed."""
    rng = np.random.default_rng(0)
    plain = rng.normal(size=(40, 3, 2))
    plain[2] = np.nan
    noisy = plain + rng.normal(size=plain.shape)
    data = np.array([[0.0, 1.0], [np.nan, 0.5], [2.0, -1.0]])
    settings = {"observed": data, "mask": ~np.isnan(data), "ts": TS} | settings
    return Prediction(plain, jnp.asarray(plain), jnp.asarray(noisy), None, **settings)


def ends(axes, label):
    [band] = [shape for shape in axes.collections if shape.get_label() == label]
    edges = band.get_paths()[0].vertices[:, 1]
    return edges.min(), edges.max()


def test_bands_with_noise_and_without_and_the_data_that_count():
    found = make()
    both = plot.prediction(found, forecast_from=2.0, labels=["hare", "lynx"])
    assert [axes.get_ylabel() for axes in both] == ["hare", "lynx"]
    good = np.arange(40) != 2
    for i, axes in enumerate(both):
        assert sorted(labels_of(axes)) == sorted(
            ["forecast", "90 % with noise", "90 %", "median", "data"]
        )
        for label, draws in (
            ("90 % with noise", found.observations),
            ("90 %", found.observables),
        ):
            low, high = np.quantile(draws[good, :, i], [0.05, 0.95], axis=0)
            np.testing.assert_allclose(ends(axes, label), [low.min(), high.max()])
        median = np.median(found.observables[good, :, i], axis=0)
        np.testing.assert_allclose(line(axes, "median"), np.stack([TS, median], 1))
        shown = np.column_stack([TS, found.observed[:, i]])[found.mask[:, i]]
        np.testing.assert_allclose(line(axes, "data"), shown)
    assert both[0].get_legend().get_title().get_text() == "40 draws, 1 failed"
    assert both[-1].get_xlabel() == "time"
    both[0].figure.canvas.draw()


def test_times_of_a_simulation_that_has_none():
    both = plot.prediction(make(ts=None), ts=TS)
    np.testing.assert_array_equal(line(both[0], "median")[:, 0], TS)
    with pytest.raises(ValueError, match=r"`ts` has shape \(2,\).*\(3,\)"):
        plot.prediction(make(ts=None), ts=[1.0, 2.0])
    with pytest.raises(ValueError, match="these predictions have some"):
        plot.prediction(make(), ts=TS)


def test_one_of_a_batch():
    """Two series of other lengths, at times of their own."""
    ts = np.array([[1.0, 2.0, 4.0], [0.5, 1.0, 9.0]])
    mask = np.array([[True, True, True], [True, True, False]])
    data = np.array([[50.0, 30.0, 10.0], [70.0, 40.0, np.nan]])
    problem = bjm.Problem(
        bjm.Solve(
            ts,
            t0=0.0,
            y0=np.array([80.0, 90.0]),
            batched=True,
            mask=mask,
            vector_field=lambda rate: lambda t, y, args: -rate.value * y,
        ),
        bjm.likelihoods.LogNormalLikelihood(0.1),
        data,
        mask=mask,
        prior=None,
    )
    rate = bjm.make_parameter(0.5, stdv=0.1, support="positive")
    found = bjm.predict(problem, rate, key=jax.random.key(0), num_samples=20)
    [axes] = plot.prediction(found, entry=1)
    np.testing.assert_allclose(line(axes, "data"), [[0.5, 70], [1, 40]])
    median = np.median(found.observables[:, 1], axis=0)
    shown = line(axes, "median")
    np.testing.assert_allclose(shown[:2], np.stack([ts[1], median], 1)[:2], rtol=1e-6)
    with pytest.raises(ValueError, match=r"batch axes \(2,\).*entry=0"):
        plot.prediction(found)
    for wrong in (True, "0", 1.0, [1]):
        with pytest.raises(TypeError, match="`entry` must be a whole number"):
            plot.prediction(found, entry=wrong)
    both = bjm.predict(problem + LONE, rate, key=jax.random.key(0), num_samples=20)
    axes = plot.prediction(both, entry=1)
    np.testing.assert_allclose(line(axes[0], "median"), shown, rtol=1e-6)
    np.testing.assert_allclose(line(axes[1], "data")[:, 1], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="a sum of problems. Predict and draw"):
        plot.prediction(both, ts=TS)
    for wrong in (2, (0, 1)):
        with pytest.raises(ValueError, match=r"`entry` is .*draws are \(2,\)"):
            plot.prediction(found, entry=wrong)


def test_other_data_and_axes_of_ones_own():
    figure, ax = pyplot.subplots(1, 2)
    ahead = make(observed=None, mask=None, is_ahead=True)
    times, values = np.array([1.0, 3.0]), np.array([[1.0, np.nan], [2.0, 3.0]])
    both = plot.prediction(ahead, data=(times, values), ax=list(ax), colour="C3")
    assert both[0] is ax[0]
    np.testing.assert_allclose(line(both[0], "data"), [[1, 1], [3, 2]])
    np.testing.assert_allclose(line(both[1], "data"), [[3, 3]])
    assert [axes.get_ylabel() for axes in both] == ["y[0]", "y[1]"]
    assert "data" not in labels_of(plot.prediction(ahead)[0])
    both = plot.prediction(ahead, legend=False)
    assert [axes.get_legend() for axes in both] == [None, None]
    figure.canvas.draw()


def test_series_and_sums_of_problems():
    noise = bjm.likelihoods.NormalLikelihood(0.1)
    named = bjm.Problem(
        lambda k: {"short": k.mean * jnp.ones(2), "long": k.mean * jnp.ones((3, 2))},
        noise,
        {"short": np.ones(2), "long": np.zeros((3, 2))},
        prior=None,
    )
    lone = bjm.Problem(lambda k: k.mean * jnp.ones(4), noise, None, prior=None)
    rate = bjm.make_parameter(1.0, stdv=0.1)
    settings = {"key": jax.random.key(0), "num_samples": 20}
    axes = plot.prediction(bjm.predict(named, rate, **settings))
    assert [one.get_ylabel() for one in axes] == ["long[0]", "long[1]", "short"]
    np.testing.assert_array_equal(line(axes[2], "data"), [[0, 1], [1, 1]])
    assert axes[-1].get_xlabel() == "number"
    axes = plot.prediction(bjm.predict(named + lone, rate, **settings))
    assert len(axes) == 4
    assert ["data" in labels_of(one) for one in axes] == [True, True, True, False]


def test_what_cannot_be_drawn(trajectory):
    found = make()
    with pytest.raises(TypeError, match="`plot.trajectories` draws trajectories"):
        plot.prediction(trajectory)
    with pytest.raises(TypeError, match="`plot.prediction` draws a `Prediction`"):
        plot.trajectories(found)
    with pytest.raises(ValueError, match=r"`labels` must be 2 names, but are \['a'\]"):
        plot.prediction(found, labels=["a"])
    with pytest.raises(ValueError, match="`data` must be n times and values"):
        plot.prediction(found, data=(TS, np.ones((3, 3))))
    nothing = np.full((3, 2), np.nan)
    failed = Prediction(nothing, nothing, nothing, None)
    with pytest.raises(bjm.AllFailedError):
        plot.prediction(failed)
