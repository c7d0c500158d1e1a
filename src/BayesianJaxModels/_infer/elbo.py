"""The evidence lower bound, term by term."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float, Int, PRNGKeyArray, PyTree

from .._check import as_float_array, check_counts, check_key, check_shape, check_values
from .._compute import fold_in
from .._gradient import guard_gradient
from .._model import flatten_means, has_values
from .._posterior import as_posterior
from .._prior import Prior, log_prior
from .arguments import as_scalar, check_order
from .structured import antithetic_noise, sobol_noise

LogDensity = Callable[[Any], Float[Array, ""]]


class ELBO(eqx.Module):
    """An evidence lower bound and what it is made of, in nats, estimated from draws.

    Every field is one number, under `jax.vmap` one of each.

    Attributes:
        value: What to maximise: `log_likelihood - temperature * kl`, or, if importance
            weighted, the tighter bound. It bounds the log evidence from below if
            `temperature` is 1 and no draw failed; minus infinity if all failed.
        log_likelihood: The mean log likelihood of a draw, scaled to the whole data set.
        log_prior: The mean log prior density of a draw.
        entropy: The entropy of the posterior.
        kl: `-(log_prior + entropy)`, the divergence from the prior.
        num_failed: How many draws had a log likelihood or log prior that was NaN or
            infinite. Means are over the others.
        temperature: The factor of `kl` in `value`.

    Example:
        ```python
        rate = bjm.make_parameter(0.5, init_raw_stdv=0.5)
        prior, key = bjm.Prior(default=bjm.priors.Normal(0.0, 1.0)), jax.random.key(0)

        def log_likelihood(drawn):
            return -8 * (drawn.mean - 0.6) ** 2

        elbo = eqx.filter_jit(bjm.elbo)
        bound = elbo(rate, log_likelihood, prior=prior, key=key, num_samples=16)
        bound.kl, bound.num_failed  # (0.789, 0)
        ```
    """

    value: Float[Array, ""]
    log_likelihood: Float[Array, ""]
    log_prior: Float[Array, ""]
    entropy: Float[Array, ""]
    kl: Float[Array, ""]
    num_failed: Int[Array, ""]
    temperature: Float[Array, ""]

    def __repr__(self) -> str:
        numbers = {field.name: getattr(self, field.name) for field in fields(self)}
        if not has_values(self) or any(map(jnp.ndim, numbers.values())):
            return eqx.tree_pformat(self)
        told = [
            f"{name}={value:.6g}"
            for name, value in numbers.items()
            if not (name == "temperature" and value == 1)
        ]
        return f"ELBO({', '.join(told)})"


def elbo(
    posterior: PyTree,
    log_likelihood: LogDensity,
    *,
    prior: Prior | LogDensity | None,
    key: PRNGKeyArray,
    num_samples: int,
    kl: str = "sampled",
    draws: str = "independent",
    stick_the_landing: bool = False,
    importance_weighted: bool = False,
    num_data: int | None = None,
    batch_size: int | None = None,
    temperature: Float[ArrayLike, "..."] | float = 1.0,
    forward_mode: bool = False,
) -> ELBO:
    """Estimate the evidence lower bound of a posterior.

    A pure function for your training step, or for the loss of `train.fit`: it runs
    under `jax.jit`, `jax.vmap` and `jax.value_and_grad`, and is differentiable with
    respect to `posterior`, by reparameterised draws (Kingma & Welling 2014,
    arXiv:1312.6114). A draw that fails leaves the gradients of the others as they are.

    Args:
        posterior: A model with parameters (mean-field), a `JointPosterior`, or a
            posterior of your own with `draw_and_log_prob`.
        log_likelihood: From a drawn model, drawn once for its whole trajectory, to the
            log likelihood of the data, a scalar in nats. Call layers in it with
            `sample=False`.
        prior: A `Prior`, a log prior density of a drawn model, or `None` if
            `log_likelihood` has the prior in it.
        key: A JAX random key; a new one for each step. Independent draw `i` has the key
            `jax.random.fold_in(key, i)`, as in `map_posterior`.
        num_samples: How many draws.
        kl: `"sampled"` takes log prior and entropy at the draws: any prior will do, and
            near an exact posterior the noise of all terms cancels. `"analytic"` takes
            them in closed form, as `kl_to_prior` does.
        draws: `"independent"`; `"antithetic"`, pairs reflected about the means, which
            are free of noise in odd functions; or `"sobol"`, shifted Sobol points with
            exact mean and covariance, free of noise in quadratic functions. The last
            needs more draws than entries, and has a bias that more draws take away.
        stick_the_landing: Whether to leave out the part of the gradient that is zero on
            average, so that its noise vanishes where the posterior is exact (Roeder, Wu
            & Duvenaud 2017, arXiv:1703.09194). It stays in for draws of a full
            covariance that is nearly singular, where it takes noise away. Needs
            `kl="sampled"`.
        importance_weighted: Whether `value` is the bound over all draws together
            (Burda, Grosse & Salakhutdinov 2016, arXiv:1509.00519), where a failed draw
            has weight zero. Needs `kl="sampled"`.
        num_data: How many data there are in all, if `log_likelihood` is that of a
            minibatch; it is then scaled by `num_data / batch_size`.
        batch_size: How many data the minibatch has.
        temperature: A factor for the divergence from the prior, at least 0. With
            another than 1 `value` is no bound of the evidence.
        forward_mode: Whether gradients are taken by `jax.jvp` or `jax.jacfwd`. The
            gradient of a failed draw is then kept out only where it is finite.

    Returns:
        An `ELBO`.

    Raises:
        TypeError: If `key` is no random key, `log_likelihood` no function, the two
            first arguments are swapped, or `posterior` is a `MAPEstimate`.
        ValueError: If options or shapes do not fit.
        NotImplementedError: If the posterior has no draw that can be trained through,
            or there is no closed form, or no structured draw, for a type of parameter.

    Example:
        ```python
        x = jnp.linspace(0.0, 1.0, 20)
        prior = bjm.Prior(default=bjm.priors.Normal(0.0, 1.0))

        def log_likelihood(drawn):
            return bjm.likelihoods.NormalLikelihood(0.1).log_prob(drawn.mean * x, 2 * x)

        def loss(slope, key):
            bound = bjm.elbo(slope, log_likelihood, prior=prior, key=key, num_samples=8)
            return -bound.value, bound

        slope = bjm.make_parameter(1.5, init_raw_stdv=0.3)
        step = jax.jit(jax.grad(loss, has_aux=True))
        gradient, bound = step(slope, jax.random.key(0))
        ```
    """
    check_order(posterior, log_likelihood)
    posterior = as_posterior(posterior)
    check_key(key)
    _check_options(kl, draws, num_samples, stick_the_landing or importance_weighted)
    if kl == "analytic" and not (prior is None or isinstance(prior, Prior)):
        raise ValueError(
            "`kl='analytic'` needs a `Prior`; a function has no closed form. Pass "
            "`kl='sampled'`."
        )
    if stick_the_landing and importance_weighted:
        raise ValueError(
            "`stick_the_landing` would bias the gradient of the bound that is "
            "`importance_weighted`. Choose one of them."
        )
    scale = _likelihood_scale(num_data, batch_size)
    with jax.ensure_compile_time_eval():
        tempered = as_float_array(temperature, "temperature")
        check_shape("temperature", tempered, ())
        is_bad = ~(tempered >= 0)
    tempered = check_values(tempered, is_bad, "`temperature` must be at least 0.")

    def terms_of(randomness):
        make = posterior.draw_and_log_prob
        if draws != "independent":
            make = posterior.displaced_and_log_prob
        drawn, log_density = make(randomness, stick_the_landing)
        if not forward_mode:
            drawn = guard_gradient(drawn, mapped_with=drawn)
        return (
            scale * as_scalar("log_likelihood", log_likelihood(drawn)),
            as_scalar("prior", _log_prior(drawn, prior)),
            log_density,
        )

    if draws == "independent":
        randomness = fold_in(key, jnp.arange(num_samples))
    else:
        arrange = antithetic_noise if draws == "antithetic" else sobol_noise
        dtype = flatten_means(posterior.model).dtype
        randomness = arrange(key, num_samples, posterior.noise_size, dtype)
    terms = jax.vmap(terms_of)(randomness)

    # One dtype for all terms, whichever those of model and data are.
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.result_type(*terms)
    log_liks, log_priors, log_densities = (term.astype(dtype) for term in terms)
    tempered = tempered.astype(dtype)
    is_good = jnp.isfinite(log_liks) & jnp.isfinite(log_priors)
    num_good = jnp.sum(is_good)

    def mean(values):
        total = jnp.sum(jnp.where(is_good, values, 0))
        return total / jnp.maximum(num_good, 1).astype(dtype)

    mean_log_lik = jnp.where(num_good > 0, mean(log_liks), -jnp.inf)
    if kl == "sampled":
        mean_log_prior, own_entropy = mean(log_priors), -mean(log_densities)
    else:
        own_entropy = posterior.entropy().astype(dtype)
        mean_log_prior = jnp.zeros((), dtype)
        if prior is not None:
            mean_log_prior = posterior.mean_log_prior(prior).astype(dtype)
    divergence = -(mean_log_prior + own_entropy)
    value = mean_log_lik - tempered * divergence
    if importance_weighted:
        log_weights = log_liks + tempered * (log_priors - log_densities)
        value = _log_mean_exp(log_weights, is_good)
    return ELBO(
        value=value,
        log_likelihood=mean_log_lik,
        log_prior=mean_log_prior,
        entropy=own_entropy,
        kl=divergence,
        num_failed=num_samples - num_good,
        temperature=tempered,
    )


def _log_prior(drawn: PyTree, prior: Prior | LogDensity | None) -> Float[Array, ""]:
    if isinstance(prior, Prior):
        return log_prior(drawn, prior)
    if prior is None:
        return jnp.zeros((), flatten_means(drawn).dtype)
    return prior(drawn)


def _log_mean_exp(values: Float[Array, " n"], is_good: Array) -> Float[Array, ""]:
    """With `exp` zero where a value is not good, and finite gradients."""
    any_good = jnp.any(is_good)
    values = jnp.where(is_good, values, jnp.where(any_good, -jnp.inf, 0))
    mean = jax.scipy.special.logsumexp(values) - jnp.log(float(values.size))
    return jnp.where(any_good, mean, -jnp.inf)


def _likelihood_scale(num_data: int | None, batch_size: int | None) -> float:
    if num_data is None and batch_size is None:
        return 1.0
    if num_data is None or batch_size is None or not 1 <= batch_size <= num_data:
        raise ValueError(
            "`num_data` and `batch_size` go together, at least 1 and the batch no "
            f"larger than the data, but got {num_data} and {batch_size}."
        )
    return num_data / batch_size


def _check_options(kl: str, draws: str, num_samples: int, needs_sampled: bool) -> None:
    if kl not in ("sampled", "analytic"):
        raise ValueError(f"`kl` must be 'sampled' or 'analytic', but got {kl!r}.")
    if draws not in ("independent", "antithetic", "sobol"):
        raise ValueError(
            "`draws` must be 'independent', 'antithetic' or 'sobol', but got "
            f"{draws!r}."
        )
    check_counts(num_samples=num_samples)
    if needs_sampled and kl != "sampled":
        raise ValueError(
            "`stick_the_landing` and `importance_weighted` need the density of each "
            "draw: pass `kl='sampled'`."
        )
