"""One distribution over all entries of a model together."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, ArrayLike, Bool, Float, PRNGKeyArray, PyTree

from .._check import as_float_array, as_jax, check_key, check_shape, check_values
from .._gradient import stop_gradient
from .._model import (
    check_model,
    draw_from_noise,
    free_dtype,
    free_means,
    get_parameters,
    ravel_all,
    replace_free_means,
    sample_all_parameters,
    sample_with_log_prob,
)
from .._parameter import (
    MIN_WIDTH,
    AbstractParameter,
    LowRankGaussianParameter,
    MultivariateGaussianParameter,
    raw_width,
)
from .._prior import Prior
from .base import UNCHECKED, AbstractPosterior


class JointPosterior(AbstractPosterior):
    """All entries of a model as one random vector, correlations included.

    A draw has the entries `means + basis @ z`, with the means of `model` in the order
    of `flatten_means` and `z` drawn from `joint`. `DeterministicParameter`s keep their
    value and are no entries.

    Only `joint` learns: gradients with respect to `model` and `basis` are zero. Train
    it from a basis that is about right, as `gaussian` makes one from a Laplace fit:
    then `z` has widths near 1, and one step size suits all its entries.

    Attributes:
        model: Its means are the centre; its own widths are ignored.
        joint: A parameter with a mean of shape `(n,)`, the distribution of `z`, where
            `n` is the number of entries of `model`.
        basis: A fixed invertible matrix of shape `(n, n)`, or `None` for the identity.
        log_evidence: Of a fit by `laplace`, the logarithm of the integral of the
            density that it fits, a scalar in nats; `None` of others. Training does not
            change it.

    Raises:
        ValueError: If `joint` or `basis` has another shape, or another dtype than the
            means of `model`.

    Example:
        ```python
        posterior = bjm.JointPosterior.full(bjm.make_parameter([0.5, 2.0]), 0.1)
        dynamic, static = bjm.freeze_params(posterior, ["model"])  # "basis" too, if any

        def log_density(drawn):
            return -jnp.sum(drawn.mean**2) / 2

        def loss(dynamic, key):
            fit = bjm.unfreeze_all(dynamic, static)
            return -bjm.elbo(fit, log_density, prior=None, key=key, num_samples=8).value

        gradient = jax.jit(jax.grad(loss))(dynamic, jax.random.key(0))
        ```
    """

    model: PyTree
    joint: AbstractParameter
    basis: Float[Array, "..."] | None = None
    log_evidence: Float[Array, "..."] | None = None

    def __check_init__(self):
        check_model("JointPosterior", self.model)
        means = free_means(self.model)
        arrays = {"joint.mean": self.joint.mean, "basis": self.basis}
        for axes, (name, array) in enumerate(arrays.items(), start=1):
            if array is None:
                continue
            check_shape(name, array, (means.size,) * axes)
            if array.dtype != means.dtype:
                raise ValueError(
                    f"`{name}` has dtype {array.dtype}, but the means of `model` have "
                    f"{means.dtype}. They must be equal."
                )

    @classmethod
    def full(cls, model: PyTree, init_stdv: Any) -> "JointPosterior":
        """Normal with a full covariance, which starts as `init_stdv**2` and no more.

        Args:
            model: Its means are the centre.
            init_stdv: One number, or one for each entry, above 1e-4. For narrower ones
                use `gaussian`.

        Raises:
            ValueError: If `init_stdv` is not as above.
        """
        centre, raw_stdv = _start(model, init_stdv)
        return cls(model, MultivariateGaussianParameter.from_value(centre, raw_stdv))

    @classmethod
    def low_rank(cls, model: PyTree, rank: int, init_stdv: Any) -> "JointPosterior":
        """Normal with a covariance of low rank plus a diagonal, for larger models.

        Args:
            model: Its means are the centre.
            rank: How many directions may be correlated.
            init_stdv: One number, or one for each entry, above 1e-4: the diagonal of a
                start that is nearly uncorrelated.

        Raises:
            ValueError: If `init_stdv` or `rank` is not as above.
        """
        centre, raw_stdv = _start(model, init_stdv)
        return cls(model, LowRankGaussianParameter.of_rank(centre, rank, raw_stdv))

    @classmethod
    def gaussian(
        cls, model: PyTree, covariance: Float[ArrayLike, "n n"]
    ) -> "JointPosterior":
        """Normal with a given covariance, whose `joint` starts standard normal.

        Standard deviations may be of any size, and of different sizes.

        Args:
            model: Its means are the centre.
            covariance: Symmetric and positive definite, of shape `(n, n)`, in the order
                of `flatten_means`, without what is known.

        Raises:
            ValueError: If the shape does not fit, or `covariance` is not symmetric and
                positive definite (under `jax.jit`, all draws are NaN).
        """
        standard, basis, is_right = _whitening(
            model, as_float_array(covariance, "covariance")
        )
        basis = check_values(
            basis,
            ~is_right,
            "`covariance` must be symmetric and positive definite in the precision of "
            f"the model, {basis.dtype}.",
        )
        return cls(model, standard, basis)

    def at(self, z: Float[Array, " n"]) -> PyTree:
        """The drawn model with the entries `means + basis @ z`.

        Args:
            z: Of shape `(n,)`, in the units of `joint`.
        """
        fixed = stop_gradient(self.model)
        return replace_free_means(fixed, self._centre + self._along(z))

    def draw(self, key: PRNGKeyArray) -> PyTree:
        """Draw once, differentiably with respect to `joint`."""
        return self.at(sample_all_parameters(self.joint, check_key(key)).mean)

    def log_prob(self, drawn: PyTree) -> Float[Array, ""]:
        z = free_means(drawn) - self._centre
        if self.basis is not None:
            basis = lax.stop_gradient(self.basis)
            # Rows may differ by many magnitudes.
            largest = jnp.max(jnp.abs(basis), axis=1)
            z = jnp.linalg.solve(basis / largest[:, None], z / largest)
        return self.joint.log_prob(z) - self.log_volume

    def entropy(self) -> Float[Array, ""]:
        """The exact differential entropy in nats."""
        return self.joint.entropy() + self.log_volume

    def draw_and_log_prob(self, key, path_only=False):
        return self._placed(*sample_with_log_prob(self.joint, key, path_only))

    @property
    def noise_size(self):
        return self.joint.noise_size

    def displaced_and_log_prob(self, normal, path_only=False):
        return self._placed(*draw_from_noise(self.joint, normal, path_only))

    def mean_log_prior(self, prior: Prior) -> Float[Array, ""]:
        """Known for priors that need no more than the moments of each entry."""
        prior.refuse_references("The mean log prior density")
        means = get_parameters(replace_free_means(self.model, self.mean))
        stdvs = get_parameters(replace_free_means(self.model, self.stdv))
        densities = []
        for name, distribution in prior.of_parameters(self.model).items():
            mean = means[name].mean
            if means[name].is_known:
                densities.append(distribution.log_density(mean))
                continue
            try:
                found = distribution.mean_log_density(mean, stdvs[name].mean)
            except NotImplementedError as error:
                raise NotImplementedError(
                    f"{error} It is the prior of `{name}`."
                ) from error
            densities.append(found)
        return jnp.sum(ravel_all(densities))

    def moments(self) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n n"]]:
        """The mean and the covariance of the entries, in float64."""
        # Rounded to the precision of the model, it may not be positive definite.
        centre, mean, root = (np.asarray(x, np.float64) for x in _parts(self))
        if self.basis is not None:
            basis = np.asarray(self.basis, np.float64)
            mean, root = basis @ mean, basis @ root
        return centre + mean, root @ root.T

    def flatten_means(self) -> Float[Array, " n"]:
        return self.mean

    def flatten_stdvs(self) -> Float[Array, " n"]:
        return self.stdv

    def normal_parameters(self) -> list[bool]:
        parameters = get_parameters(self.model).values()
        return [self.joint.is_normal and not p.is_known for p in parameters]

    def notes(self) -> list[str]:
        if self.log_evidence is None or jnp.ndim(self.log_evidence) > 0:
            return [UNCHECKED]
        return [f"log evidence {float(self.log_evidence):.4g}", UNCHECKED]

    @property
    def log_volume(self) -> Float[Array, ""]:
        """`log |det basis|`."""
        if self.basis is None:
            return jnp.zeros((), self.joint.mean.dtype)
        return jnp.linalg.slogdet(lax.stop_gradient(self.basis))[1]

    @property
    def mean(self) -> Float[Array, " n"]:
        """The means of the entries."""
        return self._centre + self._along(self.joint.mean)

    @property
    def covariance(self) -> Float[Array, "n n"]:
        """The covariance of the entries.

        Raises:
            NotImplementedError: If `joint` is of a type of your own.
        """
        factor = self._along(self.joint.root)
        return jnp.matmul(factor, factor.T, precision="highest")

    @property
    def stdv(self) -> Float[Array, " n"]:
        """The marginal standard deviations of the entries.

        Raises:
            NotImplementedError: If there is a basis and `joint` is of a type of your
                own.
        """
        if self.basis is None:
            return self.joint.stdv
        return jnp.linalg.norm(self._along(self.joint.root), axis=1)

    def _placed(
        self, drawn: AbstractParameter, log_prob: Float[Array, ""]
    ) -> tuple[PyTree, Float[Array, ""]]:
        return self.at(drawn.mean), log_prob - self.log_volume

    @property
    def _centre(self) -> Float[Array, " n"]:
        return lax.stop_gradient(free_means(self.model))

    def _along(self, z: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
        if self.basis is None:
            return z
        return jnp.matmul(lax.stop_gradient(self.basis), z, precision="highest")


def of_root(
    model: PyTree,
    root: Float[np.ndarray, "n n"],
    log_evidence: Float[ArrayLike, ""] | None = None,
) -> JointPosterior:
    """As `JointPosterior.gaussian`, with the covariance `root @ root.T` in float64."""
    standard = _standard(model)
    dtype = standard.mean.dtype
    if log_evidence is not None:
        log_evidence = as_jax(log_evidence, dtype)
    return JointPosterior(model, standard, as_jax(root, dtype), log_evidence)


def _standard(model: PyTree) -> MultivariateGaussianParameter:
    """Independent standard normal variates, one for each entry of a model."""
    origin = np.zeros(free_means(model).shape, free_dtype(model))
    raw_one = (1 - MIN_WIDTH) ** 0.5
    return MultivariateGaussianParameter.from_value(origin, raw_one)


def _start(model: PyTree, init_stdv: Any) -> tuple[Array, Array]:
    """A mean of zeros, and the unconstrained widths of a start."""
    centre = jnp.zeros_like(free_means(model))
    remedy = "For a narrower start use `JointPosterior.gaussian(model, covariance)`."
    return centre, raw_width("init_stdv", init_stdv, centre, remedy=remedy)


@eqx.filter_jit
def _parts(posterior: JointPosterior) -> tuple[Array, Array, Array]:
    joint = posterior.joint
    return free_means(posterior.model), joint.mean, joint.root


@eqx.filter_jit
def _whitening(
    model: PyTree, covariance: Float[Array, "..."]
) -> tuple[MultivariateGaussianParameter, Float[Array, "n n"], Bool[Array, ""]]:
    """A standard normal, the factor that gives it a covariance, and whether it does."""
    standard = _standard(model)
    covariance = covariance.astype(standard.mean.dtype)
    check_shape("covariance", covariance, standard.mean.shape * 2)
    stdv = jnp.sqrt(jnp.diagonal(covariance))
    correlation = covariance / stdv[:, None] / stdv
    factor = jnp.linalg.cholesky(correlation)
    is_right = jnp.allclose(correlation, correlation.T, atol=1e-5)
    return standard, stdv[:, None] * factor, is_right & jnp.all(jnp.isfinite(factor))
