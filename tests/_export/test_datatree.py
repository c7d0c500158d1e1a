"""Data trees: the numbers are those of the draws, and ArviZ reads and plots them."""

import sys
import warnings
from dataclasses import replace

import arviz_stats
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from diffrax import RESULTS

import BayesianJaxModels as bjm
from BayesianJaxModels._dynamics.event import End

TS = np.linspace(0.0, 1.0, 5)


class Decay(bjm.Module):
    rates: bjm.AbstractParameter

    def __call__(self, t, y, args):
        return -self.rates.mean * y


@pytest.fixture(scope="module")
def model():
    return Decay(bjm.make_parameter(np.array([0.5, 2.0]), init_raw_stdv=0.4))


@pytest.fixture(scope="module")
def trajectory(model):
    return bjm.posterior_trajectories(
        model, jnp.ones(2), TS, key=jax.random.key(1), num_samples=20
    )


def test_parameters_by_name(model, key):
    tree = bjm.posterior_to_datatree(model, key=key, num_samples=10)
    draws = bjm.map_posterior(lambda m: m.rates.mean, model, key=key, num_samples=10)
    np.testing.assert_array_equal(tree["posterior"]["rates"].values, draws[None])
    assert tree["posterior"]["rates"].dims[:2] == ("chain", "draw")


def test_quantities_have_named_axes_and_arviz_reads_them(model, key):
    tree = bjm.posterior_to_datatree(
        model,
        lambda drawn: {"half_life": jnp.log(2.0) / drawn.rates.mean},
        key=key,
        num_samples=10,
        dims={"half_life": ["state"]},
        coords={"state": ["prey", "predator"]},
    )
    table = arviz_stats.summary(tree, kind="stats")
    assert list(table.index) == ["half_life[prey]", "half_life[predator]"]


@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="its ArviZ plots need a matplotlib before 3.11"
)
def test_arviz_plots(model, trajectory, key):
    import arviz_plots

    tree = bjm.posterior_to_datatree(model, key=key, num_samples=10)
    shown = arviz_plots.plot_dist(tree, backend="matplotlib")
    assert shown.viz["plot"]["rates"].size == 2
    observed = np.asarray(trajectory.ys[0])
    tree = bjm.trajectory_to_datatree(trajectory, observed=observed)
    shown = arviz_plots.plot_ppc_dist(tree, num_samples=9, backend="matplotlib")
    assert {"predictive_dist", "observed_dist"} <= set(shown.viz.children)


def test_draws_with_weights_are_picked_by_weight(model, key):
    draws = jnp.array([[0.4, 1.9], [0.6, 2.3]])
    weighted = bjm.DrawsPosterior(model, draws, jnp.array([0.0, -jnp.inf]))
    tree = bjm.posterior_to_datatree(weighted, key=key, num_samples=5)
    np.testing.assert_array_equal(
        tree["posterior"]["rates"].values, np.tile(draws[0], (1, 5, 1))
    )
    with pytest.raises(ValueError, match="`num_samples` must be a number for draws"):
        bjm.posterior_to_datatree(weighted, key=key, num_samples=None)


def test_chains_of_nuts_stay_apart(model, key):
    chains = np.arange(12.0).reshape(2, 3, 2)
    per_entry, per_chain = [np.ones(2)] * 4, [np.zeros(2, int)] * 5 + [np.ones(2)] * 3
    scalars = np.asarray(3), np.asarray(1), np.zeros(())
    diagnostics = bjm.NUTSDiagnostics(*per_entry, *per_chain, *scalars, np.zeros(2))
    draws = jnp.asarray(chains.reshape(-1, 2), model.rates.mean.dtype)
    posterior = bjm.DrawsPosterior(model, draws, None, diagnostics)
    tree = bjm.posterior_to_datatree(posterior, key=key, num_samples=None)
    np.testing.assert_array_equal(tree["posterior"]["rates"].values, chains)
    # Four draws could be split anew over two chains, but would be of others.
    fewer = bjm.DrawsPosterior(model, draws[2:], None, diagnostics)
    with pytest.raises(ValueError, match="has 4 draws, .* 2 chains of 3"):
        bjm.posterior_to_datatree(fewer, key=key, num_samples=None)
    one_chain = bjm.DrawsPosterior(model, draws[2:])
    tree = bjm.posterior_to_datatree(one_chain, key=key, num_samples=None)
    np.testing.assert_array_equal(tree["posterior"]["rates"].values, draws[None, 2:])


def test_a_parameter_that_is_the_model_has_a_name(key):
    rates = bjm.make_parameter(np.array([0.5, 2.0]))
    tree = bjm.posterior_to_datatree(rates, key=key, num_samples=3)
    assert tree["posterior"]["parameter"].shape == (1, 3, 2)


def exact_loo(design, y, noise, prior_sd):
    """The log density of each observation given the others, of a linear model."""
    found = []
    for i in range(len(y)):
        others = np.arange(len(y)) != i
        precision = design[others].T @ design[others] / noise**2
        covariance = np.linalg.inv(precision + np.eye(2) / prior_sd**2)
        mean = covariance @ design[others].T @ y[others] / noise**2
        sd = np.sqrt(noise**2 + design[i] @ covariance @ design[i])
        found.append(scipy.stats.norm(design[i] @ mean, sd).logpdf(y[i]))
    return np.array(found)


def test_leave_one_out_is_that_of_the_conjugate_posterior(key):
    noise, prior_sd, rng = 0.5, 2.0, np.random.default_rng(0)
    x = np.linspace(-1.0, 1.0, 12).reshape(6, 2)
    design = np.stack([np.ones_like(x), x], axis=-1)
    y = design @ [0.3, 1.2] + rng.normal(0.0, noise, x.shape)
    y[1, 0] = y[4, 1] = np.nan
    there = ~np.isnan(y)
    precision = design[there].T @ design[there] / noise**2
    covariance = np.linalg.inv(precision + np.eye(2) / prior_sd**2)
    mean = covariance @ design[there].T @ y[there] / noise**2
    posterior = bjm.MultivariateGaussianParameter.from_covariance(
        jnp.asarray(mean, float), jnp.asarray(covariance, float)
    )
    likelihood = bjm.likelihoods.NormalLikelihood(noise)

    def pointwise(drawn):
        prediction = jnp.asarray(design, float) @ drawn.mean
        return {"y": likelihood.log_prob_each(prediction, y, there)}

    draws = bjm.DrawsPosterior(
        posterior,
        jax.vmap(lambda key: posterior.sample(key))(jax.random.split(key, 20_000)),
    )
    for source, num_samples in ((posterior, 20_000), (draws, None)):
        tree = bjm.posterior_to_datatree(
            source,
            key=key,
            num_samples=num_samples,
            log_likelihood=pointwise,
            observed={"y": y},
        )
        loo = arviz_stats.loo(tree, pointwise=True)
        expected = exact_loo(design[there], y[there], noise, prior_sd)
        # Of 20,000 draws: three standard errors of the worst observation are .02.
        np.testing.assert_allclose(loo.elpd_i.values, expected, atol=0.02)
        np.testing.assert_allclose(loo.elpd, expected.sum(), atol=0.05)
        assert loo.n_data_points == 10
        np.testing.assert_array_equal(tree["observed_data"]["y"].values, y[there])
        labels = tree["log_likelihood"]["y_observed"].values
        np.testing.assert_array_equal(labels, np.flatnonzero(there))


def test_log_likelihoods_are_of_the_draws_beside_them(model, key):
    draws = jnp.array([[0.4, 1.9], [0.6, 2.3]])
    weighted = bjm.DrawsPosterior(model, draws, jnp.log(jnp.array([0.5, 0.5])))
    tree = bjm.posterior_to_datatree(
        weighted,
        key=key,
        num_samples=6,
        log_likelihood=lambda drawn: -drawn.rates.mean,
        observed=np.array([0.5, 1.0]),
        dims={"y": ["state"]},
        coords={"state": ["prey", "predator"]},
    )
    rates = tree["posterior"]["rates"].values
    assert len(np.unique(rates)) == 4
    np.testing.assert_array_equal(tree["log_likelihood"]["y"].values, -rates)
    assert tree["log_likelihood"]["y"].dims == ("chain", "draw", "state")
    assert tree["observed_data"]["y"].sel(state="predator") == 1.0
    for wrong in (np.ones(3), {"z": np.ones(2)}):
        with pytest.raises(ValueError, match="`observed` must have the names and"):
            bjm.posterior_to_datatree(
                weighted,
                key=key,
                num_samples=6,
                log_likelihood=lambda drawn: -drawn.rates.mean,
                observed=wrong,
            )


def test_trajectories(trajectory):
    observed = np.where(np.arange(10).reshape(5, 2) == 3, np.nan, 1.0)
    tree = bjm.trajectory_to_datatree(
        trajectory, observed=observed, states=["prey", "predator"]
    )
    y = tree["posterior_predictive"]["y"]
    assert y.dims == ("chain", "draw", "time", "state")
    prey = y.sel(state="prey", time=0.5, chain=0, method=None)
    np.testing.assert_array_equal(prey.values, trajectory.ys[:, 2, 0])
    np.testing.assert_array_equal(y["time"].values, TS.astype(y["time"].dtype))
    np.testing.assert_array_equal(tree["observed_data"]["y"].values, observed)
    assert tree["observed_data"]["y"].dims == ("time", "state")
    stats = tree["sample_stats"]
    np.testing.assert_array_equal(stats["succeeded"].values[0], trajectory.succeeded)
    np.testing.assert_array_equal(stats["num_steps"].values[0], trajectory.num_steps)


def test_where_events_ended(trajectory):
    ended, times = jnp.arange(20) < 5, jnp.arange(20.0)
    is_reached = jnp.arange(5) < jnp.where(ended, 2, 5)[:, None]
    end = End(times, trajectory.y_end, ended, is_reached)
    result = jax.vmap(
        lambda ended: RESULTS.where(ended, RESULTS.event_occurred, RESULTS.successful)
    )(ended)
    ys = jnp.where(is_reached[..., None], trajectory.ys, jnp.nan)
    given = replace(trajectory, ys=ys, result=result, end=end)
    tree = bjm.trajectory_to_datatree(given)
    stats, y = tree["sample_stats"], tree["posterior_predictive"]["y"]
    np.testing.assert_array_equal(stats["ended_by_event"].values[0], ended)
    np.testing.assert_array_equal(stats["t_end"].values[0], times)
    counts = y.count(("chain", "draw", "state"))
    np.testing.assert_array_equal(counts, [40, 40, 30, 30, 30])


def test_batches_of_series_with_times_of_their_own():
    ts = np.stack([TS, 2 * TS, 3 * TS])
    y0 = {"a": jnp.ones((4, 3)), "b": jnp.ones((4, 3, 2, 2))}

    def solve_one(ts, y0):
        return bjm.integrate(lambda t, y, args: jax.tree.map(jnp.negative, y), y0, ts)

    over_draws = jax.vmap(jax.vmap(solve_one), in_axes=(None, 0))
    solve = over_draws(jnp.asarray(ts, y0["a"].dtype), y0)
    tree = bjm.trajectory_to_datatree(solve)
    predictive = tree["posterior_predictive"]
    assert predictive["a"].dims == ("chain", "draw", "trajectory", "step")
    assert predictive["b"].dims[4:] == ("state_0", "state_1")
    np.testing.assert_array_equal(tree["constant_data"]["time"].values, solve.ts[0])
    assert tree["constant_data"]["time"].dims == ("trajectory", "step")


def test_bad_input(trajectory):
    with pytest.raises(ValueError, match="`states` must name .* has 3 names"):
        bjm.trajectory_to_datatree(trajectory, states=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"`observed` must have .* \[\(5, 2\)\], but"):
        bjm.trajectory_to_datatree(trajectory, observed=np.zeros((4, 2)))
    one = jax.tree.map(lambda leaf: leaf[0], trajectory)
    with pytest.raises(ValueError, match="must have an axis of draws"):
        bjm.trajectory_to_datatree(one)
    weighted = bjm.Trajectory(
        trajectory.ts,
        trajectory.ys,
        trajectory.result,
        trajectory.num_steps,
        jnp.ones(20),
    )
    with pytest.raises(ValueError, match="`trajectory` has weights"):
        bjm.trajectory_to_datatree(weighted)


def test_without_arviz(model, key, monkeypatch):
    monkeypatch.setitem(sys.modules, "arviz_base", None)
    with pytest.raises(ImportError, match=r"BayesianJaxModels\[arviz\]"):
        bjm.posterior_to_datatree(model, key=key, num_samples=1)


def decay_of(data, **settings):
    return bjm.Problem(
        bjm.Solve(np.array([0.5, 1.0, 2.0]), t0=0.0, y0=jnp.ones(2)),
        bjm.likelihoods.NormalLikelihood(1.0),
        data,
        prior=None,
        **settings,
    )


def test_a_prediction_has_all_groups(model, key):
    data = np.array([[0.8, 0.4], [np.nan, 0.1], [0.4, 0.0]])
    problem = decay_of(data, mask=~np.isnan(data))
    found = bjm.predict(problem, model, key=key, num_samples=200)
    tree = bjm.prediction_to_datatree(found)
    assert set(tree.children) == {
        "posterior",
        "posterior_predictive",
        "observed_data",
        "log_likelihood",
        "sample_stats",
    }
    rates = tree["posterior"]["rates"].values
    np.testing.assert_array_equal(rates, np.asarray(found.drawn.rates.value)[None])
    there = ~np.isnan(data)
    for group, values in (
        ("posterior_predictive", np.asarray(found.observations)[:, there]),
        ("log_likelihood", np.asarray(found.log_likelihood)[:, there]),
    ):
        np.testing.assert_array_equal(tree[group]["y"].values, values[None])
        assert tree[group]["y"].dims == ("chain", "draw", "y_observed")
    np.testing.assert_array_equal(tree["observed_data"]["y"].values, data[there])
    np.testing.assert_array_equal(tree["observed_data"]["y_observed"], [0, 1, 3, 4, 5])
    np.testing.assert_array_equal(
        tree["sample_stats"]["num_steps"].values,
        np.asarray(found.states.num_steps)[None],
    )
    assert tree["sample_stats"]["succeeded"].values.all()
    with warnings.catch_warnings():
        # The draws are of no posterior, and k-hat says so.
        warnings.simplefilter("ignore", UserWarning)
        assert arviz_stats.loo(tree).n_data_points == 5


def test_a_prediction_ahead_has_times_and_no_data(model, key):
    ahead = np.array([3.0, 4.0])
    found = bjm.predict(
        decay_of(np.ones((3, 2))), model, ts=ahead, key=key, num_samples=4
    )
    tree = bjm.prediction_to_datatree(
        found, dims={"y": ["state"]}, coords={"state": "ab"}
    )
    assert set(tree.children) == {"posterior", "predictions", "sample_stats"}
    assert tree["predictions"]["y"].dims == ("chain", "draw", "time", "state")
    np.testing.assert_array_equal(tree["predictions"]["time"], ahead)
    np.testing.assert_array_equal(
        tree["predictions"]["y"].values[0], np.asarray(found.observations)
    )


def test_a_prediction_of_chains_keeps_them_apart(model, key):
    problem = bjm.Problem(
        lambda m: {"a": m.rates.value, "b": jnp.sum(m.rates.value) * jnp.ones(3)},
        bjm.likelihoods.NormalLikelihood(0.1),
        {"a": np.ones(2), "b": np.ones(3)},
        prior=None,
    )
    draws = jnp.arange(12.0).reshape(6, 2)
    posterior = bjm.DrawsPosterior(model, draws)
    found = bjm.predict(problem, posterior, key=key, num_samples=None)
    tree = bjm.prediction_to_datatree(replace(found, num_chains=2))
    assert tree["posterior"]["rates"].shape == (2, 3, 2)
    np.testing.assert_array_equal(tree["posterior"]["rates"][1, 0], draws[3])
    assert tree["posterior_predictive"]["b"].shape == (2, 3, 3)
    assert tree["log_likelihood"]["a"].shape == (2, 3, 2)
    weighted = bjm.DrawsPosterior(model, draws, jnp.arange(6.0))
    found = bjm.predict(problem, weighted, key=key, num_samples=None)
    with pytest.raises(ValueError, match="Pass a number as `num_samples` to `predict`"):
        bjm.prediction_to_datatree(found)
    with pytest.raises(TypeError, match="must be a `Prediction`, from `predict`"):
        bjm.prediction_to_datatree(posterior)
