"""The training loop, beside loops written by hand."""

import inspect
import re
import sys
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels._train.fit import _check_learner, _read_data
from BayesianJaxModels.train import Fit, fit

TARGET = np.array([1.0, -2.0, 0.5])
DATA = {"x": np.arange(7.0), "place": np.arange(7)}
traces = []


def loss(model, key):
    """A parabola whose centre is drawn anew in each step."""
    traces.append(1)
    centre = TARGET.astype(model["theta"].dtype)
    centre += 0.1 * jax.random.normal(key, (3,), centre.dtype)
    return jnp.sum((model["theta"] - centre) ** 2) + jnp.sum(model["phi"] ** 4)


def start(dtype="float32"):
    return {"theta": np.zeros(3, dtype), "phi": jnp.ones(2, dtype), "name": "parabola"}


ADAM = optax.adam(0.1)


def by_hand(model, key, num_steps):
    """The loop that people write."""

    @jax.jit
    def step(model, state, key):
        value, slope = jax.value_and_grad(whole)(model, key)
        updates, state = ADAM.update(slope, state, model)
        return optax.apply_updates(model, updates), state, value

    def whole(model, key):
        return loss(model | {"name": "parabola"}, key)

    model = {name: jnp.asarray(model[name]) for name in ("theta", "phi")}
    losses = []
    with jax.numpy_dtype_promotion("standard"):
        state = ADAM.init(model)
        for i in range(num_steps):
            model, state, value = step(model, state, jax.random.fold_in(key, i))
            losses.append(value)
    return model, np.array(losses)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_is_the_loop_of_optax(key, x64, dtype):
    found = fit(loss, start(dtype), key=key, optimiser=ADAM, num_steps=130)
    model, losses = by_hand(start(dtype), key, 130)
    rtol = 1e-5 if dtype == "float32" else 1e-13
    np.testing.assert_allclose(found.losses, losses, rtol=rtol)
    for name in ("theta", "phi"):
        assert found.model[name].dtype == dtype
        np.testing.assert_allclose(found.model[name], model[name], rtol=rtol)
    assert found.model["name"] == "parabola"
    assert (found.num_steps, found.num_skipped, found.best_step) == (130, 0, 130)
    assert found.stopped_because == "all steps taken"
    assert len(found.checks) == len(found.check_steps) == 0
    means = losses[:13].mean(), losses[-13:].mean()
    assert repr(found) == (
        "Fit: 130 steps, all steps taken; loss {:.6g} at first and {:.6g} at last "
        "(means of 13 steps)".format(*means)
    )


def test_a_second_call_compiles_nothing(key):
    first = fit(loss, start(), key=key, optimiser=ADAM, num_steps=20)
    traces.clear()
    again = fit(loss, start(), key=key, optimiser=ADAM, num_steps=333, patience=99)
    other = fit(loss, start(), key=jax.random.key(1), optimiser=ADAM, num_steps=1)
    assert traces == []
    # The first steps are the same, whatever they were compiled or chunked for.
    np.testing.assert_array_equal(again.losses[:20], first.losses)
    assert other.losses[0] != first.losses[0]


def test_half_of_a_partition(key):
    rate = bjm.GaussianParameter(jnp.zeros(()), jnp.asarray(0.5))
    model = {"rate": rate, "known": bjm.DeterministicParameter(1.0)}

    def misfit(model, key):
        drawn = bjm.sample_all_parameters(model, key)
        return (drawn["rate"].mean - 3 * drawn["known"].mean) ** 2

    options = {"key": key, "optimiser": optax.sgd(0.02), "num_steps": 200}
    dynamic, static = bjm.freeze_params(model, ["['known']"])
    found = fit(misfit, dynamic, static=static, **options).model
    assert jax.tree.structure(found) == jax.tree.structure(model)
    assert found["known"].mean == 1
    np.testing.assert_allclose(found["rate"].mean, 3, atol=0.2)
    # Without it all is learnt, what engines take as known too.
    assert fit(misfit, model, **options).model["known"].mean != 1
    dynamic, static = bjm.freeze_means(model)
    found = fit(misfit, dynamic, static=static, **options).model
    assert found["rate"].mean == 0
    assert found["rate"].raw_stdv != 0.5
    with pytest.raises(ValueError, match="both have the leaf"):
        fit(misfit, model, static=static, **options)
    nothing, _ = bjm.freeze_params(model, bjm.get_parameters(model))
    with pytest.raises(ValueError, match="without float arrays.*Freeze less of it"):
        fit(misfit, nothing, **options)


def seen(counts, key, batch):
    """A loss whose slope counts how often each datum is seen."""
    assert batch["x"].shape == batch["place"].shape
    right = jnp.all(batch["x"] == batch["place"].astype(batch["x"].dtype))
    return jnp.where(right, -jnp.sum(counts[batch["place"]]), jnp.nan)


COUNT = optax.sgd(1.0)
COUNTING = {"optimiser": COUNT, "data": DATA}


@pytest.mark.parametrize("batch_size", [1, 3, 6, 7, None])
def test_every_datum_is_in_every_epoch_once(key, batch_size):
    """Seven do not divide by three: the third batch ends the first epoch."""
    size = batch_size or 7
    count = partial(fit, seen, np.zeros(7), key=key, **COUNTING, batch_size=batch_size)
    for num_steps in (7, 14, 700):
        counts = count(num_steps=num_steps).model
        np.testing.assert_array_equal(counts, num_steps * size // 7)
    for num_steps in (1, 5, 8):
        counts = np.asarray(count(num_steps=num_steps).model)
        assert counts.sum() == num_steps * size
        assert np.ptp(counts) <= 1


def test_epochs_have_orders_of_their_own(key):
    """What a step brings says which datum it saw."""

    def read(model, key, batch):
        return jnp.sum(model) + jnp.sum(batch["x"])

    options = {"optimiser": optax.sgd(0.0), "num_steps": 210, "data": DATA}
    orders = [
        fit(read, np.zeros(1), key=k, batch_size=1, **options).losses.reshape(30, 7)
        for k in (key, key, jax.random.key(1))
    ]
    np.testing.assert_array_equal(orders[0], orders[1])
    assert len(np.unique(np.concatenate(orders), axis=0)) > 55
    np.testing.assert_array_equal(np.sort(orders[0], axis=1), [DATA["x"]] * 30)


def falling(model, key):
    return jnp.sum(model)


def test_early_stop(key):
    """The model goes down by one in each step; validation is best at minus 60."""

    def validate(model, key):
        return jnp.abs(model + 60.0 + 0 * jax.random.uniform(key))

    run = partial(fit, falling, jnp.zeros(()), key=key, optimiser=COUNT)
    options = {"validate": validate, "check_every": 20}
    found = run(num_steps=1_000, patience=3, **options)
    np.testing.assert_array_equal(found.check_steps, 20 * np.arange(1, 7))
    np.testing.assert_array_equal(found.checks, [40, 20, 0, 20, 40, 60])
    assert (found.num_steps, found.best_step) == (120, 60)
    assert found.model == -60
    assert found.stopped_because == "no improvement"
    assert "best check 0 after 60 steps" in repr(found)
    found = run(num_steps=90, patience=3, **options)
    np.testing.assert_array_equal(found.check_steps, [20, 40, 60, 80, 90])
    assert found.stopped_because == "all steps taken"
    # Without patience all steps are taken, and the best model is kept all the same.
    found = run(num_steps=300, **options)
    assert (found.num_steps, found.best_step, found.model) == (300, 60, -60)


def test_early_stop_by_the_losses(key):
    """Down to a step of 0.5 beside the minimum, and then to and fro."""

    def tent(model, key):
        return jnp.abs(model - 10.5)

    options = {"key": key, "optimiser": COUNT, "num_steps": 1_000}
    found = fit(tent, jnp.zeros(()), **options, check_every=5, patience=2)
    losses = np.append(np.arange(10.5, 0, -1), np.full(100, 0.5))[: found.num_steps]
    np.testing.assert_array_equal(found.losses, losses)
    np.testing.assert_array_equal(found.checks, [8.5, 3.5, 0.5, 0.5, 0.5])
    assert (found.num_steps, found.best_step) == (25, 15)
    # Less than one window is one check.
    found = fit(tent, jnp.zeros(()), **(options | {"num_steps": 4}), patience=2)
    np.testing.assert_array_equal(found.checks, [9.0])


@pytest.mark.parametrize("of_gradient", [False, True])
def test_steps_that_are_not_finite_are_left_out(key, of_gradient):
    """What is left out is as if it had not been, in the memory of Adam too."""

    def some(model, key, batch):
        value = jnp.sum((model - 3.0) ** 2)
        bad = jnp.where(batch[0] < 0, -1 - model**2, 1.0)
        if of_gradient:  # of a branch not taken, as that of a failed solve
            return value + jnp.sum(jnp.where(bad < 0, 0.0, jnp.sqrt(bad)))
        return value + 0 * jnp.sum(jnp.sqrt(bad))

    options = {"key": key, "optimiser": ADAM, "batch_size": 1}
    data = np.array([1.0, 1.0, -1.0, 1.0])
    with pytest.warns(UserWarning, match="^10 of 40 steps were left out, as"):
        found = fit(some, jnp.zeros(2), data=data, num_steps=40, **options)
    clean = fit(some, jnp.zeros(2), data=np.ones(4), num_steps=30, **options)
    np.testing.assert_allclose(found.model, clean.model, rtol=1e-6)
    assert found.num_skipped == 10
    np.testing.assert_array_equal(found.skipped.reshape(10, 4).sum(axis=1), 1)
    assert np.isnan(found.losses).sum() == (0 if of_gradient else 10)
    assert "10 steps left out" in repr(found)


def test_a_slope_whose_square_overflows_is_left_out(key):
    def steep(model, key, batch):
        return jnp.sum(batch * model)

    data = np.array([1.0, 1e30], "float32")
    options = {"key": key, "optimiser": ADAM, "batch_size": 1, "num_steps": 40}
    with pytest.warns(UserWarning, match="^20 of 40 steps"):
        found = fit(steep, jnp.zeros(2), data=data, **options)
    np.testing.assert_allclose(found.model, -2.0, rtol=1e-3)


def test_all_steps_fail(key):
    options = {"key": key, "optimiser": ADAM}

    def never(model, key):
        return jnp.sum(model) * jnp.nan

    def no_slope(model, key):
        return jnp.sum(jnp.sqrt(model))

    for num_steps, told in ((3, 3), (10_000, 1)):
        with pytest.raises(bjm.AllFailedError, match=r"All of the first \d+") as error:
            fit(never, jnp.ones(2), **options, num_steps=num_steps)
        told = int(re.findall(r"\d+", str(error.value))[0])
        assert num_steps == told or 100 <= told < 300
    with pytest.raises(bjm.AllFailedError, match="its gradient was not finite"):
        fit(no_slope, jnp.zeros(2), **options, num_steps=3)
    with pytest.warns(UserWarning, match="^None of 2 checks was finite"):
        found = fit(
            falling, jnp.zeros(2), **options, num_steps=200, validate=never, patience=5
        )
    assert found.best_step == 200
    np.testing.assert_array_equal(found.checks, np.inf)

    def until(model, key):
        return jnp.sum(model) + jnp.where(jnp.sum(model) < -10, jnp.nan, 0.0)

    options["optimiser"] = COUNT
    with pytest.warns(UserWarning, match="^39 of 50 steps .*, the last 39 in a row,"):
        found = fit(until, jnp.zeros(()), **options, num_steps=50)
    assert found.model == -11
    # Nothing will change, so that waiting for the end is in vain.
    with pytest.warns(UserWarning, match="steps were left out, the last"):
        found = fit(until, jnp.zeros(()), **options, num_steps=10_000)
    assert 100 <= found.num_skipped < 300
    assert (found.model, found.stopped_because) == (-11, "steps failed")


def test_optimisers_that_ask_for_the_loss(key):
    def rosenbrock(x, key):
        return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    options = {"key": key, "num_steps": 60}
    found = fit(rosenbrock, jnp.zeros(3), optimiser=optax.lbfgs(), **options)
    np.testing.assert_allclose(found.model, 1.0, rtol=1e-3)
    assert found.num_skipped == 0


def test_a_full_covariance_is_learnt_in_single_precision(key):
    """A recurrent network of 82 entries, by the density of draws as they were made.

    From a density by solving for the noise, training in float32 ended after 89 steps.
    """
    cell = bjm.Bayesian(eqx.nn.GRUCell(1, 4, key=key))
    network = {"cell": cell, "readout": bjm.BayesianLinear(4, 1, key=key)}
    network["noise"] = bjm.make_parameter(-1.0)
    noise = np.random.default_rng(0).normal(size=40)
    series = jnp.asarray(np.sin(np.arange(40) * 0.6) + 0.2 * noise, "float32")
    prior = bjm.Prior(default=bjm.priors.Normal(0.0, 0.5))

    def log_likelihood(drawn):
        def read(hidden, x):
            hidden = drawn["cell"](x[None], hidden, sample=False)
            return hidden, x + drawn["readout"](hidden, sample=False)[0]

        means = jax.lax.scan(read, jnp.zeros(4), series[:-1])[1]
        noise = bjm.likelihoods.NormalLikelihood(jnp.exp(drawn["noise"].mean))
        return noise.log_prob(means, series[1:])

    def negative_elbo(posterior, key):
        options = {"prior": prior, "key": key, "num_samples": 4}
        return -bjm.elbo(posterior, log_likelihood, **options).value

    posterior = bjm.JointPosterior.full(network, 0.05)
    assert posterior.joint.mean.size == 82
    options = {"optimiser": optax.adam(1e-2), "num_steps": 300}
    found = fit(negative_elbo, posterior, key=key, **options)
    assert found.losses.dtype == "float32"
    assert np.all(np.isfinite(found.losses))
    assert found.num_skipped == 0
    # Near what a noise of 0.2 to 0.6 costs in 39 years, and the price of 82 weights.
    assert 0 < np.mean(found.losses[-30:]) < np.mean(found.losses[:30]) / 2
    widths = bjm.flatten_stdvs(found.model)
    assert np.all((widths > 0.03) & (widths < 1.5))


def test_a_bar_shows_the_loss(key, capsys, monkeypatch):
    options = {"key": key, "optimiser": COUNT, "num_steps": 3}
    fit(falling, jnp.zeros(()), **options)
    assert capsys.readouterr() == ("", "")
    fit(falling, jnp.zeros(()), **options, progress=True)
    printed = capsys.readouterr().err
    assert "3/3" in printed
    assert "loss=" in printed
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match=r"tqdm.*BayesianJaxModels\[examples\]"):
        fit(falling, jnp.zeros(()), **options, progress=True)


def test_a_fit_is_no_model(key):
    model = bjm.make_parameter([0.5, 2.0])

    def square(model, key):
        return jnp.sum(model.mean**2)

    options = {"key": key, "optimiser": COUNT, "num_steps": 1}
    found = fit(square, model, **options)
    for verb in (bjm.flatten_means, bjm.flatten_stdvs, bjm.entropy):
        np.testing.assert_array_equal(verb(found), verb(found.model))
    drawn = [bjm.sample_all_parameters(f, key).mean for f in (found, found.model)]
    np.testing.assert_array_equal(*drawn)
    with pytest.raises(TypeError, match="Pass its `model`"):
        bjm.map_posterior(bjm.flatten_means, found, key=key, num_samples=2)
    with pytest.raises(TypeError, match="Pass its `model`"):
        bjm.get_parameters(found)
    with pytest.raises(TypeError, match="`model` is a Fit.* Pass its `model`"):
        fit(square, found, **options)
    assert isinstance(found, Fit)


def test_arguments_are_refused_by_name(key):
    run = partial(fit, key=key, optimiser=COUNT, num_steps=3)
    x = jnp.zeros(3)

    def no_number(model, key):
        return model

    for wrong, message in (
        (no_number, r"`loss` must return one .* returned shape \(3,\) and dtype float"),
        (lambda model, key: (jnp.sum(model), 1), "`loss` must .* returned a tuple"),
        (lambda model, key: jnp.argmax(model), r"returned shape \(\) and dtype int32"),
    ):
        with pytest.raises(ValueError, match=message):
            run(wrong, x)
    with pytest.raises(ValueError, match="`validate` must return one real number"):
        run(falling, x, validate=no_number)
    with pytest.raises(TypeError, match=r"called as `loss\(model, key\)`, but"):
        run(seen, x)
    with pytest.raises(TypeError, match=r"loss\(model, key, batch\)`, as `data` is g"):
        run(falling, x, data=x)
    for name in ("num_steps", "check_every", "patience", "batch_size"):
        with pytest.raises(ValueError, match=f"`{name}` must be at least 1, but got 0"):
            run(falling, x, **{name: 0})
    with pytest.raises(TypeError, match="num_steps"):
        run(falling, x, num_steps=1e3)
    with pytest.raises(ValueError, match="A key is required, but `key` is None"):
        inspect.unwrap(fit)(falling, x, key=None, optimiser=COUNT, num_steps=3)
    with pytest.raises(RuntimeError, match="runs on the host and cannot be traced"):
        jax.jit(partial(run, falling))(x)
    arrays = np.zeros(1), np.zeros((1, 3)), np.zeros(1, bool), np.ones(1, bool)
    rest = {"noise": np.zeros(1), "num_redrawn": 0, "modes": ()}
    parameter = bjm.make_parameter(x)
    mode = bjm.MAPEstimate(
        parameter, np.zeros(()), *arrays, outcomes=("converged",), **rest
    )
    for wrong, message in (
        ((falling, x, 0.1), "`optimiser` must be an optimiser of optax, .* is a float"),
        ((falling, mode, COUNT), "`model` is a MAPEstimate.* Pass its `model`"),
        ((0.5, x, COUNT), "`loss` must be a function of .*, but is a float"),
        ((x, falling, COUNT), "seem to be swapped: .* second, a function, has no flo"),
    ):
        with pytest.raises(TypeError, match=message):
            _check_learner(*wrong)


def test_data_are_refused_by_name():
    x = np.zeros((5, 2))
    for wrong, size, message in (
        (None, 3, "`batch_size` is 3, but there is no `data`"),
        ((x, x[1:]), 3, r"share a leading axis .* \{'data\[0\]': 5, 'data\[1\]': 4\}"),
        ({"x": x[:0]}, 1, r"at least one datum, but the lengths are \{\"data\['x'\]"),
        ([], 1, "share a leading axis"),
        (x, 6, "`batch_size` must be at most the number of data, 5, but got 6"),
    ):
        with pytest.raises(ValueError, match=message):
            _read_data(wrong, size)
    for wrong, message in (
        ((x, 3), r"but `data\[1\]` is 3\. Make arrays of lists"),
        (np.zeros(()), r"but `data` is shape \(\)"),
    ):
        with pytest.raises(TypeError, match=message):
            _read_data(wrong, None)
