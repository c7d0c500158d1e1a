"""The table of a model's parameters: what it holds and how it prints."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm


class Growth(bjm.Module):
    rates: bjm.AbstractParameter
    start: bjm.AbstractParameter
    mlp: bjm.BayesianMLP


@pytest.fixture(scope="module")
def model():
    rates = bjm.GaussianParameter(np.array([0.5, -0.031]), np.array([0.2, 0.1]))
    start = bjm.DeterministicParameter(np.array(30.0))
    return Growth(rates, start, bjm.BayesianMLP(2, 1, 16, 1, key=jax.random.key(0)))


def test_rows_hold_the_parameters(model):
    table = bjm.parameter_table(model)
    parameters = bjm.get_parameters(model)
    assert [row.name for row in table.rows] == list(parameters)
    for row, parameter in zip(table.rows, parameters.values(), strict=True):
        assert row.type == type(parameter).__name__
        np.testing.assert_array_equal(row.mean, parameter.mean)
        np.testing.assert_array_equal(row.stdv, parameter.stdv)


def test_prints_in_a_terminal(model):
    lines = str(model).splitlines()
    assert lines[0].split() == ["name", "type", "shape", "count", "mean", "own", "sd"]
    cells = [line.split("  ") for line in lines[2:4]]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in cells]
    assert cells == [
        ["rates", "GaussianParameter", "2", "2", "0.5, -0.031", "0.0401, 0.0101"],
        ["start", "DeterministicParameter", "scalar", "1", "30", "0"],
    ]
    assert lines[2].index("Gaussian") == lines[3].index("Deterministic")
    assert lines[2].index("0.0401") == lines[0].index("own sd")
    low, high = (float(f(model.mlp.layers[0].W.mean)) for f in (jnp.min, jnp.max))
    assert f"16 x 2     32  {low:.3g} to {high:.3g} " in lines[4]
    assert lines[-1] == "68 numbers in 6 parameters, 67 of them uncertain"
    assert max(map(len, lines)) <= 88


def test_prints_in_a_notebook():
    model = {"<rate>": bjm.make_parameter(0.5)}
    table = bjm.parameter_table(model)._repr_html_()
    assert "<td>[&#x27;&lt;rate&gt;&#x27;]</td>" in table
    assert table.count("<tr>") == 2
    assert table.count("<td>") == table.count("<th>") == 6


def test_a_module_is_a_table_in_a_notebook(model):
    assert model._repr_html_() == bjm.parameter_table(model)._repr_html_()
    assert repr(model).startswith("Growth(\n  rates=GaussianParameter(")


def test_without_parameters():
    table = bjm.parameter_table({"x": jnp.ones(2)})
    assert table.total == "0 numbers in 0 parameters, 0 of them uncertain"
    assert str(table).splitlines()[0].split()[0] == "name"


def test_without_values(model):
    spelt = []

    @jax.jit
    def trace(model):
        spelt.append(str(model))
        with pytest.raises(TypeError, match="`model` has no values here"):
            bjm.parameter_table(model)
        return 0

    trace(model)
    assert spelt[0].startswith("Growth(")
    assert str(eqx.filter_eval_shape(lambda: model)).startswith("Growth(")


def test_a_fit_has_what_is_known_too():
    model = {"rate": bjm.make_parameter(0.0), "start": bjm.DeterministicParameter(7.0)}
    fit = bjm.laplace(lambda drawn: -2 * drawn["rate"].mean ** 2, model)
    rate, start = bjm.parameter_table(fit).rows
    np.testing.assert_allclose([rate.mean, rate.stdv], [0, 0.5], atol=1e-6)
    assert (start.mean, start.stdv) == (7, 0)
