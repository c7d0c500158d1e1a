"""Laplace, where the answer is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

import BayesianJaxModels as bjm
from tests._infer.targets import correlated


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_laplace_of_a_normal_is_exact(dtype, x64):
    density, model = correlated(4, dtype)
    fit = bjm.laplace(density, bjm.unflatten_means(model, density.mean))
    rtol = 2e-6 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(fit.covariance, density.covariance, rtol=rtol)
    np.testing.assert_array_equal(fit.mean, density.mean)


def test_second_derivatives_of_a_curved_density(x64):
    """A Gamma density of a logarithm, whose derivatives are all alike.

    What Richardson's rule leaves of the curvature is a 480th of the fourth power of the
    step, a fifth of a standard deviation, times the fifth derivative of the slope.
    """

    def log_density(drawn):
        return jnp.sum(4.0 * drawn.mean - jnp.exp(drawn.mean))

    mode = bjm.GaussianParameter(jnp.log(jnp.array([4.0])), jnp.ones(1))
    fit = bjm.laplace(log_density, mode)
    off = (0.2 / 2) ** 4 / 480
    np.testing.assert_allclose(fit.covariance, [[(1 + off) / 4]], rtol=1e-9)


def test_gauss_newton_of_linear_residuals_is_exact(key, x64):
    design, data = random.normal(key, (20, 3)), jnp.linspace(-1, 1, 20)
    model = {"w": bjm.GaussianParameter(jnp.zeros(3), jnp.ones(3))}
    prior = bjm.Prior({}, default=bjm.priors.Normal(0.0, 2.0))

    def residuals(drawn):
        return (data - design @ drawn["w"].mean) / 0.3

    def rest(drawn):
        return bjm.log_prior(drawn, prior)

    def whole(drawn):
        return rest(drawn) - jnp.sum(residuals(drawn) ** 2) / 2

    precision = design.T @ design / 0.09 + jnp.eye(3) / 4
    mode = {
        "w": bjm.GaussianParameter(
            jnp.linalg.solve(precision, design.T @ data / 0.09), jnp.ones(3)
        )
    }
    for fit in (
        bjm.laplace(rest, mode, residuals=residuals),
        bjm.laplace(whole, mode),
    ):
        np.testing.assert_allclose(
            fit.covariance, jnp.linalg.inv(precision), rtol=1e-11
        )
    with pytest.warns(UserWarning, match="standard deviations away from the mode"):
        bjm.laplace(whole, model)


def test_saddles_are_refused():
    model = bjm.GaussianParameter(jnp.zeros(2), jnp.ones(2))
    with pytest.raises(ValueError, match="curved downwards in every direction"):
        bjm.laplace(lambda m: m.mean[0] ** 2 - m.mean[1] ** 2, model)
    with pytest.raises(ValueError, match="curved downwards"):
        bjm.laplace(lambda m: -(m.mean[0] ** 2), model)


def test_the_evidence_counts_residuals_once():
    data = jnp.array([0.3, -0.2, 0.7])

    def residuals(drawn):
        return (data - drawn.mean) / 0.5

    def rest(drawn):
        return -0.5 * drawn.mean**2

    def whole(drawn):
        return rest(drawn) - 0.5 * jnp.sum(residuals(drawn) ** 2)

    precision = 1 + 3 / 0.25
    mode = bjm.make_parameter(float(jnp.sum(data)) / 0.25 / precision)
    exact = whole(mode) + 0.5 * np.log(2 * np.pi / precision)
    for fit in (bjm.laplace(whole, mode), bjm.laplace(rest, mode, residuals=residuals)):
        np.testing.assert_allclose(fit.log_evidence, exact, rtol=1e-6)
    assert bjm.JointPosterior.full(mode, 0.1).log_evidence is None
    assert jax.tree.leaves(bjm.laplace(whole, mode))[-1].shape == ()


def test_no_direction_is_wider_than_asked_for():
    """Of widths 2, .5 and a saddle, beside those that are narrow."""
    stdv = np.array([2.0, 0.5, 0.05])

    def log_density(drawn):
        x = drawn.mean
        return -jnp.sum((x[:3] / stdv) ** 2) / 2 + x[3] ** 2

    model = bjm.make_parameter(np.zeros(4))
    fit = bjm.laplace(log_density, model, widest=0.4)
    np.testing.assert_allclose(fit.stdv, [0.4, 0.4, 0.05, 0.4], rtol=1e-4)
    assert fit.log_evidence is None
    with pytest.raises(ValueError, match="in 1 of 4 it is not, above all in parameter"):
        bjm.laplace(log_density, model)

    def narrow(drawn):
        return log_density(drawn) - 100 * drawn.mean[3] ** 2

    plain = bjm.laplace(narrow, model)
    wider = bjm.laplace(narrow, model, widest=10.0)
    np.testing.assert_array_equal(plain.basis, wider.basis)
    assert plain.log_evidence == wider.log_evidence
    with pytest.raises(ValueError, match="`widest` must be a positive number"):
        bjm.laplace(narrow, model, widest=0.0)


@pytest.mark.parametrize("wrong", ["0.1", [0.1], np.nan, -1.0])
def test_a_width_is_one_positive_number(wrong):
    with pytest.raises(ValueError, match="`widest` must be a positive number, but got"):
        bjm.laplace(lambda m: -(m.mean**2), bjm.make_parameter(0.0), widest=wrong)


def test_a_log_density_that_is_not_finite_is_no_mode():
    for value in (-jnp.inf, jnp.nan):
        with pytest.raises(ValueError, match=f"is {value} at the means of `model`"):
            bjm.laplace(
                lambda m, v=value: v + m.mean, bjm.make_parameter(0.0), widest=1.0
            )


def test_modes_that_are_flat_count_where_widths_are_bounded(key):
    def log_density(drawn):
        return -50 * (drawn["a"].mean ** 2 - 4) ** 2 + 0 * drawn["b"].mean

    wide = {x: bjm.make_parameter(0.0, stdv=3.0) for x in "ab"}
    found = bjm.map_estimate(log_density, wide, key=key)
    assert [mode.flat for mode in found.modes] == [("['b']",)] * 2
    fit = bjm.laplace(log_density, found, widest=0.5)
    assert len(fit.parts()[1]) == 2
