import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels import (
    integrate,
    make_parameter,
    map_posterior,
    map_posterior_pure,
    posterior_trajectories,
    summarise,
)
from BayesianJaxModels._posterior import DrawsPosterior
from BayesianJaxModels._predict.trajectories import raise_failures
from tests._predict.cases import HEUN, TS


class Decay(bjm.Module):
    """As a vector field it is traced faster than a network."""

    rate: bjm.AbstractParameter

    def __call__(self, t, y, args):
        return -self.rate.mean * y


def test_trajectories_are_integrate_of_each_draw(field, key, solves):
    assert solves.ys.shape == (11, 3, 2)
    assert solves.ts.shape == (3,)
    assert solves.num_failed == 0
    pure = jax.jit(
        lambda field: map_posterior_pure(
            lambda drawn: integrate(drawn, jnp.ones(2), TS, **HEUN),
            field,
            key=key,
            num_samples=11,
        )
    )(field)
    np.testing.assert_allclose(solves.ys, pure.ys, rtol=1e-5)


def test_trajectories_of_a_composite_model(key):
    class Composite(bjm.Module):
        start: bjm.AbstractParameter
        field: Decay

    model = Composite(
        make_parameter([1.0, 2.0], init_raw_stdv=0.5), Decay(make_parameter(0.5))
    )
    trajectory = posterior_trajectories(
        model,
        lambda drawn: drawn.start.mean,
        TS,
        key=key,
        num_samples=10,
        vector_field=lambda drawn: drawn.field,
        adjoint=diffrax.ForwardMode(),
    )
    starts = map_posterior(lambda d: d.start.mean, model, key=key, num_samples=10)
    np.testing.assert_array_equal(trajectory.ys[:, 0], starts)


def test_trajectories_of_many_initial_states(key):
    trajectory = posterior_trajectories(
        Decay(make_parameter(0.5)),
        jnp.ones((4, 2)),
        TS,
        key=key,
        num_samples=5,
        batched=True,
        shared_steps=True,
        **HEUN,
    )
    assert trajectory.ys.shape == (5, 4, 3, 2)
    assert trajectory.succeeded.shape == (5, 4)


def test_trajectories_of_padded_series(field, key, solves):
    ts = jnp.array([[0.0, 2.0, 2.5, 3.0], [*TS, jnp.nan]])
    mask = ~jnp.isnan(ts)
    trajectory = posterior_trajectories(
        field,
        jnp.ones((2, 2)),
        ts,
        mask=mask,
        batched=True,
        key=key,
        num_samples=4,
        **HEUN,
    )
    assert trajectory.ys.shape == (4, 2, 4, 2)
    # What a series without padding gives.
    np.testing.assert_allclose(trajectory.ys[:, 1, :3], solves.ys[:4], rtol=1e-5)
    summary = bjm.summarise(trajectory)
    np.testing.assert_allclose(summary.ts, [[0.0, 2.0, 2.5, 3.0], [0.0, 0.5, 1.0, 1.0]])
    assert summary.mean.shape == (2, 4, 2)


class Explosive(bjm.Module):
    rate: bjm.AbstractParameter

    def __call__(self, t, y, args):
        return jnp.where(self.rate.mean > 0, 100.0, 0.0) * y**2


def test_failures_raise_or_are_kept(key):
    model = Explosive(make_parameter(0.0, init_raw_stdv=1.0))
    rates = map_posterior(lambda d: d.rate.mean, model, key=key, num_samples=32)
    settings = {"key": key, "num_samples": 32, "max_steps": 64, **HEUN}
    num_failed = int(jnp.sum(rates > 0))
    message = (
        f"{num_failed} of 32 solves failed. The commonest reason, for {num_failed} of "
        "them: The maximum number of solver steps.*on_failure='keep'"
    )
    with pytest.raises(RuntimeError, match=message):
        posterior_trajectories(model, jnp.ones(1), TS, **settings)
    kept = posterior_trajectories(model, jnp.ones(1), TS, on_failure="keep", **settings)
    np.testing.assert_array_equal(kept.succeeded, rates <= 0)
    assert kept.num_failed == num_failed
    with pytest.raises(ValueError, match="`on_failure` must be 'raise' or 'keep'"):
        posterior_trajectories(model, jnp.ones(1), TS, on_failure="drop", **settings)
    with pytest.raises(ValueError, match="`ts` must be strictly increasing"):
        posterior_trajectories(model, jnp.ones(1), TS[jnp.array([0, 2, 1])], **settings)


@pytest.fixture
def decay():
    return Decay(make_parameter(1.0))


def test_every_draw_once_with_its_weight(decay, key):
    rates = jnp.array([[0.5], [1.0], [2.0]])
    log_weights = jnp.log(jnp.array([1.0, 6.0, 3.0])) + 300.0
    posterior = DrawsPosterior(decay, rates, log_weights)
    settings = {
        "key": key,
        "num_samples": None,
        "solver": diffrax.Euler(),
        "stepsize_controller": diffrax.ConstantStepSize(),
        "dt0": 0.5,
    }
    weighted = posterior_trajectories(posterior, jnp.ones(1), TS, **settings)
    weights = [0.1, 0.6, 0.3]
    np.testing.assert_allclose(weighted.weights, weights, rtol=1e-5)
    exact = (1 - np.asarray(rates) / 2) ** np.arange(3)
    np.testing.assert_allclose(weighted.ys[..., 0], exact, atol=1e-6)
    mean = summarise(weighted).mean[:, 0]
    np.testing.assert_allclose(mean, np.average(exact, axis=0, weights=weights), 1e-5)
    share = posterior_trajectories(posterior, jnp.ones(1), TS, gather=False, **settings)
    np.testing.assert_array_equal(share.weights, weighted.weights)
    # Whatever is drawn has equal weights, and so have draws without any.
    some = posterior_trajectories(
        posterior, jnp.ones(1), TS, **settings | {"num_samples": 3}
    )
    equal = DrawsPosterior(decay, rates)
    plain = posterior_trajectories(equal, jnp.ones(1), TS, **settings)
    assert some.weights is None
    assert plain.weights is None
    np.testing.assert_array_equal(plain.ys, weighted.ys)
    with pytest.raises(ValueError, match="`num_samples` is None.*is a Decay"):
        posterior_trajectories(decay, jnp.ones(1), TS, **settings)


def results_of(*results):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *results)


def test_the_commonest_reason_is_told_with_its_remedy():
    results = diffrax.RESULTS
    for result, remedy in (
        (results.successful, "States became NaN or infinite.*smaller steps"),
        (results.nonfinite, "do not run one way from `t0`"),
        (results.dt_min_reached, "use double precision, or a later `t0`"),
    ):
        message = (
            rf"^3 of 3 solves failed. The commonest reason, for 2 of them: .*{remedy}"
            r".*Pass `on_failure='keep'` to get all"
        )
        codes = results_of(result, results.max_steps_reached, result)
        with pytest.raises(RuntimeError, match=message):
            raise_failures(codes, np.full(3, True))


def test_where_all_is_well_nothing_is_raised():
    successful = diffrax.RESULTS.successful
    raise_failures(results_of(successful, successful), np.full(2, False))
