import re
from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels._check as check

INF, NAN = np.inf, np.nan


def exactly(message):
    return f"^{re.escape(message)}$"


def test_widths_are_positive_and_finite():
    values = jnp.array([1.0, 0.0, -1.0, INF, -INF, NAN, 1e-37])
    wanted = [True, False, False, False, False, False, True]
    np.testing.assert_array_equal(check.are_positive(values), wanted)


@pytest.mark.parametrize("bad", [0.0, -1.0, INF, NAN, [1.0, -2.0]], ids=str)
def test_known_numbers_that_are_not_positive_raise(bad):
    message = rf"^`scale` must be positive, but got {re.escape(str(jnp.array(bad)))}\."
    with pytest.raises(ValueError, match=message):
        check.as_positive("scale", np.array(bad))
    # Under a transformation constants are as known as outside of it.
    with pytest.raises(ValueError, match=message):
        jax.make_jaxpr(lambda x: x * check.as_positive("scale", np.array(bad)))(1.0)


def test_infinity_is_positive_where_it_may_be():
    assert check.as_positive("upper", INF, may_be_infinite=True) == INF
    for bad in (-INF, NAN):
        with pytest.raises(ValueError, match="`upper` must be positive"):
            check.as_positive("upper", bad, may_be_infinite=True)


def test_what_only_compiled_code_knows_may_be_anything():
    values = jnp.array([1.0, -1.0, NAN])
    found = jax.vmap(lambda value: check.as_positive("scale", value))(values)
    np.testing.assert_array_equal(found, values)


def test_fields_take_the_shape_and_dtype_of_what_they_belong_to(x64):
    value = jnp.zeros((2, 3), "float32")
    row = np.array([1.0, 2.0, 3.0])
    one, many = check.like(value, one=jnp.array(2.0), many=jnp.asarray(row))
    assert one.dtype == many.dtype == "float32"
    np.testing.assert_array_equal(one, np.full((2, 3), 2.0))
    np.testing.assert_array_equal(many, np.tile(row, (2, 1)))
    message = exactly(
        "`many` has shape (2,), which does not broadcast to (2, 3), the shape of the "
        "entries that it belongs to."
    )
    with pytest.raises(ValueError, match=message):
        check.like(value, one=jnp.array(2.0), many=jnp.ones(2))


# A shape, what it is held to, and whether NumPy would keep that.
SHAPES = [
    ((), (), True),
    ((), (2, 3), True),
    ((3,), (2, 3), True),
    ((1,), (2, 3), True),
    ((2, 1), (2, 3), True),
    ((2,), (2, 3), False),
    ((1, 1, 1), (2, 3), False),
    ((3,), (1,), False),
    ((1,), (), False),
    ((0,), (1,), False),
    ((1,), (0,), True),
    ((), (0, 3), True),
]


@pytest.mark.parametrize(("shape", "wanted", "fits"), SHAPES, ids=str)
def test_what_broadcasts_to_a_shape(shape, wanted, fits):
    array = np.zeros(shape)
    if fits:
        assert np.broadcast_to(array, wanted).shape == wanted
        check.check_broadcast("stdv", array, wanted)
        return
    message = exactly(
        f"`stdv` has shape {shape}, but the value has shape {wanted}. Pass one number, "
        "or an array of that shape or one that broadcasts to it."
    )
    with pytest.raises(ValueError, match=message):
        check.check_broadcast("stdv", array, wanted)


def test_what_is_an_array():
    key = jax.random.key(0)
    leaves = [jnp.ones(1), np.ones(1), np.float64(1), 1.0, [1.0], None, key]
    are_arrays = [check.is_array(leaf) for leaf in leaves]
    assert are_arrays == [True, True, False, False, False, False, True]
    kinds = [np.zeros(1, kind) for kind in ("float32", "int32", "bool", "complex64")]
    kinds += [jnp.ones(1, "bfloat16"), key, 1.0, None]
    are_floats = [check.is_float_array(leaf) for leaf in kinds]
    assert are_floats == [True, False, False, False, True, False, False, False]


def test_real_numbers_become_floats_that_keep_their_precision(x64):
    for given, dtype in (
        (1, "float64"),
        (np.int32(1), "float64"),
        (1.0, "float64"),
        (np.float32(1.0), "float32"),
        (jnp.ones((), "float16"), "float16"),
        ([1, 1.0], "float64"),
    ):
        found = check.as_float_array(given)
        assert found.dtype == dtype
        assert not found.weak_type
        np.testing.assert_array_equal(found, np.ones(np.shape(given)))


def test_integers_become_single_floats_by_default():
    assert check.as_float_array(np.arange(3)).dtype == "float32"


def test_what_is_no_real_number_is_named():
    wanted = "`rate` must be a real number or an array of them, but got "
    for given, came in (
        (None, "None."),
        ("text", "'text'."),
        ([[1.0], [1.0, 2.0]], "[[1.0], [1.0, 2.0]]."),
        (np.array([True, False]), "dtype bool with shape (2,)."),
        (1j * np.ones(3), "dtype complex128 with shape (3,)."),
        (jax.random.key(0), "dtype key<fry> with shape ()."),
    ):
        with pytest.raises(TypeError, match=exactly(wanted + came)):
            check.as_float_array(given, "rate")


def test_shapes_and_dtypes_of_widths_are_exact(x64):
    mean = jnp.zeros((2, 3))
    check.check_width("raw_stdv", jnp.ones((2, 3)), mean, (2, 3))
    message = exactly(
        "`raw_stdv` has shape (3,), but (2, 3) was wanted. Nothing is broadcast."
    )
    with pytest.raises(ValueError, match=message):
        check.check_width("raw_stdv", jnp.ones(3), mean, (2, 3))
    message = exactly(
        "`raw_stdv` has dtype float32, but `mean` has float64. They must be equal."
    )
    with pytest.raises(ValueError, match=message):
        check.check_width("raw_stdv", jnp.ones((2, 3), "float32"), mean, (2, 3))


def test_values_that_are_bad_raise_when_they_are_known():
    array = jnp.ones(2)
    assert check.check_values(array, np.array(False), "of no use") is array
    with pytest.raises(ValueError, match=r"^of use$"):
        check.check_values(array, np.array(True), "of use")


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_finite_values_pass_and_others_raise_compiled_too(bad):
    good = jnp.array([1.0, -2.0])
    assert check.check_finite("mean", good) is good
    checked = eqx.filter_jit(lambda array: check.check_finite("mean", array))
    np.testing.assert_array_equal(checked(good), good)
    wrong = jnp.array([1.0, bad])
    message = "`mean` must be finite, but has NaN or inf."
    with pytest.raises(ValueError, match=exactly(message)):
        check.check_finite("mean", wrong)
    assert np.isnan(checked(wrong)).all()


def test_widths_match_their_means():
    mean = jnp.zeros((2, 3), "float16")
    for given in (3, np.array([[1.0], [2.0]])):
        found = check.matching_width(mean, given)
        assert found.dtype == "float16"
        np.testing.assert_array_equal(found, np.broadcast_to(given, (2, 3)))
    with pytest.raises(ValueError, match=r"^`init_raw_stdv` has shape \(2,\)"):
        check.matching_width(mean, np.ones(2))
    with pytest.raises(TypeError, match="^`init_raw_stdv` must be a real number"):
        check.matching_width(mean, "wide")


def test_keys_that_are_none_are_named_with_what_came():
    make_one = r"Make one with `jax.random.key\(0\)`; another number makes other draws."
    with pytest.raises(ValueError, match=f"^A key .* `rng` is None. {make_one}$"):
        check.check_key(None, "rng")
    for given, came in (
        (3, "3"),
        (np.float32(2.0), r"np.float32\(2.0\)"),
        (jnp.ones(2), r"float32\[2\]"),
        (np.uint32([3, 4])[0], r"np.uint32\(3\)"),
        (jnp.uint32(3), r"uint32\[\]"),
    ):
        with pytest.raises(TypeError, match=f"JAX, not {came}. {make_one}$"):
            check.check_key(given)
    several = jax.random.split(jax.random.key(0), 3)
    for given, shape in (
        (several, r"\(3,\)"),
        (jnp.zeros((3, 2), "uint32"), r"\(3, 2"),
    ):
        with pytest.raises(ValueError, match=f"array of them, of shape {shape}.*vmap"):
            check.check_key(given)


def test_counts_that_are_too_small_are_named():
    check.check_counts(num_samples=1, batch_size=None)
    check.check_counts(0, depth=0)
    with pytest.raises(ValueError, match="^`depth` must be at least 0, but got -1.$"):
        check.check_counts(0, width=1, depth=-1)
    with pytest.raises(ValueError, match="^`num_samples` must be at least 1, but got"):
        check.check_counts(batch_size=3, num_samples=0)


def test_near_names_come_first_and_otherwise_the_first_ten():
    known = ["layers[0].W", "layers[0].b", "rate"]
    assert check.near_matches("ratte", known) == ["rate"]
    assert check.near_matches("layers[0].W", iter(known))[0] == "layers[0].W"
    names = [f"name{i}" for i in range(12)]
    assert check.near_matches("???", iter(names)) == names[:10]
    assert check.near_matches("rate", []) == []


def test_extras_come_or_say_how_to_get_them(monkeypatch):
    given = {"needed_by": "A report", "package": "a printer", "extra": "print"}
    monkeypatch.setitem(check.__dict__, "import_module", lambda name: [name])
    assert check.import_extra("printer.core", **given) == ["printer.core"]
    monkeypatch.undo()
    message = exactly(
        "A report needs a printer, which is not installed. "
        '`pip install "BayesianJaxModels[print]"` brings it.'
    )
    with pytest.raises(ImportError, match=message) as caught:
        check.import_extra("no_such_module_anywhere", **given)
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


def test_shapes_of_anything_with_a_shape():
    check.check_shape("W", SimpleNamespace(shape=(2,)), (2,))
    for shape in ((), (1,), (2, 1)):
        with pytest.raises(ValueError, match=r"^`W` has shape .*, but \(2,\) was want"):
            check.check_shape("W", SimpleNamespace(shape=shape), (2,))


def test_where_all_failed_either_kind_of_error_is_caught():
    for kind in (RuntimeError, ValueError):
        with pytest.raises(kind, match="no draw is left"):
            raise check.AllFailedError("no draw is left")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "bool"])
def test_arrays_of_numpy_come_to_jax_as_jax_would_take_them(dtype):
    given = np.ones((2, 3), dtype)
    found = check.as_jax(given)
    assert isinstance(found, jax.Array)
    assert found.dtype == jnp.asarray(given).dtype
    np.testing.assert_array_equal(found, given)
    assert check.as_jax(given, "float32").dtype == "float32"
    assert check.home_of(given) is check.home_of(given[0, 0]) is np
    assert check.home_of(found) is jnp


def test_what_a_user_gave_may_change_afterwards():
    given = np.array([1.0, 2.0], "float32")
    taken = check.as_float_array(given)
    given[:] = 5.0
    np.testing.assert_array_equal(taken, [1.0, 2.0])


def test_what_is_known_is_evaluated_where_something_else_is_traced():
    constant = jnp.ones(2)

    @jax.jit
    def traced(x):
        with check.evaluated():
            known = float(jnp.sum(constant))
        return known * x

    assert traced(1.5) == 3.0
    with check.evaluated():
        assert float(jnp.sum(constant)) == 2.0


def test_what_is_known_comes_to_the_host_and_what_is_traced_does_not():
    assert isinstance(check.on_host(jnp.ones(2)), np.ndarray)
    assert check.on_host([True, False]).dtype == bool
    kinds = []
    jax.make_jaxpr(lambda x: kinds.append(check.on_host(x) is x) or x)(jnp.ones(2))
    assert kinds == [True]
