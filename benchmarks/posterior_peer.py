"""NumPyro's NUTS on lynx and hare, timed whole; run by `posterior_quality.py --peers`.

The model is that of `posterior_cases.py` on the terms of our own NUTS: diffrax at the
same tolerance, gradients in forward mode, a dense mass matrix, and a start where the
posterior is: at the means of the reference, which cost it nothing. Effective draws are
counted by the estimator that counts ours. Two chains run side by side on two CPU
devices, once with nothing compiled and once more. Prints what it found as JSON.
"""

import json
import os
import time

# Before JAX is imported: one device for each chain.
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from arviz_stats.base import array_stats
from numpyro.infer import MCMC, NUTS, init_to_value
from posterior_cases import REFERENCES, TOLERANCE

NUM_CHAINS, NUM_WARMUP, NUM_SAMPLES = 2, 1_000, 1_000


def derivative(t, state, theta):
    """Hare and lynx in logarithms, as the case has them."""
    alpha, beta, gamma, delta = theta
    hare, lynx = jnp.exp(state)
    return jnp.stack([alpha - beta * lynx, delta * hare - gamma])


def model(years, log_counts):
    """Priors of the rates, the start and the noise; log-normal counts."""
    centre = jnp.array([1.0, 0.05, 1.0, 0.05])
    width = jnp.array([0.5, 0.05, 0.5, 0.05])
    theta = numpyro.sample("theta", dist.TruncatedNormal(centre, width, low=0.0))
    start = numpyro.sample("start", dist.LogNormal(jnp.log(jnp.full(2, 10.0)), 1.0))
    noise = numpyro.sample("noise", dist.LogNormal(jnp.full(2, -1.0), 1.0))
    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(derivative),
        diffrax.Tsit5(),
        years[0],
        years[-1],
        None,
        jnp.log(start),
        theta,
        saveat=diffrax.SaveAt(ts=years),
        stepsize_controller=diffrax.PIDController(rtol=TOLERANCE, atol=TOLERANCE),
        adjoint=diffrax.ForwardMode(),
        throw=False,
    )
    numpyro.sample("counts", dist.Normal(solution.ys, noise), obs=log_counts)


def main(seed=0):
    """Sample, and print what that took and how many draws it is worth."""
    reference = json.loads((REFERENCES / "lynx_hare.json").read_text())
    years = jnp.asarray(reference["years"], float)
    log_counts = jnp.log(jnp.asarray(reference["counts"], float))
    expected = np.array([row[1:] for row in reference["quantities"]][:8])
    places = {"theta": slice(4), "start": slice(4, 6), "noise": slice(6, 8)}
    begin = {name: jnp.asarray(expected[place, 0]) for name, place in places.items()}
    mcmc = MCMC(
        NUTS(
            model,
            dense_mass=True,
            forward_mode_differentiation=True,
            init_strategy=init_to_value(values=begin),
        ),
        num_warmup=NUM_WARMUP,
        num_samples=NUM_SAMPLES,
        num_chains=NUM_CHAINS,
        progress_bar=False,
    )

    compiling = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **_: compiling.append(seconds * ("/compile/" in event))
    )

    def run(seed):
        compiling.clear()
        start = time.perf_counter()
        key = jax.random.key(seed)
        mcmc.run(key, years, log_counts, extra_fields=("diverging",))
        samples = mcmc.get_samples(group_by_chain=True)
        draws = np.concatenate([samples[name] for name in places], -1)
        return draws, time.perf_counter() - start

    # The second run compiles its loop again, which is no part of running.
    _, first_s = run(seed + 1)
    draws, run_s = run(seed)
    run_s -= sum(compiling)
    flat = draws.reshape(-1, draws.shape[-1])
    axes = {"chain_axis": 0, "draw_axis": 1}
    bulk = array_stats.ess(draws, **axes, method="bulk")
    tail = array_stats.ess(draws, **axes, method="tail", prob=(0.05, 0.95))
    found = {
        "engine": "numpyro_nuts",
        "seed": seed,
        "max_abs_z": np.max(np.abs(flat.mean(0) - expected[:, 0]) / expected[:, 1]),
        "ess": min(np.min(bulk), np.min(tail)),
        "r_hat": np.max(array_stats.rhat(draws, **axes)),
        "divergences": int(np.sum(mcmc.get_extra_fields()["diverging"])),
        "compile_s": first_s - run_s,
        "run_s": run_s,
        "version": numpyro.__version__,
    }
    print(json.dumps(found, default=float))


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main()
