"""Verbs that are given a posterior or a fit answer for it, or refuse by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm

COVARIANCE = np.array([[0.04, 0.03, 0.0], [0.03, 0.09, 0.0], [0.0, 0.0, 4.0]])
DRAWS = np.array([[0.4, 1.9, 30.0], [0.5, 2.0, 31.0], [0.7, 2.6, 29.0]])
WEIGHTS = np.array([0.25, 0.5, 0.25])
PRIOR = bjm.Prior(default=bjm.priors.Normal(0.0, 1.0))


def model_of(shift=0.0):
    return {
        "rates": bjm.make_parameter(shift + np.array([0.5, 2.0]), stdv=0.1),
        "start": bjm.make_parameter(shift + 30.0),
    }


def mode_of(model):
    one, none = np.ones(1), np.zeros(1, bool)
    return bjm.MAPEstimate(
        model,
        log_density=np.array(1.0),
        log_densities=one,
        ends=np.ones((1, 3)),
        failed=none,
        converged=~none,
        outcomes=("converged",),
        noise=one,
        num_redrawn=0,
        modes=(),
    )


MEAN = np.array([0.5, 2.0, 30.0])
OWN_STDV = np.array([0.1, 0.1, 2e-4])


def of_mixture(weights, means, stdvs):
    weights = np.asarray(weights)[:, None]
    mean = np.sum(weights * means, axis=0)
    square = np.sum(weights * (np.square(stdvs) + np.square(means)), axis=0)
    return mean, np.sqrt(square - mean**2)


def posteriors():
    """Each with the mean and the standard deviation that it has."""
    of_draws = np.average(DRAWS, axis=0, weights=WEIGHTS)
    variance = np.average((DRAWS - of_draws) ** 2, axis=0, weights=WEIGHTS)
    draws = bjm.DrawsPosterior(
        model_of(), jnp.asarray(DRAWS), jnp.log(jnp.asarray(WEIGHTS))
    )
    joint = bjm.JointPosterior.gaussian(model_of(), COVARIANCE)
    stacked = jax.tree.map(lambda *x: jnp.stack(x), model_of(), model_of(0.4))
    stdv = np.sqrt(np.diag(COVARIANCE))
    both = [MEAN, of_draws], [stdv, np.sqrt(variance)]
    members = [MEAN, MEAN + 0.4], [OWN_STDV, OWN_STDV]
    return {
        "joint": (joint, MEAN, stdv),
        "draws": (draws, of_draws, np.sqrt(variance)),
        "mixture": (
            bjm.MixturePosterior([joint, draws], weights=[1.0, 3.0]),
            *of_mixture([0.25, 0.75], *both),
        ),
        "ensemble": (
            bjm.ensemble(stacked, weights=[3.0, 1.0]),
            *of_mixture([0.75, 0.25], *members),
        ),
    }


@pytest.mark.parametrize("name", ["joint", "draws", "mixture", "ensemble"])
def test_a_posterior_answers_for_itself(name, key, x64):
    posterior, mean, stdv = posteriors()[name]
    np.testing.assert_allclose(bjm.flatten_means(posterior), mean, rtol=1e-9)
    np.testing.assert_allclose(bjm.flatten_stdvs(posterior), stdv, rtol=1e-7)
    drawn = bjm.sample_all_parameters(posterior, key)
    assert jax.tree.structure(drawn) == jax.tree.structure(model_of())
    np.testing.assert_array_equal(
        bjm.flatten_means(drawn), bjm.flatten_means(posterior.draw(key))
    )
    assert bjm.get_parameter_count(posterior)["total"] == 3
    table = bjm.parameter_table(posterior)
    assert [row.name for row in table.rows] == ["['rates']", "['start']"]
    assert {row.type for row in table.rows} == {type(posterior).__name__}
    np.testing.assert_allclose(table.rows[0].mean, mean[:2], rtol=1e-9)
    np.testing.assert_allclose(table.rows[1].stdv, stdv[2], rtol=1e-7)
    assert str(table).splitlines()[0].split() == [
        *("name", "type", "shape", "count", "mean", "sd")
    ]


def test_the_entropy_of_a_joint_posterior(x64):
    posterior = posteriors()["joint"][0]
    exact = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * COVARIANCE)[1]
    np.testing.assert_allclose(bjm.entropy(posterior), exact, rtol=1e-9)


def test_a_mode_has_no_widths():
    mode = mode_of(model_of())
    np.testing.assert_allclose(bjm.flatten_means(mode), MEAN)
    table = str(bjm.parameter_table(mode))
    assert table.count("not fitted") == 2
    assert "0 of them uncertain" in table
    assert "own sd" in str(bjm.parameter_table(mode.model))
    with pytest.raises(TypeError, match="A MAPEstimate is no posterior"):
        bjm.map_posterior(bjm.flatten_means, mode, key=jax.random.key(0), num_samples=3)


REFUSALS = {
    "get_parameters": "prior draws mode",
    "flatten_means": "prior",
    "flatten_stdvs": "prior mode",
    "log_prior": "joint draws prior mode",
    "kl_to_prior": "joint draws mixture ensemble prior mode",
    "sample_prior": "joint draws prior mode",
    "freeze_stdvs": "draws prior mode",
    "freeze_means": "draws prior mode",
    "freeze_params": "draws prior mode",
    "entropy": "draws mixture ensemble prior mode",
    "flatten_raw_stdvs": "joint draws mixture ensemble prior mode",
    "compute_prior": "joint draws mixture ensemble prior mode",
    "gaussian_entropy": "joint draws mixture ensemble prior mode",
    "laplacian_entropy": "joint draws mixture ensemble prior mode",
    "kl_divergence": "joint draws mixture ensemble prior mode",
    "unflatten_means": "joint draws mixture ensemble prior mode",
    "sample_all_parameters": "mode",
}


@pytest.mark.parametrize("verb", REFUSALS)
def test_what_has_no_answer_is_refused_by_name(verb, key):
    every = {name: posterior for name, (posterior, *_) in posteriors().items()}
    every |= {"prior": bjm.PriorDraws(model_of(), PRIOR), "mode": mode_of(model_of())}
    more = {"kl_divergence": (model_of(),), "unflatten_means": (MEAN,)}
    more |= {"sample_all_parameters": (key,), "freeze_params": (["model['rates']"],)}
    more |= {"log_prior": (PRIOR,), "kl_to_prior": (PRIOR,)}
    more["sample_prior"] = (PRIOR, key)
    for name in REFUSALS[verb].split():
        kind = type(every[name]).__name__
        with pytest.raises(TypeError, match=f"`{verb}` .* {kind}"):
            getattr(bjm, verb)(every[name], *more.get(verb, ()))
    if verb == "kl_divergence":
        with pytest.raises(TypeError, match="`kl_divergence` .* DrawsPosterior"):
            bjm.kl_divergence(model_of(), every["draws"])


def test_what_trains_a_posterior_walks_through_it():
    posterior = posteriors()["joint"][0]
    names = list(bjm.get_parameters(posterior))
    assert names == ["model['rates']", "model['start']", "joint"]
    dynamic, static = bjm.freeze_params(posterior, [*names[:2], "basis"])
    assert len(jax.tree.leaves(dynamic)) == 3  # mean, diagonal and what is below
    assert isinstance(bjm.unfreeze_all(dynamic, static), bjm.JointPosterior)


def test_a_posterior_is_no_template():
    mode, joint = mode_of(model_of()), posteriors()["joint"][0]
    for kind, make in (
        ("JointPosterior", lambda given: bjm.JointPosterior.full(given, 0.1)),
        ("DrawsPosterior", lambda given: bjm.DrawsPosterior(given, jnp.ones((2, 3)))),
        ("PriorDraws", lambda given: bjm.PriorDraws(given, PRIOR)),
        ("Linearised", lambda given: bjm.Linearised(bjm.flatten_means, given)),
    ):
        with pytest.raises(TypeError, match=f"`{kind}` does not .* JointPosterior"):
            make(joint)
        with pytest.raises(TypeError, match="not a MAPEstimate.* Pass its `model`"):
            make(mode)


def test_a_mode_prints_its_values_by_name():
    mode = mode_of({"k": bjm.make_parameter([0.5, 2.0], support="positive")})
    mode = bjm.map_estimate(
        lambda drawn: -jnp.sum(drawn["k"].mean ** 2),
        mode.model,
        key=jax.random.key(0),
        num_starts=2,
    )
    lines = str(mode).splitlines()
    assert lines[2].split() == ["['k'][0]", "1"]
    assert lines[5].startswith("MAPEstimate: log density ")
    [row] = bjm.parameter_table(mode).rows
    np.testing.assert_allclose(row.mean, 1, rtol=1e-3)
    printed = []
    jax.eval_shape(lambda mode: printed.append(str(mode)) or 0, mode)
    assert printed[0].startswith("MAPEstimate(")
