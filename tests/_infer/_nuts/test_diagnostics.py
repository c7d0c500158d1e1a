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


def test_a_chain_without_fault_is_counted():
    draws = normal_draws(np.eye(D))
    found = judged(draws)
    assert found.chains == (4, 499)
    assert found.num_samples == 499
    np.testing.assert_array_equal(found.num_gradients, np.full(4, 7 * 499))
    np.testing.assert_allclose(found.acceptance, 0.8, rtol=1e-6)
    for counts in (found.num_divergent, found.num_failed, found.num_still):
        np.testing.assert_array_equal(counts, np.zeros(4))
    # The first move is the last one of the warm-up.
    kept = moves_of(draws).energy[:, 1:].astype(float)
    for energy, bfmi in zip(kept, found.bfmi, strict=True):
        steps = sum((b - a) ** 2 for a, b in zip(energy, energy[1:], strict=False))
        exact = steps / 498 / (np.sum((energy - energy.mean()) ** 2) / 498)
        np.testing.assert_allclose(bfmi, exact, rtol=1e-6)
    assert repr(found).startswith("NUTSDiagnostics: 4 chains, greatest R-hat 1.0")
    assert f"0 saturated, acceptance 0.80, {4 * 7 * 499} gradients" in repr(found)


def test_noise_is_told_before_all_else():
    draws = normal_draws(np.eye(D))
    noise = np.array([0.01, np.nan, 0.5, 0.02])
    found = judge(moves_of(draws), np.ones(4), noise, at_origin())
    [first] = found.complaints()
    assert "scatters by 0.5 nats" in first
    nothing = judge(moves_of(draws), np.ones(4), np.full(4, np.nan), at_origin())
    assert nothing.complaints() == []


def test_few_effective_draws_are_told():
    """The same number ten times over."""
    draws = np.repeat(normal_draws(np.eye(D))[:, :50], 10, axis=1)
    found = judged(draws)
    least = min(found.ess_bulk.min(), found.ess_tail.min())
    assert least < 400
    [told] = [x for x in found.complaints() if x.startswith("The effective sample")]
    assert f"size is {least:.0f} (good from 100 a chain on)" in told
    # Nine of ten draws stay where they were.
    assert any("stayed where they were" in x for x in found.complaints())


def test_one_chain_has_no_r_hat():
    draws = normal_draws(np.eye(D))[:1]
    found = judged(draws)
    assert np.isnan(found.r_hat).all()
    assert found.num_modes == 1
    assert found.complaints() == []


def test_mass_is_missed_five_widths_away_from_every_chain():
    draws = normal_draws(np.eye(D))
    starts = at_origin()
    [origin] = starts.parts

    def missed(*places):
        parts = [origin._replace(share=0.4)]
        for place in places:
            mean = np.zeros(D)
            mean[0] = place
            parts.append(origin._replace(share=0.3, mean=mean))
        found = judge(
            moves_of(draws), np.ones(4), np.zeros(4), starts._replace(parts=parts)
        )
        told = [x for x in found.complaints() if "No chain came near" in x]
        assert len(told) == (found.missed_mass > 0)
        return found.missed_mass

    np.testing.assert_allclose(missed(4.5, -4.5), 0)
    np.testing.assert_allclose(missed(4.5, 5.5), 0.3)
    np.testing.assert_allclose(missed(-5.5, 5.5), 0.6)
