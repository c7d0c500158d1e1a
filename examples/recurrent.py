"""Lynx of the Mackenzie River: a Bayesian recurrent network predicts fourteen years.

Furs that the Hudson's Bay Company took each year from 1821 to 1934 (Elton & Nicholson
1942, Journal of Animal Ecology 11:215-244). The network learns 1821 to 1920. With `x`
the standardised logarithm of a count,

    h[t] = GRU(x[t], h[t-1]),   x[t+1] ~ Normal(x[t] + a . h[t] + b, noise).

All weights are drawn once for a whole series. From 1921 on each draw is fed its own
samples, so that what it does not know adds up from year to year. Beside it stands the
autoregression of second order of Moran (1953, Australian Journal of Zoology 1).

    python examples/recurrent.py
"""

import textwrap
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure

import BayesianJaxModels as bjm

DATA, PICTURE = Path(__file__).parent / "data", Path(__file__).with_suffix(".png")
WIDTH, NUM_SEEN, SKIPPED = 4, 100, 2  # hidden units, years to learn from, no memory yet
PRIOR = bjm.Prior(
    {"noise.log_scale": bjm.priors.Normal(-1, 1)}, default=bjm.priors.Normal(0, 0.5)
)
SMALL = {"num_steps": 300, "num_draws": 50}
CLOSING = """Of the variance after 14 years {:.0%} is what a hundred years leave open
about the weights, the rest what each year brings. {} of 14 years in the band is one
stretch and no test of it: neighbours share their errors. The last band spans a factor
of {:.0f}. With a CRPS of {:.3f} against {:.3f} of an autoregression a network buys
little on so short a series: try that first. Trust neither when prices change."""


class Network(bjm.Module):
    """A GRU cell that reads a series, and the affine map from its state to a change."""

    cell: bjm.Bayesian
    readout: bjm.BayesianLinear
    noise: bjm.likelihoods.NormalLikelihood

    def advance(self, hidden, x):
        """Read one value; the new state, and the mean of the next value."""
        hidden = self.cell(x[None], hidden, sample=False)
        return hidden, x + self.readout(hidden, sample=False)[0]

    def read(self, series):
        """Read a series; the last state, and the mean of what follows each value."""
        start = jnp.zeros(WIDTH)
        return jax.lax.scan(lambda hidden, x: self.advance(hidden, x), start, series)

    def log_likelihood(self, series):
        """The log density of a series, each value given all before it."""
        means = self.read(series[:-1])[1]
        return self.noise.log_prob(means[SKIPPED:], series[1 + SKIPPED :])

    def forecast(self, series, keys):
        """Go on from the end of a series, a year for each key, on its own samples."""

        def step(carry, key):
            hidden, mean = carry
            value = self.noise.sample(key, mean)
            return self.advance(hidden, value), value

        hidden, means = self.read(series)
        return jax.lax.scan(step, (hidden, means[-1]), keys)[1]


def train(fit, series, key, num_steps):
    """Maximise the ELBO with Adam; of a `JointPosterior` only `joint` has gradients."""
    optimiser = optax.adam(optax.cosine_decay_schedule(0.01, num_steps))
    log_likelihood = eqx.Partial(Network.log_likelihood, series=series)
    options = {"prior": PRIOR, "num_samples": 8, "kl": "analytic"}

    def loss(fit, key):
        return -bjm.elbo(fit, log_likelihood, key=key, **options).value

    def step(carry, key):
        updates, state = optimiser.update(jax.grad(loss)(carry[0], key), carry[1])
        return (optax.apply_updates(carry[0], updates), state), None

    start, keys = (fit, optimiser.init(fit)), jax.random.split(key, num_steps)
    return jax.lax.scan(step, start, keys)[0][0]


def autoregression(series, shape, rng):
    """Forecasts `(draws, years)` by least squares on the last two values."""
    lagged = np.stack([series[1:-1], series[:-2], np.ones(len(series) - 2)], axis=1)
    weights, (squares,), *_ = np.linalg.lstsq(lagged, series[2:])
    shocks = rng.normal(scale=(squares / (len(lagged) - 3)) ** 0.5, size=shape).T
    values = [np.full(shape[0], x) for x in series[-2:]]
    for shock in shocks:
        values.append(weights[:2] @ [values[-1], values[-2]] + weights[2] + shock)
    return np.stack(values[2:], axis=1)


def main(*, seed=0, num_steps=4_000, num_draws=500, output=PICTURE):
    """Learn, predict, print and draw; returns how the forecasts of furs fared."""
    keys = jax.random.split(jax.random.key(seed), 5)
    year, count = np.loadtxt(DATA / "mackenzie_lynx.csv", delimiter=",", skiprows=4).T
    seen, truth = np.split(np.log10(count), [NUM_SEEN])
    series = jnp.asarray((seen - seen.mean()) / seen.std(), jnp.float32)
    cell = bjm.Bayesian(eqx.nn.GRUCell(1, WIDTH, key=keys[0]))
    noise = bjm.likelihoods.NormalLikelihood(log_scale=bjm.make_parameter(-1.0))
    network = Network(cell, bjm.BayesianLinear(WIDTH, 1, key=keys[1]), noise)
    # All correlations: independent widths blame on noise what weights do together.
    fit = train(bjm.JointPosterior.full(network, 0.05), series, keys[2], num_steps)
    draws = bjm.map_posterior(lambda d: d, fit, key=keys[3], num_samples=num_draws)
    noises = jax.random.split(keys[4], (num_draws, 20, len(truth)))  # 20 of each draw
    of_one = jax.vmap(Network.forecast, in_axes=(None, None, 0))
    values = jax.jit(jax.vmap(of_one, in_axes=(0, None, 0)))(draws, series, noises)
    values = seen.mean() + seen.std() * np.asarray(values, float)
    # The variance of a forecast is that of its noise plus that of the weights.
    of_noise = values.var(axis=1, ddof=1).mean(axis=0)
    share = 1 - of_noise / values.var(axis=(0, 1))
    values, rng = values.reshape(-1, len(truth)), np.random.default_rng(seed)
    classic = autoregression(seen, values.shape, rng)
    forecasts = {"GRU network": values, "AR(2)": classic}
    figure, results = Figure(figsize=(11, 4.5), layout="constrained"), {"share": share}
    panels, ahead = figure.subplots(1, 2, sharey=True), year[NUM_SEEN:]
    print("1921 to 1934   CRPS of log10 furs   years in the 90 % band")
    for axes, (name, values) in zip(panels, forecasts.items(), strict=True):
        crps = bjm.calibration.crps(values, truth).mean()
        inside = int(bjm.calibration.coverage(values, truth, [0.9]).by_time.sum())
        print(f"{name:15}{crps:12.3f}{inside:20}")
        low, median, high = 10 ** np.quantile(values, (0.05, 0.5, 0.95), axis=0)
        results[name] = {"inside": inside, "factor": high[-1] / low[-1], "crps": crps}
        axes.fill_between(ahead, low, high, alpha=0.25, lw=0, label="90 %")
        axes.plot(ahead, median, "C0", lw=2.5, label="median")
        three = {"lw": 0.8, "label": ["three samples", "_", "_"]}  # they keep the cycle
        axes.plot(ahead, 10 ** values[:60:20].T, "C0", **three)
        axes.plot(year[70:NUM_SEEN], count[70:NUM_SEEN], "k.-", lw=0.6, label="known")
        axes.plot(ahead, count[NUM_SEEN:], "ko", mfc="w", label="what followed")
        axes.set(yscale="log", ylim=(10, 30_000), xlabel="year")
        axes.set_title(f"{name}: {inside} of 14 years in the band, CRPS {crps:.3f}")
    axes.legend(fontsize="small", ncols=2, loc="lower left")
    panels[0].set_ylabel("lynx furs a year")
    figure.savefig(output, dpi=100)
    gru, classic = results["GRU network"], results["AR(2)"]["crps"]
    text = CLOSING.format(share[-1], *gru.values(), classic)
    print("\n" + textwrap.fill(text, 88))
    return results


if __name__ == "__main__":
    main()
