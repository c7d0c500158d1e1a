"""Alpha-pinene: rates of a reaction, from percentages that were not all measured.

Heated alpha-pinene turns into dipentene and alloocimene, and that into pyronene and,
back and forth, its dimer (Fuguitt & Hawkins 1947). Five rates are to be found from per
cent of each at eight times. Box, Hunter, MacGregor & Erjavec (1973, Technometrics
15:33-51) saw that pyronene was calculated, and that all were made to add up.

    pinene' = -(k1 + k2) pinene             dipentene' = k1 pinene
    alloocimene' = k2 pinene - (k3 + k4) alloocimene + k5 dimer
    pyronene' = k3 alloocimene              dimer' = k4 alloocimene - k5 dimer

    python examples/alpha_pinene.py
"""

import textwrap
from pathlib import Path

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

import BayesianJaxModels as bjm
from BayesianJaxModels import plot

HERE = Path(__file__).parent
SPECIES = {"alpha-pinene": "#0072B2", "dipentene": "#009E73", "alloocimene": "#E69F00"}
SPECIES |= {"pyronene": "#CC79A7", "dimer": "#56B4E9"}
NAMES = ("k1", "k2", "k3", "k4", "k5", "noise")  # in 1e-5 per minute, and per cent
# Published with the COPS 3.1 test problems; the others are SciPy's, with the exact ys.
LEAST_SQUARES = 19.8721
BEST = (5.9258, 2.9634, 2.0473, 27.4468, 3.9979, 0.7049)
GAUSS_NEWTON = (0.0507, 0.0491, 0.3095, 2.3207, 0.8384, np.nan)
# What tells nothing new: the five add up to 100 %, and pyronene is 3 % of the pinene
# that has gone. The other three columns of this orthonormal basis were measured.
BASIS = np.linalg.qr([[1, 0.03], [1, 0], [1, 0], [1, 1], [1, 0]], mode="complete")[0]
CASES = {  # which columns of the basis count as data, at every time
    "five": ("taken for five measurements", "#D55E00", np.full((8, 5), True)),
    "three": ("taken for three", "#0072B2", np.tile(np.arange(5) > 1, (8, 1))),
}
SOLVE = bjm.Solve(
    np.linspace(0.0, 36420.0, 41),  # minutes
    t0=0.0,
    y0=np.array([100.0, 0.0, 0.0, 0.0, 0.0]),  # all is alpha-pinene
    solver=diffrax.Kvaerno5(),  # implicit
    rtol=1e-7,
    atol=1e-7,
    adjoint=diffrax.ForwardMode(),  # fast for few unknowns
)
CLOSING = """Taken for five measurements the data give the rates and sds of least
squares, and both are too sure. Without what was calculated the 90 % band of pyronene at
the end is {:.0f} times as wide, and k3 is {:.1f} +- {:.1f}, not {:.1f} +- {:.1f}: it
was not measured, and its prior has a say. Sds of the other rates are {:.1f} to {:.1f}
times as large; k4 and k5 go together (correlation {:.2f}). Dots that cross the narrow
band warn that they are no such data. Tell a model what was measured, no more."""
SMALL = {"num_samples": 800, "num_draws": 100}


class Kinetics(bjm.Module):
    """A linear system; the unknowns are positive, so it holds their logarithms."""

    theta: bjm.AbstractParameter  # in the order of `NAMES`

    def unknowns(self):
        """Rates in 1e-5 per minute, and the sd of the noise in per cent."""
        return jnp.exp(self.theta.mean)

    def __call__(self, t, percent, args):
        """The vector field, per cent per minute."""
        k1, k2, k3, k4, k5 = 1e-5 * self.unknowns()[:5]
        pinene, _, alloocimene, _, dimer = percent
        to_dimer = k4 * alloocimene - k5 * dimer
        flows = [-(k1 + k2) * pinene, k1 * pinene]
        flows += [k2 * pinene - k3 * alloocimene - to_dimer, k3 * alloocimene, to_dimer]
        return jnp.stack(flows)


class LogDensity(eqx.Module):
    """Of prior and data, which are arrays in it: another case compiles nothing."""

    prior: bjm.Prior
    solve: bjm.Solve
    percent: np.ndarray
    counts: np.ndarray  # which columns of the basis count

    def __call__(self, drawn):
        """From a drawn model to a number, minus infinity where the solve fails."""
        ys = self.solve(drawn).ys
        noise, data = (
            bjm.likelihoods.NormalLikelihood(drawn.unknowns()[5]),
            self.percent @ BASIS,
        )
        of_data = noise.log_prob(ys @ BASIS, data, self.counts)
        return of_data + bjm.log_prior(drawn, self.prior)


def main(*, seed=0, num_samples=2_000, num_draws=500, output=HERE / "alpha_pinene.png"):
    """Least squares, two posteriors and a picture; returns what each of them found."""
    jax.config.update("jax_enable_x64", True)
    file = HERE / "data" / "alpha_pinene.csv"  # its first lines say where it is from
    minutes, *percent = np.loadtxt(file, delimiter=",", skiprows=6).T
    model, percent = Kinetics(bjm.make_parameter(np.ones(6))), np.transpose(percent)
    solve = SOLVE.at(minutes)
    centre = np.log([10, 10, 10, 10, 10, 1.0])  # known within a factor of 7, or not
    weak, flat = (bjm.Prior(default=bjm.priors.Normal(centre, sd)) for sd in (1.0, 1e4))
    key = {"key": jax.random.key(seed)}
    search = {"num_starts": 6, "prior": weak, "tolerance": 1e-8, **key}
    size = {"num_samples": num_samples, "df": 3, **key}  # for the long tail of k3
    # Without a prior squares are least at the mode, and the noise is their root mean.
    density = LogDensity(flat, solve, percent, CASES["five"][2])
    best = bjm.map_estimate(density, model, **search).model.unknowns()
    least = percent.size * best[5] ** 2
    results = {"best": best, "sum_of_squares": least}
    print(f"least sum of squares {least:.4f}, published {LEAST_SQUARES}")
    figure = Figure(figsize=(11, 4.3), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(4, 3, 3))
    for case, (title, colour, counts) in CASES.items():
        density = LogDensity(weak, solve, percent, counts)
        mode = bjm.map_estimate(density, model, **search)
        posterior = bjm.importance(density, bjm.laplace(density, mode.model), **size)
        print(f"{title}: {mode.num_agree} of 6 starts agree; {posterior.diagnostics}")
        draws = {"num_samples": num_draws, **key}
        values = np.asarray(bjm.map_posterior(Kinetics.unknowns, posterior, **draws))
        correlation = np.tril(np.corrcoef(np.log(values[:, :5].T)), -1)
        for i, j in np.argwhere(np.abs(correlation) > 0.5):
            print(f"    {NAMES[j]} and {NAMES[i]} correlate: {correlation[i, j]:.2f}")
        curves = bjm.map_posterior(SOLVE, posterior, **draws)
        band = bjm.summarise(curves)
        width = np.ptp(band.quantiles[:, -1, 3])  # of pyronene, at the end
        results[case] = values.mean(axis=0), values.std(axis=0), correlation, width
        plot.trajectories(band, state=3, ax=middle, colour=colour)
        right.plot(*values[:200, 3:5].T, ".", c=colour, ms=4, label=title)
    for i, (name, colour) in enumerate(SPECIES.items()):
        plot.trajectories(band, state=i, ax=left, colour=colour)
        left.plot(minutes, percent[:, i], "o", c=colour, mec="k", label=name)
    left.legend(handles=left.lines[1::2], fontsize="small")
    left.set(title="Five species, 90 % bands", xlabel="minutes", ylabel="per cent")
    middle.plot(minutes, percent[:, 3], "ko", mfc="w")
    middle.legend(middle.lines, ["if five measured", "if three", "calculated"], loc=2)
    middle.set(title="Pyronene, 90 % and 50 %", xlabel="minutes", ylabel="per cent")
    right.plot(BEST[3], BEST[4], "k+", ms=14, mew=2, label="least squares")
    right.set(title="k5 beside k4, 1e-5 per minute", xlabel="k4", ylabel="k5")
    right.legend(fontsize="small", loc="upper left")
    figure.savefig(output, dpi=90)
    five, three = results["five"], results["three"]
    print("         best  exact     sd   five     sd  three     sd")
    columns = np.stack([best, BEST, GAUSS_NEWTON, *five[:2], *three[:2]])
    for name, row in zip(NAMES, columns.T, strict=True):
        print(f"{name:6}", *(f"{number:6.3f}" for number in row))
    ratio = np.delete(three[1] / five[1], [2, 5])
    k3 = three[0][2], three[1][2], five[0][2], five[1][2]
    figures = three[3] / five[3], *k3, ratio.min(), ratio.max(), three[2][4, 3]
    print(textwrap.fill(CLOSING.format(*figures), 88))
    return results


if __name__ == "__main__":
    main()
