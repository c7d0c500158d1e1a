"""Copies of functions with other internals."""

import diffrax

from BayesianJaxModels._dynamics._patches.internals import with_internals


def test_only_the_copy_means_something_else():
    before = diffrax.StepTo.init.__globals__["eqxi"].error_if
    copy = with_internals(diffrax.StepTo.init, error_if=lambda x, pred, msg: "passed")
    assert copy.__globals__["eqxi"].error_if(1, True, "of no use") == "passed"
    assert copy.__globals__["eqxi"].while_loop is not None
    assert diffrax.StepTo.init.__globals__["eqxi"].error_if is before
