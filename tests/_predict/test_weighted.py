import numpy as np

from BayesianJaxModels._predict.weighted import (
    effective_sample_size,
    quantiles,
    representatives,
)


def test_quantiles_of_equal_weights_are_numpys():
    values = np.random.default_rng(0).normal(size=(23, 2, 3))
    probs = np.array([0.0, 0.025, 0.3, 0.5, 0.9, 1.0])
    desired = np.quantile(values, probs, axis=0)
    np.testing.assert_array_equal(quantiles(values, None, probs), desired)
    equal = quantiles(values, np.full(23, 0.3), probs)
    np.testing.assert_allclose(equal, desired, rtol=1e-12)
    one = quantiles(values[:1], np.ones(1), probs)
    np.testing.assert_array_equal(one, np.repeat(values[:1], 6, axis=0))


def test_effective_sample_size():
    weights = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    np.testing.assert_allclose(effective_sample_size(weights), [16 / 6, 1.0, 0.0])


def test_representatives_follow_the_weights():
    np.testing.assert_array_equal(representatives(None, 3, 10), [0, 1, 2])
    weights = np.array([0.0, 5.0, 0.0, 4.0, 1.0])
    np.testing.assert_array_equal(representatives(weights, 5, 10), [1, 3, 4])
    np.testing.assert_array_equal(representatives(weights, 5, 1), [1])
    shown = representatives(np.ones(100), 100, 4)
    np.testing.assert_array_equal(shown, [12, 37, 62, 87])
