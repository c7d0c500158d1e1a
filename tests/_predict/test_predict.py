import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels import map_posterior, predict
from BayesianJaxModels.likelihoods import LogNormalLikelihood, NormalLikelihood

TS = np.array([1.0, 2.0, 4.0])
DATA = np.array([[0.6, 0.2], [np.nan, 0.1], [0.2, 0.05]])
X = np.array([-1.0, 0.0, 0.5, 2.0])


class Decay(bjm.Module):
    rates: bjm.AbstractParameter
    noise: bjm.AbstractParameter

    def __call__(self, t, y, args):
        return -self.rates.value * y


@pytest.fixture(scope="module")
def model():
    return Decay(
        bjm.make_parameter(np.array([0.5, 1.0]), support="positive", stdv=0.1),
        bjm.make_parameter(0.1, support="positive", stdv=0.01),
    )


@pytest.fixture(scope="module")
def problem():
    solve = bjm.Solve(
        TS,
        t0=0.0,
        y0=jnp.ones(2),
        solver=diffrax.Bosh3(),
        adjoint=diffrax.ForwardMode(),
    )
    return bjm.Problem(
        solve,
        likelihood=lambda m: NormalLikelihood(m.noise.value),
        observations=DATA,
        mask=~np.isnan(DATA),
        prior=None,
    )


@pytest.fixture(scope="module")
def found(problem, model):
    return predict(problem, model, key=jax.random.key(20), num_samples=11)


def line(drawn):
    return drawn[0].mean + drawn[1].mean * jnp.asarray(X, drawn[0].mean.dtype)


def test_all_of_a_draw_is_that_of_map_posterior(problem, model, found, key):
    settings = {"key": key, "num_samples": 11}
    drawn = map_posterior(lambda drawn: drawn, model, **settings)
    same = jax.tree.map(np.array_equal, found.drawn, drawn)
    assert all(jax.tree.leaves(same))
    states = map_posterior(lambda m: problem.simulate(m).ys, model, **settings)
    np.testing.assert_allclose(found.states.ys, states, rtol=1e-6)
    np.testing.assert_array_equal(found.observables, found.states.ys)
    each = map_posterior(problem.pointwise, model, **settings)
    np.testing.assert_allclose(found.log_likelihood, each, rtol=1e-5, atol=1e-5)
    assert np.all(np.asarray(found.log_likelihood)[:, np.isnan(DATA)] == 0)
    np.testing.assert_array_equal(found.observed, DATA)
    np.testing.assert_array_equal(found.mask, ~np.isnan(DATA))
    np.testing.assert_array_equal(found.ts, TS)
    assert found.weights is None
    assert (found.num_draws, found.num_failed) == (11, 0)
    assert found.succeeded.all()
    assert repr(found) == (
        "Prediction of 11 draws; 0 failed; 3 times from 1 to 4; observations of shape "
        "(11, 3, 2), beside data"
    )


def test_chunks_do_not_matter(problem, model, found, key):
    for num_samples, batch_size in ((11, 2), (5, None), (11, 11)):
        part = predict(
            problem, model, key=key, num_samples=num_samples, batch_size=batch_size
        )
        for name in ("observations", "observables", "drawn", "log_likelihood"):
            for one, whole in zip(
                jax.tree.leaves(getattr(part, name)),
                jax.tree.leaves(getattr(found, name)),
                strict=True,
            ):
                np.testing.assert_allclose(
                    one, whole[:num_samples], rtol=1e-5, atol=1e-6
                )


def test_noise_has_its_width_and_is_independent(key):
    # A draw's own key is folded by the index of a parameter: noise must not be it.
    model = bjm.make_parameter(jnp.zeros(3), stdv=1.0)
    problem = bjm.Problem(lambda m: m.mean, NormalLikelihood(0.5), None, prior=None)
    many = predict(problem, model, key=key, num_samples=20_000)
    noise = np.asarray(many.observations - many.observables)
    np.testing.assert_allclose(noise.std(axis=0), 0.5, rtol=5 / (2 * 20_000) ** 0.5)
    assert np.all(np.abs(noise.mean(axis=0)) < 5 * 0.5 / 20_000**0.5)
    together = np.concatenate([noise, np.asarray(many.observables)], axis=1)
    correlation = np.corrcoef(together.T) - np.eye(6)
    assert np.abs(correlation).max() < 5 / 20_000**0.5
    assert many.log_likelihood is None
    assert many.observed is None
    assert many.ts is None


def test_other_times(problem, model, key):
    ahead = np.array([0.5, 4.0, 8.0, 16.0])
    found = predict(problem, model, ts=ahead, key=key, num_samples=5)
    rates = np.asarray(found.drawn.rates.value)
    exact = np.exp(-rates[:, None] * ahead[:, None])
    np.testing.assert_allclose(found.observables, exact, atol=1e-4)
    np.testing.assert_array_equal(found.ts, ahead)
    assert found.is_ahead
    assert found.observed is found.mask is found.log_likelihood is None
    assert bjm.summarise(found, of="states").ts.shape == (4,)
    no_times = bjm.Problem(line, NormalLikelihood(1.0), np.ones(4), prior=None)
    with pytest.raises(TypeError, match="Other times need a simulation that has them"):
        predict(no_times, model, ts=ahead, key=key, num_samples=5)


def test_prior_predictive_of_a_linear_model(key):
    n, sd = 40_000, 0.5
    model = [bjm.make_parameter(0.0), bjm.make_parameter(0.0)]
    prior = bjm.Prior(
        {"[0]": bjm.priors.Normal(1.0, 2.0), "[1]": bjm.priors.Normal(-1.0, 1.0)}
    )
    problem = bjm.Problem(line, NormalLikelihood(sd), np.ones(4), prior=prior)
    found = predict(problem, bjm.PriorDraws(model, prior), key=key, num_samples=n)
    draws = np.asarray(found.observations, float)
    covariance = 4.0 + np.outer(X, X) + sd**2 * np.eye(4)
    variance = np.diag(covariance)
    error = np.abs(draws.mean(axis=0) - (1.0 - X))
    assert np.all(error < 5 * (variance / n) ** 0.5)
    scale = (np.outer(variance, variance) + covariance**2) ** 0.5
    assert np.all(np.abs(np.cov(draws.T) - covariance) < 5 * scale / n**0.5)


def test_weighted_draws(problem, model, key):
    columns = bjm.flatten_means(model)
    draws = jnp.stack([columns, columns + 0.1, columns - 0.2])
    posterior = bjm.DrawsPosterior(model, draws, jnp.log(jnp.array([1.0, 2.0, 1.0])))
    found = predict(problem, posterior, key=key, num_samples=None)
    np.testing.assert_allclose(found.weights, [0.25, 0.5, 0.25])
    means = jax.vmap(bjm.flatten_means)(found.drawn)
    np.testing.assert_array_equal(means, draws)
    np.testing.assert_allclose(found.states.weights, found.weights)
    assert "3 draws, weighted" in repr(found)
    for of in ("observables", "observations", "states"):
        summary = bjm.summarise(found, of=of)
        np.testing.assert_allclose(summary.effective_sample_size, 8 / 3, rtol=1e-6)
    mean = np.average(found.observables, axis=0, weights=[1, 2, 1])
    np.testing.assert_allclose(bjm.summarise(found).mean, mean, rtol=1e-5)
    picked = predict(problem, posterior, key=key, num_samples=4)
    assert picked.weights is None
    with pytest.raises(ValueError, match="`num_samples` is None"):
        predict(problem, model, key=key, num_samples=None)


def test_a_failed_draw_stays_and_is_counted(key):
    problem = bjm.Problem(
        lambda m: jnp.sqrt(m.mean) * jnp.ones(3),
        LogNormalLikelihood(0.1),
        np.ones(3),
        prior=None,
    )
    draws = jnp.array([[1.0], [-1.0], [4.0]])
    posterior = bjm.DrawsPosterior(bjm.make_parameter(jnp.ones(1)), draws)
    found = predict(problem, posterior, key=key, num_samples=None)
    np.testing.assert_array_equal(found.succeeded, [True, False, True])
    assert found.num_failed == 1
    assert np.all(np.isnan(found.observations[1]))
    assert "3 draws; 1 failed (33.3 %)" in repr(found)
    summary = bjm.summarise(found)
    assert summary.num_failed == 1
    np.testing.assert_allclose(summary.mean, 1.5)


def test_solves_that_fail(problem, model, key):
    few = bjm.Problem(
        problem.simulate.replace(max_steps=1, dt0=0.1, rtol=1e-6),
        likelihood=NormalLikelihood(0.1),
        observations=None,
        prior=None,
    )
    found = predict(few, model, key=key, num_samples=3)
    assert found.num_failed == 3
    assert np.all(np.isnan(found.observables))
    with pytest.raises(bjm.AllFailedError):
        bjm.summarise(found)


def test_series_and_sums(key):
    model = [bjm.make_parameter(0.5, stdv=0.1), bjm.make_parameter(2.0, stdv=0.1)]

    def simulate(drawn):
        return {"short": line(drawn)[:2], "long": line(drawn)}

    data = {"short": np.ones(2), "long": np.ones(4)}
    pair = bjm.Problem(simulate, NormalLikelihood(0.1), data, prior=None)
    one = bjm.Problem(line, NormalLikelihood(0.1), None, prior=None)
    found = predict(pair, model, key=key, num_samples=6)
    assert set(found.observations) == {"short", "long"}
    summaries = bjm.summarise(found, of="observations")
    assert summaries["short"].mean.shape == (2,)
    assert summaries["long"].mean.shape == (4,)
    both = predict(pair + one, model, key=key, num_samples=6)
    assert both.observations[0]["long"].shape == both.observations[1].shape == (6, 4)
    np.testing.assert_array_equal(both.observables[1], found.observables["long"])
    assert not np.array_equal(both.observations[1], both.observations[0]["long"])
    assert both.observed[1] is None
    assert bjm.summarise(both)[1].mean.shape == (4,)


def test_a_sequence_is_scanned(key):
    cell = bjm.make_parameter(0.9, stdv=0.01)

    def scan(cell):
        def step(state, x):
            state = cell.mean * state + x
            return state, state

        return jax.lax.scan(step, jnp.zeros((), cell.mean.dtype), jnp.ones(5))[1]

    problem = bjm.Problem(scan, NormalLikelihood(0.1), np.ones(5), prior=None)
    found = predict(problem, cell, key=key, num_samples=4)
    decay = np.asarray(found.drawn.mean)[:, None]
    exact = (1 - decay ** np.arange(1, 6)) / (1 - decay)
    np.testing.assert_allclose(found.observables, exact, rtol=1e-4)
    np.testing.assert_array_equal(bjm.summarise(found).ts, np.arange(5.0))


def test_double_precision(x64, key):
    model = bjm.make_parameter(0.5, stdv=0.1)
    problem = bjm.Problem(
        lambda m: m.mean * jnp.ones(2), NormalLikelihood(0.1), np.ones(2), prior=None
    )
    found = predict(problem, model, key=key, num_samples=3)
    leaves = (found.observables, found.observations, found.log_likelihood)
    assert all(leaf.dtype == np.float64 for leaf in leaves)


def test_wrong_arguments(problem, model, key):
    settings = {"key": key, "num_samples": 3}
    with pytest.raises(
        TypeError, match=r"the order is `predict\(problem, posterior\)`"
    ):
        predict(model, problem, **settings)
    with pytest.raises(TypeError, match="`problem` must be .* use `map_posterior`"):
        predict(lambda m: 0.0, model, **settings)
    with pytest.raises(TypeError, match="`posterior` is a Problem"):
        predict(problem, problem, **settings)
    with pytest.raises(ValueError, match="`num_samples` must be at least 1, but got 0"):
        predict(problem, model, key=key, num_samples=0)


def test_an_estimate_is_no_posterior(key):
    model = bjm.make_parameter(0.5)
    problem = bjm.Problem(
        lambda m: m.mean * jnp.ones(2), NormalLikelihood(0.1), np.ones(2), prior=None
    )
    mode = bjm.map_estimate(problem, model, key=key, num_starts=1)
    with pytest.raises(TypeError, match="A MAPEstimate is no posterior"):
        predict(problem, mode, key=key, num_samples=3)
