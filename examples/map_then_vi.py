"""Two-stage training, MAP and then variational inference, beside the exact posterior.

`train_map` finds means with the widths frozen, `train_vi` widths around means that
stay. With g the sum of squares of the weights, H the entropy and L the `prior_weight`
they minimise `mse + L g` and `E_q[mse] + L (E_q[g] - H)`: for N numbers
in Y, noise N(0, s^2), priors N(0, 1/2) and L = 2 s^2 / N the negative ELBO times L. The
model here is linear in its weights, so their posterior is normal with a known precision
P; the best independent normals have its mean and the sds 1 / sqrt(P_ii).

    python examples/map_then_vi.py
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from matplotlib.figure import Figure
from tqdm import tqdm

import BayesianJaxModels as bjm

PICTURE = Path(__file__).with_suffix(".png")
GAP, NOISE, PRIOR_VARIANCE = (-0.5, 1.5), 0.1, 0.5
SMALL = {"num_epochs": 5}
CLOSING = """
The two-stage band is {:.2f} times as wide as the exact one at the data, {:.2f} times in
the gap: separate widths cannot say that weights make up for each other.
The curve in the middle is right: use the recipe for that, not for the band."""


def train_map(model, X, Y, *, prior_weight, **settings):
    """Minimise `mse + prior_weight * g` over the means; returns the trained model."""

    def map_objective(model, x, y, key):
        return mse(model, x, y, key) + prior_weight * model.compute_prior()

    return minimise(map_objective, *bjm.freeze_stdvs(model), X, Y, **settings)


def train_vi(model, X, Y, *, prior_weight, num_samples=1, **settings):
    """Minimise `E[mse] + prior_weight * (E[g] - H)` over the widths, likewise."""
    if num_samples < 1:
        raise ValueError(f"`num_samples` must be at least 1, but got {num_samples}.")

    def vi_objective(model, x, y, key):
        def one_draw(key):
            fit_key, prior_key, call_key = jax.random.split(key, 3)
            fit = mse(bjm.sample_all_parameters(model, fit_key), x, y, call_key)
            prior = bjm.sample_all_parameters(model, prior_key).compute_prior()
            return fit + prior_weight * prior

        expected = jax.vmap(one_draw)(jax.random.split(key, num_samples)).mean()
        return expected - prior_weight * bjm.entropy(model)

    return minimise(vi_objective, *bjm.freeze_means(model), X, Y, **settings)


def mse(drawn, x, y, key):
    """Mean squared error of a drawn model, or of a model at its means."""
    prediction = drawn(x, key=key, sample=False)
    if prediction.shape != y.shape:
        raise ValueError(f"The model gives {prediction.shape}, but `Y` has {y.shape}.")
    return jnp.mean((prediction - y) ** 2)


def minimise(loss, dynamic, rest, X, Y, *, key, num_epochs, batch_size, learning_rate):
    """Run Adam on the `dynamic` half of a model; returns the whole, trained."""
    if len(X) != len(Y):
        raise ValueError(f"`X` has {len(X)} points, but `Y` has {len(Y)}.")
    if not 1 <= batch_size <= len(X):
        raise ValueError(f"`batch_size` must be in [1, {len(X)}], but is {batch_size}.")
    if not (np.isfinite(X).all() and np.isfinite(Y).all()):
        raise ValueError("`X` and `Y` must be finite, but have NaN or inf.")
    optimiser = optax.adam(learning_rate)
    state, X, Y = optimiser.init(dynamic), np.asarray(X), np.asarray(Y)

    @jax.jit
    def step(dynamic, state, x, y, key):
        def objective(dynamic):
            return loss(bjm.unfreeze_all(dynamic, rest), x, y, key)

        updates, state = optimiser.update(jax.grad(objective)(dynamic), state)
        return optax.apply_updates(dynamic, updates), state

    shape = (-(-len(X) // batch_size), batch_size)  # filled up from the shuffle's start
    for epoch in tqdm(range(num_epochs), desc=loss.__name__):
        order_key, step_key = jax.random.split(jax.random.fold_in(key, epoch))
        order = jax.random.permutation(order_key, len(X))
        for i, rows in enumerate(np.resize(order, shape)):
            key_i = jax.random.fold_in(step_key, i)
            dynamic, state = step(dynamic, state, X[rows], Y[rows], key_i)
    return bjm.unfreeze_all(dynamic, rest)


def bumps(x):
    """Twelve bumps side by side, features that curves are made of: `(n, 12)`."""
    return np.exp(-0.5 * ((x[:, None] - np.linspace(-3.3, 3.3, 12)) / 0.4) ** 2)


def fit(X, Y, num_epochs):
    """The mean and a factor of the covariance of the weights, in two stages."""
    keys, rate = jax.random.split(jax.random.key(0), 3), optax.cosine_decay_schedule
    model = bjm.BayesianLinear(12, 1, use_bias=False, init_raw_stdv=0.1, key=keys[0])
    settings = {"num_epochs": num_epochs, "batch_size": len(X), "key": keys[1]}
    settings["prior_weight"] = NOISE**2 / PRIOR_VARIANCE / len(X)
    model = train_map(model, X, Y, learning_rate=rate(0.05, num_epochs), **settings)
    settings |= {"learning_rate": rate(0.01, num_epochs), "key": keys[2]}
    model = train_vi(model, X, Y, num_samples=16, **settings)
    return bjm.flatten_means(model), np.diag(bjm.flatten_stdvs(model))


def main(*, num_epochs=1000, output=PICTURE):
    """Fit, print and draw; returns the means and sds of both posteriors."""
    rng = np.random.default_rng(0)
    x = np.r_[rng.uniform(-3, GAP[0], 35), rng.uniform(GAP[1], 3, 25)]
    y = np.sin(1.5 * x) + NOISE * rng.normal(size=x.shape)
    precision = bumps(x).T @ bumps(x) / NOISE**2 + np.eye(12) / PRIOR_VARIANCE
    covariance, results, grid = np.linalg.inv(precision), {}, np.linspace(-3, 3, 241)
    exact = covariance @ bumps(x).T @ y / NOISE**2, np.linalg.cholesky(covariance)
    fits = {"exact": exact, "two-stage": fit(bumps(x), y[:, None], num_epochs)}
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(3, 2))
    for (name, (mean, factor)), colour in zip(fits.items(), ("C1", "C0"), strict=True):
        curve, spread = bumps(grid) @ mean, np.linalg.norm(bumps(grid) @ factor, axis=1)
        band = curve - 1.645 * spread, curve + 1.645 * spread
        left.fill_between(grid, *band, color=colour, alpha=0.4, lw=0, label=name)
        left.plot(grid, curve, color=colour)
        stdvs = np.linalg.norm(factor, axis=1)
        right.plot(range(1, 13), stdvs, "o-", color=colour, label=name)
        results[name] = {"mean": mean, "sd": stdvs, "spread": spread}
        print(f"{name:9} sds of the weights", *(f"{stdv:.3f}" for stdv in stdvs))
    results["best"] = np.diag(precision) ** -0.5
    right.plot(range(1, 13), results["best"], "k_", ms=14, label="1 / sqrt(P_ii)")
    left.plot(grid, np.sin(1.5 * grid), "k--", lw=1, label="truth")
    left.plot(x, y, "k.", label="data")
    left.set(xlabel="x", ylabel="y", ylim=(-2.2, 2.2), title="Curves: 90 % bands")
    right.set(xlabel="weight", yscale="log", title="Standard deviations of the weights")
    left.legend(ncols=2)
    right.legend()
    figure.savefig(output, dpi=100)
    ratio = results["two-stage"]["spread"] / results["exact"]["spread"]
    in_gap = (GAP[0] < grid) & (grid < GAP[1])
    print(CLOSING.format(np.mean(ratio[~in_gap]), np.mean(ratio[in_gap])))
    return results


if __name__ == "__main__":
    main()
