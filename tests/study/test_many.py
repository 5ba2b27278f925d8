"""Two thousand units: plan, resume, and redo only what changed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from augury.study import make_plan, read_study, run_study
from tests.study.helpers import inside

# Tables, plus one fit and one forecast to do; `make claims` uses the full number.
COUNTS = [
    pytest.param(98, marks=pytest.mark.slow, id="100"),
    pytest.param(1998, marks=pytest.mark.claims, id="2000"),
]
# Measured on a busy machine: 1.9 s with imports, 1.3 s, 140 MB (docs/study.md).
MOST_SECONDS, MOST_MEGABYTES = 12.0, 300


@pytest.fixture(scope="module", params=COUNTS)
def study(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables of one run each, of five sizes."""
    folder = tmp_path_factory.mktemp("many")
    rng = np.random.default_rng(0)
    lines = ['name = "many"', "[target]", "params = 2e7", "tokens = 4e8"]
    for i in range(request.param):
        params = float(1e6 * 2 ** (i % 5))
        rate = float(np.exp(-np.exp(2 - 0.3 * np.log(params / 1e6) + rng.normal(0, 0.05))))
        rows = {"model": [f"m{i}"], "seed": [i], "params": [params], "tokens": [20 * params]}
        rows |= {"task": ["sums"], "metric": ["pass"], "value": [rate]}
        pl.DataFrame(rows).write_csv(folder / f"run-{i}.csv")
        lines += ["[[tables]]", f'path = "run-{i}.csv"']
    (folder / "study.toml").write_text("\n".join(lines) + "\n")
    return folder


def test_units_by_the_thousand_are_planned_and_resumed_in_seconds(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.perf_counter()
    plan = make_plan(*read_study(study))
    planned = time.perf_counter() - began
    count = len(plan.units)
    assert count in (100, 2000)
    engine = inside(monkeypatch, study)
    assert run_study(study).complete
    assert len(engine.begun) == count

    engine = inside(monkeypatch, study)
    began = time.perf_counter()
    outcome = run_study(study)
    resumed = time.perf_counter() - began
    assert (engine.begun, outcome.kept) == ([], count)

    changed = study / "run-77.csv"
    changed.write_text(changed.read_text().replace("m77", "m77b"))
    engine = inside(monkeypatch, study)
    assert run_study(study).complete
    assert sorted(engine.begun) == ["fit pass-rate", "forecast the scores", "read run-77.csv"]
    assert planned < MOST_SECONDS
    assert resumed < MOST_SECONDS


def test_planning_them_takes_little_memory(study: Path) -> None:
    code = (
        "import sys\n"
        "from augury.study.run.status import plan_of\n"
        "from pathlib import Path\n"
        "plan_of(Path(sys.argv[1]))\n"
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(study)], capture_output=True, text=True, check=True
    )
    assert float(done.stdout) / 1024 < MOST_MEGABYTES
