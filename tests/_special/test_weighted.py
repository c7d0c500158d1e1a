import numpy as np

from BayesianJaxModels._special import quantiles, quantiles_of_sorted, sort_weighted


def test_draws_of_weight_zero_do_not_count_and_others_stand_in_their_middle():
    values, weights = np.array([3.0, 1.0, 9.0, 2.0]), np.array([1.0, 1.0, 0.0, 2.0])
    ascending, own = sort_weighted(values, weights)
    np.testing.assert_array_equal(ascending, [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(own, [1.0, 2.0, 1.0])
    probs = np.array([0.0, 0.25, 0.5, 1.0])
    by_hand = [1.0, 1.5, 2.0, 3.0]
    np.testing.assert_allclose(quantiles_of_sorted(ascending, own, probs), by_hand)
    np.testing.assert_allclose(quantiles(values, weights, probs), by_hand)


def test_nothing_has_no_quantiles():
    probs = np.array([0.5, 0.9])
    assert quantiles(np.zeros((3, 0)), np.ones(3), probs).shape == (2, 0)
