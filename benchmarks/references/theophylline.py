"""The reference posterior of theophylline: a long run of NumPyro on the closed form.

    python benchmarks/references/theophylline.py

Twelve subjects took one oral dose each. Absorption, clearance and volume of each are
log-normal around those of the population, concentrations have additive noise, and the
compartments are solved by hand, so that nothing of this package is in it. Writes
`examples/data/theophylline_reference.csv`: means and standard deviations of the draws,
how many they are worth, and how long the run took. Needs NumPyro and ArviZ.
"""

import csv
import os
import time
from pathlib import Path

# Before JAX is imported: one device for each chain.
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2"

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from arviz_stats.base import array_stats
from numpyro.infer import MCMC, NUTS, init_to_value

DATA = Path(__file__).parents[2] / "examples" / "data"
NUM_CHAINS, NUM_WARMUP, NUM_SAMPLES = 4, 2_000, 10_000
# log ka (per hour), log clearance (L per hour), log volume (L)
# There is a second solution where absorption is slower than elimination, "flip-flop",
# with volumes of 2 L. These priors rule it out, and chains begin on this side of it.
CENTRE, WIDTH, BETWEEN, NOISE = (0.5, 1.0, 3.5), 0.5, 1.0, 2.0


def read():
    """Doses in mg, times in h and concentrations in mg/L, a row for each subject."""
    with (DATA / "theophylline.csv").open() as file:
        rows = list(csv.DictReader(line for line in file if line[0] != "#"))
    doses = [float(row["AMT"]) for row in rows if row["AMT"]]
    observed = [row for row in rows if row["DV"]]
    shape = (len(doses), -1)
    times = np.array([float(row["TIME"]) for row in observed]).reshape(shape)
    return (
        np.array(doses),
        times,
        np.array([float(r["DV"]) for r in observed]).reshape(shape),
    )


def model(doses, times, concentrations):
    """One compartment with first-order absorption, in closed form."""
    typical = numpyro.sample("typical", dist.Normal(jnp.array(CENTRE), WIDTH))
    between = numpyro.sample("between", dist.HalfNormal(jnp.full(3, BETWEEN)))
    noise = numpyro.sample("noise", dist.HalfNormal(NOISE))
    shape = (len(doses), 3)
    z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand(shape).to_event(2))
    effects = numpyro.deterministic("effects", typical + between * z)
    ka, clearance, volume = (x[:, None] for x in jnp.exp(effects).T)
    k = clearance / volume
    apart = jnp.where(jnp.abs(ka - k) < 1e-9, 1e-9, ka - k)
    absorbed = (jnp.exp(-k * times) - jnp.exp(-ka * times)) * ka / apart
    mean = doses[:, None] / volume * absorbed
    numpyro.sample("y", dist.Normal(mean, noise), obs=concentrations)


def sampler_of(num_subjects, num_chains, num_warmup, num_samples, chain_method):
    """NUTS, begun at the typical subject."""
    values = {
        "typical": jnp.array(CENTRE),
        "between": jnp.full(3, 0.3),
        "noise": jnp.array(1.0),
        "z": jnp.zeros((num_subjects, 3)),
    }
    kernel = NUTS(
        model,
        target_accept_prob=0.95,
        init_strategy=init_to_value(values=values),
    )
    return MCMC(
        kernel,
        num_warmup=num_warmup,
        num_samples=num_samples,
        num_chains=num_chains,
        chain_method=chain_method,
        progress_bar=False,
    )


def main(seed=0):
    """Sample, and write the summary of the draws."""
    jax.config.update("jax_enable_x64", True)
    start = time.perf_counter()
    doses, times, concentrations = read()
    sampler = sampler_of(len(doses), NUM_CHAINS, NUM_WARMUP, NUM_SAMPLES, "sequential")
    sampler.run(jax.random.key(seed), doses, times, concentrations)
    draws = jax.tree.map(np.asarray, sampler.get_samples(group_by_chain=True))
    divergences = np.sum(sampler.get_extra_fields(group_by_chain=True)["diverging"])
    seconds = time.perf_counter() - start
    num_draws = NUM_CHAINS * NUM_SAMPLES
    lines = [
        "# Reference posterior of the twelve subjects of theophylline.csv: "
        f"{num_draws:,} draws of NumPyro on the closed form.",
        "# Written by benchmarks/references/theophylline.py, whose priors they are; "
        f"jax {jax.__version__}, numpyro {numpyro.__version__}, {NUM_CHAINS} chains,",
        f"# {divergences} divergences, {seconds:.0f} s.",
        "quantity,index,mean,sd,ess,r_hat",
    ]
    for name in ("typical", "between", "noise", "effects"):
        own = draws[name].reshape(NUM_CHAINS, NUM_SAMPLES, -1)
        for index, x in enumerate(np.moveaxis(own, -1, 0)):
            found = x.mean(), x.std(ddof=1), array_stats.ess(x, method="bulk")
            numbers = [f"{number:.6g}" for number in (*found, array_stats.rhat(x))]
            lines.append(",".join([name, str(index), *numbers]))
    (DATA / "theophylline_reference.csv").write_text("\n".join(lines) + "\n")
    print(f"{seconds:.0f} s")


if __name__ == "__main__":
    main()
