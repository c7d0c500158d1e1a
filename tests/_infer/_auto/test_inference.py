"""What infer returns: a posterior with its report."""

import re

import numpy as np
import pytest
from jax import random

import BayesianJaxModels as bjm
from tests._infer._auto.line import KEY, MODEL, PROBLEM, assert_exact


@pytest.fixture(scope="module")
def found():
    return bjm.infer(PROBLEM, MODEL, key=KEY)


def test_it_is_a_posterior_for_what_takes_one(found):
    draws = {"key": random.key(1), "num_samples": 50}
    of_found = bjm.map_posterior(bjm.flatten_means, found, **draws)
    of_posterior = bjm.map_posterior(bjm.flatten_means, found.posterior, **draws)
    np.testing.assert_array_equal(of_found, of_posterior)
    one = bjm.sample_all_parameters(found, random.key(2))
    assert one.mean.shape == (2,)
    again = bjm.importance(
        PROBLEM, found, key=random.key(3), num_samples=500, num_rounds=2
    )
    assert_exact(again)
    with pytest.raises(TypeError, match="get_parameters"):
        bjm.get_parameters(found)


def test_its_report_says_what_was_done(found):
    report = repr(found)
    assert re.match(r"Inference in \d+\.\d s, to be trusted: no check found", report)
    for words in ("16 of 16 starts agree", "1 normal distribution", "effective draws"):
        assert words in report
    assert max(map(len, report.splitlines())) <= 88
    assert report in str(found)
