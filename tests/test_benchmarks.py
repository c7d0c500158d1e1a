import functools
import importlib
import json
import warnings
from pathlib import Path

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats
from scipy.integrate import solve_ivp

import BayesianJaxModels as bjm

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def test_the_baseline_solves_what_the_model_says(load):
    cases = load("sampling_cases")
    for case in cases.CASES:
        field = cases.make_field(case)
        y = jnp.linspace(0.1, 0.9, case.sizes[0])
        by_hand = cases.reactions if case.kind == "stiff" else cases.network
        ours = field(0.0, y, None)
        theirs = by_hand(0.0, y, cases.means_of(field))
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_names_of_cases_differ(load):
    cases = load("sampling_cases")
    for many in (cases.CASES, [case.smaller() for case in cases.CASES]):
        assert len({case.name for case in many}) == len(many)
    assert cases.CASES[2].name == "(8, 64, 2), 10,000 draws, adaptive to t = 10"


def test_errors_are_those_of_the_draws(load):
    cases, methods = load("sampling_cases"), load("sampling_methods")
    case = cases.Case((2, 32, 1), 8, 20)
    with jax.default_matmul_precision("highest"):
        found = list(methods.sampling_methods(case).values())
        # All draws in one, so that the exact solve compiles once.
        weights = [
            np.concatenate(x) for x in zip(*(m.weights(0) for m in found), strict=True)
        ]
        [exact] = cases.exact_values(case, weights)
        for method, own in zip(found, np.split(exact, len(found)), strict=True):
            values, steps = method.run(0)
            assert cases.largest_error(values, [own]) < 1e-5
            np.testing.assert_array_equal(steps, 20)


def test_where_the_gpu_wins(load):
    rows = [
        {"sizes": sizes, "num_draws": count, "cpu_s": cpu_s, "gpu_s": 1.0}
        for sizes, times in (((2, 32, 1), (2, 0.5, 2, 3)), ((16, 128, 2), (0.1, 0.2)))
        for count, cpu_s in zip((10, 100, 1_000, 10_000), times, strict=False)
    ]
    assert load("sampling_cost").wins_from(rows) == [
        {"sizes": (2, 32, 1), "num_draws": 1_000},
        {"sizes": (16, 128, 2), "num_draws": None},
    ]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="not on Linux")
def test_a_peak_is_that_of_one_run(load):
    def run(seed):
        assert np.ones(50 * 2**17).sum() == 50 * 2**17

    peak = load("sampling_measure").peak_of_process
    for _ in range(2):  # what the first held counts again
        assert 45 < peak(run) < 60
    assert peak(lambda seed: None) < 5


def test_a_missing_gpu_is_named_and_not_guessed(load, monkeypatch, tmp_path, capsys):
    cost = load("sampling_cost")

    def run_task(device, task, **settings):
        if task == "describe":
            return {"platform": "cpu", "name": "a CPU"}
        names = ("median_s", "min_s", "draws_per_s", "times_faster", "compile_s")
        names += ("peak_mib",)
        row = dict.fromkeys((*names, "steps_mean", "steps_max", "error"), 1)
        case = cost.CASES[settings["index"]].smaller()
        faster = {cost.BASELINE: 1.0, cost.BATCHED: 2.0, cost.DRIVER: 4.0}
        return [
            row | {"case": case.name, "method": method, "times_faster": times}
            for method, times in faster.items()
        ]

    monkeypatch.setattr(cost, "run_task", run_task)
    cost.main(device="all", small=True, json_file=str(tmp_path / "cost.json"))
    report = json.loads((tmp_path / "cost_cpu.json").read_text())
    assert report["not_measured"] == ["gpu"]
    assert report["crossover"] == "not measured"
    np.testing.assert_allclose(report["geometric_mean_times_faster"], 4)
    np.testing.assert_allclose(report["geometric_mean_over_batches"], 2)
    assert not (tmp_path / "cost_gpu.json").exists()
    assert "gpu: not measured (no such device)" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="no gpu"):
        cost.main(device="gpu")


@pytest.mark.parametrize("name", ["lynx_hare", "influenza"])
def test_log_densities_are_those_of_the_models(load, name, x64):
    """By hand, with SciPy's solver and densities, up to a constant of the prior."""
    case = load("posterior_cases").CASES[name]()
    density = jax.jit(
        lambda vector: case.log_density(bjm.unflatten_means(case.model, vector))
    )
    centre = np.asarray(bjm.flatten_means(case.model))
    points = centre + 0.1 * np.random.default_rng(0).normal(size=(4, centre.size))
    found = np.array([density(point) for point in points])
    expected = np.array([BY_HAND[name](point) for point in points])
    np.testing.assert_allclose(found - found[0], expected - expected[0], atol=1e-3)


def lynx_hare_by_hand(vector):
    reference = json.loads((BENCHMARKS / "references" / "lynx_hare.json").read_text())
    theta = np.exp(vector)
    alpha, beta, gamma, delta = theta[:4]
    solution = solve_ivp(
        lambda t, z: [(alpha - beta * z[1]) * z[0], (delta * z[0] - gamma) * z[1]],
        (0, 20),
        theta[4:6],
        t_eval=reference["years"],
        rtol=1e-10,
        atol=1e-10,
    )
    counts = np.array(reference["counts"])
    total = stats.lognorm.logpdf(counts, theta[6:], scale=solution.y.T).sum()
    total += stats.norm.logpdf(theta[:4], [1, 0.05] * 2, [0.5, 0.05] * 2).sum()
    total += stats.lognorm.logpdf(theta[4:6], 1.0, scale=10).sum()
    total += stats.lognorm.logpdf(theta[6:], 1.0, scale=np.exp(-1)).sum()
    return total + vector.sum()  # the Jacobian of the logarithms


def influenza_by_hand(vector):
    reference = json.loads((BENCHMARKS / "references" / "influenza.json").read_text())
    beta, gamma, inverse = np.exp(vector)
    n = reference["population"]
    solution = solve_ivp(
        lambda t, z: [-beta * z[0] * z[1] / n, z[1] * (beta * z[0] / n - gamma)],
        (0, 14),
        [n - 1, 1],
        t_eval=reference["days"],
        rtol=1e-10,
        atol=1e-10,
    )
    size = 1 / inverse
    chance = size / (size + solution.y[1])
    total = stats.nbinom.logpmf(reference["in_bed"], size, chance).sum()
    total += stats.norm.logpdf(beta, 2, 1) + stats.norm.logpdf(gamma, 0.4, 0.5)
    return total + stats.expon.logpdf(inverse, scale=0.2) + vector.sum()


BY_HAND = {"lynx_hare": lynx_hare_by_hand, "influenza": influenza_by_hand}


def test_an_engine_beside_the_reference(load, monkeypatch, tmp_path, x64):
    """Importance sampling on influenza, whole: figures, files and picture."""
    quality = load("posterior_quality")
    pace = quality.posterior_pace
    monkeypatch.setattr(pace, "seconds", functools.cache(pace.seconds))  # once
    out, picture = tmp_path / "influenza.json", tmp_path / "influenza.png"
    arguments = ["influenza", "--engines", "importance", "--seeds", "1"]
    quality.main([*arguments, "--json", str(out), "--picture", str(picture)])
    results = json.loads(out.read_text())
    assert set(results) == {"case", "device", "versions", "engines", "quantities"}
    [row] = results["engines"]
    assert row["max_abs_z"] < 0.08
    assert 0.92 < row["min_sd_ratio"] < row["max_sd_ratio"] < 1.1
    assert row["failed_draws"] == 0
    assert len(results["quantities"]) == 19
    first = results["quantities"][0]
    assert first["quantity"] == "beta"
    assert abs(first["mean"] - first["reference_mean"]) < 0.1 * first["reference_sd"]
    assert picture.stat().st_size > 10_000
    with pytest.raises(SystemExit):
        quality.main(["influenza", "--engines", "guessing"])
    with pytest.raises(SystemExit):
        quality.main(["score"])


def test_what_no_normal_distribution_fits_is_flagged(load, x64):
    """Skewness 2.41: importance sampling and NUTS pass Stan's rule, the others fail."""
    quality = load("posterior_quality")
    case = load("posterior_cases").CASES["skewed"]()
    _, _, skewness = stats.johnsonsu.stats(-2.0, 1.5, moments="mvs")
    assert skewness > 2.4
    y_of_reference = stats.johnsonsu.stats(-2.0, 1.5, moments="mv")
    np.testing.assert_allclose(
        case.reference[:, 1] ** [1, 2], y_of_reference, rtol=1e-12
    )
    for name in ("laplace", "full_covariance", "importance", "nuts"):
        key = jax.random.key(0)
        with warnings.catch_warnings(), jax.numpy_dtype_promotion("standard"):
            # Optax mixes dtypes; k-hat sees the tail, though the moments are right.
            warnings.filterwarnings("ignore", "Importance sampling has k-hat")
            posterior = load("posterior_engines").ENGINES[name](case, key)
        mean, stdv, failed = quality.describe(case, posterior, key)
        assert failed == 0
        z = np.max(np.abs(mean - case.reference[0]) / case.reference[1])
        ratios = stdv / case.reference[1]
        right = z < 0.25 and np.all(np.abs(ratios - 1.025) < 0.225)
        assert right == (name in ("importance", "nuts"))
        if not right:
            assert not quality.judge(case, posterior, key)["trustworthy"]


def test_bars_stretch_with_the_pace(load):
    quality = load("posterior_quality")
    rows = json.loads(quality.posterior_pace.RECORDED.read_text())["engines"]
    places = [(row["engine"], row["seed"]) for row in rows]
    row = rows[places.index(("importance", 0))]

    def missed(case="lynx_hare", **changes):
        return quality.missed_bars({"case": case, "engines": [row | changes]})

    assert missed() == []
    [line] = missed(run_s=3.0)
    assert "importance, seed 0: run is 3, the bar 2" in line
    assert missed(run_s=3.0, pace_s=2 * max(row["pace_s"] for row in rows)) == []
    [line] = missed("skewed", engine="laplace", max_abs_z=0.3, trustworthy=True)
    assert "not flagged" in line


def test_van_der_pol_data_are_those_published(load):
    neural = load("posterior_neural")
    published = [[-1.547412, 2.4362879], [-1.2687737, 2.4547296]]
    data = neural.noisy_series(neural.PUBLISHED)
    np.testing.assert_allclose(data[:2], published, atol=1e-6)
    # By hand, with another solver.
    exact = solve_ivp(
        lambda t, y: [y[1], -y[0] + 0.5 * y[1] * (1 - y[0] ** 2)],
        (0, neural.TIMES[-1]),
        [-1.5, 2.5],
        method="LSODA",
        rtol=1e-10,
        atol=1e-10,
    )
    np.testing.assert_allclose(neural.exact_series()[-1], exact.y[:, -1], atol=1e-6)


def test_forecasts_are_judged_by_the_near_draws(load, x64):
    """Draws around a shifted truth, one of them far away and one not finite."""
    neural = load("posterior_neural")
    truth = neural.exact_series()
    offsets = np.linspace(-1.0, 1.0, 101)[:, None, None] + 0.1
    ys = np.concatenate([truth + offsets, [truth + 20.0, truth * np.nan]])
    shift = np.where(np.arange(100) < 80, 0.0, 2.0)[:, None]
    results = diffrax.RESULTS.successful
    trajectories = bjm.Trajectory(
        jnp.asarray(neural.TIMES),
        jnp.asarray(ys),
        jax.tree.map(lambda leaf: jnp.full(len(ys), leaf), results),
        jnp.zeros(len(ys), int),
    )
    found = neural.judge(trajectories, truth + shift)
    assert found["failed_draws"] == 2
    # Off by .1 at 30 times of the forecast, by 1.9 at 20.
    assert found["mse"] == pytest.approx(0.6 * 0.1**2 + 0.4 * 1.9**2)
    assert found["coverage_in"] == 1
    assert found["coverage_out"] == pytest.approx(0.6)
    off = np.array([offsets.ravel(), offsets.ravel() - 2.0])
    densities = stats.norm.pdf(off, scale=0.05**0.5).mean(axis=1)
    assert found["mnll"] == pytest.approx(-np.log(densities) @ [0.6, 0.4])


def test_the_neural_density_is_residuals_and_the_rest(load, x64):
    """Beside SciPy, and in the two parts that Gauss-Newton takes."""
    neural, mixture = load("posterior_neural"), load("neural_mixture")
    data = neural.noisy_series(1)
    ts = jnp.asarray(neural.TIMES[:50])
    problem = mixture.Problem(ts, jnp.asarray(data), mixture.make_prior(), 1 / 7)
    model = mixture.make_model()
    drawn = bjm.sample_prior(model, problem.prior, jax.random.key(0))
    values, residuals = jax.jit(
        lambda problem, drawn: (
            (problem.log_density(drawn), problem.log_rest(drawn)),
            problem.residuals(drawn),
        )
    )(problem, drawn)
    parts = values[1] - jnp.sum(residuals**2) / 2 - 50 * np.log(2 * np.pi)
    assert values[0] == pytest.approx(float(parts))
    scales = {"layers[0].W": 0.3, "layers[0].b": 0.3, "layers[1].W": 3.0}
    scales |= {"layers[1].b": 1.0, "start": 3.0}
    by_hand = stats.norm.logpdf(drawn.noise.log_scale.mean, -1.5, 0.5)
    by_hand -= 100 * drawn.noise.log_scale.mean
    for name, parameter in bjm.get_parameters(drawn).items():
        if not name.startswith("noise"):
            scale = scales[name.removeprefix("field.mlp.")]
            by_hand += stats.norm.logpdf(parameter.mean, scale=scale).sum()
    assert values[1] == pytest.approx(float(by_hand))


def test_van_der_pol_small(load, monkeypatch, tmp_path, capsys):
    """The way from the data to figures, files and picture, with too little effort."""
    neural, quality = load("posterior_neural"), load("posterior_quality")
    monkeypatch.setattr(neural, "FULL", neural.SMALL)
    tsit5_steps = neural.one_step_each

    def euler_steps(*args):
        """They are traced and compiled much faster."""
        return {**tsit5_steps(*args), "solver": diffrax.Euler()}

    for module in (neural, load("neural_mixture")):
        monkeypatch.setattr(module, "one_step_each", euler_steps)
    monkeypatch.setattr(neural, "NOISE_SEEDS", {"fresh": (101,)})
    monkeypatch.setattr(neural.posterior_pace, "seconds", lambda: 1.0)
    out, picture = tmp_path / "neural.json", tmp_path / "neural.png"
    arguments = ["van_der_pol", "--seeds", "1", "--json", str(out)]
    with jax.numpy_dtype_promotion("standard"):  # optax mixes dtypes
        exact = quality.main([*arguments, "--picture", str(picture)])
    results = json.loads(out.read_text())
    assert set(results) == {"case", "device", "versions", "engines", "medians"}
    published, fresh = results["engines"]
    assert published["noise_seed"] == 121
    assert fresh["noise_seed"] == 101
    assert published["mse"] != fresh["mse"]
    # Before they were rounded to be written down.
    weights = exact["engines"][0]["weights"]
    assert sum(weights) == pytest.approx(1)
    np.testing.assert_allclose(published["weights"], weights, rtol=1e-4)
    assert np.isfinite(published["elbos"]).all()
    assert results["medians"]["fresh"]["mse"] == fresh["mse"]
    assert "published" in capsys.readouterr().out
    assert picture.stat().st_size > 10_000
    missed = neural.missed_bars(results)
    assert any("mse" in sentence for sentence in missed)
    good = {"mse": 0.1, "mnll": 0.3, "coverage_in": 0.9, "coverage_out": 0.9}
    results["medians"] = {"published": good, "fresh": {"mse": 0.15}}
    for row in results["engines"]:
        row |= {"failed_draws": 0, "compile_s": 80.0, "run_s": 10.0}
    assert neural.missed_bars(results) == []
    results["engines"][0]["failed_draws"] = 1
    results["engines"][1]["run_s"] = 100.0  # of no account: not the published noise
    assert len(neural.missed_bars(results)) == 1
    results["engines"][0] |= {"failed_draws": 0, "run_s": 20.0}
    assert len(neural.missed_bars(results)) == 1
    results["engines"][0]["pace_s"] = 100.0  # on a machine that slow
    assert neural.missed_bars(results) == []


def test_calibration_small(load, monkeypatch, tmp_path, x64):
    """Laplace approximations as they are and too narrow, by few simulations."""
    calibration, quality = load("posterior_calibration"), load("posterior_quality")
    sound, narrow = "Laplace", "Laplace, sd halved"
    variants = {name: calibration.VARIANTS[name] for name in (sound, narrow)}
    monkeypatch.setattr(calibration, "VARIANTS", variants)
    run = calibration.run
    monkeypatch.setattr(calibration, "run", lambda seed: run(seed, num_simulations=20))
    out, picture = tmp_path / "calibration.json", tmp_path / "calibration.png"
    arguments = ["calibration", "--seeds", "1", "--check", "--json", str(out)]
    quality.main([*arguments, "--picture", str(picture)])
    rows = json.loads(out.read_text())["engines"]
    assert [row["engine"] for row in rows] == [sound, narrow]
    assert [row["passes"] for row in rows] == [True, False]
    assert rows[0]["max_error_in_sd"] < 5e-3  # exact, but for the search for the mode
    assert picture.stat().st_size > 10_000
    rows[1]["passes"] = True
    [sentence] = calibration.missed_bars({"engines": rows})
    assert "outside wanted" in sentence


def test_population_small(load, x64, capsys):
    """Both engines by few simulations, which tell nothing yet but that all runs."""
    population = load("posterior_population")
    rows = population.run(0, num_simulations=3)
    assert [row["engine"] for row in rows] == list(population.VARIANTS)
    assert [row["expected_to_pass"] for row in rows] == [True, False]
    assert all(np.shape(row["ranks"]) == (3, 3) for row in rows)
    assert all(row["num_failed"] == 0 for row in rows)
    results, to_draw = population.without_ranks([rows])
    assert to_draw == rows
    population.print_rows(results)
    assert "first effect" in capsys.readouterr().out
    results["engines"][1]["passes"] = True
    assert "outside wanted" in population.missed_bars(results)[-1]


def test_the_picture_of_the_cost(load):
    draw = load("sampling_picture").draw
    rows = [
        {"case": "small", "method": "ours", "median_s": 0.1, "draws_per_s": 1e4},
        {"case": "small", "method": "theirs", "median_s": 1.0, "draws_per_s": 1e3},
        {"case": "large", "method": "ours", "median_s": 1.0, "draws_per_s": 500.0},
        {"case": "import", "method": "ours", "median_s": 1.0},
    ]
    report = {"device": "two cores", "versions": {}, "rows": rows}
    ax = draw(report)
    assert ax.get_xscale() == "log"
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["small", "large"]
    assert ax.get_legend_handles_labels()[1] == ["ours", "theirs"]
    widths = [[bar.get_width() for bar in bars] for bars in ax.containers]
    assert widths == [[1e4, 500.0], [1e3]]
    assert [text.get_text() for text in ax.texts] == ["10,000", "500", "1,000"]
    assert ax.get_title() == "two cores"
    ax.figure.canvas.draw()
    given = Figure().subplots()
    assert draw(report, ax=given) is given
    with pytest.raises(ValueError, match="same case and method"):
        draw(report | {"rows": rows[:1] * 2})
    with pytest.raises(ValueError, match='no row with "draws_per_s"'):
        draw(report | {"rows": rows[3:]})


def test_what_is_measured_again_counts_with_its_least(load):
    first = load("first_result")
    rows = [{"run": "first run", "seconds": 3.0, "programs": 22, "compile_s": 2.0}]
    again = [{"run": "first run", "seconds": 4.0, "programs": 22, "compile_s": 1.0}]
    [least] = first.least_of(rows, again)
    assert least == {**rows[0], "compile_s": 1.0}
