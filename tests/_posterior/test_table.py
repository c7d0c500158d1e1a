"""The table of a posterior: its numbers against NumPy and exact moments."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import BayesianJaxModels as bjm

PROBS = (0.05, 0.5, 0.95)


def model_of():
    return {
        "k": bjm.make_parameter(2.0, support="positive", stdv=0.3),
        "rates": bjm.make_parameter([0.5, -1.0], stdv=0.2),
        "start": bjm.DeterministicParameter(np.array([7.0, 8.0])),
    }


def test_weighted_draws_by_hand(x64):
    rng = np.random.default_rng(0)
    draws, log_weights = rng.normal(size=(200, 3)), rng.normal(size=200)
    posterior = bjm.DrawsPosterior(
        model_of(), jnp.asarray(draws), jnp.asarray(log_weights)
    )
    table = bjm.posterior_table(posterior, probs=(0.1, 0.5))
    values = np.column_stack([np.exp(draws[:, 0]), draws[:, 1:]])
    weights = np.exp(log_weights) / np.exp(log_weights).sum()
    mean = weights @ values
    stdv = np.sqrt(weights @ (values - mean) ** 2)
    rows = [row for row in table.rows if not row.is_known]
    names = ["['k']", "['rates'][0]", "['rates'][1]"]
    assert [row.name for row in rows] == names
    np.testing.assert_allclose([row.mean for row in rows], mean, rtol=1e-12)
    np.testing.assert_allclose([row.stdv for row in rows], stdv, rtol=1e-12)
    for row, column in zip(rows, values.T, strict=True):
        order = np.argsort(column)
        middle = np.cumsum(weights[order]) - weights[order] / 2
        middle = (middle - middle[0]) / (middle[-1] - middle[0])
        by_hand = np.interp([0.1, 0.5], middle, column[order])
        np.testing.assert_allclose(row.quantiles, by_hand, rtol=1e-10)
    ess = 1 / np.sum(weights**2)
    assert f"200 draws with weights, worth {ess:.0f} of equal weight" in str(table)
    known = [row for row in table.rows if row.is_known]
    np.testing.assert_array_equal([row.mean for row in known], [7, 8])
    assert "['start']" in str(table)
    assert "known" in str(table)
    means = [row.mean for row in bjm.parameter_table(posterior).rows[:2]]
    np.testing.assert_allclose(np.hstack(means), mean, rtol=1e-12)


def test_equal_draws_are_numpys(x64):
    draws = np.random.default_rng(0).normal(size=(50, 3))
    rows = bjm.posterior_table(bjm.DrawsPosterior(model_of(), jnp.asarray(draws))).rows
    values = np.exp(draws[:, 0])
    np.testing.assert_allclose(rows[0].mean, values.mean(), rtol=1e-12)
    np.testing.assert_allclose(rows[0].stdv, values.std(), rtol=1e-12)
    wanted = np.quantile(values, PROBS)
    np.testing.assert_allclose(rows[0].quantiles, wanted, rtol=1e-12)


@pytest.mark.parametrize("joint", [True, False])
def test_a_normal_one_is_exact_inside_of_a_support_too(joint, x64):
    posterior, stdv = model_of(), np.array([0.3, 0.2, 0.2])
    if joint:
        stdv = np.array([0.5, 0.2, 0.1])
        posterior = bjm.JointPosterior.gaussian(posterior, np.diag(stdv**2))
    k, *rates = bjm.posterior_table(posterior, probs=PROBS).rows[:3]
    exact = stats.lognorm(stdv[0], scale=2.0)
    np.testing.assert_allclose(k.mean, exact.mean(), rtol=1e-6)
    np.testing.assert_allclose(k.stdv, exact.std(), rtol=1e-6)
    np.testing.assert_allclose(k.quantiles, exact.ppf(PROBS), rtol=1e-6)
    for rate, loc, scale in zip(rates, [0.5, -1.0], stdv[1:], strict=True):
        np.testing.assert_allclose([rate.mean, rate.stdv], [loc, scale], rtol=1e-6)
        exact = stats.norm(loc, scale)
        np.testing.assert_allclose(rate.quantiles, exact.ppf(PROBS), rtol=1e-6)


def test_what_has_no_formula_is_from_the_same_draws_every_time(key):
    laplacian = bjm.make_parameter(
        1.0, param_type=bjm.LaplacianParameter, init_raw_stdv=0.5
    )
    [row] = bjm.posterior_table(laplacian, probs=PROBS).rows
    scale = float(laplacian.stdv) / 2**0.5
    np.testing.assert_allclose([row.mean, row.stdv], [1, laplacian.stdv], rtol=1e-6)
    exact = stats.laplace(1.0, scale)
    error = 5 * np.sqrt(0.05 * 0.95 / 4_000) / exact.pdf(exact.ppf(0.05))
    np.testing.assert_allclose(row.quantiles, exact.ppf(PROBS), atol=error)
    again = bjm.posterior_table(laplacian, probs=PROBS)
    np.testing.assert_array_equal(again.rows[0].quantiles, row.quantiles)
    other = bjm.posterior_table(laplacian, key=key, num_samples=50)
    assert "from 50 draws" in str(other)
    parts = [model_of(), model_of()]
    k = bjm.posterior_table(bjm.MixturePosterior(parts)).rows[0]
    exact = stats.lognorm(0.3, scale=2.0)
    error = 5 * exact.std() / 4_000**0.5
    np.testing.assert_allclose(k.mean, exact.mean(), atol=error)
    prior = bjm.Prior(default=bjm.priors.LogNormal(0.0, 0.5))
    k = bjm.posterior_table(bjm.PriorDraws(model_of(), prior)).rows[0]
    exact = stats.lognorm(0.5)
    np.testing.assert_allclose(k.mean, exact.mean(), atol=5 * exact.std() / 63)


def test_chains_have_the_numbers_of_their_diagnostics(key):
    model = {"b": bjm.make_parameter([0.0, 1.0], stdv=1.0), "a": model_of()["start"]}

    def log_density(drawn):
        return -jnp.sum((drawn["b"].mean - jnp.array([0.0, 1.0])) ** 2) / 2

    settings = {"num_chains": 2, "num_warmup": 50, "num_samples": 100}
    with pytest.warns(UserWarning, match="NUTS: "):
        posterior = bjm.nuts(log_density, model, key=key, **settings)
    told, table = posterior.diagnostics, bjm.posterior_table(posterior)
    rows = [row for row in table.rows if not row.is_known]
    for name in ("r_hat", "ess_bulk", "ess_tail"):
        found = [row.checks[name] for row in rows]
        np.testing.assert_array_equal(found, getattr(told, name))
    lines = str(table).splitlines()
    assert lines[0].split()[-3:] == ["R-hat", "bulk", "tail"]
    assert "DrawsPosterior: 200 draws in 2 chains" in lines
    words = " ".join(lines)
    assert "NUTSDiagnostics: 2 chains" in words
    assert told.complaints()[0].split(".")[0] in words
    # Of which chain a draw is, is not known any more.
    fewer = eqx.tree_at(lambda p: p.draws, posterior, posterior.draws[:150])
    assert "R-hat" not in str(bjm.posterior_table(fewer)).splitlines()[0]


def test_printing_any_kind(key):
    joint = bjm.JointPosterior.full(model_of(), 0.1)
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), model_of())
    draws = bjm.DrawsPosterior(model_of(), jnp.ones((4, 3)))
    ensemble, mixture = bjm.ensemble(stacked), bjm.MixturePosterior([joint, joint])
    prior = bjm.PriorDraws(
        model_of(), bjm.Prior(default=bjm.priors.LogNormal(0.0, 0.5))
    )
    for posterior in (joint, draws, ensemble, mixture, prior):
        table = bjm.posterior_table(posterior)
        assert str(posterior) == str(table)
        assert posterior._repr_html_() == table._repr_html_()
        kind = type(posterior).__name__
        assert repr(posterior).startswith(f"{kind}(")
        assert f"{kind}: " in str(posterior)
    assert "mixture of 2, weights 0.5, 0.5" in str(mixture)
    assert "<th>5%</th>" in joint._repr_html_()
    printed = []

    def trace(posterior):
        # One that is no argument has its values.
        printed.extend([str(posterior), str(joint), str(draws)])
        with pytest.raises(TypeError, match="`posterior` has no values here"):
            bjm.posterior_table(posterior)
        return 0

    jax.jit(trace)(joint)
    assert printed == [printed[0], str(joint), str(draws)]
    assert printed[0].startswith("JointPosterior(")


def test_large_models_print_a_line_for_each_parameter(key):
    mlp = bjm.BayesianMLP(2, 1, 16, 1, key=key)
    table = bjm.posterior_table(mlp)
    lines = str(table).splitlines()
    names = ["layers[0].W", "layers[0].b", "layers[1].W", "layers[1].b[0]"]
    assert [line.split()[0] for line in lines[2:6]] == names
    assert "65 entries of 4 parameters" in str(table)
    assert len(table.rows) == 65
    assert table.rows[1].name == "layers[0].W[0, 1]"
    population = {"typical": np.zeros(3), "effects": np.zeros((20, 3))}
    table = bjm.posterior_table(jax.tree.map(bjm.make_parameter, population))
    names = [line.split()[0] for line in str(table).splitlines()[2:6]]
    assert names == ["['effects']", *(f"['typical'][{i}]" for i in range(3))]
    assert "of ['effects'] the least and the greatest number" in str(table)
    many = [bjm.make_parameter(float(i)) for i in range(45)]
    assert "5 more parameters are not shown" in str(bjm.posterior_table(many))


def test_edges():
    assert bjm.posterior_table({"x": jnp.ones(2)}).rows == ()
    known = bjm.posterior_table(bjm.DeterministicParameter(np.array(2.0)))
    assert known.rows[0].is_known
    assert known.rows[0].name == "parameter"
    empty = bjm.posterior_table(bjm.make_parameter(np.zeros((0, 2))))
    assert empty.rows == ()
    assert "name" in str(empty)
    with pytest.raises(ValueError, match="`probs` must be numbers in"):
        bjm.posterior_table(model_of(), probs=(1.0,))
    with pytest.raises(ValueError, match="`num_samples` must be at least 1"):
        bjm.posterior_table(model_of(), num_samples=0)


def test_what_was_not_checked_says_so():
    model = bjm.make_parameter(0.5, stdv=0.1)
    fits = [model, bjm.JointPosterior.full(model, 0.1)]
    fits.append(bjm.MixturePosterior([model]))
    for fit in fits:
        assert "not checked: `diagnose` compares" in str(bjm.posterior_table(fit))
    prior = bjm.Prior(default=bjm.priors.Normal())
    draws = bjm.DrawsPosterior(model, jnp.ones((3, 1)))
    for other in (bjm.PriorDraws(model, prior), draws):
        assert "checked" not in str(bjm.posterior_table(other))
