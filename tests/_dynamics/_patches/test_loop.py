"""The end of a solve, counted in one operation."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels._dynamics._patches.loop import number_before, with_short_end

from ..cases import linear

ADJOINTS = [
    diffrax.RecursiveCheckpointAdjoint(7),
    diffrax.ForwardMode(),
    diffrax.DirectAdjoint(),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("x", [1e-30, 0.1, 1.0, 2.0, 3e30])
def test_the_number_before(x, dtype, x64):
    x = np.asarray(x, dtype)
    found = number_before(jnp.asarray(x))
    assert found.dtype == dtype
    assert found == np.nextafter(x, np.asarray(-1, dtype))


@pytest.mark.parametrize("adjoint", ADJOINTS, ids=lambda it: type(it).__name__)
def test_an_adjoint_stays_of_its_kind(adjoint):
    short = with_short_end(adjoint)
    assert isinstance(short, type(adjoint))
    assert getattr(short, "checkpoints", 7) == 7
    assert short._loop is not adjoint._loop
    assert with_short_end(short) is short


def test_an_adjoint_of_another_kind_stays():
    backwards = diffrax.BacksolveAdjoint()
    assert with_short_end(backwards) is backwards


@pytest.mark.parametrize("adjoint", ADJOINTS, ids=lambda it: type(it).__name__)
def test_solves_end_where_those_of_diffrax_do(adjoint):
    """Also with steps that end a few numbers before the last time."""
    end = jnp.float32(2.0)
    short_of = end - 50 * jnp.finfo(jnp.float32).eps

    def last(adjoint, dt0):
        return diffrax.diffeqsolve(
            diffrax.ODETerm(linear()),
            diffrax.Tsit5(),
            0.0,
            end,
            dt0,
            jnp.array([1.0, 0.0]),
            adjoint=adjoint,
        )

    for dt0 in (short_of, short_of / 2, jnp.float32(0.3)):
        theirs, ours = last(adjoint, dt0), last(with_short_end(adjoint), dt0)
        np.testing.assert_array_equal(ours.ys, theirs.ys)
        assert ours.stats["num_steps"] == theirs.stats["num_steps"]


def test_fewer_operations():
    """Where diffrax counts so too, the patch can go."""

    def count(fn):
        text = jax.jit(fn).lower(jnp.float32(1.0)).as_text()
        return sum("=" in line for line in text.splitlines())

    def solve(adjoint):
        return lambda end: (
            diffrax.diffeqsolve(
                diffrax.ODETerm(linear()),
                diffrax.Tsit5(),
                0.0,
                end,
                0.1,
                jnp.array([1.0, 0.0]),
                adjoint=adjoint,
            ).ys
        )

    adjoint = diffrax.ForwardMode()
    assert count(solve(with_short_end(adjoint))) < count(solve(adjoint)) - 100
