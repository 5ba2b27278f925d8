"""Trends of every task of a table: shape, turning point, effect, and significance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl
from scipy import stats

from augury.display import Card, Shown
from augury.errors import UsageError
from augury.forecast.trends.evidence import FEW_RUNS, evidence
from augury.forecast.trends.leaps import shared_leaps
from augury.forecast.trends.noise import GRID, Noise, estimate, roots
from augury.forecast.trends.published import adjusted
from augury.forecast.trends.series import Design, TrendSeries, series_of
from augury.forecast.trends.shapes import Shape, TrendCurve, curves
from augury.notes import Note
from augury.runtime.steps import count_steps

# The last quarter of the observed log range of training counts as "trained": its checkpoints are
# averaged where sizes are compared.
LATE = 0.75
# A falling task is called inverse if the rest of its family rises by more than this many standard
# errors.
SURELY = 2.0


@dataclass(frozen=True)
class Trend:
    """One task along one axis.

    Attributes:
        family, task, metric: names.
        axis: "tokens", "step" or "loss" (over training) or "params" (over sizes, late in training).
        shape: flat, rising, falling, U, inverted U or threshold. Flat means: no trend is shown at
            the requested false-discovery rate, or none whose direction is clear at `level`.
        turning_point: where it turns or leaps, in the unit of the axis; None for other shapes.
        turning_interval: of the turning point.
        effect: change of the score from the first to the last point, in the metric's unit; at the
            largest size if the shape varies with size.
        effect_interval: of the effect.
        after_turn: change from the turning point to the end, for shapes that turn.
        by_size: whether the shape varies with size.
        p: of "no trend in any run".
        q: p adjusted over everything in the report (Benjamini & Hochberg 1995).
        inverse: the score gets worse while the rest of the family gets better; False if the
            direction of the metric is unknown.
        higher_is_better: direction of the metric, from the table's column of that name or from the
            known metrics; None if neither gives it.
        notes: what to know before trusting it.
    """

    family: str | None
    task: str
    metric: str
    axis: str
    shape: Shape
    turning_point: float | None
    turning_interval: tuple[float, float] | None
    effect: float
    effect_interval: tuple[float, float]
    after_turn: float | None
    by_size: bool
    p: float
    q: float
    inverse: bool
    higher_is_better: bool | None
    notes: tuple[Note, ...]

    @property
    def last_change(self) -> float:
        """Change of the score since it turned, or over the whole range if it does not."""
        return self.effect if self.after_turn is None else self.after_turn

    @property
    def worsens(self) -> bool | None:
        """Whether the score gets worse in the end; None if the metric's direction is unknown."""
        if self.higher_is_better is None:
            return None
        return self.shape != "flat" and (self.last_change < 0) == self.higher_is_better

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""
        point = None
        if self.turning_point is not None and self.turning_interval is not None:
            point = {"value": self.turning_point, "interval": list(self.turning_interval)}
        return {
            "family": self.family,
            "task": self.task,
            "metric": self.metric,
            "axis": self.axis,
            "shape": self.shape,
            "turning_point": point,
            "effect": self.effect,
            "effect_interval": list(self.effect_interval),
            "after_turn": self.after_turn,
            "by_size": self.by_size,
            "p": self.p,
            "q": self.q,
            "inverse": self.inverse,
            "higher_is_better": self.higher_is_better,
            "notes": [asdict(n) for n in self.notes],
        }

    def __str__(self) -> str:
        return sentence(self)


@dataclass(frozen=True)
class Trends(Shown):
    """All trends of a table, the most important first.

    Attributes:
        trends: one per family, task, metric and axis.
        rate: false-discovery rate at which a shape other than flat is named.
        level: of the intervals.
        series: what was analysed, for plots and forecasts.
    """

    trends: tuple[Trend, ...]
    rate: float
    level: float
    series: tuple[TrendSeries, ...]

    @property
    def table(self) -> pl.DataFrame:
        """Return one row per trend."""
        rows = []
        for t in self.trends:
            row = t.to_dict()
            point = row.pop("turning_point") or {"value": None, "interval": [None, None]}
            low, high = row.pop("effect_interval")
            row |= {"effect_low": low, "effect_high": high, "turning_point": point["value"]}
            row["turning_low"], row["turning_high"] = point["interval"]
            row["notes"] = "; ".join(n["message"] for n in row["notes"])
            rows.append(row)
        return pl.DataFrame(rows, infer_schema_length=None)

    def _card(self) -> Card:
        table = self.table
        found = sum(t.shape != "flat" for t in self.trends)
        shown = ("family", "task", "metric", "axis", "shape", "effect", "turning_point", "q",
                 "inverse")  # fmt: skip
        return Card(
            f"{found} of {len(self.trends)} are not flat, at a false-discovery rate of "
            f"{self.rate:.0%}",
            table.select(c for c in shown if table[c].null_count() < table.height),
            rows=table,
        )


def trends(
    table: pl.DataFrame,
    *,
    by: Sequence[str] = ("family",),
    rate: float = 0.1,
    level: float = 0.9,
) -> Trends:
    """Find which abilities rise, fall, turn or leap, over training and over size.

    Per family, task and metric: a p value that is valid under serial dependence within runs,
    adjusted over everything tested; the shape by model comparison; turning points by profile
    likelihood; and the effect. docs/trends.md reports what was measured about each.

    Args:
        table: observation table: task, value, and tokens, step or loss; params and model (or run)
            distinguish runs; n or stderr give the precision of a score; chance is the score of
            random guessing.
        by: columns that separate series of comparable runs.
        rate: false-discovery rate.
        level: of intervals.

    Returns:
        `Trends`: one per family, task, metric and axis; effects in the metric's unit, turning
        points in the unit of the axis.

    Raises:
        UsageError: rate or level is out of range, or no column measures training progress.
        DataError: a column is missing, or one run has two scores at one point.

    Source: Benjamini & Hochberg 1995 for q; the test is ours.

    Examples:
        >>> found = augury.trends(augury.read_table("checkpoints.csv"))
        >>> [(t.task, str(t.shape)) for t in found.trends if t.axis == "tokens"]
        [('trap', 'falling'), ('reading', 'rising')]
    """
    for name, x in (("rate", rate), ("level", level)):
        if not 0 < x < 1:
            raise UsageError(f"{name} must lie between 0 and 1, not {x}")
    found: list[Trend] = []
    analysed = series_of(table, by)
    for series in count_steps(analysed, "series"):
        # One checkpoint per run tells nothing about training.
        over_training = series if np.bincount(series.design.run).max() > 1 else None
        for own in (over_training, _over_sizes(series)):
            if own is not None:
                found += _analysed(own, level)
    q = adjusted(np.array([t.p for t in found]))
    named = [_with_q(t, float(x), rate) for t, x in zip(found, q, strict=True)]
    named = shared_leaps(_against_the_rest(named), analysed)
    return Trends(tuple(sorted(named, key=_importance)), rate, level, tuple(analysed))


def _over_sizes(series: TrendSeries) -> TrendSeries | None:
    """Return the same tasks over size: late checkpoints averaged, one point per run."""
    design = series.design
    sizes = design.sizes
    if len(np.unique(sizes)) < FEW_RUNS or not np.isfinite(sizes).all():
        return None
    cut = design.x.min() + LATE * (design.x.max() - design.x.min())
    late = [np.flatnonzero((design.run == r) & (design.x >= cut)) for r in range(design.runs)]
    if any(len(own) == 0 for own in late):
        return None
    order = np.argsort(sizes)
    y = np.stack([series.y[:, late[r]].mean(1) for r in order], 1)
    flat = np.zeros(len(order))
    over = Design(
        np.log(sizes[order]), flat, flat.astype(np.int64), sizes[order][:1], "params", 0.0
    )
    # Checkpoints of a run share most of their noise, so averaging n of them gains little.
    return TrendSeries(
        series.family, series.keys, over, y, series.sampling, series.scales, series.chance,
        series.higher_is_better, series.wordings,
    )  # fmt: skip


def _analysed(series: TrendSeries, level: float) -> list[Trend]:
    if series.design.progress == "params":
        whitening = [np.eye(len(series.design.x))]
        noise = Noise(np.zeros(len(series.y), int), np.ones(len(series.y)))
    else:
        whitening = roots(series.design)
        noise = estimate(series, whitening)
    p, how = evidence(series, whitening, noise)
    shaped = curves(series, whitening, noise, level)
    return [
        _trend(series, task, curve, float(p[task]), how, noise, level)
        for task, curve in enumerate(shaped)
    ]


def _trend(
    series: TrendSeries,
    task: int,
    curve: TrendCurve,
    p: float,
    how: str,
    noise: Noise,
    level: float,
) -> Trend:
    design, scale = series.design, series.scales[task]
    t = stats.t.ppf(0.5 + level / 2, max(curve.df, 1))
    change, error = curve.change

    def score_change(by: float) -> float:
        ends = scale.back(np.array([curve.start + by, curve.start]))
        return float(ends[0] - ends[1])

    shape = _shape(curve)
    unsure = shape in ("rising", "falling") and abs(change) < t * error
    shape = "flat" if unsure else shape
    turn: float | None = None
    interval: tuple[float, float] | None = None
    after: float | None = None
    notes = []
    if unsure:
        text = "The runs change, but not clearly in one direction over the whole range."
        notes.append(Note("unsure-direction", "info", text, {"form": curve.form}))
    if shape in ("U", "inverted U", "threshold"):
        turn = float(design.at(curve.knot))
        low, high = sorted(float(design.at(k)) for k in curve.knot_interval)
        interval = (low, high)
        after = score_change(change) - score_change(curve.slopes[0] * (curve.knot - design.x.min()))
        if min(curve.knot_interval) <= np.unique(design.x)[1] + 1e-9 or max(
            curve.knot_interval
        ) >= (np.unique(design.x)[-2] - 1e-9):
            notes.append(
                Note(
                    "turn-at-edge",
                    "warning",
                    "The turning point reaches the edge of what was observed: it may lie beyond.",
                    {},
                )
            )
    if curve.by_size:
        notes.append(
            Note(
                "by-size",
                "info",
                "The shape varies with size; this describes the largest model.",
                {"params": float(np.exp(design.largest + design.zero))},
            )
        )
    if how == "series" and design.progress != "params":
        notes.append(
            Note(
                "few-runs",
                "warning",
                f"{design.runs} run{'s' if design.runs > 1 else ''}: the p value relies on the "
                "estimated serial dependence of checkpoints, not on agreement between runs.",
                {"runs": design.runs},
            )
        )
    if shape == "threshold":
        notes += _threshold_notes(series, task, curve)
    if design.progress != "params":
        share, reach = GRID[noise.choice[task]]
        sampling = series.sampling[task]
        if np.isfinite(sampling) and noise.variance[task] > 4 * sampling:
            notes.append(
                Note(
                    "restless",
                    "info",
                    f"Checkpoints scatter {np.sqrt(noise.variance[task] / sampling):.0f} times as "
                    "far as counting explains.",
                    {"share": share, "reach": reach},
                )
            )
    ends = sorted((score_change(change - t * error), score_change(change + t * error)))
    name, metric = series.keys[task]
    return Trend(
        family=series.family,
        task=name,
        metric=metric,
        axis=design.progress,
        shape=shape,
        turning_point=turn,
        turning_interval=interval,
        effect=score_change(change),
        effect_interval=(ends[0], ends[1]),
        after_turn=after,
        by_size=curve.by_size,
        p=p,
        q=np.nan,
        inverse=False,
        higher_is_better=series.higher_is_better[task],
        notes=tuple(notes),
    )


def _shape(curve: TrendCurve) -> Shape:
    if curve.form == "flat":
        return "flat"
    if curve.turns:
        return "inverted U" if curve.slopes[0] > 0 else "U"
    if curve.form == "leap" and curve.slopes[1] > 0:
        return "threshold"
    return "rising" if curve.change[0] > 0 else "falling"


def _threshold_notes(series: TrendSeries, task: int, curve: TrendCurve) -> list[Note]:
    """Note whether the score started at chance."""
    chance = series.chance[task]
    before = float(series.scales[task].back(np.array([curve.start]))[0])
    if not np.isfinite(chance):
        text = f"It leaves a level of {before:.3g}; no column tells whether that is chance."
        return [Note("chance-unknown", "info", text, {"before": before})]
    text = f"Before, {before:.3g}; random guessing scores {chance:.3g}."
    return [Note("level-before", "info", text, {"before": before, "chance": float(chance)})]


def _with_q(trend: Trend, q: float, rate: float) -> Trend:
    """Return the trend with its q; a shape is named only if there is evidence for any trend."""
    kept = q <= rate and trend.shape != "flat"
    if kept:
        return replace(trend, q=q)
    return replace(
        trend, q=q, shape="flat", turning_point=None, turning_interval=None, after_turn=None
    )


def _against_the_rest(found: list[Trend]) -> list[Trend]:
    """Mark tasks that get worse while the family's others get better: inverse scaling."""
    out = []
    for trend in found:
        rest = [
            t.effect
            for t in found
            if (t.family, t.axis, t.metric) == (trend.family, trend.axis, trend.metric)
            and t.task != trend.task
        ]
        better = -1.0 if trend.higher_is_better is False else 1.0
        turns_worse = trend.shape in (
            ("falling", "inverted U") if better > 0 else ("rising", "U", "threshold")
        )
        inverse = False
        notes = trend.notes
        if turns_worse and better * trend.last_change < 0 and len(rest) >= 2:
            mean = float(np.mean(rest))
            error = float(np.std(rest, ddof=1) / np.sqrt(len(rest)))
            against = better * mean > SURELY * error
            inverse = against and trend.higher_is_better is not None
            text = (
                f"The other {len(rest)} tasks change by {mean:+.3g} on average (standard error "
                f"{error:.2g}) meanwhile"
            )
            if inverse:
                text += ": inverse scaling."
            elif against:
                text += ": inverse scaling if higher is better (a column higher_is_better)."
            else:
                text += f": not surely {'rising' if better > 0 else 'falling'}."
            notes = (*notes, Note("against-the-rest", "info", text, {"mean": mean}))
        out.append(replace(trend, inverse=inverse, notes=notes))
    return out


# What a shape does if lower is better, with the scale inverted.
_TURNED: dict[Shape, Shape] = {
    "falling": "rising", "rising": "falling", "threshold": "falling", "U": "inverted U",
    "inverted U": "U", "flat": "flat",
}  # fmt: skip


def _importance(trend: Trend) -> tuple[int, float, float]:
    """Sort clear losses first, largest first, then turns, leaps, gains, and what is flat.

    If the direction of a metric is unknown, its falls count as losses.
    """
    order = {"falling": 0, "inverted U": 0, "U": 1, "threshold": 2, "rising": 3, "flat": 4}
    lower = trend.higher_is_better is False
    shape = _TURNED[trend.shape] if lower else trend.shape
    change = -trend.last_change if lower else trend.last_change
    return order[shape], change if trend.shape != "flat" else trend.q, trend.q


def sentence(trend: Trend) -> str:
    """Describe the trend in words."""
    where: Literal["over training", "over size"] = (
        "over size" if trend.axis == "params" else "over training"
    )
    name = trend.task + (f" ({trend.metric})" if trend.metric != "score" else "")
    name = f"{trend.family}: {name}" if trend.family else name
    low, high = trend.effect_interval
    sure = f"q = {trend.q:.2g}"
    if trend.shape == "flat":
        return f"{name} shows no trend {where} ({sure})."
    # Added where the words alone would mislead: a perplexity that falls is not a loss of ability.
    turned = {True: ", which is worse", False: ", which is better"}
    meaning = turned[bool(trend.worsens)] if trend.higher_is_better is False else ""
    if trend.turning_point is None or trend.turning_interval is None:
        verb = "rises" if trend.effect > 0 else "falls"
        by = f"{abs(trend.effect):.3g} [{low:.2g}, {high:.2g}]"
        return f"{name} {verb} {where} by {by} ({sure}){meaning}."
    at = f"{trend.turning_point:.3g} {trend.axis}"
    span = f"[{trend.turning_interval[0]:.2g}, {trend.turning_interval[1]:.2g}]"
    after = abs(trend.after_turn or 0.0)
    if trend.shape == "threshold":
        return (
            f"{name} starts to rise {where} at {at} {span}, by {after:.3g} since ({sure}){meaning}."
        )
    verb = "rises, then falls" if trend.shape == "inverted U" else "falls, then rises"
    return (
        f"{name} {verb} {where}: it turns at {at} {span}, {after:.3g} from there ({sure}){meaning}."
    )
