"""A neural network as the right-hand side."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray, Real

from .._layer import BayesianMLP
from .._parameter import AbstractParameter, GaussianParameter
from .field import AbstractVectorField

# An untrained field is slow beside the unit scale of a standardised state.
INITIAL_SCALE = 0.1


class NeuralVectorField(AbstractVectorField):
    """A multilayer perceptron from state, time and controls to the derivative.

    Its last layer starts at a tenth of the usual size, so that an untrained field does
    not carry the state away.

    Attributes:
        mlp: The network. Its input is the state, then the time if `time_dependent`,
            then the controls.
        time_dependent: Whether the network sees the time.
        control_dim: How many controls it sees.

    Example:
        ```python
        field = bjm.NeuralVectorField(2, width=16, depth=1, key=jax.random.key(0))
        bjm.integrate(field, np.ones(2), np.linspace(0.0, 1.0, 5)).ys.shape  # (5, 2)
        ```
    """

    mlp: BayesianMLP
    time_dependent: bool = eqx.field(static=True)
    control_dim: int = eqx.field(static=True)

    def __init__(
        self,
        state_dim: int,
        *,
        width: int,
        depth: int,
        activation: Callable = jnp.tanh,
        time_dependent: bool = False,
        control_dim: int = 0,
        bayesian: bool = True,
        bayesian_bias: bool = True,
        param_type: type[AbstractParameter] = GaussianParameter,
        init_raw_stdv: Any = 0.01,
        key: PRNGKeyArray,
    ):
        """Make a field.

        Args:
            state_dim: The size of the state.
            width: The size of each hidden layer.
            depth: The number of hidden layers.
            activation: An elementwise function.
            time_dependent: Whether the network sees the time.
            control_dim: The size of what `args(t)` returns; 0 for a field without
                controls.
            bayesian: Whether the weights have distributions.
            bayesian_bias: Whether the biases have them, whatever `bayesian` says.
            param_type: The kind of distribution.
            init_raw_stdv: The unconstrained width that every weight starts with.
            key: A JAX random key for the initial means.

        Raises:
            TypeError: If `param_type` is not a parameter type.
            ValueError: If a size is below 1, `depth` is negative, or `init_raw_stdv` is
                not finite.
        """
        mlp = BayesianMLP(
            state_dim + time_dependent + control_dim,
            state_dim,
            width,
            depth,
            activation=activation,
            bayesian=bayesian,
            bayesian_bias=bayesian_bias,
            param_type=param_type,
            init_raw_stdv=init_raw_stdv,
            key=key,
        )
        self.mlp = eqx.tree_at(
            lambda mlp: mlp.layers[-1].W.mean,
            mlp,
            replace_fn=lambda W: INITIAL_SCALE * W,
        )
        self.time_dependent = time_dependent
        self.control_dim = control_dim

    def __call__(
        self, t: Real[ArrayLike, ""], y: Float[Array, "*batch n"], args: Any
    ) -> Float[Array, "*batch n"]:
        """The derivative at a state of shape `(..., state_dim)`.

        Args:
            t: Time.
            y: The state.
            args: With controls, a function of time that returns them in the shape
                `(control_dim,)`, such as a diffrax interpolation's `evaluate`.

        Returns:
            In the shape of `y`.

        Raises:
            TypeError: If there are controls and `args` is not a function.
            ValueError: If `args(t)` has another shape than `(control_dim,)`.
        """
        rows = []
        if self.time_dependent:
            rows.append(jnp.asarray(t)[None])
        if self.control_dim:
            if not callable(args):
                raise TypeError(
                    f"`args` must be a function of time that returns the controls, but "
                    f"got {type(args).__name__}."
                )
            control = jnp.asarray(args(t))
            if control.shape != (self.control_dim,):
                raise ValueError(
                    f"`args(t)` has shape {control.shape}, but `control_dim` wants "
                    f"{(self.control_dim,)}."
                )
            rows.append(control)
        inputs = [
            jnp.broadcast_to(row.astype(y.dtype), (*y.shape[:-1], row.size))
            for row in rows
        ]
        return self.mlp(jnp.concatenate([y, *inputs], axis=-1), sample=False)
