# %% [markdown]
# # A million draws: a risk that a thousand draws cannot see
#
# A stock of fish grows as in Schaefer's model and gives a planned catch, of which boats
# get less once fish are few. With `x` the stock as a share of the unfished one,
#
#     x' = r x (1 - x) - catch / capacity x / (x + 0.05).
#
# Nothing is fitted here: growth `r`, capacity and the share now are log-normal, as wide
# and as correlated as a fit might leave them. In nearly all draws the stock recovers;
# where growth and capacity are low together it collapses. How likely is that? A million
# solves need no room in memory: they are made, counted and dropped chunk by chunk.

# %%
import argparse
import time
from dataclasses import replace

import common
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jax.experimental.multihost_utils import process_allgather

import BayesianJaxModels as bjm
from BayesianJaxModels import plot

small = common.start("A million draws: a risk that a thousand draws cannot see.")
num_draws = 2_000 if small else 1_000_000
catch = 95.0 if small else 75.0  # thousand tonnes a year; few draws need a large risk

# %% [markdown]
# The script also runs as one of several processes, on one machine or many. Each takes
# its share of the same draws:
#
#     python examples/million_draws.py --join localhost:9876 2 0 &
#     python examples/million_draws.py --join localhost:9876 2 1

# %%
parser = argparse.ArgumentParser()
parser.add_argument("--join", nargs=3, help="address of process 0, how many, which")
join = parser.parse_known_args()[0].join
if join is not None:
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(join[0], int(join[1]), int(join[2]))

# %% [markdown]
# The posterior is a normal distribution over the logarithms of the three. The equation
# is solved for the logarithm of the stock, which no step of a solver takes below zero.

# %%
YEARS = np.linspace(0.0, 30.0, 121)
LIMIT = 0.2  # a stock that falls below has collapsed


class Stock(bjm.Module):
    unknowns: bjm.AbstractParameter  # r (1/year), capacity (thousand tonnes), x now

    def __call__(self, t, log_x, args):
        r, capacity, _ = self.unknowns.value
        x = jnp.exp(log_x)
        return r * (1 - x) - catch / capacity / (x + 0.05)


sds = np.array([0.25, 0.25, 0.12])
correlation = np.array([[1, -0.9, 0], [-0.9, 1, 0], [0, 0, 1]])
model = Stock(bjm.make_parameter([0.35, 1143.0, 0.45], support="positive"))
posterior = bjm.JointPosterior.gaussian(model, correlation * np.outer(sds, sds))


def solve(drawn):
    """The logarithms that were drawn, the stock over the years, and its lowest."""
    solved = bjm.integrate(drawn, jnp.log(drawn.unknowns.value[2]), YEARS)
    stock = jnp.exp(solved.ys)
    return drawn.unknowns.mean, replace(solved, ys=stock), jnp.min(stock)


# %% [markdown]
# `stream_posterior` yields chunks, solved on all cores. It cuts what it is asked for
# into a few chunks for each core, so here it is asked for 20,000 draws at a time. A
# `RunningSummary` counts the stocks on a grid and forgets them. What is kept of each
# draw is its lowest stock.

# %%
running = bjm.RunningSummary(grid=(0.0, 1.2, 2_400))
drawn = np.zeros((num_draws, 3), np.float32)
lowest = np.zeros(num_draws, np.float32)
collapsing = []  # the first seven
size = min(20_000, num_draws)
keys = jax.random.split(jax.random.key(0), num_draws // size)
begin = time.perf_counter()
for block, key in enumerate(keys):
    chunks = bjm.stream_posterior(solve, posterior, key=key, num_samples=size)
    for start, (logs, solved, low) in chunks:
        running.update(solved)
        rows = slice(block * size + start, block * size + start + len(low))
        drawn[rows], lowest[rows] = logs, low
        collapsing.extend(solved.ys[low < LIMIT][: 7 - len(collapsing)])
seconds = time.perf_counter() - begin

PROBS = (1e-3, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1 - 1e-3)
summary = running.summary(PROBS)
quantiles, num_failed = summary.quantiles, summary.num_failed

# %% [markdown]
# Of several processes each has filled in its share, and the rest is zero. Shares are of
# one size, so that the mean of their quantiles stands for those of all.

# %%
if jax.process_count() > 1:
    parts = process_allgather((quantiles, num_failed, drawn, lowest))
    quantiles = parts[0].mean(axis=0)
    num_failed, drawn, lowest = (part.sum(axis=0) for part in parts[1:])
collapsed = lowest < LIMIT
risk = np.mean(collapsed)
error = np.sqrt(risk * (1 - risk) / num_draws)
print(f"{num_draws:,} draws in {seconds:.1f} s, {num_failed} of them failed")
print(f"risk of a collapse: {risk:.3g}, with a Monte Carlo error of {error:.1g}")
print(f"collapses in the first thousand draws: {np.sum(collapsed[:1_000])}")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(8.6, 4), width_ratios=(3, 2))
summary = replace(summary, quantiles=quantiles)
labels = ["stock, share of the unfished"]
plot.trajectories(summary, ax=left, labels=labels, legend=False)
left.plot(YEARS, np.transpose(collapsing), color="C3", lw=0.8)
left.axhline(LIMIT, color="k", ls=":", label="limit")
left.set(xlabel="years of the planned catch", xlim=(0, 30), ylim=(0, 1.1))
left.set_title("Most draws recover, some collapse (red)")
left.legend(ncols=3, loc="upper left")
many = np.arange(1, num_draws + 1)
spread = 2e4 * np.sqrt(risk / many)
ends = 1e4 * risk - spread, 1e4 * risk + spread
right.fill_between(many, *ends, color="0.85", label="where 95 % of runs are")
right.plot(many, 1e4 * np.cumsum(collapsed) / many, color="C3", label="this run")
right.axvline(1_000, color="k", ls=":", label="1,000 draws")
right.set(xscale="log", xlabel="draws", xlim=(100, num_draws), ylim=(0, 6e4 * risk))
right.set(ylabel="collapses in 10,000 draws", title="When the risk is seen")
right.legend(loc="upper right")
if jax.process_index() == 0:
    common.save("million_draws")

# %% [markdown]
# A thousand draws with no collapse say no more than that the risk is below 3 in 1,000.
# Many draws make the Monte Carlo error small, and that error alone. The far tail of a
# posterior is what a fit knows least: report an order of magnitude, and ask whether
# weather, recruitment and obedience to the plan are in the model.
