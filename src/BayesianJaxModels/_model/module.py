"""The base class of models."""

import equinox as eqx

from . import introspect, table


class Module(eqx.Module):
    """An Equinox module with parameters. Subclass it to write a model.

    Fields may be parameters, layers, other modules, and lists, tuples or dictionaries
    of them; mark what is not an array (activations, sizes) with
    `eqx.field(static=True)`, so that `jax.grad` takes the whole model. `print(model)`
    and a notebook show `parameter_table(model)`; `repr(model)` is the structure.

    The methods `get_parameters`, `flatten_means`, `flatten_stdvs`, `flatten_raw_stdvs`
    and `compute_prior` are the functions of these names, which work on any pytree.

    Example:
        ```python
        class Regression(bjm.Module):
            layers: list

            def __init__(self, *, key):
                first, second = jax.random.split(key)
                self.layers = [
                    bjm.BayesianLinear(2, 16, key=first),
                    bjm.BayesianLinear(16, 1, key=second),
                ]

            def __call__(self, x, *, key=None, sample=True):
                first, second = (None, None) if key is None else jax.random.split(key)
                hidden = jnp.tanh(self.layers[0](x, key=first, sample=sample))
                return self.layers[1](hidden, key=second, sample=sample)

        model = Regression(key=jax.random.key(0))
        model(np.ones((10, 2)), sample=False).shape  # (10, 1): weights at their means
        model.flatten_means().size  # 65
        ```
    """

    get_parameters = introspect.get_parameters
    flatten_means = introspect.flatten_means
    flatten_stdvs = introspect.flatten_stdvs
    flatten_raw_stdvs = introspect.flatten_raw_stdvs
    compute_prior = introspect.compute_prior

    def __str__(self) -> str:
        """The table of the parameters; under JAX transformations the structure."""
        if table.has_values(self):
            return str(table.parameter_table(self))
        return repr(self)

    def _repr_html_(self) -> str:
        """The table of the parameters, for notebooks."""
        return table.parameter_table(self)._repr_html_()
