import jax
import jax.numpy as jnp

from BayesianJaxModels._compute import full_precision


def precisions(fn, *args, **kwargs):
    jaxpr = jax.make_jaxpr(lambda *args: fn(*args, **kwargs))(*args)
    return [
        equation.params["precision"]
        for equation in jaxpr.eqns
        if equation.primitive.name == "dot_general"
    ]


def product(a, b, *, scale):
    """Of two matrices."""
    return scale * (a @ b)


def test_products_keep_all_of_float32():
    a = jnp.ones((2, 2))
    highest = (jax.lax.Precision.HIGHEST,) * 2
    assert precisions(full_precision(product), a, a, scale=2.0) == [highest]
    assert precisions(product, a, a, scale=2.0) == [None]
    with jax.default_matmul_precision("bfloat16"):
        assert precisions(full_precision(product), a, a, scale=2.0) == [highest]


def test_the_setting_ends_with_the_call():
    def fail():
        raise ValueError("on purpose")

    before = jax.config.jax_default_matmul_precision
    try:
        full_precision(fail)()
    except ValueError:
        assert jax.config.jax_default_matmul_precision == before


def test_name_and_words_stay():
    found = full_precision(product)
    assert (found.__name__, found.__doc__) == ("product", "Of two matrices.")
