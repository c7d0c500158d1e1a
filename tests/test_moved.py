import inspect

import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels._moved import NAMESPACES


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_what_has_moved_is_found_where_it_was_with_a_word_on_it(namespace):
    module = getattr(bjm, namespace)
    things = inspect.getmembers(module, lambda thing: not inspect.ismodule(thing))
    for name in [name for name, _ in things if not name.startswith("_")]:
        with pytest.warns(DeprecationWarning, match=f"is `.*{namespace}.{name}` now"):
            assert getattr(bjm, name) is getattr(module, name)


def test_what_never_was_there_is_not_found():
    message = "module 'BayesianJaxModels' has no attribute 'nothing'"
    with pytest.raises(AttributeError, match=message):
        bjm.nothing  # noqa: B018
