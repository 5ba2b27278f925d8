"""Trends on a page: worse scores first, the direction of better, and access to every score."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import augury
from augury.forecast.trends import Trends, trends
from augury.report.page import Story, trends_section
from augury.report.page.html import html_of
from augury.report.page.listing import (
    HIGH,
    MOST_LINES,
    WIDE,
    ListGroup,
    Listing,
    ListRow,
    Spark,
    sparkline,
)
from augury.report.page.measurements import table_story
from augury.report.page.outcomes import group_of, outcome_figure, trends_verdict
from augury.study.page import story_of

HOSTILE = "<script>alert('no')</script>\" onload=\"x"
# Slope before and after the middle of training, metric -> outcome.
TASKS = {
    "grows": (0.04, 0.04, "acc"),
    "grows_too": (0.05, 0.05, "acc"),
    "rots": (-0.04, -0.04, "acc"),
    HOSTILE: (-0.05, -0.05, "acc"),
    "turns": (0.06, -0.06, "acc"),
    "still": (0.0, 0.0, "acc"),
    "words": (-0.05, -0.05, "perplexity"),
    "unknown": (0.05, 0.05, "difference"),
}


def table() -> pl.DataFrame:
    rng = np.random.default_rng(3)
    steps = np.geomspace(10, 10_000, 12)
    rows = []
    for task, (early, late, metric) in TASKS.items():
        for m in range(4):
            level = np.cumsum([0.0] + [early] * 6 + [late] * 5) + 0.004 * rng.standard_normal(12)
            rows += [
                {"model": f"m{m}", "params": 10.0 ** (6 + m), "step": int(s), "task": task,
                 "metric": metric, "value": 0.5 + float(v)}
                for s, v in zip(steps, level, strict=True)
            ]  # fmt: skip
    return pl.DataFrame(rows)


@pytest.fixture(scope="module")
def found() -> Trends:
    return trends(table())


@pytest.fixture(scope="module")
def story() -> Story:
    return table_story(table(), "checkpoints")


def test_scores_are_counted_by_what_becomes_of_them(found: Trends) -> None:
    over = {t.task: group_of(t) for t in found.trends if t.axis != "params"}
    assert over == {
        "grows": "improve", "grows_too": "improve", "rots": "get worse", HOSTILE: "get worse",
        "turns": "turn", "still": "show no trend", "words": "improve",
        "unknown": "change, better or worse unknown",
    }  # fmt: skip
    verdict = trends_verdict(found)
    assert verdict.lead == "Over training, 3 scores improve, 2 get worse, 1 turns."
    assert any("it is not known which way is better for difference" in d for d in verdict.details)
    assert not any(" 0 " in f" {d}" or "All are" in d for d in verdict.details)
    figure = outcome_figure(found)
    assert figure is not None
    assert figure.data["scores"].sum() == len(TASKS)
    assert set(figure.data["metric"]) == {
        "acc: higher is better", "perplexity: lower is better", "difference: direction not known",
    }  # fmt: skip


def test_every_score_is_listed_once_in_its_group(found: Trends) -> None:
    listing = trends_section(found, most=3).listing
    assert listing is not None
    assert [g.heading for g in listing.groups] == [
        "2 get worse", "1 turns", "3 improve", "1 changes, better or worse unknown",
        "1 shows no trend",
    ]  # fmt: skip
    assert listing.groups[-1].folded
    names = [r.name for g in listing.groups for r in g.rows]
    assert sorted(names) == sorted(f"{t} · {m}" for t, (_, _, m) in TASKS.items())
    (turns,) = listing.groups[1].rows
    assert turns.cells[0] == "rises, then falls: worse"
    assert turns.spark is not None
    assert turns.spark.mark is not None
    assert WIDE / 3 < turns.spark.mark < 2 * WIDE / 3 + 20


def test_the_page_leads_with_the_counts_and_escapes_every_name(story: Story) -> None:
    assert story.title == "checkpoints: what gets better and what gets worse?"
    assert story.answer[0].startswith("Over training, 3 scores improve, 2 get worse")
    assert story.hero is not None
    assert story.hero.id == "outcomes"
    text = html_of(story)
    assert "<script>alert" not in text
    assert text.count("<script>") == 2  # the charts and the page's own
    assert 'onload="x"' not in text
    assert "&lt;script&gt;alert(&#39;no&#39;)" in text
    assert text.count('class="spark"><svg') == len(TASKS)
    assert "grows_<wbr>too" in text
    assert 'type="search"' in text


def test_saved_trends_are_told_as_they_are_told_of_their_table(
    tmp_path: Path, found: Trends, story: Story
) -> None:
    told = story_of(augury.save(found, tmp_path / "trends"))
    assert story.verdicts[0].lead == told.verdicts[0].lead
    assert [f.id for f in told.figures] == [f.id for f in story.figures]
    shown = {s.heading: s for s in story.sections}
    assert told.sections[0].listing == shown[told.sections[0].heading].listing


def test_saved_trends_that_are_all_flat_are_a_table(tmp_path: Path) -> None:
    flat = trends(table().filter(pl.col("task") == "still"))
    told = story_of(augury.save(flat, tmp_path / "trends"))
    assert "no score improves, gets worse or turns" in told.verdicts[0].lead
    assert told.sections[0].tables[0].data["task"].to_list() == ["still"]


def test_a_row_is_drawn_inside_its_box() -> None:
    rng = np.random.default_rng(0)
    x = np.geomspace(1, 1e5, 200)
    drawn = sparkline([(x, rng.standard_normal(200)) for _ in range(9)], mark=1e5)
    assert drawn is not None
    assert len(drawn.lines) == MOST_LINES
    at = [int(v) for line in drawn.lines for v in re.findall(r"\d+", line)]
    assert all(0 <= v <= WIDE for v in at[::2])
    assert all(0 <= v <= HIGH for v in at[1::2])
    flat = sparkline([(np.array([1.0, 2.0]), np.array([0.5, 0.5]))])
    assert flat is not None
    assert sparkline([(np.array([1.0]), np.array([0.5]))]) is None
    assert sparkline([(np.array([1.0, np.nan]), np.array([0.5, 0.5]))]) is None


def test_a_list_that_would_be_too_large_loses_its_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    spark = Spark(tuple("1,2 " * 300 for _ in range(4)))
    rows = tuple(ListRow(f"task {i}", ("rises",), spark) for i in range(400))
    listing = Listing("All", ("over training",), (ListGroup("400 improve", rows),))
    assert listing.count == 400
    from augury.report.page import Section

    text = html_of(Story("Many", ("Many.",), (Section("All", listing=listing),)))
    assert 'class="spark"><svg' not in text
    assert text.count('<tr role="row"><td') == 400
    assert len(text.encode()) < 2_000_000
