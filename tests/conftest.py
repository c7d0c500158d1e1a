import gc
import os
import platform

# Matrices here are small, and OpenBLAS's threads wait for each other by spinning: most
# of the CPU time of some tests. This is for SciPy's, whose LAPACK JAX calls, and in the
# workers, which inherit it, for NumPy's.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from jaxlib.version import __version_info__ as jaxlib_version  # noqa: E402

# Compiling takes most of the suite's time, and half of that is optimisation.
# Subprocesses that a test starts inherit the flags.
flags = "--xla_backend_optimization_level=0"
if jaxlib_version < (0, 11) and platform.machine() == "x86_64":
    # The newer emitters are a third of compiling. The older ones fuse a multiplication
    # and an addition or not by the shape, and draws must not depend on that; in AVX
    # there is no such instruction.
    flags += " --xla_cpu_use_fusion_emitters=false --xla_cpu_max_isa=AVX"
if not os.environ.get("COMPILE_AS_USERS"):
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}"

import jax  # noqa: E402
import pytest  # noqa: E402


def pytest_configure(config):
    """Share compiled code between the workers, and with the next run."""
    gc.set_threshold(100_000, 50, 100)  # few collections while tracing
    jax.config.update("jax_traceback_in_locations_limit", 0)
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    if config.pluginmanager.has_plugin("cacheprovider"):
        jax.config.update("jax_compilation_cache_dir", str(config.cache.mkdir("jax")))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def pytest_runtest_setup(item):
    """What is about CPUs has nothing to say where JAX computes on something else."""
    mark = item.get_closest_marker("cpu")
    if mark is not None and jax.default_backend() != "cpu":
        pytest.skip(mark.args[0])


@pytest.fixture
def key():
    return jax.random.key(20)


@pytest.fixture
def x64():
    """Double precision for one test: what finite differences need."""
    enable_x64 = getattr(jax, "enable_x64", None)
    if enable_x64 is None:
        from jax.experimental import enable_x64
    with enable_x64(True):
        yield
