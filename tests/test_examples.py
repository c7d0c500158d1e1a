"""What all examples have in common."""

import json
import re
import runpy
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest
from PIL import Image

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.py") if path.stem != "common")
GALLERY = (EXAMPLES / "README.md").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_reader_finds_their_way(name):
    source = (EXAMPLES / f"{name}.py").read_text()
    assert source.startswith("# %% [markdown]\n# # ")
    kinds = re.findall(r"^# %%(.*)$", source, flags=re.MULTILINE)
    assert kinds.count(" [markdown]") >= 3, "prose between the cells"
    assert kinds.count("") >= 3, "short cells"
    assert "small = common.start(" in source
    assert f'common.save("{name}")' in source
    assert not re.search(r"bjm\.\S*\b_\w|BayesianJaxModels\._", source), "private names"
    assert f"[`{name}.py`]({name}.py)" in GALLERY
    assert f"({name}.png)" in GALLERY
    assert (ROOT / "tests" / "examples" / f"test_{name}.py").exists()


@pytest.mark.parametrize("name", NAMES)
def test_help_does_not_run_the_job(name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with plt.rc_context(), pytest.raises(SystemExit) as end:
        runpy.run_path(str(EXAMPLES / f"{name}.py"))
    assert end.value.code == 0
    assert "--small" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", NAMES)
def test_pictures_are_small_enough_to_keep(name):
    path = EXAMPLES / f"{name}.png"
    assert 10_000 < path.stat().st_size < 100_000
    with Image.open(path) as picture:
        assert picture.width >= 800


def test_run_times_are_those_measured():
    report = json.loads((ROOT / "benchmarks/results/examples_cpu.json").read_text())
    seconds = {row["name"]: row["seconds"] for row in report["examples"]}
    assert set(seconds) == set(NAMES)
    assert sum(seconds.values()) < 20 * 60
    for name, measured in seconds.items():
        [row] = re.findall(rf"^.*\({name}\.py\).*$", GALLERY, flags=re.MULTILINE)
        assert f"{measured:.0f} s" in row
    assert report["device"] in GALLERY


def test_data_say_where_they_are_from():
    for path in (EXAMPLES / "data").glob("*.csv"):
        first = path.read_text().splitlines()[0]
        assert first.startswith("# ")
        assert len(first) > 40
