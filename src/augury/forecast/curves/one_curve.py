"""A curve from its beginning: a run's loss from its first half, an error rate from few examples.

Nobody knows which law a curve follows. Each candidate is fitted to the curve's first points, to
some more, and so on, and judged by how it forecast what came next, at the distance now asked for.
Their logarithms are averaged with weights from these errors, and the interval is as wide as the
average's own errors were, growing with the distance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from augury.errors import DataError, UsageError
from augury.fitting import Gaussian
from augury.fitting.space import Floats
from augury.forecast.curves.candidates import CurveCandidate, candidates
from augury.forecast.curves.cuts import CutFits, fit_cuts
from augury.forecast.curves.result import CurveForecast, CurvePart, blend
from augury.laws import Law
from augury.laws.inputs import Curve
from augury.notes import Note

Places = NDArray[np.int64]
# Columns that a curve may run along; the first present is used.
ALONG = ("tokens", "step", "steps", "flops", "finetune_examples", "examples", "params", "x")
LAST_VALUE = "last-value"
# The first cut comes after this many points; a curve needs one more.
FEWEST = 5
MOST_CUTS = 8
# Longer logs are averaged in this many bins of equal width in log x, starting at this part of their
# end: what lies before is warm-up, and bins reaching back to the first step would be wide at the
# end.
BINS, KEPT = 48, 1 / 50
# Weights go with the mean square error to this power, and this share is the same for all.
POWER, EQUAL = 1.5, 0.2
# Errors of the logarithm below this are equally good.
SMALL = 1e-4
# Variance: this part of the mean square error at the later cuts, growing with the square of the
# distance, and this many times the noise of the curve's later half around the broken power law,
# which follows short curves too closely. Both set by likelihood on the development halves.
PART, NOISE = 0.45, 4.65
# For a training log, the learning rate may decay, and the loss then falls by more than the curve
# can show. This much more may lie below, per doubling of the run up to the first: set on the
# development half, where intervals of routed models (whose rate decays) held 32 % of the time
# without it and 95 % with it.
TRAINING, DECAY = ("tokens", "step", "steps"), 0.009
# Beyond this many times the distance that any cut looked ahead, errors at cuts tell little.
FAR = 2.0


def forecast_curve(
    data: pl.DataFrame | Mapping[str, Any],
    at: float | Sequence[float] | pl.DataFrame,
    *,
    x: str | None = None,
    y: str = "loss",
    laws: Sequence[Law | str] | None = None,
    level: float = 0.9,
) -> CurveForecast:
    """Forecast one curve beyond its end.

    Args:
        data: table or columns of one curve: `x`, and positive `y`. Rows need no order; rows with
            the same x are averaged, and long logs are binned.
        at: points beyond the end, as numbers of `x`; or a table with `x` and whatever else the laws
            take (`lr_sum`, `lr_drop`: see `augury.laws.with_schedule`).
        x: what the curve runs along; by default the first present of tokens, step(s), flops,
        examples, params and x.
        y: what is forecast: a loss, an error rate.
        laws: candidates in place of the default ones, laws or their names, such as "momentum" or
            "saturated-power:over=step". The last value is always among them.
        level: of the intervals.

    Returns:
        A `CurveForecast`: a value and an interval for one value measured there, per point, the
        weights of the laws, and the backtest forecasts that these come from.

    Raises:
        DataError: a column is missing, a value is not a positive number, or there are fewer than
            six different x.
        UsageError: the points do not lie beyond the end, or the level is not between 0 and 1.

    Source: ours; candidates of Caballero et al. 2022 (arXiv 2210.14891) and Alabdulmohsin et al.
    2022 (arXiv 2209.06640). docs/curves.md reports its errors on public curves.

    Examples:
        >>> tokens = [1e9, 2e9, 4e9, 8e9, 1.6e10, 3.2e10, 6.4e10, 1.28e11]
        >>> log = {"tokens": tokens, "loss": [2 + 500 / t**0.3 for t in tokens]}
        >>> found = augury.forecast_curve(log, at=2.56e11)
        >>> print(f"{found.value:.2f} nats per token")
        2.19 nats per token
    """
    table = data if isinstance(data, pl.DataFrame) else pl.DataFrame(dict(data), strict=False)
    x = x or next((n for n in ALONG if n in table.columns), "x")
    if not 0.0 < level < 1.0:
        raise UsageError(f"level must lie between 0 and 1, not {level}")
    wanted = candidates(x, laws)
    seen = _points(table, x, y, wanted)
    ahead = _targets(at, x, wanted, float(seen[x][-1]))
    own, count = seen[x].to_numpy(), seen.height
    observed = seen[y].to_numpy()
    places = cut_places(count)
    horizon = float(ahead[x].max()) / own[-1]  # type: ignore[arg-type]
    scored = [_window(own, place, horizon) for place in places]
    fits = {c.name: _fits(c, seen, own, observed, places) for c in wanted}
    values = {name: fit.values for name, fit in fits.items()}
    values[LAST_VALUE] = np.stack([np.full(count, observed[k - 1]) for k in (*places, count)])
    errors = {n: _errors(v, observed, scored) for n, v in values.items()}
    final = {n: fit.at(-1, _inputs(fit.law, ahead)) for n, fit in fits.items()}
    final[LAST_VALUE] = np.full(ahead.height, observed[-1])
    weights = weigh(errors, {n: bool(np.all(np.isfinite(v) & (v > 0))) for n, v in final.items()})
    names = list(values)
    shares = [weights[n] for n in names]
    parts = {
        n: CurvePart(
            weights[n],
            float(np.sqrt(np.nanmean(_later_half(errors[n])))),
            fits[n].law if n in fits else None,
            dict(zip(fits[n].law.parameters, map(float, fits[n].parameters[-1]), strict=True))
            if n in fits
            else {"value": float(observed[-1])},
        )
        for n in names
    }
    value = blend([final[n] for n in names], shares)
    squares = _errors(
        np.stack([blend([values[n][k] for n in names], shares) for k in range(len(places) + 1)]),
        observed,
        scored,
    )
    distance = np.log(ahead[x].to_numpy() / own[-1])
    looked = [np.log(own[w] / own[k - 1]).mean() for k, w in zip(places, scored, strict=True)]
    usual = float(np.mean(_later_half(np.array(looked))))
    tight = min(fits.values(), key=lambda fit: fit.spread[-1])
    noise = float(np.mean(np.log(tight.values[-1] / observed)[count // 2 :] ** 2))
    spread = np.sqrt(
        PART * np.nanmean(_later_half(squares)) * (distance / usual) ** 2 + NOISE * noise
    )
    spread = np.maximum(spread, SMALL)
    unknown = x in TRAINING and not any("lr_drop" in c.law.inputs for c in wanted)
    below = np.hypot(spread, DECAY * np.minimum(distance / np.log(2), 1.0))
    return CurveForecast(
        x=x,
        y=y,
        at=tuple(map(float, ahead[x])),
        values=tuple(map(float, value)),
        spreads=tuple(map(float, spread)),
        spreads_below=tuple(map(float, below)) if unknown else (),
        level=level,
        parts=parts,
        cuts=_cut_rows(values, own, observed, places, scored),
        end=float(own[-1]),
        notes=_notes(own, places, horizon, count),
    )


def cut_places(count: int) -> list[int]:
    """Count the points before each cut: at most eight cuts, evenly from five to all but one."""
    return sorted({round(k) for k in np.linspace(FEWEST, count - 1, MOST_CUTS)})


def weigh(errors: Mapping[str, Floats], able: Mapping[str, bool]) -> dict[str, float]:
    """Weight candidates by (K,) mean square errors at cuts; infinite and NaN do not count."""
    raw = {}
    for name, own in errors.items():
        later = _later_half(own)
        later = later[np.isfinite(later)]
        good = able[name] and len(later) > 0
        raw[name] = (float(later.mean()) + SMALL**2) ** -POWER if good else 0.0
    total, some = sum(raw.values()), sum(w > 0 for w in raw.values())
    return {n: (1 - EQUAL) * w / total + EQUAL / some if w > 0 else 0.0 for n, w in raw.items()}


def _later_half(per_cut: Floats) -> Floats:
    """Keep the later half of the cuts, which are most like the real forecast."""
    return per_cut[len(per_cut) // 2 :]


def _window(own: Floats, place: int, horizon: float) -> Places:
    """Return the points after a cut, up to the horizon; the next one if none is that near."""
    near = own[place:] <= own[place - 1] * horizon * (1 + 1e-9)
    return np.arange(place, place + max(int(near.sum()), 1), dtype=np.int64)


def _errors(values: Floats, observed: Floats, scored: Sequence[Places]) -> Floats:
    """Return (K,) the mean square log error beyond each cut; NaN where a value has none."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.array([np.mean(np.log(values[k][w] / observed[w]) ** 2)
                         for k, w in enumerate(scored)])  # fmt: skip


def _fits(
    c: CurveCandidate, seen: pl.DataFrame, own: Floats, y: Floats, places: list[int]
) -> CutFits:
    weights = np.stack([c.weights(own, k) for k in (*places, len(own))])
    return fit_cuts(c.law, _inputs(c.law, seen), y, weights, Gaussian("log"), c.priors)


def _inputs(law: Law, table: pl.DataFrame) -> dict[str, Floats]:
    """Return what a law takes, from a table of points."""
    numbered = table.with_row_index("row", offset=1)
    return {name: kind.read(numbered, name) for name, kind in law.inputs.items()}


def _points(table: pl.DataFrame, x: str, y: str, wanted: Sequence[CurveCandidate]) -> pl.DataFrame:
    """Return the curve in order of x, with one row per x, and a long one in bins.

    Raises:
        DataError: a column is missing, a value is not a positive number, or points are too few.
    """
    extra = sorted({n for c in wanted for n in c.law.inputs} - {x})
    for name in (x, y, *extra):
        if name not in table.columns:
            raise DataError("the column is missing", column=name, expected="a column of the curve")
    for name in (x, y):
        values = table[name]
        if not values.dtype.is_numeric():
            raise DataError("is not a column of numbers", column=name, expected="positive numbers")
        numbers = values.cast(pl.Float64).fill_null(np.nan).to_numpy()
        good = np.isfinite(numbers) & (numbers > 0)
        if name == x:  # a log may begin at step 0, where no power law is defined
            good |= numbers == 0
        if not good.all():
            i = int(np.argmin(good))
            raise DataError("the value cannot be used", row=i + 1, column=name, value=values[i],
                            expected="a positive finite number")  # fmt: skip
    lists = any(isinstance(k, Curve) for c in wanted for k in c.law.inputs.values())
    mean = [pl.col(n).first() if lists else pl.col(n).cast(pl.Float64).mean() for n in extra]
    rows = (
        table.filter(pl.col(x) > 0)
        .group_by(pl.col(x).cast(pl.Float64))
        .agg(pl.col(y).cast(pl.Float64).log().mean().exp(), *mean)
        .sort(x)
    )
    if rows.height <= FEWEST:
        raise DataError(f"the curve has {rows.height} different {x}", column=x,
                        expected=f"at least {FEWEST + 1} to forecast from")  # fmt: skip
    late = rows.filter(pl.col(x) >= KEPT * rows[x][-1])
    if late.height <= 2 * BINS or lists:
        return rows if rows.height <= 2 * BINS else late
    width = float(np.log(late[x][-1] / late[x][0])) / BINS * (1 + 1e-9)
    place = ((pl.col(x) / late[x][0]).log() / width).floor().cast(pl.Int64)
    return (
        late.group_by(place.alias("__bin__"))
        .agg(pl.col(x).log().mean().exp(), pl.col(y).log().mean().exp(),
             *(pl.col(n).mean() for n in extra))
        .sort(x)
        .drop("__bin__")
    )  # fmt: skip


def _targets(at: Any, x: str, wanted: Sequence[CurveCandidate], end: float) -> pl.DataFrame:
    """Return the points asked for, in order of x.

    Raises:
        UsageError: there is none, one does not lie beyond the end, or an input of a law is missing.
    """
    table = at if isinstance(at, pl.DataFrame) else pl.DataFrame(
        {x: np.atleast_1d(np.asarray(at, float))}
    )  # fmt: skip
    needed = {x} | {n for c in wanted for n in c.law.inputs}
    if needed - set(table.columns):
        lacking = ", ".join(sorted(needed - set(table.columns)))
        raise UsageError(f"the points to forecast need {lacking}: give a table with these columns")
    table = table.with_columns(pl.col(x).cast(pl.Float64)).sort(x)
    if table.is_empty() or not float(table[x][0]) > end:
        first = f"{table[x][0]:.4g}" if table.height else "none"
        raise UsageError(f"the points to forecast must lie beyond {x} = {end:.4g}, not at {first}")
    return table


def _cut_rows(
    values: Mapping[str, Floats],
    own: Floats,
    observed: Floats,
    places: Sequence[int],
    scored: Sequence[Places],
) -> pl.DataFrame:
    """Collect every forecast of the backtest."""
    parts = [
        pl.DataFrame(
            {"law": [name] * len(w), "cut": [own[place - 1]] * len(w), "x": own[w],
             "observed": observed[w], "value": v[k][w]}
        )
        for name, v in values.items()
        for k, (place, w) in enumerate(zip(places, scored, strict=True))
    ]  # fmt: skip
    return pl.concat(parts)


def _notes(own: Floats, places: Sequence[int], horizon: float, count: int) -> tuple[Note, ...]:
    """Return notes for the reader."""
    notes = []
    ahead = max(float(np.log(own[-1] / own[k - 1])) for k in places)
    if np.log(horizon) > FAR * ahead:
        notes.append(
            Note(
                "far",
                "warning",
                f"The forecast reaches {horizon:.3g} times beyond the end; the curve itself tests "
                f"at most {np.exp(ahead):.3g} times.",
                {"times": horizon, "tested": float(np.exp(ahead))},
            )
        )
    if len(places) < MOST_CUTS // 2:
        notes.append(
            Note(
                "short-curve",
                "warning",
                f"The curve has {count} points: weights and interval come from {len(places)} cuts.",
                {"points": count, "cuts": len(places)},
            )
        )
    return tuple(notes)
