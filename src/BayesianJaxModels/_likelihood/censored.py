"""Observations of which only a bound is known, or an interval."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.scipy.special import logsumexp
from jaxtyping import Array, Float

from .._check import as_float_array, like
from .base import AbstractLikelihood
from .noise import as_noise
from .observe import Support

# Gauss and Legendre's rule, exact where a log density changes by less than this.
FEW = 0.5
NODES, WEIGHTS = np.polynomial.legendre.leggauss(8)


class Censored(AbstractLikelihood):
    """Observations with limits of detection.

    An observation at `lower` or below it counts with the probability of lying there,
    one at `upper` or above it likewise, and those between with their density (Tobin
    1958, doi:10.2307/1907382). Draws beyond a limit are set to it.

    Attributes:
        likelihood: Of what lies between the limits: normal, Student's t or log-normal,
            `IntervalCensored`, or one of your own with `log_cdf` and `log_survival`.
        lower: In the unit of the observation: a number, or an array that broadcasts to
            it. Minus infinity or NaN where there is no limit.
        upper: Above `lower`, likewise; infinity or NaN where there is no limit.

    Raises:
        TypeError: If `likelihood` is of another type.
        ValueError: If `lower` is not below `upper`.
        NotImplementedError: At an observation, if `likelihood` has no distribution
            function.

    Example:
        ```python
        normal = bjm.likelihoods.NormalLikelihood(0.2)
        likelihood = bjm.likelihoods.Censored(normal, lower=0.1)
        prediction = jnp.array([0.5, 0.2, 0.05])
        data = jnp.array([0.6, 0.1, 0.0])  # two were not detected
        likelihood.log_prob_each(prediction, data)  # [0.565, -1.176, -0.513]
        ```
    """

    likelihood: AbstractLikelihood
    lower: Float[Array, "..."]
    upper: Float[Array, "..."]

    def __init__(self, likelihood: Any, lower: Any = None, upper: Any = None):
        self.likelihood = _checked(likelihood)
        with jax.ensure_compile_time_eval():
            self.lower = _limit("lower", lower, -jnp.inf)
            self.upper = _limit("upper", upper, jnp.inf)
            are_apart = jnp.all(self.lower < self.upper)
        if not isinstance(are_apart, Tracer) and not are_apart:
            raise ValueError(
                f"`lower` must be below `upper`, but got {lower} and {upper}."
            )

    @property
    def observe(self):
        """What is observed of a prediction, as in `AbstractLikelihood`."""
        return self.likelihood.observe

    @property
    def support(self):
        """Which observations there can be: beyond the limits any, infinity included."""
        inner = self.likelihood.support

        def of_observation(observation):
            return inner.of_observation(self._within(jnp.asarray(observation)))

        words = f"{inner.words}, or beyond a limit,"
        return Support(words, of_observation, inner.of_prediction)

    @property
    def noise(self):
        return self.likelihood.noise

    def log_density(self, prediction, observation, noise):
        lower, upper = like(prediction, lower=self.lower, upper=self.upper)
        observation = self._within(observation)
        args = (prediction, observation, noise)
        density = self.likelihood.log_density(*args)
        if _may_be_met(self.lower):
            tail = self.likelihood.log_cdf(*args)
            density = jnp.where(observation <= lower, tail, density)
        if _may_be_met(self.upper):
            tail = self.likelihood.log_survival(*args)
            density = jnp.where(observation >= upper, tail, density)
        return jnp.where(lower < upper, density, -jnp.inf)

    def draw(self, key, prediction, noise):
        return self._within(self.likelihood.draw(key, prediction, noise))

    def _within(self, observation: Array) -> Array:
        limits = like(observation, lower=self.lower, upper=self.upper)
        return jnp.clip(observation, *limits)


class IntervalCensored(AbstractLikelihood):
    """Observations that are known to within an interval: rounded, binned or bracketed.

    An observation counts with the probability of the interval of this `width` around
    it. Of data in other intervals pass the middles and the widths. Draws are rounded to
    whole multiples of `width`.

    Attributes:
        likelihood: Of what was not rounded: normal, Student's t or log-normal, or one
            of your own with `log_cdf` and `log_survival`.
        width: Of the interval, above 0, in the unit of the observation: a number, or an
            array that broadcasts to it.

    Raises:
        TypeError: If `likelihood` is of another type.
        ValueError: If `width` is not positive and finite.
        NotImplementedError: At an observation, if `likelihood` has no distribution
            function.

    Example:
        ```python
        normal = bjm.likelihoods.NormalLikelihood(0.3)
        likelihood = bjm.likelihoods.IntervalCensored(normal, width=1.0)
        prediction = jnp.array([2.4, 2.4])
        likelihood.log_prob_each(prediction, jnp.array([2.0, 3.0]))  # [-0.463, -0.996]
        ```
    """

    likelihood: AbstractLikelihood
    width: Float[Array, "..."]

    def __init__(self, likelihood: Any, width: Any):
        self.likelihood = _checked(likelihood)
        self.width = as_noise("width", width)

    @property
    def observe(self):
        """What is observed of a prediction, as in `AbstractLikelihood`."""
        return self.likelihood.observe

    @property
    def support(self):
        """Which observations there can be: by the upper ends of their intervals."""
        inner = self.likelihood.support

        def is_met(middle):
            half = jnp.asarray(self.width, middle.dtype) / 2
            upper = inner.of_observation(middle + half)
            return inner.of_observation(middle) | upper

        words = f"{inner.words}, or the middle of an interval that ends so,"
        return replace(inner, words=words, of_observation=is_met)

    @property
    def noise(self):
        return {**self.likelihood.noise, "width": self.width}

    def log_density(self, prediction, observation, noise):
        half = noise["width"] / 2
        low, high = observation - half, observation + half

        def at(value):
            inside = self.likelihood.support.of_observation(value)
            value = jnp.where(inside, value, 1)
            density = self.likelihood.log_density(prediction, value, noise)
            return jnp.where(inside, density, -jnp.inf)

        above_low = self.log_survival(prediction, low, noise)
        above_high = self.log_survival(prediction, high, noise)
        below_low = self.log_cdf(prediction, low, noise)
        below_high = self.log_cdf(prediction, high, noise)
        # A difference is of two small numbers in the tail that the interval is in.
        is_upper = above_low < jnp.log(jnp.array(0.5, half.dtype))
        large = jnp.where(is_upper, above_low, below_high)
        small = jnp.where(is_upper, above_high, below_low)
        # That of two that are nearly equal is noise: the density is integrated.
        is_few = ~(large - small >= FEW)
        difference = large - jnp.where(is_few, large - 1, small)
        of_many = large + jnp.log(-jnp.expm1(-difference))
        moves = jnp.where(is_few, half, 0) * _column(NODES, half)
        densities = jax.vmap(lambda move: at(observation + move))(moves)
        of_few = logsumexp(densities + jnp.log(_column(WEIGHTS, half)), axis=0)
        return jnp.where(is_few, of_few + jnp.log(half), of_many)

    def log_cdf(self, prediction, observation, noise):
        return self.likelihood.log_cdf(prediction, observation, noise)

    def log_survival(self, prediction, observation, noise):
        return self.likelihood.log_survival(prediction, observation, noise)

    def draw(self, key, prediction, noise):
        width = noise["width"]
        return width * jnp.round(self.likelihood.draw(key, prediction, noise) / width)


def _checked(likelihood: Any) -> AbstractLikelihood:
    if not isinstance(likelihood, AbstractLikelihood):
        raise TypeError(
            "`likelihood` must be one such as `NormalLikelihood(0.1)`, but got "
            f"{likelihood!r}."
        )
    return likelihood


def _limit(name: str, value: Any, nowhere: float) -> Array:
    limit = as_float_array(nowhere if value is None else value, name)
    return jnp.where(jnp.isnan(limit), nowhere, limit)


def _may_be_met(limit: Array) -> bool:
    return isinstance(limit, Tracer) or bool(np.isfinite(np.asarray(limit)).any())


def _column(values: np.ndarray, beside: Array) -> Array:
    """One number for each slice of what follows, as many axes as `beside` has."""
    return jnp.asarray(values, beside.dtype).reshape(-1, *(1,) * beside.ndim)
