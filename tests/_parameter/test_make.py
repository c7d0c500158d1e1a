import jax
import jax.numpy as jnp
import numpy as np
import pytest

from BayesianJaxModels import (
    DeterministicParameter,
    GaussianParameter,
    LaplacianParameter,
    LowRankGaussianParameter,
    MultivariateGaussianParameter,
    make_parameter,
)

from ..registry import LogisticParameter


def test_defaults():
    parameter = make_parameter([1.0, 2.0])
    assert isinstance(parameter, GaussianParameter)
    np.testing.assert_array_equal(parameter.mean, [1.0, 2.0])
    np.testing.assert_allclose(parameter.stdv, 2e-4, rtol=1e-6)


@pytest.mark.parametrize(
    "param_type",
    [LaplacianParameter, MultivariateGaussianParameter, LogisticParameter],
)
def test_every_type_can_be_asked_for(param_type):
    parameter = make_parameter(
        jnp.ones((2, 2)), param_type=param_type, init_raw_stdv=0.3
    )
    assert type(parameter) is param_type
    assert parameter.shape == (2, 2)


def test_not_bayesian_is_deterministic_whatever_the_type():
    parameter = make_parameter(1.0, bayesian=False, param_type=LaplacianParameter)
    assert type(parameter) is DeterministicParameter


@pytest.mark.parametrize("value", [3, [1, 2], np.arange(3), jnp.arange(3)])
def test_integers_become_floats(value):
    parameter = make_parameter(value)
    assert parameter.mean.dtype == jnp.float32
    np.testing.assert_array_equal(parameter.mean, np.asarray(value, np.float32))


def test_python_numbers_become_strongly_typed():
    parameter = make_parameter(1.0, init_raw_stdv=0.5)
    assert not parameter.mean.weak_type
    assert not parameter.raw_stdv.weak_type


def test_dtypes_are_kept(x64):
    assert make_parameter(np.float32(1)).mean.dtype == jnp.float32
    assert make_parameter(np.float64(1)).mean.dtype == jnp.float64
    assert make_parameter(jnp.ones(2, jnp.float16)).raw_stdv.dtype == jnp.float16


@pytest.mark.parametrize(
    ("value", "came"),
    [
        (None, "got None"),
        ("one", "got 'one'"),
        (1 + 2j, "got dtype complex"),
        (True, "got dtype bool"),
        ([[1.0], [1.0, 2.0]], r"got \[\[1.0\], \[1.0, 2.0\]\]"),
        (jax.random.key(0), "got dtype key"),
        (make_parameter(1.0), "got GaussianParameter"),
    ],
    ids=str,
)
def test_what_is_not_a_number_is_an_error(value, came):
    with pytest.raises(TypeError, match="`value` must be a real number.*" + came):
        make_parameter(value)


@pytest.mark.parametrize("value", [jnp.nan, [1.0, jnp.inf]])
def test_what_is_not_finite_is_an_error(value):
    with pytest.raises(ValueError, match="`value` must be finite"):
        make_parameter(value)
    assert np.isnan(jax.jit(make_parameter)(jnp.asarray(value)).value).all()


def test_bad_settings_are_errors():
    with pytest.raises(TypeError, match="`param_type` must be a subclass.*float"):
        make_parameter(1.0, param_type=float)
    with pytest.raises(TypeError, match="`init_raw_stdv` must be a real number"):
        make_parameter(1.0, init_raw_stdv="wide")
    with pytest.raises(ValueError, match="`init_raw_stdv` must be finite"):
        make_parameter(1.0, init_raw_stdv=jnp.nan)
    for name in ("init_raw_stdv", "stdv"):
        for shape in ((3,), (2, 1), (1, 2)):
            with pytest.raises(ValueError, match=rf"`{name}` has shape .* \(2,\)"):
                make_parameter([1.0, 2.0], **{name: np.full(shape, 0.1)})
    with pytest.raises(ValueError, match="`stdv` and `init_raw_stdv` both"):
        make_parameter(1.0, stdv=0.1, init_raw_stdv=0.1)
    for wrong in (1e-4, 0.0, -1.0, np.nan, np.inf, [0.1, 1e-5]):
        with pytest.raises(ValueError, match="`stdv` must be above 0.0001"):
            make_parameter([1.0, 2.0], stdv=wrong)
    with pytest.raises(ValueError, match="`stdv` must be above 0.000141"):
        make_parameter(1.0, stdv=1.2e-4, param_type=LaplacianParameter)
    with pytest.raises(NotImplementedError, match="LogisticParameter has no `with_std"):
        make_parameter(1.0, stdv=0.1, param_type=LogisticParameter)


KINDS = [
    GaussianParameter,
    LaplacianParameter,
    LowRankGaussianParameter,
    MultivariateGaussianParameter,
]


@pytest.mark.parametrize("param_type", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_standard_deviations_are_what_was_asked_for(param_type, dtype, x64):
    value = np.ones((2, 3), dtype)
    scales = np.array([[0.1], [20.0]])
    for stdv in (0.3, scales, scales * np.ones(3)):
        made = make_parameter(value, param_type=param_type, stdv=stdv)
        assert made.stdv.dtype == made.mean.dtype == dtype
        wanted = np.broadcast_to(stdv, (2, 3))
        np.testing.assert_allclose(made.stdv, wanted, rtol=1e-6)
    narrow = jax.jit(lambda stdv: make_parameter(value, stdv=stdv).stdv)(1e-5)
    assert jnp.all(jnp.isnan(narrow))  # what only a run can see raises nothing


@pytest.mark.parametrize("param_type", [*KINDS, LogisticParameter])
def test_unconstrained_widths_of_different_sizes(param_type):
    raw = np.array([[0.1], [2.0]])
    made = make_parameter(np.ones((2, 3)), param_type=param_type, init_raw_stdv=raw)
    width = jax.tree.leaves(made)[1]
    np.testing.assert_array_equal(width, np.float32(raw * np.ones(3)))


@pytest.mark.parametrize("param_type", KINDS[2:])
def test_correlations_outlive_other_standard_deviations(param_type, key, x64):
    first = make_parameter(np.ones(3), param_type=param_type, init_raw_stdv=0.7)
    bent = jax.tree.map(lambda leaf: leaf + jax.random.normal(key, leaf.shape), first)
    stdv = np.array([0.2, 3.0, 40.0])
    moved = bent.with_stdv(stdv)

    def correlation(parameter):
        return parameter.covariance / np.outer(parameter.stdv, parameter.stdv)

    np.testing.assert_allclose(moved.stdv, stdv, rtol=1e-12)
    np.testing.assert_allclose(correlation(moved), correlation(bent), rtol=1e-12)
