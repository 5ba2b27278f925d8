"""The picture of a ladder: everything in the tables is in the picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from augury.errors import UsageError
from augury.report import ladder_figure, save_figure


@pytest.fixture
def chart() -> Any:
    observed = pl.DataFrame({"params": [1e3, 1e4], "value": [2e-6, 3e-4], "greedy": [0.0, 0.01]})
    grid = pl.DataFrame({"params": [1e3, 1e4, 1e5], "value": [2e-6, 3e-4, 1e-2]})
    bands = {
        f"{kind}_{side}": pl.col("value") * factor
        for kind, far in (("mean", 1.5), ("run", 3.0))
        for side, factor in (("low", 1 / far), ("high", far))
    }
    truth = pl.DataFrame({"params": [1e5], "value": [2e-2], "greedy": [0.1]})
    return ladder_figure(
        observed, grid.with_columns(**bands), truth, title="A title", subtitle=["What it shows."]
    )


def test_every_point_and_the_band_are_drawn(chart: Any) -> None:
    drawn = chart.to_dict()
    marks = next(rows for rows in drawn["datasets"].values() if "shown" in rows[0])
    assert len(marks) == 6
    assert {r["shown"] for r in marks} == {
        "exact pass probability, fitted",
        "greedy accuracy, fitted",
        "exact pass probability, trained after the forecast",
        "greedy accuracy, trained after the forecast",
    }
    # A greedy accuracy of zero is on the lower edge, not at minus infinity.
    low, high = drawn["layer"][0]["encoding"]["y"]["scale"]["domain"]
    assert (low, high) == (pytest.approx(10**-6.5), 1.0)
    assert min(r["rate"] for r in marks) == pytest.approx(low)
    assert all(layer["encoding"]["x"]["scale"]["type"] == "log" for layer in drawn["layer"])


@pytest.mark.parametrize(
    ("name", "begins"), [("f.svg", b"<svg"), ("f.png", b"\x89PNG"), ("f.pdf", b"%PDF")]
)
def test_it_is_saved_as_asked(chart: Any, tmp_path: Path, name: str, begins: bytes) -> None:
    path = save_figure(chart, tmp_path / "deep" / name)
    assert path.read_bytes().startswith(begins)


@pytest.mark.slow
def test_the_page_needs_no_network_and_no_name_ends_its_script(chart: Any, tmp_path: Path) -> None:
    chart = chart.properties(title="A title</script><b>")
    page = save_figure(chart, tmp_path / "f & g.html").read_text()
    assert 'src="http' not in page
    assert "<title>f &amp; g</title>" in page
    assert "A title" in page
    assert "A title</script>" not in page


def test_other_suffixes_are_refused(chart: Any, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot draw f.docx: expected .svg, .png, .pdf or .html"):
        save_figure(chart, tmp_path / "f.docx")
