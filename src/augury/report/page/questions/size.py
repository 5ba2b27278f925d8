"""The figure of an effective size: the family's curves, and the model's scores on them."""

from __future__ import annotations

import polars as pl

from augury.forecast.questions import SizeAnswer
from augury.report.page.draw import along, tips
from augury.report.page.palette import BLUE, ORANGE
from augury.report.page.story import Figure
from augury.report.page.words import interval_text

COLUMNS = 3


def size_figures(answer: SizeAnswer) -> tuple[Figure, ...]:
    """Draw one small panel per task: the family's models and curve, and the model."""
    import altair as alt

    curve = answer.curve.filter(pl.col("kind") == "curve")
    family = answer.curve.filter(pl.col("kind") == "family")
    own = answer.table.drop_nulls("effective_params").select(
        "task", params="effective_params", value="score", kind=pl.lit("model")
    )
    data = pl.concat([curve, family, own], how="diagonal_relaxed")
    x = along("params")
    y = alt.Y("value:Q", scale=alt.Scale(zero=False, nice=True), title="Score")
    tip = tips(task="", params=".3~s", value=".3f")
    panels = []
    for task in answer.table["task"]:
        part = data.filter(pl.col("task") == task)
        base = {kind: alt.Chart(part.filter(pl.col("kind") == kind))
                for kind in ("curve", "family", "model")}  # fmt: skip
        panels.append(
            alt.layer(
                base["curve"].mark_line(color=BLUE, strokeWidth=1.5).encode(x=x, y=y),
                base["family"].mark_point(color=BLUE, size=30, filled=True, opacity=0.8)
                .encode(x=x, y=y, tooltip=tip),
                base["model"].mark_point(color=ORANGE, size=80, shape="diamond", filled=True)
                .encode(x=x, y=y, tooltip=tip),
            ).properties(width=150, height=110, title=alt.Title(task, fontSize=11, offset=4))
        )  # fmt: skip
    chart = alt.concat(*panels, columns=COLUMNS)
    said = interval_text(answer.effective_params.value, *answer.effective_params.interval)
    lead = (
        f"{answer.model} scores as a {answer.reference} of {said.value} parameters would "
        f"({answer.level:.0%} interval: {said.interval})"
    )
    if answer.density is not None:
        lead += f": density {answer.density:.2g}"
    return (
        Figure(
            "size",
            lead,
            f"Dots and curves: {answer.reference}. Diamonds: {answer.model}'s scores, at the size "
            "with these scores.",
            "More sizes of the family, or other benchmarks.",
            chart.to_dict(),
            data,
            f"{lead}.",
        ),
    )
