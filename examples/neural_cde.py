# %% [markdown]
# # How fast does it turn? A Bayesian neural CDE reads irregular series
#
# A point turns at a steady rate while it spirals inwards,
# `x + i y = c exp((i omega - 0.15) t)`. It is seen with a noise of 0.1 m at 24
# irregular times in ten seconds, with none in a gap of 2.5 s. After each observation:
# what is `omega`, and how sure can we be? The series are simulated, so that there is
# an exact Bayesian answer to compare with.

# %%
import common
import diffrax
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import BayesianJaxModels as bjm
from BayesianJaxModels.likelihoods import NormalLikelihood
from BayesianJaxModels.priors import Normal

small = common.start("A Bayesian neural CDE reads irregular series.")
num_steps = 30 if small else 2_000
num_series = 500
num_draws = 10 if small else 50

SPAN, GAP, NUM_TIMES, NOISE, DAMPING = 10.0, 2.5, 24, 0.1, 0.15
FASTEST = 2.0  # rad/s, either way, in training


def simulate(key, num, slowest=0.0, fastest=FASTEST):
    """Paths `(num, NUM_TIMES, 3)` of time, x and y, and the omega of each."""
    keys = jax.random.split(key, 6)
    speed = jax.random.uniform(keys[0], (num,), minval=slowest, maxval=fastest)
    omega = speed * jax.random.rademacher(keys[1], (num,), speed.dtype)
    ts = jax.random.uniform(keys[2], (num, NUM_TIMES), maxval=SPAN - GAP)
    gap = jax.random.uniform(keys[3], (num, 1), minval=1.0, maxval=SPAN - GAP - 1.0)
    ts = jnp.sort(ts, axis=1)
    ts = jnp.where(ts > gap, ts + GAP, ts)
    start = jax.random.normal(keys[4], (num, 2, 1))
    angle, radius = omega[:, None] * ts, jnp.exp(-DAMPING * ts)
    x = radius * (start[:, 0] * jnp.cos(angle) - start[:, 1] * jnp.sin(angle))
    y = radius * (start[:, 0] * jnp.sin(angle) + start[:, 1] * jnp.cos(angle))
    noise = NOISE * jax.random.normal(keys[5], (num, NUM_TIMES, 2))
    points = jnp.stack([x, y], axis=-1) + noise
    return jnp.concatenate([ts[..., None], points], axis=-1), omega


# %% [markdown]
# A neural controlled differential equation (Kidger et al. 2020, arXiv:2005.08926) has a
# hidden state `z` that the path `X` of time, x and y drives:
#
#     dz = f(z) dX,   omega ~ Normal(m(z), s(z)).
#
# The path runs straight from one observation to the next, whenever that comes. Diffrax
# solves it, with one step of Heun's method from each observation to the next. The
# weights of both networks are distributions.

# %%
HIDDEN, WIDTH = 8, 24


class NeuralCDE(bjm.Module):
    field: bjm.BayesianMLP
    readout: bjm.BayesianMLP

    def __call__(self, t, z, args):
        """The matrix that turns a small change of the path into one of `z`."""
        return self.field(z, sample=False).reshape(HIDDEN, 3)

    def judge(self, path):
        """Mean and sd of omega after each observation."""
        solved = diffrax.diffeqsolve(
            diffrax.ControlTerm(
                self, diffrax.LinearInterpolation(jnp.arange(NUM_TIMES * 1.0), path)
            ),
            diffrax.Heun(),
            t0=0.0,
            t1=NUM_TIMES - 1.0,
            dt0=1.0,
            y0=jnp.pad(path[0], (0, HIDDEN - 3)),
            saveat=diffrax.SaveAt(t0=True, steps=True),
            max_steps=NUM_TIMES - 1,
        )
        mean, raw = self.readout(jnp.asarray(solved.ys), sample=False).T
        return mean, 0.01 + jax.nn.softplus(raw)


keys = jax.random.split(jax.random.key(0), 5)
model = NeuralCDE(
    field=bjm.BayesianMLP(HIDDEN, 3 * HIDDEN, WIDTH, 1, key=keys[0]),
    readout=bjm.BayesianMLP(HIDDEN, 2, WIDTH, 1, key=keys[1]),
)
prior = bjm.Prior(default=Normal(0.0, 0.5))

# %% [markdown]
# Each step of the training has new series, and one draw of the weights for all of them.
# The loss is minus the step's share of the evidence lower bound: the log density of
# the true omegas, averaged over the times of each series, less a share of the
# divergence from the prior.


# %%
def loss(model, key):
    series_key, weights_key = jax.random.split(key)
    paths, omega = simulate(series_key, 64)
    drawn = bjm.sample_all_parameters(model, weights_key)
    mean, sd = jax.vmap(drawn.judge)(paths)
    truth = jnp.broadcast_to(omega[:, None], mean.shape)
    log_likelihood = NormalLikelihood(sd).log_prob(mean, truth) / NUM_TIMES
    return bjm.kl_to_prior(model, prior) / num_steps - log_likelihood


trained = bjm.train.fit(
    loss,
    model,
    key=keys[2],
    optimiser=optax.adam(optax.cosine_decay_schedule(0.01, num_steps)),
    num_steps=num_steps,
)
print(trained)

# %% [markdown]
# Now for new series: as fast as in training, and faster than that. What the network
# says of one series is spread over draws of the weights, and around each of them.


# %%
def judge_new(key, slowest, fastest):
    """New series, their omega, and draws of it `(draws, series, times)`."""
    series_key, weights_key, noise_key = jax.random.split(key, 3)
    paths, omega = simulate(series_key, num_series, slowest, fastest)

    def judge(drawn):
        return jax.vmap(drawn.judge)(paths)

    mean, sd = bjm.map_posterior(
        judge, trained.model, key=weights_key, num_samples=num_draws
    )
    draws = mean + sd * jax.random.normal(noise_key, mean.shape)
    return np.asarray(paths), np.asarray(omega), np.asarray(draws)


def exact(path):
    """Mean and sd of omega after each point, by Bayes on a grid; `c` is integrated."""
    path = np.asarray(path, float)
    omega = np.linspace(-FASTEST, FASTEST, 401)[:, None]
    turned = np.exp((1j * omega - DAMPING) * path[:, 0])
    seen = path[:, 1] + 1j * path[:, 2]
    products = np.cumsum(turned.conj() * seen, axis=1) / NOISE**2
    precision = 1 + np.cumsum(abs(turned) ** 2, axis=1) / NOISE**2
    log_evidence = abs(products) ** 2 / precision / 2 - np.log(precision)
    weights = np.exp(log_evidence - log_evidence.max(axis=0))
    weights /= weights.sum(axis=0)
    mean = np.sum(weights * omega, axis=0)
    return mean, np.sqrt(np.sum(weights * (omega - mean) ** 2, axis=0))


results = {}
for name, key, slowest, fastest in [
    ("as in training", keys[3], 0.0, FASTEST),
    ("faster", keys[4], FASTEST, 2.5),
]:
    paths, omega, draws = judge_new(key, slowest, fastest)
    truth = np.repeat(omega[:, None], NUM_TIMES, axis=1)
    band = np.quantile(draws, [0.05, 0.5, 0.95], axis=0)
    held = bjm.calibration.coverage(draws, truth, [0.9], time_axis=1).pointwise[0]
    error = np.sqrt(np.mean((band[1] - truth)[:, -1] ** 2))
    width = np.mean(band[2] - band[0])
    results[name] = {
        "paths": paths,
        "omega": omega,
        "band": band,
        "held": held,
        "error": error,
        "width": width,
    }
    print(
        f"{name}: off by {error:.2f} rad/s after all points (rms), 90 % bands "
        f"{width:.1f} wide on average, which hold {held:.0%}"
    )
usual = results["as in training"]
means, sds = np.swapaxes([exact(path) for path in usual["paths"]], 0, 1)
best = np.sqrt(np.mean((means[:, -1] - usual["omega"]) ** 2))
print(f"exact Bayes, as in training: off by {best:.2f} rad/s")

# %%
figure, axes = plt.subplot_mosaic([["seen", "all"], ["judged", "all"]], figsize=(10, 5))
shown = 3
ts, seen = usual["paths"][shown, :, 0], usual["paths"][shown, :, 1:]
axes["seen"].plot(ts, seen, "o-", lw=0.5, ms=4, label=["x", "y"])
axes["seen"].set(title="What is seen of one rotor", ylabel="x, y (m)", xlim=(0, SPAN))
axes["seen"].legend(loc="upper right")
low, _, high = usual["band"][:, shown]
axes["judged"].fill_between(ts, low, high, color="C0", alpha=0.3, label="network, 90 %")
for sign, label in [(-1, "exact Bayes, 90 %"), (1, None)]:
    edge = means[shown] + sign * 1.645 * sds[shown]
    axes["judged"].plot(ts, edge, "k", lw=0.8, label=label)
axes["judged"].axhline(usual["omega"][shown], color="k", ls=":", label="truth")
axes["judged"].set(xlabel="time (s)", ylabel="omega (rad/s)", xlim=(0, SPAN))
axes["judged"].set_title("How fast it turns, judged from all points so far")
axes["judged"].legend(loc="lower right", ncols=3)
axes["judged"].set_ylim(-3.5, 2.5)
for colour, (name, found) in zip(["C0", "C1"], results.items(), strict=True):
    low, median, high = found["band"][:, ::5, -1]
    bars = np.stack([median - low, high - median])
    axes["all"].errorbar(
        found["omega"][::5], median, bars, fmt=".", color=colour, label=name
    )
axes["all"].plot([-2.5, 2.5], [-2.5, 2.5], "k--", lw=1, label="truth")
axes["all"].set(xlabel="omega (rad/s)", ylabel="judged from all points, 90 % (rad/s)")
axes["all"].set_title("Wrong and sure of it where rotors turn faster")
axes["all"].legend(loc="upper left")
common.save("neural_cde")

# %% [markdown]
# The band sharpens as points come in. Where rotors are as in training, compare what it
# holds with 90 %: it is honest about what this network learnt, though not the narrowest
# there is, as exact Bayes errs less. Where rotors turn faster the band is no wider, and
# holds far less. Nothing in it warns of that: the network has to be trained on all that
# it may meet.
