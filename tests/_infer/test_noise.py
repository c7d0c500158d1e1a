"""Noise of a log density, told by the engines that only take its values."""

import warnings

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from jaxtyping import Array, Float

import BayesianJaxModels as bjm
from BayesianJaxModels._infer.noise import noise_along, noise_complaint, short_step


def points_and_step(mean):
    factor = np.array([[2.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    step = short_step(factor)
    return mean + np.linspace(-16, 16, 32)[:, None] * step, step


@pytest.mark.parametrize("mean", [0.0, 1e5])
def test_noise_is_what_a_parabola_leaves(mean):
    """Whatever the parabola is, and where; also of points that float32 rounds."""
    points, step = points_and_step(mean)
    np.testing.assert_allclose(step, np.array([0.02, 0.02, 0]) / 3**0.5)
    points = points.astype(np.float32).astype(np.float64)
    x = points[:, 0] - mean
    smooth = 3 - 40 * x - 200 * x**2
    noise = np.random.default_rng(0).normal(0, 0.3, 32)
    assert noise_along(points, smooth, step) < (1e-9 if mean == 0 else 0.2)
    if mean == 0:
        found = noise_along(points, smooth + noise, step)
        design = np.vander(x, 3)
        rest = noise - design @ np.linalg.lstsq(design, noise)[0]
        np.testing.assert_allclose(found, np.sqrt(np.sum(rest**2) / 29), rtol=1e-6)
        # Where it is not finite it says nothing, and of too few values neither.
        smooth[5:20] = -np.inf
        assert noise_along(points, smooth, step) < 1e-9
        smooth[20:30] = np.nan
        assert np.isnan(noise_along(points, smooth, step))


def test_complaints():
    assert noise_complaint(np.nan) == noise_complaint(0.09) == []
    assert "scatters by 0.12 nats" in noise_complaint(0.123)[0]


class Rough(eqx.Module):
    """A standard normal density with noise in its values, and none in its slope."""

    amplitude: Float[Array, ""]

    def __call__(self, drawn):
        smooth = -jnp.sum(drawn.mean**2) / 2
        noise = jnp.sin(1e5 * drawn.mean[0])
        return smooth + lax.stop_gradient(self.amplitude * noise)


@pytest.mark.parametrize("amplitude", [0.0, 0.05, 0.7])
def test_engines_tell_of_noise(key, amplitude):
    """A wave has the standard deviation `amplitude / sqrt(2)`."""
    pytest.importorskip("blackjax")
    density = Rough(jnp.asarray(amplitude))
    start = bjm.make_parameter([0.0, 0.0], init_raw_stdv=1.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        weighted = bjm.importance(density, start, key=key, num_rounds=2)
        chains = bjm.nuts(density, start, key=key, num_samples=500)
    messages = [str(one.message) for one in caught]
    for posterior in (weighted, chains):
        found = np.asarray(posterior.diagnostics.noise)
        assert np.all(np.abs(found - amplitude / 2**0.5) < 0.25 * amplitude + 1e-5)
        told = ["not smooth" in x for x in posterior.diagnostics.complaints()]
        assert any(told) == (amplitude == 0.7)
    assert len([x for x in messages if "take tighter steps" in x]) == (
        2 if amplitude == 0.7 else 0
    )
    if amplitude == 0.7:
        # The weights are fine, and nothing is said of them.
        assert weighted.diagnostics.of_weights() == []
        assert "take more rounds" not in " ".join(messages)
