"""Choose a shape: lines, leaps, plateaus and turns are compared on the whitened series.

All are broken sticks in the logarithm of training (or of size): a slope before a knot c and one
after it. A line has one slope, a leap none before, a plateau none after, a turn two of opposite
sign (the two-lines test of Simonsohn 2018 in place of a parabola, which sees turns where a curve
only levels off). Every model comes with slopes equal over sizes, and with slopes that vary with the
logarithm of size. The Bayesian information criterion chooses; the knot counts as a parameter, and
what varies with size is charged log(runs), not log(points): only runs are evidence for it
(Delattre, Lavielle & Poursat 2014).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np
from scipy import stats

from augury.forecast.trends.noise import Noise
from augury.forecast.trends.series import Design, Floats, TrendSeries

Shape = Literal["flat", "rising", "falling", "U", "inverted U", "threshold"]
Form = Literal["flat", "line", "leap", "levelling", "turn"]
# Number of knots tried first, over the range.
KNOTS = 33
# Both slopes of a turn must differ from zero at this one-sided level, separately.
SLOPE_LEVEL = 0.05


@dataclass(frozen=True)
class TrendCurve:
    """The chosen model of one task, on the scale of the analysis.

    Attributes:
        form: which model.
        by_size: whether slopes vary with size; then everything here is for the largest one.
        knot: where the slope changes, NaN for lines.
        knot_interval: profile-likelihood interval of the knot.
        slopes: before and after the knot, per unit of x.
        errors: their standard errors.
        change: (end - start) over the observed range, and its standard error.
        df: residual degrees of freedom.
        turns: whether both slopes are clearly of opposite sign.
        start: fitted value at the first point.
    """

    form: Form
    by_size: bool
    knot: float
    knot_interval: tuple[float, float]
    slopes: tuple[float, float]
    errors: tuple[float, float]
    change: tuple[float, float]
    df: int
    turns: bool
    start: float


def curves(
    series: TrendSeries, whitening: list[Floats], noise: Noise, level: float = 0.9
) -> list[TrendCurve]:
    """Choose the best model of every task."""
    out: list[TrendCurve | None] = [None] * len(series.y)
    for g in np.unique(noise.choice):
        tasks = np.flatnonzero(noise.choice == g)
        for task, curve in zip(tasks, _chosen(series, whitening[g], tasks, level), strict=True):
            out[task] = curve
    return [c for c in out if c is not None]


def knots(design: Design) -> Floats:
    """Return candidate knots between inner points, so that each side has at least two."""
    distinct = np.unique(design.x)
    if len(distinct) < 4:
        return np.empty(0)
    return np.linspace(distinct[1], distinct[-2], KNOTS)


def _columns(design: Design, form: Form, c: float, by_size: bool) -> Floats:
    """Return the (n, k) slope columns of a model; z is relative to the largest size."""
    before, after = np.minimum(design.x - c, 0.0), np.maximum(design.x - c, 0.0)
    own = {
        "flat": [],
        "line": [before + after],
        "leap": [after],
        "levelling": [before],
        "turn": [before, after],
    }[form]
    z = design.z - design.largest
    return (
        np.stack([*own, *([o * z for o in own] if by_size else [])], 1)
        if own
        else np.empty((len(design.x), 0))
    )


def _chosen(series: TrendSeries, root: Floats, tasks: np.ndarray, level: float) -> list[TrendCurve]:
    design = series.design
    levels = root @ (design.run[:, None] == np.arange(design.runs)[None]).astype(float)
    base, _ = np.linalg.qr(levels)

    def cleared(a: Floats) -> Floats:
        return a - base @ (base.T @ a)

    y = cleared(root @ series.y[tasks].T)  # (n, T)
    n = len(design.x)
    where = knots(design)
    sized = (False, True) if design.z.any() else (False,)
    forms: list[tuple[Form, float, bool]] = [("flat", 0.0, False)]
    forms += [("line", float(design.x.mean()), s) for s in sized]
    bent: tuple[Form, ...] = ("leap", "levelling", "turn")
    forms += [(f, float(c), s) for f, s, c in product(bent, sized, where)]
    rss = np.empty((len(forms), len(tasks)))
    cost = np.full_like(rss, np.inf)
    for m, (form, c, by_size) in enumerate(forms):
        columns = cleared(root @ _columns(design, form, c, by_size))
        q, r = np.linalg.qr(columns)
        rss[m] = np.maximum((y**2).sum(0) - ((q.T @ y) ** 2).sum(0), 1e-18)
        slopes = columns.shape[1] // (2 if by_size else 1)
        common = slopes + (form in bent)
        varying = slopes if by_size else 0
        full_rank = slopes == 0 or np.abs(np.diag(r)).min() > 1e-9
        if full_rank and n - design.runs - common - varying >= 2:
            penalty = common * np.log(n) + varying * np.log(design.runs)
            cost[m] = n * np.log(rss[m]) + penalty
    best = np.argmin(cost, 0)
    return [
        _curve(series, root, cleared, forms[best[t]], int(task), level)
        for t, task in enumerate(tasks)
    ]


def _curve(
    series: TrendSeries,
    root: Floats,
    cleared: Callable[[Floats], Floats],
    chosen: tuple[Form, float, bool],
    task: int,
    level: float,
) -> TrendCurve:
    design = series.design
    form, c, by_size = chosen
    y = cleared(root @ series.y[task])
    bent = form not in ("flat", "line")
    df = len(design.x) - design.runs - _columns(design, form, c, by_size).shape[1] - bent
    floor = series.sampling[task] if np.isfinite(series.sampling[task]) else 0.0
    interval = (np.nan, np.nan)
    if bent:

        def profile(at: Floats) -> Floats:
            out = np.empty(len(at))
            for i, knot in enumerate(at):
                q, _ = np.linalg.qr(cleared(root @ _columns(design, form, knot, by_size)))
                out[i] = max(float(y @ y - ((q.T @ y) ** 2).sum()), 1e-18)
            return out

        c, *ends = _knot(knots(design), profile, df, floor, level)
        interval = (ends[0], ends[1])
    raw = _columns(design, form, c, by_size)
    columns = cleared(root @ raw)
    variance = max(float(((y - columns @ np.linalg.pinv(columns) @ y) ** 2).sum()) / df, floor)
    solved = np.linalg.lstsq(columns, y)[0] if columns.shape[1] else np.empty(0)
    covariance = variance * np.linalg.pinv(columns.T @ columns)
    first, last = design.x.min(), design.x.max()
    before, after = min(first - c, 0.0), max(last - c, 0.0)
    # Weights of the coefficients in: slope before, slope after, change over the range.
    ask = np.zeros((3, columns.shape[1]))
    if form == "line":
        ask[:, 0] = (1.0, 1.0, last - first)
    elif form == "leap":
        ask[1, 0], ask[2, 0] = 1.0, after
    elif form == "levelling":
        ask[0, 0], ask[2, 0] = 1.0, -before
    elif form == "turn":
        ask[0, 0] = ask[1, 1] = 1.0
        ask[2, :2] = -before, after
    values = ask @ solved
    errors = np.sqrt(np.maximum(np.diag(ask @ covariance @ ask.T), 0.0))
    sure = stats.t.ppf(1 - SLOPE_LEVEL, max(df, 1))
    turns = (
        form == "turn"
        and values[0] * values[1] < 0
        and bool((np.abs(values[:2]) > sure * errors[:2]).all())
    )
    residual_level = series.y[task] - raw @ solved
    own = design.z == design.largest if by_size else np.ones(len(design.x), bool)
    start = float(residual_level[own].mean()) + _at_start(form, values, before)
    return TrendCurve(
        form=form,
        by_size=by_size,
        knot=c if bent else np.nan,
        knot_interval=interval,
        slopes=(float(values[0]), float(values[1])),
        errors=(float(errors[0]), float(errors[1])),
        change=(float(values[2]), float(errors[2])),
        df=df,
        turns=turns,
        start=start,
    )


def _at_start(form: Form, values: Floats, before: float) -> float:
    """Return the fitted slope part at the first point."""
    return 0.0 if form in ("flat", "leap") else float(values[0] * before)


def _knot(
    where: Floats, rss: Callable[[Floats], Floats], df: int, floor: float, level: float
) -> tuple[float, float, float]:
    """Find the best knot between the candidates, and the knots that the data allow.

    An interval may be narrower than the grid. So the profile of the sum of squares is refined on
    ever finer grids around the remaining knots, and its crossings of the F quantile are
    interpolated.
    """
    grid, values = where, rss(where)
    for _ in range(3):
        least = values.min()
        bar = least + max(least / df, floor) * float(stats.f.ppf(level, 1, df))
        inside = np.flatnonzero(values <= bar)
        low, high = max(inside[0] - 1, 0), min(inside[-1] + 1, len(grid) - 1)
        grid = np.linspace(grid[low], grid[high], KNOTS)
        values = rss(grid)
    best = int(np.argmin(values))
    bar = values[best] + max(values[best] / df, floor) * float(stats.f.ppf(level, 1, df))
    inside = np.flatnonzero(values <= bar)
    ends = []
    for edge, out in ((inside[0], inside[0] - 1), (inside[-1], inside[-1] + 1)):
        if 0 <= out < len(grid):
            share = (bar - values[edge]) / (values[out] - values[edge])
            ends.append(float(grid[edge] + share * (grid[out] - grid[edge])))
        else:
            ends.append(float(grid[edge]))
    return float(grid[best]), ends[0], ends[1]
