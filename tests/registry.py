"""One instance of every kind that the laws hold for.

Each entry builds from a key, so that it can be built under `jax.vmap`. A new kind is
one line here and is then held to every law in `test_laws.py`.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import random
from jaxtyping import Array

from BayesianJaxModels import (
    AbstractParameter,
    Bayesian,
    BayesianLinear,
    BayesianMLP,
    DeterministicParameter,
    GaussianParameter,
    LaplacianParameter,
    LowRankGaussianParameter,
    Module,
    MultivariateGaussianParameter,
    make_parameter,
)


class LogisticParameter(AbstractParameter):
    """A user's own type, whose width has a name that contains "mean"."""

    mean: Array
    log_scale_meaning: Array

    @classmethod
    def from_value(cls, value, init_raw_stdv):
        return cls(value, jnp.full_like(value, init_raw_stdv))

    @property
    def scale(self):
        return jnp.exp(self.log_scale_meaning)

    @property
    def stdv(self):
        return self.scale * jnp.pi / 3**0.5

    def sample(self, rng):
        return self.mean + self.scale * random.logistic(
            rng, self.shape, self.mean.dtype
        )

    def log_prob(self, value):
        return jnp.sum(jax.scipy.stats.logistic.logpdf(value, self.mean, self.scale))

    def entropy(self):
        return jnp.sum(jnp.log(self.scale) + 2)


class Inner(eqx.Module):
    """Not one of our modules; its fields are called like parts of a parameter."""

    mean_field: AbstractParameter
    meaning: Array
    raw_stdv: Array


class Traps(Module):
    """Everything at once that a walk over a model could get wrong."""

    W: AbstractParameter
    mean: Array
    stdv_net: BayesianLinear
    table: dict
    inner: Inner
    pair: tuple
    scalar: AbstractParameter
    empty: AbstractParameter
    count: Array
    activation: Any
    nothing: None = None

    def __init__(self, key):
        keys = random.split(key, 7)
        self.W = make_parameter(random.normal(keys[0], (2, 2)), init_raw_stdv=0.7)
        self.mean = jnp.array([1.0, 2.0])
        self.stdv_net = BayesianLinear(2, 2, bayesian_bias=False, key=keys[1])
        self.table = {
            "mean": make_parameter(random.normal(keys[2], (2,)), init_raw_stdv=0.3),
            "W": make_parameter(
                random.normal(keys[3], (2,)), param_type=LaplacianParameter
            ),
            "raw_stdv": make_parameter(jnp.ones(2), bayesian=False),
        }
        self.inner = Inner(
            make_parameter(random.normal(keys[4], (2,)), param_type=LogisticParameter),
            jnp.array([3.0]),
            jnp.array([4.0]),
        )
        self.pair = (
            make_parameter(
                random.normal(keys[5], (2, 2)),
                param_type=MultivariateGaussianParameter,
                init_raw_stdv=0.5,
            ),
            "a label",
        )
        self.scalar = make_parameter(0.5)
        self.empty = make_parameter(jnp.zeros((0, 3)))
        self.count = jnp.array(7)
        self.activation = jnp.tanh

    def __call__(self, x, *, key=None, sample=True):
        return self.activation(self.stdv_net(x, key=key, sample=sample))


PARAMETERS = {
    "deterministic": lambda key: DeterministicParameter(random.normal(key, (2, 2))),
    "gaussian": lambda key: GaussianParameter(
        random.normal(key, (2, 2)), random.uniform(key, (2, 2), minval=0.3)
    ),
    "laplacian": lambda key: LaplacianParameter(
        random.normal(key, (2, 2)), random.uniform(key, (2, 2), minval=0.3)
    ),
    "multivariate_gaussian": lambda key: MultivariateGaussianParameter(
        random.normal(key, (2, 2)),
        random.uniform(key, (2, 2), minval=0.3),
        0.2 * random.normal(key, (6,)),
    ),
    "low_rank_gaussian": lambda key: LowRankGaussianParameter(
        random.normal(key, (2, 2)),
        random.uniform(key, (2, 2), minval=0.3),
        0.5 * random.normal(key, (4, 2)),
    ),
    "positive": lambda key: make_parameter(
        random.uniform(key, (2, 2), minval=0.3), support="positive", stdv=0.3
    ),
    "between": lambda key: make_parameter(
        random.uniform(key, (2, 2), minval=0.3, maxval=0.7),
        support=([0.0, -jnp.inf], [1.0, 2.0]),
        param_type=MultivariateGaussianParameter,
        init_raw_stdv=0.5,
    ),
    "scalar": lambda key: GaussianParameter(
        random.normal(key, ()), random.uniform(key, (), minval=0.3)
    ),
    "empty": lambda key: MultivariateGaussianParameter.from_value(jnp.zeros((0, 2))),
    "user": lambda key: LogisticParameter(
        random.normal(key, (2,)), random.normal(key, (2,))
    ),
}

# Each model with the arguments of a call.
MODELS = {
    "linear": (
        lambda key: BayesianLinear(3, 2, init_raw_stdv=0.5, key=key),
        lambda: (jnp.ones((4, 3)),),
    ),
    "mlp": (
        lambda key: BayesianMLP(2, 2, 2, 1, param_type=LaplacianParameter, key=key),
        lambda: (jnp.ones((2, 5, 2)),),
    ),
    "deterministic mlp": (
        lambda key: BayesianMLP(2, 2, 2, 1, use_bias=False, bayesian=False, key=key),
        lambda: (jnp.ones(2),),
    ),
    "traps": (Traps, lambda: (jnp.ones(2),)),
    "Bayesian(Linear)": (
        lambda key: Bayesian(eqx.nn.Linear(3, 2, key=key), init_raw_stdv=0.5),
        lambda: (jnp.ones(3),),
    ),
    "Bayesian(MLP)": (
        lambda key: Bayesian(eqx.nn.MLP(2, 2, 2, 1, key=key)),
        lambda: (jnp.ones(2),),
    ),
    "Bayesian(GRUCell)": (
        lambda key: Bayesian(eqx.nn.GRUCell(2, 2, key=key)),
        lambda: (jnp.ones(2), jnp.zeros(2)),
    ),
    "Bayesian(Conv)": (
        lambda key: Bayesian(eqx.nn.Conv1d(1, 2, 2, key=key)),
        lambda: (jnp.ones((1, 6)),),
    ),
    "Bayesian(MultiheadAttention)": (
        lambda key: Bayesian(eqx.nn.MultiheadAttention(1, 2, dropout_p=0.1, key=key)),
        lambda: (jnp.ones((3, 2)),) * 3,
    ),
}

EVERYTHING = PARAMETERS | {name: build for name, (build, _) in MODELS.items()}
