import importlib
import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

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
