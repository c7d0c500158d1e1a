"""Importance sampling squared against exact answers."""

import csv
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels import likelihoods, priors
from tests._infer._nested.lines import population_of, subjects_of

DATA = Path(__file__).parents[3] / "examples" / "data"


@pytest.fixture(scope="module")
def posterior(lines, fit):
    _, population, _, _ = lines
    return bjm.nested_importance(population, fit, key=random.key(0))


def test_lines_are_exact(lines, posterior):
    mean, stdv, log_evidence = lines[-1]
    assert abs(posterior.diagnostics.log_evidence - log_evidence) < 0.02
    away = (np.asarray(posterior.flatten_means()) - mean) / stdv
    assert np.max(abs(away)) < 0.06
    assert np.allclose(posterior.flatten_stdvs(), stdv, rtol=0.05)
    assert posterior.diagnostics.complaints() == []
    own = stdv[2:].reshape(-1, 2) ** 2
    between = mean[2:].reshape(-1, 2).var(axis=0)
    shrinkage = 1 - np.sqrt(between / (between + own.mean(axis=0)))
    assert np.allclose(posterior.diagnostics.shrinkage, shrinkage, atol=0.03)
    assert posterior.diagnostics.names == tuple("1234567")


def test_the_same_key_gives_the_same_draws(lines, fit, posterior):
    again = bjm.nested_importance(lines[1], fit, key=random.key(0))
    assert np.array_equal(again.draws, posterior.draws)
    other = bjm.nested_importance(lines[1], fit, key=random.key(1), num_samples=1_000)
    assert not np.array_equal(other.draws, posterior.draws[:1_000])


class Theophylline(bjm.Module):
    """Log absorption rate, clearance and volume."""

    typical: bjm.AbstractParameter
    between: bjm.AbstractParameter
    effects: bjm.AbstractParameter
    noise: bjm.AbstractParameter


def concentrations(subject):
    """One compartment with first-order absorption, in closed form."""

    def simulate(drawn):
        ka, clearance, volume = jnp.exp(drawn.effects.value)
        k = clearance / volume
        times = jnp.asarray(subject.ts, k.dtype)
        amount = jnp.asarray(jnp.sum(subject.doses[0].amounts), k.dtype)
        absorbed = (jnp.exp(-k * times) - jnp.exp(-ka * times)) * ka / (ka - k)
        return amount / volume * absorbed

    return bjm.Problem(
        simulate,
        lambda m: likelihoods.NormalLikelihood(m.noise.value),
        subject.observations,
        prior=None,
    )


def test_theophylline_is_the_reference(x64):
    # Stan's rule, against a long run of NumPyro on the same closed form.
    lines = (DATA / "theophylline_reference.csv").read_text().splitlines()
    reference = list(csv.DictReader(line for line in lines if line[0] != "#"))
    assert len(reference) == 43
    subjects = bjm.read_events(DATA / "theophylline.csv")
    centre = np.array([0.5, 1.0, 3.5])
    prior = bjm.Prior(
        {
            "typical": priors.Normal(centre, 0.5),
            "between": priors.HalfNormal(1.0),
            "effects": priors.Normal(
                lambda m: m.typical.value, lambda m: m.between.value
            ),
            "noise": priors.HalfNormal(2.0),
        }
    )
    population = bjm.Population(
        concentrations, subjects, prior=prior, effects="effects"
    )
    model = Theophylline(
        typical=bjm.make_parameter(centre),
        between=bjm.make_parameter(np.full(3, 0.3), support="positive"),
        effects=bjm.make_parameter(np.tile(centre, (12, 1))),
        noise=bjm.make_parameter(1.0, support="positive"),
    )
    found = bjm.infer(population, model, key=random.key(0))
    assert found.trustworthy
    rows = {row.name: row for row in bjm.posterior_table(found).parameters}
    for one in reference:
        row, index = rows[one["quantity"]], int(one["index"])
        mean, stdv = np.ravel(row.mean)[index], np.ravel(row.stdv)[index]
        assert abs(mean - float(one["mean"])) < 0.15 * float(one["sd"]), one
        assert 0.88 < stdv / float(one["sd"]) < 1.12, one


def test_says_what_is_wrong(lines, fit):
    _, population, model, _ = lines
    with pytest.raises(TypeError, match="`start` must be what `nested_laplace`"):
        bjm.nested_importance(population, model, key=random.key(0))
    with pytest.raises(ValueError, match="`num_samples` must be at least 100"):
        bjm.nested_importance(population, fit, key=random.key(0), num_samples=10)
    with pytest.raises(ValueError, match="`num_particles` must be at least 4"):
        bjm.nested_importance(population, fit, key=random.key(0), num_particles=2)


def test_many_subjects_on_two_threads(key):
    # Some hundred small matrices at once were seen to stop for ever.
    population, model = population_of(subjects_of(200))
    fit = bjm.nested_laplace(population, model)
    with pytest.warns(UserWarning, match="effective draws are below 400"):
        found = bjm.nested_importance(
            population, fit, key=key, num_samples=100, num_rounds=1
        )
    assert np.isfinite(found.diagnostics.log_evidence)
