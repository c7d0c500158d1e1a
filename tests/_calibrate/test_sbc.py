from itertools import product

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import binom

from BayesianJaxModels.calibration import SBC, rank_band, simulation_based_calibration


@eqx.filter_jit
def prior_draw(key):
    a, b = jax.random.normal(key, (2,))
    return {"a": a, "b": b[None]}


@eqx.filter_jit
def simulate(key, theta):
    means = jnp.append(theta["b"], theta["a"])
    return means + jax.random.normal(key, (2,))


@eqx.filter_jit
def posterior_draws(key, y, scale=1.0):
    """N(y / 2, 1 / 2) is exact for each; `scale` makes that of `b` wrong."""
    b, a = jax.random.normal(key, (2, 60)) * jnp.sqrt(0.5)
    return {"a": y[1] / 2 + a, "b": (y[0] / 2 + scale * b)[:, None]}


def run(draws, key, num_simulations=200, **settings):
    return simulation_based_calibration(
        prior_draw,
        simulate,
        draws,
        key=key,
        num_simulations=num_simulations,
        **settings,
    )


def test_exact_posteriors_pass_and_overconfident_ones_fail(key):
    exact = run(posterior_draws, key)
    assert exact.passes
    assert exact.ranks.shape == (200, 2)
    assert exact.num_ranks == 61
    assert exact.names == ("a", "b[0]")
    assert "200 simulations, 60 draws each: passes at level 0.95" in str(exact)
    narrow = run(lambda key, y: posterior_draws(key, y, 0.5), key)
    np.testing.assert_array_equal(narrow.inside, [True, False])
    assert not narrow.passes
    assert "fails for b[0] at level 0.95" in str(narrow)
    np.testing.assert_array_equal(narrow.ranks[:, 0], exact.ranks[:, 0])
    # More simulations change none of the first.
    few = run(posterior_draws, key, 3)
    np.testing.assert_array_equal(few.ranks, exact.ranks[:3])


def test_ranks_are_counted_and_ties_are_broken_evenly(key):
    def ranks(truth, draws):
        found = simulation_based_calibration(
            lambda key: np.array([truth]),
            lambda key, theta: None,
            lambda key, data: np.array(draws)[:, None],
            key=key,
            num_simulations=60,
        )
        return set(found.ranks[:, 0].tolist()), found.names

    assert ranks(1.5, [0.0, 1.0, 2.0]) == ({2}, ("theta[0]",))
    assert ranks(1.0, [0.0, 1.0, 1.0, 3.0])[0] == {1, 2, 3}


def test_failed_simulations_are_counted(key):
    def sometimes(key, y):
        draws = posterior_draws(key, y)
        return draws | {"a": jnp.where(y[1] > 0, jnp.nan, draws["a"])}

    found = run(sometimes, key, 20)
    assert 0 < found.num_failed < 20
    assert len(found.ranks) == 20 - found.num_failed
    assert f"{found.num_failed} more simulations failed" in str(found)
    with pytest.raises(ValueError, match="all 2 simulations hold NaN"):
        run(lambda key, y: posterior_draws(key, y * jnp.nan), key, 2)


@pytest.mark.parametrize(("n", "num_ranks", "level"), [(40, 21, 0.9), (200, 101, 0.95)])
def test_the_band_holds_a_whole_ecdf_with_its_level(n, num_ranks, level):
    low, high = rank_band(n, num_ranks, level)
    num_tries = 40_000
    rng = np.random.default_rng(0)
    counts = rng.multinomial(n, np.full(num_ranks, 1 / num_ranks), num_tries)
    ecdf = counts.cumsum(axis=1) / n
    share = np.all((low <= ecdf) & (ecdf <= high), axis=1).mean()
    error = (level * (1 - level) / num_tries) ** 0.5
    # The ECDF moves in steps, so the level is met from above, as near as it can be.
    assert level - 4 * error < share < level + 0.01


def test_small_bands_by_enumeration():
    for n, num_ranks, level in ((3, 4, 0.5), (4, 3, 0.8), (5, 3, 0.9)):
        low, high = rank_band(n, num_ranks, level)
        inside = 0
        for ranks in product(range(num_ranks), repeat=n):
            ecdf = (np.array(ranks)[:, None] <= np.arange(num_ranks)).mean(axis=0)
            inside += bool(np.all((low <= ecdf) & (ecdf <= high)))
        assert inside / num_ranks**n >= level
        assert (low[-1], high[-1]) == (1.0, 1.0)
    # With two ranks it is a binomial interval.
    low, high = rank_band(100, 2, 0.95)
    assert (low[0], high[0]) == tuple(binom.interval(0.95, 100, 0.5) / np.array(100))


def test_several_quantities_share_the_level():
    ranks = np.zeros((50, 5), int)
    one, five = SBC(ranks[:, :1], 11, ("a",)), SBC(ranks, 11, tuple("abcde"))
    np.testing.assert_array_equal(one.band, rank_band(50, 11, 0.95))
    np.testing.assert_array_equal(five.band, rank_band(50, 11, 0.99))


def test_errors(key):
    for n, num_ranks, level in ((0, 5, 0.9), (5, 1, 0.9), (5, 5, 1.0), (5, 5, np.nan)):
        with pytest.raises(ValueError, match="`num_ranks` at least 2"):
            rank_band(n, num_ranks, level)
    with pytest.raises(ValueError, match="`num_simulations` must be at least 1"):
        run(posterior_draws, key, 0)
    with pytest.raises(ValueError, match="`level` in"):
        run(posterior_draws, key, 1, level=1.0)
    with pytest.raises(ValueError, match="like the parameters of `prior_draw`"):
        run(lambda key, y: posterior_draws(key, y)["a"], key)
    with pytest.raises(ValueError, match="like the parameters of `prior_draw`"):
        run(lambda key, y: posterior_draws(key, y) | {"b": y}, key)
    sizes = iter((4, 5))
    with pytest.raises(ValueError, match=r"\(4, 1\) draws.*\(5, 1\) in simulation 1"):
        simulation_based_calibration(
            lambda key: np.zeros(1),
            lambda key, theta: None,
            lambda key, data: np.ones((next(sizes), 1)),
            key=key,
            num_simulations=2,
        )
