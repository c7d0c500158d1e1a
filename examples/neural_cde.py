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
from BayesianJaxModels import plot
from BayesianJaxModels.priors import Normal

small = common.start("A Bayesian neural CDE reads irregular series.")
num_steps = 30 if small else 2_000
SPAN, GAP, NUM_TIMES, NOISE, DAMPING = 10.0, 2.5, 24, 0.1, 0.15
FASTEST = 2.0  # rad/s, either way, in training


def simulate(key, num, fastest=FASTEST):
    """Paths `(num, NUM_TIMES, 3)` of time, x and y, and the omega of each."""
    keys = jax.random.split(key, 5)
    omega = jax.random.uniform(keys[0], (num,), minval=-fastest, maxval=fastest)
    ts = jax.random.uniform(keys[2], (num, NUM_TIMES), maxval=SPAN - GAP)
    gap = jax.random.uniform(keys[3], (num, 1), minval=1.0, maxval=SPAN - GAP - 1.0)
    ts = jnp.sort(jnp.where(ts > gap, ts + GAP, ts), axis=1)
    # A complex normal number has a variance of 1/2 along either axis.
    c = 2**0.5 * jax.random.normal(keys[1], (num, 1), complex)
    noise = 2**0.5 * NOISE * jax.random.normal(keys[4], ts.shape, complex)
    seen = c * jnp.exp((1j * omega[:, None] - DAMPING) * ts) + noise
    return jnp.stack([ts, seen.real, seen.imag], axis=-1), omega


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
        numbers = jnp.arange(float(NUM_TIMES))
        term = diffrax.ControlTerm(self, diffrax.LinearInterpolation(numbers, path))
        start, end = jnp.pad(path[0], (0, HIDDEN - 3)), NUM_TIMES - 1.0
        saved = diffrax.SaveAt(ts=numbers)
        solved = diffrax.diffeqsolve(
            term, diffrax.Heun(), t0=0.0, t1=end, dt0=1.0, y0=start, saveat=saved
        )
        mean, raw = self.readout(jnp.asarray(solved.ys), sample=False).T
        return mean, 0.01 + jax.nn.softplus(raw)


keys = jax.random.split(jax.random.key(0), 6)
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
    log_likelihood = jax.scipy.stats.norm.logpdf(omega[:, None], mean, sd)
    share = bjm.kl_to_prior(model, prior) / num_steps
    return share - jnp.sum(log_likelihood) / NUM_TIMES


optimiser = optax.adam(optax.cosine_decay_schedule(0.01, num_steps))
trained = bjm.train.fit(
    loss, model, key=keys[2], optimiser=optimiser, num_steps=num_steps
)
print(trained)

# %% [markdown]
# Now for 500 new series. Some turn faster than any in training. What the network
# says of one series is spread over draws of the weights, and around each of them.

# %%
paths, omega = map(np.asarray, simulate(keys[3], 500, fastest=2.5))
mean, sd = bjm.map_posterior(
    lambda drawn: jax.vmap(drawn.judge)(paths),
    trained.model,
    key=keys[4],
    num_samples=20 if small else 200,
)
draws = mean + sd * jax.random.normal(keys[5], mean.shape)
low, median, high = np.quantile(draws, [0.05, 0.5, 0.95], axis=0)
within = (low < omega[:, None]) & (omega[:, None] < high)
usual = abs(omega) < FASTEST
results = {}
for name, which in [("as in training", usual), ("faster", ~usual)]:
    error = np.sqrt(np.mean((median[which, -1] - omega[which]) ** 2))
    width, held = np.mean((high - low)[which]), np.mean(within[which])
    results[name] = {"error": error, "width": width, "held": held}
    print(
        f"{name}: off by {error:.2f} rad/s after all points (rms), 90 % bands "
        f"{width:.1f} wide on average, which hold {held:.0%}"
    )

# %% [markdown]
# What can be known at all: Bayes' rule on a grid of omegas, where `c` can be integrated
# out by hand.


# %%
def exact(path):
    """Mean and sd of omega after each point."""
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


means, sds = np.swapaxes([exact(path) for path in paths[usual]], 0, 1)
best = np.sqrt(np.mean((means[:, -1] - omega[usual]) ** 2))
print(f"exact Bayes, as in training: off by {best:.2f} rad/s")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.2))
one = np.flatnonzero(usual)[0]
ts, labels = paths[one, :, 0], ["omega (rad/s)"]
plot.trajectories(draws[:, one], ts=ts, ax=left, labels=labels, draws=0)
edges = means[0] + 1.645 * np.outer([-1, 1], sds[0])
left.plot(ts, edges.T, "k", lw=1, label=["exact Bayes, 90 %", ""])
left.axhline(omega[one], color="k", ls=":", label="truth")
left.set(title="One rotor, as the network (blue) judges it so far", xlabel="time (s)")
left.legend()
right.axvspan(-FASTEST, FASTEST, color="0.93", label="speeds in training")
right.vlines(omega, low[:, -1], high[:, -1], alpha=0.4, label="network, 90 %")
right.plot([-2.5, 2.5], [-2.5, 2.5], "k--", lw=1, label="truth")
right.set(xlabel="omega (rad/s)", ylabel="judged from all points, 90 % (rad/s)")
right.set_title("Wrong and sure of it where rotors turn faster")
right.legend(loc="upper left")
common.save("neural_cde")

# %% [markdown]
# The band sharpens as points come in. Where rotors are as in training, compare what it
# holds with 90 %: it is honest about what this network learnt, though not the narrowest
# there is, as exact Bayes errs less. Where rotors turn faster the band is no wider, and
# holds far less. Nothing in it warns of that: the network has to be trained on all that
# it may meet.
