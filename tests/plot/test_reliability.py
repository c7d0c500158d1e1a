import numpy as np
from matplotlib import pyplot

from BayesianJaxModels import plot
from BayesianJaxModels._calibrate.sbc import SBC
from BayesianJaxModels.calibration import coverage, pit
from tests.plot.cases import TS, labels_of, line


def test_calibration(key):
    rng = np.random.default_rng(0)
    truth, draws = rng.normal(size=(30, 4)), rng.normal(size=(50, 30, 4))
    found = coverage(draws, truth, (0.5, 0.8), time_axis=1)
    values = pit(draws[..., 0], truth[:, 0], key=key)
    sbc = SBC(rng.integers(0, 11, (40, 2)), 11, ("rate", "scale"))
    axes = plot.calibration({"wide": found, "tall": found}, values, ts=TS[:4])
    assert len(axes) == 3
    np.testing.assert_allclose(
        line(axes[0], "tall, points"), np.c_[found.levels, found.pointwise]
    )
    np.testing.assert_allclose(
        line(axes[0], "wide, whole series")[:, 1], found.simultaneous
    )
    np.testing.assert_allclose(line(axes[1], "wide"), np.c_[TS[:4], found.by_time[1]])
    assert axes[1].get_ylabel() == "coverage of 80 % intervals"
    drawn = line(axes[2], "values")
    ecdf = (values[:, None] < drawn[:, 0]).mean(axis=0)
    np.testing.assert_allclose(drawn[:, 1], ecdf - drawn[:, 0], atol=1e-12)
    axes[0].figure.canvas.draw()
    given = pyplot.subplots(1, 3)[1]
    axes = plot.calibration(found, {"ours": sbc}, level=0.1, ax=given)
    assert axes[0] is given[0]
    assert labels_of(axes[0]) == ["points", "whole series"]
    assert labels_of(axes[2]) == ["95 % band", "ours"]
    assert axes[1].get_ylabel() == "coverage of 50 % intervals"
    assert len(axes[2].get_lines()) == 2
    band = axes[2].collections[0].get_paths()[0].vertices[:, 1]
    share = np.arange(1, 12) / 11
    np.testing.assert_allclose(band.max(), (sbc.band[1] - share).max())


def test_several_coverages_and_ranks_have_a_line_each():
    rng = np.random.default_rng(1)
    truth, draws = rng.normal(size=(20, 3)), rng.normal(size=(30, 20, 3))
    found = coverage(draws, truth, (0.5, 0.9), time_axis=1)
    ranks = SBC(rng.integers(0, 5, (12, 1)), 5, ("rate",))
    by_level, by_time, ecdf = plot.calibration({"a": found, "b": found}, {"x": ranks})
    assert labels_of(by_time) == ["a", "b"]
    # Without times they are counted, at the level that is nearest to .9.
    np.testing.assert_allclose(
        line(by_time, "b"), np.c_[np.arange(3), found.by_time[1]]
    )
    share = np.arange(1, 6) / 5
    wanted = [np.mean(ranks.ranks[:, 0] < 5 * one) for one in share] - share
    np.testing.assert_allclose(line(ecdf, "x"), np.c_[share, wanted], atol=1e-12)
    diagonal = by_level.get_lines()[-1]
    np.testing.assert_array_equal(diagonal.get_xydata(), [[0, 0], [1, 1]])
