"""Models whose draws tell which one they are of."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

import BayesianJaxModels as bjm


class Model(bjm.Module):
    """A parameter, an array outside of parameters and something static."""

    rates: bjm.AbstractParameter
    offset: jax.Array
    activation: object = eqx.field(static=True, default=jnp.tanh)


def model_at(mean, **options):
    options = {"init_raw_stdv": 0.1} | options
    return Model(bjm.make_parameter([mean, 2 * mean], **options), jnp.array([mean]))


MEANS = np.array([0.0, 10.0, 20.0])
WEIGHTS = np.array([0.2, 0.5, 0.3])


def shares(draws):
    """The share of draws near each of MEANS."""
    near = np.argmin(np.abs(np.asarray(draws)[:, :1] - MEANS), axis=1)
    return np.bincount(near, minlength=3) / len(near)


def assert_shares(found, expected, num):
    error = 4.5 * np.sqrt(expected * (1 - expected) / num)
    assert np.all(np.abs(found - expected) < error + 1e-12)


def stacked(**options):
    return eqx.filter_vmap(lambda mean: model_at(mean, **options))(jnp.array(MEANS))


def entries(drawn):
    return jnp.append(bjm.flatten_means(drawn), drawn.offset)


@eqx.filter_jit
def draws_of(posterior, keys):
    return jax.vmap(lambda key: entries(posterior.draw(key)))(keys)
