"""The README's blocks run as they stand, one after the other, as a reader would."""

import inspect
import json
import re
import sys
from pathlib import Path

import jax

import BayesianJaxModels as bjm
from BayesianJaxModels._moved import NAMESPACES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PARTS = (ROOT / "docs" / "parts.md").read_text()
PERFORMANCE = (ROOT / "docs" / "performance.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


def test_blocks_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # What the environment of the first command has not.
    for absent in ("arviz_base", "orbax", "arviz_plots"):
        monkeypatch.setitem(sys.modules, absent, None)
    # Readers have JAX's default promotion, and optax needs it.
    with jax.numpy_dtype_promotion("standard"):
        namespace = {}
        for number, block in enumerate(BLOCKS):
            exec(compile(block, f"README.md, block {number}", "exec"), namespace)


def test_the_tables_name_every_public_name():
    modules = [bjm, *(getattr(bjm, namespace) for namespace in NAMESPACES)]
    public = {
        name
        for module in modules
        for name, _ in inspect.getmembers(
            module, lambda thing: not inspect.ismodule(thing)
        )
        if not name.startswith("_")
    }
    in_tables = set(re.findall(r"^\| `(\w+)", PARTS, flags=re.MULTILINE))
    assert in_tables == public


def test_it_is_a_page_to_read():
    assert len(README.splitlines()) <= 160
    assert len(BLOCKS[0].splitlines()) <= 60
    scripts = re.findall(r"\(examples/(\w+)\.py\)", README)
    names = {path.stem for path in (ROOT / "examples").glob("*.py")}
    assert sorted(scripts) == sorted(names - {"common"})


def test_links_lead_somewhere():
    text = re.sub(r"^```.*?^```", "", README, flags=re.MULTILINE | re.DOTALL)
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", text)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_posteriors_come_from_the_results():
    results = ROOT / "benchmarks" / "results"
    report = json.loads((results / "posterior_lynx_hare_cpu.json").read_text())
    assert report["device"].removesuffix(", jax on cpu") in PERFORMANCE
    lines = []
    for name in dict.fromkeys(row["engine"] for row in report["engines"]):
        rows = [row for row in report["engines"] if row["engine"] == name]
        z = max(row["max_abs_z"] for row in rows)
        low = min(row["min_sd_ratio"] for row in rows)
        high = max(row["max_sd_ratio"] for row in rows)
        first = max(row["compile_s"] + row["run_s"] for row in rows)
        then = max(row["run_s"] for row in rows)
        lines.append(
            f"| {name.replace('_', ' ')} | {z:.2f} | {low:.2f} to {high:.2f} | "
            f"{first:.0f} s | {then:.1f} s |"
        )
        if name == "importance":
            assert f"within {z:.2f} standard deviations of Stan's" in README
    assert len(lines) == 6
    assert "\n".join(lines) in PERFORMANCE, "\n" + "\n".join(lines)
    [peer] = report["peers"]
    _, _, beside = PERFORMANCE.partition("Beside NumPyro's NUTS")
    beside, _, _ = beside.partition("A Bayesian neural ODE")
    for name in ("nuts", "importance"):
        [row] = [
            row
            for row in report["engines"]
            if row["engine"] == name and row["seed"] == 0
        ]
        for rate in ("ess_per_s", "ess_per_s_of_first"):
            times = row[rate] / peer[rate]
            assert f"{times:.{int(times < 10)}f}" in beside, (name, rate, times)
    report = json.loads((results / "posterior_van_der_pol_cpu.json").read_text())
    for kind in ("published", "fresh"):
        assert f"{report['medians'][kind]['mse']:.3f}".lstrip("0") in PERFORMANCE


def test_figures_come_from_the_results():
    results = ROOT / "benchmarks" / "results"
    report = json.loads((results / "sampling_cost_cpu.json").read_text())
    assert f"On {report['device'].removesuffix(', jax on cpu')}" in PERFORMANCE
    lines = []
    for row in report["rows"]:
        seconds = f"{1e3 * row['median_s']:,.0f} ms"
        if row["method"] == "jit(vmap)":
            beside = [seconds, "-"]
        elif row["method"].startswith("lax.map"):
            beside[1] = seconds
        elif row["method"] in ("posterior_trajectories", "integrate, own steps"):
            cells = [row["case"], *beside, seconds, f"{row['times_faster']:.1f}"]
            lines.append(f"| {' | '.join(cells)} |")
    lines = [line for line in lines if "given" not in line]
    assert len(lines) == 10
    assert "\n".join(lines) in PERFORMANCE, "\n" + "\n".join(lines)
    mean = report["geometric_mean_times_faster"]
    assert f"the geometric mean over the first five is {mean:.1f}" in PERFORMANCE
    assert f"{mean:.1f} times as fast as `jit(vmap)`" in README
    over = report["geometric_mean_over_batches"]
    assert f"{over:.1f} beside the same in batches" in PERFORMANCE
    assert f"{over:.1f} times as fast as `lax.map` in batches" in README
    gpu = json.loads((results / "sampling_cost_gpu.json").read_text())["rows"]
    ours = [row for row in gpu if row["method"] == "posterior_trajectories"][:6]
    milliseconds = sorted(1e3 * row["median_s"] for row in ours)
    ratios = sorted(row["times_faster"] for row in ours)
    takes = f"takes {milliseconds[0]:.0f} to {milliseconds[-1]:.0f} ms"
    assert f"{takes} for the first six rows, {ratios[0]:.1f} to" in PERFORMANCE
    assert f"{ratios[0]:.1f} to {ratios[-1]:.1f} times as\nfast" in PERFORMANCE
    pure = sorted(row["times_faster"] for row in gpu if "pure" in row["method"])
    assert f"{pure[0]:.1f} to {pure[-1]:.1f} times." in PERFORMANCE
    populations = json.loads((results / "populations_cpu.json").read_text())
    words, (ours, peer) = " ".join(PERFORMANCE.split()), populations["theophylline"]
    assert f"takes {ours['cold_s']:.0f} s in a fresh process and" in words
    assert f"and {ours['run_s']:.0f} s once compiled, and is within" in words
    assert f"within {ours['max_abs_z']:.2f} standard deviations of a long run" in words
    ratios = f"from {ours['min_sd_ratio']:.2f} to {ours['max_sd_ratio']:.2f} of it."
    assert ratios in words
    assert f"solves nothing, takes {peer['cold_s']:.0f} s." in words
    assert f"each, {populations['draws']:,} draws, once compiled" in words
    for row in populations["subjects"]:
        cells = f"{row['run_s']:.0f} | {row['run_ms_each']:.0f} | {row['peak_mib']:.0f}"
        cells = f"{row['subjects']} | {cells} | {row['ess']:.0f}"
        assert f"| {cells} |" in PERFORMANCE
    budgets = json.loads((results / "budgets_cpu.json").read_text())["million_draws"]
    assert f"{budgets['peak_mib']:.0f} MiB over its start" in PERFORMANCE
