"""The complete demo, shortened: forecasts precede their models, and a killed run ends the same."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pytest

from augury.cli.demo import run_demo
from augury.errors import UsageError
from augury.study import Study, make_plan, read_study, scoreboard
from augury.study.results.ledger import Ledger
from augury.study.tiny_world import tiny_world
from tests.study.helpers import begin, inside, results, small_world
from tests.study.test_latent_emergence import WORLD, write_ladder, write_later


class Finished(NamedTuple):
    """A small demo that ran to completion."""

    folder: Path
    result: dict[str, Any]
    printed: str
    seconds: float


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The demo's study with both questions and all sections, made small.

    In this process, which compiles each program once; processes have to end with the same results
    (`test_killed_at_three_random_moments_it_ends_the_same`).
    """
    folder, printed = tmp_path_factory.mktemp("demo"), io.StringIO()
    began = time.perf_counter()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        small_world(patch)
        inside(patch, folder)
        result = run_demo(folder, steps=100, seed=3, quiet=False, latent=None)
    return Finished(folder, result, printed.getvalue(), time.perf_counter() - began)


@pytest.mark.slow
def test_the_demo_forecasts_before_it_trains(finished: Finished) -> None:
    folder, result, printed, _ = finished
    json.dumps(result)
    assert result["complete"]
    assert printed.index("Forecasts, recorded") < printed.index("larger sizes are trained")
    assert printed.index("larger sizes are trained") < printed.index("Forecasts and results")
    assert printed.splitlines()[-1] == result["page"]
    page = Path(result["page"]).read_text(encoding="utf-8")
    assert all(f"{task}" in page for task in ("rule", "sort-digits"))
    rows = result["forecasts"]
    assert {(row["task"], row["question"]) for row in rows} == {
        ("rule", "pass-rate"), ("sort-digits", "emergence"),
    }  # fmt: skip
    # Both were recorded before training of any held-out width began.
    assert all(row["blind"] for row in rows)
    study = Study(folder)
    for row in rows:
        if row["method"] == "laws":
            own = pl.col("params") == row["inputs"]["params"]
            truth = study.table().filter(
                own, pl.col("step") == 100, pl.col("instance").is_null(),
                seed=row["seed"], task="rule", metric="pass",
            )["value"].item()  # fmt: skip
            assert row["truth"] == truth
    # Misses are counted and reported as prominently as hits.
    assert result["missed"] == sum(row["held"] is False for row in rows)
    assert printed.count("  NO") == result["missed"]
    # Models this small are at chance even after finetuning: then there is no forecast.
    assert "No forecast of where “sort-digits” emerges: everything is at chance." in printed
    assert "Measured afterwards, it had not appeared at a loss of" in printed


@pytest.mark.slow
def test_a_finished_demo_is_not_done_again(
    finished: Finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_world(monkeypatch)
    before, lines = results(finished.folder), Ledger(finished.folder).lines
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        again = run_demo(finished.folder, steps=100, seed=3, quiet=True, latent=None)
    assert printed.getvalue() == ""
    assert results(finished.folder) == before
    assert Ledger(finished.folder).lines == lines
    assert again["answer"] == finished.result["answer"]


@pytest.mark.slow
def test_the_latent_world_comes_after_the_study(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All its models exist already, even the larger one: then the forecast is not called blind."""
    small_world(monkeypatch)
    out, printed = tmp_path / "demo", io.StringIO()
    shutil.copytree(finished.folder, out)
    write_ladder(out / "latent")
    write_later(out / "latent", [4.9, 4.69, 4.65, 4.5])
    with contextlib.redirect_stdout(printed):
        result = run_demo(out, steps=100, seed=3, quiet=False, latent=WORLD)
    json.dumps(result)
    told, text = result["latent"], printed.getvalue()
    assert not told["blind"]
    assert all(line in text for line in told["answer"])
    assert "HELD" in told["answer"][1] if told["held"] else "FAILED" in told["answer"][1]
    page = Path(result["page"]).read_text(encoding="utf-8")
    assert "Where attribute-3 emerges" in page
    assert "with the truth known" in page
    assert "loss at which attribute-3 emerges" in page
    measured = sum(row["truth"] is not None for row in result["forecasts"])
    assert f"Of {measured + 1} that were measured afterwards" in page
    # The study's own forecasts are unchanged.
    assert result["forecasts"] == [
        row | {"folder": str(out)} for row in finished.result["forecasts"]
    ]


@pytest.mark.slow
def test_killed_at_three_random_moments_it_ends_the_same(
    finished: Finished, tmp_path: Path
) -> None:
    """Kill the whole process group twice by SIGKILL, then the run alone."""
    killed = tmp_path / "killed"
    killed.mkdir()
    (killed / "study.toml").write_text((finished.folder / "study.toml").read_text())
    rng = np.random.default_rng()
    moments = [float(x) for x in rng.uniform(0.1, 0.4, 3) * finished.seconds]
    kept = 0
    for i, moment in enumerate(moments):
        run = begin(killed)
        try:
            run.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            if i < 2:
                os.killpg(run.pid, signal.SIGKILL)
            else:
                run.kill()
            run.communicate()
        before, kept = kept, units_there(killed)
        assert kept >= before, moments
    out, err = (run := begin(killed)).communicate()
    assert run.returncode == 0, err
    said = json.loads(out)
    assert said["complete"]
    # No finished unit is repeated (an orphan may have finished one during the count).
    assert int(said["kept"]) >= kept, moments
    assert results(killed) == results(finished.folder), moments
    assert forecasts(killed) == forecasts(finished.folder)
    # Despite the kills, every forecast was recorded before its truth was measured.
    board = scoreboard([killed])
    assert all(row.blind for row in board)
    assert {row.question for row in board} == {"pass-rate", "emergence"}


def units_there(folder: Path) -> int:
    units = folder / "units"
    return len(list(units.iterdir())) if units.exists() else 0


def forecasts(folder: Path) -> list[str]:
    lines = Ledger(folder).lines
    return sorted(str((line["kind"], line["unit"], line["value"])) for line in lines)


def test_the_demo_leaves_another_study_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text('name = "mine"\n')
    with pytest.raises(UsageError, match="runs it as it is; give the demo another"):
        run_demo(tmp_path, steps=100, seed=0, quiet=True, latent=None)
    assert (tmp_path / "study.toml").read_text() == 'name = "mine"\n'


@pytest.mark.parametrize("steps", [50, 100, 200, 500, 1000])
def test_the_demo_is_a_study_at_any_number_of_steps(tmp_path: Path, steps: int) -> None:
    (tmp_path / "study.toml").write_text(tiny_world(steps, 7))
    plan = make_plan(*read_study(tmp_path))
    assert [u.parameters["question"] for u in plan.of("forecast")] == ["pass-rate", "emergence"]
    assert {u.parameters["task"]["name"] for u in plan.of("finetune")} == {"sort-digits"}
    # Two sizes are forecast at their end, and none of their results is used before.
    assert len(plan.of("forecast")[0].parameters["points"]) == 2
    assert not any("w48" in u.label or "w64" in u.label for u in plan.before_truth.values())
    assert {u.kind for u in plan.before_truth.values()} == {
        "train", "measure", "finetune", "fit", "forecast",
    }  # fmt: skip


def test_steps_that_cannot_be_trained_are_told() -> None:
    with pytest.raises(UsageError, match="multiple of 50, not 120"):
        tiny_world(120, 0)
