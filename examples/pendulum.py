"""A damped pendulum from its angle alone: a band is only as good as its equation.

The data are simulated, so that the truth is known: a pendulum of 1 m is let go at rest
at 1.6 rad. A poor camera reads its angle `q` four times a second with a noise of 0.2
rad, sees nothing from 4 s to 6.5 s, and stops at 10 s. Nobody measures the angular
velocity `v`. Two models with the same unknowns are fitted to the same angles:

    v' = -(g / l) sin q - damping v        what the pendulum does
    v' = -(g / l) q     - damping v        the textbook's, for small swings

    python examples/pendulum.py
"""

import textwrap
from operator import itemgetter
from pathlib import Path

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import BayesianJaxModels as bjm
from BayesianJaxModels import plot

HERE = Path(__file__).parent
NAMES = ("g / l, 1/s^2", "damping, 1/s", "q at 0, rad", "v at 0, rad/s", "noise, rad")
IS_LOG = np.array([True, True, False, False, True])
TRUTH = np.array([np.log(9.81), np.log(0.15), 1.6, 0.0, np.log(0.2)])
CENTRE, WIDTH = [np.log(10), np.log(0.1), 0, 0, np.log(0.1)], [1.0, 1, 2, 2, 1]
PRIOR = bjm.Prior(default=bjm.priors.Normal(np.array(CENTRE), np.array(WIDTH)))
END, BLIND = 10.0, (4.0, 6.5)  # when the camera stops, and when it sees nothing
MODELS = {
    "right": ("The right equation: sin q", "#0072B2"),
    "wrong": ("A wrong equation: q for sin q", "#D55E00"),
}
CLOSING = """Both curves run through the dots, and both find about the noise there is.
Yet 90 % bands of the right equation hold {:.0%} of the true angle to come and {:.0%} of
the velocity, those of the wrong one {:.0%} and {:.0%}. A band says what the data leave
open if the equation is right; that it may be wrong is in no band. Two things give it
away: {:.1f} +- {:.1f} rad/s at the start, where the pendulum was at rest, and a log
evidence {gap:.1f} nats lower. So fit a second equation as well."""
SMALL = {"num_samples": 400, "num_draws": 100}


class Pendulum(bjm.Module):
    """The acceleration, with all that is unknown in the order of `NAMES`."""

    theta: bjm.AbstractParameter  # the positive ones as logarithms
    small_swings: jax.Array  # whether the wrong equation holds

    def __call__(self, t, state, args):
        """The acceleration at an angle and a velocity."""
        angle, velocity = state
        stiffness, damping = self.unknowns()[:2]
        pull = jnp.where(self.small_swings, angle, jnp.sin(angle))
        return -stiffness * pull - damping * velocity

    def start(self):
        """The state at time 0, angle and velocity."""
        return self.theta.mean[2], self.theta.mean[3]

    def unknowns(self):
        """The unknowns in their units."""
        return jnp.where(IS_LOG, jnp.exp(self.theta.mean), self.theta.mean)


class LogDensity(eqx.Module):
    """Prior and data as a function of a drawn model. NaN is an angle not seen."""

    times: jax.Array
    angles: jax.Array

    def __call__(self, drawn):
        """The log joint density of the angles and the unknowns."""
        states = bjm.integrate(
            bjm.SecondOrderVectorField(drawn),
            drawn.start(),
            self.times,
            rtol=1e-5,
            atol=1e-5,
            adjoint=diffrax.ForwardMode(),  # five unknowns: the faster way round
        ).ys
        # Of the state, angle and velocity, the first is observed.
        noise = bjm.likelihoods.NormalLikelihood(
            drawn.unknowns()[4], observe=itemgetter(0)
        )
        log_likelihood = noise.log_prob(states, self.angles, ~jnp.isnan(self.angles))
        return log_likelihood + bjm.log_prior(drawn, PRIOR)


def main(*, seed=0, num_samples=4_000, num_draws=2_000, output=HERE / "pendulum.png"):
    """Simulate, fit both models, print and draw; returns what each of them found."""
    keys = list(jax.random.split(jax.random.key(seed), 6))
    times = np.arange(401) / 20  # twice as long as the camera runs
    theta = bjm.make_parameter(TRUTH)
    real = Pendulum(theta, jnp.array(False))
    field = bjm.SecondOrderVectorField(real)
    truth = np.stack(bjm.integrate(field, real.start(), times).ys)
    angles = truth[0] + 0.2 * np.random.default_rng(seed).normal(size=times.size)
    angles[(times > BLIND[0]) & (times < BLIND[1])] = np.nan
    seen_at, angles = times[:200:5], angles[:200:5]
    density = LogDensity(jnp.asarray(seen_at), jnp.asarray(angles))

    figure, results = Figure(figsize=(11, 6), layout="constrained"), {}
    panels = figure.subplots(2, 2, sharex=True, sharey="row")
    for column, (name, (title, colour)) in zip(panels.T, MODELS.items(), strict=True):
        model = Pendulum(theta, jnp.array(name == "wrong"))
        mode = bjm.map_estimate(density, model, key=keys.pop(), prior=PRIOR)
        start, settings = bjm.laplace(density, mode.model), {"num_samples": num_samples}
        posterior = bjm.importance(density, start, key=keys.pop(), **settings)
        print(f"\n{title}; {mode.num_agree} of 16 starts agree.")
        print(posterior.diagnostics)
        draws = {"key": keys.pop(), "num_samples": num_draws}  # the same draws twice
        found = np.asarray(bjm.map_posterior(Pendulum.unknowns, posterior, **draws))
        mean, sd = found.mean(axis=0), found.std(axis=0)
        for row in zip(NAMES, real.unknowns(), mean, sd, strict=True):
            print("{:14} true {:6.2f}, found {:6.2f} +- {:.2f}".format(*row))
        draws["vector_field"] = bjm.SecondOrderVectorField  # makes one of a draw
        future = bjm.posterior_trajectories(posterior, Pendulum.start, times, **draws)
        held = [
            bjm.calibration.coverage(
                ys[:, times > END], true[times > END], [0.9]
            ).pointwise[0]
            for ys, true in zip(future.ys, truth, strict=True)
        ]
        evidence = posterior.diagnostics.log_evidence
        results[name] = {"mean": mean, "sd": sd, "log_evidence": evidence, "held": held}
        data = (seen_at, (angles, np.full_like(angles, np.nan)))
        style = {"labels": ["angle (rad)", "angular velocity (rad/s)"], "draws": 0}
        style |= {"forecast_from": END, "colour": colour}
        plot.trajectories(future, data=data, ax=column, **style)
        for axes, true in zip(column, truth, strict=True):
            axes.plot(times, true, "k--", lw=1, label="truth")
            axes.axvspan(*BLIND, color="#FFF3C4", lw=0, zorder=0, label="camera blind")
            axes.label_outer()
        column[0].set_title(title, color=colour)
        column[0].get_legend().remove()
        column[1].set(xlabel="time (s)", title="never measured", xticks=range(0, 21, 5))
    right, wrong = results["right"], results["wrong"]
    figures = [*right["held"], *wrong["held"], wrong["mean"][3], wrong["sd"][3]]
    gap = right["log_evidence"] - wrong["log_evidence"]
    print("\n" + textwrap.fill(CLOSING.format(*figures, gap=gap), 88))
    legend = panels[0, 0].get_legend_handles_labels()
    figure.legend(*legend, loc="outside lower center", ncols=7, frameon=False)
    figure.savefig(output, dpi=100)
    Image.open(output).convert("RGB").quantize(64).save(output, optimize=True)
    return results


if __name__ == "__main__":
    main()
