import os
import socket
import subprocess
import sys
import threading

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import BayesianJaxModels as bjm
from BayesianJaxModels import (
    flatten_means,
    map_posterior,
    map_posterior_pure,
    sample_all_parameters,
    stream_posterior,
)
from BayesianJaxModels._compute import spread


def test_draw_i_has_the_key_folded_with_i(field, key):
    weights = map_posterior(flatten_means, field, key=key, num_samples=7)
    draw = jax.jit(lambda key: flatten_means(sample_all_parameters(field, key)))
    expected = [draw(jax.random.fold_in(key, i)) for i in range(7)]
    np.testing.assert_allclose(weights, expected, rtol=2e-6)


def test_draws_do_not_depend_on_the_chunks(field, key):
    whole = map_posterior(flatten_means, field, key=key, num_samples=100)
    for num_samples, batch_size in ((100, 1), (100, 7), (33, None), (1, 64)):
        part = map_posterior(
            flatten_means,
            field,
            key=key,
            num_samples=num_samples,
            batch_size=batch_size,
        )
        np.testing.assert_array_equal(part, whole[:num_samples])


@pytest.mark.parametrize("batch_size", [None, 8])
def test_the_pure_twin_draws_the_same(field, key, batch_size):
    @jax.jit
    def pure(field, key):
        return map_posterior_pure(
            flatten_means, field, key=key, num_samples=20, batch_size=batch_size
        )

    whole = map_posterior(flatten_means, field, key=key, num_samples=20)
    np.testing.assert_array_equal(pure(field, key), whole)


@pytest.mark.cpu("chunks come in NumPy from a CPU")
def test_streams_come_in_order_and_whole(field, key):
    whole = map_posterior(flatten_means, field, key=key, num_samples=50)
    seen = 0
    for start, chunk in stream_posterior(
        flatten_means, field, key=key, num_samples=50, batch_size=4
    ):
        assert start == seen
        assert isinstance(chunk, np.ndarray)
        np.testing.assert_array_equal(chunk, whole[start : start + len(chunk)])
        seen += len(chunk)
    assert seen == 50


def test_results_stay_on_an_accelerator(field, key, monkeypatch):
    """By the way that GPUs go, here with the CPU in the place of one."""
    settings = {"key": key, "num_samples": 50}
    whole = map_posterior(flatten_means, field, **settings)
    module = sys.modules[spread.__module__]
    monkeypatch.setattr(module, "_is_accelerator", lambda device: True)
    [(start, chunk)] = stream_posterior(flatten_means, field, **settings)
    assert start == 0
    assert isinstance(chunk, jax.Array)
    np.testing.assert_array_equal(chunk, whole)
    # Batches follow one another within the call.
    [(_, chunk)] = stream_posterior(flatten_means, field, **settings, batch_size=4)
    assert isinstance(chunk, jax.Array)
    joined = map_posterior(flatten_means, field, **settings, batch_size=4)
    np.testing.assert_array_equal(joined, whole)


def test_a_second_call_compiles_nothing(field, key):
    traces = []

    class Scaled(eqx.Module):
        scale: jax.Array

        def __call__(self, drawn):
            traces.append(None)
            return self.scale * flatten_means(drawn)

    for i in range(3):
        map_posterior(
            Scaled(jnp.array(1.0 + i)),
            bjm.unflatten_means(field, flatten_means(field) + i),
            key=jax.random.key(i),
            num_samples=40,
        )
    assert len(traces) == 1


@pytest.mark.cpu("threads are for a CPU's cores")
def test_an_exception_in_the_middle_leaves_no_thread(field, key):
    # Threads that wait for the next run stay.
    map_posterior(flatten_means, field, key=key, num_samples=500)
    before = threading.active_count()
    stream = stream_posterior(
        flatten_means, field, key=key, num_samples=500, batch_size=1
    )
    next(stream)
    with pytest.raises(KeyboardInterrupt):
        stream.throw(KeyboardInterrupt)
    assert threading.active_count() == before

    def fail(drawn):
        raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        map_posterior(fail, field, key=key, num_samples=50)
    assert threading.active_count() == before


def test_bad_counts_and_transformations(field, key):
    with pytest.raises(ValueError, match="`num_samples` must be at least 1, but got 0"):
        map_posterior(flatten_means, field, key=key, num_samples=0)
    with pytest.raises(ValueError, match="`batch_size` must be at least 1, but got -2"):
        map_posterior(flatten_means, field, key=key, num_samples=5, batch_size=-2)
    with pytest.raises(RuntimeError, match="cannot be traced.*`map_posterior_pure`"):
        jax.jit(
            lambda key: map_posterior(flatten_means, field, key=key, num_samples=5)
        )(key)


def test_draws_do_not_depend_on_the_devices(field, key, tmp_path):
    """Nor on chunks, with XLA's options as users have them, not as the tests do."""
    program = """
import sys
import jax
num_devices, path = int(sys.argv[1]), sys.argv[2]
jax.config.update("jax_num_cpu_devices", num_devices)
import numpy as np
from BayesianJaxModels import NeuralVectorField, flatten_means, map_posterior
field = NeuralVectorField(2, width=4, depth=1, init_raw_stdv=0.3, key=jax.random.key(3))
assert len(jax.local_devices()) == num_devices
settings = {"key": jax.random.key(20), "num_samples": 50}
sizes = (None, 3, 16) if num_devices == 1 else (None, 3)
draws = [map_posterior(flatten_means, field, batch_size=n, **settings) for n in sizes]
np.save(path, draws)
"""
    env = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    env["JAX_PLATFORMS"] = "cpu"
    found = []
    for num_devices in ("1", "3"):
        path = tmp_path / f"{num_devices}.npy"
        command = [sys.executable, "-c", program, num_devices, path]
        subprocess.run(command, check=True, env=env)
        found.extend(np.load(path))
    here = map_posterior(flatten_means, field, key=key, num_samples=50)
    np.testing.assert_allclose(found[0], here, rtol=2e-6, atol=1e-8)
    for draws in found[1:]:
        np.testing.assert_array_equal(draws, found[0])


@pytest.mark.cpu("both processes would want the whole of a GPU")
def test_processes_share_the_draws(field, key, solves, tmp_path):
    """Two processes on loopback: the weights bit for bit, gathered and as shares."""
    program = """
import sys
import jax
address, process, path = sys.argv[1:]
jax.config.update("jax_cpu_collectives_implementation", "gloo")
jax.distributed.initialize(address, num_processes=2, process_id=int(process))
import diffrax
import jax.numpy as jnp
import numpy as np
from BayesianJaxModels import (
    NeuralVectorField, flatten_means, map_posterior, posterior_trajectories
)
field = NeuralVectorField(2, width=4, depth=1, init_raw_stdv=0.3, key=jax.random.key(3))
settings = {"key": jax.random.key(20), "num_samples": 11}
whole = map_posterior(flatten_means, field, **settings)
share = map_posterior(flatten_means, field, gather=False, **settings)
ts = jnp.linspace(0.0, 1.0, 3)
heun = {"solver": diffrax.Heun(), "adjoint": diffrax.ForwardMode()}
solves = posterior_trajectories(field, jnp.ones(2), ts, **settings, **heun)
try:
    map_posterior(flatten_means, field, key=jax.random.key(20), num_samples=1)
except ValueError as error:
    message = str(error)
found = {"ys": solves.ys, "steps": solves.num_steps, "message": message}
np.savez(path, whole=whole, share=share, **found)
"""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    paths = [tmp_path / f"{process}.npz" for process in range(2)]
    running = [
        subprocess.Popen([sys.executable, "-c", program, address, str(i), path])
        for i, path in enumerate(paths)
    ]
    assert [process.wait(timeout=300) for process in running] == [0, 0]
    weights = map_posterior(flatten_means, field, key=key, num_samples=11)
    found = []
    for path in paths:
        with np.load(path) as file:
            found.append(dict(file))
    for of_process in found:
        np.testing.assert_array_equal(of_process["whole"], weights)
        np.testing.assert_allclose(of_process["ys"], solves.ys, rtol=1e-5)
        np.testing.assert_array_equal(of_process["steps"], solves.num_steps)
        assert "`num_samples` is 1, but 2 processes share" in str(of_process["message"])
    shares = [of_process["share"] for of_process in found]
    assert [len(share) for share in shares] == [5, 6]
    np.testing.assert_array_equal(np.concatenate(shares), weights)
