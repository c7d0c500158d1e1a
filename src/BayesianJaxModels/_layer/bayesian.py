"""Any Equinox module with uncertain weights."""

import inspect
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import PRNGKeyArray, PyTree

from .._check import check_key, is_float_array
from .._model import Module, draw_if
from .._parameter import (
    AbstractParameter,
    GaussianParameter,
    is_parameter,
    make_parameter,
)


class _Constant(eqx.Module):
    """What is not an array in the wrapped module, kept out of the leaves."""

    value: Any = eqx.field(static=True)


class Bayesian(Module):
    """An Equinox module (`Linear`, `GRUCell`, `Conv`, your own) with uncertain weights.

    Every float array of the module becomes the mean of a parameter; parameters, tied
    weights (`equinox.nn.Shared`) and arrays of integers stay as they are. Activations,
    sizes and other objects become static, so the leaves are arrays alone. Products run
    at full float32 precision.

    Attributes:
        module: The module with a parameter in place of each float array.

    Example:
        ```python
        cell = bjm.Bayesian(eqx.nn.GRUCell(2, 8, key=jax.random.key(0)))
        drawn = bjm.sample_all_parameters(cell, jax.random.key(1))

        def step(hidden, x):
            hidden = drawn(x, hidden, sample=False)
            return hidden, hidden

        _, states = jax.lax.scan(step, np.zeros(8, np.float32), np.ones((20, 2)))
        states.shape  # (20, 8)
        ```
    """

    module: PyTree

    def __init__(
        self,
        module: eqx.Module,
        *,
        bayesian: bool = True,
        param_type: type[AbstractParameter] = GaussianParameter,
        init_raw_stdv: Any = 0.01,
    ):
        """Wrap a module.

        Args:
            module: An Equinox module with a `__call__`.
            bayesian: Whether the parameters have distributions, biases included.
            param_type: The kind of distribution.
            init_raw_stdv: The unconstrained width that every entry starts with.

        Raises:
            TypeError: If `module` cannot be called, or `param_type` is not a parameter
                type.
            ValueError: If an array of the module or `init_raw_stdv` is not finite.
        """
        if not callable(module):
            raise TypeError(
                f"`module` must be an Equinox module with a `__call__`, but got "
                f"{type(module).__name__}."
            )

        def wrap(node):
            if is_parameter(node):
                return node
            if is_float_array(node):
                return make_parameter(
                    node,
                    bayesian=bayesian,
                    param_type=param_type,
                    init_raw_stdv=init_raw_stdv,
                )
            return node if eqx.is_array(node) else _Constant(node)

        self.module = jax.tree.map(wrap, module, is_leaf=is_parameter)

    def to_equinox(self) -> Callable:
        """The module that was wrapped, at the means; in a drawn model, at the draw."""

        def unwrap(node):
            if is_parameter(node):
                return node.value
            return node.value if isinstance(node, _Constant) else node

        return jax.tree.map(
            unwrap,
            self.module,
            is_leaf=lambda node: is_parameter(node) or isinstance(node, _Constant),
        )

    def __call__(
        self,
        *args: Any,
        key: PRNGKeyArray | None = None,
        sample: bool = True,
        **kwargs: Any,
    ) -> Any:
        """Call the module.

        Args:
            *args: What the module takes.
            key: A JAX random key; needed if `sample`. The weights are drawn from
                `jax.random.fold_in(key, 0)`; a module that takes a `key` itself (for
                dropout) gets `jax.random.fold_in(key, 1)`.
            sample: Whether to draw the weights, once for the call, or to use their
                means (in a drawn model: the draw).
            **kwargs: What the module takes.

        Raises:
            ValueError: If the key is missing.
        """
        weight_key = None if key is None else jax.random.fold_in(check_key(key), 0)
        module = draw_if(sample, self, weight_key).to_equinox()
        if key is not None and "key" in inspect.signature(module).parameters:
            kwargs["key"] = jax.random.fold_in(key, 1)
        with jax.default_matmul_precision("highest"):
            return module(*args, **kwargs)
