"""Look into a model: its parameters by name, their values as vectors, counts."""

from collections.abc import Callable
from itertools import accumulate

import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, PyTree

from .._check import as_float_array, check_shape, is_float_array
from .._parameter import GROUPS, AbstractParameter
from .estimate import AbstractEstimate, check_model
from .tree import (
    Model,
    flatten_named,
    has_mean,
    map_parameters,
    map_parts,
    ravel_all,
    replace_mean,
)


def get_parameters(model: PyTree) -> dict[str, AbstractParameter]:
    """All parameters of a model by name, in the order of the pytree.

    Args:
        model: Any pytree. Parameters are found through modules, lists, tuples and
            dictionaries alike.

    Returns:
        Names as one would write them in Python: `"layers[0].W"`, `"rates['birth']"`.
        One object in two places of the tree is two parameters, as everywhere in JAX; to
        tie them, use `equinox.nn.Shared`. In one half of a partition, as
        `freeze_params` makes it, parameters whose `mean` is in the other half are left
        out. Of a posterior such as a `JointPosterior`, all those inside of it.

    Raises:
        TypeError: If `model` is draws or a fit, whose parameters are a template.

    Example:
        ```python
        mlp = bjm.BayesianMLP(2, 1, 16, 1, key=jax.random.key(0))
        list(bjm.get_parameters(mlp))
        # ['layers[0].W', 'layers[0].b', 'layers[1].W', 'layers[1].b']
        ```
    """
    if isinstance(model, AbstractEstimate):
        model.get_parameters()
    return {name: node for name, node in flatten_named(model)[0] if has_mean(node)}


def flatten_means(model: PyTree) -> Float[Array, " n"]:
    """The means of all parameters as one vector; in a drawn model, the draw.

    Args:
        model: Any pytree with parameters, or a posterior: then its own means.

    Returns:
        Of shape `(n,)`: parameters in the order of `get_parameters`, entries in
        row-major order. Without parameters it is empty.

    Raises:
        TypeError: If a posterior does not know its means.

    Example:
        ```python
        model = {"rates": bjm.make_parameter([0.5, 0.03]), "y": bjm.make_parameter(3)}
        bjm.flatten_means(model)  # [0.50, 0.03, 3.00]
        ```
    """
    if isinstance(model, AbstractEstimate):
        return model.flatten_means()
    return ravel_all([p.mean for p in get_parameters(model).values()])


def flatten_stdvs(model: PyTree) -> Float[Array, " n"]:
    """The marginal standard deviations, entry by entry beside `flatten_means`.

    Args:
        model: Any pytree with parameters, or a posterior: then its own. Of a drawn
            model they are the widths that it came with.

    Returns:
        Of shape `(n,)`, each in the unit of its mean; 0 for a point mass.

    Raises:
        TypeError: If a posterior does not know its standard deviations.

    Example:
        ```python
        rates = bjm.GaussianParameter(np.array([0.5, 0.03]), np.array([0.2, 0.1]))
        bjm.flatten_stdvs({"rates": rates})  # [0.0401, 0.0101]
        ```
    """
    if isinstance(model, AbstractEstimate):
        return model.flatten_stdvs()
    return ravel_all([p.stdv for p in get_parameters(model).values()])


def flatten_raw_stdvs(model: PyTree) -> Float[Array, " n"]:
    """The unconstrained widths, entry by entry beside `flatten_means`.

    A parameter's unconstrained width is its first width array in the shape of its mean:
    `raw_stdv` of a Gaussian, `raw_scale` of a Laplacian, `raw_diagonal` of a
    multivariate or low-rank Gaussian. Without one it is 0.

    Args:
        model: Any pytree with parameters.

    Returns:
        Of shape `(n,)`.

    Raises:
        TypeError: If `model` is a posterior or a fit.

    Example:
        ```python
        rates = bjm.GaussianParameter(np.array([0.5, 0.03]), np.array([0.2, 0.1]))
        bjm.flatten_raw_stdvs({"rates": rates})  # [0.2, 0.1]
        ```
    """
    check_model("flatten_raw_stdvs", model)
    return ravel_all([_raw_width(p) for p in get_parameters(model).values()])


def _raw_width(parameter: AbstractParameter) -> Float[Array, "..."]:
    widths = []
    map_parts(lambda is_mean, leaf: is_mean or widths.append(leaf), parameter)
    for width in widths:
        if is_float_array(width) and width.shape == parameter.shape:
            return width
    return jnp.zeros_like(parameter.mean)


def unflatten_means(model: Model, vector: Float[ArrayLike, " n"]) -> Model:
    """The inverse of `flatten_means`: the same model with the means from a vector.

    Args:
        model: Any pytree with parameters.
        vector: The means, of shape `(n,)` with `n = flatten_means(model).size`.

    Returns:
        A model with the types, structure, dtypes and widths of `model`.

    Raises:
        TypeError: If `vector` is not made of real numbers, or `model` is a posterior.
        ValueError: If `vector` has another shape.

    Example:
        ```python
        rates = bjm.GaussianParameter(np.array([0.5, 0.03]), np.array([0.2, 0.1]))
        moved = bjm.unflatten_means({"rates": rates}, np.array([0.6, 0.02]))
        moved["rates"].mean  # [0.60, 0.02]
        ```
    """
    check_model("unflatten_means", model)
    return place_means(model, as_float_array(vector, "vector"))


def place_means(
    model: Model,
    vector: Float[Array, " n"],
    takes: Callable[[AbstractParameter], bool] = lambda parameter: True,
) -> Model:
    """The model with the means of those parameters that take theirs from a vector."""
    sizes = [p.mean.size if takes(p) else 0 for p in get_parameters(model).values()]
    ends = [0, *accumulate(sizes)]
    check_shape("vector", vector, (ends[-1],))

    def place(index: int, parameter: AbstractParameter) -> AbstractParameter:
        if not takes(parameter):
            return parameter
        mean = vector[ends[index] : ends[index + 1]].reshape(parameter.shape)
        return replace_mean(parameter, mean.astype(parameter.mean.dtype))

    return map_parameters(place, model)


def compute_prior(model: PyTree) -> Float[Array, ""]:
    """The sum of squares of all means, `g(z) = |z|**2` for a drawn model `z`.

    Half of it is the negative log density of a standard normal prior up to a constant.

    Args:
        model: Any pytree with parameters.

    Returns:
        A scalar; 0 without parameters.

    Raises:
        TypeError: If `model` is a posterior or a fit.

    Example:
        ```python
        weights = bjm.GaussianParameter(np.array([3.0, 4.0]), np.array([0.1, 0.1]))
        bjm.compute_prior([weights])  # 25.0
        ```
    """
    check_model("compute_prior", model)
    return jnp.sum(flatten_means(model) ** 2)


def get_parameter_count(model: PyTree) -> dict[str, int]:
    """How many numbers the parameters of a model hold, widths not counted.

    Args:
        model: Any pytree with parameters.

    Returns:
        `{"total": ..., "bayesian": ..., "deterministic": ...}`, where every type but
        `DeterministicParameter` is Bayesian. Of a posterior, those of its model.
        `total` is the length of `flatten_means(model)`.

    Example:
        ```python
        layer = bjm.BayesianLinear(2, 16, bayesian_bias=False, key=jax.random.key(0))
        bjm.get_parameter_count(layer)
        # {'total': 48, 'bayesian': 32, 'deterministic': 16}
        ```
    """
    if isinstance(model, AbstractEstimate):
        return get_parameter_count(model.model)
    count = {"total": 0, "bayesian": 0, "deterministic": 0}
    for parameter in get_parameters(model).values():
        kind = "deterministic" if parameter.is_known else "bayesian"
        count[kind] += parameter.mean.size
        count["total"] += parameter.mean.size
    return count


def get_parameter_groups(model: PyTree) -> dict[str, list[str]]:
    """The names of a model's parameters by type.

    Args:
        model: Any pytree with parameters.

    Returns:
        Names as in `get_parameters`, in the groups `"gaussian"`, `"laplacian"` and
        `"deterministic"`, empty ones included, and one for every further type in the
        model, called after its class: `"multivariate_gaussian"`. A class whose name is
        taken by another type gets its full name, module included.

    Example:
        ```python
        layer = bjm.BayesianLinear(2, 16, bayesian_bias=False, key=jax.random.key(0))
        bjm.get_parameter_groups(layer)
        # {'gaussian': ['W'], 'laplacian': [], 'deterministic': ['b']}
        ```
    """
    groups: dict[str, list[str]] = {group: [] for group in GROUPS}
    kind_of: dict[str, type] = {}
    for name, parameter in get_parameters(model).items():
        kind, group = type(parameter), parameter.group
        if kind_of.setdefault(group, kind) is not kind:
            group = f"{kind.__module__}.{kind.__qualname__}"
        groups.setdefault(group, []).append(name)
    return groups
