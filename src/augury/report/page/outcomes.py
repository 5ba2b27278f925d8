"""Summary of trends: which scores improve, get worse or turn, in words and in one figure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import polars as pl

from augury.report.page.draw import finished, shown, tips
from augury.report.page.palette import BLUE, GOLD, LINE, ORANGE, PAPER, PURPLE
from augury.report.page.story import Figure, StoryVerdict

if TYPE_CHECKING:
    from augury.forecast.trends import Trend, Trends

WORSE, TURNS, BETTER = "get worse", "turn", "improve"
UNKNOWN, FLAT = "change, better or worse unknown", "show no trend"
# In reading order, with their colours and the verb for one of them.
GROUPS = {WORSE: ORANGE, TURNS: GOLD, BETTER: BLUE, UNKNOWN: PURPLE, FLAT: LINE}
ONE = {WORSE: "gets worse", TURNS: "turns", BETTER: "improves",
       UNKNOWN: "changes, better or worse unknown", FLAT: "shows no trend"}  # fmt: skip
# What a score does, in either direction of better.
DOES = {"rising": "rises", "falling": "falls", "U": "falls, then rises",
        "inverted U": "rises, then falls", "threshold": "leaps", "flat": "no trend"}  # fmt: skip
# Names in a sentence.
MOST_NAMED = 3
# Number of metrics in the figure: those with the most scores.
MOST_METRICS = 8


def group_of(trend: Trend) -> str:
    """Classify a score: worse, turning, better, changing in no known direction, or flat."""
    if trend.shape == "flat":
        return FLAT
    if trend.shape in ("U", "inverted U"):
        return TURNS
    if trend.worsens is None:
        return UNKNOWN
    return WORSE if trend.worsens else BETTER


def does(trend: Trend) -> str:
    """Describe what a score does, and whether it ends better or worse."""
    said = DOES[trend.shape]
    if trend.shape == "flat" or trend.worsens is None:
        return said
    return f"{said}: {'worse' if trend.worsens else 'better'}"


def direction(higher_is_better: bool | None) -> str:
    """Describe a metric's direction in words."""
    known = {True: "higher is better", False: "lower is better", None: "direction not known"}
    return known[higher_is_better]


def over_training(found: Trends) -> list[Trend]:
    """Return the trends over training, the most important first."""
    return [t for t in found.trends if t.axis != "params"]


def over_size(found: Trends) -> list[Trend]:
    """Return the trends over size, late in training."""
    return [t for t in found.trends if t.axis == "params"]


def trends_verdict(found: Trends) -> StoryVerdict:
    """Summarise how many scores improve, get worse or turn over training, and which get worse."""
    own = over_training(found)
    counts = Counter(map(group_of, own))
    lead = f"Over training, {_said(counts, (BETTER, WORSE, TURNS), first='score')}."
    details = []
    worst = [t for t in own if group_of(t) == WORSE]
    if worst:
        details.append(f"Worse by most: {_names(worst)}.")
    turned = [t for t in own if group_of(t) == TURNS and t.worsens]
    if turned:
        details.append(f"Improving first, then getting worse: {_names(turned)}.")
    inverse = [t for t in own if t.inverse]
    if inverse:
        details.append(f"Worse while the rest of the family improves: {_names(inverse)}.")
    if counts[UNKNOWN]:
        metrics = sorted({t.metric for t in own if group_of(t) == UNKNOWN})
        details.append(
            f"{counts[UNKNOWN]} more {'changes' if counts[UNKNOWN] == 1 else 'change'}, but it is "
            f"not known which way is better for {', '.join(metrics[:MOST_NAMED])}: add a column "
            "higher_is_better."
        )
    kinds = {t.metric for t in own}
    if len(kinds) == 1 and kinds != {"score"}:
        details.append(f"All are {own[0].metric}: {direction(own[0].higher_is_better)}.")
    if counts[FLAT]:
        flat = f"{counts[FLAT]} {ONE[FLAT] if counts[FLAT] == 1 else FLAT}"
    else:
        flat = "Each changes more than chance explains"
    details.append(f"{flat}, at a false-discovery rate of {found.rate:.0%}.")
    if over_size(found):
        sized = Counter(map(group_of, over_size(found)))
        details.append(f"Over size, late in training, {_said(sized, (BETTER, WORSE, TURNS))}.")
    return StoryVerdict(lead, tuple(details), about="trends")


def outcome_figure(found: Trends, *, name: str = "outcomes") -> Figure | None:
    """Draw scores by their outcome over training, one bar per metric."""
    import altair as alt

    own = over_training(found)
    if not own:
        return None
    labels = {
        (t.metric, t.higher_is_better): f"{'score' if t.metric == 'score' else t.metric}: "
        f"{direction(t.higher_is_better)}"
        for t in own
    }
    counted = Counter((labels[t.metric, t.higher_is_better], group_of(t)) for t in own)
    sizes = Counter(labels[t.metric, t.higher_is_better] for t in own)
    metrics = [m for m, _ in sizes.most_common(MOST_METRICS)]
    order = list(GROUPS)
    data = pl.DataFrame(
        [
            {"metric": m, "outcome": g, "scores": counted[m, g], "order": order.index(g)}
            for m in metrics
            for g in order
            if counted[m, g]
        ]
    )
    colours = {g: c for g, c in GROUPS.items() if g in data["outcome"].to_list()}
    y = alt.Y("metric:N", sort=metrics, axis=alt.Axis(title=None, labelLimit=320, labelExpr=_LINES))
    x = alt.X("scores:Q", stack="zero", axis=alt.Axis(title="Scores", tickMinStep=1, format="d"))
    base: Any = alt.Chart(data)
    inside = base.transform_filter(f"datum.scores >= {max(sizes.values()) * 0.04:.3g}")
    layers = [
        base.mark_bar(height=22).encode(
            x=x, y=y, color=alt.Color(**shown(colours, field="outcome")),
            order=alt.Order("order:Q"), tooltip=tips(metric="", outcome="", scores="d"),
        ),
        inside.transform_filter(f"datum.outcome != '{FLAT}'")
        .mark_text(color=PAPER, fontWeight="bold")
        .encode(
            x=alt.X("scores:Q", stack="zero", bandPosition=0.5), y=y,
            order=alt.Order("order:Q"), detail="outcome:N", text="scores:Q",
        ),
    ]  # fmt: skip
    counts = Counter(map(group_of, own))
    told = ", ".join(f"{counts[g]} {g}" for g in order if counts[g])
    return Figure(
        name,
        "The outcome of each score over training",
        "A bar per metric; its length is the number of scores, its colours their outcomes.",
        f"Another false-discovery rate than {found.rate:.0%}, and more runs.",
        finished(alt.layer(*layers), height=30 + 44 * len(metrics)),
        data.drop("order"),
        f"{told}.",
    )


# "acc: higher is better" on two lines.
_LINES = "split(replace(datum.label, ': ', '|'), '|')"


def _said(counts: Counter[str], groups: tuple[str, ...], *, first: str = "") -> str:
    """Return, for example, "41 scores improve, 3 get worse, 22 turn"."""
    parts: list[str] = []
    for g in groups:
        if not counts[g]:
            continue
        of = "" if parts or not first else f" {first}{'' if counts[g] == 1 else 's'}"
        parts.append(f"{counts[g]}{of} {ONE[g] if counts[g] == 1 else g}")
    if not parts:
        *most, last = (ONE[g] for g in groups)
        return f"no {first or 'score'} {', '.join(most)} or {last}"
    return ", ".join(parts)


def _names(trends: list[Trend]) -> str:
    named = list(dict.fromkeys(t.task for t in trends))
    more = len(named) - MOST_NAMED
    return ", ".join(named[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")
