"""Trends: the published figures, shapes of real tasks, and clear errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from augury.errors import DataError, UsageError
from augury.forecast.trends import Trend, backtest_outlook, outlook, published_trends, trends
from augury.forecast.trends.evidence import wilks
from augury.forecast.trends.leaps import coincidences
from augury.forecast.trends.noise import basis, roots
from augury.forecast.trends.series import RATE, series_of
from augury.forecast.trends.shrunk_lines import shrinkage, shrunk_line
from tests.shared import INABILITIES_T, inabilities, needs_inabilities

EFFECTS = ("params", "tokens", "interaction")


@needs_inabilities
def test_all_published_t_values() -> None:
    nominal = inabilities(nominal=True)
    found = published_trends(nominal)
    assert found.height == 36
    for task, published in INABILITIES_T.items():
        rows = found.filter(pl.col("task").str.ends_with(task))
        for effect, (t, q) in zip(EFFECTS, published, strict=True):
            row = rows.filter(effect=effect).to_dicts()[0]
            assert row["df"] == 60
            assert row["t"] == pytest.approx(t, abs=0.0051), (task, effect)
            assert (row["q"] < 0.001) if q is None else round(row["q"], 3) == q, (task, effect)


@needs_inabilities
def test_shapes_of_the_published_tasks() -> None:
    found = {(t.task, t.axis): t for t in trends(inabilities()).trends}
    falling = ["truthfulqa_mc1", "truthfulqa_mc2", "isp_memo_trap"]
    for task in [*falling, "isp_pattern_matching_suppression"]:
        assert found[task, "tokens"].shape == "falling", task
        assert found[task, "tokens"].effect_interval[1] < 0
    turn = found["isp_resisting_correction", "tokens"]
    assert turn.shape == "inverted U"
    assert turn.turning_interval is not None
    step = [x / 2097152 for x in turn.turning_interval]
    assert 4000 < step[0] < 16000 < 2 * step[1]
    for task in ("isp_neqa", "isp_into_the_unknown", "isp_repetitive_algebra"):
        assert found[task, "tokens"].shape == "flat", task
    # Its largest model, with each size separate: up to .90 at step 16,000, down to .11 at the end.
    alone = trends(inabilities(), by=("family", "params"))
    algebra = next(
        t
        for t in alone.trends
        if t.task == "isp_repetitive_algebra" and t.family == "pythia 11327027200.0"
    )
    assert algebra.shape == "inverted U"
    assert algebra.turning_interval is not None
    low, high = algebra.turning_interval
    assert low < 16_000 * 2097152 < high
    assert any(n.code == "few-runs" for n in algebra.notes)


def ladder(curve: Any, tasks: int = 12, noise: float = 0.02, seed: int = 0) -> pl.DataFrame:
    """Tasks whose rate is `curve(share of training in logs, log size)` with noise."""
    rng = np.random.default_rng(seed)
    sizes, tokens = np.geomspace(1e8, 1e10, 6), np.geomspace(1e9, 1e11, 10)
    rows = []
    for task in range(tasks):
        for i, n in enumerate(sizes):
            for j, d in enumerate(tokens):
                rate = curve(j / 9, i / 5) + noise * rng.standard_normal()
                rows.append((f"m{i}", n, d, f"task-{task}", float(np.clip(rate, 0, 1))))
    return pl.DataFrame(rows, schema=["model", "params", "tokens", "task", "value"], orient="row")


def test_wilks_is_hotelling_and_anova_where_it_should_be() -> None:
    rng = np.random.default_rng(3)
    y = rng.standard_normal((9, 2)) + 0.4
    mean = y.mean(0)
    h = 9 * np.outer(mean, mean)
    e = y.T @ y - h
    t2 = 9 * mean @ np.linalg.solve(e / 8, mean)
    expected = stats.f.sf(t2 * (9 - 2) / (2 * 8), 2, 7)
    assert wilks(h[None], e[None], 1, 8)[0] == pytest.approx(expected)
    groups = [rng.standard_normal(5), rng.standard_normal(5) + 1, rng.standard_normal(5)]
    whole = np.concatenate(groups)
    within = sum(((g - g.mean()) ** 2).sum() for g in groups)
    between = ((whole - whole.mean()) ** 2).sum() - within
    f = stats.f_oneway(*groups)
    found = wilks(np.full((1, 1, 1), between), np.full((1, 1, 1), within), 2, 12)[0]
    assert found == pytest.approx(f.pvalue)


def test_whitening_undoes_the_dependence() -> None:
    series = series_of(ladder(lambda x, z: 0.5))[0]
    gap = np.abs(series.design.x[:, None] - series.design.x)
    same = series.design.run[:, None] == series.design.run
    c = np.where(same, 0.6 * np.exp(-gap / 2.0), 0.0)
    c[np.diag_indices(len(c))] = 1.0
    from augury.forecast.trends.noise import GRID

    root = roots(series.design)[GRID.index((0.6, 2.0))]
    np.testing.assert_allclose(root @ c @ root.T, np.eye(len(c)), atol=1e-9)
    mean = basis(series.design)
    assert np.linalg.matrix_rank(mean) == mean.shape[1] < len(mean)


def test_a_fall_while_the_rest_rises_is_inverse_scaling() -> None:
    rising = ladder(lambda x, z: 0.3 + 0.3 * x)
    falling = ladder(lambda x, z: 0.6 - 0.3 * x, tasks=1).with_columns(task=pl.lit("bad"))
    found = {(t.task, t.axis): t for t in trends(pl.concat([rising, falling])).trends}
    bad = found["bad", "tokens"]
    assert (bad.shape, bad.inverse) == ("falling", True)
    assert "falls over training" in str(bad)
    assert not found["task-0", "tokens"].inverse
    assert trends(pl.concat([rising, falling])).trends[0] == bad


def test_a_perplexity_that_falls_is_no_inverse_scaling() -> None:
    """The metric or the table gives the direction; if neither does, nothing is claimed."""
    rising = ladder(lambda x, z: 0.3 + 0.3 * x)
    falling = ladder(lambda x, z: 0.6 - 0.3 * x, tasks=1).with_columns(task=pl.lit("odd"))
    table = pl.concat([rising, falling]).drop("n", strict=False)

    def of(**columns: object) -> dict[str, Trend]:
        found = trends(table.with_columns(**{k: pl.lit(v) for k, v in columns.items()}))
        return {t.task: t for t in found.trends if t.axis == "tokens"}

    for columns in ({"metric": "word_perplexity"}, {"metric": "own", "higher_is_better": False}):
        found = of(**columns)
        assert not any(t.inverse for t in found.values())
        assert found["odd"].worsens is False
        assert found["task-0"].worsens is True
        assert next(iter(found)) != "odd"  # scores that get worse come first
        assert str(found["odd"]).endswith("which is better.")
        assert str(found["task-0"]).endswith("which is worse.")
    # Reversed, it is inverse scaling again: one rises while the others fall.
    turned = table.with_columns(value=1 - pl.col("value"), metric=pl.lit("bits_per_byte"))
    found = {t.task: t for t in trends(turned).trends if t.axis == "tokens"}
    assert [name for name, t in found.items() if t.inverse] == ["odd"]
    assert next(iter(found)) == "odd"
    unknown = of(metric="own")
    assert not unknown["odd"].inverse
    assert unknown["odd"].worsens is None
    assert "if higher is better" in unknown["odd"].notes[-1].message
    said = of(metric="own", higher_is_better=True)
    assert said["odd"].inverse


def test_a_threshold_says_what_it_leaves() -> None:
    table = ladder(lambda x, z: 0.25 + 0.5 * max(x - 0.6, 0)).with_columns(chance=pl.lit(0.25))
    found = [t for t in trends(table).trends if t.axis == "tokens"]
    assert np.mean([t.shape == "threshold" for t in found]) > 0.7
    one = next(t for t in found if t.shape == "threshold")
    (note,) = [n for n in one.notes if n.code == "level-before"]
    assert note.details["before"] == pytest.approx(0.25, abs=0.02)


def test_shared_leaps_are_one_skill() -> None:
    jump = ladder(lambda x, z: 0.25 + 0.3 * (x > 0.5), noise=0.01)
    smooth = ladder(lambda x, z: 0.3 + 0.2 * x, seed=1).with_columns(task="s" + pl.col("task"))
    both = pl.concat([jump, smooth])
    (series,) = series_of(both)
    found = coincidences(series)
    assert {c["run"] for c in found} == set(range(6))
    for c in found:
        assert {t for t, _ in c["tasks"]} >= {f"task-{i}" for i in range(12)}
    told = {t.task for t in trends(both).trends if any(n.code == "shared-leap" for n in t.notes)}
    assert told >= {f"task-{i}" for i in range(12)}


def test_the_arcsine_scale_evens_out_counting() -> None:
    rng = np.random.default_rng(0)
    for p in (0.1, 0.5, 0.9):
        seen = RATE.forward(rng.binomial(500, p, 20_000) / 500)
        assert seen.std() == pytest.approx(1 / np.sqrt(500), rel=0.03)
        assert RATE.back(RATE.forward(np.array([p])))[0] == pytest.approx(p)


def test_the_outlook_of_a_line_far_above_one_is_an_interval() -> None:
    """It was [1, 1]: lines far above 1 were averaged before they were cut off."""
    tokens = np.arange(1, 10) * 1e9
    table = pl.concat([
        pl.DataFrame({"model": "m", "tokens": tokens, "task": task, "value": first + tokens / 1e10})
        for task, first in (("a", 0.0), ("b", 0.05))
    ])  # fmt: skip
    found = outlook(table, factor=8.0)
    assert (found["high"] <= 1).all()
    assert (found["high"] - found["low"] > 1e-3).all()


def test_the_outlook_follows_slopes_where_they_go_on_and_not_where_they_do_not() -> None:
    going_on = ladder(lambda x, z: 0.2 + 0.4 * x, noise=0.005)
    tested = backtest_outlook(going_on, 2.2e10)
    errors = {c: (tested[c] - tested["truth"]).abs().mean() for c in ("forecast", "last_value")}
    assert errors["forecast"] < 0.5 * errors["last_value"]  # type: ignore[operator]
    over = ladder(lambda x, z: 0.2 + 0.8 * min(x, 0.4), noise=0.005)
    tested = backtest_outlook(over, 2.2e10)
    errors = {c: (tested[c] - tested["truth"]).abs().mean() for c in ("forecast", "line")}
    assert errors["forecast"] < 0.5 * errors["line"]  # type: ignore[operator]
    ahead = outlook(going_on, factor=1.67)
    assert (ahead["falls"] < 0.05).all()
    assert ((ahead["low"] < ahead["value"]) & (ahead["value"] < ahead["high"])).all()
    assert ahead["value"].mean() == pytest.approx(0.2 + 0.4 * (1 + 1 / 9), abs=0.01)


def test_what_cannot_be_looked_at() -> None:
    table = ladder(lambda x, z: 0.5)
    with pytest.raises(DataError, match=r"column 'value': the column is missing"):
        trends(table.drop("value"))
    with pytest.raises(UsageError, match="one of the columns tokens, step, loss"):
        trends(table.drop("tokens"))
    with pytest.raises(UsageError, match="rate must lie between 0 and 1, not 2"):
        trends(table, rate=2)
    twice = pl.concat([table, table.head(1)])
    with pytest.raises(DataError, match="task 'task-0', metric 'score' has two scores of one run"):
        trends(twice)
    with pytest.raises(DataError, match="no score to analyse"):
        trends(table.with_columns(value=pl.lit(None, pl.Float64)))
    with pytest.raises(UsageError, match="factor must be above 1"):
        outlook(table, factor=1.0)
    with pytest.raises(DataError, match="nothing lies beyond the cut"):
        backtest_outlook(table, 1e15)
    with pytest.raises(DataError, match="task 'task-0' has too few rows"):
        published_trends(table.filter(task="task-0").sort("tokens", "params").gather([0, 1, 8, 9]))


def test_missing_scores_stay_missing() -> None:
    table = ladder(lambda x, z: 0.3 + 0.3 * x)
    holes = table.with_columns(
        value=pl.when((pl.col("task") == "task-3") & (pl.col("model") == "m2"))
        .then(None)
        .otherwise("value")
    )
    found = {(t.task, t.axis): t for t in trends(holes).trends}
    assert found["task-3", "tokens"].shape == "rising"
    nan = table.with_columns(
        value=pl.when(pl.col("task") == "task-3").then(float("nan")).otherwise("value")
    )
    assert "task-3" not in {t.task for t in trends(nan).trends}


def test_few_checkpoints_and_few_runs_are_no_error() -> None:
    rng = np.random.default_rng(0)
    for checkpoints in (1, 2, 3):
        for runs in (1, 3, 5):
            rows = [
                {
                    "model": f"m{i}",
                    "params": 1e8 * 2**i,
                    "tokens": 1e9 * 2**j,
                    "task": task,
                    "value": 0.5 + 0.02 * rng.standard_normal(),
                }
                for task in "ab"
                for i in range(runs)
                for j in range(checkpoints)
            ]
            found = trends(pl.DataFrame(rows))
            if checkpoints == 1:
                assert {t.axis for t in found.trends} <= {"params"}


def test_slopes_of_many_tasks_are_drawn_together_and_intervals_hold() -> None:
    """60 runs of 20 tasks with slopes around a mean, compared with each task's own line."""
    levels = np.array([0.05, 0.5, 0.95])
    u, at = np.log(np.arange(1.0, 11.0)), np.log(np.array([15.0]))
    held = []
    errors: dict[str, list[float]] = {"drawn": [], "alone": []}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        slope = 0.1 + 0.02 * rng.standard_normal((20, 1))
        y = 1.0 + slope * u + 0.05 * rng.standard_normal((20, 10))
        mean = 1.0 + slope * at
        truth = mean + 0.05 * rng.standard_normal((20, 1))
        low, middle, high = shrunk_line(u, y, at, None).quantiles(levels)
        held.append((low <= truth) & (truth <= high))
        alone = np.polynomial.polynomial.polyfit(u, y.T, 1)
        errors["drawn"].append(((middle - mean) ** 2).mean())
        errors["alone"].append(((alone[0] + alone[1] * at[0] - mean[:, 0]) ** 2).mean())
    assert 0.87 <= np.mean(held) <= 0.93  # 1,200 forecasts
    assert np.mean(errors["drawn"]) < 0.7 * np.mean(errors["alone"])


def test_three_tasks_keep_their_slopes() -> None:
    """James and Stein need four tasks; their formula, by hand."""
    assert (shrinkage(np.array([1.0, 2.0, 5.0]), np.ones(3))[0] == 1).all()
    slope = np.array([0.0, 1.0, 3.0, 4.0, 7.0])
    kept, mean = shrinkage(slope, np.full(5, 2.0))
    assert mean == pytest.approx(3.0)
    assert kept == pytest.approx(1 - (2 / 4) * 2.0 / slope.var(ddof=1))
