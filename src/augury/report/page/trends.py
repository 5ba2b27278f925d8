"""Section: all scores over training, with the important ones drawn large and all listed."""

from __future__ import annotations

from dataclasses import replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from augury.errors import UsageError
from augury.notes import Note
from augury.report.multiples import trend_points
from augury.report.page.draw import FALLING, NAMES, tips
from augury.report.page.listing import (
    MOST_LISTED,
    ListGroup,
    Listing,
    ListRow,
    sparkline,
)
from augury.report.page.outcomes import (
    BETTER,
    FLAT,
    GROUPS,
    ONE,
    TURNS,
    UNKNOWN,
    WORSE,
    does,
    group_of,
    outcome_figure,
    over_size,
    over_training,
)
from augury.report.page.palette import BLUE, ORANGE, steps
from augury.report.page.story import Figure, Section
from augury.report.page.words import interval_text, place_text

if TYPE_CHECKING:
    from augury.forecast.trends import Trend, Trends

# More panels are unreadable; the list has every score.
MOST_PANELS = 12
# With at least this many scores, their outcomes get a figure of their own.
COUNTED = 6
# Groups in the order of the large panels.
DRAWN = (WORSE, TURNS, UNKNOWN, BETTER)


def trends_section(found: Trends, *, most: int = MOST_PANELS, name: str = "trends") -> Section:
    """Show small multiples of the most important trends over training, and a list of all.

    Raises:
        UsageError: no task shows a trend over training.
    """
    own = over_training(found)
    if not any(t.shape != "flat" for t in own):
        raise UsageError("no task shows a trend over training: nothing to draw")
    chosen = _chosen(own, most)
    text = []
    if len(chosen) < len(own):
        text.append(
            f"{len(chosen)} of {len(own)} scores are drawn large: those that get worse or turn "
            "first, the largest changes of each kind. The list below has every score."
        )
    drawn = {(t.task, t.metric) for t in chosen}
    notes = _one_per_code([n for t in chosen for n in t.notes if n.severity != "info"])
    return Section(
        "Trends over training",
        tuple(text),
        (_multiples(found, chosen, name),),
        notes=notes,
        listing=_listing(found, own) if len(own) > len(drawn) or len(own) > 1 else None,
    )


def counted_section(found: Trends) -> Section:
    """Show the trends section, with a figure of the outcomes if there are many scores.

    Raises:
        UsageError: as `trends_section`.
    """
    section = trends_section(found)
    counted = outcome_figure(found) if len(over_training(found)) >= COUNTED else None
    return section if counted is None else replace(section, figures=(counted, *section.figures))


def _chosen(own: list[Trend], most: int) -> list[Trend]:
    """Choose the most important of each kind in turn, in the order of the kinds."""
    kinds = [[t for t in own if group_of(t) == g] for g in DRAWN]
    dealt = [t for round_ in zip_longest(*kinds) for t in round_ if t is not None][:most]
    return [t for kind in kinds for t in kind if any(t is d for d in dealt)]


def _multiples(found: Trends, chosen: list[Trend], name: str) -> Figure:
    import altair as alt

    parts = [
        trend_points(found, t).with_columns(
            pl.lit(t.task).alias("task"), pl.lit(t.metric).alias("metric")
        )
        for t in chosen
    ]
    data = pl.concat(parts, how="diagonal_relaxed").rename({"at": chosen[0].axis})
    sizes = data["params"].drop_nulls().unique().sort().to_list()
    several = len({t.metric for t in over_training(found)}) > 1
    panels = [_panel(alt, t, p, sizes, several) for t, p in zip(chosen, parts, strict=True)]
    chart = alt.concat(*panels, columns=3).resolve_scale(color="shared").to_dict()
    kinds = [k for k in DRAWN if any(group_of(t) == k for t in chosen)]
    return Figure(
        name,
        f"Over training: scores that {_listed(kinds)}",
        "One panel per score, one line per run, larger runs darker (on a dark page: the "
        f"brighter). Dashed: where a score turns or leaps, with its {found.level:.0%} interval. "
        f"Over {NAMES.get(chosen[0].axis, chosen[0].axis).lower()}.",
        f"Another false-discovery rate than {found.rate:.0%}; more runs, which separate a trend "
        "from the drift of one run; checkpoints closer to the turning points.",
        chart,
        data,
        "; ".join(f"{t.task}: {does(t)}" for t in chosen) + ".",
    )


def _panel(alt: Any, trend: Trend, points: pl.DataFrame, sizes: list[float], several: bool) -> Any:
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
        scale=alt.Scale(domain=[_size(s) for s in sizes], range=steps(max(len(sizes), 1))),
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
    about = (f"{trend.metric} " if several else "") + does(trend)
    title = alt.TitleParams(
        trend.task, subtitle=about, fontSize=12, subtitleFontSize=11, offset=4, limit=200
    )
    return alt.layer(*layers).properties(width=190, height=120, title=title)


def _listing(found: Trends, own: list[Trend]) -> Listing:
    """List every score in its group, with a sparkline of its runs."""
    sizes = {(t.family, t.task, t.metric): t for t in over_size(found)}
    families = len({t.family for t in own}) > 1
    metrics = len({t.metric for t in own}) > 1
    columns = ["over training", "change", "turns at"]
    if sizes:
        columns.append("over size")
    groups = []
    room = MOST_LISTED
    for kind in GROUPS:
        trends = [t for t in own if group_of(t) == kind][:room]
        room -= len(trends)
        if not trends:
            continue
        rows = tuple(
            _row(found, t, sizes.get((t.family, t.task, t.metric)), families, metrics, bool(sizes))
            for t in trends
        )
        verb = ONE[kind] if len(trends) == 1 else kind
        groups.append(ListGroup(f"{len(trends)} {verb}", rows, folded=kind == FLAT))
    left = "" if len(own) <= MOST_LISTED else f" (the first {MOST_LISTED:,} of {len(own):,})"
    return Listing(f"Every score over training{left}", tuple(columns), tuple(groups), "score")


def _row(
    found: Trends, trend: Trend, size: Trend | None, families: bool, metrics: bool, sized: bool
) -> ListRow:
    parts = [trend.family] if families and trend.family else []
    parts += [trend.task, *([trend.metric] if metrics else [])]
    low, high = trend.effect_interval
    said = interval_text(trend.effect, low, high)
    cells = [
        does(trend),
        "" if trend.shape == "flat" else f"{said.value}\n({unbroken(said.interval)})",
        "" if trend.turning_point is None else _place_text(trend.axis, trend.turning_point),
    ]
    if sized:
        cells.append("" if size is None else does(size))
    points = trend_points(found, trend)
    runs = [
        (own["at"].to_numpy().astype(float), own["value"].to_numpy().astype(float))
        for own in points.sort("params", nulls_last=False, maintain_order=True).partition_by(
            "run", maintain_order=True
        )
    ]
    falls = trend.axis in FALLING
    spark = sparkline(runs, log=not falls, reverse=falls, mark=trend.turning_point)
    return ListRow(" · ".join(parts), tuple(cells), spark)


def _place_text(axis: str, at: float) -> str:
    return f"step {at:,.0f}" if axis == "step" else place_text({axis: at})


def _listed(words: list[str]) -> str:
    """Join words as "A, B and C"."""
    return " and ".join([*([", ".join(words[:-1])] if words[:-1] else []), words[-1]])


def unbroken(text: str) -> str:
    """Keep a text on one line by non-breaking spaces."""
    return text.replace(" ", "\u00a0")


def _one_per_code(notes: list[Note]) -> tuple[Note, ...]:
    """Keep one note per code: a dozen panels would repeat it a dozen times."""
    return tuple({n.code: n for n in notes}.values())


def _size(params: float | None) -> str | None:
    if params is None or not np.isfinite(params):
        return None
    for unit, name in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if params >= unit:
            return f"{params / unit:.3g}{name}"
    return f"{params:g}"
