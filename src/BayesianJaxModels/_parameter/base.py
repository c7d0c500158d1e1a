"""What every parameter is: one array and a distribution over it."""

import re
from abc import abstractmethod
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float, PRNGKeyArray

from .._check import as_float_array, check_broadcast
from .._gradient import stop_gradient
from .interval import Interval, as_support

# The groups that every model has, empty or not; the three types say so themselves.
GROUPS = ("gaussian", "laplacian", "deterministic")
# Keeps a width that training drives towards zero away from log(0) and 1/0.
MIN_WIDTH = 1e-4


def positive(raw: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Map an unconstrained width to a positive one, `raw**2 + 1e-4`."""
    return raw**2 + MIN_WIDTH


def raw_width(
    name: str,
    stdv: Any,
    mean: Float[Array, "*shape"],
    *,
    unit: float = 1.0,
    remedy: str = "Write the model in another unit of this parameter.",
) -> Float[Array, "*shape"]:
    """The unconstrained widths of standard deviations: the inverse of `positive`.

    They have the shape and dtype of `mean`; `unit` is the standard deviation of a width
    of 1. An entry that is not above the least width is an error with its `name` and
    `remedy`, and where JAX traces NaN.
    """
    with jax.ensure_compile_time_eval():
        width = as_float_array(stdv, name) / unit
        check_broadcast(name, width, mean.shape)
        is_good = (width > MIN_WIDTH) & jnp.isfinite(width)
        if not isinstance(is_good, Tracer) and not is_good.all():
            raise ValueError(
                f"`{name}` must be above {unit * MIN_WIDTH:.3g}, the least standard "
                f"deviation there is, and finite, but got {stdv}. {remedy}"
            )
    width = jnp.where(is_good, width, jnp.nan)
    return jnp.broadcast_to(jnp.sqrt(width - MIN_WIDTH), mean.shape).astype(mean.dtype)


class AbstractParameter(eqx.Module):
    """One float array and a distribution over it.

    A subclass of your own works everywhere in the library: give it a `mean`, one
    float array for each width, and the methods below. Every float array but `mean` is
    a width, whatever its name. Methods treat the whole array as one random variable, so
    densities and entropies are scalars; for batches use `jax.vmap`.

    A model computes with `value`. Where there is a `support`, that is an increasing map
    of `mean`, the unconstrained number that has the distribution: methods here, and all
    engines, are about the latter.

    Attributes:
        mean: The location, of any shape. In a drawn model it holds the draw.
        support: The values that the parameter may have: `None` for any real number,
            `"positive"`, or a pair of ends `(low, high)`, each a number or an array
            that broadcasts to `mean`. Given by its name in every type.

    Example:
        ```python
        class LogisticParameter(bjm.AbstractParameter):
            mean: jax.Array
            raw_scale: jax.Array

            @classmethod
            def from_value(cls, value, init_raw_stdv):
                return cls(value, jnp.full_like(value, init_raw_stdv))

            @property
            def scale(self):
                return self.raw_scale**2 + 1e-4

            @property
            def stdv(self):
                return self.scale * jnp.pi / 3**0.5

            def sample(self, rng):
                return self.mean + self.scale * jax.random.logistic(rng, self.shape)

            def log_prob(self, value):
                z = (value - self.mean) / self.scale
                return jnp.sum(jax.scipy.stats.logistic.logpdf(z) - jnp.log(self.scale))

            def entropy(self):
                return jnp.sum(jnp.log(self.scale) + 2)

        dose = bjm.make_parameter(1.0, param_type=LogisticParameter, init_raw_stdv=0.5)
        dose.stdv  # 0.454
        ```
    """

    mean: eqx.AbstractVar[Float[Array, "..."]]
    support: Interval | None = eqx.field(
        static=True, default=None, kw_only=True, converter=as_support
    )

    def __check_init__(self):
        for end in () if self.support is None else self.support.ends:
            check_broadcast("support", end, self.shape)

    @property
    def value(self) -> Float[Array, "..."]:
        """What a model computes with: `mean`, or inside a `support` its image.

        `low + exp(mean)` above a lower end, `high - exp(-mean)` below an upper one, and
        `low + (high - low) * sigmoid(mean)` between two.
        """
        return self.mean if self.support is None else self.support.value(self.mean)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of `mean` and of every draw."""
        return self.mean.shape

    @property
    def group(self) -> str:
        """What `get_parameter_groups` calls this type: its name, as words."""
        kind = type(self)
        name = kind.__name__.removesuffix("Parameter")
        group = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
        return f"{kind.__module__}.{kind.__qualname__}" if group in GROUPS else group

    @property
    def is_known(self) -> bool:
        """Whether the value is taken as known, so that no engine infers it."""
        return False

    @property
    def is_normal(self) -> bool:
        """Whether every entry of `mean`, by itself, has a normal distribution."""
        return False

    @property
    @abstractmethod
    def stdv(self) -> Float[Array, "..."]:
        """The marginal standard deviations, in the shape and unit of `mean`."""

    @classmethod
    @abstractmethod
    def from_value(cls, value: ArrayLike, init_raw_stdv: Any) -> "AbstractParameter":
        """Build a parameter located at `value`.

        Args:
            value: The location, of any shape.
            init_raw_stdv: The unconstrained width that every entry starts with, or an
                array of them that broadcasts to the shape of `value`.

        Raises:
            TypeError: If `value` or `init_raw_stdv` is not made of real numbers.
            ValueError: If `init_raw_stdv` has a shape that does not fit.
        """

    @abstractmethod
    def sample(self, rng: PRNGKeyArray) -> Float[Array, "..."]:
        """Draw once, reparameterised, in the shape, dtype and unit of `mean`.

        Args:
            rng: A JAX random key.
        """

    @abstractmethod
    def log_prob(self, value: ArrayLike) -> Float[Array, ""]:
        """The log density over all entries, in nats.

        Args:
            value: A draw, in the shape and unit of `mean`.

        Raises:
            TypeError: If `value` is not made of real numbers.
            ValueError: If `value` has another shape.
        """

    @abstractmethod
    def entropy(self) -> Float[Array, ""]:
        """Differential entropy in nats over all entries, constants included."""

    def with_stdv(self, stdv: Any) -> "AbstractParameter":
        """The same parameter with other standard deviations.

        Args:
            stdv: In the unit of `mean`: one number, or an array that broadcasts to the
                shape of `mean`. Correlations are kept.

        Raises:
            ValueError: If a shape does not fit, or a number is too small.
            NotImplementedError: If the type does not say how.
        """
        raise NotImplementedError(_missing(self, "with_stdv", "Set its widths instead"))

    def kl_to_normal(
        self, mean: Float[Array, "..."], stdv: Float[Array, "..."]
    ) -> Float[Array, ""]:
        """`KL(self || N(mean, stdv**2))`, in nats, for any distribution with widths.

        Args:
            mean: The mean of each entry.
            stdv: The standard deviation of each entry.
        """
        # That of normals with these moments, plus what the entropy is short of theirs.
        ratio = self.stdv / stdv
        distance = (self.mean - mean) / stdv
        of_normal = jnp.sum(0.5 * (ratio**2 + distance**2 - 1) - jnp.log(ratio))
        widest = jnp.sum(jnp.log(self.stdv) + 0.5 * jnp.log(2 * jnp.pi * jnp.e))
        return of_normal + (widest - self.entropy())

    def kl_to_laplace(
        self, mean: Float[Array, "..."], scale: Float[Array, "..."]
    ) -> Float[Array, ""]:
        """`KL(self || Laplace(mean, scale))`, in nats.

        Args:
            mean: The mean of each entry.
            scale: The scale of each entry.

        Raises:
            NotImplementedError: If the type does not know it.
        """
        raise NotImplementedError(no_divergence(self, "a Laplace distribution"))

    def kl_from(self, q: "AbstractParameter") -> Float[Array, ""]:
        """`KL(q || self)`, in nats.

        Args:
            q: A parameter of the same shape.

        Raises:
            NotImplementedError: If the type does not know it for a `q` of that type.
        """
        raise NotImplementedError(no_divergence(q, f"a {type(self).__name__}"))

    @property
    def root(self) -> Float[Array, "n m"]:
        """A matrix that times its transpose is the covariance of all entries.

        Raises:
            NotImplementedError: If the type does not say what it is.
        """
        raise NotImplementedError(
            f"The covariance of a {type(self).__name__} is not known: its class does "
            "not define `root`. Take that of draws: `jnp.cov` of many `sample(key)`."
        )

    @property
    def noise_size(self) -> int:
        """How many normal variates `displaced` takes.

        Raises:
            NotImplementedError: If the type does not say so.
        """
        raise NotImplementedError(_missing(self, "noise_size", _INDEPENDENT))

    def displaced(self, normal: Float[Array, " m"]) -> Float[Array, "..."]:
        """The draw that standard normal variates make.

        Args:
            normal: Of shape `(noise_size,)`. Minus the same gives the draw reflected
                about the mean.

        Raises:
            NotImplementedError: If the type does not say what it is.
        """
        raise NotImplementedError(_missing(self, "displaced", _INDEPENDENT))

    def sample_and_log_prob(
        self, rng: PRNGKeyArray, path_only: bool = False
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        """What `sample` draws, and its log density.

        Args:
            rng: A JAX random key.
            path_only: Whether the density has derivatives with respect to the draw
                alone, not to the fields of the parameter.
        """
        draw = self.sample(rng)
        return draw, (stop_gradient(self) if path_only else self).log_prob(draw)

    def displaced_and_log_prob(
        self, normal: Float[Array, " m"], path_only: bool = False
    ) -> tuple[Float[Array, "..."], Float[Array, ""]]:
        """What `displaced` draws, and its log density.

        Args:
            normal: As in `displaced`.
            path_only: As in `sample_and_log_prob`.
        """
        draw = self.displaced(normal)
        return draw, (stop_gradient(self) if path_only else self).log_prob(draw)


def is_parameter(node: Any) -> bool:
    """Whether a node of a model is a parameter."""
    return isinstance(node, AbstractParameter)


def no_divergence(q: AbstractParameter, other: str) -> str:
    """That it is not known in closed form."""
    return f"The divergence of a {type(q).__name__} from {other} has no closed form."


_INDEPENDENT = "Use `draws='independent'`, which every type of parameter allows"


def _missing(parameter: AbstractParameter, ability: str, remedy: str) -> str:
    kind = type(parameter).__name__
    return f"A {kind} has no `{ability}`: its class does not define it. {remedy}."
