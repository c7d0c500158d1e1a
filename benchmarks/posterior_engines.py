"""The engines of `posterior_quality.py`, each from the prior to a posterior.

Every engine begins with the mode, found from starts that are drawn from the prior, so
that its time is the time of all that a user waits for.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

import BayesianJaxModels as bjm

NUM_STARTS = 16
NUM_PARALLEL = 32  # draws in a training step
NUM_STEPS = 1_000
LEARNING_RATE = 0.05  # in units of the standard deviations at the start


def laplace(case, key):
    """The mode and its curvature."""
    mode = bjm.map_estimate(
        case.log_density,
        case.model,
        key=jax.random.fold_in(key, 0),
        num_starts=NUM_STARTS,
        prior=case.prior,
    )
    return bjm.laplace(case.log_density, mode.model)


def importance(case, key):
    """Adaptive importance sampling from the Laplace approximation."""
    start = laplace(case, key)
    return bjm.importance(case.log_density, start, key=jax.random.fold_in(key, 1))


def nuts(case, key):
    """No-U-turn sampling, whitened by the Laplace approximation."""
    start = laplace(case, key)
    return bjm.nuts(case.log_density, start, key=jax.random.fold_in(key, 1))


def full_covariance(case, key):
    """Variational inference with every correlation, from the Laplace approximation."""
    return train(laplace(case, key), case.log_density, jax.random.fold_in(key, 1))


def mean_field(case, key):
    """Variational inference with independent widths, and means that are free."""
    return as_model(independent(case, key))


def linear_response(case, key):
    """The mean-field fit with its covariance corrected."""
    return bjm.linear_response(case.log_density, mean_field(case, key))


def independent(case, key):
    """The mean-field fit in coordinates where its start is standard normal."""
    start = laplace(case, key)
    # How far each entry can go while the others stay.
    widths = jnp.diagonal(jnp.linalg.inv(start.covariance)) ** -0.5
    standard = bjm.make_parameter(jnp.zeros_like(widths), init_raw_stdv=1.0)
    start = bjm.JointPosterior(start.model, standard, jnp.diag(widths))
    return train(start, case.log_density, jax.random.fold_in(key, 1))


def as_model(fit):
    """A plain model with the means and independent widths of a fit."""
    means = bjm.unflatten_means(fit.model, fit.mean)
    raw_stdvs = bjm.unflatten_means(fit.model, jnp.sqrt(fit.stdv - 1e-4))

    def combine(mean, raw_stdv):
        return bjm.GaussianParameter(mean.mean, raw_stdv.mean)

    def is_parameter(node):
        return isinstance(node, bjm.AbstractParameter)

    return jax.tree.map(combine, means, raw_stdvs, is_leaf=is_parameter)


def train(posterior, log_density, key):
    """Maximise the ELBO over the parameter `joint` of a `JointPosterior`, with Adam."""
    fixed = [name for name in bjm.get_parameters(posterior) if name != "joint"]
    return _train(*bjm.freeze_params(posterior, [*fixed, "basis"]), log_density, key)


@eqx.filter_jit
def _train(dynamic, static, log_density, key):
    optimiser = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, NUM_STEPS))

    def loss(dynamic, key):
        bound = bjm.elbo(
            bjm.unfreeze_all(dynamic, static),
            bjm.ForwardGradient(log_density),
            prior=None,
            key=key,
            num_samples=NUM_PARALLEL,
            draws="antithetic",
            stick_the_landing=True,
        )
        return -bound.value

    def step(carry, index):
        dynamic, state = carry
        gradient = jax.grad(loss)(dynamic, jax.random.fold_in(key, index))
        updates, state = optimiser.update(gradient, state)
        return (optax.apply_updates(dynamic, updates), state), None

    carry = (dynamic, optimiser.init(dynamic))
    (dynamic, _), _ = jax.lax.scan(step, carry, np.arange(NUM_STEPS))
    return bjm.unfreeze_all(dynamic, static)


ENGINES = {
    "mean_field": mean_field,
    "full_covariance": full_covariance,
    "linear_response": linear_response,
    "laplace": laplace,
    "importance": importance,
    "nuts": nuts,
}
