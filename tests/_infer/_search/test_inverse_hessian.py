"""Inverse Hessians of many searches, against dense ones."""

import numpy as np
import pytest

from BayesianJaxModels._infer._search.inverse_hessian import PAIRS, InverseHessian

D = 4
SCALE = np.array([0.1, 1.0, 3.0, 20.0])
WANTED = np.array([True, True, False])


def matrices():
    """A Hessian for each of three searches."""
    roots = np.random.default_rng(0).normal(size=(3, D, D))
    return roots @ roots.swapaxes(1, 2) + np.eye(D)


def taught(num_pairs):
    """Two of three searches learn from steps; the pairs they learnt from."""
    hessians, rng = matrices(), np.random.default_rng(1)
    model, pairs = InverseHessian(SCALE, 3), []
    for _ in range(num_pairs):
        step = rng.normal(size=(3, D))
        pairs.append((step, np.einsum("nij,nj->ni", hessians, step)))
        model.learn(*pairs[-1], WANTED)
    return model, pairs


def dense(model):
    """The matrix of each search, column by column."""
    rows = [model.times(np.tile(row, (3, 1))) for row in np.eye(D)]
    return np.stack(rows, axis=2)


def bfgs(start, pairs, search):
    """Nocedal & Wright 2006, equation 6.17."""
    matrix = start
    for steps, differences in pairs:
        s, y = steps[search], differences[search]
        rho = 1 / (s @ y)
        left = np.eye(D) - rho * np.outer(s, y)
        matrix = left @ matrix @ left.T + rho * np.outer(s, s)
    return matrix


@pytest.mark.parametrize("num_pairs", [1, 3, PAIRS + 5])
def test_products_are_those_of_the_last_updates(num_pairs):
    model, pairs = taught(num_pairs)
    found = dense(model)
    for search in (0, 1):
        s, y = (x[search] for x in pairs[-1])
        size = s @ y / np.sum((SCALE * y) ** 2)
        exact = bfgs(size * np.diag(SCALE**2), pairs[-PAIRS:], search)
        np.testing.assert_allclose(found[search], exact, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(found[search] @ y, s, rtol=1e-9)
    np.testing.assert_array_equal(found[2], np.diag(SCALE**2))
    np.testing.assert_array_equal(model.known, WANTED)
    kept = min(num_pairs, PAIRS)
    np.testing.assert_array_equal(model.num_pairs(), [kept, kept, 0])


def test_conjugate_steps_teach_all_of_a_hessian():
    hessians = matrices()
    model = InverseHessian(SCALE, 3)
    axes = np.linalg.eigh(hessians)[1]
    for index in range(D):
        step = axes[:, :, index]
        model.learn(step, np.einsum("nij,nj->ni", hessians, step), np.ones(3, bool))
    np.testing.assert_allclose(dense(model), np.linalg.inv(hessians), atol=1e-12)


def test_roots_are_those_of_the_products():
    model, _ = taught(3)
    which = np.array([2, 0])
    roots = model.roots(which)
    found = dense(model)[which]
    np.testing.assert_allclose(roots @ roots.swapaxes(1, 2), found, rtol=1e-9)


def test_what_is_forgotten_leaves_a_step_of_the_last_size():
    model, pairs = taught(3)
    model.forget(np.array([True, False, False]))
    found = dense(model)
    s, y = (x[0] for x in pairs[-1])
    size = s @ y / np.sum((SCALE * y) ** 2)
    np.testing.assert_allclose(found[0], size * np.diag(SCALE**2), rtol=1e-12)
    np.testing.assert_allclose(found[1], dense(taught(3)[0])[1], rtol=1e-14)
    np.testing.assert_array_equal(model.num_pairs(), [0, 3, 0])


def test_measured_matrices_take_the_place_of_what_was_learnt():
    model, pairs = taught(3)
    before = dense(model)
    root = np.linalg.cholesky(np.linalg.inv(matrices()[:1]))
    model.replace(np.array([0]), root)
    found = dense(model)
    np.testing.assert_allclose(found[0], np.linalg.inv(matrices()[0]), rtol=1e-12)
    np.testing.assert_allclose(found[1:], before[1:], rtol=1e-14)
    # What is learnt from then on starts there: a right one stays right.
    model.learn(*pairs[0], np.array([True, False, False]))
    found = dense(model)[0]
    np.testing.assert_allclose(found, np.linalg.inv(matrices()[0]), rtol=1e-9)


def test_directions_that_do_not_matter_stay_finite():
    """Each measurement widens them, by up to 1e20; four of them overflowed."""
    model = InverseHessian(np.array([1.0, 2.0]), 3)
    which = np.array([0, 2])
    kept = np.array([[1.0, 0.0], [0.0, 3.0]])
    for _ in range(30):
        roots = model.roots(which) * np.array([1.0, 1e20])
        roots[0] = kept
        model.replace(which, roots)
    found = model.roots(which)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[0] @ found[0].T, kept @ kept.T)
    np.testing.assert_allclose(np.linalg.norm(found[1] / [[1.0], [2.0]]), 1e12)
