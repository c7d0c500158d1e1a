"""What chains that are known say of themselves."""

from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels._infer._nuts.chain import Move
from BayesianJaxModels._infer._nuts.diagnostics import judge, start_ratio
from BayesianJaxModels._infer._nuts.starts import find_starts
from tests._infer._nuts.cases import D, normal_draws, start


@pytest.mark.parametrize("correlation", [0.0, 0.9, 0.999])
@pytest.mark.parametrize("seed", range(5))
def test_narrow_starts_are_told_from_fits(correlation, seed):
    scale = np.array([1e-3, 1.0, 100.0])
    correlations = np.full((3, 3), correlation) + (1 - correlation) * np.eye(3)
    covariance = correlations * np.outer(scale, scale)
    draws = normal_draws(covariance, seed)
    mean_field = np.diag(1 / np.diagonal(np.linalg.inv(covariance)))
    for fit, a_bit in ((covariance, 4.5), (mean_field, 1.8)):
        assert np.all(start_ratio(4 * fit, draws) > 0.7)  # `spread` is 2
        assert np.all(start_ratio(4 * fit / a_bit**2, draws) > 0.4)
        # More than five times too narrow.
        ratio = start_ratio(4 * fit / 5.5**2, draws)
        assert np.all(ratio < 0.4)
    # In one entry alone.
    one = np.diag([1.0, 1 / 5.5, 1.0])
    assert start_ratio(4 * one @ mean_field @ one, draws)[1] < 0.4


def moves_of(draws, **counts):
    """Moves without fault, but for the counts."""
    shape = draws.shape[:2]
    fields = dict.fromkeys(("diverged", "failed", "saturated"), np.zeros(shape, bool))
    fields |= {"num_gradients": np.full(shape, 7), "acceptance": np.full(shape, 0.8)}
    fields |= {"energy": np.random.default_rng(1).normal(size=shape), "draw": draws}
    moves = Move(**jax.tree.map(jnp.asarray, fields | counts))
    return jax.tree.map(np.asarray, moves)


@cache
def at_origin():
    return find_starts(start(), 4, 2.0, None, jax.random.key(0))


def judged(draws, **counts):
    ones = np.ones(len(draws))
    return judge(moves_of(draws, **counts), ones, 0 * ones, at_origin())


def test_different_modes_are_told_from_short_chains():
    draws = normal_draws(np.eye(D))
    assert judged(draws).complaints() == []
    shift = np.zeros((4, 1, D))
    shift[:, 0, 3] = [0, 10, 0, -10]
    apart = judged(draws + shift)
    assert apart.num_modes == 3
    assert "at least 3 different modes" in apart.complaints()[0]
    assert len(apart.complaints()) == 1
    walks = judged(np.cumsum(draws, axis=1))
    assert walks.num_modes == 1
    (complaint,) = [x for x in walks.complaints() if x.startswith("R-hat")]
    assert "the chains are too short" in complaint
    # One chain that has not arrived does not hide that the others differ.
    draws[0, :, 3] = np.linspace(-20, 20, draws.shape[1])
    assert judged(draws + shift).num_modes == 3


def test_chains_that_stay_and_long_trajectories_are_told():
    draws = normal_draws(np.eye(D))
    draws[2] = draws[2, :1]
    found = judged(draws)
    assert found.num_still.tolist() == [0, 0, 499, 0]
    assert any("The chains [2] stayed where they were" in x for x in found.complaints())
    draws, some = normal_draws(np.eye(D)), np.zeros((4, 500), bool)
    for name, message in (
        ("saturated", "148 of 1996 draws took a trajectory of the greatest length"),
        ("failed", "148 of 1996 draws met a log density that is not finite"),
        ("diverged", "148 of 1996 draws diverged"),
    ):
        some[:, 1:38] = True
        (complaint,) = judged(draws, **{name: some}).complaints()
        assert complaint.startswith(message)
        # One or two say something only of divergences.
        some[:] = False
        some[0, 1:3] = True
        assert bool(judged(draws, **{name: some}).complaints()) == (name == "diverged")


def test_rejections_and_slow_energies_are_told():
    draws = normal_draws(np.eye(D))
    moves = moves_of(draws)
    slow = np.cumsum(moves.energy, axis=1)
    one = eqx.tree_at(
        lambda m: m.energy, moves, np.where([[0], [1], [0], [0]], slow, 0)
    )
    moves = eqx.tree_at(lambda m: m.acceptance, moves, moves.acceptance * 0.3)
    (complaint,) = judge(moves, np.ones(4), np.zeros(4), at_origin()).complaints()
    assert "chains [0, 1, 2, 3] accepted with a mean probability of 0.24" in complaint
    (complaint,) = judge(one, np.ones(4), np.zeros(4), at_origin()).complaints()
    assert "energy of the chains [1] hardly changes" in complaint
