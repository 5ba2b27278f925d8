"""The scorecard: scores compared with an independent computation, its record and its page."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from benchmarks.scorecard import __main__ as scorecard
from benchmarks.scorecard import baselines, page
from benchmarks.scorecard.cases import FARTHEST, NEAREST, Case, windows
from benchmarks.scorecard.record import record_of, scored
from scipy import stats

ROOT = Path(__file__).parent.parent


def ladder(seed: int = 0, n: int = 40) -> Case:
    """A straight line in logarithms with 5 % of noise, and its first window."""
    rng = np.random.default_rng(seed)
    flops = np.geomspace(1.0, 1e3, n)
    y = 3.0 * flops**-0.1 * np.exp(0.05 * rng.standard_normal(n))
    table = pl.DataFrame({"flops": flops, "y": y})
    return next(windows("loss", "c", f"l{seed}", table, scale="log", cuts=1))


def test_windows_forecast_what_lies_beyond() -> None:
    case = ladder()
    assert case.past["flops"].max() == case.cut
    assert (case.at >= NEAREST * case.cut).all()
    assert (case.at <= FARTHEST * case.cut).all()
    assert len(case.at) > 3


def test_the_line_is_that_of_scipy_and_its_interval_holds() -> None:
    held = []
    for seed in range(60):
        case = ladder(seed)
        quantiles = baselines.line(case)
        found = stats.linregress(np.log(case.x), np.log(case.y))
        middle = np.exp(found.intercept + found.slope * np.log(case.at))
        assert quantiles[len(quantiles) // 2] == pytest.approx(middle)
        held.append((quantiles[0] <= case.truth) & (case.truth <= quantiles[-1]))
    assert 0.85 <= np.mean(held) <= 0.95  # 480 forecasts, eight per ladder


def test_crps_is_that_of_the_normal_distribution() -> None:
    """It is a sum over quantiles without the outermost twentieths."""
    case = ladder()
    m, s = np.log(case.truth) + 0.05, 0.1
    quantiles = np.exp(m + s * stats.norm.ppf(baselines.LEVELS)[:, None])
    found = [row["crps"] for row in scored(case, "development", "f", quantiles)]
    z = (np.log(case.truth) - m) / s
    exact = s * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi))
    assert found == pytest.approx(exact, rel=0.12)


def test_skill_is_paired_with_the_line() -> None:
    """A forecaster with half the line's score on its targets has a skill of one half."""
    rows = [
        {
            "kind": "loss", "corpus": "c", "half": "scored", "ladder": f"l{i}", "cut": 1.0,
            "target": 0, "forecaster": name, "wis": score, "crps": score, "held": True,
            "width": 1.0, "error": 0.1,
        }
        for i in range(8)
        for name, score in (("line", 1.0 + i), ("half", (1.0 + i) / 2))
        if name == "line" or i < 5
    ]  # fmt: skip
    record = record_of(pl.DataFrame(rows))
    (half,) = [r for r in record if r["forecaster"] == "half" and r["corpus"] == "all"]
    assert half["n"] == 5
    assert half["skill"] == {"value": 0.5, "interval": [0.5, 0.5]}


def test_a_part_of_the_record_is_replaced_where_it_stands() -> None:
    old = [{"kind": k, "half": "scored", "n": i} for i, k in enumerate(("a", "b", "b", "c"))]
    new = [{"kind": "b", "half": "scored", "n": 9}, {"kind": "d", "half": "scored", "n": 8}]
    found = scorecard.merged(old, new)
    assert [(row["kind"], row["n"]) for row in found] == [("a", 0), ("b", 9), ("c", 3), ("d", 8)]


def test_the_page_is_made_from_the_record(capsys: pytest.CaptureFixture[str]) -> None:
    scorecard.main(["--json"])
    record = json.loads(capsys.readouterr().out)
    text = (ROOT / "docs" / "compare.md").read_text(encoding="utf-8")
    assert page.page_of(text, record) == text, "run `python -m benchmarks.scorecard.page`"
    keys = {"kind", "corpus", "half", "forecaster", "n", "wis", "crps", "coverage90", "width90",
            "median_error", "skill"}  # fmt: skip
    assert all(set(row) == keys for row in record)
    assert {row["half"] for row in record} == {"development", "scored"}
