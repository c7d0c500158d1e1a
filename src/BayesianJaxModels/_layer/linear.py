"""The affine map with uncertain weights."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, Real

from .._check import check_counts, check_key
from .._model import Module, draw_if
from .._parameter import AbstractParameter, GaussianParameter, make_parameter

# On a CPU, with another `W` for each draw, a product of small matrices costs a call a
# draw; a sum of few columns is one loop. From some eight on the product is as fast.
FEW_FEATURES = 4


class BayesianLinear(Module):
    """`x -> W x + b` over the last axis of `x`, at full precision on every device.

    The means of `W` start Xavier-uniform (Glorot & Bengio 2010, PMLR 9:249), those of
    `b` at zero.

    Attributes:
        W: The weights, of shape `(out_features, in_features)`.
        b: The bias, of shape `(out_features,)`, or `None`.
        in_features: The size of the last axis of the input.
        out_features: The size of the last axis of the output.

    Example:
        ```python
        layer = bjm.BayesianLinear(2, 16, key=jax.random.key(0))
        x = np.ones((10, 2))
        layer(x, key=jax.random.key(1)).shape  # (10, 16): weights drawn for this call
        layer(x, sample=False).shape  # (10, 16): weights at their means
        ```
    """

    W: AbstractParameter
    b: AbstractParameter | None
    in_features: int = eqx.field(static=True)
    out_features: int = eqx.field(static=True)

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        use_bias: bool = True,
        bayesian: bool = True,
        bayesian_bias: bool = True,
        param_type: type[AbstractParameter] = GaussianParameter,
        init_raw_stdv: Any = 0.01,
        key: PRNGKeyArray,
    ):
        """Make a layer.

        Args:
            in_features: The size of the last axis of the input, at least 1.
            out_features: The size of the last axis of the output, at least 1.
            use_bias: Whether there is a bias.
            bayesian: Whether the weights have distributions. The bias goes by
                `bayesian_bias` alone; for a layer without any distribution set both to
                `False`.
            bayesian_bias: Whether the bias has distributions.
            param_type: The kind of distribution.
            init_raw_stdv: The unconstrained width that every entry starts with.
            key: A JAX random key for the initial means.

        Raises:
            TypeError: If `param_type` is not a parameter type, or `key` no random key.
            ValueError: If a size is below 1, or `init_raw_stdv` is not finite.
        """
        check_counts(in_features=in_features, out_features=out_features)
        check_key(key)
        limit = (6 / (in_features + out_features)) ** 0.5
        shape = (out_features, in_features)
        settings = {"param_type": param_type, "init_raw_stdv": init_raw_stdv}
        means = jax.random.uniform(key, shape, minval=-limit, maxval=limit)
        self.W = make_parameter(means, bayesian=bayesian, **settings)
        self.b = None
        if use_bias:
            zeros = jnp.zeros(out_features)
            self.b = make_parameter(zeros, bayesian=bayesian_bias, **settings)
        self.in_features = in_features
        self.out_features = out_features

    def __call__(
        self,
        x: Real[ArrayLike, "..."],
        *,
        key: PRNGKeyArray | None = None,
        sample: bool = True,
    ) -> Float[Array, "..."]:
        """Apply the layer.

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
        x = jnp.asarray(x)
        if x.ndim == 0 or x.shape[-1] != self.in_features:
            raise ValueError(
                f"`x` has shape {x.shape}, but `in_features` is {self.in_features}: "
                "the last axis of `x` must have that size."
            )
        layer = draw_if(sample, self, key)
        W = layer.W.value
        if x.ndim == 1 and x.size <= FEW_FEATURES:
            columns = [W[:, i] * x[i] for i in range(x.size)]
            y = sum(columns[1:], columns[0])
        elif x.ndim == 1:
            y = jnp.matmul(W, x, precision="highest")
        else:
            # The default of a GPU would have three digits.
            y = jnp.matmul(x, W.T, precision="highest")
        return y if layer.b is None else y + layer.b.value
