"""How wide a model's distributions are, and how far from other ones."""

import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from .._check import check_shape
from .._parameter import AbstractParameter
from .estimate import AbstractEstimate, check_model
from .introspect import get_parameters
from .tree import ravel_all


def entropy(model: PyTree) -> Float[Array, ""]:
    """The exact entropy of all parameters of any type, constants included.

    Args:
        model: Any pytree with parameters, or a posterior that has an entropy, such as
            a `JointPosterior`.

    Returns:
        The differential entropy in nats; a point mass adds 0.

    Raises:
        TypeError: If a posterior does not know its entropy.

    Example:
        ```python
        rates = bjm.GaussianParameter(np.ones(2), np.full(2, 0.3))
        bjm.entropy({"rates": rates})  # -1.976: 2 log(0.0901) + log(2 pi e)
        ```
    """
    if isinstance(model, AbstractEstimate):
        return model.entropy()
    return _total([p.entropy() for p in get_parameters(model).values()])


def gaussian_entropy(model: PyTree) -> Float[Array, ""]:
    """The sum of `log(stdv)` over all Gaussian parameters.

    It is their entropy without the constant `log(2 pi e) / 2` of each entry. Other
    types, `MultivariateGaussianParameter` among them, do not count; `entropy` takes
    every type.

    Args:
        model: Any pytree with parameters.

    Returns:
        A scalar; 0 without Gaussian parameters.

    Raises:
        TypeError: If `model` is a posterior or a fit.

    Example:
        ```python
        rates = bjm.GaussianParameter(np.ones(2), np.full(2, 0.3))
        bjm.gaussian_entropy([rates])  # -4.814: 2 log(0.0901)
        ```
    """
    check_model("gaussian_entropy", model)
    parameters = get_parameters(model).values()
    return _total([jnp.log(p.stdv) for p in parameters if p.group == "gaussian"])


def laplacian_entropy(model: PyTree) -> Float[Array, ""]:
    """The sum of `log(scale)` over all Laplacian parameters.

    It is their entropy without the constant `1 + log(2)` of each entry. Other types do
    not count.

    Args:
        model: Any pytree with parameters.

    Returns:
        A scalar; 0 without Laplacian parameters.

    Raises:
        TypeError: If `model` is a posterior or a fit.

    Example:
        ```python
        effects = bjm.LaplacianParameter(np.zeros(2), np.full(2, 0.3))
        bjm.laplacian_entropy([effects])  # -4.814: 2 log(0.0901)
        ```
    """
    check_model("laplacian_entropy", model)
    parameters = get_parameters(model).values()
    scales = [p.stdv / 2**0.5 for p in parameters if p.group == "laplacian"]
    return _total([jnp.log(scale) for scale in scales])


def kl_divergence(q: PyTree, p: PyTree) -> Float[Array, ""]:
    """The Kullback-Leibler divergence `KL(q || p)` in nats, in closed form.

    Closed forms are those of any type but a point mass || Gaussian or multivariate
    Gaussian, and of Laplace || Laplace; a type of your own may know more.

    Args:
        q: A parameter, or a pytree of parameters that are independent of each other.
        p: Parameters of the same names and shapes.

    Returns:
        The sum over all parameters, a scalar.

    Raises:
        TypeError: If one of them is a posterior or a fit.
        ValueError: If the names, shapes or supports differ.
        NotImplementedError: For any other pair of types, which it names.

    Example:
        ```python
        posterior = bjm.GaussianParameter(np.array([0.4]), np.array([0.3]))
        prior = bjm.GaussianParameter(np.array([0.0]), np.array([1.0]))
        bjm.kl_divergence(posterior, prior)  # 1.991
        ```

    References:
        Gil, Alajaji and Linder (2013), "Rényi divergence measures for commonly used
        univariate continuous distributions", Information Sciences 249.
    """
    check_model("kl_divergence", q)
    check_model("kl_divergence", p)
    of_q, of_p = get_parameters(q), get_parameters(p)
    if of_q.keys() != of_p.keys():
        raise ValueError(
            "`q` and `p` must have parameters of the same names. Only `q` has "
            f"{sorted(of_q.keys() - of_p.keys())}, only `p` has "
            f"{sorted(of_p.keys() - of_q.keys())}."
        )
    return _total([_kl_of_pair(name, of_q[name], of_p[name]) for name in of_q])


def _total(terms: list[Float[Array, "..."]]) -> Float[Array, ""]:
    return jnp.sum(ravel_all(terms))


def _kl_of_pair(
    name: str, q: AbstractParameter, p: AbstractParameter
) -> Float[Array, ""]:
    place = f" of `{name}`" if name else ""
    check_shape(f"p.{name}.mean" if name else "p.mean", p.mean, q.shape)
    if p.support != q.support:
        raise ValueError(
            f"`q` and `p` must have one `support`, but{place} they have {q.support} "
            f"and {p.support}."
        )
    try:
        return p.kl_from(q)
    except NotImplementedError as error:
        raise NotImplementedError(
            f"KL({type(q).__name__} || {type(p).__name__}){place} has no closed form "
            "here. Estimate it: the mean of `q.log_prob(z) - p.log_prob(z)` over draws "
            "`z = q.sample(key)`."
        ) from error
