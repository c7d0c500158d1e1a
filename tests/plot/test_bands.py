from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from diffrax import RESULTS
from jaxtyping import config
from matplotlib import pyplot

from BayesianJaxModels import plot
from BayesianJaxModels._dynamics.event import End
from BayesianJaxModels._dynamics.trajectory import Trajectory
from BayesianJaxModels._predict.running_summary import RunningSummary
from BayesianJaxModels._predict.summary import summarise
from tests.plot.cases import TS, labels_of, line


def test_bands_draws_and_data(trajectory):
    times = np.array([0.0, 1.5, 3.0])
    values = np.array([[1.0, 2.0], [np.nan, 3.0], [4.0, np.nan]])
    both = plot.trajectories(trajectory, draws=4, data=(times, values), forecast_from=2)
    assert [axes.get_ylabel() for axes in both] == ["y[0]", "y[1]"]
    summary = summarise(trajectory)
    for i, axes in enumerate(both):
        assert sorted(labels_of(axes)) == sorted(
            ["forecast", "90 %", "50 %", "draws", "median", "data"]
        )
        assert len(axes.get_lines()) == 4 + 2
        np.testing.assert_allclose(
            line(axes, "median")[:, 1], summary.quantiles[2, :, i]
        )
        # The first draw that succeeded, not one of the failed.
        np.testing.assert_allclose(line(axes, "draws")[:, 1], trajectory.ys[3, :, i])
        shown = np.column_stack([times, values[:, i]])
        shown = shown[~np.isnan(values[:, i])]
        np.testing.assert_allclose(line(axes, "data"), shown)
        widest = axes.collections[0].get_paths()[0].vertices[:, 1]
        np.testing.assert_allclose(widest.min(), summary.quantiles[0, :, i].min())
        np.testing.assert_allclose(widest.max(), summary.quantiles[-1, :, i].max())
        np.testing.assert_allclose(
            [axes.patches[0].get_x(), axes.patches[0].get_width()], [2, 2]
        )
    assert both[0].get_legend().get_title().get_text() == "20 draws, 3 failed"
    assert both[-1].get_xlabel() == "time"
    both[0].figure.canvas.draw()


def test_a_summary_and_a_choice(trajectory):
    summary = summarise(trajectory, (0.1, 0.9))
    figure, ax = pyplot.subplots()
    (axes,) = plot.trajectories(summary, state=1, ax=ax, labels=["prey"], colour="C3")
    assert axes is ax
    assert axes.get_ylabel() == "prey"
    assert labels_of(axes) == ["80 %", "mean"]
    np.testing.assert_allclose(line(axes, "mean")[:, 1], summary.mean[:, 1])
    chosen = plot.trajectories(summary, state=["y[1]", 0])
    assert [axes.get_ylabel() for axes in chosen] == ["y[1]", "y[0]"]
    figure.canvas.draw()


def test_without_quantiles(trajectory):
    running = RunningSummary()
    running.update(trajectory)
    axes = plot.trajectories(running.summary())[0]
    assert labels_of(axes) == ["mean ± 2 sd", "mean"]


def test_weighted_draws(trajectory):
    weights = jnp.where(jnp.arange(20) >= 18, 1.0, 0.0)
    weighted = replace(trajectory, weights=weights)
    axes = plot.trajectories(weighted, state=0, draws=6)[0]
    # Two draws have all the weight, and the last one shown is the last of them.
    shown = [line for line in axes.get_lines() if line.get_linewidth() < 1]
    assert len(shown) == 2
    np.testing.assert_allclose(shown[1].get_ydata(), trajectory.ys[19, :, 0])
    median = summarise(weighted).quantiles[2, :, 0]
    np.testing.assert_allclose(line(axes, "median")[:, 1], median)
    title = axes.get_legend().get_title().get_text()
    assert title == "20 draws, weighted\nas good as 2, 3 failed"


def test_draws_that_an_event_ended(trajectory):
    ended = jnp.arange(20) < 8
    is_reached = jnp.arange(5) < jnp.where(ended, 2, 5)[:, None]
    result = jax.vmap(
        lambda ended: RESULTS.where(ended, RESULTS.event_occurred, RESULTS.successful)
    )(ended)
    start = jnp.zeros(20)
    end = End(start, start, ended, is_reached)
    given = Trajectory(TS, start, result, trajectory.num_steps, None, end)
    # Draws of a count cannot be NaN where they have ended.
    given = replace(given, ys=jnp.where(is_reached, 3.0, -1.0))
    (axes,) = plot.trajectories(given, draws=1, labels=["count"])
    shown = line(axes, "draws")[:, 1]
    np.testing.assert_array_equal(shown, [3, 3, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(line(axes, "median")[:, 1], [3] * 5)
    title = axes.get_legend().get_title().get_text()
    assert title == "20 draws\n60 % run to the end"


def test_pytree_states(trajectory):
    ys = {"prey": trajectory.ys[..., 0], "rest": trajectory.ys}
    as_dict = Trajectory(TS, ys, trajectory.result, trajectory.num_steps)
    data = (np.array([1.0]), {"prey": np.array([7.0]), "rest": np.zeros((1, 2))})
    three = plot.trajectories(as_dict, data=data)
    names = [axes.get_ylabel() for axes in three]
    assert names == ["prey", "rest[0]", "rest[1]"]
    np.testing.assert_allclose(line(three[0], "data"), [[1.0, 7.0]])
    (one,) = plot.trajectories(as_dict, state="prey")
    assert one.get_ylabel() == "prey"


def test_errors(trajectory):
    summary = summarise(trajectory)
    for state in (2, -3, "hare"):
        with pytest.raises(ValueError, match=r"is not a component.*'y\[0\]', 'y\[1\]'"):
            plot.trajectories(summary, state=state)
    with pytest.raises(ValueError, match=r"values of shape \(n, \*state\).*\(3, 1\)"):
        plot.trajectories(summary, data=(np.arange(3.0), np.zeros((3, 1))))
    with pytest.raises(ValueError, match="`labels` must be 2 names"):
        plot.trajectories(summary, labels=["prey"])
    batched = jax.tree.map(
        lambda leaf: leaf[:, None],
        (trajectory.ys, trajectory.result, trajectory.num_steps),
    )
    with pytest.raises(ValueError, match=r"batch axes \(1,\) besides the draws"):
        plot.trajectories(Trajectory(TS, *batched))
    config.update("jaxtyping_disable", True)  # as it is outside the tests
    try:
        for read in (summarise, plot.trajectories, RunningSummary().update):
            with pytest.raises(TypeError, match="`Trajectory`, a `Prediction` or an"):
                read("draws")
    finally:
        config.update("jaxtyping_disable", False)


def test_a_band_spans_probabilities_that_mirror_each_other(trajectory):
    summary = summarise(trajectory, (0.1, 0.4, 0.6, 0.8))
    (axes,) = plot.trajectories(summary, state=-1)
    assert axes.get_ylabel() == "y[1]"
    assert labels_of(axes) == ["20 %", "mean"]
    band = axes.collections[0].get_paths()[0].vertices
    for i, time in enumerate(np.asarray(TS)):
        ends = band[band[:, 0] == time][:, 1]
        wanted = summary.quantiles[[1, 2], i, 1]
        np.testing.assert_allclose([ends.min(), ends.max()], wanted, rtol=1e-6)


def test_two_standard_deviations_stand_in_for_quantiles(trajectory):
    running = RunningSummary()
    running.update(trajectory)
    summary = running.summary()
    axes = plot.trajectories(summary)[1]
    band = axes.collections[0].get_paths()[0].vertices
    top = [band[band[:, 0] == time][:, 1].max() for time in np.asarray(TS)]
    wanted = summary.mean[:, 1] + 2 * summary.stdv[:, 1]
    np.testing.assert_allclose(top, wanted, rtol=1e-6)
    np.testing.assert_allclose(line(axes, "mean")[:, 1], summary.mean[:, 1])


def test_data_of_times_in_a_column_do_not_fit(trajectory):
    data = (np.zeros((3, 1)), np.zeros((3, 2)))
    message = r"must be n times and values.* times of shape \(3, 1\) .*\[\(3, 2\)\]"
    with pytest.raises(ValueError, match=message):
        plot.trajectories(summarise(trajectory), data=data)


def test_an_array_is_drawn_as_its_trajectory(trajectory):
    ys = np.asarray(trajectory.ys)
    of_array = plot.trajectories(ys, ts=TS, draws=2)
    of_trajectory = plot.trajectories(trajectory, draws=2)
    for one, other in zip(of_array, of_trajectory, strict=True):
        for label in ("median", "draws"):
            np.testing.assert_allclose(line(one, label), line(other, label))
    by_number = plot.trajectories(ys, draws=1)[0]
    np.testing.assert_array_equal(line(by_number, "median")[:, 0], np.arange(5))
    with pytest.raises(ValueError, match="`ts` is for plain arrays"):
        plot.trajectories(summarise(ys), ts=TS)
