"""Results in a notebook: tables with escaped contents, pictures, and rows for pandas."""

from __future__ import annotations

import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import augury
from augury.display import MOST_ROWS, Card, Several, Shown, html_of, to_pandas
from augury.errors import UsageError
from augury.evaluate import PassCounts
from augury.fitting.result import Status
from augury.forecast import Backtest
from augury.forecast.emergence import EmergencePoint
from augury.forecast.emergence.result import EmergenceStatus
from augury.notes import Note
from tests.study.helpers import inside, table_study

HOSTILE = "<script>alert('no')</script> & co"


class Seen(HTMLParser):
    """Tags in order, texts of cells, and alternative texts of pictures."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text: list[str] = []
        self.pictures: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "img":
            given = dict(attrs)
            assert (given["src"] or "").startswith("data:image/")
            self.pictures.append(given["alt"] or "")

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def seen(result: Any) -> Seen:
    text = result._repr_html_()
    assert "http" not in text
    return Seen(text)


def losses() -> pl.DataFrame:
    params = np.geomspace(1e6, 1e9, 10)
    return pl.DataFrame({"params": params, "loss": 1.7 + 400 / params**0.35})


def rows() -> pl.DataFrame:
    value = np.geomspace(0.1, 0.2, 4)
    return pl.DataFrame(
        {"law": [HOSTILE] * 4, "cut": ["params < 1e4"] * 4, "row": range(4), "observed": value,
         "value": value, "low": value / 2, "high": value * 2, "held": [True] * 4,
         "error": [0.0] * 4, "relative": [0.0] * 4, "crps": [0.1] * 4}
    )  # fmt: skip


def counts() -> PassCounts:
    empty = np.zeros(0)
    return PassCounts(
        {"model": "m"}, HOSTILE, 0.0, "tree", ("a", "b"), np.array([2, 0]), np.array([50, 99]),
        empty, np.full(2, np.nan), 2.0, 99, 1.0, "exact", {}, ("a sentence",),
    )  # fmt: skip


def point() -> EmergencePoint:
    return EmergencePoint(
        1.9, (1.8, 2.0), 0.9, "loss", "above", 0.03, "relu", EmergenceStatus.VAGUE,
        (Note("ahead", "info", HOSTILE),), {"relu": (1.9, 1.8, 2.0)},
    )  # fmt: skip


def wandering() -> Any:
    rng = np.random.default_rng(0)
    return augury.trends(
        pl.DataFrame(
            [
                {"model": f"m{m}", "params": 10.0 ** (6 + m), "step": k, "task": task,
                 "value": 0.5 + slope * k + 0.01 * rng.standard_normal()}
                for task, slope in ((HOSTILE, 0.03), ("falls", -0.03))
                for m in range(4) for k in range(1, 9)
            ]
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("make", "columns", "pictures"),
    [
        (lambda: Backtest(rows(), 0.9), rows().columns, 1),
        (counts, ["model", "task", "metric", "value", "passes", "samples"], 0),
        (point, ["law", "value", "low", "high"], 0),
        (wandering, ["task", "shape", "effect", "q"], 1),
    ],
)
def test_a_result_is_a_table_in_a_notebook_and_in_pandas(
    make: Callable[[], Any], columns: list[str], pictures: int
) -> None:
    result = make()
    told = seen(result)
    assert {"table", "th", "td"} <= set(told.tags)
    assert "script" not in told.tags
    assert repr(result).startswith(f"<{type(result).__name__}: ")
    assert len(repr(result)) < 250
    assert "\n" not in repr(result)
    assert any(HOSTILE in text for text in [*told.text, "".join(told.text)])
    assert len(told.pictures) == pictures
    frame = result.to_pandas()
    assert type(frame).__module__.startswith("pandas")
    assert set(columns) <= set(frame.columns)


def test_a_fit_shows_its_parameters_its_law_and_its_notes() -> None:
    fitted = augury.fit("power", losses())
    told = seen(fitted)
    assert {"E", "alpha", "meaning"} <= set(told.text)
    assert "converged" in told.text[0]
    assert all(f"{note.severity}: {note.message}" in told.text for note in fitted.notes)
    assert told.pictures[0].startswith("loss of 10 runs")
    frame = fitted.to_pandas()
    assert dict(zip(frame["parameter"], frame["value"], strict=True)) == fitted.parameters
    forecasts = augury.predict(fitted, {"params": [1e10, 1e11]})
    assert seen(forecasts).tags.count("tr") == 3
    assert forecasts.to_pandas()["value"].to_list() == [f.value for f in forecasts]
    assert str(forecasts) == "\n".join(map(str, forecasts))
    assert isinstance(forecasts, list)
    assert forecasts[0].to_pandas().shape == (1, 8)


def test_a_fit_that_found_nothing_says_so_and_draws_nothing() -> None:
    fitted = augury.fit("power", losses())
    lost = type(fitted)(**{**vars(fitted), "status": Status.NO_START_CONVERGED})
    told = seen(lost)
    assert not told.pictures
    assert Status.NO_START_CONVERGED.remedy in told.text


@pytest.mark.slow
def test_a_study_shows_what_is_on_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table_study(tmp_path)
    study = augury.Study(tmp_path)
    assert "no forecast is on record yet" in seen(study).text
    inside(monkeypatch, tmp_path)
    study.run()
    told = seen(study)
    assert "8 of 8 units done" in told.text[0]
    assert told.tags.count("tr") == 1 + study.scoreboard().height
    assert study.to_pandas().columns.to_list() == study.scoreboard().columns
    record = tmp_path / "forecasts.jsonl"
    record.write_text(record.read_text().replace('"level": 0.9', '"level": 0.5', 1))
    assert "line 1 was changed" in study._repr_html_()


class Rows(Shown):
    """A result of one column."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def _card(self) -> Card:
        return Card("rows", pl.DataFrame({"x": self.values}, strict=False), ("a note",))


def test_numbers_are_short_and_long_tables_are_cut() -> None:
    values = [1234567.0, 0.000123456, float("nan"), float("inf"), None, -2.0]
    assert seen(Rows(values)).text[2:8] == [
        "1,234,567", "0.0001235", "nan", "inf", "-2", "a note",
    ]  # fmt: skip
    text = Rows(list(range(MOST_ROWS + 5)))._repr_html_()
    assert "and 5 more rows: to_pandas() has all of them" in text
    assert len(Rows(list(range(MOST_ROWS + 5))).to_pandas()) == MOST_ROWS + 5


def test_a_result_prints_its_heading_its_table_and_its_notes() -> None:
    assert str(Rows([1234567.0, None, -0.5])) == (
        "rows\n          x\n  1,234,567\n\n       -0.5\n  a note"
    )
    assert str(Rows(["a" * 60])).splitlines()[2] == f"  {'a' * 39}…"
    assert "and 5 more rows" in str(Rows(list(range(MOST_ROWS + 5))))
    assert repr(Several([Rows([1])])) == "<Several: rows>"


def test_several_results_are_one_table_with_each_note_once() -> None:
    several = Several([Rows([1]), Rows([2])])
    told = seen(several)
    assert told.tags.count("table") == 1
    assert told.text.count("a note") == 1
    assert several.to_pandas()["x"].to_list() == [1, 2]
    assert html_of(Several([])._card()) == "<div><p><b>Nothing</b></p></div>"


def test_pandas_takes_nulls_and_is_not_needed_for_anything_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    table = pl.DataFrame({"a": [1.5, None], "b": ["x", None], "c": [True, False], "d": [1, 2]})
    frame = to_pandas(table)
    assert np.isnan(frame["a"][1])
    assert frame["d"].to_list() == [1, 2]
    assert frame["b"].isna().to_list() == [False, True]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(UsageError, match=r"^to_pandas\(\) needs pandas: pip install pandas$"):
        to_pandas(table)
    assert "<table>" in Rows([1])._repr_html_()
