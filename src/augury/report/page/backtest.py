"""Section: what the forecasts would have been worth so far, and whether intervals held."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from augury.notes import Note
from augury.report.page.draw import finished, shown, tips
from augury.report.page.palette import BLUE, GREY, INK, ORANGE
from augury.report.page.story import Figure, Section, Table

INSIDE, OUTSIDE = "inside its interval", "outside its interval"
# Two-sided 90 %.
NORMAL = 1.645
# Below so many forecasts a share of intervals that held says little.
FEW = 20


def backtest_section(
    rows: pl.DataFrame, *, level: float, what: str = "value", name: str = "backtest"
) -> Section:
    """Forecasts of larger models from smaller ones beside what was observed, and calibration.

    Args:
        rows: law, cut, observed, value, low, high, held, as `Backtest.rows`.
        level: of the intervals.
        what: what was forecast.
        name: of the first figure; the second is NAME-calibration.
    """
    per_law = (
        rows.group_by("law", maintain_order=True)
        .agg(
            forecasts=pl.len(),
            held=pl.col("held").sum(),
            median_error=(pl.col("value") - pl.col("observed")).abs().median(),
            crps=pl.col("crps").mean() if "crps" in rows.columns else pl.lit(None, pl.Float64),
        )
        .sort("crps", "law")
    )
    fared = per_law.select(
        "law",
        pl.format("{}\u00a0of\u00a0{}", "held", "forecasts").alias("held"),
        "median_error",
        "crps",
    )
    told = ", ".join(f"{law} {held}" for law, held in fared.select("law", "held").iter_rows())
    notes = [
        Note(
            "dependent",
            "info",
            "forecasts of the same larger models from several cuts are not independent: the "
            "intervals of the shares are too narrow by that",
        )
    ]
    if rows.height < FEW:
        notes.append(
            Note(
                "few", "warning", f"{rows.height} forecasts say little of how often intervals hold"
            )
        )
    return Section(
        "What such forecasts were worth so far",
        (
            f"{rows.height} forecasts of larger models from smaller ones, by "
            f"{per_law.height} law{'' if per_law.height == 1 else 's'}. Intervals of {level:.0%} "
            f"that held: {told}.",
        ),
        (_scatter(rows, level, what, name), _calibration(per_law, level, f"{name}-calibration")),
        (Table(f"By law, best first: {level:.0%} intervals that held, errors, CRPS", fared),),
        tuple(notes),
    )


def _scatter(rows: pl.DataFrame, level: float, what: str, name: str) -> Figure:
    import altair as alt

    keep = [c for c in ("law", "cut", "observed", "value", "low", "high", "held") if c in rows]
    data = rows.select(keep).filter(pl.col("value").is_finite())
    positive = bool((data.select("observed", "value").min_horizontal() > 0).all())
    drawn = data.with_columns(
        shown=pl.when("held").then(pl.lit(INSIDE)).otherwise(pl.lit(OUTSIDE)),
        **{
            c: pl.col(c).clip(lower_bound=1e-12) if positive else pl.col(c) for c in ("low", "high")
        },
    )
    values = np.concatenate([data["observed"].to_numpy(), data["value"].to_numpy()])
    low, high = float(values.min()), float(values.max())
    room = 0.05 * (high - low) or 0.1
    ends = [low / 1.5, high * 1.5] if positive else [low - room, high + room]
    scale = alt.Scale(type="log" if positive else "linear", domain=ends, nice=False)
    form = ".3~g"

    def axis(title: str) -> Any:
        how = ".0e" if low < 1e-3 and positive else form
        return alt.Axis(title=title, format=how, tickCount=6, grid=False)

    colour = alt.Color(**shown({INSIDE: BLUE, OUTSIDE: ORANGE}))
    x = alt.X("value:Q", scale=scale, axis=axis(f"Forecast {what}"))
    y = alt.Y("observed:Q", scale=scale, axis=axis(f"Observed {what}"))
    line = alt.Chart(pl.DataFrame({"value": ends, "observed": ends}))
    base = alt.Chart(drawn)
    layers = [
        line.mark_line(color=GREY, strokeDash=[4, 3]).encode(x=x, y=y),
        base.mark_rule(clip=True, opacity=0.45, strokeWidth=1).encode(
            x=alt.X("low:Q", scale=scale), x2="high:Q", y=y, color=colour
        ),
        base.mark_point(clip=True, filled=True, size=45, opacity=0.85).encode(
            x=x,
            y=y,
            color=colour,
            tooltip=tips(law="", cut="", observed=form, value=form, low=form, high=form),
        ),
    ]
    held = int(data["held"].sum())
    return Figure(
        name,
        f"Forecast and observed {what}, larger models from smaller ones",
        "Every dot is one forecast of a model that the fit had not seen; on the dashed line it was "
        f"right. Bars: the {level:.0%} interval for one run.",
        "More sizes below the cuts; leaving out laws that are far from the dashed line.",
        finished(alt.layer(*layers)),
        data,
        f"{held} of {data.height} forecasts have the observed {what} inside their interval.",
    )


def _calibration(per_law: pl.DataFrame, level: float, name: str) -> Figure:
    import altair as alt

    n = per_law["forecasts"].to_numpy().astype(float)
    share = per_law["held"].to_numpy() / n
    # Wilson's interval (1927): it stays inside [0, 1] where nearly all held.
    middle = (share + NORMAL**2 / (2 * n)) / (1 + NORMAL**2 / n)
    half = NORMAL * np.sqrt(share * (1 - share) / n + NORMAL**2 / (4 * n**2)) / (1 + NORMAL**2 / n)
    data = per_law.select(
        "law", "forecasts", held=pl.col("held") / pl.col("forecasts")
    ).with_columns(
        low=pl.Series(np.maximum(middle - half, 0.0)),
        high=pl.Series(np.minimum(middle + half, 1.0)),
        level=pl.lit(level),
    )
    x = alt.X(
        "held:Q",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(title="Share that held", format=".0%"),
    )
    y = alt.Y("law:N", sort=None, axis=alt.Axis(title=None))
    base = alt.Chart(data)
    layers = [
        alt.Chart(pl.DataFrame({"level": [level]}))
        .mark_rule(color=INK, strokeDash=[4, 3])
        .encode(x="level:Q"),
        base.mark_rule(color=BLUE, strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q", y=y),
        base.mark_point(color=BLUE, filled=True, size=90, opacity=1).encode(
            x=x, y=y, tooltip=tips(law="", forecasts="d", held=".0%", low=".0%", high=".0%")
        ),
    ]
    return Figure(
        name,
        "How often intervals held",
        f"Dots: the share of intervals that held, with a 90% interval as if forecasts were "
        f"independent. Dashed: {level:.0%}, where the dots should be.",
        "Dots left of the line mean intervals that are too narrow; more held-out sizes would move "
        "them and shorten the bars.",
        finished(alt.layer(*layers), height=60 + 34 * data.height),
        data,
        "; ".join(f"{r['law']}: {r['held']:.0%} of {r['forecasts']}" for r in data.to_dicts()),
    )
