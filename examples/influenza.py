# %% [markdown]
# # Influenza in a boarding school: how contagious, and how does it end?
#
# In 1978 influenza went through an English school of 763 boys within a fortnight. A
# doctor wrote down how many lay in bed each day (British Medical Journal 1978, 1:587).
# After nine days, could one have foretold the other five? And how many boys did one ill
# boy infect at first, the basic reproduction number R0?

# %%
from dataclasses import replace

import common
import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

import BayesianJaxModels as bjm
from BayesianJaxModels import plot
from BayesianJaxModels.likelihoods import NegativeBinomialLikelihood
from BayesianJaxModels.priors import Exponential, TruncatedNormal

small = common.start("Influenza in a boarding school: how contagious, how does it end?")
data = common.read_columns("influenza_1978.csv")
day, in_bed = data["day"], data["in_bed"]
POPULATION = 763
LAST_SEEN = 9  # the forecast is made on this day
is_early = day <= LAST_SEEN

# %% [markdown]
# In the SIR model an ill boy infects `beta` others a day while all are susceptible, and
# recovers at the rate `gamma`, whether he fell ill today or a week ago. If illness has
# several stages that a boy goes through one after the other, equally long on average,
# most boys are ill for about as long as the others. The model has any number of stages.
# Both kinds have the same unknowns, and R0 is `beta / gamma` in both.


# %%
class Epidemic(bjm.Module):
    rates: bjm.AbstractParameter  # beta and gamma, per day
    excess: (
        bjm.AbstractParameter
    )  # how much more counts scatter than Poisson's: 0 is none
    num_stages: int = eqx.field(static=True)

    def start(self):
        """One boy fell ill on day 0: susceptible boys, then ill ones by stage."""
        return jnp.array([POPULATION - 1.0, 1.0] + [0.0] * (self.num_stages - 1))

    def __call__(self, t, state, args):
        beta, gamma = self.rates.value
        susceptible, ill = state[0], state[1:]
        infections = beta * susceptible * ill.sum() / POPULATION
        onward = self.num_stages * gamma * ill
        arriving = jnp.append(infections, onward[:-1])
        return jnp.append(-infections, arriving - onward)


def epidemic(num_stages):
    return Epidemic(
        rates=bjm.make_parameter([2.0, 0.4], support="positive"),
        excess=bjm.make_parameter(0.2, support="positive"),
        num_stages=num_stages,
    )


models = {"SIR": epidemic(1), "Three stages": epidemic(3)}

# %% [markdown]
# The priors are those of Grinsztajn et al. (2021, arXiv:2006.02985). Counts scatter
# around the number of ill boys with a negative binomial distribution. What counts as
# data, the mask says: nine days, or all of them.

# %%
prior = bjm.Prior(
    {
        "rates": TruncatedNormal([2.0, 0.4], [1.0, 0.5]),
        "excess": Exponential(5.0),
    }
)
nine_days = bjm.Problem(
    bjm.Solve(day, t0=0.0, y0=Epidemic.start),
    likelihood=lambda m: NegativeBinomialLikelihood(1 / m.excess.value),
    observations=in_bed,
    prior=prior,
    observe=lambda solved, m: solved.ys[:, 1:].sum(axis=-1),
    mask=is_early,
)
all_days = replace(nine_days, mask=day > 0)

# %% [markdown]
# `infer` would do. Its three steps are written out here, because importance sampling
# also returns the log evidence, the log probability of the data under a model, with
# which two models can be compared.


# %%
def fit(problem, model, key):
    search_key, draw_key = jax.random.split(key)
    problem = problem.in_forward_mode()  # faster for few unknowns
    modes = bjm.map_estimate(problem, model, key=search_key, prior=prior)
    rough = bjm.laplace(problem, modes)
    found = bjm.importance(
        problem, rough, key=draw_key, num_samples=1_000 if small else 4_000
    )
    print(f"{modes.num_agree} of 16 searches agree. {found.diagnostics}")
    return modes, found


keys = jax.random.split(jax.random.key(0), (4, len(models)))
early_keys, full_keys, draw_keys, forecast_keys = keys
early, full, modes = {}, {}, []
for name, early_key, full_key in zip(models, early_keys, full_keys, strict=True):
    print(f"{name}, from nine days, then from all:")
    of_early, early[name] = fit(nine_days, models[name], early_key)
    of_full, full[name] = fit(all_days, models[name], full_key)
    modes += [of_early, of_full]

# %% [markdown]
# A posterior is worth having if it is right. That of the SIR model from all days is
# known: its three unknowns can be integrated over on a fine grid.

# %%
EXACT = {  # means and standard deviations
    "beta": (1.73493, 0.05284),
    "gamma": (0.54197, 0.04537),
    "excess": (0.13750, 0.07482),
    "R0": (3.22239, 0.27589),
}


def moments(draws):
    return draws.mean(), draws.std()


def quantities(m):
    beta, gamma = m.rates.value
    return jnp.stack([beta, gamma, m.excess.value, beta / gamma])


table = {}
for name, draw_key in zip(models, draw_keys, strict=True):
    table[name] = bjm.map_posterior(
        quantities, full[name], key=draw_key, num_samples=20_000
    )
sir, three = (np.asarray(values) for values in table.values())
print("\nfrom all days   SIR             exact           three stages")
for i, (quantity, exact) in enumerate(EXACT.items()):
    columns = [moments(sir[:, i]), exact, moments(three[:, i])]
    print(f"{quantity:12}", *(f"{mean:6.3f} +- {sd:5.3f}" for mean, sd in columns))

# %% [markdown]
# The forecast of day 9 is one of counts, noise included.

# %%
forecasts, inside = {}, {}
print()
for name, forecast_key in zip(models, forecast_keys, strict=True):
    forecasts[name] = bjm.predict(
        nine_days,
        early[name],
        ts=np.linspace(0, 14, 57),  # four times a day
        key=forecast_key,
        num_samples=400 if small else 4_000,
    )
    band = bjm.summarise(forecasts[name], of="observations")
    low, high = (end[4::4] for end in band.equal_tailed)  # once a day, from day 1 on
    inside[name] = np.sum((low <= in_bed) & (in_bed <= high) & ~is_early)
    print(f"{name}: the 90 % band holds {inside[name]} of the 5 days to come")
for title, fits in (("nine", early), ("all", full)):
    of_sir, of_three = (of.diagnostics.log_evidence for of in fits.values())
    gain = of_three - of_sir
    print(f"log evidence from {title} days: three stages {gain:+.1f} nats over SIR")

# %%
figure, axes = plt.subplots(1, 3, figsize=(10, 3.6), width_ratios=(4, 4, 3))
for i, (name, forecast) in enumerate(forecasts.items()):
    ax = axes[i]
    plot.prediction(
        forecast,
        data=(day[is_early], in_bed[is_early]),
        forecast_from=LAST_SEEN,
        ax=ax,
        labels=["boys in bed"],
        colour=f"C{i}",
    )
    ax.plot(day[~is_early], in_bed[~is_early], "ko", mfc="w", label="what came")
    ax.set(xlabel="day", ylim=(0, 700), xlim=(0, 14.3), xticks=range(0, 15, 2))
    ax.set_title(f"{name}: {inside[name]} of 5 days in band")
    ax.legend(loc="upper left")
    axes[2].hist(
        table[name][:, 3],
        np.linspace(2.3, 4.4, 36),
        density=True,
        histtype="stepfilled",
        color=f"C{i}",
        alpha=0.6,
        label=name,
    )
axes[2].axvline(EXACT["R0"][0], color="k", ls=":", label="SIR, exact mean")
axes[2].set(xlabel="R0 (boys infected by the first)", ylabel="posterior density")
axes[2].set_ylim(0, 4)
axes[2].set_title("R0, from all days")
axes[2].legend(loc="upper right")
common.save("influenza")

# %% [markdown]
# That the posterior of the SIR model is the exact one does not make its forecast right:
# it says what the data leave open within a model, not that the model is wrong. In SIR
# illness ends at a constant rate, so that some boys are ill for long and the epidemic
# ends slowly; with three stages it ends sooner. Compare the log evidence: nine days
# cannot tell the two models apart, and all days can. Where models that fit equally well
# foretell different things, trust neither band alone.
#
# Nor is the noise what either model has: most boys in bed lay there yesterday too, so
# that the counts of two days are not independent.
