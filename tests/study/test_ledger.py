"""The record of forecasts: every change is noticed, and the line is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from augury.errors import DataError
from augury.runtime.json_files import read_json
from augury.study.results.ledger import HEAD, RECORD, START, Ledger


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """A record of six lines, written in three steps."""
    for go in range(3):
        ledger = Ledger(tmp_path)
        ledger.append(
            [{"kind": "forecast", "unit": f"u{go}", "value": go + k / 10} for k in range(2)]
        )
    return tmp_path


def _lines(study: Path) -> list[str]:
    return (study / RECORD).read_text().splitlines(keepends=True)


def test_what_was_written_is_read_in_order(study: Path) -> None:
    ledger = Ledger(study)
    assert [line["line"] for line in ledger.lines] == [1, 2, 3, 4, 5, 6]
    assert ledger.lines[0]["previous"] == START
    assert [x["value"] for x in ledger.find("forecast", "u1")] == [1.0, 1.1]
    assert ledger.head == json.loads((study / HEAD).read_text())["sha256"]


@pytest.mark.parametrize("which", [1, 2, 3, 5, 6])
def test_a_changed_line_is_named(study: Path, which: int) -> None:
    lines = _lines(study)
    lines[which - 1] = lines[which - 1].replace('"value": ', '"value": 9')
    (study / RECORD).write_text("".join(lines))
    with pytest.raises(DataError, match=rf"forecasts\.jsonl: line {which} was changed"):
        Ledger(study)


@pytest.mark.parametrize("which", [1, 3, 5])
def test_a_removed_line_is_named(study: Path, which: int) -> None:
    lines = _lines(study)
    del lines[which - 1]
    (study / RECORD).write_text("".join(lines))
    with pytest.raises(DataError, match=f"line {which} is missing"):
        Ledger(study)


def test_lines_cut_off_the_end_are_missed(study: Path) -> None:
    (study / RECORD).write_text("".join(_lines(study)[:4]))
    with pytest.raises(DataError, match=r"was cut: it ends after line 4; expected 6 lines"):
        Ledger(study)
    (study / RECORD).unlink()
    with pytest.raises(DataError, match="was cut: it ends after line 0"):
        Ledger(study)


def test_two_lines_that_changed_places_are_named(study: Path) -> None:
    lines = _lines(study)
    lines[2], lines[3] = lines[3], lines[2]
    (study / RECORD).write_text("".join(lines))
    with pytest.raises(DataError, match="line 3 is missing, or lines were inserted"):
        Ledger(study)


def test_an_edit_that_makes_the_chain_whole_again_is_given_away_by_the_head(study: Path) -> None:
    """Someone changed the last line and every hash: only the separate head file reveals it."""
    lines = [json.loads(line) for line in _lines(study)]
    lines[-1]["value"] = 99
    (study / RECORD).write_text("".join(json.dumps(x, sort_keys=True) + "\n" for x in lines))
    with pytest.raises(DataError, match="line 6 was changed"):
        Ledger(study)
    (study / HEAD).unlink()
    with pytest.raises(DataError, match=r"forecasts\.head, which gives the number of lines"):
        Ledger(study)


def test_what_is_no_json_is_named(study: Path) -> None:
    lines = _lines(study)
    lines[1] = "gone\n"
    (study / RECORD).write_text("".join(lines))
    with pytest.raises(DataError, match="line 2 was changed: it is not a record"):
        Ledger(study)


def test_a_line_torn_by_a_kill_is_written_over(study: Path) -> None:
    """It was never committed: the head does not contain it."""
    whole = (study / RECORD).read_bytes()
    (study / RECORD).write_bytes(whole + b'{"kind": "forecast", "li')
    ledger = Ledger(study)
    assert len(ledger.lines) == 6
    ledger.append([{"kind": "forecast", "unit": "u9", "value": 9}])
    again = Ledger(study)
    assert len(again.lines) == 7
    assert (study / RECORD).read_bytes().startswith(whole)


def test_a_kill_between_the_lines_and_the_head_loses_nothing(study: Path) -> None:
    before = (study / HEAD).read_text()
    Ledger(study).append([{"kind": "score", "unit": "s", "value": 1}])
    (study / HEAD).write_text(before)
    assert len(Ledger(study).lines) == 7


def test_a_record_that_grows_while_it_is_read_is_whole(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `augury serve` and `augury status` read it during a run that appends in between."""
    run, grown = Ledger(study), []

    def read_after_growth(path: Path) -> Any:
        if not grown:
            grown.append(path)
            run.append([{"kind": "forecast", "unit": "late", "value": 1.0}])
        return read_json(path)

    monkeypatch.setattr("augury.study.results.ledger.read_json", read_after_growth)
    assert len(Ledger(study).lines) == 7
