"""The figure of many tasks: the current score, the forecast, and the threshold."""

from __future__ import annotations

import polars as pl

from augury.forecast.questions import LadderOutlook
from augury.report.page.draw import finished, tips
from augury.report.page.palette import BLUE, GREY, ORANGE
from augury.report.page.story import Figure
from augury.report.page.words import place_text


def tasks_figures(answer: LadderOutlook) -> tuple[Figure, ...]:
    """Draw one row per task: its score now, its forecast and interval, and the threshold."""
    import altair as alt

    data = answer.table.sort("value", descending=True)
    order = data["task"].to_list()
    base = alt.Chart(data)
    ends = [*data["low"], *data["high"], *data["now"]]
    scale = alt.Scale(domain=[max(0.0, min(ends) - 0.02), min(1.0, max(ends) + 0.02)], nice=True)
    title = "Score"

    def x(field: str) -> alt.X:
        axis = alt.Axis(format=".0%", tickCount=6)
        return alt.X(f"{field}:Q", scale=scale, title=title, axis=axis)

    y = alt.Y("task:N", sort=order, title=None)
    tip = tips(task="", now=".3f", value=".3f", low=".3f", high=".3f", probability_above=".1%")
    layers = [
        base.mark_rule(color=BLUE, strokeWidth=4, opacity=0.45).encode(
            x=x("low"), x2="high:Q", y=y, tooltip=tip
        ),
        base.mark_point(color=GREY, size=60, strokeWidth=2).encode(x=x("now"), y=y, tooltip=tip),
        base.mark_point(color=BLUE, filled=True, size=80, opacity=1).encode(
            x=x("value"), y=y, tooltip=tip
        ),
    ]
    marked = ""
    if answer.threshold is not None:
        marked = (
            f" Orange: the threshold of {answer.threshold:.0%}, with the probability of passing it."
        )
        line = pl.DataFrame({"mark": [answer.threshold]})
        layers.append(
            alt.Chart(line)
            .mark_rule(color=ORANGE, strokeDash=[5, 4], strokeWidth=1.5)
            .encode(x=x("mark"))
        )
        layers.append(
            base.mark_text(align="left", dx=6, dy=-9, fontSize=10.5, color=ORANGE)
            .encode(x=x("high"), y=y, text=alt.Text("probability_above:Q", format=".0%"))
        )  # fmt: skip
    passing = (
        0
        if answer.threshold is None
        else data.filter(pl.col("probability_above") >= 0.9).height
    )  # fmt: skip
    said = "" if answer.threshold is None else (
        f": {passing} pass{'es' if passing == 1 else ''} {answer.threshold:.0%} with a probability "
        "of 90% or more"
    )  # fmt: skip
    return (
        Figure(
            "tasks",
            f"{data.height} tasks at {place_text(answer.at)}{said}",
            "Hollow: the score of the largest run. Full, with its "
            f"{answer.level:.0%} interval: the forecast for one new run.{marked}",
            "Larger runs, which narrow the intervals.",
            finished(alt.layer(*layers), height=60 + 30 * data.height),
            data,
            f"Forecasts of {data.height} tasks with their intervals{said}.",
        ),
    )
