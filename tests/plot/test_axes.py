import sys

import numpy as np
import pytest
from matplotlib import pyplot

from BayesianJaxModels import plot
from BayesianJaxModels._predict.summary import summarise
from BayesianJaxModels.calibration import coverage


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
