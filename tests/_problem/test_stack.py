"""Subjects of different length, brought to one and taken apart again."""

import numpy as np
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels._problem.stack import stack_subjects, unstack_subject


def subjects():
    infusion = bjm.Doses([0.0, 5.0], [1.0, 2.0], into=1, duration=[1.0, 2.0])
    bolus = bjm.Doses(0.0, 7.0, into=0)
    return [
        bjm.Subject([1.0, 2.0], [0.1, 0.2], doses=bolus, covariates={"w": 3.0}),
        bjm.Subject(
            [0.5], [0.3], doses=(infusion, bolus), covariates={"w": 4.0}, name="b"
        ),
        bjm.Subject([0.5, 1.0, 7.0], [0.3, 0.4, 0.5], covariates={"w": 5.0}),
    ]


def test_rows_and_filling():
    whole, names = stack_subjects(subjects())
    assert names == ("1", "b", "3")
    assert whole.ts.tolist() == [[1, 2, 2], [0.5, 0.5, 0.5], [0.5, 1, 7]]
    assert whole.mask.sum(axis=1).tolist() == [2, 1, 3]
    assert whole.covariates["w"].tolist() == [3, 4, 5]
    bolus, infusion = whole.doses
    assert (bolus.into, infusion.into) == (0, 1)
    assert np.array_equal(bolus.times, [[0], [0], [np.nan]], equal_nan=True)
    assert infusion.times.shape == (3, 2)
    assert infusion.ends[1].tolist() == [1, 7]


def test_there_and_back():
    given = subjects()
    whole, _ = stack_subjects(given)
    for index, one in enumerate(given):
        back = unstack_subject(whole, index)
        assert np.array_equal(back.ts, one.ts)
        assert np.array_equal(back.observations, one.observations)
        assert {doses.into for doses in back.doses} == {d.into for d in one.doses}
        total = sum(float(doses.amounts.sum()) for doses in back.doses)
        assert total == sum(float(doses.amounts.sum()) for doses in one.doses)


def test_what_does_not_go_together_is_named():
    first = bjm.Subject([1.0], [1.0], covariates={"w": 1.0}, name="a")
    with pytest.raises(ValueError, match="`subjects` is empty"):
        stack_subjects([])
    with pytest.raises(TypeError, match="one is a int"):
        stack_subjects([3])
    with pytest.raises(ValueError, match="more than one subject a"):
        stack_subjects([first, first])
    with pytest.raises(ValueError, match="b has no 'w', where a has"):
        stack_subjects([first, bjm.Subject([1.0], [1.0], name="b")])

    def beside(observation=1.0, **covariates):
        other = bjm.Subject([1.0], [observation], covariates=covariates, name="b")
        return [first, other]

    with pytest.raises(ValueError, match="b has 'h' as well"):
        stack_subjects(beside(w=1.0, h=2.0))
    with pytest.raises(ValueError, match="The covariate 'w' of subject b is nan"):
        stack_subjects(beside(w=np.nan))
    with pytest.raises(ValueError, match="'w' of subject b has shape"):
        stack_subjects(beside(w=np.ones(2)))
    with pytest.raises(ValueError, match="that of b is"):
        stack_subjects(beside([1.0, 2.0], w=1.0))
