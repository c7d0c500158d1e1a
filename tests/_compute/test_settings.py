"""What the caller has set in JAX holds in the threads that work for it."""

import threading

import jax
import numpy as np
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels._compute.map_chunks import map_chunks, signature
from BayesianJaxModels._compute.settings import settings_here

SETTINGS = {
    "jax_default_matmul_precision": lambda: jax.default_matmul_precision("highest"),
    "jax_numpy_dtype_promotion": lambda: jax.numpy_dtype_promotion("standard"),
    "jax_numpy_rank_promotion": lambda: jax.numpy_rank_promotion("raise"),
    "jax_debug_nans": lambda: jax.debug_nans(True),
    "jax_debug_infs": lambda: jax.debug_infs(True),
    "jax_default_prng_impl": lambda: jax.default_prng_impl("rbg"),
    "jax_threefry_partitionable": lambda: jax.threefry_partitionable(False),
    "jax_default_device": lambda: jax.default_device(jax.devices()[0]),
    "jax_check_tracer_leaks": jax.checking_leaks,
    "jax_enable_x64": lambda: jax.enable_x64(True),
    "jax_disable_jit": jax.disable_jit,
    "jax_log_compiles": jax.log_compiles,
    "jax_transfer_guard_host_to_device": lambda: jax.transfer_guard("log"),
}


def values():
    return [value for _, value in settings_here()]


@pytest.mark.parametrize("name", SETTINGS)
def test_workers_have_the_settings_of_the_caller(name):
    plain = getattr(jax.config, name)
    with SETTINGS[name]():
        wanted = values()
        assert getattr(jax.config, name) != plain

        def run(start, worker):
            return threading.current_thread(), values()

        results = [result for _, result in map_chunks(run, [0, 1, 2], num_workers=2)]
    assert all(found == wanted for _, found in results)
    assert all(thread is not threading.current_thread() for thread, _ in results)


def test_what_cannot_be_carried_keeps_the_work_at_home():
    context = jax.make_user_context(None)

    def run(start, worker):
        return threading.current_thread(), context.value

    with context(3):
        results = [result for _, result in map_chunks(run, [0, 1], num_workers=2)]
    assert results == [(threading.current_thread(), 3)] * 2


def test_many_draws_are_the_few_under_a_setting(key):
    """Two draws run in the caller's thread, and fifty in several."""
    model = bjm.make_parameter(1.0, stdv=1.0)

    def fn(drawn):
        return drawn.mean * jax.random.normal(jax.random.key(0), (3,))

    plain = bjm.map_posterior(fn, model, key=key, num_samples=2)
    with SETTINGS["jax_threefry_partitionable"]():
        few = bjm.map_posterior(fn, model, key=key, num_samples=2)
        many = bjm.map_posterior(fn, model, key=key, num_samples=50, batch_size=2)
    np.testing.assert_array_equal(many[:2], few)
    assert np.all(few != plain)


def test_code_of_other_settings_is_other_code():
    inputs = (np.ones(2),)
    plain = signature(inputs)
    for name in ("jax_default_matmul_precision", "jax_enable_x64"):
        with SETTINGS[name]():
            assert signature(inputs) != plain
    assert signature(inputs) == plain
