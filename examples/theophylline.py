# %% [markdown]
# # Theophylline: twelve subjects, and one population
#
# Twelve volunteers swallowed theophylline, and eleven samples of blood were taken from
# each over a day (Boeckmann, Sheiner & Beal 1994). How fast is it taken up and cleared,
# how much does that differ between people, and what is to be expected of the next one?

# %%
import common
import jax
import jax.numpy as jnp
import numpy as np

import BayesianJaxModels as bjm
from BayesianJaxModels import plot
from BayesianJaxModels.likelihoods import NormalLikelihood
from BayesianJaxModels.priors import HalfNormal, Normal

small = common.start("Theophylline: twelve subjects, and one population.")
jax.config.update("jax_enable_x64", True)
subjects = bjm.read_events(common.DATA / "theophylline.csv")  # columns as in NONMEM

# %% [markdown]
# Write down one subject. Its absorption, clearance and volume are log-normal around
# those of the population: they are its *effects*, a row for each subject in the model,
# and for one subject the model has that row.


# %%
class Theophylline(bjm.Module):
    typical: bjm.AbstractParameter  # logs of absorption 1/h, clearance L/h, volume L
    between: bjm.AbstractParameter  # their sds between subjects
    effects: bjm.AbstractParameter  # those of each subject
    noise: bjm.AbstractParameter  # mg/L

    def __call__(self, t, amounts, args):
        absorption, clearance, volume = jnp.exp(self.effects.value)
        gut, body = amounts
        taken_up = absorption * gut
        return jnp.stack([-taken_up, taken_up - clearance / volume * body])


def problem_of(subject):
    return bjm.Problem(
        bjm.Solve(subject.ts, t0=0.0, y0=jnp.zeros(2), jumps=subject.doses),
        likelihood=lambda m: NormalLikelihood(m.noise.value),
        observations=subject.observations,
        observe=lambda solved, m: solved.ys[..., 1] / jnp.exp(m.effects.value[2]),
        prior=None,  # that of the population counts once
    )


# %% [markdown]
# The prior of the effects depends on what all share. There is a second solution, where
# uptake is slower than clearance and volumes are of two litres ("flip-flop"): the
# priors of the typical subject leave it out.

# %%
guess = np.array([0.5, 1.0, 3.5])
population = bjm.Population(
    problem_of,
    subjects,
    effects="effects",
    prior=bjm.Prior(
        {
            "typical": Normal(guess, 0.5),
            "between": HalfNormal(1.0),
            "effects": Normal(lambda m: m.typical.value, lambda m: m.between.value),
            "noise": HalfNormal(2.0),
        }
    ),
)
model = Theophylline(
    typical=bjm.make_parameter(guess),
    between=bjm.make_parameter([0.3, 0.3, 0.3], support="positive"),
    effects=bjm.make_parameter(np.tile(guess, (len(subjects), 1))),
    noise=bjm.make_parameter(1.0, support="positive"),
)
fit_key, forecast_key, other_key = jax.random.split(jax.random.key(0), 3)
posterior = bjm.infer(population, model, key=fit_key)
print(posterior)

# %% [markdown]
# Each subject by itself. Subject 9 took it up so fast that the first sample came too
# late to tell how fast: there the other eleven speak.

# %%
num_samples = 200 if small else 1_000
fitted = bjm.predict(
    population,
    posterior,
    ts=np.linspace(0.05, 25.0, 100),
    key=forecast_key,
    num_samples=num_samples,
)
axes = plot.subjects(fitted, population)
axes[0].figure.supylabel("theophylline (mg/L)")
axes[0].figure.supxlabel("hours after the dose")
axes[0].figure.set_size_inches(8.0, 4.2)
common.save("theophylline")

# %% [markdown]
# The next person, and subject 1 with half the dose, both eight hours after it. What is
# not known of the next person is drawn from the population.

# %%
half = bjm.Doses(0.0, 160.0, into=0)
ahead = bjm.predict(
    population,
    posterior,
    subjects=[
        bjm.Subject([8.0], doses=half, name="1"),
        bjm.Subject([8.0], doses=half),
    ],
    key=other_key,
    num_samples=num_samples,
)
after_eight_hours = np.asarray(ahead.observables)[:, :, 0]
for who, draws in zip(("subject 1", "somebody else"), after_eight_hours.T, strict=True):
    low, high = np.quantile(draws, [0.05, 0.95])
    print(f"{who}: {np.median(draws):.1f} mg/L, from {low:.1f} to {high:.1f}")

# %% [markdown]
# Is the posterior right? The equation has a solution in closed form, and a long run of
# NumPyro on that gave these means and sds. By Stan's rule a mean may be off by a
# quarter of the sd.

# %%
reference = common.read_columns("theophylline_reference.csv")
rows = {row.name: row for row in bjm.posterior_table(posterior).parameters}
quantities = [rows[name] for name in ("typical", "between", "noise", "effects")]
mean, sd = (
    np.concatenate([np.ravel(getattr(row, of)) for row in quantities])
    for of in ("mean", "stdv")
)
z = (mean - reference["mean"]) / reference["sd"]
ratio = sd / reference["sd"]
print(f"at most {abs(z).max():.2f} sds from the means of that run")
print(f"sds of {ratio.min():.2f} to {ratio.max():.2f} of its own")
