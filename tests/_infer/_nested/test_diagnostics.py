"""What nested importance sampling says of itself."""

import numpy as np

import BayesianJaxModels as bjm


def told(**changes):
    numbers = {"k_hat": 0.1, "k_hat_correction": 0.0, "ess": 900.0, "scatter": 0.2}
    numbers |= {"num_failed": 0, "num_evaluations": 2_000, "num_draws": 1_000}
    numbers |= {"log_evidence": -10.0, "noise": 1e-4}
    given = {name: np.asarray(x) for name, x in (numbers | changes).items()}
    subjects = given.pop("k_hat_subjects", np.array([0.1, 0.2]))
    return bjm.NestedDiagnostics(
        k_hat_subjects=subjects, names=("a", "b"), shrinkage=np.array([0.1]), **given
    )


def test_no_fault():
    assert told().complaints() == []
    assert "of subjects at most 0.20 (b)" in repr(told())
    assert "shrinkage of effects 10 %" in repr(told())


def test_each_fault_is_named():
    [words] = told(k_hat=0.9).complaints()
    assert words == "k-hat 0.90 is above 0.7."
    [words] = told(k_hat_correction=0.9).complaints()
    assert "of the correction is above 0.67" in words
    [words] = told(k_hat_subjects=np.array([0.1, 1.2])).complaints()
    assert "The particles of subject b (1.20) have a k-hat above 0.7" in words
    [words] = told(ess=12.0).complaints()
    assert words == "12 effective draws are below 400."
    [words] = told(scatter=1.7).complaints()
    assert "scatter by 1.7 nats" in words
    [words] = told(noise=0.5).complaints()
    assert "not smooth" in words
