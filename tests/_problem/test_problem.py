"""Problems: what is observed of a simulation, and what that is worth."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels import likelihoods, priors

TS = np.array([0.5, 1.0, 2.0])
DATA = np.array([0.7, 0.65, 0.3])


class Decay(bjm.AbstractVectorField):
    """A substance that decays, measured as a concentration."""

    rate: bjm.AbstractParameter
    volume: bjm.AbstractParameter
    noise: bjm.AbstractParameter

    def __call__(self, t, y, args):
        return -self.rate.value * y


def decay(rate=0.5, volume=2.0, noise=0.1):
    made = {"rate": rate, "volume": volume, "noise": noise}
    return Decay(
        **{name: bjm.make_parameter(x, support="positive") for name, x in made.items()}
    )


MODEL = decay()
PRIOR = bjm.Prior(default=priors.LogNormal(0.0, 1.0))
SOLVE = bjm.Solve(TS, t0=0.0, y0=2.0)


def concentration(solved, model):
    return solved.ys / model.volume.value


def noise_of(model):
    return likelihoods.NormalLikelihood(model.noise.value)


PROBLEM = bjm.Problem(SOLVE, noise_of, DATA, prior=PRIOR, observe=concentration)


def test_the_log_joint_density_is_what_one_writes_by_hand():
    solved = SOLVE(MODEL)
    mean = solved.ys / 2.0
    by_hand = scipy.stats.norm.logpdf(DATA, mean, 0.1)
    np.testing.assert_allclose(mean, np.exp(-0.5 * TS), rtol=1e-4)
    np.testing.assert_allclose(PROBLEM.pointwise(MODEL), by_hand, rtol=1e-5)
    assert PROBLEM.log_likelihood(MODEL) == pytest.approx(by_hand.sum(), rel=1e-5)
    assert PROBLEM.log_prior(MODEL) == bjm.log_prior(MODEL, PRIOR)
    total = PROBLEM.log_likelihood(MODEL) + PROBLEM.log_prior(MODEL)
    assert PROBLEM(MODEL) == pytest.approx(float(total), rel=1e-6)


def test_it_is_a_log_density_for_vmap_grad_and_jit():
    draws = jax.vmap(lambda key: bjm.sample_all_parameters(MODEL, key))(
        random.split(random.key(0), 3)
    )
    of_all = eqx.filter_jit(eqx.filter_vmap(PROBLEM))(draws)
    one_by_one = [
        PROBLEM(jax.tree.map(lambda leaf, i=i: leaf[i], draws)) for i in (0, 1, 2)
    ]
    np.testing.assert_allclose(of_all, np.stack(one_by_one), rtol=1e-4)
    slope = eqx.filter_grad(PROBLEM)(MODEL).rate.mean
    h = 1e-2

    def at(shift):
        moved = eqx.tree_at(lambda m: m.rate.mean, MODEL, MODEL.rate.mean + shift)
        return float(PROBLEM(moved))

    assert slope == pytest.approx((at(h) - at(-h)) / (2 * h), rel=1e-2)


def test_float64_is_kept(x64):
    problem = bjm.Problem(
        bjm.Solve(TS, t0=0.0, y0=2.0, rtol=1e-9, atol=1e-9),
        noise_of,
        DATA,
        prior=PRIOR,
        observe=concentration,
    )
    value = problem(decay())
    assert value.dtype == jnp.float64
    by_hand = scipy.stats.norm.logpdf(DATA, np.exp(-0.5 * TS), 0.1).sum()
    assert problem.log_likelihood(decay()) == pytest.approx(by_hand, rel=1e-7)


def test_observations_are_drawn_with_their_noise():
    keys = random.split(random.key(0), 4_000)
    drawn = jax.jit(jax.vmap(lambda key: PROBLEM.simulate_observations(key, MODEL)))(
        keys
    )
    assert drawn.shape == (4_000, 3)
    np.testing.assert_allclose(drawn.mean(0), np.exp(-0.5 * TS), atol=0.006)
    np.testing.assert_allclose(drawn.std(0), 0.1, rtol=0.05)


def test_a_failed_solve_is_minus_infinity_with_gradients_that_are_finite():
    blows_up = bjm.Problem(
        bjm.Solve(TS, t0=0.0, y0=2.0, vector_field=lambda m: lambda t, y, args: y**2),
        lambda m: likelihoods.LogNormalLikelihood(m.noise.value),
        DATA,
        prior=PRIOR,
        observe=concentration,
    )
    value, gradient = eqx.filter_value_and_grad(blows_up)(MODEL)
    assert value == -np.inf
    of_prior = eqx.filter_grad(lambda m: bjm.log_prior(m, PRIOR))(MODEL)
    for name in ("rate", "volume", "noise"):
        slopes = [getattr(tree, name).mean for tree in (gradient, of_prior)]
        np.testing.assert_array_equal(*slopes)
    assert (blows_up.pointwise(MODEL) == -np.inf).all()
    assert np.isnan(blows_up.simulate_observations(random.key(0), MODEL)).all()


def vector(drawn):
    return jnp.stack([drawn.value * TS, 2 * drawn.value * TS], axis=-1)


def keyed(drawn):
    return {"prey": drawn.value * TS, "predator": 2 * drawn.value * TS}


def test_what_is_missing_may_hold_anything():
    data = np.array([0.7, np.nan, 0.3])
    problem = bjm.Problem(
        SOLVE, noise_of, data, prior=PRIOR, observe=concentration, mask=~np.isnan(data)
    )
    each = problem.pointwise(MODEL)
    assert each[1] == 0
    np.testing.assert_array_equal(each[::2], PROBLEM.pointwise(MODEL)[::2])
    gradient = eqx.filter_grad(problem)(MODEL)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    by_row = bjm.Problem(
        vector,
        likelihoods.NormalLikelihood(0.2),
        np.full((3, 2), 1.0),
        prior=None,
        mask=np.array([True, False, True]),
    )
    assert (by_row.pointwise(bjm.make_parameter(1.5))[1] == 0).all()


def test_several_series_have_parts_of_their_own():
    data = {"prey": DATA, "predator": 2 * DATA}
    problem = bjm.Problem(
        keyed,
        {
            "prey": likelihoods.NormalLikelihood(0.2),
            "predator": lambda m: likelihoods.NormalLikelihood(m.value),
        },
        data,
        prior=None,
        mask={"predator": np.array([True, True, False])},
    )
    model = bjm.make_parameter(1.5)
    each = problem.pointwise(model)
    of_prey = scipy.stats.norm.logpdf(DATA, 1.5 * TS, 0.2)
    of_predator = scipy.stats.norm.logpdf(2 * DATA, 3 * TS, 1.5) * [1, 1, 0]
    np.testing.assert_allclose(each["prey"], of_prey, rtol=1e-5)
    np.testing.assert_allclose(each["predator"], of_predator, rtol=1e-5)
    wanted = of_prey.sum() + of_predator.sum()
    assert problem(model) == pytest.approx(wanted, rel=1e-5)
    drawn = problem.simulate_observations(random.key(0), model)
    noise = {name: drawn[name] - keyed(model)[name] for name in data}
    assert list(noise) == list(data)
    assert np.abs(np.corrcoef(noise["prey"], noise["predator"] / 1.5)[0, 1]) < 0.999


def test_one_function_may_say_the_likelihoods_of_all_series():
    data = {"prey": DATA, "predator": DATA}

    def noises(model):
        return {name: likelihoods.NormalLikelihood(model.value) for name in data}

    alike = bjm.Problem(keyed, noises, data, prior=None)
    one = bjm.Problem(
        keyed, lambda m: likelihoods.NormalLikelihood(m.value), data, prior=None
    )
    model = bjm.make_parameter(1.5)
    assert alike(model) == one(model)


def test_a_sequence_model_is_a_problem_like_any_other():
    series = np.sin(np.arange(12.0)).astype(np.float32)

    class Network(bjm.Module):
        cell: bjm.Bayesian
        readout: bjm.BayesianLinear

        def read(self, series):
            def step(hidden, x):
                hidden = self.cell(x[None], hidden, sample=False)
                return hidden, self.readout(hidden, sample=False)[0]

            return jax.lax.scan(step, jnp.zeros(2), series)[1]

    keys = random.split(random.key(0))
    cell = bjm.Bayesian(eqx.nn.GRUCell(1, 2, key=keys[0]))
    network = Network(cell, bjm.BayesianLinear(2, 1, key=keys[1]))
    problem = bjm.Problem(
        eqx.Partial(Network.read, series=jnp.asarray(series[:-1])),
        likelihoods.NormalLikelihood(0.1),
        series[1:],
        prior=bjm.Prior(default=priors.Normal(0.0, 0.5)),
    )
    means = network.read(jnp.asarray(series[:-1]))
    by_hand = scipy.stats.norm.logpdf(series[1:], means, 0.1).sum()
    assert problem.log_likelihood(network) == pytest.approx(by_hand, rel=1e-4)
    with pytest.raises(TypeError, match=r"method `at\(ts\)`. `simulate` is a Partial"):
        problem.at(TS)


def test_other_times_have_no_observations():
    later = PROBLEM.at(np.array([4.0]))
    np.testing.assert_allclose(
        later.outcome(MODEL).observables, np.exp([-2.0]), rtol=1e-4
    )
    drawn = later.simulate_observations(random.key(0), MODEL)
    assert drawn.shape == (1,)
    with pytest.raises(ValueError, match="has no observations"):
        later(MODEL)


def test_forward_mode_gives_the_same_value_and_leaves_a_choice_alone():
    forwards = PROBLEM.in_forward_mode()
    assert isinstance(forwards.simulate.adjoint, diffrax.ForwardMode)
    assert forwards(MODEL) == PROBLEM(MODEL)
    chosen = bjm.Problem(
        SOLVE.replace(adjoint=diffrax.DirectAdjoint()), noise_of, DATA, prior=None
    )
    assert chosen.in_forward_mode() is chosen


def test_check_tells_what_only_values_can_tell():
    PROBLEM.check(MODEL)
    wrong = bjm.Problem(
        SOLVE,
        lambda m: likelihoods.LogNormalLikelihood(m.noise.value),
        np.array([0.5, -0.1, 0.0]),
        prior=PRIOR,
    )
    words = r"finite and positive under a LogNormalLikelihood, but 2 are not: at \(1,\)"
    with pytest.raises(ValueError, match=words):
        wrong.check(MODEL)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"simulate": 3}, TypeError, "`simulate` must be a `Solve` or a function"),
        ({"likelihood": 0.1}, TypeError, "`likelihood` must be one such as"),
        ({"prior": priors.Normal()}, TypeError, r"`Prior\(default=...\)`"),
        ({"prior": 3}, TypeError, "`prior` must be a `Prior`"),
        ({"observations": "data"}, TypeError, "`observations` must be an array"),
        (
            {"observations": [0.7, np.nan, np.nan]},
            ValueError,
            r"NaN at \(1,\) .*1 more",
        ),
        ({"mask": [1, 1, 0]}, TypeError, "`mask` must be boolean.*int64"),
        ({"mask": [True, False]}, ValueError, r"`mask` has shape \(2,\).*\(3,\)"),
        ({"mask": [False] * 3}, ValueError, "None of `observations` counts"),
        ({"observe": 1.5}, TypeError, "`observe` must be an index"),
        ({"observe": (0, "y")}, TypeError, "`observe` must be an index"),
        ({"observe": {"z": 0}}, ValueError, r"`observe` is a dictionary of \['z'\]"),
        (
            {
                "likelihood": likelihoods.NormalLikelihood(
                    log_scale=bjm.make_parameter(0.0)
                )
            },
            ValueError,
            r"parameters of its own, \['log_scale'\]",
        ),
    ],
    ids=lambda argument: None,
)
def test_a_wrong_argument_is_named(change, error, words):
    arguments = {
        "simulate": SOLVE,
        "likelihood": noise_of,
        "observations": DATA,
        "prior": PRIOR,
    }
    with pytest.raises(error, match=words):
        bjm.Problem(**(arguments | change))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (
            {"observations": DATA[:2]},
            ValueError,
            r"`observation` has shape \(2,\).*\(3,\)",
        ),
        ({"likelihood": lambda m: 0.1}, TypeError, "`likelihood` must return one such"),
        ({"observe": "prey"}, ValueError, "names 'prey', but the states have no part"),
        ({"observe": 2}, ValueError, r"what is observed of the prediction has \(\)"),
        ({"observe": lambda solved, m: solved}, TypeError, "returned a Trajectory"),
        ({"simulate": keyed}, TypeError, "Say with `observe` what of it is observed"),
        (
            {"observations": {"a": DATA, "b": DATA[:2]}},
            ValueError,
            r"Of the series 'b': `observation` has shape \(2,\)",
        ),
    ],
    ids=lambda argument: None,
)
def test_a_mismatch_is_told_when_it_is_met(change, error, words):
    arguments = {
        "simulate": SOLVE,
        "likelihood": noise_of,
        "observations": DATA,
        "prior": PRIOR,
    }
    problem = bjm.Problem(**(arguments | change))
    model = bjm.make_parameter(1.5) if "simulate" in change else MODEL
    if "simulate" in change:
        problem = eqx.tree_at(
            lambda p: p.likelihood, problem, likelihoods.NormalLikelihood(0.1)
        )
    with pytest.raises(error, match=words):
        problem(model)


@pytest.mark.parametrize("argument", ["likelihood", "observe", "mask"])
def test_names_of_series_must_agree(argument):
    parts = {
        "likelihood": likelihoods.NormalLikelihood(0.1),
        "observe": 0,
        "mask": np.ones(3, bool),
    }
    wrong = {argument: {"prey": parts[argument], "lynx": parts[argument]}}
    arguments = {"likelihood": parts["likelihood"]} | wrong
    words = rf"`{argument}` is a dictionary of \['prey', 'lynx'\].*\['prey', 'hare'\]"
    with pytest.raises(ValueError, match=words):
        bjm.Problem(
            keyed, observations={"prey": DATA, "hare": DATA}, prior=None, **arguments
        )


def test_a_posterior_in_the_place_of_a_model_is_refused():
    posterior = bjm.JointPosterior.full(MODEL, 0.1)
    for verb in (PROBLEM, PROBLEM.pointwise, PROBLEM.log_likelihood):
        with pytest.raises(TypeError, match="JointPosterior.*Pass a model"):
            verb(posterior)


def test_nothing_compiles_for_new_data_of_the_same_shape():
    calls = 0

    @eqx.filter_jit
    def value(problem, model):
        nonlocal calls
        calls += 1
        return problem(model)

    first = value(PROBLEM, MODEL)
    other = bjm.Problem(SOLVE, noise_of, DATA + 0.1, prior=PRIOR, observe=concentration)
    assert value(other, MODEL) != first
    assert calls == 1
