"""NumPyro's NUTS on theophylline in closed form; run by `populations.py`.

The model is that of the reference, in `references/theophylline.py`, and chains begin
where those of the reference began. Two of them run side by side on two CPU devices.
Prints the means and standard deviations of all draws as JSON.
"""

import json
import sys
import time

import jax
import numpy as np
import numpyro
from references.theophylline import read, sampler_of

NUM_CHAINS, NUM_WARMUP, NUM_SAMPLES = 2, 500, 1_000


def main(started, seed=1):
    """Sample, and print what came out and how long that took from the start on."""
    jax.config.update("jax_enable_x64", True)
    doses, times, concentrations = read()
    sampler = sampler_of(len(doses), NUM_CHAINS, NUM_WARMUP, NUM_SAMPLES, "parallel")
    sampler.run(jax.random.key(seed), doses, times, concentrations)
    draws = jax.tree.map(np.asarray, sampler.get_samples())
    moments = {
        name: [np.ravel(draws[name].mean(axis=0)), np.ravel(draws[name].std(axis=0))]
        for name in ("typical", "between", "noise", "effects")
    }
    found = {
        "cold_s": time.time() - started,
        "divergences": int(np.sum(sampler.get_extra_fields()["diverging"])),
        "devices": jax.local_device_count(),
        "version": numpyro.__version__,
        "moments": moments,
    }
    print(json.dumps(found, default=np.ndarray.tolist))


if __name__ == "__main__":
    main(float(sys.argv[1]))
