"""Sections: a loss law with its band, and forecasts compared with later results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from augury.notes import Note
from augury.report.page.draw import (
    FORECAST,
    NAMES,
    OBSERVED,
    along,
    finished,
    rates,
    shown,
    tips,
)
from augury.report.page.palette import GREEN
from augury.report.page.story import Figure, Section, Table
from augury.report.page.words import interval_text, number, place_text

if TYPE_CHECKING:
    from augury.fitting import Fit

MEASURED, BAND, TRUTH = "measured", "forecast", "measured afterwards"
# The requested point is part of the forecast, and has its colour.
ASKED = "the requested forecast"
# Number of points of a fitted curve: smooth on paper, and small enough to embed.
GRID = 40
# Room for the band above and below the values, as a share of their range.
BAND_ROOM = 0.3
# The same on an axis of log(-log), where rates of 1 % and 20 % lie close together.
RATE_ROOM = 0.5


def loss_section(
    fitted: Fit,
    *,
    task: str = "loss",
    name: str = "loss-law",
    at: Mapping[str, float] | None = None,
) -> Section:
    """Show a fitted law: its curve through the runs along its first input, and its parameters.

    The other inputs of the curve are those of `at`, or their medians. Every run is moved along the
    law to these inputs, so its distance from the curve is its distance from the law.

    Args:
        fitted: a fit of a law with at least one input.
        task: what the law predicts.
        name: name of the figure.
        at: the point of a forecast, drawn with its interval; it has every input of the law.
    """
    from augury.forecast.prediction import inputs_of, predict

    inputs = inputs_of(fitted)
    x, rest = inputs[0], inputs[1:]
    seen = fitted.data
    there = {n: at[n] if at else float(np.median(seen[n].to_numpy())) for n in rest}
    ends = [float(seen[x].min()), float(seen[x].max()), *([at[x]] if at else [])]  # type: ignore[arg-type]
    low, high = min(ends), max(ends)
    grid = pl.DataFrame({x: np.geomspace(low / 1.2, high * 1.2, GRID)}).with_columns(
        **{n: pl.lit(v) for n, v in there.items()}
    )
    curve = pl.DataFrame(
        [
            {x: f.inputs[x], "value": f.value, "low": f.run_interval[0], "high": f.run_interval[1]}
            for f in predict(fitted, grid)
        ]
    )
    if str(fitted.status) != "converged":  # draws on one side of a bound do not make a band
        curve = curve.with_columns(low=pl.lit(None, pl.Float64), high=pl.lit(None, pl.Float64))
    points = seen.select(pl.col("run").cast(pl.String), *inputs, pl.col("y").alias("value"))
    if rest:
        fixed = [pl.lit(v).alias(n) for n, v in there.items()]
        own, moved = (
            np.array([f.value for f in predict(fitted, table)])
            for table in (seen.select(inputs), seen.select(x, *fixed))
        )
        points = points.with_columns(value=pl.col("value") * moved / own)
    meaning = fitted.law.parameters
    rows = []
    for parameter, value in fitted.parameters.items():
        said = interval_text(value, *fitted.intervals[parameter])
        of = meaning[parameter].meaning if parameter in meaning else "of the noise"
        rows.append(
            {"parameter": parameter, "value": said.value, "interval": said.interval, "meaning": of}
        )
    table = pl.DataFrame(rows)
    asked = None
    if at:
        (made,) = predict(fitted, dict(at))
        low, high = made.run_interval
        asked = pl.DataFrame({x: [at[x]], "value": [made.value], "low": [low], "high": [high]})
    where = "the median of " + " and ".join(rest) if not at else place_text(there)
    notes = _with_status(fitted.notes, str(fitted.status), fitted.status.remedy)
    return curve_section(
        f"The law of {task}: {fitted.law}",
        x,
        points,
        curve,
        level=fitted.level,
        what=task,
        text=(f"{fitted.law} on {fitted.n} points of {fitted.run_count} runs: {fitted.status}.",),
        about=f" Drawn at {where}: every dot is moved there by the law." if rest else "",
        asked=asked,
        tables=(Table(f"Parameters of {fitted.law}, with {fitted.level:.0%} intervals", table),),
        notes=notes,
        is_rate=fitted.law.name.endswith("pass-rate"),
        name=name,
    )


def curve_section(
    heading: str,
    x: str,
    observed: pl.DataFrame,
    curve: pl.DataFrame,
    *,
    level: float,
    what: str,
    truth: pl.DataFrame | None = None,
    text: Sequence[str] = (),
    tables: Sequence[Table] = (),
    notes: Sequence[Note] = (),
    about: str = "",
    asked: pl.DataFrame | None = None,
    is_rate: bool = False,
    name: str = "curve",
) -> Section:
    """Show a curve with its band for one new run, the data behind it, and later results.

    Args:
        heading: heading of the section.
        x: column of the scale.
        observed: run, x, value: the fitted data.
        curve: x, value, low, high: the forecast and its interval for one new run.
        level: level of the band.
        what: what the values are, for axis and text.
        truth: run, x, value: results of the forecast models.
        text, tables, notes: contents of the section.
        about: a sentence on how curve and dots are drawn, if needed.
        asked: x, value, low, high: the requested point, marked with its interval.
        is_rate: draw log(-log) of the values, as for pass rates.
        name: name of the figure.
    """
    import altair as alt

    # A law without intervals has no band for the axis to include.
    curve = curve.with_columns(pl.col("low", "high").cast(pl.Float64).fill_nan(None))
    parts = [
        observed.select(pl.lit(MEASURED).alias("shown"), "run", pl.all().exclude("run", "shown")),
        curve.with_columns(pl.lit(BAND).alias("shown")),
    ]
    if asked is not None:
        asked = asked.with_columns(pl.col("low", "high").cast(pl.Float64).fill_nan(None))
        parts.append(asked.with_columns(pl.lit(ASKED).alias("shown"), run=pl.lit("the target")))
    later = truth.height if truth is not None else 0
    if truth is not None and later:
        parts.append(truth.with_columns(pl.lit(TRUTH).alias("shown")))
    data = pl.concat(parts, how="diagonal_relaxed").filter(pl.col("value").is_not_null())
    drawn = data
    if is_rate:
        names = {"y": "value", "y_low": "low", "y_high": "high"}
        drawn = drawn.with_columns(
            **{n: (-pl.col(c).clip(1e-300, 1 - 1e-9).log()).log() for n, c in names.items()}
        )
        y = rates(*_rates_shown(drawn))
    else:
        drawn = drawn.with_columns(y="value", y_low="low", y_high="high")
        # A band far wider than the data would hide everything else.
        every = pl.concat([drawn["value"], *(_clipped(drawn, ASKED, c) for c in ("low", "high"))])
        seen = every.drop_nulls().to_numpy()
        room = BAND_ROOM * float(np.ptp(seen)) or 0.1
        # Coordinates of 1e20 pixels are invalid: cut them off outside the visible range.
        ends = (float(seen.min()) - 9 * room, float(seen.max()) + 9 * room)
        drawn = drawn.with_columns(pl.col("y_low", "y_high").clip(*ends))
        band = drawn.filter(pl.col("shown") == BAND)
        lows = [x for x in band["y_low"].drop_nulls() if x > float(seen.min()) - room]
        highs = [x for x in band["y_high"].drop_nulls() if x < float(seen.max()) + room]
        scale = alt.Scale(
            domain=[min([*lows, float(seen.min())]), max([*highs, float(seen.max())])],
            nice=True,
            zero=False,
        )

        def y(field: str) -> Any:
            return alt.Y(f"{field}:Q", title=what, scale=scale)

    colours = {MEASURED: OBSERVED, BAND: FORECAST} | ({TRUTH: GREEN} if later else {})
    colour = alt.Color(**shown(colours))
    tip = tips(run="", **{x: ",.4~r", "value": ".4~g"})

    def layer(kind: str, mark: str, **options: Any) -> Any:
        base = alt.Chart(drawn.filter(pl.col("shown") == kind))
        return getattr(base, f"mark_{mark}")(clip=True, **options).encode(
            x=along(x), y=y("y"), color=colour
        )

    layers = [
        layer(BAND, "area", opacity=0.2).encode(y=y("y_low"), y2="y_high:Q"),
        layer(BAND, "line", strokeWidth=2.2),
        layer(MEASURED, "point", size=50, filled=True, opacity=0.75).encode(tooltip=tip),
    ]
    if later:
        layers.append(
            layer(TRUTH, "point", size=75, filled=True, opacity=0.9, shape="square").encode(
                tooltip=tip
            )
        )
    if asked is not None:
        mark = alt.Chart(drawn.filter(pl.col("shown") == ASKED))
        tip_asked = tips(**{x: ",.4~r", "value": ".4~g", "low": ".4~g", "high": ".4~g"})
        layers += [
            mark.mark_rule(color=FORECAST, strokeWidth=2.5, clip=True).encode(
                x=along(x), y=y("y_low"), y2="y_high:Q", tooltip=tip_asked
            ),
            mark.mark_point(
                color=FORECAST, shape="diamond", size=130, filled=True, opacity=1, clip=True
            ).encode(x=along(x), y=y("y"), tooltip=tip_asked),
        ]
    banded = curve["low"].is_not_null().any()
    held = _held(curve, truth, x) if truth is not None and later and banded else None
    told = "" if held is None else f" {held} of {later} runs measured afterwards lie in the band."
    figure = Figure(
        name,
        f"{what[:1].upper()}{what[1:]} over {NAMES.get(x, x).lower()}"
        + (", forecast and truth" if later else ""),
        "Every dot is a run that the law was fitted to; line"
        + (
            f" and band: the law and its {level:.0%} interval for one new run."
            if curve["low"].is_not_null().any()
            else ": the law. It has no band because its fit has no intervals."
        )
        + about
        + (" Diamond: the requested forecast." if asked is not None else "")
        + (" Squares: runs measured afterwards." if later else "")
        + told,
        "Runs at scales where the band is wide; another law that fits the dots equally well but "
        "differs beyond them.",
        finished(alt.layer(*layers)),
        data,
        f"{what} of {observed.height} runs from {number(float(observed['value'].min()))} to "  # type: ignore[arg-type]
        f"{number(float(observed['value'].max()))}, with a fitted curve.{told}",  # type: ignore[arg-type]
    )
    said = (*text, told.strip()) if told else tuple(text)
    return Section(heading, said, (figure,), tuple(tables), tuple(notes))


def _clipped(drawn: pl.DataFrame, kind: str, column: str) -> pl.Series:
    return drawn.filter(pl.col("shown") == kind)[column].cast(pl.Float64).alias("value")


def _rates_shown(drawn: pl.DataFrame) -> tuple[float, float]:
    """Return pass rates the axis must show: all values, and as much of the band as fits."""
    seen = drawn["y"].to_numpy()
    room = RATE_ROOM * float(np.ptp(seen))
    band = [float(x) for c in ("y_low", "y_high") for x in drawn[c].drop_nulls()]  # of log(-log)
    worst = min(max([*band, seen.max()]), seen.max() + room)
    best = max(min([*band, seen.min()]), seen.min() - room)
    return max(float(np.exp(-np.exp(worst))), 1e-12), min(float(np.exp(-np.exp(best))), 1 - 1e-6)


def _with_status(notes: Sequence[Note], status: str, remedy: str) -> tuple[Note, ...]:
    own = [Note("status", "serious", f"{status}. {remedy}")] if remedy else []
    return (*own, *notes)


def _held(curve: pl.DataFrame, truth: pl.DataFrame, x: str) -> int:
    at = np.log(curve[x].to_numpy())
    order = np.argsort(at)
    where = np.log(truth[x].to_numpy())
    low, high = (np.interp(where, at[order], curve[c].to_numpy()[order]) for c in ("low", "high"))
    value = truth["value"].to_numpy()
    return int(((low <= value) & (value <= high)).sum())
