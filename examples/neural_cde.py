"""How fast does it turn? A Bayesian neural CDE reads irregular series as they come in.

Simulated: a point on a damped rotor, `x + i y = c exp((i omega - 0.15) t)`, is seen
with a noise of 0.1 at 24 irregular times in ten seconds, none within a gap of 2.5 s. A
neural controlled differential equation (Kidger et al. 2020, arXiv:2005.08926) reads the
path `X` of time, x and y, straight between observations, and after each of them says

    omega ~ Normal(m(z), s(z)),   dz = f(z) dX.

The weights are distributions; exact Bayes on a grid is the best forecast there is.

    python examples/neural_cde.py
"""

from pathlib import Path

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from tqdm import tqdm

import BayesianJaxModels as bjm

PICTURE = Path(__file__).with_suffix(".png")
SPAN, GAP, NUM_TIMES, NOISE, DAMPING = 10.0, 2.5, 24, 0.1, 0.15  # s, s, points, m, 1/s
FASTEST, SHOWN = 2.0, 3  # omega in training (rad/s, either sign), series drawn
HIDDEN, WIDTH, BATCH, PRIOR = 8, 24, 64, bjm.Prior(default=bjm.priors.Normal(0.0, 0.5))
SMALL = {"num_steps": 30, "num_series": 60, "num_draws": 10}
CLOSING = """
After all points the network errs by {0:.2f} rad/s (rms), exact Bayes by {6:.2f}: its
90 % band is honest about what this network learnt, not the narrowest there is. It holds
{1:.0%} of omega over all numbers of points. But where the rotor turns at 2 to 2.5
rad/s, faster than in training, the band is no wider (on average {5:.1f} for {2:.1f}
rad/s) and holds {4:.0%}. Nothing warns of that: train on all that you may meet."""


def simulate(rng, num, slowest=0.0, fastest=FASTEST):
    """Paths `(num, NUM_TIMES, 3)` of time, x and y, and omega of each."""
    omega = rng.uniform(slowest, fastest, num) * rng.choice([-1, 1], num)
    ts = np.sort(rng.uniform(0, SPAN - GAP, (num, NUM_TIMES)), axis=1)
    ts += GAP * (ts > rng.uniform(1, SPAN - GAP - 1, (num, 1)))
    start = rng.normal(size=(num, 1, 2)) @ [1, 1j]
    points = start * np.exp((1j * omega[:, None] - DAMPING) * ts)
    paths = np.stack([ts, points.real, points.imag], axis=-1)
    paths[..., 1:] += NOISE * rng.normal(size=(num, NUM_TIMES, 2))
    return paths.astype(np.float32), omega.astype(np.float32)


def exact(path):
    """Mean and sd of omega after each point, on a grid, with `c` integrated out."""
    omega = np.linspace(-FASTEST, FASTEST, 401)[:, None]
    turned = np.exp((1j * omega - DAMPING) * path[:, 0])
    products = np.cumsum(turned.conj() * (path[:, 1:] @ [1, 1j]), axis=1) / NOISE**2
    precision = 1 + np.cumsum(abs(turned) ** 2, axis=1) / NOISE**2
    log_evidence = abs(products) ** 2 / precision / 2 - np.log(precision)
    weights = np.exp(log_evidence - log_evidence.max(axis=0))
    mean = np.average(omega + 0 * weights, axis=0, weights=weights)
    return mean, np.average((omega - mean) ** 2, axis=0, weights=weights) ** 0.5


class NeuralCDE(bjm.Module):
    """A hidden state driven by the path of the observations."""

    field: bjm.BayesianMLP
    readout: bjm.BayesianMLP

    def __call__(self, t, z, args):
        """The matrix that turns a small change of (time, x, y) into one of `z`."""
        return self.field(z, sample=False).reshape(HIDDEN, 3)

    def judge(self, path):
        """Mean and sd of omega after each observation, which is a step of the solve."""
        last, start = NUM_TIMES - 1, jnp.pad(path[0], (0, HIDDEN - 3))
        control = diffrax.LinearInterpolation(jnp.arange(NUM_TIMES * 1.0), path)
        term, given = diffrax.ControlTerm(self, control), {"max_steps": last}
        given["saveat"] = diffrax.SaveAt(t0=True, steps=True)
        z = diffrax.diffeqsolve(term, diffrax.Heun(), 0, last, 1.0, start, **given).ys
        mean, raw = self.readout(z, sample=False).T
        return mean, 0.01 + jax.nn.softplus(raw)


def train(rng, key, num_steps):
    """Maximise the evidence lower bound; returns the model, its own posterior."""
    keys = jax.random.split(key, 3)
    field = bjm.BayesianMLP(HIDDEN, 3 * HIDDEN, WIDTH, 1, key=keys[0])
    model = NeuralCDE(field, bjm.BayesianMLP(HIDDEN, 2, WIDTH, 1, key=keys[1]))
    optimiser = optax.adam(optax.cosine_decay_schedule(0.01, num_steps))

    def loss(model, paths, omega, key):
        # Each step has new series, so its share of the prior is that of one step.
        mean, sd = jax.vmap(bjm.sample_all_parameters(model, key).judge)(paths)
        truth = jnp.broadcast_to(omega[:, None], mean.shape)
        fit = bjm.likelihoods.NormalLikelihood(sd).log_prob(mean, truth) / NUM_TIMES
        return bjm.kl_to_prior(model, PRIOR) / num_steps - fit

    @jax.jit
    def step(model, state, *data):
        updates, state = optimiser.update(jax.grad(loss)(model, *data), state)
        return optax.apply_updates(model, updates), state

    state = optimiser.init(model)
    for i in tqdm(range(num_steps), desc="steps"):
        paths, omega = simulate(rng, BATCH)
        model, state = step(model, state, paths, omega, jax.random.fold_in(keys[2], i))
    return model


def main(*, seed=0, num_steps=2_000, num_series=500, num_draws=50, output=PICTURE):
    """Simulate, train, judge and draw; returns what `CLOSING` says."""
    rng, keys = np.random.default_rng(seed), jax.random.split(jax.random.key(seed))
    model, n = train(rng, keys[0], num_steps), num_series
    parts = simulate(rng, n), simulate(rng, n, FASTEST, 2.5)
    paths, omega = (np.concatenate(both) for both in zip(*parts, strict=True))
    given = {"key": keys[1], "num_samples": num_draws}
    means, sds = bjm.map_posterior(lambda m: jax.vmap(m.judge)(paths), model, **given)
    draws = np.asarray(means + sds * rng.normal(size=means.shape))
    truth = np.repeat(omega[:, None], NUM_TIMES, axis=1)
    low, median, high = np.quantile(draws, (0.05, 0.5, 0.95), axis=0)
    bars, results = np.abs([low - median, high - median])[:, :, -1], []
    figure = Figure(figsize=(11, 5.5), layout="constrained")
    above, right, below = figure.subplot_mosaic("AAC;BBC").values()
    for colour, part in {"C0": np.arange(n), "C1": np.arange(n, 2 * n)}.items():
        found = bjm.calibration.coverage(
            draws[:, part], truth[part], [0.9], time_axis=1
        )
        error = np.mean((median - truth)[part, -1] ** 2) ** 0.5
        results += [error, found.pointwise[0], np.mean((high - low)[part])]
        some = part[::5]
        right.errorbar(omega[some], median[some, -1], bars[:, some], fmt=".", c=colour)
    best, sd = np.swapaxes([exact(path) for path in paths[:n]], 0, 1)
    results.append(np.mean((best[:, -1] - omega[:n]) ** 2) ** 0.5)
    bayes = np.stack([best - 1.645 * sd, best + 1.645 * sd], axis=-1)[SHOWN]
    ts = paths[SHOWN, :, 0]
    above.plot(ts, paths[SHOWN, :, 1:], "o-", lw=0.5, ms=4)
    above.set(title="What is seen of one rotor", ylabel="x, y (m)", xlim=(0, SPAN))
    below.fill_between(ts, low[SHOWN], high[SHOWN], alpha=0.3, label="network, 90 %")
    below.plot(ts, bayes, "k", lw=0.8, label=["exact Bayes, 90 %", "_"])
    below.axhline(omega[SHOWN], color="k", ls=":", label="truth")
    below.set(xlabel="time (s)", ylabel="omega (rad/s)", xlim=(0, SPAN))
    below.legend()
    right.plot([-2.5, 2.5], [-2.5, 2.5], "k--", lw=1)
    right.set(title="Orange: beyond training", xlabel="omega (rad/s)", ylabel="found")
    figure.savefig(output, dpi=80)
    print(CLOSING.format(*results))
    return [float(result) for result in results]


if __name__ == "__main__":
    main()
