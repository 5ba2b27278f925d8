"""Section: a pass rate on a log(-log) axis, its class of growth and its forecast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from augury.errors import UsageError
from augury.notes import Note
from augury.report.page.draw import (
    FORECAST,
    OBSERVED,
    PUBLISHED,
    along,
    finished,
    rates,
    shown,
    tips,
)
from augury.report.page.palette import GREEN
from augury.report.page.story import Figure, Outlook, Section, StoryVerdict
from augury.report.page.verdict import rate_verdict, spread_details
from augury.report.page.words import number, place_text, rate, rate_interval

if TYPE_CHECKING:
    from augury.forecast.passrate import Growth, PassRateForecast, RateSeries

# The method whose forecast is shown; the others are folded.
SHOWN = "average"
MEASURED, BAND, LINE, TRUTH = "measured", "forecast", "the published line", "measured afterwards"
# Two-sided 90 %.
NORMAL = 1.645
CLASSES = {
    "scaling-law": "a straight line in log(-log): growth as in the scaling law",
    "sub-scaling": "convex in log(-log): increasingly slower than the scaling law",
    "accelerated": "concave in log(-log): increasingly faster than the scaling law",
    "unknown": "cannot be determined from so few models",
}


def pass_rate_section(
    task: str,
    series: RateSeries,
    growth: Growth,
    forecasts: Sequence[PassRateForecast],
    *,
    target: PassRateForecast | None = None,
    runs: Sequence[str] | None = None,
    truth: pl.DataFrame | None = None,
    name: str = "pass-rate",
) -> Section:
    """Show how the pass rate of a task grows, and its forecast.

    Args:
        task: name of the task.
        series: the measurements, along one scale.
        growth: class of growth.
        forecasts: forecasts along that scale, enough for a smooth band; at least two.
        target: the requested forecast, drawn with its interval.
        runs: (M,) names of the series' models, in its order.
        truth: run, the scale, rate: results of models measured after the forecast.
        name: name of the figure, see `Figure.id`.

    Raises:
        UsageError: the series has several scales, or there are fewer than two forecasts.
    """
    figure = pass_rate_figure(
        task, series, growth, forecasts, target=target, runs=runs, truth=truth, name=name
    )
    low, high = growth.interval
    text = [
        f"{_count(len(series.x), 'model')} on {_count(series.passes.shape[1], 'instance')} of "
        f"“{task}”, mean pass rates from {rate(float(series.rate.min()))} to "
        f"{rate(float(series.rate.max()))}.",
        f"Growth class: {growth.kind} - {CLASSES[growth.kind]}."
        + (
            ""
            if growth.kind == "unknown"
            else f" The curvature is {number(growth.curvature)}, {growth.level:.0%} interval "
            f"{number(low)} to {number(high)}; against a straight line p = {growth.p:.2g}."
        ),
    ]
    notes = list(target.notes if target else forecasts[-1].notes)
    if target is not None:
        notes += [
            Note("how", "info", f"How the forecast was made: {x}.")
            for x in target.methods[SHOWN].notes
        ]
    return Section(f"How “{task}” grows", tuple(text), (figure,), notes=tuple(notes))


def pass_rate_figure(
    task: str,
    series: RateSeries,
    growth: Growth,
    forecasts: Sequence[PassRateForecast],
    *,
    target: PassRateForecast | None = None,
    runs: Sequence[str] | None = None,
    truth: pl.DataFrame | None = None,
    name: str = "pass-rate",
) -> Figure:
    """Draw the figure of `pass_rate_section`."""
    import altair as alt

    if len(series.scales) != 1:
        raise UsageError(
            f"a curve is drawn along one scale, not along {' and '.join(series.scales)}"
        )
    if len(forecasts) < 2:
        raise UsageError(f"a band needs forecasts at two points or more, not {len(forecasts)}")
    scale = series.scales[0]
    spread = NORMAL / np.sqrt(series.shape)
    points = pl.DataFrame(
        {
            "shown": MEASURED,
            "run": list(runs) if runs is not None else [f"model {i}" for i in range(len(series.x))],
            scale: series.x[:, 0],
            "rate": series.rate,
            "low": np.maximum(series.rate * (1 - spread), series.rate / 10),
            "high": np.minimum(series.rate * (1 + spread), 1 - 1e-9),
        }
    )
    if truth is not None:
        points = pl.concat(
            [points, truth.select(pl.lit(TRUTH).alias("shown"), "run", scale, "rate")],
            how="diagonal_relaxed",
        )
    curve = pl.DataFrame(
        [_row(f, scale, method) for method in (SHOWN, "line") for f in forecasts],
        infer_schema_length=None,
    )
    asked = pl.DataFrame([_row(target, scale, SHOWN)]) if target is not None else curve.head(0)
    data = pl.concat(
        [points, curve, asked.with_columns(run=pl.lit("the requested forecast"))],
        how="diagonal_relaxed",
    ).filter(pl.col("rate").is_not_nan())
    drawn = data.with_columns(
        f=_f("rate"), f_low=_f("low"), f_high=_f("high"), interval=_words("low", "high")
    )
    ours, line, seen = (drawn.filter(pl.col("shown") == k) for k in (BAND, LINE, MEASURED))
    later = drawn.filter(pl.col("shown") == TRUTH)
    colours = {MEASURED: OBSERVED, BAND: FORECAST, LINE: PUBLISHED}
    if later.height:
        colours[TRUTH] = GREEN
    if not line.height:
        del colours[LINE]
    colour = shown(colours)
    x = along(scale)
    y = rates(*_ends(seen, later, ours.filter(pl.col("run").is_not_null()), ours))
    curve_rows = ours.filter(pl.col("run").is_null())

    def layer(rows: pl.DataFrame, mark: str, **options: Any) -> Any:
        base = alt.Chart(rows)
        return getattr(base, f"mark_{mark}")(clip=True, **options).encode(
            x=x, y=y("f"), color=alt.Color(**colour)
        )

    tip = tips(run="", **{scale: ",.4~r"}, rate=".3~g", interval="")
    layers = [
        layer(curve_rows, "area", opacity=0.2, line=False).encode(y=y("f_low"), y2="f_high:Q"),
        layer(curve_rows, "line", strokeWidth=2.2),
    ]
    if line.height:
        layers.append(layer(line, "line", strokeWidth=1.3, strokeDash=[5, 4]))
    at = ours.filter(pl.col("run").is_not_null())
    if at.height:
        layers += [
            layer(at, "rule", strokeWidth=2.5).encode(y=y("f_low"), y2="f_high:Q", tooltip=tip),
            layer(at, "point", shape="diamond", size=130, filled=True, opacity=1).encode(
                tooltip=tip
            ),
        ]
    layers.append(layer(seen, "point", size=55, filled=True, opacity=0.75).encode(tooltip=tip))
    if later.height:
        layers.append(
            layer(later, "point", size=75, filled=True, opacity=0.9, shape="square").encode(
                tooltip=tip
            )
        )
    told = ""
    if target is not None:
        answer = target.methods[SHOWN]
        said = rate_interval(answer.value, *answer.interval)
        told = (
            f" At {place_text(target.at)} the forecast is {said.value}, {answer.level:.0%} "
            f"interval {said.interval}."
        )
    if later.height:
        told += f" {_count(later.height, 'run')} measured afterwards are drawn as squares."
    return Figure(
        name,
        f"Pass rate of “{task}” over {_over(scale)}: {growth.kind} growth",
        "Every dot is a run; on the vertical axis, growth by the scaling law is a straight line. "
        "Line and band: the forecast for a new run and its "
        f"{forecasts[0].methods[SHOWN].level:.0%} interval. Dashed: the published straight line "
        "through the same dots." + (" Diamond: the requested forecast." if at.height else ""),
        "More sizes would narrow the band more than more samples would, unless sampling errors are "
        "as large as the dots' scatter; a run between the largest dot and the target would shorten "
        "the extrapolation.",
        finished(alt.layer(*layers)),
        data,
        f"Pass rate of {task} rises from {rate(float(series.rate.min()))} to "
        f"{rate(float(series.rate.max()))} over {_count(len(series.x), 'run')}: {growth.kind} "
        f"growth.{told}",
    )


def pass_rate_outlook(
    task: str, forecast: PassRateForecast, *, truth: Sequence[float] = (), made: str = ""
) -> Outlook:
    """Return a pass-rate forecast as a row of the page's table of forecasts."""
    shown = forecast.methods[SHOWN]
    return Outlook(
        f"pass rate of “{task}” at {place_text(forecast.at)}",
        shown.value,
        shown.interval,
        shown.level,
        forecast.extrapolation,
        tuple(truth),
        made,
        is_rate=True,
        run_share=forecast.run_share,
    )


def pass_rate_verdict(task: str, forecast: PassRateForecast, series: RateSeries) -> StoryVerdict:
    """Return the answer in words: value, interval, distance, and what it is based on."""
    shown = forecast.methods[SHOWN]
    largest = {s: float(series.x[:, i].max()) for i, s in enumerate(series.scales)}
    said = rate_verdict(
        f"“{task}”", forecast.at, shown.value, shown.interval, shown.level, measured=largest
    )
    basis = (
        f"It is based on {_count(forecast.models, 'model')} and "
        f"{_count(forecast.instances, 'instance')}; growth so far: {forecast.growth.kind}."
    )
    spread = spread_details(shown.value, forecast.mean_interval, forecast.run_share, is_rate=True)
    return replace(said, details=(*spread, *said.details, basis))


def _row(f: PassRateForecast, scale: str, method: str) -> dict[str, Any]:
    answer = f.methods[method]
    return {
        "shown": BAND if method == SHOWN else LINE,
        scale: f.at[scale],
        "rate": answer.value,
        "low": answer.interval[0],
        "high": answer.interval[1],
        "level": answer.level,
    }


def _f(column: str) -> pl.Expr:
    return (-(pl.col(column).clip(1e-300, 1 - 1e-9).log())).log()


def _words(low: str, high: str) -> pl.Expr:
    return pl.when(pl.col(low).is_not_null()).then(
        pl.format("{} to {}", pl.col(low).round_sig_figs(3), pl.col(high).round_sig_figs(3))
    )


def _ends(seen: pl.DataFrame, later: pl.DataFrame, at: pl.DataFrame, ours: pl.DataFrame) -> Any:
    """Return pass rates that the axis must include: points, the target's interval, the line.

    The band is not included: if it widens without limit, it would squeeze everything else.
    """
    inside = [*seen["rate"], *later["rate"], *at["low"], *at["high"], *ours["rate"]]
    return max(min(inside), 1e-12), min(max(inside), 1 - 1e-6)


def _over(scale: str) -> str:
    return {"params": "parameters", "flops": "FLOPs", "loss": "nats per token"}.get(scale, scale)


def _count(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"
