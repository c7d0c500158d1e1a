# %% [markdown]
# # Phenobarbital: doses by weight, and who needs another
#
# Newborns with seizures were given phenobarbital into a vein, a large dose and then
# small ones every twelve hours, and few samples were taken of each (Grasela & Donn
# 1985): 155 of 59 children from 0.6 to 3.6 kg. How does clearance grow with weight, and
# what will the usual doses come to in a child that weighs one kilogram?

# %%
import common
import jax
import jax.numpy as jnp
import numpy as np

import BayesianJaxModels as bjm
from BayesianJaxModels import plot
from BayesianJaxModels.likelihoods import LogNormalLikelihood
from BayesianJaxModels.priors import LKJ, HalfNormal, MultivariateNormal, Normal

small = common.start("Phenobarbital: doses by weight, and who needs another.")
jax.config.update("jax_enable_x64", True)
children = bjm.read_events(
    common.DATA / "phenobarbital.csv", covariates=["WT"], into=None
)

# %% [markdown]
# Clearance and volume of each child are log-normal around those of its weight: weight
# is a *covariate*, a known number, and comes in by an ordinary function. What is left
# of both may go together: a child that clears fast for its weight may be a large one.


# %%
class Phenobarbital(bjm.Module):
    typical: bjm.AbstractParameter  # logs of clearance (L/h) and volume (L) at 1 kg
    powers: bjm.AbstractParameter  # of weight, in both
    between: bjm.AbstractParameter  # sds between children of one weight
    partials: bjm.AbstractParameter  # how far both go together
    effects: bjm.AbstractParameter  # what each child has beyond its weight
    noise: bjm.AbstractParameter  # relative

    def logs(self, weight):
        powers = self.powers.value * jnp.log(weight)
        return self.typical.value + powers + self.effects.value

    def __call__(self, t, amount, weight):
        clearance, volume = jnp.exp(self.logs(weight))
        return -clearance / volume * amount


def problem_of(child):
    weight = child.covariates["WT"]
    return bjm.Problem(
        bjm.Solve(child.ts, t0=0.0, y0=0.0, args=weight, jumps=child.doses),
        likelihood=lambda m: LogNormalLikelihood(m.noise.value),
        observations=child.observations,
        observe=lambda solved, m: solved.ys / jnp.exp(m.logs(weight)[1]),
        prior=None,
    )


def factor(model):
    sds = model.between.value
    return sds[:, None] * bjm.correlation_factor(model.partials.value)


guess = np.log([0.005, 1.0])
population = bjm.Population(
    problem_of,
    children,
    effects="effects",
    prior=bjm.Prior(
        {
            "typical": Normal(guess, 1.0),
            "powers": Normal(1.0, 0.5),
            "between": HalfNormal(0.5),
            "partials": LKJ(2.0),
            "effects": MultivariateNormal(0.0, factor),
            "noise": HalfNormal(0.5),
        }
    ),
)
model = Phenobarbital(
    typical=bjm.make_parameter(guess),
    powers=bjm.make_parameter([1.0, 1.0]),
    between=bjm.make_parameter([0.2, 0.2], support="positive"),
    partials=bjm.make_parameter([0.0], support=(-1.0, 1.0)),
    effects=bjm.make_parameter(np.zeros((len(children), 2))),
    noise=bjm.make_parameter(0.15, support="positive"),
)
fit_key, check_key, dose_key = jax.random.split(jax.random.key(0), 3)
posterior = bjm.infer(population, model, key=fit_key)
print(posterior)

# %% [markdown]
# Could the data have come from this model? Other children with the same weights and
# doses are drawn, and the quantiles of their concentrations in bins of time are laid
# beside those of the data.

# %%
num_samples = 100 if small else 500
others = bjm.predict(
    population, posterior, subjects="new", key=check_key, num_samples=num_samples
)
axes = plot.predictive_check(others, bins=[0, 5, 50, 90, 130, 170, 400])
axes.set(xlabel="hours after the first dose", ylabel="phenobarbital (mg/L)")
axes.set_title("Newborns that were treated, and others that might have been")
axes.figure.set_size_inches(8.2, 4.4)
common.save("phenobarbital")

# %% [markdown]
# A child of one kilogram that is to come: 20 mg at once, and 2.5 mg every twelve hours.
# The usual range is 15 to 40 mg/L.

# %%
usual = bjm.Doses(
    np.arange(0.0, 120.0, 12.0), np.array([20.0, *[2.5] * 9])
)  # hours, mg
to_come = bjm.Subject([2.0, 119.0], doses=usual, covariates={"WT": 1.0})
ahead = bjm.predict(
    population, posterior, subjects=[to_come], key=dose_key, num_samples=num_samples
)
for hours, draws in zip((2, 119), np.asarray(ahead.observables)[:, 0].T, strict=True):
    low, high = np.quantile(draws, [0.05, 0.95])
    inside = np.mean((draws > 15) & (draws < 40))
    print(
        f"after {hours} h: {np.median(draws):.0f} mg/L, from {low:.0f} to {high:.0f}; "
        f"{100 * inside:.0f} % of such children inside the range"
    )
