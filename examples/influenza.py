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

import BayesianJaxModels as bjm
from BayesianJaxModels import plot
from BayesianJaxModels.likelihoods import NegativeBinomialLikelihood
from BayesianJaxModels.priors import Exponential, TruncatedNormal

small = common.start("Influenza in a boarding school: how contagious, how does it end?")
data = common.read_columns("influenza_1978.csv")
day, in_bed = data["day"], data["in_bed"]
POPULATION = 763
is_early = day <= 9  # the forecast is made on this day

# %% [markdown]
# In the SIR model an ill boy infects `beta` others a day while all are susceptible, and
# recovers at the rate `gamma`, whether he fell ill today or a week ago. If illness has
# several stages that a boy goes through one after the other, equally long on average,
# most boys are ill for about as long as the others. The model has any number of stages.
# Both kinds have the same unknowns, and R0 is `beta / gamma` in both.


# %%
class Epidemic(bjm.Module):
    rates: bjm.AbstractParameter  # beta and gamma, per day
    excess: bjm.AbstractParameter  # of the scatter of counts, over Poisson's: 0 is none
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


sir = Epidemic(
    rates=bjm.make_parameter([2.0, 0.4], support="positive"),
    excess=bjm.make_parameter(0.2, support="positive"),
    num_stages=1,
)
models = {"SIR": sir, "Three stages": replace(sir, num_stages=3)}

# %% [markdown]
# The priors are those of Grinsztajn et al. (2021, arXiv:2006.02985). Counts scatter
# around the number of ill boys with a negative binomial distribution. What counts as
# data, the mask says: nine days, or all of them.

# %%
nine_days = bjm.Problem(
    bjm.Solve(day, t0=0.0, y0=Epidemic.start),
    likelihood=lambda m: NegativeBinomialLikelihood(1 / m.excess.value),
    observations=in_bed,
    prior=bjm.Prior(
        {"rates": TruncatedNormal([2.0, 0.4], [1.0, 0.5]), "excess": Exponential(5.0)}
    ),
    observe=lambda solved, m: solved.ys[:, 1:].sum(axis=-1),
    mask=is_early,
)
all_days = replace(nine_days, mask=day > 0)

# %% [markdown]
# From nine days both models forecast the counts of the next five. How many of these lie
# in the light band, which has the noise and should hold 90 % of them?

# %%
keys = jax.random.split(jax.random.key(0), (4, len(models)))
early_keys, forecast_keys, full_keys, draw_keys = keys
early, share = {}, {}
figure, axes = plt.subplots(1, 2, figsize=(10, 3.8))
for i, name in enumerate(models):
    early[name] = bjm.infer(
        nine_days, models[name], key=early_keys[i], method="importance"
    )
    forecast = bjm.predict(
        nine_days,
        early[name],
        key=forecast_keys[i],
        num_samples=400 if small else 4_000,
    )
    ahead = bjm.calibration.coverage(forecast, mask=~is_early, levels=[0.9])
    share[name] = ahead.pointwise[0]
    title = f"{name}: {5 * share[name]:.0f} of 5 days to come in the light band"
    print(title)
    plot.prediction(
        forecast, forecast_from=9, ax=axes[i], labels=["boys in bed"], colour=f"C{i}"
    )
    axes[i].plot(day[9:], in_bed[9:], "ko", mfc="w", label="what came")
    axes[i].set(title=title, xlabel="day", ylim=(0, 500))
    axes[i].legend(loc="upper left")
common.save("influenza")

# %% [markdown]
# A posterior is worth having if it is right. That of the SIR model from all days is
# known: its three unknowns can be integrated over on a fine grid.

# %%
EXACT_R0 = (3.22239, 0.27589)  # mean and standard deviation
full, r0 = {}, {}
for i, name in enumerate(models):
    full[name] = bjm.infer(
        all_days, models[name], key=full_keys[i], method="importance"
    )
    print(f"\n{name}, from all days\n{full[name]}")
    r0[name] = bjm.map_posterior(
        lambda m: m.rates.value[0] / m.rates.value[1],
        full[name],
        key=draw_keys[i],
        num_samples=20_000,
    )
    print(f"R0 is {r0[name].mean():.3f} +- {r0[name].std():.3f}")
print(f"R0 of the SIR model is {EXACT_R0[0]:.3f} +- {EXACT_R0[1]:.3f} on a grid")

# %% [markdown]
# Importance sampling also returns the log evidence, the log probability of the data
# under a model, with which two models can be compared.

# %%
for title, fits in (("nine", early), ("all", full)):
    of_sir, of_three = (of.diagnostics.log_evidence for of in fits.values())
    gain = of_three - of_sir
    print(f"log evidence from {title} days: three stages {gain:+.1f} nats over SIR")

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
