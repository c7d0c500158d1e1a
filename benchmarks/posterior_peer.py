"""NumPyro's NUTS on lynx and hare, timed whole; run by `posterior_quality.py --peers`.

The model is that of `posterior_cases.py`, written as NumPyro's users write it, with
JAX's own adaptive solver. Two chains run side by side on two CPU devices. Prints what
it found as JSON.
"""

import json
import os
import time

# Before JAX is imported: one device for each chain.
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax.experimental.ode import odeint
from numpyro.diagnostics import effective_sample_size, gelman_rubin
from numpyro.infer import MCMC, NUTS
from posterior_cases import REFERENCES, TOLERANCE

NUM_CHAINS, NUM_WARMUP, NUM_SAMPLES = 2, 1_000, 1_000


def derivative(state, t, theta):
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
    states = odeint(
        derivative, jnp.log(start), years, theta, rtol=TOLERANCE, atol=TOLERANCE
    )
    numpyro.sample("counts", dist.Normal(states, noise), obs=log_counts)


def main(seed=0):
    """Sample, and print what a first call took and how many draws it is worth."""
    reference = json.loads((REFERENCES / "lynx_hare.json").read_text())
    years = jnp.asarray(reference["years"], float)
    log_counts = jnp.log(jnp.asarray(reference["counts"], float))
    start = time.perf_counter()
    mcmc = MCMC(
        NUTS(model),
        num_warmup=NUM_WARMUP,
        num_samples=NUM_SAMPLES,
        num_chains=NUM_CHAINS,
        progress_bar=False,
    )
    mcmc.run(jax.random.key(seed), years, log_counts, extra_fields=("diverging",))
    samples = mcmc.get_samples(group_by_chain=True)
    draws = np.concatenate([samples[name] for name in ("theta", "start", "noise")], -1)
    seconds = time.perf_counter() - start
    flat = draws.reshape(-1, draws.shape[-1])
    expected = np.array([row[1:] for row in reference["quantities"]][:8])
    found = {
        "engine": "numpyro_nuts",
        "seed": seed,
        "max_abs_z": np.max(np.abs(flat.mean(0) - expected[:, 0]) / expected[:, 1]),
        "ess": np.min(effective_sample_size(draws)),
        "r_hat": np.max(gelman_rubin(draws)),
        "divergences": int(np.sum(mcmc.get_extra_fields()["diverging"])),
        "seconds": seconds,
        "version": numpyro.__version__,
    }
    print(json.dumps(found, default=float))


if __name__ == "__main__":
    jax.config.update("jax_enable_x64", True)
    main()
