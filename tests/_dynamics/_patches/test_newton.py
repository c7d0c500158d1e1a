"""Implicit methods on small states: without LAPACK, and as exact."""

import diffrax
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest
from jax import random

import BayesianJaxModels as bjm
from BayesianJaxModels._dynamics._patches.newton import (
    LARGEST_SYSTEM,
    SmallInverse,
    invert,
)

needs_lapack = pytest.mark.cpu("LAPACK is what a CPU's solves call")


@pytest.mark.parametrize("n", [1, 4, LARGEST_SYSTEM])
def test_inverse(n, key, x64):
    matrices = random.normal(key, (64, n, n))
    found = jax.jit(jax.vmap(invert))(matrices)
    np.testing.assert_allclose(found, np.linalg.inv(matrices), rtol=1e-6, atol=1e-8)


def test_inverse_swaps_rows_and_shows_singular_ones(x64):
    """No pivot of a permutation is where elimination begins."""
    permutation = jnp.eye(4)[jnp.array([2, 3, 1, 0])]
    np.testing.assert_array_equal(invert(permutation), permutation.T)
    assert not np.isfinite(invert(jnp.ones((3, 3)))).any()
    small = jnp.array([[1e-20, 1.0], [1.0, 1.0]])
    np.testing.assert_allclose(invert(small), [[-1, 1], [1, 0]], atol=1e-12)


def test_linear_solver_and_its_derivatives(key, x64):
    matrix, vector = random.normal(key, (4, 4)), random.normal(key, (4,))

    def solve(matrix, solver):
        operator = lx.MatrixLinearOperator(matrix)
        return lx.linear_solve(operator, vector, solver).value

    expected = jax.jacrev(solve)(matrix, lx.LU())
    np.testing.assert_allclose(jax.jacrev(solve)(matrix, SmallInverse()), expected)
    np.testing.assert_allclose(
        jax.jacfwd(solve)(matrix, SmallInverse()), expected, rtol=1e-6, atol=1e-9
    )
    with pytest.raises(Exception, match="singular"):
        solve(jnp.ones((4, 4)), SmallInverse())


def robertson(t, y, args):
    """Three reactions whose rates lie nine orders of magnitude apart."""
    a, b, c = y["abc"]
    slow, fast, middle = 0.04 * a, 3e7 * b * b, 1e4 * b * c
    return {"abc": jnp.stack([middle - slow, slow - middle - fast, fast])}


SETTINGS = {
    "solver": diffrax.Kvaerno5(),
    "stepsize_controller": diffrax.PIDController(rtol=1e-8, atol=1e-10),
    "dt0": 1e-4,
}
Y0 = {"abc": jnp.array([1.0, 0.0, 0.0])}


@needs_lapack
def test_stiff_solve_is_that_of_lapack(x64):
    y0, ts = jax.tree.map(lambda x: x.astype(float), Y0), jnp.array([0.0, 0.4, 40.0])
    own = jax.jit(lambda y0: bjm.integrate(robertson, y0, ts, **SETTINGS))
    found = own(y0)
    theirs = diffrax.diffeqsolve(
        diffrax.ODETerm(robertson),
        SETTINGS["solver"],
        t0=0.0,
        t1=40.0,
        dt0=1e-4,
        y0=y0,
        saveat=diffrax.SaveAt(ts=ts),
        stepsize_controller=SETTINGS["stepsize_controller"],
    )
    np.testing.assert_allclose(found.ys["abc"], theirs.ys["abc"], rtol=1e-7, atol=1e-12)
    compiled = own.lower(y0).compile().as_text()
    assert "lapack_" not in compiled
    assert "lapack_" in jax.jit(jnp.linalg.inv).lower(jnp.eye(3)).compile().as_text()


@needs_lapack
def test_other_linear_solvers_are_left_alone():
    finder = diffrax.with_stepsize_controller_tols(diffrax.VeryChord)
    chosen = diffrax.Kvaerno3(root_finder=finder(linear_solver=lx.QR()))
    wide = {"abc": jnp.ones(LARGEST_SYSTEM + 1)}
    for solver, y0 in ((chosen, Y0), (diffrax.Kvaerno3(), wide)):
        text = jax.jit(
            lambda y0, solver=solver: bjm.integrate(
                lambda t, y, args: jax.tree.map(lambda x: -x, y),
                y0,
                jnp.array([0.0, 1.0]),
                solver=solver,
            )
        ).lower(y0)
        assert "lapack_" in text.as_text()
