"""The figure of two series: both curves with their bands, and where they cross."""

from __future__ import annotations

import polars as pl

from augury.forecast.questions import SeriesComparison
from augury.report.page.draw import NAMES, finished, shown, tips
from augury.report.page.palette import BLUE, INK, ORANGE
from augury.report.page.story import Figure
from augury.report.page.words import interval_text, number


def versus_figures(answer: SeriesComparison) -> tuple[Figure, ...]:
    """Draw loss or score of both series over the scale."""
    import altair as alt

    curves, runs = answer.curves, answer.runs
    kinds = {answer.first: BLUE, answer.second: ORANGE}
    x = alt.X(
        "x:Q",
        scale=alt.Scale(type="log", nice=False, padding=12),
        axis=alt.Axis(
            title=NAMES[answer.of], format="~e" if answer.of == "flops" else "~s", grid=False,
            tickCount=6,
        ),
    )  # fmt: skip
    values = pl.concat([curves["value"], runs["value"]])
    low, high = float(values.min()), float(values.max())  # type: ignore[arg-type]
    room = 0.05 * (high - low)
    scale = alt.Scale(zero=False, nice=False, domain=[low - room, high + room])
    title = "Loss, nats per token" if answer.output == "loss" else "Score"
    y = alt.Y("value:Q", scale=scale, title=title)
    colour = alt.Color(**shown(kinds, field="series"))
    tip = tips(series="", x=".3~e", value=".4~f", low=".4~f", high=".4~f")
    mark = pl.DataFrame({"x": [answer.at[answer.of]], "value": [answer.at[answer.output]]})
    layers = [
        alt.Chart(curves)
        .mark_area(opacity=0.18, clip=True)
        .encode(x=x, y=alt.Y("low:Q", scale=scale, title=title), y2="high:Q", color=colour),
        alt.Chart(curves)
        .mark_line(strokeWidth=2, clip=True)
        .encode(x=x, y=y, color=colour, tooltip=tip),
        alt.Chart(runs).mark_point(size=26, filled=True, opacity=0.6)
        .encode(x=x, y=y, color=colour),
        alt.Chart(mark).mark_point(color=INK, size=130, strokeWidth=2, shape="diamond")
        .encode(x=x, y=y),
    ]  # fmt: skip
    if answer.crossing is not None:
        at = pl.DataFrame({"x": [answer.crossing.value]})
        layers.append(
            alt.Chart(at).mark_rule(color=INK, strokeDash=[3, 3]).encode(x=x)
        )  # fmt: skip
    said = interval_text(answer.ratio.value, *answer.ratio.interval)
    lead = (
        f"{answer.second} needs {said.value} times the {answer.of} of {answer.first} "
        f"({answer.level:.0%} interval: {said.interval})"
    )
    dotted = "" if answer.crossing is None else " Dashed: where the curves cross."
    return (
        Figure(
            "versus",
            lead,
            f"Each series with its own law and band. Diamond: where the ratio is taken "
            f"({number(answer.at[answer.of])} {answer.of}).{dotted} Dots: the runs, moved along "
            "their law to the curve.",
            "Runs of both series at a larger scale.",
            finished(alt.layer(*layers), height=360),
            curves,
            f"{lead}. " + (
                "The curves do not cross." if answer.crossing is None
                else f"They cross at {number(answer.crossing.value)} {answer.of}."
            ),
        ),
    )  # fmt: skip
