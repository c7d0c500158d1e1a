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
from BayesianJaxModels import plot
from BayesianJaxModels.likelihoods import NormalLikelihood
from BayesianJaxModels.priors import LogNormal

small = common.start("One posterior, five ways, each beside the exact one.")
num_steps = 500 if small else 1_000
num_draws = 4_000 if small else 20_000
num_cells = 20 if small else 40  # of the grid, along each axis

data = common.read_columns("theophylline_subject_4.csv")
hours, measured = data["hour"], data["concentration"]  # mg per litre
used = slice(1, 8)

# %% [markdown]
# From the gut the drug goes into the blood at the rate `ka`, and from there the body
# clears `clearance` litres of blood in an hour:
#
#     gut' = -ka gut,    c' = (ka gut - clearance c) / volume,    gut(0) = dose,
#
# both per kg of weight. These equations have a solution in closed form (Bateman's).
# The priors are wide, around what is known of volume (Ogilvie 1978, Clin.
# Pharmacokinet. 3:267) and clearance (Powell et al. 1978, Am. Rev. Respir. Dis.
# 118:229).

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
keys = jax.random.split(jax.random.key(0), 9)
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
    def loss(posterior, key):
        return -bjm.elbo(posterior, problem, prior=None, key=key, num_samples=64).value

    optimiser = optax.adam(optax.cosine_decay_schedule(0.05, num_steps))
    fit = bjm.train.fit(loss, start, key=key, optimiser=optimiser, num_steps=num_steps)
    return fit.model


posteriors = {}
methods = {
    "mean field": lambda: maximise_elbo(mode, keys[3]),
    "linear response": lambda: bjm.linear_response(problem, posteriors["mean field"]),
    "full covariance": lambda: maximise_elbo(rough, keys[4]),
    "importance": lambda: bjm.importance(problem, rough, key=keys[5]),
    "NUTS": lambda: bjm.nuts(problem, rough, key=keys[6]),
}

# %% [markdown]
# Does each know how good it is? Methods that draw report on themselves. For the others
# `diagnose` compares their means and widths with those of weighted draws. It need not
# search for other modes: there is one, as the grid shows. Beside the exact posterior:
# by how many of its sds a mean of the logarithms is off, what the sds are as a share of
# the right ones, and the 90 % band of the next day.

# %%
times = np.linspace(0.0, hours[-1], 60)


def draws_of(posterior):
    return bjm.map_posterior(
        lambda drawn: (drawn.unknowns.mean, drawn.concentration(times)),
        posterior,
        key=keys[8],
        num_samples=num_draws,
    )


def verdict_on(posterior):
    if isinstance(posterior, bjm.DrawsPosterior):
        found = posterior.diagnostics.complaints()
        return "fault found" if found else "no fault found"
    with warnings.catch_warnings(action="ignore"):  # of a fault: printed below
        return bjm.diagnose(problem, posterior, key=keys[7], num_searches=0).verdict


exact_logs, exact_curves = draws_of(exact)
exact_band = np.quantile(exact_curves, [0.05, 0.95], axis=0)
print(f"exactly, {exact_band[0, -1]:.2f} to {exact_band[1, -1]:.2f} mg/l the next day")
results, verdicts = {}, {}
for name, method in methods.items():
    begin = time.perf_counter()
    posteriors[name] = method()
    seconds = time.perf_counter() - begin
    verdicts[name] = verdict_on(posteriors[name])
    logs, curves = draws_of(posteriors[name])
    z = (logs.mean(axis=0) - exact_logs.mean(axis=0)) / exact_logs.std(axis=0)
    ratio = logs.std(axis=0) / exact_logs.std(axis=0)
    band = np.quantile(curves, [0.05, 0.5, 0.95], axis=0)
    results[name] = {"z": z, "ratio": ratio, "band": band}
    print(
        f"{name}: {seconds:.1f} s, {verdicts[name]}, means off by up to "
        f"{abs(z).max():.2f} sd, sds {ratio.min():.2f} to {ratio.max():.2f}, "
        f"{band[0, -1]:.2f} to {band[2, -1]:.2f} mg/l the next day"
    )

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
plot.trajectories(
    exact_curves, ts=times, ax=left, draws=0, data=(hours, measured), colour="0.4"
)
left.axvline(hours[7], color="k", ls=":", label="last sample that is used")
left.set(xlabel="hours after the dose", ylabel="theophylline (mg/l)")
left.set_title("What seven hours leave open, exactly")
left.legend()
low, median, high = np.array([found["band"][:, -1] for found in results.values()]).T
colours = ["C0" if said == "no fault found" else "C3" for said in verdicts.values()]
right.axvspan(*exact_band[:, -1], color="0.85", lw=0, label="exact, 90 %")
right.barh(list(results), high - low, height=0.3, left=low, color=colours)
right.plot(median, list(results), "wo", ms=4)
right.axvline(measured[-1], color="k", ls=":", label="measured")
right.invert_yaxis()
right.set(xlabel=f"theophylline after {hours[-1]:.0f} hours (mg/l)", xlim=(0, 6))
right.set_title("The next day, 90 % (red: a check finds a fault)")
right.legend(loc="lower right")
common.save("five_posteriors")

# %% [markdown]
# Mean field has the middle about right, and is far too sure of what nobody measured:
# the next day. Correlations mend much of that, but a normal distribution of logarithms
# does not bend, and `diagnose` looks at means and widths, not at the shape. Draws
# bend, and for four unknowns importance sampling even takes the least time. With
# hundreds of unknowns it fails, and says so, and chains take long. Then the cheap fit
# is what there is: enough for the middle, and for a band where `diagnose` finds no
# fault. No method knows whether the equations and the prior are right.
