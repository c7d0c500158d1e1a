"""One of many subjects."""

import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels import Doses
from BayesianJaxModels._problem.subject import Subject


def test_what_is_known_of_a_subject():
    given = Doses(0.0, 320.0, into=0)
    subject = Subject(
        [0.25, 1.1], jnp.array([2.8, 10.5]), doses=given, covariates={"weight": 79}
    )
    assert subject.doses == (given,)
    assert subject.covariates["weight"] == 79.0
    np.testing.assert_array_equal(subject.mask, [True, True])
    assert subject.observations.dtype == np.float64
    assert Subject(1.0, [[2.0, 3.0]]).doses == ()
    assert len(Subject(1.0, [2.0], doses=[given, given]).doses) == 2


def test_wrong_subjects_are_named():
    with pytest.raises(ValueError, match="no observation of subject 7. Leave it out"):
        Subject([], [], name=7)
    with pytest.raises(ValueError, match=r"of subject Anna must be as many as `ts`, 2"):
        Subject([1.0, 2.0], [3.0], name="Anna")
    with pytest.raises(ValueError, match="`ts` of subject 7: `ts` must be stri"):
        Subject([1.0, 3.0, 2.0], np.zeros(3), name=7)
    with pytest.raises(TypeError, match="'sex' of subject 7 must be a number, but"):
        Subject([1.0], [3.0], covariates={"sex": "f"}, name=7)
