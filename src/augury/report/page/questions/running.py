"""The picture of a run under way: its log, where it is going, and what was expected."""

from __future__ import annotations

import polars as pl

from augury.forecast.questions import RunForecast
from augury.report.page.draw import finished, tips
from augury.report.page.palette import BLUE, GREEN, GREY, ORANGE
from augury.report.page.story import Figure
from augury.report.page.words import interval_text


def run_figures(answer: RunForecast) -> tuple[Figure, ...]:
    """Loss over steps: the log, the forecast with its band, the end that was expected."""
    import altair as alt

    log = answer.log.filter(pl.col("step") >= answer.end // 20)
    if log.height > 600:
        log = log.gather_every(log.height // 600 + 1)
    # Up to one high point at the start would squeeze the rest.
    curve = answer.curve
    scale = alt.Scale(zero=False, nice=False, padding=8)
    title = "Loss, nats per token"
    x = alt.X("step:Q", axis=alt.Axis(title="Training step", format="~s", grid=False))
    y = alt.Y("loss:Q", scale=scale, title=title)
    last = curve.tail(1)
    layers = [
        alt.Chart(curve).mark_area(color=BLUE, opacity=0.2)
        .encode(x=x, y=alt.Y("low:Q", scale=scale, title=title), y2="high:Q"),
        alt.Chart(log).mark_line(color=GREY, strokeWidth=1.2).encode(x=x, y=y),
        alt.Chart(curve).mark_line(color=BLUE, strokeWidth=2, strokeDash=[5, 3])
        .encode(x=x, y=y, tooltip=tips(step=",.0f", loss=".4~f", low=".4~f", high=".4~f")),
        alt.Chart(last).mark_point(color=ORANGE, filled=True, size=80, opacity=1).encode(x=x, y=y),
    ]  # fmt: skip
    also = ""
    if answer.expected is not None:
        low, high = answer.expected.interval
        mark = pl.DataFrame({"step": [answer.step], "loss": [answer.expected.value],
                             "low": [low], "high": [high]})  # fmt: skip
        also = " Green: what a ladder expected."
        layers += [
            alt.Chart(mark).mark_rule(color=GREEN, strokeWidth=3, xOffset=6)
            .encode(x=x, y=alt.Y("low:Q", scale=scale, title=title), y2="high:Q"),
            alt.Chart(mark).mark_tick(color=GREEN, thickness=3, xOffset=6).encode(x=x, y=y),
        ]  # fmt: skip
    said = interval_text(answer.final.value, *answer.final.interval)
    lead = (
        f"The run will end at a loss of {said.value} ({answer.level:.0%} interval: {said.interval})"
    )
    return (
        Figure(
            "run",
            lead,
            f"Grey: the log, up to step {answer.end:,}. Dashed, with its band: the forecast under "
            f"the schedule, by {answer.law}.{also}",
            "More of the log, above all after the learning rate has begun to fall.",
            finished(alt.layer(*layers), height=340),
            curve,
            lead + ".",
        ),
    )
