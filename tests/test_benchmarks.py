import importlib
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
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
        for method in methods.sampling_methods(case).values():
            values, steps = method.run(0)
            exact = cases.exact_values(case, method.weights(0))
            assert cases.largest_error(values, exact) < 1e-5
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


def test_a_missing_gpu_is_named_and_not_guessed(load, monkeypatch, tmp_path, capsys):
    cost = load("sampling_cost")

    def run_task(device, task, **settings):
        if task == "describe":
            return {"platform": "cpu", "name": "a CPU"}
        if task == "peak":
            return 1.0
        names = ("median_s", "min_s", "draws_per_s", "times_faster", "compile_s")
        row = dict.fromkeys((*names, "steps_mean", "steps_max", "error"), 1)
        case = cost.CASES[settings["index"]].smaller()
        return [row | {"case": case.name, "method": cost.DRIVER}]

    monkeypatch.setattr(cost, "run_task", run_task)
    cost.main(device="all", small=True, json_file=str(tmp_path / "cost.json"))
    report = json.loads((tmp_path / "cost_cpu.json").read_text())
    assert report["not_measured"] == ["gpu"]
    assert report["crossover"] == "not measured"
    assert report["geometric_mean_times_faster"] == 1
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


def test_an_engine_beside_the_reference(load, tmp_path, x64):
    """Importance sampling on influenza, whole: figures, files and picture."""
    quality = load("posterior_quality")
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
