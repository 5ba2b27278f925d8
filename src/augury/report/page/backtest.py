"""Section: how accurate past forecasts were, and whether intervals held."""

from __future__ import annotations

import numpy as np
import polars as pl

from augury.notes import Note
from augury.report.page.draw import finished, shown, tips
from augury.report.page.palette import BLUE, GREY, INK, ORANGE
from augury.report.page.story import Figure, Section, Table

INSIDE, OUTSIDE = "inside its interval", "outside its interval"
# Two-sided 90 %.
NORMAL = 1.645
# Maximum panels, and maximum forecasts per cut that get individual bars.
MOST_LAWS, MOST_BARS = 6, 8
# Pixels per letter of an axis.
LETTER = 7
# With fewer forecasts than this, the share of intervals that held is unreliable.
FEW = 20


def backtest_section(
    rows: pl.DataFrame, *, level: float, what: str = "value", name: str = "backtest"
) -> Section:
    """Show forecasts of larger models from smaller ones beside observations, and calibration.

    Args:
        rows: law, cut, observed, value, low, high, held, as `Backtest.rows`.
        level: level of the intervals.
        what: what was forecast.
        name: name of the first figure; the second is NAME-calibration.
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
                "few",
                "warning",
                (f"{rows.height} forecasts say little about how often intervals hold"),
            )
        )
    return Section(
        "How accurate such forecasts were",
        (
            f"{rows.height} forecasts of larger models from smaller ones, by "
            f"{per_law.height} law{'' if per_law.height == 1 else 's'}. Intervals of {level:.0%} "
            f"that held: {told}.",
        ),
        (_by_cut(rows, level, what, name), _calibration(per_law, level, f"{name}-calibration")),
        (Table(f"By law, best first: {level:.0%} intervals that held, errors, CRPS", fared),),
        tuple(notes),
    )


def _by_cut(rows: pl.DataFrame, level: float, what: str, name: str) -> Figure:
    """Draw the error of each forecast, with one panel per law and one line of dots per cut."""
    import altair as alt

    keep = [c for c in ("law", "cut", "observed", "value", "low", "high", "held") if c in rows]
    data = rows.select(keep).filter(pl.col("value").is_finite())
    if "cut" not in data.columns:
        data = data.with_columns(cut=pl.lit("all"))
    positive = bool((data.select("observed", "value").min_horizontal() > 0).all())
    ends = ("low", "value", "high")
    off = {
        f"off_{c}": pl.col(c).clip(lower_bound=1e-12) / pl.col("observed")
        if positive
        else pl.col(c) - pl.col("observed")
        for c in ends
    }
    drawn = data.with_columns(
        shown=pl.when("held").then(pl.lit(INSIDE)).otherwise(pl.lit(OUTSIDE)),
        at=pl.int_range(pl.len()).over("law", "cut"),
        **off,
    )
    far = drawn["off_value"].to_numpy()
    if positive:
        most = float(np.exp(np.abs(np.log(far)).max())) * 1.5
        scale = alt.Scale(type="log", domain=[1 / most, most], nice=False)
        right, title = 1.0, f"Forecast over observed {what}"
    else:
        most = float(np.abs(far).max()) * 1.2 or 0.1
        scale = alt.Scale(domain=[-most, most], nice=False)
        right, title = 0.0, f"Forecast minus observed {what}"
    # Bars outside the axis would be drawn at positions beyond all pixels.
    edge = scale.domain
    drawn = drawn.with_columns(pl.col("off_low", "off_high").clip(edge[0], edge[1]))
    cuts = data["cut"].unique(maintain_order=True).to_list()
    most_rows = int(drawn["at"].max()) + 1  # type: ignore[arg-type]
    laws = data["law"].unique(maintain_order=True).to_list()[:MOST_LAWS]
    colour = alt.Color(**shown({INSIDE: BLUE, OUTSIDE: ORANGE}))
    axis = alt.Axis(title=title, format=".3~g", tickCount=5, labelOverlap="greedy")
    x = alt.X("off_value:Q", scale=scale, axis=axis)
    y = alt.Y("cut:N", sort=cuts, axis=alt.Axis(title=None, labelLimit=130))
    lane = alt.YOffset("at:O", scale=alt.Scale(paddingInner=0.2))
    tip = tips(law="", cut="", observed=".3~g", value=".3~g", low=".3~g", high=".3~g")
    panels = []
    for law in laws:
        base = alt.Chart(drawn.filter(pl.col("law") == law))
        layers = [
            alt.Chart(pl.DataFrame({"off_value": [right]}))
            .mark_rule(color=GREY, strokeDash=[4, 3])
            .encode(x=x),
            base.mark_point(clip=True, filled=True, size=40, opacity=0.85).encode(
                x=x, y=y, yOffset=lane, color=colour, tooltip=tip
            ),
        ]
        if most_rows <= MOST_BARS:
            bar = base.mark_rule(clip=True, opacity=0.45, strokeWidth=2).encode(
                x=alt.X("off_low:Q", scale=scale, axis=axis), x2="off_high:Q", y=y, yOffset=lane,
                color=colour,
            )  # fmt: skip
            layers.insert(1, bar)
        height = max(60, len(cuts) * max(22, min(10 * most_rows, 60)))
        head = alt.TitleParams(law, fontSize=12, offset=4, limit=240)
        panels.append(alt.layer(*layers).properties(width=230, height=height, title=head))
    held = int(data["held"].sum())
    return Figure(
        name,
        f"How far forecasts of larger models were off, cut by cut, on {what}",
        "Each row is a cut: the law was fitted to the runs it names and forecast the rest. Each "
        f"dot is a forecast, and its bar the {level:.0%} interval for one run. A dot on the dashed "
        "line was right; a blue bar reaches that line.",
        "More sizes below the cuts; leaving out laws whose dots lie far from the dashed line.",
        alt.concat(*panels, columns=3).to_dict()
        | {"usermeta": {"axes": 44 + LETTER * min(max(map(len, cuts)), 20)}},
        data,
        f"{held} of {data.height} forecasts have the observed {what} inside their interval.",
    )


def _calibration(per_law: pl.DataFrame, level: float, name: str) -> Figure:
    import altair as alt

    n = per_law["forecasts"].to_numpy().astype(float)
    share = per_law["held"].to_numpy() / n
    # Wilson's interval (1927): it stays inside [0, 1] if nearly all held.
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
        "Dots left of the line mean that intervals are too narrow; more held-out sizes would move "
        "the dots and shorten the bars.",
        finished(alt.layer(*layers), height=60 + 34 * data.height),
        data,
        "; ".join(f"{r['law']}: {r['held']:.0%} of {r['forecasts']}" for r in data.to_dicts()),
    )
