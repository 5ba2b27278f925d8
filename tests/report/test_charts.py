"""Every result draws itself: a chart to change or combine, and files next to a saved fit."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

import augury
from augury.display import Card, Shown
from augury.errors import UsageError
from augury.fitting import Fit
from augury.fitting.influence import influence_of
from augury.forecast.questions import ladder_outlook
from augury.report.page.questions.tasks import tasks_figures
from augury.report.page.result import figures_of, save_figures
from augury.report.page.write import WIDER_NAMES, standalone_spec
from tests.report.test_stories import losses


@pytest.fixture(scope="module")
def fitted() -> Fit:
    table = losses().with_columns(model=pl.concat_str(pl.col("model"), pl.lit("\x00\x1b")))
    return augury.fit("chinchilla", table)


def test_a_fit_draws_its_law_and_forecasts_their_intervals(fitted: Fit) -> None:
    chart = fitted.chart().to_dict()
    assert len(chart["layer"]) == 3  # band, law, points
    forecasts = augury.predict(fitted, {"params": [1e10, 2e10], "tokens": [2e11, 4e11]})
    drawn = forecasts.chart().to_dict()
    (rows,) = drawn["datasets"].values()
    assert [row["value"] for row in rows] == [f.value for f in forecasts]
    assert [row["low"] for row in rows] == [f.run_interval[0] for f in forecasts]
    assert "params" in rows[0]["what"]


@pytest.mark.slow
def test_a_backtest_and_a_combination_draw_what_they_rest_on() -> None:
    found = augury.backtest(["power", "chinchilla"], losses(), by="params")
    chart = found.chart().to_dict()
    assert "How far forecasts of larger models were off" in "".join(chart["title"]["text"])
    assert [panel["title"]["text"] for panel in chart["concat"]] == ["power"]


def test_a_saved_fit_has_its_figures_beside_it(fitted: Fit, tmp_path: Path) -> None:
    """Names that XML forbids are drawn too; they once ended the process."""
    paths = save_figures(fitted, tmp_path / "figures")
    assert [path.stem for path in paths] == ["loss-law", "residuals", "influence"]
    assert all(path.read_text().startswith("<svg") for path in paths)
    residuals = pl.read_csv(tmp_path / "figures" / "residuals.csv")
    assert residuals.height == fitted.n


def test_names_beside_rows_have_room_in_wider_fonts(fitted: Fit) -> None:
    """Names of 30 letters were cut off at the left of the exported picture of a ladder's tasks."""
    runs = [
        {"model": f"m{i}", "params": n, "tokens": 20 * n, "task": t, "value": 0.3 + 0.04 * i}
        for i, n in enumerate((1e7, 2e7, 4e7, 8e7, 1.6e8))
        for t in ("bbh_salient_translation_error_detection", "boolq")
    ]
    (tasks,) = tasks_figures(ladder_outlook(pl.DataFrame(runs), {"params": 1e9, "tokens": 2e10}))
    (_, residuals, *_) = figures_of(fitted)
    left = [standalone_spec(figure)["padding"]["left"] for figure in (tasks, residuals)]
    assert left[0] - left[1] == WIDER_NAMES > 0.12 * 220  # of the longest name that is not cut


@pytest.mark.slow
def test_influence_is_what_a_fit_without_the_point_says(fitted: Fit) -> None:
    found = influence_of(fitted)
    assert found.height == fitted.n
    (note,) = [n for n in fitted.notes if n.code == "leave-one-out"]
    at = int(found["moves"].abs().arg_max() or 0)
    most = found.row(at, named=True)
    assert abs(most["moves"]) == pytest.approx(
        max(map(abs, note.details["standard_errors"].values())), rel=1e-9
    )
    # Refitted without the point: the parameter moves that way, by that many standard errors.
    rest = losses().filter(pl.int_range(pl.len()) != at)
    moved = np.log(augury.fit("chinchilla", rest).parameters[most["parameter"]])
    low, high = np.log(fitted.intervals[most["parameter"]])
    change = moved - np.log(fitted.parameters[most["parameter"]])
    assert change / ((high - low) / (2 * 1.645)) == pytest.approx(most["moves"], rel=0.35)


def test_a_result_is_saved_as_a_folder_or_a_picture(fitted: Fit, tmp_path: Path) -> None:
    assert augury.load(fitted.save(tmp_path / "fit")).parameters == fitted.parameters
    assert fitted.save(tmp_path / "fit.svg").read_text().startswith("<svg")
    with pytest.raises(UsageError, match="it holds nothing that can be drawn"):
        Empty().save(tmp_path / "empty.png")


def test_draws_go_to_arviz(fitted: Fit, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the interface of ArviZ 0.x and of 1.x; checked by hand against 0.23.4."""
    monkeypatch.setitem(sys.modules, "arviz", None)
    with pytest.raises(UsageError, match=r'needs ArviZ: pip install "augury\[arviz\]"'):
        fitted.to_inference_data()
    for version in ("0.23.4", "1.0.0"):
        taken: list[Any] = []
        fake = SimpleNamespace(
            __version__=version, from_dict=lambda *a, t=taken, **k: t.append(a[0] if a else k)
        )
        monkeypatch.setitem(sys.modules, "arviz", fake)
        fitted.to_inference_data()
        (groups,) = taken
        assert set(groups) == {"posterior", "observed_data", "constant_data"}
        assert set(groups["posterior"]) == set(fitted.parameters)
        assert groups["posterior"]["E"].shape == (1, len(fitted.draws))
        assert set(groups["constant_data"]) == {"params", "tokens"}


class Empty(Shown):
    def _card(self) -> Card:
        return Card("Nothing", pl.DataFrame({"words": ["none"]}))


def test_what_has_no_picture_says_so() -> None:
    with pytest.raises(UsageError, match="Empty: it holds nothing that can be drawn"):
        Empty().chart()
