"""Records on disk: typed, with a format; older ones load, newer ones give a one-line error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from augury.errors import DataError
from augury.notes import Note
from augury.study.results.forecast_records import (
    ForecastRecord,
    PassRateRecord,
    read_forecast,
    read_score,
)
from augury.study.results.formats import FORMAT, read_record, save_record
from augury.study.results.plan_records import PlanRecord

MADE = PassRateRecord(
    task="sums",
    level=0.9,
    weights={"pass-rate": 1.0},
    status="converged",
    notes=(Note("condition", "warning", "hardly told apart", {"number": 1e9}),),
    counts_notes=(Note("note", "info", "no rows of single instances"),),
    forecasts=(
        ForecastRecord(
            method="laws",
            inputs={"params": 1e9},
            value=0.25,
            run_interval=(0.1, float("inf")),
            extrapolation=float("nan"),
            level=0.9,
        ),
    ),
)  # fmt: skip


def test_a_record_reads_back_and_says_its_format(tmp_path: Path) -> None:
    path = tmp_path / "forecast.json"
    save_record(path, MADE)
    assert json.loads(path.read_text())["format"] == FORMAT
    assert read_forecast(tmp_path) == MADE
    (made,) = MADE.forecasts
    # Values that are not finite are unknown, in memory as on disk.
    assert (made.run_interval, made.extrapolation) == ((0.1, None), None)


def test_a_record_from_before_formats_were_numbered_reads(tmp_path: Path) -> None:
    """Remarks used to be plain sentences."""
    path = tmp_path / "forecast.json"
    save_record(path, MADE)
    old = json.loads(path.read_text())
    del old["format"]
    old["counts_notes"] = ["no rows of single instances"]
    path.write_text(json.dumps(old))
    assert read_forecast(tmp_path) == MADE


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 7}, r"forecast\.json: has format 7; expected format 1"),
        ({"level": "high"}, r"forecast\.json: format 1: pass-rate\.level: input should be a valid"),
        ({"question": "why"}, r"forecast\.json: format 1: "),
    ],
)
def test_what_cannot_be_read_names_file_and_format_in_a_line(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "forecast.json"
    save_record(path, MADE)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=message) as raised:
        read_forecast(tmp_path)
    assert "\n" not in str(raised.value)


def test_a_record_that_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"score\.json: cannot be read"):
        read_score(tmp_path)
    (tmp_path / "plan.json").write_text("[]")
    with pytest.raises(DataError, match=r"plan\.json: is not a record"):
        read_record(tmp_path / "plan.json", PlanRecord)
