"""Backtests: fit on what came before, forecast what came after, and score it.

The window expands: everything below a scale is fitted and what lies above is forecast, then the
next scale. The result tells what a user needs to know about a forecaster: how far off it was, and
how often its intervals held.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import polars as pl
import scipy

from augury.data.scores import add_value, trials_of
from augury.display import Card, Shown
from augury.errors import DataError, UsageError
from augury.fitting import Fit, Likelihood
from augury.fitting.single import fit
from augury.fitting.space import Floats
from augury.forecast.chain_fit import ChainFit, fit_chain
from augury.forecast.prediction import (
    distance_beyond,
    extrapolation,
    interval_of,
    observed,
    predictive,
)
from augury.forecast.score import crps
from augury.laws import Chain, Law, parse_law
from augury.runtime.steps import count_steps

Fitted = Fit | ChainFit
Fitter = Callable[[pl.DataFrame], Any]

# Draws per forecast in a backtest: its 5 and 95 % quantiles are then known to a tenth of the
# interval's width.
DRAWS = 400
# Maximum number of cuts of an expanding window. Each cut means one fit per law, and with a cut at
# each of a few hundred scales most forecasts would be made from the few smallest runs.
MOST_CUTS = 8
# Two laws differ clearly if the paired difference of their scores is significant in a two-sided
# test at this level.
CLEAR = 0.9


@dataclass(frozen=True)
class Backtest(Shown):
    """Every forecast of a backtest, and its summary.

    Attributes:
        rows: one row per law and held-out point: law, cut (the scale below which it was fitted),
            the row in the table, observed, value, low, high, held, error (forecast - observed),
            relative (error / observed), crps (continuous ranked probability score, in the unit of
            residuals: logarithms if the likelihood takes them), extrapolation (in ranges of the
            data), distance (in e-folds beyond it), status.
        level: of the intervals, which are for a new run.
    """

    rows: pl.DataFrame
    level: float

    @property
    def common(self) -> pl.DataFrame:
        """The forecasts that every scored law made, so that like is compared with like."""
        scored = self.rows.filter(pl.col("crps").is_finite())
        laws = scored["law"].n_unique()
        return scored.filter(pl.col("law").n_unique().over("cut", "row") == laws)

    @property
    def summary(self) -> pl.DataFrame:
        """Summarise per law, best (by CRPS) first: errors, and the intervals' coverage and width.

        Only forecasts common to all laws count, and every cut has equal weight. `behind` is how far
        a law's CRPS lies above the best law's, and `clear` whether that is more than chance. A law
        that could not be scored at any cut comes last, with n = 0.
        """
        common = self.common
        per_cut = common.group_by("law", "cut", maintain_order=True).agg(
            n=pl.len(),
            mean_abs_error=pl.col("error").abs().mean(),
            median_abs_relative=pl.col("relative").abs().median(),
            crps=pl.col("crps").mean(),
            coverage=pl.col("held").cast(pl.Float64).mean(),
            mean_width=(pl.col("high") - pl.col("low")).mean(),
        )
        table = (
            per_cut.group_by("law", maintain_order=True)
            .agg(pl.col("n").sum(), pl.exclude("n", "cut").mean())
            .sort("crps", maintain_order=True)
        )
        unscored = [
            x for x in self.rows["law"].unique(maintain_order=True) if x not in table["law"]
        ]
        missing = pl.DataFrame(
            {"law": unscored, "n": [0] * len(unscored)}, schema_overrides={"law": pl.String}
        )
        told = [paired_difference(common, table["law"][0], law) for law in table["law"]]
        return pl.concat(
            [
                table.with_columns(
                    level=pl.lit(self.level),
                    behind=pl.Series([d for d, _ in told], dtype=pl.Float64),
                    clear=pl.Series([abs(d) > noise for d, noise in told], dtype=pl.Boolean),
                ),
                missing.cast({"n": table.schema["n"]}),
            ],
            how="diagonal",
        )

    @property
    def winner(self) -> str | None:
        """The law that forecast best, if by more than chance; None without a winner."""
        table = self.summary.filter(pl.col("n") > 0)
        if table.is_empty():
            return None
        return str(table["law"][0]) if table["clear"][1:].all() else None

    @property
    def verdict(self) -> str:
        """In words: which law forecast best, or that none did clearly."""
        table = self.summary.filter(pl.col("n") > 0)
        if table.is_empty():
            return "no law could be scored"
        if self.winner is not None or table.height == 1:
            return f"best: {table['law'][0]}"
        level = [table["law"][0], *table[1:].filter(~pl.col("clear"))["law"]]
        return f"no clear winner among {', '.join(level)}"

    def _card(self) -> Card:
        cuts = self.rows["cut"].n_unique()
        return Card(
            f"{self.rows.height} forecasts of held-out runs, from {cuts} cuts; {self.verdict}",
            self.summary,
            rows=self.rows,
        )


def paired_difference(rows: pl.DataFrame, best: str, other: str) -> tuple[float, float]:
    """Return how far `other` scores above `best` on average over cuts, and its noise.

    Differences are paired by held-out row; a row forecast from several cuts is one observation,
    since its own noise is in all of them. With only one row nothing can be concluded: infinite
    noise.
    """
    if best == other:
        return 0.0, np.inf
    pairs = rows.filter(pl.col("law") == best).join(
        rows.filter(pl.col("law") == other), on=["cut", "row"], suffix="_other"
    )
    pairs = pairs.with_columns(
        off=pl.col("crps_other") - pl.col("crps"), weight=1.0 / pl.len().over("cut")
    )
    per_row = pairs.group_by("row").agg(
        total=(pl.col("weight") * pl.col("off")).sum(), weight=pl.col("weight").sum()
    )
    total, weight = per_row["total"].to_numpy(), per_row["weight"].to_numpy()
    mean = float(total.sum() / weight.sum())
    count = len(total)
    if count < 2:
        return mean, np.inf
    spread = np.sqrt(((total - mean * weight) ** 2).sum() * count / (count - 1)) / weight.sum()
    return mean, float(scipy.stats.t.isf((1 - CLEAR) / 2, count - 1) * spread)


def backtest(
    laws: Sequence[Law | str] | Law | str,
    data: pl.DataFrame | Mapping[str, Any],
    *,
    holdout: str | None = None,
    by: str | None = None,
    likelihood: Likelihood | str | None = None,
    level: float = 0.9,
    seed: int = 0,
) -> Backtest:
    """Backtest laws or chains on a table.

    Args:
        laws: laws, chains, or their names ("chinchilla", "power+logistic-task").
        data: observation table, or columns by name.
        holdout: SQL expression for the rows held out, as a single split; without it, up to eight
            evenly spread scales at which the data can be cut with enough runs below for a usable
            fit.
        by: the scale of the expanding window; by default flops, tokens or params, the first
        present.
        likelihood: of the laws (of the task law in chains).
        level: of the intervals.
        seed: of the draws.

    Returns:
        A `Backtest`: `rows`, one per law and held-out point, in the unit of the forecast, and
        `summary`, one per law.

    Raises:
        UsageError: the expression is wrong, or leaves nothing to fit or to forecast.
        DataError: as `fit`; or no law can be fitted below any cut.

    Source: Gneiting & Raftery 2007 for the score, CRPS.

    Examples:
        >>> runs = augury.read_table("runs.csv")
        >>> tested = augury.backtest(["chinchilla", "constant"], runs, holdout="params > 1e9")
        >>> tested.summary["law"][0], tested.summary["n"][0]
        ('chinchilla', 3)
    """
    wanted = [laws] if isinstance(laws, Law | str) else list(laws)
    parsed = [parse_law(x) if isinstance(x, str) else x for x in wanted]
    fitters = {str(law): fitter(law, likelihood, level, seed, influence=False) for law in parsed}
    table = data if isinstance(data, pl.DataFrame) else pl.DataFrame(dict(data))
    table = add_value(table)
    targets = {str(law): law.output if law.output in table.columns else "value" for law in parsed}
    numbered = table.with_row_index("__at__", offset=1)
    parts = []
    splits = _shared_splits(numbered, holdout, by, parsed)
    for split, name in count_steps([(s, law) for s in splits for law in s[3]], "fits"):
        label, past, future, _ = split
        fit_past = fitters[name]
        fitted = fit_past(past.drop("__at__"))
        if holdout is None and not usable(fitted):
            continue
        parts.append(
            scored(fitted, future, targets[name], level).with_columns(
                pl.lit(name).alias("law"), pl.lit(label).alias("cut")
            )
        )
    if not parts:
        raise DataError(
            f"these laws cannot be fitted to the smaller ones of {table.height} rows and tested on "
            "the larger ones: too few runs, or none identifies the parameters",
            expected="more runs, or laws with fewer parameters",
        )
    return Backtest(pl.concat(parts), level)


def fitter(
    law: Law,
    likelihood: Likelihood | str | None,
    level: float,
    seed: int,
    draws: int = DRAWS,
    *,
    influence: bool = True,
) -> Fitter:
    """Return the function that fits a law or chain to the past, with draws for a forecast."""
    one: Callable[..., Fitted] = (
        partial(fit_chain, law, task_likelihood=likelihood)
        if isinstance(law, Chain)
        else partial(fit, law, likelihood=likelihood)
    )
    return partial(one, resamples=draws, level=level, seed=seed, influence=influence)


def usable(fitted: Fitted) -> bool:
    """Return whether a fit allows a forecast with an interval."""
    return all(one.usable and len(one.draws) > 0 for one in steps(fitted))


def steps(fitted: Fitted) -> tuple[Fit, ...]:
    """Return the fits that a fitted law consists of, two for a chain."""
    return (fitted.loss, fitted.task) if isinstance(fitted, ChainFit) else (fitted,)


def _least_runs(law: Law) -> int:
    """Return the scales needed below a cut: parameters plus one; a chain's laws fit apart."""
    parts = (law.loss, law.task) if isinstance(law, Chain) else (law,)
    return max(len(part.parameters) for part in parts) + 1


def splits(
    data: pl.DataFrame, holdout: str | None, by: str | None, least: int
) -> list[tuple[str, pl.DataFrame, pl.DataFrame]]:
    """Return (label, past, future) of the cuts: at most `MOST_CUTS`, evenly over distinct scales.

    Every cut has at least `least` scales below it.
    """
    if holdout is not None:
        try:
            out = data.select(pl.sql_expr(holdout).alias("out"))["out"].cast(pl.Boolean)
        except (pl.exceptions.PolarsError, TypeError) as error:
            line = str(error).splitlines()[0]
            raise UsageError(f"cannot hold out by '{holdout}': {line}") from error
        past, future = data.filter(~out.fill_null(False)), data.filter(out.fill_null(False))
        if past.is_empty() or future.is_empty():
            raise UsageError(
                f"'{holdout}' holds out {future.height} of {data.height} rows: nothing is left to "
                f"{'fit' if past.is_empty() else 'forecast'}"
            )
        return [(holdout, past, future)]
    scale = by or next((n for n in ("flops", "tokens", "params") if n in data.columns), None)
    if scale is None or scale not in data.columns:
        raise UsageError(f"no column '{by or 'flops'}' to order the table by")
    values = data[scale].unique().sort().to_list()
    cuts = []
    for k in _evenly(least, len(values) - 1):
        past = data.filter(pl.col(scale) < values[k])
        cuts.append((f"{scale} < {values[k]:g}", past, data.filter(pl.col(scale) >= values[k])))
    return cuts


def _shared_splits(
    data: pl.DataFrame, holdout: str | None, by: str | None, laws: Sequence[Law]
) -> list[tuple[str, pl.DataFrame, pl.DataFrame, list[str]]]:
    """Return splits with the laws to test at each: the same cuts for all that can be cut at all."""
    least = {str(law): _least_runs(law) for law in laws}
    for most in sorted(set(least.values()), reverse=True):
        able = [name for name, runs in least.items() if runs <= most]
        found = splits(data, holdout, by, most)
        if found:
            names = list(least) if holdout is not None else able
            return [(*split, names) for split in found]
    return []


def _evenly(first: int, last: int) -> list[int]:
    """Return at most `MOST_CUTS` whole numbers from `first` to `last`, both included."""
    if last - first < MOST_CUTS:
        return list(range(first, last + 1))
    return [round(x) for x in np.linspace(first, last, MOST_CUTS)]


def scored(fitted: Fitted, future: pl.DataFrame, target: str, level: float) -> pl.DataFrame:
    """Forecast the rows of `future`, beside what was observed.

    Scores from counts include the counting noise: with 20 samples, even a rate that is known
    exactly is observed only to within a tenth.
    """
    drawn = predictive(fitted, future)
    truth = future[target].cast(pl.Float64).to_numpy()
    run = drawn.run
    if last_step(fitted).likelihood.counts:
        trials = trials_of(future).astype(np.int64)
        rng = np.random.default_rng([last_step(fitted).seed, 2])
        run = rng.binomial(trials, np.clip(run, 0.0, 1.0)) / trials
    tail = (1.0 - level) / 2.0
    low, high = interval_of(run, drawn.value, tail)
    known = np.isfinite(low) & np.isfinite(high)
    return pl.DataFrame(
        {
            "row": future["__at__"] if "__at__" in future.columns else np.arange(len(truth)),
            "observed": truth,
            "value": drawn.value,
            "low": low,
            "high": high,
            "held": pl.Series(
                [
                    bool(h) if k else None
                    for h, k in zip((truth >= low) & (truth <= high), known, strict=True)
                ],
                dtype=pl.Boolean,
            ),
            "error": drawn.value - truth,
            "relative": (drawn.value - truth) / np.where(truth == 0, np.nan, truth),
            "crps": _score(fitted, run, truth),
            "extrapolation": extrapolation(observed(fitted), future),
            "distance": distance_beyond(observed(fitted), future),
            "status": [str(fitted.status)] * len(truth),
        }
    ).with_columns(pl.col("low", "high", "crps", "relative").fill_nan(None))


def last_step(fitted: Fitted) -> Fit:
    """Return the fit that gives the forecast: a chain's task law."""
    return fitted.task if isinstance(fitted, ChainFit) else fitted


def _score(fitted: Fitted, draws: Floats, truth: Floats) -> Floats:
    """Return the CRPS in the unit of residuals: logarithms if the likelihood takes them.

    A pass rate forecast as 1e-3 and found to be 1e-5 is as wrong as one of 1e-1 found to be 1e-3.
    """
    if last_step(fitted).likelihood.on_log and (draws > 0).all() and (truth > 0).all():
        return crps(np.log(draws), np.log(truth))
    return crps(draws, truth)


def compare(
    laws: Sequence[Law | str], data: pl.DataFrame | Mapping[str, Any], **options: Any
) -> pl.DataFrame:
    """Backtest several laws and summarise the result.

    Args:
        laws: laws, chains, or their names.
        data: observation table, or columns by name.
        options: of `backtest`: holdout, by, likelihood, level, seed.

    Returns:
        A table with one row per law, best first: n, errors in the unit of the forecast, crps,
        coverage and mean width of the intervals, `behind` (CRPS above the best law's) and `clear`
        (whether that is more than chance).

    Raises:
        UsageError, DataError: as `backtest`.

    Examples:
        >>> runs = augury.read_table("runs.csv")
        >>> table = augury.compare(["chinchilla", "constant"], runs, holdout="params > 1e9")
        >>> table.select("law", "clear").rows()
        [('chinchilla', False), ('constant', True)]
    """
    return backtest(laws, data, **options).summary
