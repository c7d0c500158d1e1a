"""The multilayer perceptron with uncertain weights."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, Real

from .._check import check_counts, check_key
from .._model import Module, draw_if
from .._parameter import AbstractParameter, GaussianParameter
from .linear import BayesianLinear


class BayesianMLP(Module):
    """A multilayer perceptron over the last axis of its input.

    Attributes:
        layers: `depth + 1` layers; the activation stands between them.
        activation: The function between layers.

    Example:
        ```python
        mlp = bjm.BayesianMLP(2, 1, width=16, depth=1, key=jax.random.key(0))
        mlp(np.ones((10, 2)), key=jax.random.key(1)).shape  # (10, 1)
        ```
    """

    layers: list[BayesianLinear]
    activation: Callable = eqx.field(static=True)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        width: int,
        depth: int,
        *,
        activation: Callable = jnp.tanh,
        use_bias: bool = True,
        bayesian: bool = True,
        bayesian_bias: bool = True,
        param_type: type[AbstractParameter] = GaussianParameter,
        init_raw_stdv: Any = 0.01,
        key: PRNGKeyArray,
    ):
        """Make a perceptron.

        Args:
            in_features: The size of the last axis of the input.
            out_features: The size of the last axis of the output.
            width: The size of each hidden layer.
            depth: The number of hidden layers; 0 leaves one affine map.
            activation: An elementwise function. Models share compiled code if it is the
                same object.
            use_bias: Whether the layers have biases.
            bayesian: Whether the weights have distributions. The biases go by
                `bayesian_bias` alone; for a network without any distribution set both
                to `False`.
            bayesian_bias: Whether the biases have distributions.
            param_type: The kind of distribution.
            init_raw_stdv: The unconstrained width that every entry starts with.
            key: A JAX random key for the initial means.

        Raises:
            TypeError: If `param_type` is not a parameter type, or `key` no random key.
            ValueError: If a size is below 1, `depth` is negative, or `init_raw_stdv` is
                not finite.
        """
        check_counts(0, depth=depth)
        check_counts(width=width)
        check_key(key)
        sizes = [in_features, *[width] * depth, out_features]
        self.layers = [
            BayesianLinear(
                sizes[i],
                sizes[i + 1],
                use_bias=use_bias,
                bayesian=bayesian,
                bayesian_bias=bayesian_bias,
                param_type=param_type,
                init_raw_stdv=init_raw_stdv,
                key=jax.random.fold_in(key, i),
            )
            for i in range(depth + 1)
        ]
        self.activation = activation

    def __call__(
        self,
        x: Real[ArrayLike, "..."],
        *,
        key: PRNGKeyArray | None = None,
        sample: bool = True,
    ) -> Float[Array, "..."]:
        """Apply the perceptron.

        Args:
            x: Of shape `(..., in_features)`.
            key: A JAX random key; needed if `sample`.
            sample: Whether to draw the weights, once for the whole of `x`, or to use
                their means (in a drawn model: the draw).

        Returns:
            Of shape `(..., out_features)`.

        Raises:
            ValueError: If the last axis of `x` is not `in_features`, or the key is
                missing.
        """
        *hidden, last = draw_if(sample, self, key).layers
        for layer in hidden:
            x = self.activation(layer(x, sample=False))
        return last(x, sample=False)
