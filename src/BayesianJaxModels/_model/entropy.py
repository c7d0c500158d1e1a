"""How wide a model's distributions are, and how far from other ones."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from .._check import check_shape
from .._parameter import (
    AbstractParameter,
    GaussianParameter,
    LaplacianParameter,
    LowRankGaussianParameter,
    MultivariateGaussianParameter,
)
from .estimate import AbstractEstimate, check_model
from .introspect import get_parameters
from .tree import ravel_all


def entropy(model: PyTree) -> Float[Array, ""]:
    """The exact entropy of all parameters of any type, constants included.

    Args:
        model: Any pytree with parameters, or a posterior that has an entropy, such as
            a `JointPosterior`.

    Returns:
        The differential entropy in nats, a scalar; a point mass adds 0.

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

    It is their entropy less `log(2 pi e) / 2` for each entry, which no gradient sees.
    Other types, `MultivariateGaussianParameter` among them, do not count here;
    `entropy` takes every type.

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
    return _total(
        [jnp.log(p.stdv) for p in parameters if isinstance(p, GaussianParameter)]
    )


def laplacian_entropy(model: PyTree) -> Float[Array, ""]:
    """The sum of `log(scale)` over all Laplacian parameters.

    It is their entropy less `1 + log(2)` for each entry, which no gradient sees. Other
    types do not count here.

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
    return _total(
        [jnp.log(p.scale) for p in parameters if isinstance(p, LaplacianParameter)]
    )


def kl_divergence(q: PyTree, p: PyTree) -> Float[Array, ""]:
    """The Kullback-Leibler divergence `KL(q || p)` in nats, in closed form.

    There are closed forms for Gaussian || Gaussian, multivariate Gaussian || Gaussian
    or multivariate Gaussian, low-rank Gaussian || Gaussian, Laplace || Laplace and
    Laplace || Gaussian.

    Args:
        q: A parameter, or a pytree of parameters that are independent of each other.
        p: Parameters of the same names and shapes.

    Returns:
        The sum over all parameters, a scalar.

    Raises:
        TypeError: If one of them is a posterior or a fit.
        ValueError: If the names or shapes differ.
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


def kl_to_normal(
    q: AbstractParameter, mean: Float[Array, "..."], stdv: Float[Array, "..."]
) -> Float[Array, ""]:
    """`KL(q || N(mean, stdv**2))` for any `q` that has widths.

    Against a normal density only the first two moments of `q` and its entropy count:
    the divergence is that of independent normals with these moments, plus what the
    entropy of `q` falls short of theirs.
    """
    ratio = q.stdv / stdv
    distance = (q.mean - mean) / stdv
    of_normal = jnp.sum(0.5 * (ratio**2 + distance**2 - 1) - jnp.log(ratio))
    entropy_of_normal = jnp.sum(jnp.log(q.stdv) + 0.5 * jnp.log(2 * jnp.pi * jnp.e))
    return of_normal + (entropy_of_normal - q.entropy())


def kl_to_laplace(
    q: LaplacianParameter, mean: Float[Array, "..."], scale: Float[Array, "..."]
) -> Float[Array, ""]:
    """`KL(q || Laplace(mean, scale))` for a Laplacian `q`."""
    distance = jnp.abs(q.mean - mean)
    overlap = q.scale * jnp.exp(-distance / q.scale) + distance
    return jnp.sum(overlap / scale - 1 + jnp.log(scale) - jnp.log(q.scale))


def _total(terms: list[Float[Array, "..."]]) -> Float[Array, ""]:
    return jnp.sum(ravel_all(terms))


def _kl_of_pair(
    name: str, q: AbstractParameter, p: AbstractParameter
) -> Float[Array, ""]:
    closed_form = _CLOSED_FORMS.get((type(q), type(p)))
    if closed_form is None:
        place = f" of `{name}`" if name else ""
        raise NotImplementedError(
            f"KL({type(q).__name__} || {type(p).__name__}){place} has no closed form "
            "here. Estimate it: the mean of `q.log_prob(z) - p.log_prob(z)` over draws "
            "`z = q.sample(key)`."
        )
    check_shape(f"p.{name}.mean" if name else "p.mean", p.mean, q.shape)
    return closed_form(q, p)


def _multivariate_multivariate(
    q: MultivariateGaussianParameter, p: MultivariateGaussianParameter
):
    def whiten(columns):
        return jax.scipy.linalg.solve_triangular(p.cholesky, columns, lower=True)

    ratio = whiten(q.cholesky)
    distance = whiten((q.mean - p.mean).ravel())
    squares = jnp.sum(ratio**2) + jnp.sum(distance**2) - q.mean.size
    return 0.5 * squares + _log_determinant(p) - _log_determinant(q)


def _laplace_laplace(q: LaplacianParameter, p: LaplacianParameter):
    return kl_to_laplace(q, p.mean, p.scale)


def _log_determinant(parameter: MultivariateGaussianParameter) -> Float[Array, ""]:
    return jnp.sum(jnp.log(jnp.diagonal(parameter.cholesky)))


def _to_gaussian(q: AbstractParameter, p: GaussianParameter):
    return kl_to_normal(q, p.mean, p.stdv)


_CLOSED_FORMS: dict[tuple[type, type], Callable] = {
    (GaussianParameter, GaussianParameter): _to_gaussian,
    (MultivariateGaussianParameter, GaussianParameter): _to_gaussian,
    (LowRankGaussianParameter, GaussianParameter): _to_gaussian,
    (LaplacianParameter, GaussianParameter): _to_gaussian,
    (
        MultivariateGaussianParameter,
        MultivariateGaussianParameter,
    ): _multivariate_multivariate,
    (LaplacianParameter, LaplacianParameter): _laplace_laplace,
}
