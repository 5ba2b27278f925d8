"""The main job, whole but short: forecasts stand before the models they are about are trained."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from augury.cli.demo import run_demo
from augury.errors import UsageError
from augury.study import Study, make_plan, read_study
from augury.study.results.ledger import Ledger
from augury.study.tiny_world import tiny_world
from tests.study.helpers import results, small_world


@pytest.mark.slow
def test_the_demo_forecasts_before_it_trains(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    small_world(monkeypatch, seeds=2)
    result = run_demo(tmp_path, steps=100, seed=3, quiet=False)
    printed = capsys.readouterr().out
    json.dumps(result)
    assert result["complete"]
    assert printed.index("Forecasts, written down") < printed.index("larger sizes are trained")
    assert printed.index("larger sizes are trained") < printed.index("what came")
    assert printed.splitlines()[-1] == result["page"]
    page = Path(result["page"]).read_text(encoding="utf-8")
    assert all(f"{task}" in page for task in ("rule", "sort-digits"))
    rows = result["forecasts"]
    assert {(row["task"], row["question"]) for row in rows} == {
        ("rule", "pass-rate"), ("sort-digits", "emergence"),
    }  # fmt: skip
    # Both were on record before any model of the held-out width was begun.
    assert all(row["blind"] for row in rows)
    study = Study(tmp_path)
    for row in rows:
        if row["method"] == "laws":
            own = pl.col("params") == row["inputs"]["params"]
            truth = study.table().filter(
                own, pl.col("step") == 100, pl.col("instance").is_null(),
                seed=row["seed"], task="rule", metric="pass",
            )["value"].item()  # fmt: skip
            assert row["truth"] == truth
    # What missed is counted, and said as loudly as what held.
    assert result["missed"] == sum(row["held"] is False for row in rows)
    assert printed.count("  NO") == result["missed"]
    # Models this small are at chance after finetuning too: then it says that it cannot say.
    assert "Where “sort-digits” emerges cannot be said: everything is at chance." in printed
    assert "Measured afterwards, it had not come at a loss of" in printed
    before, lines = results(tmp_path), Ledger(tmp_path).lines
    again = run_demo(tmp_path, steps=100, seed=3, quiet=True)
    assert capsys.readouterr().out == ""
    assert results(tmp_path) == before
    assert Ledger(tmp_path).lines == lines
    assert again["answer"] == result["answer"]


def test_the_demo_leaves_another_study_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text('name = "mine"\n')
    with pytest.raises(UsageError, match="runs it as it is; give the demo another"):
        run_demo(tmp_path, steps=100, seed=0, quiet=True)
    assert (tmp_path / "study.toml").read_text() == 'name = "mine"\n'


@pytest.mark.parametrize("steps", [50, 100, 200, 500, 1000])
def test_the_demo_is_a_study_at_any_number_of_steps(tmp_path: Path, steps: int) -> None:
    (tmp_path / "study.toml").write_text(tiny_world(steps, 7))
    plan = make_plan(*read_study(tmp_path))
    assert [u.parameters["question"] for u in plan.of("forecast")] == ["pass-rate", "emergence"]
    assert {u.parameters["task"]["name"] for u in plan.of("finetune")} == {"sort-digits"}
    # Two sizes are forecast, at their end, and nothing of them is seen before.
    assert len(plan.of("forecast")[0].parameters["points"]) == 2
    assert not any("w48" in u.label or "w64" in u.label for u in plan.before_truth.values())
    assert {u.kind for u in plan.before_truth.values()} == {
        "train", "measure", "finetune", "fit", "forecast",
    }  # fmt: skip


def test_steps_that_cannot_be_trained_are_told() -> None:
    with pytest.raises(UsageError, match="multiple of 50, not 120"):
        tiny_world(120, 0)
