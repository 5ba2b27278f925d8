"""Section: every task that rises, falls, turns or leaps, a panel each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from augury.errors import UsageError
from augury.report.multiples import trend_points
from augury.report.page.draw import FALLING, NAMES, tips
from augury.report.page.palette import BLUE, ORANGE, steps
from augury.report.page.story import Figure, Section, Table

if TYPE_CHECKING:
    from augury.forecast.trends import Trend, Trends

# More panels are a wall; the table has the rest.
MOST_PANELS = 12
SHOWN = ("task", "metric", "axis", "shape", "effect", "turning_point", "q", "inverse")


def trends_section(found: Trends, *, most: int = MOST_PANELS, name: str = "trends") -> Section:
    """Small multiples of the surest trends over training, and a table of all.

    Raises:
        UsageError: no task shows a trend over training.
    """
    import altair as alt

    chosen = [t for t in found.trends if t.axis != "params" and t.shape != "flat"][:most]
    if not chosen:
        raise UsageError("no task shows a trend over training: there is nothing to draw")
    parts = [
        trend_points(found, t).with_columns(
            pl.lit(t.task).alias("task"), pl.lit(t.metric).alias("metric")
        )
        for t in chosen
    ]
    data = pl.concat(parts, how="diagonal_relaxed").rename({"at": chosen[0].axis})
    sizes = data["params"].drop_nulls().unique().sort().to_list()
    panels = [_panel(alt, t, p, sizes) for t, p in zip(chosen, parts, strict=True)]
    chart = alt.concat(*panels, columns=3).resolve_scale(color="shared").to_dict()
    inverse = [t.task for t in chosen if t.inverse]
    figure = Figure(
        name,
        f"What rises, falls and turns over training: {len(chosen)} tasks",
        "A panel a task, the surest and largest changes first; a line a run, the larger the "
        "darker (on a dark page: the brighter). Dashed: where a task turns or leaps, with its "
        f"{found.level:.0%} interval. Over {NAMES.get(chosen[0].axis, chosen[0].axis).lower()}.",
        f"Another false-discovery rate than {found.rate:.0%}; more runs, which tell a trend from "
        "the wandering of one run; checkpoints closer to the turning points.",
        chart,
        data,
        "; ".join(f"{t.task} is {t.shape}" for t in chosen) + ".",
    )
    table = found.table.select([c for c in SHOWN if c in found.table.columns])
    text = [f"{len(found.trends)} trends were tested; {len(chosen)} are drawn."]
    if inverse:
        text.append(
            f"These get worse while the rest of their family gets better: {', '.join(inverse)}."
        )
    notes = tuple(n for t in chosen for n in t.notes if n.severity != "info")
    return Section(
        "Trends over training", tuple(text), (figure,), (Table("All trends", table),), notes
    )


def _panel(alt: Any, trend: Trend, points: pl.DataFrame, sizes: list[float]) -> Any:
    falls = trend.axis in FALLING
    x = alt.X(
        "at:Q",
        title=None,
        scale=alt.Scale(
            nice=False, **({"reverse": True, "zero": False} if falls else {"type": "log"})
        ),
        axis=alt.Axis(format="~s", grid=False, tickCount=4),
    )
    y = alt.Y("value:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=4))
    layers = []
    if trend.turning_point is not None and trend.turning_interval is not None:
        low, high = trend.turning_interval
        place = pl.DataFrame({"low": [low], "high": [high], "at": [trend.turning_point]})
        layers += [
            alt.Chart(place).mark_rect(color=ORANGE, opacity=0.14).encode(x="low:Q", x2="high:Q"),
            alt.Chart(place).mark_rule(color=ORANGE, strokeDash=[4, 3]).encode(x="at:Q"),
        ]
    known = points["params"].null_count() == 0
    named = points.with_columns(size=pl.col("params").map_elements(_size, return_dtype=pl.String))
    colour = alt.Color(
        "size:N",
        title="Parameters",
        sort=None,
        scale=alt.Scale(domain=[_size(s) for s in sizes], range=_shades(sizes)),
    )
    layers.append(
        alt.Chart(named)
        .mark_line(point=alt.OverlayMarkDef(size=14), strokeWidth=1.4)
        .encode(
            x=x,
            y=y,
            color=colour if known else alt.value(BLUE),
            detail="run:N",
            tooltip=tips(run="", size="", at=".3~s", value=".3~f"),
        )
    )
    about = f"{trend.shape}, q = {trend.q:.1g}" + (", inverse" if trend.inverse else "")
    title = alt.TitleParams(
        trend.task, subtitle=about, fontSize=12, subtitleFontSize=11, offset=4, limit=200
    )
    return alt.layer(*layers).properties(width=190, height=120, title=title)


def _shades(sizes: list[float]) -> list[str]:
    return steps(max(len(sizes), 1))[: max(len(sizes), 1)]


def _size(params: float | None) -> str | None:
    if params is None or not np.isfinite(params):
        return None
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if params >= unit:
            return f"{params / unit:.3g}{name}"
    return f"{params:g}"
