"""Forecast a pass rate from a table of counts, by four methods side by side.

- average: the equal-weight mean of the quantiles of two lines, on log(-log PU) and on the logit,
  that drift, and bend or level off, as ladders do (`bent_lines`). It leads because it has the best
  skill on the development half of benchmarks/scorecard.
- line: the dataset-level line of Hu et al. 2023 (arXiv 2310.03262), least squares on log(-log PU).
- instances: a line for every instance, drawn from one distribution (`instances.py`).
- pooled: a trend that may bend or end at a ceiling, with the noise between models estimated
  (`smooth`), and the instances' forecast, weighted by how well each forecasts the larger models of
  the table from the smaller ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from scipy import stats

from augury.data.cut_draws import cut_draws_notes
from augury.display import Card, Several, Shown
from augury.errors import UsageError
from augury.forecast.passrate.bent_lines import average_of_lines
from augury.forecast.passrate.growth_forms import Growth, growth
from augury.forecast.passrate.instances import fit_instances
from augury.forecast.passrate.rate_series import (
    GROWING,
    Floats,
    RateSeries,
    from_f,
    series,
    to_f,
)
from augury.forecast.passrate.smooth import Smooth, fit_smooth
from augury.forecast.prediction import known, run_share, run_share_text
from augury.forecast.score import crps
from augury.forecast.wordings import WordingForecast, notes_of, wording_forecasts
from augury.notes import Note

# More draws do not move a 90 % interval by a tenth of its width.
DRAWS = 4000
BACKTEST_DRAWS = 400
# Maximum cuts of the backtest: each takes two fits.
MOST_CUTS = 8
# The method that is shown first.
LEADING = "average"
# Number of backtest forecasts that are worth as much as the prior, which trusts the smooth trend
# alone: on the lab's ladders, verdicts of three forecasts swung from 7 % to 93 % and were
# meaningless.
PRIOR_WORTH = 30
# Noise between models is worth a note if it is this many times the sampling error.
NOISY = 2.0


@dataclass(frozen=True)
class MethodForecast:
    """One method's forecast at one point."""

    value: float
    interval: tuple[float, float]
    level: float
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        return {
            "value": known(self.value),
            "interval": [known(x) for x in self.interval],
            "level": self.level,
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class PassRateForecast(Shown):
    """Forecasts at one point, and what they are based on.

    Attributes:
        at: the point.
        growth: the class of growth of the series.
        methods: "average", which leads, and "line", "instances", "pooled". Intervals are for a new
            model's pass rate.
        mean_interval: by the average, for the mean of many models of that scale.
        run_share: share of the average's squared width, on log(-log p), that is spread between
            models of one scale: no forecast can remove it. None if there is no average.
        models, instances: how many there are.
        extrapolation: how far beyond the data, in units of its range in log scale; 0 inside.
        notes: what to know before trusting it.
        wordings: of the benchmark, by the average; None if the table does not tell them apart.
    """

    at: Mapping[str, float]
    growth: Growth
    methods: Mapping[str, MethodForecast]
    mean_interval: tuple[float, float]
    run_share: float | None
    models: int
    instances: int
    extrapolation: float
    notes: tuple[Note, ...]
    wordings: WordingForecast | None = None

    @property
    def leading(self) -> MethodForecast:
        """The forecast of the leading method."""
        return self.methods[LEADING]

    def _card(self) -> Card:
        rows = [
            {**self.at, "method": name, "value": answer.value, "low": answer.interval[0],
             "high": answer.interval[1], "extrapolation": self.extrapolation}
            for name, answer in self.methods.items()
        ]  # fmt: skip
        return Card(
            f"Pass rate of a new model, from {self.models} models and {self.instances} instances: "
            f"{self.growth.kind} growth",
            pl.DataFrame(rows),
            self.notes,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary for JSON."""
        return {
            "at": dict(self.at),
            "models": self.models,
            "instances": self.instances,
            "extrapolation": self.extrapolation,
            "growth": self.growth.to_dict(),
            **{name: answer.to_dict() for name, answer in self.methods.items()},
            "mean_interval": [known(x) for x in self.mean_interval],
            "run_share": self.run_share,
            "wordings": None if self.wordings is None else self.wordings.to_dict(),
            "notes": [vars(note) for note in self.notes],
        }

    def __str__(self) -> str:
        where = ", ".join(f"{k} = {v:g}" for k, v in self.at.items())
        low, high = self.growth.interval
        lines = [
            f"At {where}, from {self.models} models and {self.instances} instances:",
            f"  growth: {self.growth.kind} (curvature {self.growth.curvature:.3g} "
            f"[{low:.3g}, {high:.3g}], p = {self.growth.p:.2g})",
        ]
        for name, answer in self.methods.items():
            low, high = answer.interval
            lines.append(f"  {name:9s} {answer.value:.3g} [{low:.3g}, {high:.3g}]")
        if self.run_share is not None:
            low, high = self.mean_interval
            lines.append(
                f"  the mean of many models lies in [{low:.3g}, {high:.3g}]; of the average, "
                f"{run_share_text(self.run_share)}"
            )
        if self.wordings is not None:
            lines.append(f"  {self.wordings}")
        return "\n".join([*lines, *(f"  {note.message}" for note in self.notes)])


def forecast_pass_rate(
    table: pl.DataFrame,
    at: Sequence[Mapping[str, float]],
    *,
    scale: Sequence[str] = ("params",),
    level: float = 0.9,
    seed: int = 0,
) -> Several[PassRateForecast]:
    """Forecast the mean pass rate of models that are not in the table.

    Args:
        table: counts: one row per model and instance, with `passes` and `samples` (or exact
            `logprob`), the scale, and `chance` if random guessing passes. `reference_logprob`, the
            log-likelihood of the reference answer, helps if instances never pass. Rows that
            differ only in `prompt` are wordings of the benchmark: the forecast is for the mean over
            wordings, of which those measured are a sample. Those that some model was not asked in
            are left out if two others remain; a note names them.
        at: points, each with every scale.
        scale: columns along which models grow: params, flops or loss, or several.
        level: level of the intervals, which are for the rate of one new model on these instances.
        seed: seed of the draws.

    Returns:
        A list with one `PassRateForecast` per point: pass rates, from 0 to 1, by each method.

    Raises:
        DataError: as `series`.
        UsageError: fewer than three models, no two different scales, or a point without a scale.

    Source: Hu et al. 2023 (arXiv 2310.03262) for "line" and "instances"; "average" and "pooled"
    are described in docs/passuntil.md.

    Examples:
        >>> counts = augury.read_table("counts.csv")
        >>> (forecast,) = augury.forecast_pass_rate(counts, [{"params": 1e9}])
        >>> list(forecast.methods)
        ['average', 'line', 'instances', 'pooled']
    """
    found = series(table, scale)
    if min(len(np.unique(found.x[:, k])) for k in range(len(scale))) < 2:
        raise UsageError(f"all models have the same {' and '.join(scale)}: no trend can be seen")
    x = np.array([[_named(point, name) for name in scale] for point in at])
    rng = np.random.default_rng(seed)
    smooth, pooled = fit_smooth(found), fit_instances(found)
    weight, tested = _weights(found, rng)
    parts = {
        "smooth": smooth.draws(x, DRAWS, rng)[1],
        "instances": pooled.draws(x, DRAWS // 4, rng)[1],
    }
    rows = round(weight * DRAWS)
    mixed = np.concatenate(
        [parts["smooth"][: DRAWS - rows], parts["instances"][rng.integers(DRAWS // 4, size=rows)]]
    )
    tails = [(1 - level) / 2, 0.5, (1 + level) / 2]
    line = _line(found, x, tails)
    levels = np.array(tails)
    averaged = average_of_lines(found, x, levels)
    words = found.wordings()
    asked = wording_forecasts(words, averaged.run, levels, GROWING)

    def counted(q: Floats) -> Floats:
        """Return (K, m) quantiles with the spread of the wordings in them."""
        return q if words is None else words.widen(q, levels, GROWING)

    ends = {
        "average": counted(averaged.run),
        "line": counted(line.T),
        "instances": counted(_quantiles(parts["instances"], levels)),
        "pooled": counted(_quantiles(mixed, levels)),
    }
    mean = counted(averaged.mean)
    kind = growth(found, level)
    notes = (
        *cut_draws_notes(table),
        *_notes(found, smooth, kind),
        *notes_of(words),
        *_left_out(found),
    )
    about: dict[str, tuple[str, ...]] = {
        "average": AVERAGE_NOTES,
        "line": LINE_NOTES,
        "instances": (),
        "pooled": (_how(found, weight, tested),),
    }
    out: Several[PassRateForecast] = Several()
    for i, point in enumerate(at):
        methods = {name: _answer(found, q[:, i], level, about[name]) for name, q in ends.items()}
        beyond = _beyond(found, x[i])
        own = list(notes)
        if beyond > 1:
            own.append(
                Note(
                    "far",
                    "warning",
                    f"the target lies beyond the data by {beyond:.1f} times their range, farther "
                    "than a backtest can check",
                    {"extrapolation": beyond},
                )
            )
        out.append(
            PassRateForecast(
                dict(point),
                kind,
                methods,
                _ends(found, mean[:, i]),
                run_share(
                    (float(mean[0, i]), float(mean[-1, i])),
                    (float(ends["average"][0, i]), float(ends["average"][-1, i])),
                    GROWING,
                ),
                len(found.x),
                found.instances,
                beyond,
                tuple(own),
                _above_chance(found, asked[i]),
            )
        )
    return out


AVERAGE_NOTES = (
    "mean of the quantiles of two lines that drift, and bend or level off, as ladders do",
)
LINE_NOTES = (
    "the published method: models without a pass are left out, models have no noise of their own",
)


def _named(point: Mapping[str, float], name: str) -> float:
    if name not in point:
        raise UsageError(f"the point {dict(point)} has no {name}")
    if not point[name] > 0:
        raise UsageError(f"{name} must be positive, not {point[name]}")
    return float(point[name])


def _line(found: RateSeries, x: Floats, tails: Sequence[float]) -> Floats:
    """Return (q, tails) quantiles of least squares on log(-log PU) over log scale.

    PU = passes / samples averaged; quantiles are of Student's t, for a new model.
    """
    rate, seen = found.above_chance
    z = np.concatenate([np.ones((len(rate), 1)), found.z], 1)[seen]
    to = np.concatenate([np.ones((len(x), 1)), found.along(x)], 1)
    free = len(z) - z.shape[1]
    if free < 1:
        return np.full((len(x), len(tails)), np.nan)
    y = -to_f(rate[seen])
    best = np.linalg.lstsq(z, y, rcond=None)[0]
    off = y - z @ best
    spread = 1 + np.einsum("qi,ij,qj->q", to, np.linalg.pinv(z.T @ z), to)
    scale = np.sqrt(off @ off / free * spread)
    ends = (to @ best)[:, None] + scale[:, None] * stats.t.ppf(tails, free)
    return from_f(-ends)


def _answer(
    found: RateSeries, quantiles: Floats, level: float, notes: tuple[str, ...]
) -> MethodForecast:
    low, middle, high = (float(found.chance + (1 - found.chance) * v) for v in quantiles)
    return MethodForecast(middle, (low, high), level, notes)


def _ends(found: RateSeries, quantiles: Floats) -> tuple[float, float]:
    low, high = (float(found.chance + (1 - found.chance) * v) for v in quantiles[[0, -1]])
    return low, high


def _above_chance(found: RateSeries, asked: WordingForecast | None) -> WordingForecast | None:
    """Return the same with chance in its rates."""
    if asked is None or asked.interval is None:
        return asked
    return replace(asked, interval=_ends(found, np.array(asked.interval)))


def _quantiles(draws: Floats, levels: Floats) -> Floats:
    return np.quantile(draws, levels, axis=0)


def _weights(found: RateSeries, rng: np.random.Generator) -> tuple[float, int]:
    """Return the weight of the instances' forecast, and the number of forecasts behind it.

    Every model is forecast from the smaller ones. Weights are proportional to 1 / CRPS^2 of log
    rates (Bates & Granger 1969, with a proper score) and shrunk towards zero if there are few
    forecasts. A part whose score is not finite has no weight.
    """
    along = found.z[:, 0]
    scores: dict[str, list[float]] = {"smooth": [], "instances": []}
    if found.passes.shape[1] == 1:  # with one instance there is nothing to pool
        return 0.0, 0
    cuts = np.unique(along)[2:-1]
    which = np.linspace(0, len(cuts) - 1, min(len(cuts), MOST_CUTS)).round().astype(int)
    for cut in cuts[which]:
        inside = along <= cut
        below, above = found.some(inside), np.flatnonzero(~inside)
        if len(below.x) < 3:
            continue
        for name, fit in (("smooth", fit_smooth), ("instances", fit_instances)):
            with np.errstate(divide="ignore"):  # a rate of 0 has no finite score
                draws = np.log(fit(below).draws(found.x[above], BACKTEST_DRAWS, rng)[1])
            scores[name] += crps(draws, np.log(found.rate[above])).tolist()
    n = len(scores["smooth"])
    if not n:
        return 0.0, 0
    smooth, instances = (np.mean(scores[name]) for name in ("smooth", "instances"))
    if not np.isfinite(instances):
        return 0.0, n
    if not np.isfinite(smooth):
        return n / (n + PRIOR_WORTH), n
    return float(smooth**2 / (smooth**2 + instances**2)) * n / (n + PRIOR_WORTH), n


def _how(found: RateSeries, weight: float, tested: int) -> str:
    if found.passes.shape[1] == 1:
        return "a single instance: smooth trend only"
    if not tested:
        return "too few models to backtest: smooth trend only"
    return (
        f"smooth trend {1 - weight:.0%}, instances {weight:.0%}, from {tested} forecasts of the "
        "table's larger models from smaller ones"
    )


def _beyond(found: RateSeries, x: Floats) -> float:
    z = found.z
    low, high = z.min(0), z.max(0)
    at = found.along(x[None])[0]
    outside = np.maximum(at - high, low - at) / np.maximum(high - low, 1e-9)
    return float(max(outside.max(), 0.0))


def _left_out(found: RateSeries) -> tuple[Note, ...]:
    if not found.left_out:
        return ()
    each = ", ".join(
        f"{'rows without a name' if word is None else repr(word)} (of model '{model}')"
        for word, model in found.left_out
    )
    count = len(found.left_out)
    said = f"{count} wording{'s' * (count > 1)} not asked of every model, left out: {each}"
    return (Note("wordings-left-out", "warning", said, {"wordings": dict(found.left_out)}),)


def _notes(found: RateSeries, smooth: Smooth, kind: Growth) -> tuple[Note, ...]:
    notes = []
    noise = float(smooth.weights @ [f.noise for f in smooth.forms])
    sampling = float(np.median(found.shape**-0.5))
    if noise > NOISY * sampling:
        notes.append(
            Note(
                "noise-between-models",
                "info",
                f"models deviate from their trend by a factor of about {np.exp(noise):.2g}; "
                f"sampling alone would explain {np.exp(sampling):.2g}: more samples would not "
                "help, more models or seeds would",
                {"between": noise, "sampling": sampling},
            )
        )
    ceiling = 1 - smooth.share("ceiling", 0.999)
    if ceiling > 0.5:
        notes.append(
            Note(
                "ceiling",
                "warning",
                f"the rate seems to level off below 1 (probability {ceiling:.0%}): a line would "
                "over-predict",
                {"probability": ceiling},
            )
        )
    never = float((found.passes.sum(0) == 0).mean())
    if never > 0:
        notes.append(
            Note(
                "never-passed",
                "info",
                f"{never:.0%} of the instances never passed in any model; they count as rates too "
                "small to measure",
                {"share": never},
            )
        )
    if kind.kind in ("sub-scaling", "accelerated"):
        notes.append(
            Note(
                "growth-class",
                "warning",
                f"{kind.kind} growth (p = {kind.p:.2g}): the line does not hold",
                {"p": kind.p},
            )
        )
    return tuple(notes)
