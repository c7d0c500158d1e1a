# %% [markdown]
# # One posterior, five ways: when is the cheap one enough?
#
# Subject 4 of Upton's study swallowed theophylline, 4.40 mg per kg of weight (`Theoph`
# in R). From samples of blood in the first seven hours: how much is left the next day?
# Seven hours do not rule out that the drug leaves slowly, so the posterior has a long,
# bent tail. Five methods go for it; a fine grid has it exactly.

# %%
import time
import warnings

import common
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import BayesianJaxModels as bjm
from BayesianJaxModels.likelihoods import NormalLikelihood
from BayesianJaxModels.priors import LogNormal

small = common.start("One posterior, five ways, each beside the exact one.")
num_steps = 500 if small else 1_000
num_draws = 4_000 if small else 20_000
num_cells = 20 if small else 40  # of the grid, along each axis

data = common.read_columns("theophylline_subject_4.csv")
hours, measured = data["hour"], data["concentration"]  # mg per litre
used, later = slice(1, 8), slice(8, None)

# %% [markdown]
# From the gut the drug goes into the blood at the rate `ka`, and from there the body
# clears `clearance` litres of blood in an hour:
#
#     gut' = -ka gut,    c' = (ka gut - clearance c) / volume,    gut(0) = dose,
#
# both per kg of weight. These equations have a solution in closed form (Bateman's).
# The priors are wide, around what is known of volume (Ogilvie 1978, Clin. Pharmacokinet.
# 3:267) and clearance (Powell et al. 1978, Am. Rev. Respir. Dis. 118:229).

# %%
DOSE = 4.40  # mg/kg


class OneCompartment(bjm.Module):
    unknowns: (
        bjm.AbstractParameter
    )  # ka (1/h), volume (l/kg), clearance (l/h/kg), noise

    def concentration(self, hours):
        """In the blood, mg/l."""
        ka, volume, clearance, _ = self.unknowns.value
        decay = jnp.exp(-clearance / volume * hours) - jnp.exp(-ka * hours)
        return DOSE * ka / (volume * ka - clearance) * decay


usual = np.array([1.0, 0.5, 0.04, 0.4])
model = OneCompartment(bjm.make_parameter(usual, stdv=0.2, support="positive"))
problem = bjm.Problem(
    lambda drawn: drawn.concentration(hours[used]),
    likelihood=lambda drawn: NormalLikelihood(drawn.unknowns.value[3]),
    observations=measured[used],
    prior=bjm.Prior(default=LogNormal(np.log(usual), [1.0, 0.5, 1.0, 0.7])),
)

# %% [markdown]
# The exact posterior: a point at random in each cell of a grid over the logarithms of
# the unknowns (that is what the entries of draws are, for positive parameters), with
# the density there for a weight.

# %%
keys = jax.random.split(jax.random.key(0), 10)
low, high = np.array([[-1.5, -2.2, -7, -1.2], [2.0, 0.0, -1.5, 1.6]])
cells = np.indices([num_cells] * 4).reshape(4, -1).T
points = (cells + jax.random.uniform(keys[0], cells.shape)) / num_cells
evenly = bjm.DrawsPosterior(model, low + (high - low) * points)
log_density = bjm.map_posterior(problem, evenly, key=keys[1], num_samples=None)
exact = bjm.DrawsPosterior(model, evenly.draws, log_density)

# %% [markdown]
# All methods start from the mode. *Mean field* is variational inference with
# independent unknowns: the cheapest, and the usual one for networks. *Linear response*
# takes it and works out the correlations afterwards. *Full covariance* learns them
# along. None of these normal distributions can bend. *Importance* sampling draws from
# a wide distribution and weights the draws; *NUTS* is a Markov chain.

# %%
mode = bjm.map_estimate(problem, model, key=keys[2], prior=problem.prior).model
rough = bjm.laplace(problem, mode)


def maximise_elbo(start, key):
    return bjm.train.fit(
        lambda posterior, key: (
            -bjm.elbo(posterior, problem, prior=None, key=key, num_samples=64).value
        ),
        start,
        key=key,
        optimiser=optax.adam(optax.cosine_decay_schedule(0.05, num_steps)),
        num_steps=num_steps,
    ).model


posteriors, seconds = {}, {}


def fit(name, method):
    begin = time.perf_counter()
    posteriors[name] = method()
    seconds[name] = time.perf_counter() - begin


fit("mean field", lambda: maximise_elbo(mode, keys[3]))
fit("linear response", lambda: bjm.linear_response(problem, posteriors["mean field"]))
fit("full covariance", lambda: maximise_elbo(rough, keys[4]))
fit("importance", lambda: bjm.importance(problem, rough, key=keys[5]))
fit("NUTS", lambda: bjm.nuts(problem, rough, key=keys[6]))

# %% [markdown]
# Does each know how good it is? Methods that draw report on themselves. For the others
# `diagnose` compares their means and widths with those of weighted draws. It warns
# where it finds a fault, and that is printed here.

# %%
verdicts = {}
for name, posterior in posteriors.items():
    if isinstance(posterior, bjm.DrawsPosterior):
        complaints = posterior.diagnostics.complaints()
        verdicts[name] = "fault found" if complaints else "no fault found"
        continue
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # its verdict is kept
        verdicts[name] = bjm.diagnose(problem, posterior, key=keys[7]).verdict

# %% [markdown]
# Beside the exact posterior: by how many of its sds a mean of the logarithms is off,
# what the sds are as a share of the right ones, and the 90 % band of the next day.

# %%
times = np.linspace(0.0, hours[-1], 60)


def unknowns_and_curve(drawn):
    return drawn.unknowns.mean, drawn.concentration(times)


def draws_of(posterior):
    return bjm.map_posterior(
        unknowns_and_curve, posterior, key=keys[8], num_samples=num_draws
    )


exact_logs, exact_curves = draws_of(exact)
exact_band = np.quantile(exact_curves, [0.05, 0.95], axis=0)
results = {}
print(f"exactly, {exact_band[0, -1]:.2f} to {exact_band[1, -1]:.2f} mg/l the next day")
for name, posterior in posteriors.items():
    logs, curves = draws_of(posterior)
    z = (logs.mean(axis=0) - exact_logs.mean(axis=0)) / exact_logs.std(axis=0)
    ratio = logs.std(axis=0) / exact_logs.std(axis=0)
    band = np.quantile(curves, [0.05, 0.5, 0.95], axis=0)
    results[name] = {"logs": logs, "z": z, "ratio": ratio, "band": band}
    print(
        f"{name:16} {seconds[name]:4.1f} s, {verdicts[name]}: means off by up to "
        f"{abs(z).max():.2f} sd, sds {ratio.min():.2f} to {ratio.max():.2f}, "
        f"{band[0, -1]:.2f} to {band[2, -1]:.2f} mg/l"
    )

# %%
figure, panels = plt.subplots(2, 5, figsize=(11, 6), sharex="row", sharey="row")
for (name, found), (top, bottom) in zip(results.items(), panels.T, strict=True):
    some, others = np.exp(found["logs"][:300]), np.exp(exact_logs[:1_000])
    top.plot(others[:, 1], others[:, 2], "o", color="0.8", ms=3, mew=0)
    top.plot(some[:, 1], some[:, 2], "o", color="C0", ms=2, mew=0)
    top.set(xlabel="volume (l/kg)", xscale="log", yscale="log")
    top.set(xlim=(0.18, 1.0), ylim=(0.004, 0.13))
    top.set_xticks([0.2, 0.5, 1.0], ["0.2", "0.5", "1"], minor=False)
    top.set_xticks([], minor=True)
    bad = verdicts[name] != "no fault found"
    top.set_title(f"{name}\n{verdicts[name]}", color="C3" if bad else "k", fontsize=11)
    low, median, high = found["band"]
    bottom.fill_between(times, low, high, color="C0", alpha=0.3, lw=0, label="90 %")
    bottom.plot(times, median, color="C0", label="median")
    bottom.plot(times, exact_band.T, "k--", lw=1.2, label=["exact 90 %", ""])
    bottom.plot(hours[used], measured[used], "ko", ms=4, label="samples")
    bottom.plot(
        hours[later], measured[later], "ko", ms=4, mfc="w", label="later samples"
    )
    bottom.set(xlabel="hours after the dose", ylim=(0, 10))
panels[0, 0].set_ylabel("clearance (l/h/kg)")
panels[1, 0].set_ylabel("theophylline in blood (mg/l)")
figure.suptitle("One posterior by five methods (blue), beside the exact one (grey)")
figure.legend(*bottom.get_legend_handles_labels(), loc="outside lower center", ncols=5)
common.save("five_posteriors")

# %% [markdown]
# Mean field has the middle about right, and is far too sure of what nobody measured:
# the next day. Correlations mend much of that, but a normal distribution of logarithms
# does not bend. Draws do, and for four unknowns they cost as little. With hundreds of
# unknowns importance sampling fails, and says so; chains take long; then the cheap fit
# is what there is, enough for the middle, and for the band if `diagnose` is silent. No
# method knows whether the equations and the prior are right.
