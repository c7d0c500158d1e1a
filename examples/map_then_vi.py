"""Two-stage training, MAP and then variational inference, beside an exact posterior.

The library has no training loop: `train_map` and `train_vi` are yours to copy. The
first finds means with the widths frozen, the second widths around means that stay. With
mse the mean over the N numbers in Y, g the sum of squares of the weights, H the sum of
the log widths and L the `prior_weight`, they minimise

    MAP:  mse + L g          VI:  E_q[mse] + L (E_q[g] - H)

For Gaussian noise of standard deviation s and a prior N(0, t^2) on every weight, the
negative ELBO is N E_q[mse] / (2 s^2) + E_q[g] / (2 t^2) - H and a constant. Times
2 s^2 / N it is the second line if L = 2 s^2 / N and t^2 = 1/2, and so the negative log
posterior is the first. (MAP alone knows no more than L = s^2 / (N t^2).) L says how
noisy the data are; the prior is N(0, 1/2): scale X and Y so that it suits them.

The network (left panel) fits points with a gap. The line (right) fits R's
`datasets::Formaldehyde`, where the posterior is normal with a known precision P. The
best independent normals have its mean and the standard deviations 1 / sqrt(P_ii): for
two parameters, sqrt(1 - correlation^2) of the true ones.
"""

import argparse
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from tqdm import tqdm

import BayesianJaxModels as bjm

PICTURE = Path(__file__).with_suffix(".png")
CLOSING = """
The band holds 90 % of the functions drawn from the two-stage posterior, before noise.
Read no more into it. Independent widths cannot tell where data are missing: the drawn
functions have an sd of {sd_at_data:.3f} at the data and {sd_in_gap:.3f} in the gap.
The truth is in the band over {inside_at_data:.0%} and {inside_in_gap:.0%} of those.
The exact posterior of such a network is narrow at the data and opens in the gap. On the
line the mean is right, and each sd is the one that would be left if the other parameter
were known.
"""


def train_map(model, X, Y, *, key, num_epochs, batch_size, learning_rate, prior_weight):
    """Minimise `mse + prior_weight * g` over the means; return the trained model.

    `learning_rate` is a number or an optax schedule. An epoch is a shuffle and
    `ceil(len(X) / batch_size)` steps of exactly `batch_size` points: the last step is
    filled up from the start of the shuffle, so nothing is dropped or compiled twice.
    """

    def map_objective(model, x, y, key):
        return mse(model, x, y, key) + prior_weight * model.compute_prior()

    settings = (num_epochs, batch_size, learning_rate)
    return minimise(map_objective, *bjm.freeze_stdvs(model), X, Y, key, *settings)


def train_vi(
    model,
    X,
    Y,
    *,
    key,
    num_epochs,
    batch_size,
    learning_rate,
    prior_weight,
    num_samples=1,
):
    """Minimise `E[mse] + prior_weight * (E[g] - H)` over the widths, like `train_map`.

    Each step draws `num_samples` models for the one expectation, as many for the other.
    """
    if num_samples < 1:
        raise ValueError(f"`num_samples` must be at least 1, but got {num_samples}.")

    def vi_objective(model, x, y, key):
        def one_draw(key):
            fit_key, prior_key, call_key = jax.random.split(key, 3)
            fit = mse(bjm.sample_all_parameters(model, fit_key), x, y, call_key)
            prior = bjm.sample_all_parameters(model, prior_key).compute_prior()
            return fit + prior_weight * prior

        expected = jax.vmap(one_draw)(jax.random.split(key, num_samples)).mean()
        entropy = bjm.gaussian_entropy(model) + bjm.laplacian_entropy(model)
        return expected - prior_weight * entropy

    settings = (num_epochs, batch_size, learning_rate)
    return minimise(vi_objective, *bjm.freeze_means(model), X, Y, key, *settings)


def mse(sampled, x, y, key):
    """Mean squared error of a drawn model, or of a model at its means."""
    prediction = sampled(x, key=key, sample=False)
    if prediction.shape != y.shape:
        raise ValueError(f"The model gives {prediction.shape}, but `Y` has {y.shape}.")
    return jnp.mean((prediction - y) ** 2)


def minimise(
    objective, dynamic, static, X, Y, key, num_epochs, batch_size, learning_rate
):
    """Run Adam on the `dynamic` half of a model; return the whole, trained."""
    if len(X) != len(Y):
        raise ValueError(f"`X` has {len(X)} points, but `Y` has {len(Y)}.")
    if not 1 <= batch_size <= len(X):
        raise ValueError(f"`batch_size` must be in [1, {len(X)}], but is {batch_size}.")
    if not (np.isfinite(X).all() and np.isfinite(Y).all()):
        raise ValueError("`X` and `Y` must be finite, but have NaN or inf.")
    optimiser = optax.adam(learning_rate)
    state = optimiser.init(dynamic)

    @jax.jit
    def step(dynamic, state, x, y, key):
        def loss(dynamic):
            return objective(bjm.unfreeze_all(dynamic, static), x, y, key)

        value, gradient = jax.value_and_grad(loss)(dynamic)
        updates, state = optimiser.update(gradient, state, dynamic)
        return optax.apply_updates(dynamic, updates), state, value

    X, Y = np.asarray(X), np.asarray(Y)
    num_steps = -(-len(X) // batch_size)
    shape = (num_steps, batch_size)
    progress = tqdm(range(num_epochs), desc=objective.__name__)
    for epoch in progress:
        order_key, step_key = jax.random.split(jax.random.fold_in(key, epoch))
        order = np.asarray(jax.random.permutation(order_key, len(X)))
        keys = jax.random.split(step_key, num_steps)
        total = 0.0
        for rows, k in zip(np.resize(order, shape), keys, strict=True):
            dynamic, state, value = step(dynamic, state, X[rows], Y[rows], k)
            total += float(value)
        progress.set_postfix(loss=total / num_steps, refresh=False)
    return bjm.unfreeze_all(dynamic, static)


def two_stages(model, X, Y, noise, num_epochs, batch_size):
    """Train in both stages, for Gaussian noise of a known standard deviation."""
    num_steps = num_epochs * -(-len(X) // batch_size)
    rates = [optax.cosine_decay_schedule(peak, num_steps) for peak in (0.05, 0.01)]
    keys = jax.random.split(jax.random.key(1))
    settings = dict(num_epochs=num_epochs, batch_size=batch_size)
    settings["prior_weight"] = 2 * noise**2 / Y.size
    model = train_map(model, X, Y, key=keys[0], learning_rate=rates[0], **settings)
    settings |= dict(learning_rate=rates[1], num_samples=16)
    return train_vi(model, X, Y, key=keys[1], **settings)


class MLP(bjm.Module):
    """A model of one's own: one hidden layer of tanh units."""

    layers: list

    def __init__(self, width, *, key):
        keys = jax.random.split(key)
        self.layers = [
            bjm.BayesianLinear(1, width, init_raw_stdv=0.1, key=keys[0]),
            bjm.BayesianLinear(width, 1, init_raw_stdv=0.1, key=keys[1]),
        ]

    def __call__(self, x, *, key=None, sample=True):
        """Draw the weights once if `sample`, and map `(n, 1)` to `(n, 1)`."""
        model = bjm.sample_all_parameters(self, key) if sample else self
        hidden = jnp.tanh(model.layers[0](x, sample=False))
        return model.layers[1](hidden, sample=False)


def fit_network(axes, num_epochs, num_draws):
    """Fit points with a gap, draw functions from the result and plot their band."""
    rng, noise, gap = np.random.default_rng(0), 0.1, (-0.5, 1.5)
    X = np.r_[rng.uniform(-3, gap[0], 35), rng.uniform(gap[1], 3, 25)][:, None]
    Y = np.sin(1.5 * X) + noise * rng.normal(size=X.shape)
    model = two_stages(MLP(32, key=jax.random.key(0)), X, Y, noise, num_epochs, 32)

    x = np.linspace(-3, 3, 241)
    truth, in_gap = np.sin(1.5 * x), (gap[0] < x) & (x < gap[1])
    call = jax.jit(jax.vmap(lambda key: model(x[:, None], key=key)[:, 0]))
    f = np.asarray(call(jax.random.split(jax.random.key(2), num_draws)))
    low, low_half, high_half, high = np.quantile(f, [0.05, 0.25, 0.75, 0.95], axis=0)
    inside = (low < truth) & (truth < high)
    axes.axvspan(*gap, color="0.92", label="no data here")
    axes.fill_between(x, low, high, color="#bcd7ee", label="90 % of the draws")
    axes.fill_between(x, low_half, high_half, color="#7fb2dd", label="50 %")
    axes.plot(x, f.mean(axis=0), color="#1f4e79", label="mean of the draws")
    axes.plot(x, truth, "k--", label="truth")
    axes.plot(X, Y, "o", color="#d95f02", markersize=3.5, label="data")
    axes.set(xlabel="x", ylabel="y", ylim=(-1.5, 2.2))
    axes.set_title("Network: the band is as wide at the data as in the gap")
    axes.legend(fontsize=8, ncols=3, loc="upper center")
    return {
        "sd_at_data": f.std(axis=0)[~in_gap].mean(),
        "sd_in_gap": f.std(axis=0)[in_gap].mean(),
        "inside_at_data": inside[~in_gap].mean(),
        "inside_in_gap": inside[in_gap].mean(),
    }


def fit_line(axes, num_epochs):
    """Fit slope and intercept in two stages and exactly, and plot both posteriors."""
    # R, datasets::Formaldehyde (Bennett & Franklin 1954): carbohydrate in ml against
    # optical density.
    X = np.array([[0.1], [0.3], [0.5], [0.6], [0.7], [0.9]])
    Y = np.array([[0.086], [0.269], [0.446], [0.538], [0.626], [0.782]])
    A = np.hstack([X, np.ones_like(X)])
    noise = (np.linalg.lstsq(A, Y, rcond=None)[1].item() / (len(X) - 2)) ** 0.5
    precision = A.T @ A / noise**2 + np.eye(2) / 0.5
    covariance = np.linalg.inv(precision)
    model = bjm.BayesianLinear(1, 1, init_raw_stdv=0.1, key=jax.random.key(3))
    model = two_stages(model, X, Y, noise, num_epochs, len(X))
    result = {
        "exact_mean": covariance @ A.T @ Y[:, 0] / noise**2,
        "exact_sd": np.diag(covariance) ** 0.5,
        "two_stage_mean": np.asarray(bjm.flatten_means(model)),
        "two_stage_sd": np.asarray(bjm.flatten_stdvs(model)),
        "optimal_sd": np.diag(precision) ** -0.5,
    }
    angle = np.linspace(0, 2 * np.pi, 200)
    circle = (-2 * np.log(0.1)) ** 0.5 * np.array([np.cos(angle), np.sin(angle)])
    for name, factor, color in (
        ("exact", np.linalg.cholesky(covariance), "#d95f02"),
        ("two_stage", np.diag(result["two_stage_sd"]), "#1f4e79"),
    ):
        mean = result[f"{name}_mean"]
        label = f"{name.replace('_', '-')} posterior, 90 % region"
        axes.plot(*(mean[:, None] + factor @ circle), color=color, label=label)
        axes.plot(*mean, "+", color=color, markersize=14)
    axes.set(xlabel="slope", ylabel="intercept")
    axes.set_title("Line: the mean is right, the spread is not")
    axes.legend(fontsize=8)
    return result


def main(*, num_epochs=1000, num_draws=1000, output=PICTURE):
    """Fit the network and the line; print, plot and return what comes out."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    network = fit_network(left, num_epochs, num_draws)
    line = fit_line(right, num_epochs)
    figure.savefig(output, dpi=90)
    plt.close(figure)
    print("\nFormaldehyde  exact mean, sd    two-stage mean, sd  1/sqrt(P_ii)   ratio")
    for i, name in enumerate(("slope", "intercept")):
        mean, sd, mean_2, sd_2, best = (column[i] for column in line.values())
        row = f"{name:9}{mean:10.5f}{sd:9.5f}{mean_2:13.5f}{sd_2:9.5f}{best:14.5f}"
        print(f"{row}{sd_2 / sd:10.2f}")
    print(CLOSING.format(**network))
    return network | line


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", default=PICTURE, help="where to save the picture")
    main(output=parser.parse_args().output)
