"""Populations: the sum of their subjects, whatever their length."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels import likelihoods, priors


class Kinetics(bjm.Module):
    """One compartment with absorption; the log rates of each subject."""

    typical: bjm.AbstractParameter
    between: bjm.AbstractParameter
    effects: bjm.AbstractParameter
    noise: bjm.AbstractParameter

    def __call__(self, t, y, args):
        absorption, elimination = jnp.exp(self.effects.value)
        return jnp.stack([-absorption * y[0], absorption * y[0] - elimination * y[1]])


def problem_of(subject):
    weight = jnp.asarray(subject.covariates["weight"], jnp.float32)
    return bjm.Problem(
        bjm.Solve(subject.ts, t0=0.0, y0=jnp.zeros(2), jumps=subject.doses),
        lambda m: likelihoods.NormalLikelihood(m.noise.value),
        subject.observations,
        observe=lambda solved, m: solved.ys[..., 1] / weight,
        prior=None,
    )


AROUND = priors.Normal(lambda m: m.typical.value, lambda m: m.between.value)
PRIOR = bjm.Prior(
    {
        "typical": priors.Normal(0.0, 1.0),
        "between": priors.HalfNormal(1.0),
        "effects": AROUND,
        "noise": priors.HalfNormal(1.0),
    }
)
SUBJECTS = [
    bjm.Subject(
        [1.0, 2.0, 5.0],
        [2.0, 3.0, 1.0],
        doses=bjm.Doses([0.0, 3.0], [10.0, 5.0], into=0),
        covariates={"weight": 2.0},
        name="a",
    ),
    bjm.Subject(
        [0.5],
        [1.5],
        doses=bjm.Doses(0.0, 8.0, into=0),
        covariates={"weight": 1.5},
        name="b",
    ),
]
EFFECTS = np.array([[0.1, -0.9], [-0.2, -1.1]])
MODEL = Kinetics(
    typical=bjm.make_parameter([0.0, -1.0]),
    between=bjm.make_parameter([0.3, 0.2], support="positive"),
    effects=bjm.make_parameter(EFFECTS),
    noise=bjm.make_parameter(0.2, support="positive"),
)


def population(subjects=SUBJECTS, problem_of=problem_of, **changes):
    given = {"prior": PRIOR, "effects": "effects"} | changes
    return bjm.Population(problem_of, subjects, **given)


def of_one(index, ts=None):
    """A subject by itself."""
    problem = problem_of(SUBJECTS[index])
    problem = problem if ts is None else problem.at(ts)
    row = bjm.make_parameter(EFFECTS[index])
    return problem, Kinetics(MODEL.typical, MODEL.between, row, MODEL.noise)


@pytest.fixture(scope="module")
def outcome():
    return population().outcome(MODEL, random.key(0))


def test_likelihoods_are_those_of_each_by_itself(outcome):
    found = population().log_likelihoods(MODEL)
    for index in range(2):
        problem, own = of_one(index)
        assert np.allclose(found[index], problem.log_likelihood(own), rtol=1e-4)
    assert np.array_equal(outcome.pointwise[1, 1:], [0, 0])
    assert outcome.observables.shape == (2, 3)
    assert outcome.observations.shape == (2, 3)


def test_the_density_is_their_sum_and_the_prior():
    whole = population()
    found = whole(MODEL)
    parts = np.sum(whole.log_likelihoods(MODEL)) + bjm.log_prior(MODEL, PRIOR)
    assert np.allclose(found, parts, rtol=1e-5)
    of_effects = whole.log_priors_of_effects(MODEL)
    assert of_effects.shape == (2,)
    shared = whole.log_prior_of_rest(MODEL)
    assert np.allclose(shared + np.sum(of_effects), whole.log_prior(MODEL), rtol=1e-5)


def test_data_are_filled_up_with_what_does_not_count():
    whole = population()
    assert whole.observations.shape == (2, 3)
    assert np.isnan(whole.observations[1, 1:]).all()
    assert whole.counted.tolist() == [[True] * 3, [True, False, False]]
    assert whole.ts.tolist() == [[1, 2, 5], [0.5, 0.5, 0.5]]
    assert "2 subjects with 4 times of observation, effects effects" in str(whole)


def test_other_times_are_those_of_all():
    ts = np.array([0.5, 4.0])
    found = population().at(ts).outcome(MODEL)
    for index in range(2):
        problem, own = of_one(index, ts)
        assert np.allclose(
            found.observables[index], problem.outcome(own).observables, rtol=1e-4
        )
    assert found.pointwise is None


def test_tangents_touch_and_have_the_slope():
    whole = population()
    tangent = whole.linearised(MODEL)
    assert np.allclose(
        tangent.log_likelihoods(MODEL), whole.log_likelihoods(MODEL), rtol=1e-4
    )

    def gradient(problem):
        def at(effects):
            moved = Kinetics(
                MODEL.typical, MODEL.between, bjm.make_parameter(effects), MODEL.noise
            )
            return jnp.sum(problem.log_likelihoods(moved))

        return jax.jit(jax.grad(at))(jnp.asarray(EFFECTS, jnp.float32))

    assert np.allclose(gradient(tangent), gradient(whole), rtol=1e-2, atol=1e-2)


def test_one_by_one_is_the_same():
    whole = population()
    found = whole.one_by_one().log_likelihoods(MODEL)
    assert np.allclose(found, whole.log_likelihoods(MODEL), rtol=1e-5)


def test_arguments_are_held_to_what_they_must_be():
    with pytest.raises(TypeError, match="`problem_of` must be a function"):
        population(problem_of=3)
    with pytest.raises(TypeError, match="`prior` must be a `Prior`"):
        population(prior=None)
    with pytest.raises(ValueError, match="`effects` names one twice"):
        population(effects=["effects", "effects"])
    with pytest.raises(ValueError, match="`effects` must name at least one"):
        population(effects=())
    with pytest.raises(TypeError, match="Subject a: `problem_of` must return a `Prob"):
        population(problem_of=lambda subject: 3)
    with pytest.raises(ValueError, match="Subject a: `problem_of` must leave"):
        population(
            problem_of=lambda subject: bjm.Problem(
                lambda m: subject.ts,
                likelihoods.NormalLikelihood(1.0),
                subject.observations,
                prior=PRIOR,
            )
        )
    with pytest.raises(ValueError, match="Subject a: `problem_of` asks for 'height'"):
        population(problem_of=lambda subject: subject.covariates["height"])


def test_other_subjects_have_no_data():
    dose = bjm.Doses(0.0, 20.0, into=0)
    known = {"weight": 2.0}
    others = [
        bjm.Subject([1.0, 2.0], doses=dose, covariates=known),
        bjm.Subject([1.0], doses=dose, covariates=known, name="b"),
    ]
    found, seen = population().of_subjects(others)
    assert seen == [-1, 1]
    assert found.names == ("new 1", "b")
    assert found.observations is None
    assert found.counted.tolist() == [[True, True], [True, False]]
    outcome = found.outcome(MODEL)
    assert outcome.pointwise is None
    assert outcome.observables.shape == (2, 2)
    without = bjm.Subject([1.0], covariates=known, name="z")
    with pytest.raises(ValueError, match="Subject z: It has no observations"):
        population([SUBJECTS[0], without])


def test_what_is_wrong_with_one_subject_has_its_name():
    lost = bjm.Subject(
        [0.5], [1.5], doses=bjm.Doses(0.0, 8.0, into=2), covariates={"weight": 1.0}
    )
    whole = population([SUBJECTS[0], lost])
    with pytest.raises(ValueError, match="Subject 2: .*the state has 2 compartments"):
        whole.explain(MODEL)
    with pytest.raises(ValueError, match="Subject 2: .*the state has 2 compartments"):
        whole(MODEL)
    # From inside a program: what is wrong, without the name.
    with pytest.raises(ValueError, match="`into` is 2, but the state has 2 compart"):
        bjm.predict(whole, MODEL, key=random.key(0), num_samples=2)
    with pytest.raises(ValueError, match="Subject 2: .*the state has 2 compartments"):
        bjm.infer(whole, MODEL, key=random.key(0))


def test_rows_of_effects_are_counted():
    whole = population(SUBJECTS[:1])
    with pytest.raises(ValueError, match="`effects` must have a row for each of 1"):
        whole.check(MODEL)
    other = population(effects="efects")
    with pytest.raises(ValueError, match="no parameter of that name. Near matches:"):
        other.check(MODEL)


def test_data_outside_of_the_support_have_a_name():
    def log_normal(subject):
        return bjm.Problem(
            lambda m: jnp.exp(m.effects.value[0]) + jnp.zeros(np.shape(subject.ts)),
            likelihoods.LogNormalLikelihood(0.1),
            subject.observations,
            prior=None,
        )

    wrong = bjm.Subject([1.0], [-1.0], covariates={"weight": 1.0}, name="c")
    whole = population([SUBJECTS[0], wrong], log_normal)
    with pytest.raises(ValueError, match="Subject c: `observations` must be"):
        whole.check(MODEL)


def test_foreseen_subjects_of_different_length_say_which_times_are_theirs(key):
    ahead = bjm.predict(
        population(SUBJECTS),
        MODEL,
        subjects=[
            bjm.Subject([1.0, 6.0], covariates={"weight": 1.0}),
            bjm.Subject([1.0], covariates={"weight": 1.0}),
        ],
        key=key,
        num_samples=4,
    )
    assert ahead.observed is None
    assert np.asarray(ahead.mask).tolist() == [[True, True], [True, False]]
