import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
from diffrax import RESULTS
from matplotlib import pyplot

from BayesianJaxModels._dynamics.trajectory import Trajectory
from tests.plot.cases import TS

matplotlib.use("Agg")


@pytest.fixture
def trajectory():
    ys = np.random.default_rng(0).normal(size=(20, 5, 2)).astype(np.float32)
    failed = np.arange(20) < 3
    ys[failed] = np.nan
    result = jax.vmap(
        lambda failed: RESULTS.where(
            failed, RESULTS.max_steps_reached, RESULTS.successful
        )
    )(jnp.asarray(failed))
    return Trajectory(TS, jnp.asarray(ys), result, jnp.ones(20, int))


@pytest.fixture(autouse=True)
def close():
    yield
    pyplot.close("all")
