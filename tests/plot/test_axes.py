import sys

import numpy as np
import pytest
from matplotlib import pyplot

from BayesianJaxModels import plot
from BayesianJaxModels._predict.summary import summarise
from BayesianJaxModels.calibration import coverage
from BayesianJaxModels.plot.axes import axes_to_draw_into, pyplot_or_error


def test_matplotlib_is_missing(trajectory, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    message = r'pip install "BayesianJaxModels\[examples\]"'
    with pytest.raises(ImportError, match=message):
        plot.trajectories(trajectory)


def test_as_many_axes_as_are_drawn_into(trajectory):
    one = pyplot.subplots()[1]
    with pytest.raises(ValueError, match="`ax` must be 2 axes, but there are 1"):
        plot.trajectories(summarise(trajectory), ax=one)
    found = coverage(np.zeros((50, 30, 4)), np.zeros((30, 4)), time_axis=1)
    with pytest.raises(ValueError, match="`ax` must be 3 axes, but there are 1"):
        plot.calibration(found, np.full(30, 0.5), ax=one)


def test_axes_are_those_given_or_those_of_a_new_figure():
    assert pyplot_or_error() is pyplot
    rows = axes_to_draw_into(pyplot, None, 3)
    assert len(rows) == len(rows[0].figure.axes) == 3
    assert rows[0].get_shared_x_axes().joined(rows[0], rows[2])
    columns = axes_to_draw_into(pyplot, None, 1, 2)
    assert columns[0].figure is not rows[0].figure
    assert not columns[0].get_shared_x_axes().joined(*columns)
    given = pyplot.subplots(2, 2)[1]
    for ax in (given, list(given.ravel()), given.T.T):
        found = axes_to_draw_into(pyplot, ax, 2, 2)
        assert all(one is other for one, other in zip(found, given.flat, strict=True))
    assert axes_to_draw_into(pyplot, given[1, 0], 1) == [given[1, 0]]
