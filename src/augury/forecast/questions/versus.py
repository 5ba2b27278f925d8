"""Which of two series is better, by how many times the compute, and where they cross.

Each series (an architecture, a corpus, a recipe) gets its own law. At the largest scale measured
for both, the second needs some multiple of the first's compute for the same loss or score; where
their curves cross, the order reverses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from augury.data.compute import training_flops
from augury.display import Card
from augury.errors import DataError, UsageError
from augury.fitting import Fit, fit
from augury.fitting.space import Floats
from augury.forecast.prediction import known
from augury.forecast.questions.answers import (
    Answer,
    AnswerStatus,
    Estimate,
    parameter_columns,
    status_at,
)
from augury.laws import parse_law
from augury.notes import Note

SCALES = ("flops", "params", "tokens")
# Points per curve, and how far beyond the data a match and a crossing are searched for.
GRID, MATCH, CROSS = 241, 1e4, 10.0
# Draws of each series.
DRAWS = 400
# Runs per series needed for a law of parameters and tokens, if their ratio varies by this.
ENOUGH, VARIES = 8, 1.5


@dataclass(frozen=True)
class SeriesComparison(Answer):
    """How two series compare.

    Attributes:
        by: the column that distinguishes them.
        first, second: their names.
        output: what is compared: loss, or a score.
        of: what the ratio is of: flops, params or tokens.
        ratio: how many times as much of it the second needs to match the first at `at`; above 1,
            the first is better.
        ratios: the same for flops (at a fixed ratio of tokens to parameters), params (at the same
            tokens) and tokens (at the same params), as far as the table allows.
        at: where the ratio is taken: `of`, and the first's value there.
        crossing: where the curves cross, up to ten times beyond the data; None if they do not.
        crossing_probability: share of the draws in which they cross there.
        law: of both series.
        extrapolation: distance of the second's match from its data, in their range.
        curves: rows of series, x, value, low, high.
        runs: rows of series, x, value: the fitted runs, moved along the law to the curve.
    """

    by: str
    first: str
    second: str
    output: str
    of: str
    ratio: Estimate
    ratios: Mapping[str, Estimate]
    at: Mapping[str, float]
    crossing: Estimate | None
    crossing_probability: float
    law: str
    extrapolation: float
    curves: pl.DataFrame
    runs: pl.DataFrame

    @property
    def better(self) -> str | None:
        """The series that needs less; None if the interval allows both."""
        low, high = self.ratio.interval
        if low > 1:
            return self.first
        return self.second if high < 1 else None

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary ready for JSON."""
        return {
            "ratio": self.ratio.to_dict(),
            "of": self.of,
            "crossing": None if self.crossing is None else self.crossing.to_dict(),
            "crossing_probability": self.crossing_probability,
            "first": self.first,
            "second": self.second,
            "better": self.better,
            "at": {name: known(x) for name, x in self.at.items()},
            "ratios": {name: e.to_dict() for name, e in self.ratios.items()},
            "output": self.output,
            "law": self.law,
            "extrapolation": known(self.extrapolation),
            **self.about(),
        }

    def _card(self) -> Card:
        rows = [
            {"ratio of": name, "value": e.value, "low": e.interval[0], "high": e.interval[1]}
            for name, e in self.ratios.items()
        ]
        return Card(self._heading(), pl.DataFrame(rows), self.notes, rows=self.curves)

    def _heading(self) -> str:
        return f"{self.first} against {self.second} by {self.law}: {self.status}"

    def __repr__(self) -> str:
        return f"<SeriesComparison {self.first}/{self.second} ratio={self.ratio.value:.3g}>"

    def __str__(self) -> str:
        best = "neither is clearly better" if self.better is None else f"{self.better} is better"
        lines = [
            f"{self._heading()}; {best}",
            f"  where {self.first} reaches a {self.output} of {self.at[self.output]:.4g} "
            f"({self.at[self.of]:.4g} {self.of}), {self.second} needs",
            *(f"  {e} times the {name}" for name, e in self.ratios.items()),
        ]
        where = (
            "they do not cross"
            if self.crossing is None
            else f"they cross at {self.crossing} {self.of}"
        )
        lines.append(
            f"  up to {CROSS:g} times beyond the data {where}; in {self.crossing_probability:.0%} "
            "of the draws they do"
        )
        lines += [f"  {n.severity}: {n.message}" for n in self.notes]
        return "\n".join(lines)


@dataclass(frozen=True)
class _Series:
    """A fitted series and its parameters, the best first."""

    fit: Fit
    columns: Mapping[str, Floats]
    size: int

    def at(self, places: Mapping[str, Floats]) -> Floats:
        """Return (1 + S, G) values at (G,) points."""
        inputs = {}
        for name, kind in self.fit.law.inputs.items():
            if name in places:
                inputs[name] = places[name][None]
            elif kind.default is not None:
                inputs[name] = np.full((1, 1), float(self.fit.data[name][0]))
        return self.fit.law(self.columns, **inputs)


@dataclass(frozen=True)
class _Path:
    """Points along one scale: tokens per parameter fixed (flops), or the other input fixed."""

    over: str
    ratio: float
    params: float
    tokens: float

    def places(self, x: Floats) -> dict[str, Floats]:
        if self.over == "params":
            params, tokens = x, np.full_like(x, self.tokens)
        elif self.over == "tokens":
            params, tokens = np.full_like(x, self.params), x
        else:
            params = np.sqrt(x / training_flops(1.0, self.ratio))
            tokens = self.ratio * params
        flops = x if self.over == "flops" else training_flops(params, tokens)
        return {"params": params, "tokens": tokens, "flops": flops}


def compare_series(
    table: pl.DataFrame,
    by: str,
    *,
    between: tuple[str, str] | None = None,
    output: str | None = None,
    over: str = "flops",
    law: str | None = None,
    level: float = 0.9,
    seed: int = 0,
) -> SeriesComparison:
    """Compare two series of runs.

    Args:
        table: one row per run: `by`, the scale, and the loss or score.
        by: column that distinguishes the series.
        between: the names of two series, if there are more; the ratio is of the second to the
            first.
        output: column compared; by default loss, else value.
        over: flops, params or tokens: the main ratio.
        law: of each series; by default chinchilla if params and tokens vary separately, else a
            power law with a floor; pass-rate for scores.
        level: of the intervals.
        seed: of the draws.

    Returns:
        A `SeriesComparison`.

    Raises:
        DataError: a column is missing, a series has too few runs, or its law is not identifiable.
        UsageError: the column does not hold exactly two series, or an option does not exist.

    Source: ours: two laws, and the inverse of one at the other's value.

    Examples:
        >>> both = augury.read_table("recipes.csv")
        >>> found = augury.compare_series(both, "recipe", law="power:over=flops")
        >>> found.ratio.interval[0] < 2.0 < found.ratio.interval[1]
        True
    """
    if over not in SCALES:
        raise UsageError(f"--over '{over}': expected one of {', '.join(SCALES)}")
    if not 0.0 < level < 1.0:
        raise UsageError(f"level must lie between 0 and 1, not {level}")
    output = output or ("loss" if "loss" in table.columns else "value")
    for name in (by, output):
        if name not in table.columns:
            there = ", ".join(table.columns[:12])
            raise DataError("the column is missing", column=name, expected=f"one of {there}")
    first, second = _names(table, by, between)
    parts = {n: table.filter(pl.col(by).cast(pl.String) == n) for n in (first, second)}
    named = law or _law_for(parts, output, over)
    series = {
        n: _fit_series(named, part, n, output, level, seed, which)
        for which, (n, part) in enumerate(parts.items())
    }
    both = pl.concat(parts.values())
    paths = _paths(series[first].fit, both)
    if over not in paths:
        raise UsageError(f"'{named}' does not depend on {over}; possible are {', '.join(paths)}")
    falls = not named.startswith("pass-rate")
    found = {name: _match(series[first], series[second], path, parts, falls)
             for name, path in paths.items()}  # fmt: skip
    ratios = {n: Estimate.of_draws(float(r[0]), r[1:], level) for n, (r, _) in found.items()}
    start = found[over][1]
    path = paths[over]
    crossing, share = _crossing(series[first], series[second], path, both, level)
    match = start * ratios[over].value
    seen = parts[second][over].to_numpy()
    far = np.log(max(match / seen.max(), seen.min() / match, 1.0)) / np.log(seen.max() / seen.min())
    status, notes = status_at(float(far) if np.isfinite(match) else np.inf)
    if not np.isfinite(ratios[over].value):
        status = AnswerStatus.OPEN
        said = f"By its law, {second} never reaches what {first} does: there is no ratio."
        notes = [Note("no-match", "serious", said)]
    value = series[first].at(path.places(np.array([start])))[0, 0]
    return SeriesComparison(
        level=level,
        status=status,
        notes=tuple(notes),
        seed=seed,
        by=by,
        first=first,
        second=second,
        output=output,
        of=over,
        ratio=ratios[over],
        ratios=ratios,
        at={over: start, output: float(value)},
        crossing=crossing,
        crossing_probability=share,
        law=named,
        extrapolation=float(far),
        curves=_curves(series, path, both, level),
        runs=_runs(series, path),
    )


def _names(table: pl.DataFrame, by: str, between: tuple[str, str] | None) -> tuple[str, str]:
    there = table[by].cast(pl.String).drop_nulls().unique().sort().to_list()
    if between is None:
        if len(there) != 2:
            raise UsageError(
                f"'{by}' holds {len(there)} series ({', '.join(there[:6])}): choose two by "
                "--between A,B"
            )
        return there[0], there[1]
    for name in between:
        if name not in there:
            raise UsageError(f"'{by}' has no '{name}'; there are: {', '.join(there[:6])}")
    if between[0] == between[1]:
        raise UsageError(f"'{between[0]}' is compared with itself")
    return between


def _law_for(parts: Mapping[str, pl.DataFrame], output: str, over: str) -> str:
    """Choose Chinchilla if every series has the runs for it, else a law of one scale."""
    if output != "loss":
        return f"pass-rate:over={over}"
    for part in parts.values():
        if not {"params", "tokens"} <= set(part.columns):
            return f"power:over={over}"
        ratio = (part["tokens"] / part["params"]).drop_nulls()
        varies = len(ratio) > 0 and float(ratio.max()) > VARIES * float(ratio.min())  # type: ignore[arg-type]
        if part.height < ENOUGH or not varies:
            return f"power:over={over}"
    return "chinchilla"


def _fit_series(
    law: str, part: pl.DataFrame, name: str, output: str, level: float, seed: int, which: int
) -> _Series:
    parsed = parse_law(law)
    needed = [n for n, kind in parsed.inputs.items() if kind.default is None]
    for column in needed:
        if column not in part.columns:
            raise DataError("the column is missing", column=column, expected=f"inputs of {law}")
    rows = part.drop_nulls([*needed, output])
    if rows.height < len(parsed.parameters) + 1:
        raise DataError(
            f"the series '{name}' has {rows.height} runs",
            expected=f"at least {len(parsed.parameters) + 1} for {law}",
        )
    fitted = fit(parsed, rows, output=output, level=level, influence=False, seed=seed)
    if not fitted.usable:
        raise DataError(
            f"the series '{name}' does not determine {law}: {fitted.status}",
            expected="runs at more scales",
        )
    columns = parameter_columns(fitted, DRAWS)
    size = len(next(iter(columns.values())))
    # Draws of two fits with one seed are correlated: reordered, the series are independent.
    order = np.concatenate([[0], 1 + np.random.default_rng([seed, which]).permutation(size - 1)])
    return _Series(fitted, {n: column[order] for n, column in columns.items()}, size)


def _paths(fitted: Fit, both: pl.DataFrame) -> dict[str, _Path]:
    """Return the scales that the law depends on, each with what stays fixed along it."""
    inputs = set(fitted.law.inputs)
    params = tokens = ratio = np.nan
    if {"params", "tokens"} <= inputs:
        n, d = both["params"].to_numpy(), both["tokens"].to_numpy()
        params, tokens = float(np.median(n)), float(np.median(d))
        ratio = float(np.median(d / n))
        return {over: _Path(over, ratio, params, tokens) for over in SCALES}
    return {over: _Path(over, ratio, params, tokens) for over in SCALES if over in inputs}


def _match(
    first: _Series, second: _Series, path: _Path, parts: Mapping[str, pl.DataFrame], falls: bool
) -> tuple[Floats, float]:
    """Return (1 + S,) ratios at the largest common scale (or infinity), and that scale."""
    start = min(float(part[path.over].max()) for part in parts.values())  # type: ignore[arg-type]
    size = min(first.size, second.size)
    target = first.at(path.places(np.array([start])))[:size]
    grid = np.log(start) + np.log(MATCH) * np.linspace(-1.0, 1.0, 2 * GRID)
    values = second.at(path.places(np.exp(grid)))[:size]
    if falls:
        target, values = -target, -values
    reached = np.array([np.interp(t, v, grid) for t, v in zip(target[:, 0], values, strict=True)])
    ratio = np.exp(reached - np.log(start))
    ratio = np.where(target[:, 0] > values[:, -1], np.inf, ratio)
    return np.where(target[:, 0] < values[:, 0], 0.0, ratio), start


def _span(path: _Path, both: pl.DataFrame, beyond: float) -> Floats:
    seen = both[path.over].to_numpy()
    return np.geomspace(seen.min(), seen.max() * beyond, GRID)


def _crossing(
    first: _Series, second: _Series, path: _Path, both: pl.DataFrame, level: float
) -> tuple[Estimate | None, float]:
    """Return the last point where the curves cross, and the share of draws that have one."""
    x = _span(path, both, CROSS)
    size = min(first.size, second.size)
    gap = first.at(path.places(x))[:size] - second.at(path.places(x))[:size]
    turns = np.signbit(gap[:, 1:]) != np.signbit(gap[:, :-1])
    last = turns.shape[1] - 1 - np.argmax(turns[:, ::-1], axis=1)
    rows = np.arange(size)
    left, right = gap[rows, last], gap[rows, last + 1]
    part = np.clip(left / np.where(left == right, 1.0, left - right), 0.0, 1.0)
    where = np.exp(np.log(x[last]) + part * (np.log(x[last + 1]) - np.log(x[last])))
    some = turns.any(axis=1)
    share = float(some[1:].mean()) if size > 1 else float(some[0])
    if not some[0]:
        return None, share
    return Estimate.of_draws(float(where[0]), where[1:][some[1:]], level), share


def _curves(
    series: Mapping[str, _Series], path: _Path, both: pl.DataFrame, level: float
) -> pl.DataFrame:
    x, tail = _span(path, both, CROSS), (1.0 - level) / 2.0
    parts = []
    for name, one in series.items():
        values = one.at(path.places(x))
        low, high = np.quantile(values, [tail, 1.0 - tail], axis=0)
        parts.append(pl.DataFrame({"series": [name] * len(x), "x": x, "value": values[0],
                                   "low": low, "high": high}))  # fmt: skip
    return pl.concat(parts)


def _runs(series: Mapping[str, _Series], path: _Path) -> pl.DataFrame:
    """Move every run along its law to the path: as far from the curve as from the law."""
    parts = []
    for name, one in series.items():
        data = one.fit.data
        places = {n: data[n].to_numpy() for n in one.fit.law.inputs if n in data.columns}
        best = _Series(one.fit, {n: v[:1] for n, v in one.columns.items()}, 1)
        own = best.at({n: v for n, v in places.items() if n != "chance"})[0]
        if {"params", "tokens"} <= set(places):
            places["flops"] = training_flops(places["params"], places["tokens"])
        x = places[path.over]
        there = best.at(path.places(x))[0]
        parts.append(pl.DataFrame({"series": [name] * len(x), "x": x,
                                   "value": data["y"].to_numpy() * there / own}))  # fmt: skip
    return pl.concat(parts)
