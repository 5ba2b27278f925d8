"""Every result draws itself: a chart to change or combine, and files beside a saved fit."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

import augury
from augury.display import Card, Shown
from augury.errors import UsageError
from augury.fitting import Fit
from augury.report.page.result import save_figures
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


def test_a_backtest_and_a_combination_draw_what_they_rest_on() -> None:
    found = augury.backtest(["power", "chinchilla"], losses(), by="params")
    assert "Forecast and observed" in "".join(found.chart().to_dict()["title"]["text"])


def test_a_saved_fit_has_its_figures_beside_it(fitted: Fit, tmp_path: Path) -> None:
    """Names that XML forbids are drawn too; they ended the process once."""
    paths = save_figures(fitted, tmp_path / "figures")
    assert [path.name for path in paths] == ["loss-law.svg", "residuals.svg"]
    assert all(path.read_text().startswith("<svg") for path in paths)
    residuals = pl.read_csv(tmp_path / "figures" / "residuals.csv")
    assert residuals.height == fitted.n


class Empty(Shown):
    def _card(self) -> Card:
        return Card("Nothing", pl.DataFrame({"words": ["none"]}))


def test_what_has_no_picture_says_so() -> None:
    with pytest.raises(UsageError, match="Empty: there is nothing in it that could be drawn"):
        Empty().chart()
