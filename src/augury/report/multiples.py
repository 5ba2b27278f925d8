"""Small multiples: one panel for every task that rises, falls, turns or leaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from augury.errors import UsageError

if TYPE_CHECKING:
    from augury.forecast.trends import Trend, Trends

# More panels than this are unreadable; the table has the rest.
MOST_PANELS = 24
TURN = "#D55E00"
# The field writes 7B where SI has 7G.
BILLIONS = "replace(datum.label, 'G', 'B')"


def trend_figure(found: Trends, *, most: int = MOST_PANELS) -> Any:
    """Draw one panel per task with its runs over training, the clearest and largest falls first.

    Each line is a run, darker for larger models; the band is the interval of the turning point.

    Raises:
        UsageError: no task has a trend over training.
    """
    import altair as alt

    chosen = [t for t in found.trends if t.axis != "params" and t.shape != "flat"][:most]
    if not chosen:
        raise UsageError("no task shows a trend over training: nothing to draw")
    axis = chosen[0].axis
    panels = [_panel(alt, found, trend) for trend in chosen]
    title = alt.TitleParams(
        f"What rises, falls and turns over training: {len(chosen)} tasks",
        subtitle=[
            f"Lines: runs, the darker the larger. Dashed: where a task turns or leaps, with its "
            f"{found.level:.0%} interval. Named at a false-discovery rate of {found.rate:.0%}; "
            f"x: {axis}.",
        ],
        anchor="start",
        subtitleColor="#444",
    )
    return (
        alt.concat(*panels, columns=4)
        .properties(title=title, background="white")
        .resolve_scale(color="shared")
        .configure_view(stroke=None)
        .configure_axis(labelFontSize=10, titleFontSize=10, titleFontWeight="normal")
        .configure_title(fontSize=16, subtitleFontSize=12, offset=14)
        .configure_legend(orient="top", titleFontWeight="normal", gradientLength=180)
    )


def _panel(alt: Any, found: Trends, trend: Trend) -> Any:
    points = trend_points(found, trend)
    log = trend.axis != "loss"
    name = trend.task if trend.metric == "score" else f"{trend.task} · {trend.metric}"
    if len({s.family for s in found.series}) > 1:
        name = f"{trend.family} · {name}"
    x = alt.X(
        "at:Q",
        title=None,
        scale=alt.Scale(type="log" if log else "linear", nice=False, reverse=not log),
        axis=alt.Axis(format="~s", labelExpr=BILLIONS, grid=False, tickCount=4),
    )
    y = alt.Y(
        "value:Q",
        title=None,
        scale=alt.Scale(zero=False),
        axis=alt.Axis(gridColor="#eee", tickCount=4),
    )
    colour = alt.Color(
        "params:Q",
        title="parameters",
        scale=alt.Scale(type="log", scheme="blues", domain=_shades(found)),
        legend=alt.Legend(
            format=".3~s",
            labelExpr=BILLIONS,
            values=_marks(found),
            type="gradient",
            direction="horizontal",
        ),
    )
    lines = (
        alt.Chart(points)
        .mark_line(point=alt.OverlayMarkDef(size=12), strokeWidth=1.3)
        .encode(
            x=x,
            y=y,
            color=colour if points["params"].null_count() == 0 else alt.value("#0072B2"),
            detail="run:N",
            tooltip=[
                "run:N",
                alt.Tooltip("at:Q", format=".3s"),
                alt.Tooltip("value:Q", format=".3f"),
            ],
        )
    )
    layers = [lines]
    if trend.turning_point is not None and trend.turning_interval is not None:
        low, high = trend.turning_interval
        band = pl.DataFrame({"low": [low], "high": [high]})
        layers.insert(
            0, alt.Chart(band).mark_rect(color=TURN, opacity=0.12).encode(x="low:Q", x2="high:Q")
        )
        rule = pl.DataFrame({"at": [trend.turning_point]})
        layers.append(
            alt.Chart(rule).mark_rule(color=TURN, strokeDash=[4, 3]).encode(x=alt.X("at:Q"))
        )
    about = f"{trend.shape}, q = {trend.q:.1g}" + (", inverse scaling" if trend.inverse else "")
    return alt.layer(*layers).properties(
        width=190,
        height=120,
        title=alt.TitleParams(
            name,
            subtitle=about,
            fontSize=11,
            subtitleFontSize=10,
            anchor="start",
            offset=4,
            limit=205,
        ),
    )


def trend_points(found: Trends, trend: Trend) -> pl.DataFrame:
    """Return the data behind one trend over training: run, params, at, value."""
    for series in found.series:
        key = (trend.task, trend.metric)
        if series.family == trend.family and key in series.keys:
            task = series.keys.index(key)
            design = series.design
            sizes = design.sizes[design.run]
            return pl.DataFrame(
                {
                    "run": design.run,
                    "params": np.where(np.isfinite(sizes), sizes, 0.0),
                    "at": design.at(design.x),
                    "value": series.scales[task].back(series.y[task]),
                }
            ).with_columns(params=pl.when(pl.col("params") > 0).then("params"))
    raise UsageError(f"nothing is known about task '{trend.task}'")


def _marks(found: Trends) -> list[float]:
    """Return the sizes in the legend: the smallest, the largest and some in between."""
    sizes = np.unique(np.concatenate([s.design.sizes for s in found.series]))
    sizes = sizes[np.isfinite(sizes)]
    if not len(sizes):
        return []
    return [float(sizes[j]) for j in np.unique(np.linspace(0, len(sizes) - 1, 4).astype(int))]


def _shades(found: Trends) -> Sequence[float]:
    """Return the domain of the colours: from below the smallest, so that it is not white."""
    sizes = np.concatenate([s.design.sizes for s in found.series])
    sizes = sizes[np.isfinite(sizes)]
    if not len(sizes):
        return [1.0, 10.0]
    low, high = float(sizes.min()), float(sizes.max())
    return [low * (low / high) ** 0.4 if high > low else low / 10, high]
