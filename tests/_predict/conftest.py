import jax
import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels import NeuralVectorField, posterior_trajectories
from tests._predict.cases import HEUN, TS, make


@pytest.fixture
def mixed():
    """Two initial states, a dict for a state, failed draws and events."""
    rng = np.random.default_rng(1)
    ys = {
        "position": rng.normal(2.0, 1.0, (60, 2, 4, 3)).astype(np.float32),
        "energy": rng.gamma(2.0, 1.0, (60, 2, 4)).astype(np.float32),
    }
    failed = rng.random((60, 2)) < 0.1
    ended = ~failed & (rng.random((60, 2)) < 0.2)
    for leaf in ys.values():
        leaf[failed, 2:] = np.nan
        leaf[ended, 3:] = np.inf
    return make(ys, failed, ended), ys, failed, ended


@pytest.fixture(scope="module")
def field():
    return NeuralVectorField(
        2, width=4, depth=1, init_raw_stdv=0.3, key=jax.random.key(3)
    )


@pytest.fixture(scope="module")
def solves(field):
    """Eleven draws of the key of all tests, solved for."""
    return posterior_trajectories(
        field, jnp.ones(2), TS, key=jax.random.key(20), num_samples=11, **HEUN
    )
