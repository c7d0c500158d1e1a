"""Phenobarbital: what is known of these newborns, and doses of one to come."""

import numpy as np
import pytest

import BayesianJaxModels as bjm


@pytest.fixture(scope="module")
def example(run_small):
    return run_small("phenobarbital")


def test_clearance_and_volume_are_those_of_the_publication(example, x64):
    """Grasela & Donn 1985: .0047 L/h and .96 L for each kilogram."""
    rows = {
        row.name: row for row in bjm.posterior_table(example["posterior"]).parameters
    }
    typical = np.exp(rows["typical"].mean)
    np.testing.assert_allclose(typical, [0.0047, 0.96], rtol=0.15)
    # Both grow about as weight does.
    assert np.all(abs(rows["powers"].mean - 1.0) < 0.4)
    assert example["posterior"].trustworthy


def test_all_data_were_read(example):
    children = example["children"]
    assert len(children) == 59
    assert sum(np.isfinite(child.observations).sum() for child in children) == 155


def test_the_usual_doses(example, x64):
    """As the equation has it for the typical child: bolus upon bolus."""
    posterior = example["posterior"]
    rows = {row.name: row for row in bjm.posterior_table(posterior).parameters}
    clearance, volume = np.exp(rows["typical"].mean)
    rate = clearance / volume
    given = [20.0, *[2.5] * 9]
    at = [2.0, 119.0]
    expected = [
        sum(
            amount / volume * np.exp(-rate * (t - 12.0 * index))
            for index, amount in enumerate(given)
            if t > 12.0 * index
        )
        for t in at
    ]
    found = np.median(np.asarray(example["ahead"].observables)[:, 0], axis=0)
    np.testing.assert_allclose(found, expected, rtol=0.12)
