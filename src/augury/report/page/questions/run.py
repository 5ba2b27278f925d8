"""The figure of a run in progress: its log, where it will end, and what was expected."""

from __future__ import annotations

import polars as pl

from augury.forecast.questions import RunOutlook
from augury.report.page.draw import along, finished, shown, tips
from augury.report.page.palette import BLUE, GREEN, INK, ORANGE, PURPLE
from augury.report.page.story import Figure
from augury.report.page.words import number

LOGGED, AHEAD, EXPECTED = "logged", "forecast", "expected from other runs"
# What the run's own forecast is called where the forecast is a blend.
ALONE = "from the run itself"
# Number of points drawn from a log: more are not visible.
MOST_POINTS = 400
# Points before this share of the log are warm-up, and would squeeze the rest.
SHOWN_FROM = 1 / 30


def run_figures(answer: RunOutlook) -> tuple[Figure, ...]:
    """Draw the loss of the run so far, and its forecast."""
    import altair as alt

    f, best = answer.forecast, answer.best
    own = AHEAD if answer.blended is None else ALONE
    seen = answer.log.sort(f.x).filter(pl.col(f.x) >= SHOWN_FROM * f.end)
    step = max(seen.height // MOST_POINTS, 1)
    parts = [
        seen.gather_every(step).select(
            pl.lit(LOGGED).alias("shown"), f.x, pl.col(f.y).alias("value")
        ),
        pl.DataFrame(
            [
                {"shown": own, f.x: x, "value": value, "low": low, "high": high}
                for x, value, (low, high) in zip(f.at, f.values, f.intervals, strict=True)
            ]
        ),
    ]
    kinds = {LOGGED: BLUE, AHEAD: ORANGE}
    if answer.blended is not None:
        low, high = best.interval
        row = {"shown": AHEAD, f.x: f.at[-1], "value": best.value}
        parts.append(pl.DataFrame([{**row, "low": low, "high": high}]))
        kinds[ALONE] = PURPLE
    if answer.expected is not None:
        low, high = answer.expected.run_interval
        row = {"shown": EXPECTED, f.x: f.at[-1], "value": answer.expected.value}
        parts.append(pl.DataFrame([{**row, "low": low, "high": high}]))
        kinds[EXPECTED] = GREEN
    floats = [pl.col(f.x).cast(pl.Float64), pl.col("value").cast(pl.Float64)]
    data = pl.concat([part.with_columns(floats) for part in parts], how="diagonal_relaxed")
    title = "Loss, nats per token" if f.y == "loss" else f.y.capitalize()
    y = alt.Y("value:Q", title=title, scale=alt.Scale(zero=False, nice=True))
    base = alt.Chart(data).encode(x=along(f.x), y=y, color=alt.Color(**shown(kinds)))
    tip = tips(shown="", **{f.x: ",.4~r", "value": ".4~g", "low": ".4~g", "high": ".4~g"})
    ahead = alt.datum.shown != LOGGED
    layers = [
        base.transform_filter(alt.datum.shown == LOGGED).mark_line(strokeWidth=1.6),
        base.transform_filter(ahead)
        .mark_rule(strokeWidth=3, opacity=0.5)
        .encode(y=y.copy(), y2="high:Q")
        .encode(y=alt.Y("low:Q", title=title, scale=alt.Scale(zero=False, nice=True))),
        base.transform_filter(ahead)
        .mark_point(filled=True, size=80, opacity=1)
        .encode(tooltip=tip),
    ]
    if answer.target is not None:
        mark = alt.Chart(pl.DataFrame({"value": [answer.target]}))
        layers.append(mark.mark_rule(strokeDash=[4, 3], color=INK).encode(y=y))
    low, high = best.interval
    said = f"{number(best.value)} ({f.level:.0%} interval: {number(low)} to {number(high)})"
    return (
        Figure(
            "run",
            f"The run's {f.y} at {f.x} {number(f.at[-1])} will be {said}",
            "Line: the run so far, without its first part. Dots with intervals: "
            + _shown(answer)
            + ("" if answer.target is None else f" Dashed: the target, {number(answer.target)}."),
            "More of the run, which narrows the interval; another decay of the learning rate.",
            finished(alt.layer(*layers)),
            data,
            f"The {f.y} of a run so far, and its forecast: {said}.",
        ),
    )


def _shown(answer: RunOutlook) -> str:
    """Say which forecasts are drawn."""
    if answer.expected is None:
        return "the forecast from the run itself."
    if answer.blended is None:
        return "the forecast from the run itself, and from other runs."
    return "the forecast, blended of those from the run itself and from other runs."
