"""Runs redo only what changed, failures leave the rest alone, and only one runs at a time."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from pathlib import Path

import polars as pl
import pytest

from augury.errors import DataError, UsageError
from augury.forecast.prediction import run_share
from augury.study import Ledger, Study, make_plan, read_study, run_study, scoreboard
from augury.study.page import answers_of
from augury.study.results.forecast_records import read_forecast
from augury.study.results.ledger import HEAD, RECORD
from augury.study.results.store import alone, file_digest
from augury.study.run.status import (
    RUN_TO_RUN,
    plan_of,
    plan_text,
    scoreboard_text,
    status_of,
    status_text,
)
from tests.study.helpers import inside, results, table_study

FORECAST = ["fit pass-rate", "forecast the scores"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of tables that was run to completion in this process."""
    folder = tmp_path_factory.mktemp("study")
    table_study(folder)
    with pytest.MonkeyPatch.context() as patch:
        inside(patch, folder)
        assert run_study(folder).complete
    return folder


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    subprocess.run(["cp", "-r", f"{finished}/.", str(tmp_path)], check=True)
    return tmp_path


def test_a_run_leaves_a_table_a_plan_and_forecasts_on_record(finished: Path) -> None:
    table = pl.read_parquet(finished / "table.parquet")
    assert sorted(table["params"].unique()) == [1e6, 2e6, 4e6, 8e6, 1.6e7]
    plan = json.loads((finished / "plan.json").read_text())
    assert [u["kind"] for u in plan["units"]].count("table") == 5
    forecasts = [line for line in Ledger(finished).lines if line["kind"] == "forecast"]
    scores = [line for line in Ledger(finished).lines if line["kind"] == "score"]
    assert forecasts
    assert not any(line["blind"] for line in forecasts)  # the truth was in a table
    assert scores[0]["line"] > forecasts[-1]["line"]
    assert len(scores) == 2  # one held-out size, two seeds
    assert not (finished / "work").exists()


def test_the_forecast_never_sees_what_is_held_out(finished: Path) -> None:
    (unit,) = make_plan(*read_study(finished)).of("forecast")
    observed = pl.read_parquet(finished / "units" / unit.key / "observed.parquet")
    assert observed["params"].max() == 8e6
    plan = make_plan(*read_study(finished))
    for key in plan.truth:
        assert key not in unit.needs


def test_nothing_is_done_twice(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, head = results(study), Ledger(study).head
    engine = inside(monkeypatch, study)
    outcome = run_study(study)
    assert engine.begun == []
    assert (outcome.done, outcome.kept, outcome.complete) == ((), 8, True)
    assert results(study) == before
    assert Ledger(study).head == head


def _redone(study: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    engine = inside(monkeypatch, study)
    assert run_study(study).complete
    return sorted(engine.begun)


def test_a_table_that_changed_redoes_what_follows_from_it(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = study / "size-1.csv"
    path.write_text(path.read_text().replace(",0,2000000", ",2,2000000"))
    expected = [*FORECAST, "read size-1.csv", "score the forecast of the scores"]
    assert _redone(study, monkeypatch) == sorted(expected)


def test_truth_that_changed_leaves_the_forecast_be(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = study / "size-4.csv"
    path.write_text(path.read_text().replace(",0,16000000", ",2,16000000"))
    expected = ["read size-4.csv, held out", "score the forecast of the scores"]
    assert _redone(study, monkeypatch) == sorted(expected)


def test_another_level_redoes_the_forecast_alone_and_goes_on_record_as_late(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = study / "study.toml"
    path.write_text(path.read_text().replace("[held_out]", "level = 0.8\n[held_out]"))
    expected = [*FORECAST, "score the forecast of the scores"]
    assert _redone(study, monkeypatch) == sorted(expected)
    late = [x for x in Ledger(study).lines if x["kind"] == "forecast" and x["level"] == 0.8]
    assert late
    assert not any(line["blind"] for line in late)  # the truth existed when it was made
    text = scoreboard_text(scoreboard([study]))
    assert "(after the fact)" in text


def test_workers_and_names_redo_nothing(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = study / "study.toml"
    path.write_text(path.read_text().replace('"tables"', '"renamed"') + "[run]\nworkers = 2\n")
    assert _redone(study, monkeypatch) == []


def test_a_unit_that_fails_once_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table_study(tmp_path)
    engine = inside(monkeypatch, tmp_path, {"read size-2.csv": 1})
    outcome = run_study(tmp_path)
    assert outcome.complete
    assert engine.begun.count("read size-2.csv") == 2


def test_a_unit_that_fails_for_good_is_reported_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table_study(tmp_path)
    engine = inside(monkeypatch, tmp_path, {"read size-2.csv": 2})
    outcome = run_study(tmp_path)
    assert not outcome.complete
    assert sorted(outcome.done) == ["read size-0.csv", "read size-1.csv", "read size-3.csv"]
    ((label, (why, log)),) = outcome.failed.items()
    assert (label, why) == ("read size-2.csv", "Boom: told to fail")
    assert log.read_text().count("Boom: told to fail") == 2
    # Held-out results are never read before their forecast is made.
    assert "read size-4.csv, held out" in outcome.blocked
    assert "forecast the scores" in outcome.blocked
    assert "failed: read size-2.csv: Boom" in status_text(status_of(tmp_path))
    engine = inside(monkeypatch, tmp_path)
    assert run_study(tmp_path).complete
    assert "read size-0.csv" not in engine.begun


@pytest.mark.slow
def test_two_runs_of_one_study_are_one_too_many(study: Path) -> None:
    with alone(study):
        done = subprocess.run(
            [sys.executable, "-m", "augury", "run", str(study)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 2
        assert "another process is running this study, process" in done.stderr
        assert done.stderr.count("\n") == 1
        assert status_of(study).runs
    assert not status_of(study).runs


def test_a_tampered_record_stops_run_status_and_scoreboard(study: Path) -> None:
    ledger, path = Ledger(study), study / "forecasts.jsonl"
    assert f"{len(ledger.lines)} lines, SHA-256 {ledger.head}" in status_text(status_of(study))
    path.write_text(path.read_text().replace('"level": 0.9', '"level": 0.5', 1))
    for act in (
        lambda: run_study(study),
        lambda: status_of(study),
        lambda: scoreboard([study]),
    ):
        with pytest.raises(DataError, match="line 1 was changed"):
            act()


def test_a_result_edited_after_it_went_on_record_is_named(study: Path) -> None:
    (path,) = study.glob("units/*/forecast.json")
    path.write_text(path.read_text().replace('"level": 0.9', '"level": 0.8', 1))
    with pytest.raises(DataError, match=r"forecast\.json: was changed after it was put on record"):
        scoreboard([study])


def test_a_study_beyond_its_budget_is_not_begun(study: Path) -> None:
    path = study / "study.toml"
    path.write_text(path.read_text() + "[budget]\nhours = 1e-9\n")
    (study / "size-0.csv").write_text((study / "size-0.csv").read_text() + "\n")
    with pytest.raises(UsageError, match=r"would cost .* hours, its budget is 1e-09"):
        run_study(study)
    assert "OVER BUDGET" in plan_text(plan_of(study))


@pytest.mark.slow
def test_a_table_that_is_damaged_fails_its_unit_and_not_the_study(tmp_path: Path) -> None:
    """In separate processes, as users run it."""
    path = table_study(tmp_path, count=4)
    text = path.read_text().replace('[held_out]\nwhere = "params > 1e7"\n', "")
    path.write_text(text + "[target]\nparams = 2e7\ntokens = 4e8\n[run]\nworkers = 1\n")
    (tmp_path / "size-3.csv").write_text("params,value\nbig,0.1\n")
    done = subprocess.run(
        [sys.executable, "-m", "augury", "run", str(tmp_path), "--json"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    assert len(said["done"]) == 3
    (failed,) = said["failed"]
    assert "text in a number column" in failed["why"]
    log = Path(failed["log"]).read_text()
    assert log.count("text in a number column") == 2  # retried once
    assert "Traceback" in log


@pytest.mark.slow
def test_a_live_state_says_what_is_under_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table_study(tmp_path)
    inside(monkeypatch, tmp_path)
    seen: list[str] = []

    def watch(tracker: object) -> None:
        seen.append(status_text(status_of(tmp_path)))
        time.sleep(0.5)

    runner = threading.Thread(target=lambda: run_study(tmp_path, watch=watch))
    runner.start()
    runner.join()
    assert any("of 8 units" in text and "running since" in text for text in seen)
    assert "finished" in status_text(status_of(tmp_path))


def test_truth_that_comes_later_scores_a_forecast_made_without_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forecast a target today, measure it next year: the recorded forecast is scored."""
    path = table_study(tmp_path, count=4)
    held = '[held_out]\nwhere = "params > 1e7"\n'
    now = path.read_text().replace(held, "") + "[target]\nparams = 1.6e7\ntokens = 3.2e8\n"
    path.write_text(now)
    inside(monkeypatch, tmp_path)
    assert run_study(tmp_path).complete
    assert [row.held for row in scoreboard([tmp_path])] == [None]
    path.write_text(now + held + '[[tables]]\npath = "size-4.csv"\n')
    engine = inside(monkeypatch, tmp_path)
    assert run_study(tmp_path).complete
    assert engine.begun == ["read size-4.csv, held out", "score the forecast of the scores"]
    rows = scoreboard([tmp_path])
    assert len(rows) == 2
    assert all(row.blind and row.held is not None for row in rows)


def test_the_record_says_how_much_of_a_width_is_run_to_run_spread(finished: Path) -> None:
    (unit,) = finished.glob("units/*/forecast.json")
    (made,) = read_forecast(unit.parent).forecasts
    assert made.run_share == run_share(made.mean_interval, made.run_interval)
    rows = scoreboard([finished])
    assert {(row.run_share, row.mean_interval) for row in rows} == {
        (made.run_share, made.mean_interval)
    }
    text = scoreboard_text(rows)
    assert text.count(f" {made.run_share:.0%} ") == len(rows) == 2
    assert RUN_TO_RUN in text
    board = Study(finished).scoreboard()
    assert board["run_share"].to_list() == [made.run_share] * 2
    assert board.select("mean_low", "mean_high").row(0) == made.mean_interval


def test_a_record_from_before_run_shares_stays_valid_and_as_it_is(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = study.glob("units/*/forecast.json")
    old = json.loads(path.read_text())
    for forecast in old["forecasts"]:
        del forecast["run_share"]
    path.write_text(json.dumps(old))
    lines = Ledger(study).lines
    for name in (RECORD, HEAD):
        (study / name).unlink()
    ledger = Ledger(study)
    for line in lines:
        line.pop("run_share", None)
        if line["kind"] == "forecast":
            line["result_sha256"] = file_digest(path)
        ledger.append([{**line, "previous": ledger.head}])
    before = (study / RECORD).read_bytes()
    assert b"run_share" not in before
    engine = inside(monkeypatch, study)
    assert run_study(study).complete
    assert engine.begun == []
    assert (study / RECORD).read_bytes() == before
    rows = scoreboard([study])
    assert [(row.run_share, row.held) for row in rows] == [(None, row.held) for row in rows]
    assert all(row.held is not None for row in rows)
    assert RUN_TO_RUN not in scoreboard_text(rows)
    assert not any("spread" in text for text in answers_of(study))


def test_a_study_in_python(finished: Path) -> None:
    study = Study(finished)
    assert study.table().height == 10
    (forecast,) = study.forecasts()
    assert forecast.record.weights == {"pass-rate": 1.0}
    (fit,) = study.fits()
    assert fit.record.law == "pass-rate"
    board = study.scoreboard()
    assert board["held"].dtype == pl.Boolean
    assert (
        board["truth"].to_list() == study.table().filter(pl.col("params") > 1e7)["value"].to_list()
    )
    with pytest.raises(DataError, match="no such file"):
        Study(finished / "nowhere")
