"""Section: scores as measured, one panel per task, without a law."""

from __future__ import annotations

from typing import Any

import polars as pl

from augury.data.scores import add_value, has_scores, whole_tasks
from augury.report.page.draw import FALLING, NAMES, tips
from augury.report.page.palette import BLUE
from augury.report.page.story import Figure, Section, Table

# More panels are unreadable; the table has the rest.
MOST_PANELS = 12
SCALES = ("params", "flops", "tokens", "loss", "step")


def scores_section(table: pl.DataFrame, *, name: str = "scores") -> Section | None:
    """Show all scores of whole tasks, or None if a table has none."""
    import altair as alt

    if not has_scores(table.columns):
        return None
    rows = add_value(whole_tasks(table))
    if rows.is_empty():  # only single instances: use their means as scores
        by = [c for c in ("model", "task", "metric", *SCALES) if c in table.columns]
        rows = add_value(table).group_by(by, maintain_order=True).agg(pl.col("value").mean())
    rows = rows.filter(pl.col("value").is_not_null())
    if rows.is_empty():
        return None
    kept = ("model", "task", "metric", "finetune_examples", *SCALES)
    columns = [c for c in kept if c in rows.columns and rows[c].is_not_null().any()]
    data = rows.select(*columns, pl.col("value").cast(pl.Float64)).unique(maintain_order=True)
    summary = _summary(data)
    x = next((s for s in SCALES if s in columns and data[s].n_unique() > 1), None)
    figures: tuple[Figure, ...] = ()
    if x is not None:
        tasks = data["task"].unique(maintain_order=True).to_list() if "task" in columns else [None]
        panels = [_panel(alt, data, x, task) for task in tasks[:MOST_PANELS]]
        figures = (
            Figure(
                name,
                f"Scores over {NAMES.get(x, x).lower()}",
                "Every dot is one measured score; nothing is fitted here."
                + (f" The first {MOST_PANELS} tasks." if len(tasks) > MOST_PANELS else ""),
                "More models, and more instances per score.",
                alt.concat(*panels, columns=3).to_dict(),
                data,
                f"{data.height} scores of {len(tasks)} tasks over {NAMES.get(x, x).lower()}.",
            ),
        )
    text = f"{data.height:,} scores as they were measured."
    return Section("Scores", (text,), figures, (Table("Scores by task", summary),))


def _summary(data: pl.DataFrame) -> pl.DataFrame:
    by = [c for c in ("task", "metric") if c in data.columns]
    values = [
        pl.len().alias("scores"),
        pl.col("value").min().alias("lowest"),
        pl.col("value").median().alias("median"),
        pl.col("value").max().alias("highest"),
    ]
    return data.group_by(by, maintain_order=True).agg(values) if by else data.select(values)


def _panel(alt: Any, data: pl.DataFrame, x: str, task: str | None) -> Any:
    own = data if task is None else data.filter(pl.col("task") == task)
    falls = x in FALLING
    positive = own[x].drop_nulls().min()
    log = not falls and isinstance(positive, int | float) and positive > 0
    scale = alt.Scale(
        nice=False,
        **({"reverse": True, "zero": False} if falls else {"type": "log" if log else "linear"}),
    )
    name = {"model": ""} if "model" in own.columns else {}
    return (
        alt.Chart(own)
        .mark_point(color=BLUE, filled=True, size=30, opacity=0.75)
        .encode(
            x=alt.X(f"{x}:Q", title=None, scale=scale,
                    axis=alt.Axis(format="~s", grid=False, tickCount=4)),
            y=alt.Y("value:Q", title=None, scale=alt.Scale(zero=False),
                    axis=alt.Axis(tickCount=4)),
            tooltip=tips(**name, **{x: ".4~s", "value": ".3~g"}),
        )
        .properties(width=190, height=120,
                    title=alt.TitleParams(task or "all", fontSize=12, offset=4, limit=200))
    )  # fmt: skip
