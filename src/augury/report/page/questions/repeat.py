"""The figure of repeats: the loss over epochs, compared with fresh tokens."""

from __future__ import annotations

import polars as pl

from augury.forecast.questions import RepeatAnswer
from augury.report.page.draw import finished, shown, tips
from augury.report.page.palette import BLUE, GREEN, INK
from augury.report.page.story import Figure
from augury.report.page.words import count, interval_text

REPEATED, FRESH = "repeated", "if all tokens were fresh"


def repeat_figures(answer: RepeatAnswer) -> tuple[Figure, ...]:
    """Draw loss over epochs, repeated and fresh, and how many epochs are worth it."""
    import altair as alt

    table = answer.table
    lines = pl.concat([
        table.select("epochs", pl.col("loss"), what=pl.lit(REPEATED)),
        table.select("epochs", loss="fresh", what=pl.lit(FRESH)),
    ])  # fmt: skip
    x = alt.X(
        "epochs:Q",
        scale=alt.Scale(type="log", base=2, nice=False, padding=12),
        axis=alt.Axis(title="Epochs over the unique tokens", grid=False, format="~g"),
    )
    scale = alt.Scale(zero=False, nice=False, padding=8)
    y = alt.Y("loss:Q", scale=scale, title="Loss, nats per token")
    colour = alt.Color(**shown({REPEATED: BLUE, FRESH: GREEN}, field="what"))
    low, high = answer.epochs.interval
    mark = pl.DataFrame({"epochs": [answer.epochs.value], "low": [low], "high": [min(high, 64.0)]})
    labels = table.with_columns(
        text=pl.format("{}%", (100 * pl.col("share")).round(0).cast(pl.Int64))
    )
    layers = [
        alt.Chart(mark).mark_rect(color=INK, opacity=0.08).encode(
            x=alt.X("low:Q", scale=x["scale"], title="Epochs over the unique tokens"), x2="high:Q"
        ),
        alt.Chart(mark).mark_rule(color=INK, strokeDash=[4, 3]).encode(x=x),
        alt.Chart(table).mark_area(color=BLUE, opacity=0.2)
        .encode(x=x, y=alt.Y("low:Q", scale=scale, title="Loss, nats per token"), y2="high:Q"),
        alt.Chart(lines).mark_line(strokeWidth=2, point=True)
        .encode(x=x, y=y, color=colour, tooltip=tips(what="", epochs=".3~g", loss=".4~f")),
        alt.Chart(labels).mark_text(dy=-12, fontSize=11, color=INK).encode(x=x, y=y, text="text:N"),
    ]  # fmt: skip
    said = interval_text(answer.epochs.value, low, high)
    lead = (
        f"{count(answer.unique_tokens)} tokens are worth repeating up to {said.value} epochs "
        f"({answer.level:.0%} interval: {said.interval}) at {count(answer.params)} parameters"
    )
    return (
        Figure(
            "repeats",
            lead,
            "Up to the dashed line, one more repeated token is worth at least "
            f"{answer.least_worth:.0%} of a fresh one; shaded: its interval. Labels: the worth of "
            "the repeated tokens in fresh ones.",
            "Runs with more epochs, which narrow the interval.",
            finished(alt.layer(*layers), height=340),
            table,
            lead + ".",
        ),
    )
