"""Theophylline: the population, beside a long run of other software, and its people."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def example(run_small):
    return run_small("theophylline")


def test_the_posterior_is_that_of_numpyro(example):
    reference = example["reference"]
    assert len(reference["mean"]) == 3 + 3 + 1 + 12 * 3
    np.testing.assert_allclose(reference["mean"][0], 0.467366)
    assert np.abs(example["z"]).max() < 0.15
    assert example["ratio"].min() > 0.88
    assert example["ratio"].max() < 1.12
    assert example["posterior"].trustworthy


def test_a_stranger_is_less_known_than_one_who_was_measured(example):
    """And half the dose gives half the concentration, as the equation is linear."""
    seen, stranger = np.asarray(example["ahead"].observables)[:, :, 0].T
    assert stranger.std() > 1.5 * seen.std()
    curves = np.asarray(example["fitted"].observables)[:, 0]
    at_eight = np.argmin(abs(np.linspace(0.05, 25.0, 100) - 8.0))
    [dose] = example["subjects"][0].doses
    half = np.median(curves[:, at_eight]) * 160.0 / float(np.ravel(dose.amounts)[0])
    np.testing.assert_allclose(np.median(seen), half, rtol=0.05)


def test_every_subject_is_drawn(example):
    titles = [axes.get_title() for axes in example["axes"]]
    assert [title.split()[-1] for title in titles] == [str(n) for n in range(1, 13)]
