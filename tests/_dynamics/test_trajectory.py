import jax
import jax.numpy as jnp
import numpy as np

import BayesianJaxModels as bjm
from tests._dynamics.cases import decay


def test_without_an_event():
    ts, starts = jnp.linspace(0.0, 4.0, 5), jnp.array([0.4, 0.1])

    def solve(scale):
        return bjm.integrate(
            lambda t, y, args: y**2, scale * starts, ts, batched=True, max_steps=64
        )

    trajectory = jax.jit(jax.vmap(solve))(jnp.array([1.0, 2.0, 0.2]))
    assert trajectory.event_mask is None
    assert not trajectory.ended_by_event.any()
    # 1 / (1 / y0 - t), infinite at 2.5 and at 1.25 for two of the six.
    np.testing.assert_array_equal(trajectory.t_end, [[2, 4], [1, 4], [4, 4]])
    last = [[2.0, 1 / 6], [4.0, 1.0], [1 / 8.5, 1 / 46]]
    np.testing.assert_allclose(trajectory.y_end, last, rtol=1e-3)
    for name in ("t_end", "y_end", "ended_by_event", "succeeded"):
        assert getattr(trajectory, name).shape == (3, 2)
    assert trajectory.is_reached.shape == (3, 2, 5)
    of_rows = bjm.integrate(
        decay, starts, jnp.stack([ts, 2 * ts]), args=0.0, batched=True
    )
    np.testing.assert_array_equal(of_rows.t_end, [4.0, 8.0])
    np.testing.assert_array_equal(of_rows.y_end, starts)
